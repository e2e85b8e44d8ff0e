"""The start of the function: it opens a connection before it asks for work. No receiver may delay it."""
import socket
import time

import pytest

from support.events import event
from support.http_server import HttpServer, closed_port
from support.proxy import FaultProxy
from support.receiver import PATH, Receiver
from support.runtime_api import Ingest
from support.sqs import event as batch
from support.sqs import record


def ingest_to(url):
    return Ingest({"REMOTE_WRITE_URL": url + PATH})


def test_opens_a_connection_with_one_anonymous_get(start, receiver):
    start()
    (get,) = receiver.warmings
    assert (get.method, get.path, get.body) == ("GET", "/", b"")
    names = {name.lower() for name, _ in get.headers}
    assert names <= {"host", "accept", "user-agent"}, "the request must have no signature and no other header of ours"


def test_sends_the_first_events_on_that_connection():
    with Receiver() as receiver, FaultProxy(f"127.0.0.1:{receiver.port}") as proxy, ingest_to(proxy.url) as ingest:
        assert proxy.connections == 1
        assert ingest.invoke(batch(record(event(), "m-1"))).failures == []
        assert [exchange.reused for exchange in proxy.exchanges] == [True]
        assert proxy.connections == 1


class Answers(HttpServer):
    """A receiver that answers a GET with a given answer, and accepts everything else."""

    def __init__(self, status, headers, body):
        self.answer = status, headers, body
        self.posts = 0
        super().__init__()

    def respond(self, request):
        if request.method == "GET":
            return self.answer
        self.posts += 1
        return 204, {}, b""


@pytest.mark.parametrize("status, headers, body", [
    (200, {}, b"x" * 1_000_000), (204, {}, b""), (301, {"Location": "http://127.0.0.1:1/"}, b""), (400, {}, b"no"),
    (403, {}, b'{"message":"Missing Authentication Token"}'), (500, {}, b"oops"), (503, {"Retry-After": "3600"}, b""),
], ids=["1 MB", "204", "a redirect", "400", "as AMP does", "500", "503"])
def test_ignores_any_answer_to_the_first_get(status, headers, body):
    with Answers(status, headers, body) as receiver, ingest_to(receiver.url) as ingest:
        assert ingest.invoke(batch(record(event(), "m-1"))).failures == []
        assert receiver.posts == 1


def test_starts_without_delay_if_the_receiver_is_down():
    port = closed_port()
    begun = time.monotonic()
    with ingest_to(f"http://127.0.0.1:{port}") as ingest:
        assert time.monotonic() - begun < 1
        assert ingest.invoke(batch(record(event(), "m-1")), deadline_s=2).failures == ["m-1"]


def test_waits_at_most_a_second_for_a_receiver_that_hangs():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with ingest_to(f"http://127.0.0.1:{silent.getsockname()[1]}"):
            assert 0.9 < time.monotonic() - begun < 3
