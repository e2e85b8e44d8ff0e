"""`pushgw serve` is a local endpoint for Lambda's Invoke API. boto3 and the AWS CLI work with it unchanged."""
import http.client
import json
import signal
import subprocess
import threading
import time

import pytest
from botocore.exceptions import ClientError

from support import components
from support.command_line import environment, run
from support.events import now_ms
from support.serve import invoke, serving
from support.sqs import event as sqs_event
from support.sqs import record

GOOD = {"dimensions": {"customerId": "customer1"}, "metrics": {"temperature": "14.3", "ph": 6.7}}
BAD = {"metrics": {"temperature": 14.3, "ph": "abc"}}


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


@pytest.mark.parametrize("headers, status", [
    ({}, 200), ({"Host": "localhost"}, 200), ({"Host": "[::1]:9001"}, 200), ({"Host": "evil.example"}, 403), ({"Host": "localhost.evil.example"}, 403),
    ({"Host": "evil@localhost"}, 403), ({"Host": "localhost@evil.example"}, 403), ({"Host": ""}, 403), ({"Host": None}, 400),
    ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "none"}, 200), ({"Content-Type": "text/plain", "Origin": "http://localhost:9001"}, 403),
])
def test_answers_programs_and_no_web_page(server, headers, status):
    """A page of any site can send text/plain to a port of this machine; by DNS rebinding it can do so under its own name."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/2015-03-31/functions/f/invocations", skip_host="Host" in headers)
    body = json.dumps(GOOD).encode()
    for name, value in {"Content-Length": len(body), **headers}.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    assert answer.status == status
    assert answer.read()
    connection.close()


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "127.0.0.1"])
def test_warns_at_the_start_if_web_pages_and_other_machines_are_answered(address):
    process = subprocess.Popen([components.pushgw(), "serve", "--listen", f"{address}:0"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert ("warning" in said and "web pages" in said and address in said) == (address != "127.0.0.1")


def test_boto3_invokes_and_gets_the_report(server):
    answer, body = invoke(server, GOOD)
    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer
    assert answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert json.loads(body) == {"accepted": 1, "rejected_count": 0, "rejected": [], "samples": 2, "series": 2,
                                "requests": 1, "inexact": 0, "null_values": 0}


@pytest.mark.parametrize("name", ["amp-push-gateway", "other", "arn:aws:lambda:us-east-1:123456789012:function:f", "f:live",
                                  "123456789012:function:f"])
def test_accepts_any_function_name(server, name):
    answer = server.client().invoke(FunctionName=name, Payload=json.dumps(GOOD))
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer


def test_accepts_a_qualifier(server):
    answer = server.client().invoke(FunctionName="f", Qualifier="live", Payload=json.dumps(GOOD))
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer


@pytest.mark.parametrize("payload, error, message", [
    (BAD, "invalid_value", 'metrics.ph: "abc" is not a number'),
    ({"dimension": {}, "metrics": {"v": 1}}, "invalid_event", None),
    ({"metrics": {"v": 1}, "timestamp": 1676398017000}, "too_old", None),
])
def test_answers_a_function_error_as_lambda_does(server, payload, error, message):
    answer, body = invoke(server, payload)
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    body = json.loads(body)
    assert body["errorType"] == error
    assert body["errorMessage"] == message or (message is None and body["errorMessage"])
    assert set(body) <= {"errorType", "errorMessage", "stackTrace"}


def test_answers_sqs_records_as_lambda_does(server):
    answer, body = invoke(server, sqs_event(record(GOOD, message_id="good"), record(BAD, message_id="bad")))
    assert "FunctionError" not in answer
    assert json.loads(body) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}


def test_answers_202_to_an_event_invocation_and_carries_it_out(receiver):
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        answer, body = invoke(server, GOOD, InvocationType="Event")
        assert (answer["StatusCode"], body) == (202, b"")
        assert "FunctionError" not in answer
        assert receiver.arrived.wait(10)


def test_an_event_invocation_does_not_wait_for_the_receiver(receiver):
    from support.receiver import Answer
    receiver.answer(Answer(delay=20))
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        started = time.monotonic()
        answer, _ = invoke(server, GOOD, InvocationType="Event")
        assert answer["StatusCode"] == 202
        assert time.monotonic() - started < 10


def test_answers_202_to_an_event_invocation_of_a_bad_event_too(server):
    answer, body = invoke(server, BAD, InvocationType="Event")
    assert (answer["StatusCode"], body) == (202, b"")


def test_answers_204_to_a_dry_run_and_does_nothing(receiver):
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        answer, _ = invoke(server, GOOD, InvocationType="DryRun")
        assert answer["StatusCode"] == 204
        assert receiver.writes == []


def test_aws_cli_works_unchanged(server, tmp_path):
    aws = components.tool("aws")
    out = tmp_path / "out.json"
    for payload, error in (GOOD, None), (BAD, "Unhandled"):
        event = tmp_path / "event.json"
        event.write_text(json.dumps(payload))
        done = run(aws, "lambda", "invoke", "--endpoint-url", server.url, "--function-name", "amp-push-gateway", "--payload",
                   f"fileb://{event}", out)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["StatusCode"] == 200 and answer.get("FunctionError") == error
        assert ("errorType" in json.loads(out.read_text())) == bool(error)
    done = run(aws, "lambda", "invoke", "--endpoint-url", server.url, "--function-name", "f", "--invocation-type", "Event",
               "--payload", f"fileb://{tmp_path / 'event.json'}", out)
    assert json.loads(done.stdout)["StatusCode"] == 202


def test_gives_many_concurrent_clients_their_own_answers(server):
    answers = {}

    def one(number):
        events = [{"dimensions": {"n": f"{number}-{i}"}, "metrics": {"v": i}} for i in range(number + 1)]
        answers[number] = json.loads(invoke(server, events)[1])["accepted"]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == {number: number + 1 for number in range(16)}


def padded(size):
    """Returns a payload of this many bytes: one event and white space."""
    text = json.dumps({"metrics": {"v": 1}})
    return (text + " " * (size - len(text))).encode()


def test_accepts_a_payload_of_6_mb(server):
    answer, _ = invoke(server, padded(6 * 1024 * 1024))
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer


@pytest.mark.parametrize("size", [6 * 1024 * 1024 + 1, 12_000_000])
def test_rejects_a_larger_payload_as_lambda_does(server, size):
    with pytest.raises(ClientError) as raised:
        invoke(server, padded(size))
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert raised.value.response["Error"]["Code"] == "RequestTooLargeException"
    invoke(server, GOOD)  # and the next invocation works


@pytest.mark.parametrize("payload", [b"{", b"ph=6.7", b'{"metrics": {"v": 1}} x', b"\xff"])
def test_rejects_a_payload_of_invalid_json_as_lambda_does(server, payload):
    with pytest.raises(ClientError) as raised:
        invoke(server, payload)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert raised.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_answers_an_empty_payload_with_a_function_error(server):
    answer, body = invoke(server, b"")
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(body)["errorType"] in ("invalid_json", "invalid_event")


@pytest.mark.parametrize("method, path", [("GET", "/"), ("POST", "/"), ("GET", "/2015-03-31/functions/f/invocations"),
                                          ("POST", "/2015-03-31/functions/f"), ("POST", "/api/v1/remote_write"),
                                          ("PUT", "/2015-03-31/functions/f/invocations"), ("GET", "/favicon.ico")])
def test_answers_unknown_paths_with_a_4xx(server, method, path):
    status, _, _ = server.request(method, path, b"{}" if method != "GET" else None)
    assert status in (404, 405)
    assert invoke(server, GOOD)[0]["StatusCode"] == 200


def test_rejects_an_unknown_invocation_type(server):
    status, _, _ = server.request("POST", "/2015-03-31/functions/f/invocations", json.dumps(GOOD),
                                  {"X-Amz-Invocation-Type": "Whatever"})
    assert status == 400


def test_writes_to_the_receiver_of_the_option(receiver):
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        now = now_ms()
        invoke(server, {**GOOD, "timestamp": now})
    assert receiver.values() == {("temperature", (("customerId", "customer1"),)): [(now, 14.3)],
                                 ("ph", (("customerId", "customer1"),)): [(now, 6.7)]}


def test_answers_delivery_failed_if_the_receiver_fails(receiver):
    from support.receiver import Answer
    receiver.answer_with(lambda write: Answer(404, "no such workspace"))
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        answer, body = invoke(server, GOOD)
    assert answer["FunctionError"] == "Unhandled"
    body = json.loads(body)
    assert body["errorType"] == "delivery_failed"
    assert "404" in body["errorMessage"]


def test_keeps_dead_letters_and_shows_them_at_the_end():
    with serving("--keep-dead-letters") as server:
        _, body = invoke(server, sqs_event(record(GOOD, message_id="good"), record(BAD, message_id="bad")))
        assert json.loads(body) == {"batchItemFailures": []}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        said = server.output()
    assert 'metrics.ph: "abc" is not a number' in said
    assert "temperature" in said and "customer1" in said


def test_prints_one_json_object_a_line():
    with serving("--json") as server:
        invoke(server, GOOD)
        invoke(server, BAD)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        lines = [json.loads(line) for line in server.printed().splitlines()]
    assert [line["event"] for line in lines] == ["started", "invoked", "invoked", "stopped"]
    assert lines[0]["url"] == server.url
    assert (lines[1]["delivered"], lines[2]["error_type"]) == (1, "invalid_value")
    assert {one["labels"]["__name__"] for one in lines[3]["series"]} == {"temperature", "ph"}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_stops_cleanly(stop):
    with serving() as server:
        invoke(server, GOOD)
        server.process.send_signal(stop)
        assert server.process.wait(10) == 0
        assert "panicked" not in server.output()


def test_finishes_running_invocations_before_it_stops(receiver):
    from support.receiver import Answer
    receiver.answer(Answer(delay=1.5))
    with serving("--remote-write-url", receiver.remote_write_url) as server:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(invoke(server, GOOD)))
        thread.start()
        assert receiver.arrived.wait(10)
        server.process.send_signal(signal.SIGTERM)
        thread.join(20)
        assert answers and json.loads(answers[0][1])["accepted"] == 1
        assert server.process.wait(10) == 0


def test_reports_a_port_in_use(server):
    done = run(components.pushgw(), "serve", "--listen", f"127.0.0.1:{server.port}", timeout=20)
    assert done.returncode not in (0, 101)
    assert str(server.port) in done.stderr
    assert "panicked" not in done.stderr


def test_prints_no_colours_without_a_terminal(server):
    assert "\x1b" not in server.output()
