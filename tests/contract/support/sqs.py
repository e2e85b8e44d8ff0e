"""SQS: moto's server, queues of both kinds, Lambda's SQS events, and dead letters.

    queue = sqs.queue()                       # or sqs.queue(fifo=True)
    queue.send('{"metrics": {"ph": 6.7}}')
    event = queue.lambda_event()              # receives all messages, in the shape of Lambda's event
    ...
    queue.settle(event, result)               # deletes acknowledged messages, as Lambda's poller does
    dead = dead_letters.letters()             # all of a queue, with attributes

`record` and `event` build the same shape without any queue.
"""
import hashlib
import itertools
import json
import subprocess
import threading
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import boto3
from botocore.config import Config

from . import components
from .events import now_ms
from .http_server import HttpServer, Reset

REGION = "us-east-1"
ACCOUNT = "123456789012"
ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:water-metrics"
FIFO_ARN = ARN + ".fifo"


def record(body, message_id=None, sent=None, receive_count=1, group=None, arn=None, attributes=None, system=None):
    """Returns one SQS record of Lambda's event. `body` is text, or an object that becomes JSON.

    `group` makes it a FIFO record. `attributes` are message attributes: text, or a whole attribute as Lambda shows it.
    `system` overrides or (None) removes entries of `attributes` (SentTimestamp and the like).
    """
    body = body if isinstance(body, str) else json.dumps(body)
    sent = now_ms() if sent is None else sent
    inner = {
        "ApproximateReceiveCount": str(receive_count),
        "SentTimestamp": str(sent),
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": str(sent + 1),
    }
    if group is not None:
        number = next(_sequence)
        inner.update(SequenceNumber=f"{18849496460467696128 + number}", MessageGroupId=group,
                     MessageDeduplicationId=hashlib.sha256(f"{number}".encode()).hexdigest())
    for name, value in (system or {}).items():
        if value is None:
            inner.pop(name, None)
        else:
            inner[name] = value
    return {
        "messageId": message_id or str(uuid.uuid4()),
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": body,
        "attributes": inner,
        "messageAttributes": {name: value if isinstance(value, dict) else _attribute(value)
                              for name, value in (attributes or {}).items()},
        "md5OfBody": hashlib.md5(body.encode("utf-8", "surrogatepass")).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn or (ARN if group is None else FIFO_ARN),
        "awsRegion": REGION,
    }


_sequence = itertools.count(1)


def event(*records):
    """Returns a Lambda event of records; bodies (text or objects) become records."""
    return {"Records": [one if isinstance(one, dict) and "messageId" in one else record(one) for one in records]}


def _attribute(text, data_type="String"):
    return {"stringValue": text, "stringListValues": [], "binaryListValues": [], "dataType": data_type}


def counts(queue):
    """Returns how many messages are visible now, and how many are in flight or delayed."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
    return tuple(int(answer[name]) for name in names)


class Letter:
    """A message of a dead-letter queue: `body`, `attributes` (the message's own, as text), `system` (SQS's)."""

    def __init__(self, message):
        self.body = message["Body"]
        self.attributes = {name: value.get("StringValue", value.get("BinaryValue"))
                           for name, value in message.get("MessageAttributes", {}).items()}
        self.types = {name: value["DataType"] for name, value in message.get("MessageAttributes", {}).items()}
        self.system = message.get("Attributes", {})

    def __repr__(self):
        return f"<{self.body[:200]!r} {self.attributes}>"


class Queue:
    """One queue of moto's SQS."""

    def __init__(self, client, url, arn, fifo):
        self.client, self.url, self.arn, self.fifo = client, url, arn, fifo

    def send(self, body, attributes=None, group="g", **more):
        """Sends one message and returns its id."""
        body = body if isinstance(body, str) else json.dumps(body)
        if self.fifo:
            more = {"MessageGroupId": group, "MessageDeduplicationId": str(uuid.uuid4()), **more}
        given = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
        return self.client.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=given,
                                        **more)["MessageId"]

    def send_all(self, bodies):
        """Sends many messages, ten at a time. Returns their ids in order."""
        ids = []
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(index), "MessageBody": body if isinstance(body, str) else json.dumps(body)}
                       for index, body in enumerate(bodies[start:start + 10])]
            answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
            by_entry = {item["Id"]: item["MessageId"] for item in answer["Successful"]}
            ids += [by_entry[entry["Id"]] for entry in entries]
        return ids

    def receive(self):
        """Receives all messages that are visible now."""
        messages = []
        while True:
            got = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"],
                                              MessageAttributeNames=["All"]).get("Messages", [])
            if not got:
                return messages
            messages += got

    def lambda_event(self):
        """Receives all visible messages, in the shape of the event that Lambda's poller makes."""
        records = []
        for message in self.receive():
            attributes = {}
            for name, value in message.get("MessageAttributes", {}).items():
                attributes[name] = _attribute(value.get("StringValue"), value["DataType"])
            records.append({
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": attributes,
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": self.arn,
                "awsRegion": REGION,
            })
        return {"Records": records}

    def settle(self, lambda_event, result):
        """Settles an answer as Lambda's poller does: deletes messages that are not in batchItemFailures, makes the others visible."""
        failed = set(result.failures) if result.ok else {item["messageId"] for item in lambda_event["Records"]}
        for item in lambda_event["Records"]:
            if item["messageId"] in failed:
                self.client.change_message_visibility(QueueUrl=self.url, ReceiptHandle=item["receiptHandle"],
                                                      VisibilityTimeout=0)
            else:
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=item["receiptHandle"])

    def letters(self):
        """Receives and deletes all messages of the queue, as `Letter`s."""
        letters = []
        while True:  # a message in flight blocks its FIFO group, so this deletes each batch at once
            messages = self.receive()
            if not messages:
                return letters
            for message in messages:
                letters.append(Letter(message))
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def letter(self):
        """Receives and deletes the only message of the queue."""
        letters = self.letters()
        assert len(letters) == 1, f"{len(letters)} dead letters, not 1: {letters[:5]}"
        return letters[0]


class Sqs:
    """moto's SQS in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen([components.python(), Path(__file__).with_name("moto_server.py")], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = self.process.stdout.readline().strip()
        if not port:
            raise components.MissingComponent(f"moto's server did not start: {components.HOW}")
        self.endpoint = f"http://127.0.0.1:{port}"
        self.client = boto3.client("sqs", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="test",
                                   aws_secret_access_key="test", config=Config(retries={"max_attempts": 1}))

    def queue(self, fifo=False, **attributes):
        """Makes a queue; a FIFO queue if `fifo`."""
        name = f"q-{uuid.uuid4().hex}" + (".fifo" if fifo else "")
        if fifo:
            attributes["FifoQueue"] = "true"
        url = self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return Queue(self.client, url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", fifo)

    def missing_queue_url(self):
        """Returns the URL of a queue that does not exist."""
        return f"{self.endpoint}/{ACCOUNT}/no-such-queue"

    def close(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Call:
    """One call of an SQS action: its number in the order of calls, and its parsed request."""

    def __init__(self, number, action, request):
        self.number, self.action, self.request = number, action, request

    def bodies(self):
        """Returns the message bodies that the call sends."""
        return [entry["MessageBody"] for entry in self.request.get("Entries", [self.request]) if "MessageBody" in entry]


class SqsFront(HttpServer):
    """A server in front of moto's SQS that can spoil calls: for queues that are slow, throttled or broken.

    `hook(call)` returns None (passed on), `(status, headers, body)` or `"reset"`. `spoil(call, answer)` may change moto's parsed
    answer. `calls` are all calls, in order.
    """

    def __init__(self, sqs, hook=None, spoil=None):
        self._sqs, self._hook, self._spoil = sqs, hook, spoil
        self._lock = threading.Lock()
        self.calls = []
        super().__init__()

    def respond(self, request):
        action = (request.header("X-Amz-Target") or "").rpartition(".")[2]
        with self._lock:
            call = Call(len(self.calls) + 1, action, json.loads(request.body) if request.body else {})
            self.calls.append(call)
        decided = self._hook(call) if self._hook else None
        if decided == "reset":
            raise Reset
        if decided is not None:
            return decided
        headers = {name: value for name, value in request.headers
                   if name.lower() not in ("host", "content-length", "connection", "accept-encoding")}
        forward = urllib.request.Request(self._sqs.endpoint + request.path, data=request.body, headers=headers,
                                         method=request.method)
        try:
            with urllib.request.urlopen(forward, timeout=20) as answer:
                status, kind, text = answer.status, answer.headers.get("Content-Type", ""), answer.read()
        except urllib.error.HTTPError as error:
            status, kind, text = error.code, error.headers.get("Content-Type", ""), error.read()
        if self._spoil and status == 200:
            text = json.dumps(self._spoil(call, json.loads(text))).encode()
        return status, {"Content-Type": kind}, text


def throttled(*_):
    """A hook that throttles as SQS does."""
    return (400, {"Content-Type": "application/x-amz-json-1.0", "x-amzn-query-error": "RequestThrottled;Sender"},
            b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Request is throttled."}')


def refuse_bodies_with(text):
    """Returns a hook and a spoil that let the queue refuse exactly the messages whose body contains `text`, for
    `SqsFront(sqs, *refuse_bodies_with("x"))`."""
    code = "InternalError"

    def hook(call):
        if call.action == "SendMessage" and any(text in body for body in call.bodies()):
            return broken()
        return None

    def spoil(call, answer):
        if call.action == "SendMessageBatch":
            bad = {entry["Id"] for entry in call.request["Entries"] if text in entry["MessageBody"]}
            kept = [item for item in answer.get("Successful", []) if item["Id"] not in bad]
            failed = [{"Id": item, "SenderFault": False, "Code": code, "Message": "try again"} for item in sorted(bad)]
            answer = {**answer, "Successful": kept, "Failed": answer.get("Failed", []) + failed}
        return answer

    return hook, spoil


def broken(*_):
    """A hook that answers SQS's own 5xx."""
    return (500, {"Content-Type": "application/x-amz-json-1.0"},
            b'{"__type":"com.amazonaws.sqs#InternalError","message":"An internal error occurred."}')


def left_on(queue):
    """Returns the number of messages on the queue, hidden ones too."""
    return sum(counts(queue))
