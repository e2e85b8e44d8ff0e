"""No text of a device, a queue, a function or a receiver steers the terminal of `pushgw`, or makes up a line of its output."""
import json

import pytest

from support.command_line import eventually, on_a_terminal, pushgw
from support.door import door
from support.events import event, now_ms
from support.hostile_text import HOSTILE, assert_harmless, assert_shows_harmlessly
from support.http_server import HttpServer
from support.receiver import Answer
from support.serve import invoke, serving
from support.sqs import SqsFront


class Hostile(HttpServer):
    """Gives each request the same answer."""

    def __init__(self, status, body, **headers):
        self.answer = status, headers, body if isinstance(body, bytes) else json.dumps(body).encode()
        super().__init__()

    def respond(self, request):
        return self.answer


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(event()) + "\n" + json.dumps({"metrics": {"b": 2}}) + "\n")
    return path


#: Each of these names, values or bodies is rejected before it is sent.
REJECTED = {"a value": {"metrics": {"v": HOSTILE}}, "a key": {HOSTILE: 1}, "a name": {"metrics": {"__" + HOSTILE: 1}},
            "a time": {"timestamp": HOSTILE, "metrics": {"v": 1}}}
#: An error text of SQS or Lambda.
REFUSAL = {"__type": "com.amazonaws.sqs#AccessDenied", "message": HOSTILE, "Message": HOSTILE}


# --- send ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("what", REJECTED)
def test_send_shows_a_rejected_event_harmlessly(tmp_path, what):
    path = tmp_path / "e.json"
    path.write_text(json.dumps(REJECTED[what]))
    assert_shows_harmlessly("send", path, "--queue-url", "http://127.0.0.1:9/1/q")


def test_send_shows_an_error_of_the_queue_harmlessly(file):
    with Hostile(403, REFUSAL) as queue:
        assert_shows_harmlessly("send", file, "--queue-url", f"{queue.url}/1/q")


def test_send_shows_an_entry_that_the_queue_refused_harmlessly(file):
    failed = [{"Id": str(n), "SenderFault": True, "Code": HOSTILE, "Message": HOSTILE} for n in range(2)]
    with Hostile(200, {"Successful": [], "Failed": failed}) as queue:
        assert_shows_harmlessly("send", file, "--queue-url", f"{queue.url}/1/q")


@pytest.mark.parametrize("answer", [
    (403, {"Message": HOSTILE}), (404, HOSTILE.encode()),
    (200, {"rejected_count": 1, "rejected": [{"index": 0, "reason": HOSTILE, "detail": HOSTILE}]}),
], ids=["an error", "no JSON", "a report"])
def test_send_shows_an_answer_of_a_function_harmlessly(file, answer):
    with Hostile(*answer) as server:
        assert_shows_harmlessly("send", file, "--function-name", "f", "--endpoint-url", server.url)


def test_send_shows_a_function_error_harmlessly(file):
    body = {"errorType": "dead_letter_failed", "errorMessage": json.dumps(
        {"rejected_count": 1, "rejected": [{"index": 0, "reason": "invalid_value", "detail": HOSTILE}]})}
    with Hostile(200, body, **{"X-Amz-Function-Error": "Unhandled"}) as server:
        assert_shows_harmlessly("send", file, "--function-name", "f", "--endpoint-url", server.url)


@pytest.mark.parametrize("status", [400, 404])
def test_send_shows_an_answer_of_a_receiver_harmlessly(file, receiver, status):
    receiver.answer_with(lambda write: Answer(status, HOSTILE))
    done = pushgw("send", file, "--remote-write-url", receiver.remote_write_url)
    assert "owned" in done.stdout + done.stderr
    for options in [], ["--json"]:
        _, shown = on_a_terminal("send", file, "--remote-write-url", receiver.remote_write_url, *options)
        for text in done.stdout, done.stderr, shown:
            assert_harmless(text)


# --- redrive ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["attributes", "body", "record of Lambda"])
def test_redrive_shows_dead_letters_harmlessly(sqs, dead_letters, where):
    dead_letters.send(json.dumps(event()), {"reason": "invalid_value", "detail": "d", "source_message_id": "m",
                                            "sent_timestamp": str(now_ms())})
    body = {"attributes": json.dumps(event()), "body": HOSTILE, "record of Lambda": json.dumps({
        "version": "1.0", "timestamp": HOSTILE, "requestPayload": HOSTILE,
        "requestContext": {"requestId": HOSTILE, "functionArn": HOSTILE, "condition": HOSTILE, "approximateInvokeCount": 1},
        "responsePayload": {"errorType": HOSTILE, "errorMessage": HOSTILE}})}[where]

    def spoil(call, answer):
        for message in answer.get("Messages", []):
            message["Body"], message["MessageId"] = body, HOSTILE
            message.pop("MD5OfBody", None)
            if where == "attributes":
                message["MessageAttributes"] = {name: {"DataType": "String", "StringValue": HOSTILE}
                                                for name in ("reason", "detail", "source_message_id")}
            else:
                message.pop("MessageAttributes", None)
        return answer

    with SqsFront(sqs, spoil=spoil) as front:
        assert_shows_harmlessly("redrive", "--queue-url", dead_letters.url, "--hide", "10", AWS_ENDPOINT_URL_SQS=front.url)


def test_redrive_shows_an_error_of_the_queue_harmlessly():
    with Hostile(403, REFUSAL) as queue:
        assert_shows_harmlessly("redrive", "--queue-url", f"{queue.url}/1/q")


# --- serve -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [[], ["--json"]], ids=["for people", "for scripts"])
def test_serve_logs_foreign_text_harmlessly(receiver, options):
    receiver.answer_with(lambda write: Answer(400, HOSTILE))
    with serving("--remote-write-url", receiver.remote_write_url, "--keep-dead-letters", *options, RUST_LOG="debug") as server:
        for payload in *REJECTED.values(), [*REJECTED.values()], HOSTILE, event():
            invoke(server, json.dumps(payload))
        server.request("POST", "/2015-03-31/functions/" + "a%1b%0aok%20event/invocations", HOSTILE.encode())
        server.process.terminate()
        server.process.wait(20)
        said = server.output()
    assert "owned" in said and "dead" in said
    assert_harmless(said)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["for people", "for scripts"])
def test_serve_logs_pushes_harmlessly(options):
    with door(*options, RUST_LOG="debug") as one:
        one.receiver.answer_with(lambda write: Answer(400, HOSTILE))
        for path in "/metrics/job/owned%1b%5b2J%0aok%20event", "/owned%0d%0aok%20event":
            for body in "v 1\n", HOSTILE, f'v{{d="{HOSTILE}"}} 1\n':
                one.put(path, body.encode())
        assert "owned" in one.server.output()
        assert_harmless(one.server.output())


def test_serve_logs_an_error_of_the_queue_harmlessly(sqs):
    with SqsFront(sqs, lambda call: (403, {}, json.dumps(REFUSAL).encode()) if call.action == "ReceiveMessage" else None) as front:
        with serving("--queue-url", sqs.queue().url, AWS_ENDPOINT_URL_SQS=front.url) as server:
            eventually(lambda: "owned" in server.output())
            assert_harmless(server.output())


# --- ping, load, invoke ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", [400, 403, 503])
def test_ping_shows_an_answer_harmlessly(status):
    with Hostile(status, {"message": HOSTILE}) as server:
        assert_shows_harmlessly("ping", "--remote-write-url", f"{server.url}/api/v1/write")


def test_load_shows_answers_harmlessly(receiver):
    receiver.answer_with(lambda write: Answer(400, HOSTILE))
    arguments = "load", "--rate", "100", "--count", "3", "--settle", "1", "--remote-write-url", receiver.remote_write_url
    assert_shows_harmlessly(*arguments, REMOTE_WRITE_AUTH="sigv4", piece="refused_by_receiver")
    with Hostile(200, {"rejected_count": 1, "rejected": [{"index": 0, "reason": HOSTILE, "detail": HOSTILE}]}) as server:
        assert_shows_harmlessly("load", "--rate", "100", "--count", "3", "--settle", "1", "--endpoint-url", server.url)
        assert_shows_harmlessly(*arguments, "--query-url", server.url, REMOTE_WRITE_AUTH="sigv4", piece="refused_by_receiver")
    with Hostile(400, {"status": "error", "error": HOSTILE}) as server:
        assert_shows_harmlessly(*arguments, "--query-url", server.url, REMOTE_WRITE_AUTH="sigv4")


@pytest.mark.parametrize("payload", [*REJECTED.values(), event()], ids=[*REJECTED, "a good event"])
def test_invoke_shows_answers_harmlessly(tmp_path, receiver, payload):
    receiver.answer_with(lambda write: Answer(400, HOSTILE))
    (tmp_path / "payload").write_text(json.dumps(payload))
    arguments = "invoke", tmp_path / "payload", "--remote-write-url", receiver.remote_write_url
    done = pushgw(*arguments)
    assert "owned" in done.stdout
    for text in done.stdout, done.stderr, on_a_terminal(*arguments)[1]:
        assert_harmless(text)
