"""Tests of the test tools: a receiver that misses errors, or a reader that accepts anything, would make every other test worthless.

The contract forbids each error here, and the receiver must report it.
"""
import hashlib
import http.client
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from support import remote_write
from support.events import now_ms
from support.receiver import Answer, Receiver
from support.remote_write import CANONICAL_NAN, bits
from support.runtime_api import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN
from support.sqs import SqsFront, broken, counts, throttled

PH = [("__name__", "ph"), ("customerId", "c1")]
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "amp-push-gateway/0.1.0",
}


def body_of(series):
    return remote_write.snappy_block_encode(remote_write.encode(series))


GOOD = body_of([(PH, [(1000, bits(6.7)), (2000, bits(6.8))])])


def send(receiver, body=GOOD, headers=None, key=ACCESS_KEY, secret=SECRET_KEY, token=SESSION_TOKEN, service="aps",
         region="us-east-1", change=None, change_body=None):
    """Sends a request that botocore signed, perhaps changed afterwards. Returns the status."""
    request = AWSRequest("POST", receiver.remote_write_url, data=body, headers={**HEADERS, **(headers or {})})
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    sent = {name: value for name, value in request.headers.items() if value is not None}
    sent.update(change or {})
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.request("POST", receiver.path, change_body or body, {n: v for n, v in sent.items() if v is not None})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.fixture
def judge():
    with Receiver() as one:
        yield one


def test_the_receiver_finds_no_fault_in_a_request_that_botocore_signed(judge):
    assert send(judge) == 204
    judge.check()
    assert judge.samples() == {("ph", (("customerId", "c1"),)): [(1000, bits(6.7)), (2000, bits(6.8))]}


@pytest.mark.parametrize("change, said", [
    (dict(secret="another"), "signature differs"),
    (dict(key="AKIDOTHER"), "unknown access key"),
    (dict(service="sqs"), "for the service sqs"),
    (dict(region="eu-west-1"), "for the region eu-west-1"),
    (dict(token=None), "session token"),
    (dict(change={"X-Amz-Date": "20150830T123600Z"}), "X-Amz-Date"),
    (dict(change_body=body_of([(PH, [(1000, bits(6.6))])])), "signature differs"),
    (dict(change={"Authorization": "Bearer me"}), "not SigV4"),
    (dict(change={"X-Amz-Content-Sha256": hashlib.sha256(b"").hexdigest()}), "hash of the body"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_receiver_notices_a_wrong_signature(judge, change, said):
    send(judge, **change)
    assert any(said in fault for fault in judge.faults), judge.faults


@pytest.mark.parametrize("header, value", [
    ("Content-Encoding", "gzip"), ("Content-Type", "application/octet-stream"),
    ("X-Prometheus-Remote-Write-Version", "2.0.0"), ("User-Agent", "reqwest"),
])
def test_the_receiver_notices_a_wrong_header(judge, header, value):
    send(judge, headers={header: value})
    assert any(header in fault for fault in judge.faults)


@pytest.mark.parametrize("series, said", [
    ([([("customerId", "c1"), ("__name__", "ph")], [(1, 1)])], "not sorted"),
    ([([("__name__", "ph"), ("a", "1"), ("a", "2")], [(1, 1)])], "a label name twice"),
    ([([("__name__", "ph"), ("a", "")], [(1, 1)])], "an empty value"),
    ([([("a", "1")], [(1, 1)])], "not classic"),
    ([([("__name__", "battery-level")], [(1, 1)])], "not classic"),
    ([([("__name__", "ph"), ("a.b", "1")], [(1, 1)])], "not classic"),
    ([([("__name__", "ph"), ("__replica__", "1")], [(1, 1)])], "reserved"),
    ([(PH, [(2000, 1), (1000, 1)])], "not in time order"),
    ([(PH, [(1000, 1), (1000, 1)])], "a time twice"),
    ([(PH, [(1000, 1)]), (PH, [(2000, 1)])], "twice in one request"),
    ([(PH, [])], "no sample"),
    ([(PH, [(1000, 0x7FF8000000000000)])], "NaN as"),
    ([], "without series"),
    ([([("__name__", "ph"), ("a", "x" * 3_100_000)], [(1, 1)])], "decoded, over"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_receiver_notices_a_violation_of_remote_write(judge, series, said):
    send(judge, body_of(series))
    assert any(said in fault for fault in judge.faults), judge.faults


def test_the_receiver_takes_our_nan(judge):
    send(judge, body_of([(PH, [(1000, CANONICAL_NAN)])]))
    judge.check()


@pytest.mark.parametrize("body", [b"", b"\xff\x06\x00\x00sNaPpY", GOOD[:-3], b"\x05\x00a"],
                         ids=["empty", "framed", "cut short", "too few bytes"])
def test_the_receiver_notices_a_body_that_is_no_snappy_block(judge, body):
    send(judge, body)
    assert judge.faults


@pytest.mark.parametrize("data, wanted", [
    (b"\x06\x08abc\x01\x04", None),
    (b"\x06\x08abc\x01", None),
    (b"\x08\x04ab\x16\x02\x00", b"abababab"),
    (b"\x07\x08abc\x01\x03", b"abcabca"),
    (b"\x05\x00a\x0f\x01\x00\x00\x00", b"aaaaa"),
    (b"\x3d\xf0\x3c" + b"y" * 61, b"y" * 61),
], ids=["no copy target", "cut short", "two-byte copy", "one-byte copy", "four-byte copy", "long literal"])
def test_the_snappy_reader_reads_every_kind_of_element(data, wanted):
    if wanted is None:
        with pytest.raises(remote_write.Malformed):
            remote_write.snappy_block_decode(data)
    else:
        assert remote_write.snappy_block_decode(data) == wanted


def test_the_receiver_counts_only_requests_answered_2xx_as_stored(judge):
    judge.answer(Answer(503, b"later"), Answer(400))
    assert [send(judge), send(judge)] == [503, 400]
    assert judge.samples() == {}
    assert send(judge) == 204
    assert len(judge.samples()) == 1


def test_prometheus_is_of_version_3_5_or_later_and_takes_remote_writes(prometheus):
    version = prometheus.api("status/buildinfo")["version"]
    assert tuple(int(part) for part in version.split("+")[0].split(".")[:2]) >= (3, 5)
    connection = http.client.HTTPConnection(prometheus.url[len("http://"):], timeout=10)
    now = now_ms()
    connection.request("POST", "/api/v1/write", body_of([([("__name__", "selftest")], [(now, bits(0.1))])]), HEADERS)
    assert connection.getresponse().status == 204
    assert prometheus.samples("selftest") == {(): [(now, "0.1")]}


def test_moto_returns_messages_in_the_shape_of_lambda(sqs):
    queue = sqs.queue(fifo=True)
    sent = queue.send("body", attributes={"sent_timestamp": "1"}, group="pond-1")
    record = queue.lambda_event()["Records"][0]
    assert record["messageId"] == sent
    assert record["body"] == "body"
    assert record["attributes"]["MessageGroupId"] == "pond-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["sent_timestamp"]["stringValue"] == "1"
    assert record["eventSourceARN"].endswith(".fifo")


@pytest.mark.parametrize("hook", [throttled, broken])
def test_the_front_of_the_queue_injects_faults(sqs, hook):
    queue = sqs.queue()
    with SqsFront(sqs, hook=lambda call: hook() if call.number == 1 else None) as front:
        client = boto3.client("sqs", endpoint_url=front.url, region_name="us-east-1", aws_access_key_id="a",
                              aws_secret_access_key="b", config=Config(retries={"max_attempts": 0}))
        with pytest.raises(client.exceptions.ClientError):
            client.send_message(QueueUrl=queue.url, MessageBody="x")
        client.send_message(QueueUrl=queue.url, MessageBody="x")
        assert [call.action for call in front.calls] == ["SendMessage", "SendMessage"]
        assert queue.letter().body == "x"


def test_the_table_lets_one_of_many_writers_of_a_version_succeed(table):
    def write(version):
        condition = "attribute_not_exists(pk)" if version == 1 else "v = :v"
        values = {} if version == 1 else {"ExpressionAttributeValues": {":v": {"N": str(version - 1)}}}
        item = {"pk": {"S": "p"}, "sk": {"S": "s"}, "v": {"N": str(version)}, "b": {"B": b"\0"}}
        try:
            table.client.put_item(TableName=table.name, Item=item, ConditionExpression=condition, **values)
        except table.client.exceptions.ConditionalCheckFailedException:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        for version in range(1, 11):
            assert sum(pool.map(write, [version] * 8)) == 1
    assert table.items("p") == [{"pk": "p", "sk": "s", "v": 10, "b": b"\0"}]


def test_a_queue_counts_all_its_messages_and_gives_each_to_one_receiver(sqs):
    queue, count, received = sqs.queue(), 300, []
    queue.send_all([str(number) for number in range(count)])

    def receive_all():
        while len(received) < count:
            answer = queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, VisibilityTimeout=6)
            received.extend(message["Body"] for message in answer.get("Messages", []))

    with ThreadPoolExecutor(4) as pool:
        for receiver in [pool.submit(receive_all) for _ in range(4)]:
            receiver.result()
    assert len(received) == len(set(received)) == count
    # After six seconds the messages become visible again, one after another. Receiving them all takes half a second.
    visible = 0
    while visible < count:
        visible, hidden = counts(queue)
        assert visible + hidden == count
