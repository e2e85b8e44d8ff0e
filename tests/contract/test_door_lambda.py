"""The HTTP door of the real `ingest`: events of Lambda's fronts in, answers in their shape and a metric line out."""
import base64
import gzip
import json

import pytest

from support.function_url import HOST, call, event
from support.receiver import Answer
from support.remote_write import bits

LABELS = (("job", "x"),)


@pytest.fixture(autouse=True)
def metadata_is_taken(receiver):
    receiver.takes_metadata = True


@pytest.fixture
def ingest(start):
    """An open door. `test_door_auth.py` tests the others."""
    return start(HTTP_AUTH="none")


def test_a_push_by_function_url_is_written_and_counted(ingest, receiver):
    answer = call(ingest, "PUT", "/metrics/job/x", b"a 1\n", [("Content-Type", "text/plain; version=0.0.4")])
    assert (answer.status, answer.body) == (202, b"")
    assert receiver.samples()[("a", LABELS)][0][1] == bits(1.0)
    line = answer.result.metrics
    assert (line["trigger"], line["route"], line["status"]) == ("http", "/metrics/job/{job}", 202)
    assert (line["received"], line["delivered"], line["samples"], line["series"]) == (2, 2, 2, 2)
    assert (line["messages"], line["acknowledged"], line["handed_back"]) == (1, 1, 0)


def test_a_binary_body_arrives_as_base64(ingest, receiver):
    assert call(ingest, "POST", "/metrics/job/x", b"a 1\n").status == 202
    assert ("a", LABELS) in receiver.samples()


def test_a_failure_is_503_and_no_function_error(ingest, receiver):
    receiver.answer_with(lambda write: Answer(503, headers={"Retry-After": "7"}))
    answer = ingest.invoke(event("PUT", "/metrics/job/x", body=b"a 1\n"), deadline_s=3)
    assert answer.ok and answer.json["statusCode"] == 503
    assert answer.json["headers"]["retry-after"] == "7"
    line = answer.metrics
    assert (line["errored"], line["handed_back"]) == (2, 1)
    assert line["status"] == 503


def test_a_request_that_is_not_taken_has_a_warning_with_the_sentence(ingest):
    answer = call(ingest, "PUT", "/metrics/job/x", b"a x\n", [("Content-Type", "text/plain")])
    assert answer.status == 400
    [warning] = answer.result.warnings()
    assert warning["answer"] == answer.text.strip()
    assert warning["route"] == "/metrics/job/{job}"
    assert answer.result.metrics["status"] == 400


def test_health_has_no_metric_line(ingest):
    for path in ("/-/healthy", "/-/ready"):
        answer = call(ingest, "GET", path)
        assert (answer.status, answer.text.strip()) == (200, "OK")
        assert answer.result.metric_lines == []


def test_an_http_request_inside_a_message_is_no_event(ingest):
    made = event("PUT", "/metrics/job/x", body=b"a 1\n")
    answer = call(ingest, "POST", "/events", json.dumps(made).encode(), [("Content-Type", "application/json")])
    assert answer.status == 400
    assert json.loads(answer.body)["rejected"][0]["reason"] == "invalid_event"


def test_the_answer_of_api_gateway_has_only_the_keys_that_it_takes(ingest, receiver):
    made = {"resource": "/{proxy+}", "path": "/metrics/job/x", "httpMethod": "PUT", "headers": {"Content-Type": "text/plain"},
            "multiValueHeaders": {"Content-Type": ["text/plain"]}, "queryStringParameters": None,
            "requestContext": {"resourcePath": "/{proxy+}", "httpMethod": "PUT", "path": "/prod/metrics/job/x", "stage": "prod",
                               "domainName": "abc.execute-api.us-east-1.amazonaws.com", "identity": {"sourceIp": "203.0.113.1"}},
            "body": base64.b64encode(b"a 1\n").decode(), "isBase64Encoded": True}
    answer = ingest.invoke(made)
    assert answer.ok and answer.json["statusCode"] == 202
    assert set(answer.json) <= {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
    assert ("a", LABELS) in receiver.samples()


#: The events of one path as each front makes them: two decode it, and leave their stage in it.
SENT, DECODED = "/metrics/job/a%2Fb/c+d%25", "/metrics/job/a/b/c+d%"
API = {"domainName": "x.execute-api.eu-west-1.amazonaws.com", "stage": "prod"}
FRONTS = {
    "function-url": {"version": "2.0", "rawPath": SENT, "requestContext": {"domainName": HOST, "stage": "$default", "http": {"method": "PUT"}}},
    "http-api-2": {"version": "2.0", "rawPath": DECODED, "requestContext": {**API, "http": {"method": "PUT"}}},
    "http-api-1": {"version": "1.0", "httpMethod": "PUT", "path": DECODED, "requestContext": API},
    "rest-api": {"httpMethod": "PUT", "path": SENT, "requestContext": API},
    "load-balancer": {"httpMethod": "PUT", "path": SENT, "requestContext": {"elb": {"targetGroupArn": "arn:aws:x"}}},
}


@pytest.mark.parametrize("name, has_lists", [(name, has_lists) for name in FRONTS for has_lists in (False, True) if not has_lists or name not in ("function-url", "http-api-2")])
def test_every_front_brings_the_same_push(start, receiver, name, has_lists):
    """Paths are decoded once, the stage and the prefix are gone, header names may have capitals, and the last of two counts."""
    ingest = start(HTTP_AUTH="none", HTTP_PATH_PREFIX="/gw")
    made = json.loads(json.dumps(FRONTS[name]))
    key = "rawPath" if "rawPath" in made else "path"
    made[key] = ("/prod" if name.startswith("http-api") else "") + "/gw/ttl/15m/" + made[key]
    fields = {"Content-Type": ["application/json", "text/plain"], "CONTENT-Encoding": ["gzip"]}
    made |= {"multiValueHeaders": fields} if has_lists else {"headers": {field: values[-1] for field, values in fields.items()}}
    made |= {"body": base64.b64encode(gzip.compress(b"a 1\n")).decode(), "isBase64Encoded": True}
    answer = ingest.invoke(made)
    assert answer.ok and answer.json["statusCode"] == 202, answer.json
    assert ("a", (("b", "c+d%"), ("job", "a"))) in receiver.samples()
    assert ("multiValueHeaders" in answer.json) == (name == "load-balancer" and has_lists)
    assert ("statusDescription" in answer.json) == (name == "load-balancer")


@pytest.mark.parametrize("headers, status", [
    ([("Origin", f"https://{HOST}")], 202), ([("Origin", f"https://{HOST.upper()}")], 202), ([("Sec-Fetch-Site", "same-origin")], 202),
    ([("Sec-Fetch-Site", "none")], 202), ([("Origin", "null")], 403), ([("Origin", "")], 403), ([("Origin", f"https://evil.example/{HOST}")], 403),
    ([("Origin", f"https://x@{HOST}")], 403), ([("Origin", f"https://{HOST}"), ("Origin", "https://evil.example")], 403),
    ([("Origin", f"https://{HOST}"), ("Sec-Fetch-Site", "Cross-Site")], 403),
])
def test_only_pages_of_the_door_itself_change_something_and_no_other_page_reads(ingest, receiver, headers, status):
    answer = call(ingest, "PUT", "/metrics/job/x", b"a 1\n", headers)
    assert answer.status == status
    assert (("a", LABELS) in receiver.samples()) == (status == 202)
    for method, path in ("GET", "/api/v1/status"), ("HEAD", "/"), ("OPTIONS", "/metrics/job/x"):
        answer = call(ingest, method, path, headers=headers)
        assert answer.status == 200 and not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("method, path, route, status", [
    ("GET", "/", "/", 200), ("GET", "/nowhere", "other", 404), ("PUT", "/metrics/job/%zz", "other", 400), ("PATCH", "/metrics", "/metrics", 405),
    ("OPTIONS", "/events", "/events", 200), ("HEAD", "/api/v1/status", "/api/v1/status", 200), ("POST", "/write", "/api/v1/write", 400),
    ("DELETE", "/metrics/job/x", "/metrics/job/{job}", 202), ("GET", "/metrics", "/metrics", 404), ("POST", "/read", "/api/v1/read", 404),
    ("POST", "/workspaces/ws-1/api/v1/remote_write", "/api/v1/write", 400), ("POST", "/api/v1/otlp/v1/metrics", "/v1/metrics", 415),
])
def test_each_request_has_one_metric_line_with_the_pattern_of_its_path(ingest, method, path, route, status):
    answer = call(ingest, method, path)
    assert answer.status == status
    [line] = answer.result.metric_lines
    assert (line["route"], line["status"]) == (route, status)
    assert "route" not in json.dumps(line["_aws"]), "a property and not a dimension"
    assert line["received"] == line["delivered"] + line["errored"] + line["rejected"] + line["dropped"]


def test_a_scrape_without_a_table_names_the_setting(ingest):
    answer = call(ingest, "GET", "/metrics")
    assert answer.status == 404 and "STATE_TABLE" in answer.text
    assert json.loads(call(ingest, "GET", "/api/v1/metrics").body) == {"status": "success", "data": []}


def test_a_scrape_that_is_longer_than_its_front_takes_is_503_and_the_page_is_shorter(start, table, dynamodb):
    ingest = start(HTTP_AUTH="none", STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint)
    body = gzip.compress("".join(f'a{{b="{"x" * 1_900}{number}"}} 1\n' for number in range(4_000)).encode())
    assert call(ingest, "PUT", "/metrics/job/x", body).status == 202
    answer = call(ingest, "GET", "/metrics")
    assert answer.status == 503 and "6291456 bytes" in answer.text and "the tick writes them all" in answer.text
    assert answer.headers["retry-after"] == "5" and answer.result.metrics["status"] == 503
    assert call(ingest, "GET", "/api/v1/metrics").status == 503
    for path in "/metrics", "/api/v1/metrics", "/":
        assert call(ingest, "GET", path, headers=[("Accept-Encoding", "gzip")]).status == 200
    balancer = {**FRONTS["load-balancer"], "httpMethod": "GET", "path": "/", "headers": {}}
    answer = ingest.invoke(balancer).json
    assert answer["statusCode"] == 200 and ("and 3800 more" in answer["body"] or "more groups are not on this page" in answer["body"])
    answer = ingest.invoke({**balancer, "path": "/metrics"}).json
    assert answer["statusCode"] == 503 and "1000000 bytes" in answer["body"]


def test_a_body_that_a_front_destroyed_is_400_and_names_the_setting(ingest, receiver):
    made = event("PUT", "/metrics/job/x", [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")])
    made |= {"body": gzip.compress(b"a 1\n").decode("utf-8", "replace"), "isBase64Encoded": False}
    answer = ingest.invoke(made)
    assert answer.json["statusCode"] == 400 and "binaryMediaTypes" in answer.json["body"]
    assert receiver.writes == []


@pytest.mark.parametrize("message", [
    {"tick": 1_676_398_020_000}, {"tick": "2023-02-14T18:07:00Z", "shard": 0},
    {"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": "{\"metrics\":{\"a\":1}}"}]},
    [{"messageId": "m", "eventSource": "aws:sqs", "body": "{\"metrics\":{\"a\":1}}"}],
], ids=["tick", "tick of a shard", "SQS", "Pipes"])
def test_a_tick_and_records_of_sqs_are_no_events(ingest, receiver, message):
    answer = call(ingest, "POST", "/events", json.dumps(message).encode(), [("Content-Type", "application/json")])
    assert answer.status == 400 and json.loads(answer.body)["rejected"][0]["reason"] == "invalid_event"
    assert receiver.writes == []


#: Without the time, which would be part of the tests' names.
PACKED = gzip.compress(b'{"metrics":{"a":1}}', mtime=0)


@pytest.mark.parametrize("body, headers, status", [
    (PACKED, [], 200), (PACKED, [("Content-Encoding", "gzip")], 200),
    (b'{"metrics":{"a":1}}', [("Content-Encoding", "identity")], 200), (b'{"metrics":{"a":1}}', [("Content-Type", "image/png")], 200),
    (b'{"metrics":{"a":1}}', [("Content-Encoding", "br")], 415), (b'{"metrics":{"a":1}}', [("Content-Encoding", "snappy")], 415),
    (gzip.compress(b" " * (16 << 20) + b"{}", mtime=0), [], 413),
])
def test_events_are_taken_with_any_type_and_with_gzip(ingest, receiver, body, headers, status):
    assert call(ingest, "POST", "/events", body, headers).status == status
    assert bool(receiver.writes) == (status == 200)


def test_errored_events_are_503_with_the_report_and_rejected_ones_are_not_dead_lettered(start, receiver, sqs, dead_letters):
    ingest = start(HTTP_AUTH="none", HTTP_DEADLINE="2s", DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    answer = call(ingest, "POST", "/events", b'[{"metrics":{"a":"x"}},{"metrics":{"b":1}}]')
    assert answer.status == 200 and json.loads(answer.body)["rejected_count"] == 1
    receiver.answer_with(lambda write: Answer(503, headers={"Retry-After": "4"}))
    answer = call(ingest, "POST", "/events", b'[{"metrics":{"a":"x"}},{"metrics":{"b":1}}]')
    assert (answer.status, answer.headers["retry-after"]) == (503, "4")
    assert json.loads(answer.body)["rejected"][0]["reason"] == "invalid_value"
    assert dead_letters.letters() == []


@pytest.mark.parametrize("change", [
    {"requestContext": {"serviceNetworkArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:servicenetwork/sn-1"}, "method": "PUT",
     "path": "/metrics/job/x"},
    {"body": "%%%", "isBase64Encoded": True},
])
def test_an_event_that_cannot_be_read_is_400(ingest, change):
    made = {**event("PUT", "/metrics/job/x", body=b"a 1\n"), **change}
    answer = ingest.invoke(made)
    assert answer.ok and answer.json["statusCode"] == 400
    assert HOST not in answer.json["body"]
