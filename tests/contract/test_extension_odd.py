"""The extension meets deliveries, datagrams and destinations of any kind. It harms no invocation, and stays within its bounds."""
import contextlib
import json
import socket
import threading
import time

import pytest

from support.dispatched import Dispatched, events
from support.environment import record
from support.http_server import HttpServer, Raw, closed_port
from support.serve import request
from support.sqs import SqsFront


# --- destinations ----------------------------------------------------------------------------------------------------

class Odd(HttpServer):
    """A destination that answers every request in one odd way."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0
        super().__init__()

    def respond(self, request):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ANSWERS = {
    "no HTTP": Raw(b"\x00\xff garbage\r\n\r\n"),
    "nothing": Raw(b""),
    "half a head": Raw(b"HTTP/1.1 200 OK\r\nContent-Le", hold=True),
    "half a body": Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", hold=True),
    "an endless head": Raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, hold=True),
    "a page": (200, {"Content-Type": "text/html"}, b"<html>welcome</html>"),
    "a long page": (500, {}, b"<p>" * 3_000_000),
    "a redirect to itself": (307, {"Location": "/"}, b""),
    "not found": (404, {}, b"\x1b[2J no such page"),
    "no permission": (403, {}, b'{"__type":"AccessDeniedException","message":"no"}'),
    "too many": (429, {"Retry-After": "3600"}, b""),
}


@pytest.mark.parametrize("setting", ["PUSH_QUEUE_URL", "GATEWAY"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_destination_that_answers_oddly_harms_no_invocation(start_environment, setting, answer):
    with Odd(ANSWERS[answer]) as odd:
        settings = {"PUSH_QUEUE_URL": f"{odd.url}/123456789012/q", "AWS_ENDPOINT_URL_SQS": odd.url} if setting == "PUSH_QUEUE_URL" else {"GATEWAY": odd.url}
        environment = start_environment(DISPATCH_TIMEOUT="300ms", **settings)
        memory = environment.peak_memory()
        took = [environment.invoke(seconds=0.02) for _ in range(3)]
        assert max(one.response_s for one in took) < 0.25
        assert max(one.extension_s for one in took) < 0.9
        assert environment.shut_down() < 2
        assert environment.extension.returncode == 0 and odd.asked >= 2
    # SQS confirms with a digest. From a Pushgateway the status is enough.
    if (setting, answer) not in [("GATEWAY", "a page"), ("GATEWAY", "half a body")]:
        assert [line for line in environment.lines("WARN") if line["message"] == "a dispatch failed"]
    assert "\x1b" not in environment.log()
    assert environment.peak_before_end - memory < 6e6


@pytest.mark.parametrize("secret, problem", [("hang", "no answer in time"), ("no JSON", "expected a secret of JSON with the keys username and password")])
def test_a_secret_that_cannot_be_had_delays_no_invocation(start_environment, secret, problem):
    with Odd((200, {}, json.dumps({"SecretString": secret}).encode())) as secrets, Odd((202, {}, b"")) as gateway:
        if secret == "hang":
            secrets.respond = lambda _: secrets.closed.wait() or (500, {}, b"")
        environment = start_environment(GATEWAY=gateway.url, DISPATCH_TIMEOUT="300ms", AUTH_SECRET="arn:aws:secretsmanager:us-east-1:123456789012:secret:push",
                            AWS_ENDPOINT_URL_SECRETS_MANAGER=secrets.url)
        took = environment.invoke()
        assert took.extension_s < 0.9
        assert environment.shut_down() < 2
        assert gateway.asked == 0, "nothing is pushed without the password"
    assert problem in environment.lines("WARN")[0]["error"]


# --- deliveries ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", [400, 403, 500])
def test_without_a_subscription_the_functions_own_metrics_are_dispatched(start_environment, queue, status):
    own = closed_port()
    environment = start_environment(queue, telemetry=status, EVENTS=own)
    assert request(own, "POST", "/events", '{"type":"counter","name":"a_total","value":1}')[0] == 200
    environment.invoke()
    assert environment.shut_down() < 1
    (line,) = environment.lines("ERROR")
    assert str(status) in line["error"]
    assert Dispatched(events(queue))("a_total") == 1


def test_giant_and_countless_records_are_taken_or_refused_within_bounds(start_environment, queue):
    environment = start_environment(queue, LOGS="on")
    memory = environment.peak_memory()
    long = {"time": "x", "type": "function", "record": {"level": "INFO", "message": "x" * 1_500_000}}
    environment.api.deliver(long)
    environment.api.deliver({**long, "record": "x" * 3_000_000})
    environment.api.deliver(*[{"type": f"platform.new{number}"} for number in range(20_000)])
    environment.api.deliver({"type": "x" * 100_000, "record": {"requestId": "y" * 100_000, "spans": [{"name": []}] * 1_000}})
    environment.invoke()
    assert environment.peak_memory() - memory < 12e6
    assert environment.shut_down() < 2
    assert environment.api.undelivered == 0
    (line,) = environment.lines("WARN")
    assert "more than 2097152 bytes" in line["error"]
    sent = Dispatched(events(queue))
    assert sent("lambda_log_records_total", type="function", level="info") == 1
    types = [labels for name, labels in sent.series if name == "lambda_telemetry_events_total"]
    assert len(types) <= 51
    assert sent("lambda_telemetry_events_total", type="other") > 19_000
    assert sent("lambda_invocations_total", status="success") == 1


def test_deliveries_in_any_framing_are_taken_and_answered(start_environment, queue):
    environment = start_environment(queue)

    def delivery(kind, framing="", chunked=False):
        body = json.dumps([{"type": kind}]).encode()
        if chunked:
            parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:]))
            return b"POST / HTTP/1.1\r\nHost: sandbox\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
        return b"POST / HTTP/1.1\r\nHost: sandbox\r\n%sContent-Length: %d\r\n\r\n%s" % (framing.encode(), len(body), body)

    def exchange(sent, answers=1, pieces=1):
        with socket.create_connection(("127.0.0.1", environment.api.port_of_telemetry), timeout=5) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            size = -(-len(sent) // pieces)
            for begin in range(0, len(sent), size):
                connection.sendall(sent[begin:begin + size])
                time.sleep(0.002 if pieces > 1 else 0)
            got = b""
            while got.count(b"HTTP/1.1 200 OK\r\n") < answers and (part := connection.recv(4096)):
                got += part
            assert got.count(b"HTTP/1.1 200 OK\r\n") == answers
            if b"close" in sent or answers == 0:
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(100) == b"", "the connection is closed"

    exchange(delivery("pieces"), pieces=50)
    exchange(delivery("twice") * 2, answers=2)
    exchange(delivery("chunked", chunked=True) + delivery("chunked"), answers=2)
    exchange(delivery("closed", "Connection: close\r\n"))
    exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    exchange(b"\x16\x03\x01 no HTTP\r\n\r\n", answers=0)
    exchange(b"X: y\r\n" * 10_000, answers=0)
    environment.invoke()
    assert environment.shut_down() < 2
    sent = Dispatched(events(queue))
    counts = [sent("lambda_telemetry_events_total", type=kind) for kind in ("pieces", "twice", "chunked", "closed")]
    assert counts == [1, 2, 2, 1]


@pytest.mark.early
def test_the_connection_of_the_telemetry_api_stays_open_while_nothing_comes(start_environment, queue):
    environments = [start_environment(queue, freeze=freeze) for freeze in (False, True)]
    for environment in environments:
        environment.invoke()
    # Longer than an HTTP server waits for a head.
    time.sleep(31)
    for environment in environments:
        environment.invoke()
        assert environment.api.undelivered == 0
        assert environment.shut_down() < 2
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 4


# --- the function's own metrics --------------------------------------------------------------------------------------

def test_a_flood_of_datagrams_holds_up_no_invocation(start_environment, queue):
    port = closed_port()
    environment = start_environment(queue, STATSD=port)
    memory = environment.peak_memory()
    flooding, sent = threading.Event(), [0]

    def flood():
        lines = [b"flood:1|c", b"nonsense" * 5_000, b"\n".join(b"flood:1|c" for _ in range(5_000)), b"\xff" * 60_000]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not flooding.is_set():
                sender.sendto(lines[sent[0] % len(lines)], ("127.0.0.1", port))
                sent[0] += 1

    thread = threading.Thread(target=flood)
    thread.start()
    took = [environment.invoke(seconds=0.05) for _ in range(5)]
    flooding.set()
    thread.join()
    assert max(one.extension_s for one in took) < 1
    assert environment.peak_memory() - memory < 6e6
    assert environment.shut_down() < 2
    dispatched = Dispatched(events(queue))
    assert 0 < dispatched("flood") <= sent[0] * 5_000
    assert dispatched("lambda_invocations_total", status="success") == 5
    assert len(environment.lines("WARN")) <= 20, "a flood of wrong lines is no flood of log lines"


def test_metrics_that_come_while_the_last_dispatch_is_under_way_are_dispatched_too(start_environment, sqs, queue):
    own, answers = closed_port(), []

    def hook(call):
        if not answers and b"shutdown_total" in call.request["MessageBody"].encode():
            answers.append(request(own, "POST", "/events", '{"type":"counter","name":"late_total","value":1}')[0])

    with SqsFront(sqs, hook) as front:
        environment = start_environment(queue, AWS_ENDPOINT_URL_SQS=front.url, EVENTS=own)
        environment.invoke()
        request(own, "POST", "/events", '{"type":"counter","name":"shutdown_total","value":1}')
        assert environment.shut_down() < 2
    assert answers == [200]
    assert Dispatched(events(queue))("late_total") == 1


def test_an_api_that_answers_oddly_is_asked_again(start_environment, queue):
    environment = start_environment(queue)
    for body in (b"<html>", b"", b'{"eventType":"NEW"}', b'{"eventType":"INVOKE","deadlineMs":"soon"}', b"\xff" * 300_000):
        asked = environment.api.asked["extension"]
        environment.api.events.put(({}, body))
        assert environment.api.wait(lambda: environment.api.asked["extension"] > asked), environment.log()
    environment.api.deliver(record("start", requestId="r"))
    environment.invoke()
    assert environment.shut_down() < 2
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 1
