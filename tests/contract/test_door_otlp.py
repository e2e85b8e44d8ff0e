"""OTLP over HTTP, through the door to a receiver that checks what arrives."""
import gzip
import json
import struct

import pytest

from support.door import door
from support.events import now_ms
from support.receiver import Answer
from support.remote_write import bits

JSON = "application/json"
PROTOBUF = "application/x-protobuf"


@pytest.fixture
def gateway():
    with door(EXTERNAL_LABELS="env=test") as one:
        yield one


def post(gateway, body, content_type=JSON, path="/v1/metrics", **headers):
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    return gateway.request("POST", path, body, {"Content-Type": content_type, **headers})


def gauge(name, value, when, **attributes):
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in attributes.items()]
    return {"name": name, "gauge": {"dataPoints": [{"asDouble": value, "timeUnixNano": str(when * 1_000_000), "attributes": attributes}]}}


def counter(name, value, when, temporality=2):
    point = {"asInt": str(value), "timeUnixNano": when * 1_000_000}
    return {"name": name, "sum": {"dataPoints": [point], "isMonotonic": True, "aggregationTemporality": temporality}}


def of(*metrics, **resource):
    attributes = [{"key": key.replace("__", "."), "value": {"stringValue": text}} for key, text in resource.items()]
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics, "scope": {"name": "meter"}}], "resource": {"attributes": attributes}}]}


def protobuf_gauge(name, value, when):
    """Returns a request of one gauge."""
    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content
    point = b"\x19" + struct.pack("<Q", when * 1_000_000) + b"\x21" + struct.pack("<d", value)
    metric = field(1, name.encode()) + field(5, field(1, point))
    return field(1, field(2, field(2, metric)))


@pytest.mark.parametrize("path", ["/v1/metrics", "/api/v1/otlp/v1/metrics"])
def test_writes_a_request_in_json_with_target_info(gateway, path):
    when = now_ms()
    body = of(gauge("room.temperature", 21.5, when, **{"room.name": "attic"}), counter("orders", 3, when), service__name="shop", os__type="linux")
    answered = post(gateway, body, path=path)
    assert (answered.status, answered.body, answered.headers["Content-Type"]) == (200, b"{}", JSON)
    assert answered.samples == {
        ("room_temperature", (("env", "test"), ("job", "shop"), ("room_name", "attic"))): [(when, bits(21.5))],
        ("orders_total", (("env", "test"), ("job", "shop"))): [(when, bits(3.0))],
        ("target_info", (("env", "test"), ("job", "shop"), ("os_type", "linux"))): [(when, bits(1.0))],
    }


@pytest.mark.parametrize("packed", [False, True])
def test_writes_a_request_in_protobuf(gateway, packed):
    when = now_ms()
    body = protobuf_gauge("a.b", 2.5, when)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    answered = post(gateway, gzip.compress(body) if packed else body, PROTOBUF, **headers)
    assert (answered.status, answered.body, answered.headers["Content-Type"]) == (200, b"", PROTOBUF)
    assert answered.samples == {("a_b", (("env", "test"),)): [(when, bits(2.5))]}


def test_tells_which_data_points_are_rejected_and_writes_the_others(gateway):
    when = now_ms()
    answered = post(gateway, of(counter("good", 1, when), counter("delta", 1, when, temporality=1), gauge("é", 1, when)))
    assert answered.status == 200
    partial = json.loads(answered.body)["partialSuccess"]
    assert partial["rejectedDataPoints"] == "2"
    assert partial["errorMessage"].startswith("2 data points are rejected, the rest is stored; metric \"delta\": delta temporality needs")
    assert "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative" in partial["errorMessage"]
    assert list(answered.samples) == [("good_total", (("env", "test"),))]


def test_a_data_point_that_the_receiver_refuses_is_a_rejection(gateway):
    gateway.receiver.answer(Answer(400, "out of order sample"))
    answered = post(gateway, of(gauge("a", 1, now_ms())))
    assert answered.status == 200
    assert json.loads(answered.body)["partialSuccess"]["rejectedDataPoints"] == "1"


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_says_in_the_encoding_of_the_request_what_is_wrong(gateway, content_type):
    cases = [
        (b"\xff{", {}, 400, "byte"), (b"x", {"Content-Encoding": "br"}, 415, "the content encoding \"br\""),
        (gzip.compress(b" " * (16 << 20) + b" "), {"Content-Encoding": "gzip"}, 413, "longer than 16777216 bytes"),
    ]
    for body, headers, status, sentence in cases:
        answered = post(gateway, body, content_type, **headers)
        assert (answered.status, answered.headers["Content-Type"]) == (status, content_type)
        if content_type == JSON:
            told = json.loads(answered.body)
            assert told["code"] == 3 and sentence in told["message"]
        else:
            assert answered.body[:3] == b"\x08\x03\x12" and sentence.encode() in answered.body


def test_answers_415_in_json_to_an_unknown_type(gateway):
    answered = post(gateway, b"", "text/plain")
    assert (answered.status, answered.headers["Content-Type"]) == (415, JSON)
    assert "application/x-protobuf" in json.loads(answered.body)["message"]
    assert post(gateway, {}, path="/v1/traces").status == 404


def test_trouble_of_the_receiver_is_503_with_a_time_to_wait():
    with door(HTTP_DEADLINE="2s") as gateway:
        gateway.receiver.answer_with(lambda write: Answer(503, "try later"))
        answered = post(gateway, protobuf_gauge("a", 1, now_ms()), PROTOBUF)
        assert answered.status == 503 and 1 <= int(answered.headers["Retry-After"]) <= 30
        assert answered.body[:3] == b"\x08\x0e\x12"


def test_promotes_attributes_and_adds_the_labels_of_the_scope():
    with door(OTLP_PROMOTE_ATTRIBUTES="cloud.region", OTLP_SCOPE_LABELS="on") as gateway:
        answered = post(gateway, of(gauge("a", 1, now_ms()), cloud__region="eu"))
        assert list(answered.samples) == [("a", (("cloud_region", "eu"), ("otel_scope_name", "meter")))]


def test_an_empty_request_is_a_success(gateway):
    for body, content_type in (b"", PROTOBUF), (b"{}", JSON):
        assert post(gateway, body, content_type).status == 200
