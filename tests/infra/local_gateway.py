"""Deploys a template on this machine, with the attributes, variables and limits that it sets.

SQS is moto's, DynamoDB the crate dynoxide's, and a real Prometheus stands in for AMP. The function is the packaged one. An event source
polls the queue for it, as the event source mapping says. Nothing invokes the tick but `tick`.

    with LocalGateway(templates.sam(), sqs, prometheus, tmp_path) as gateway:
        gateway.queue.send(event({"ph": 6.7}))
        gateway.run()
        gateway.dead_letters()
"""
import datetime
import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import templates
from package import unpacked
from support.components import ARCH
from support.event_source import EventSource
from support.http_server import HttpServer, Reset
from support.runtime_api import Ingest
from support.sqs import SqsFront

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
    """Stands in front of DynamoDB with a table as the template makes it, and keeps each request. If `lose` returns true for a request,
    the call takes effect and its answer is lost."""

    def __init__(self, dynamodb, properties):
        self._dynamodb, self.requests, self.lose = dynamodb, [], lambda request: False
        self.table = dynamodb.table({key: properties[key] for key in ("KeySchema", "AttributeDefinitions", "BillingMode")})
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        headers = {name: value for name, value in request.headers
                   if name.lower() not in ("host", "content-length", "connection", "accept-encoding")}
        forward = urllib.request.Request(self._dynamodb.endpoint + "/", data=request.body, headers=headers, method=request.method)
        try:
            with urllib.request.urlopen(forward, timeout=20) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        if self.lose(request):
            raise Reset
        return status, {"Content-Type": "application/x-amz-json-1.0"}, body


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
    """See the module. `resources` are those of `templates.sam` or `templates.cdk`. With state they need `dynamodb`."""

    def __init__(self, resources, sqs, prometheus, folder, environment=None, dynamodb=None):
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
        #: The table, if there is state. An existing one has the keys that the template gives its own.
        self.tables = None
        if "STATE_TABLE" in self.function["Environment"]["Variables"]:
            made = resources.get("StateTable") or templates.sam({"State": "on"})["StateTable"]
            self.tables = Tables(dynamodb, made["Properties"])
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
            variables.update(STATE_TABLE=self.tables.table.name, AWS_ENDPOINT_URL_DYNAMODB=self.tables.url)
        return {**variables, "AWS_ENDPOINT_URL_SQS": self.sqs_front.url, "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.secrets.url,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": function["MemorySize"], **self._more}

    def start(self, **more):
        """Starts a new environment of the function. `more` are variables that the template does not set; None takes one away."""
        return _Function(self.peaks, {**self.environment(), **more}, binary=self._bootstrap)

    def start_tick(self, **more):
        """Starts an environment of the function that the schedule invokes. `more` is as for `start`."""
        name = self.resources["TickSchedule"]["Properties"]["Target"]["Arn"].removesuffix(".Arn")
        return _Function([], {**self.environment(self.resources[name]["Properties"]), **more}, binary=self._bootstrap)

    def tick(self, function, time):
        """Invokes an environment of the tick, as the schedule does for a time in ms. Returns the numbers of the tick."""
        told = datetime.datetime.fromtimestamp(time / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")
        schedule = self.resources["TickSchedule"]["Properties"]
        payload = schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", told.replace("+00:00", "Z"))
        result = function.invoke(payload.encode())
        assert result.ok, result
        return result.json

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
            self.tables.table.delete()
        self.sqs_front.close()
        self.secrets.close()
