"""The HTTP door of the real `ingest`: events of Lambda's fronts in, answers in their shape and a metric line out."""
import base64
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
