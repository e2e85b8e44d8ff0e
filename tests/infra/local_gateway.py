"""Deploys a template on this machine, with the attributes, variables and limits that it sets.

SQS and DynamoDB are those of moto, and a real Prometheus stands in for AMP. The function is the packaged one. An event source polls the
queue for it, as the event source mapping says. Nothing invokes the tick but a test.

    with LocalGateway(templates.sam(), sqs, prometheus, tmp_path) as gateway:
        gateway.queue.send(event({"ph": 6.7}))
        gateway.run()
        gateway.dead_letters()
"""
import json
import urllib.error
import urllib.request
import uuid
from urllib.parse import urlsplit

import boto3
import templates
from package import unpacked
from support.components import ARCH
from support.event_source import EventSource
from support.http_server import HttpServer
from support.runtime_api import Ingest
from support.sqs import REGION, SqsFront

#: Properties of a queue in a template that are no attributes in SQS.
_NOT_ATTRIBUTES = {"QueueName", "Tags", "RedrivePolicy"}


class Workspace(HttpServer):
    """Stands in for AMP: keeps each request, and forwards a write to Prometheus. A query finds nothing. `outage` is called before: if
    it returns an answer, that is sent instead."""

    def __init__(self, prometheus):
        self._prometheus, self.outage, self.requests = prometheus, lambda: None, []
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        if request.method == "GET":  # the function opens its connection before the first batch
            return 404, {}, b""
        answer = self.outage()
        if answer is not None:
            return answer
        if request.path.endswith("/api/v1/query"):
            return 200, {}, b'{"status": "success", "data": {"resultType": "matrix", "result": []}}'
        headers = {name: request.header(name) for name in
                   ("Content-Type", "Content-Encoding", "X-Prometheus-Remote-Write-Version", "User-Agent")}
        forward = urllib.request.Request(self._prometheus.remote_write_url, data=request.body, headers=headers)
        try:
            with urllib.request.urlopen(forward, timeout=20) as stored:
                return stored.status, {}, stored.read()
        except urllib.error.HTTPError as error:
            return error.code, {}, error.read()


class Secrets(HttpServer):
    """Stands in for Secrets Manager: keeps each request. Every secret has these credentials."""

    CREDENTIALS = {"username": "push", "password": "secret", "token": "t0k3n"}

    def __init__(self):
        self.requests = []
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        body = {"ARN": json.loads(request.body)["SecretId"], "SecretString": json.dumps(self.CREDENTIALS)}
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()


class Tables(HttpServer):
    """Stands in front of moto's DynamoDB, and keeps each request. It judges no competition: moto lets two writers of one version win."""

    def __init__(self, moto, name, properties):
        self._moto, self.requests = moto, []
        client = boto3.client("dynamodb", endpoint_url=moto.endpoint, region_name=REGION, aws_access_key_id="test",
                              aws_secret_access_key="test")
        client.create_table(TableName=name, **{key: properties[key] for key in ("KeySchema", "AttributeDefinitions", "BillingMode")})
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        headers = {name: value for name, value in request.headers
                   if name.lower() not in ("host", "content-length", "connection", "accept-encoding")}
        forward = urllib.request.Request(self._moto.endpoint + "/", data=request.body, headers=headers, method=request.method)
        try:
            with urllib.request.urlopen(forward, timeout=20) as answer:
                return answer.status, {"Content-Type": "application/x-amz-json-1.0"}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {"Content-Type": "application/x-amz-json-1.0"}, error.read()


class _Function(Ingest):
    """One environment of the function. Adds its peak memory to `peaks` when it ends."""

    def __init__(self, peaks, *arguments, **more):
        self._peaks = peaks
        super().__init__(*arguments, **more)

    def close(self):
        if not self.exited:
            self._peaks.append(self.peak_memory())
        super().close()


class LocalGateway:
    """See the module. `resources` are those of `templates.sam` or `templates.cdk`."""

    def __init__(self, resources, sqs, prometheus, folder, environment=None):
        self.resources, self.workspace, self.sqs_front, self.secrets = resources, Workspace(prometheus), SqsFront(sqs), Secrets()
        self._bootstrap = unpacked(ARCH, folder)
        self._more = environment or {}
        self.queues = {}
        # The dead-letter queue comes first, as the source queue names it.
        for name in sorted((name for name, one in resources.items() if one["Type"] == "AWS::SQS::Queue"),
                           key=lambda name: "RedrivePolicy" in resources[name]["Properties"]):
            self.queues[name] = self._queue(sqs, resources[name]["Properties"])
        self.function = resources["Function"]["Properties"]
        self.mapping = resources["EventSourceMapping"]["Properties"]
        assert self.mapping["EventSourceArn"] == "Queue.Arn"
        assert self.mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        self.queue = self.queues["Queue"]
        #: The name of the table is one of this test, as all tests share a server.
        self.table = f"{self.function['Environment']['Variables'].get('STATE_TABLE', '')}-{uuid.uuid4().hex}"
        self.tables = None
        if "STATE_TABLE" in self.function["Environment"]["Variables"]:
            properties = resources.get("StateTable", {}).get("Properties") or templates.sam({"State": "on"})["StateTable"]["Properties"]
            self.tables = Tables(sqs, self.table, properties)
        #: Peak memory in bytes of each environment that has ended, and the records of each invocation.
        self.peaks, self.batches = [], []
        self.source = None

    def _queue(self, sqs, properties):
        attributes = {name: str(value).lower() if isinstance(value, bool) else str(value)
                      for name, value in properties.items() if name not in _NOT_ATTRIBUTES}
        fifo = attributes.pop("FifoQueue", "false") == "true"
        if "RedrivePolicy" in properties:
            redrive = properties["RedrivePolicy"]
            target = self.queues[redrive["deadLetterTargetArn"].removesuffix(".Arn")]
            attributes["RedrivePolicy"] = json.dumps({**redrive, "deadLetterTargetArn": target.arn})
        return sqs.queue(fifo=fifo, **attributes)

    def environment(self, function=None):
        """Returns the variables that the template sets for a function, with hosts on this machine."""
        function = function or self.function
        variables = dict(function["Environment"]["Variables"])
        variables["REMOTE_WRITE_URL"] = self.workspace.url + urlsplit(variables["REMOTE_WRITE_URL"]).path
        variables["DEAD_LETTER_QUEUE_URL"] = self.queues[variables["DEAD_LETTER_QUEUE_URL"]].url
        if variables.get("HTTP_READ") == "on":  # AMP's host alone tells where queries go
            variables["READ_URL"] = variables["REMOTE_WRITE_URL"].removesuffix("/api/v1/remote_write")
        if self.tables:
            variables.update(STATE_TABLE=self.table, AWS_ENDPOINT_URL_DYNAMODB=self.tables.url)
        return {**variables, "AWS_ENDPOINT_URL_SQS": self.sqs_front.url, "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.secrets.url,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": function["MemorySize"], **self._more}

    def start(self):
        """Starts a new environment of the function."""
        return _Function(self.peaks, self.environment(), binary=self._bootstrap)

    def start_tick(self):
        """Starts an environment of the tick."""
        tick = self.resources["TickFunction"]["Properties"]
        return _Function([], self.environment(tick), binary=self._bootstrap)

    def schedule(self, time):
        """Returns the payload of the schedule at a time, such as 2026-11-29T14:00:00Z."""
        schedule = self.resources["TickSchedule"]["Properties"]
        return json.loads(schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", time))

    def run(self, timeout=120):
        """Polls until the queue is empty."""
        size = int(self.mapping["BatchSize"])
        self.source = EventSource(
            self.queue, self.start, workers=int(self.mapping["ScalingConfig"]["MaximumConcurrency"]), batch=(size, size),
            deadline_s=float(self.function["Timeout"]), visibility_s=int(self.resources["Queue"]["Properties"]["VisibilityTimeout"]),
            check=lambda result, records: self.batches.append(records))
        self.source.start()
        drained = self.source.drain(timeout)
        self.source.close()
        assert not self.source.faults, self.source.faults
        assert drained, f"the queue is not empty after {timeout} s"

    def dead_letters(self):
        """Returns the messages on the dead-letter queue."""
        return self.queues["DeadLetterQueue"].letters()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.source:
            self.source.close()
        self.workspace.close()
        if self.tables:
            self.tables.close()
        self.sqs_front.close()
        self.secrets.close()
