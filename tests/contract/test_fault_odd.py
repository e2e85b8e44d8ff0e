"""Faults that no table would list.

The function is frozen, its time is up before it begins, answers belong to no request, servers hang, logs cannot be written.
The function answers truly, and its next invocation works.
"""
import contextlib
import gzip
import hashlib
import os
import signal
import socket
import threading

import pytest

from support import components, proxy
from support.events import BROKEN_TEXT, event, now_ms
from support.faults import Stand, fine_messages
from support.http_server import HttpServer
from support.receiver import Answer
from support.remote_write import bits
from support.runtime_api import Ingest
from support.sqs import SqsFront, record


def assert_works(stand):
    """Checks that the next invocation works normally."""
    stand.proxy.fault_with(None)
    before = stand.tsdb.count()
    assert stand.deliver(record(event({"after": 1.5}), "after")).failures == []
    assert stand.tsdb.count() == before + 1


# --- time ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fault", [proxy.late(0.2), proxy.answer(503), proxy.hang(stored=True)], ids=str)
def test_reports_the_truth_after_it_was_frozen_beyond_its_time(stand, fault):
    arrived = threading.Event()

    def take(exchange):
        arrived.set()
        return fault

    stand.proxy.fault_with(take)
    records = fine_messages()
    request = stand.ingest.begin({"Records": records}, deadline_s=1.0)
    assert arrived.wait(5)
    os.kill(stand.ingest.pid, signal.SIGSTOP)
    threading.Event().wait(1.3)  # longer than the time of the invocation
    sent = len(stand.proxy.exchanges)
    os.kill(stand.ingest.pid, signal.SIGCONT)
    result = stand.ingest.finish(request, timeout=5)
    assert len(stand.proxy.exchanges) == sent, "a request was begun after the time was up"
    stored = {f"m-{dict(labels)['pond']}" for labels in stand.tsdb.series}
    assert {"m-0", "m-1"} - set(result.failures) <= stored
    assert_works(stand)
    assert stand.deliver_again(records, result).failures == []
    assert stand.letters() == {}


@pytest.mark.parametrize("deadline", [0.0, -5.0, -1e9], ids=["now", "5 s ago", "30 years ago"])
def test_sends_nothing_if_time_was_up_before_it_began(stand, deadline):
    result = stand.ingest.invoke({"Records": [*fine_messages(), record(BROKEN_TEXT, "m-2")]}, deadline_s=deadline)
    assert sorted(result.failures) == ["m-0", "m-1", "m-2"]
    assert stand.ingest.invoke(event(), deadline_s=deadline).error_type == "delivery_failed"
    assert result.seconds < 0.5
    assert stand.proxy.exchanges == []
    assert stand.letters() == {}
    assert_works(stand)


@pytest.mark.parametrize("deadline", [1e9, 9e12], ids=["30 years ahead", "300,000 years ahead"])
def test_does_not_retry_for_ever_without_a_deadline(stand, deadline):
    stand.proxy.fault_with(lambda exchange: proxy.answer(503))
    result = stand.ingest.invoke({"Records": fine_messages()}, deadline_s=deadline)
    assert sorted(result.failures) == ["m-0", "m-1"]
    assert 2 <= len(stand.proxy.exchanges) <= 10
    assert_works(stand)


# --- answers ---------------------------------------------------------------------------------------------------------

def said(*lines, body=b""):
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


#: Its length depends on the machine's compressor.
PACKED = gzip.compress(b"out of order sample " * 1_000_000)

#: Name -> (bytes, the end of an event that never gets another answer: "stored", "returned" or "dead-lettered").
ANSWERS = {
    "early hints before a 204": (said("HTTP/1.1 103 Early Hints", "Link: </>") + said("HTTP/1.1 204 No Content"), "stored"),
    "a 200 whose chunks are nonsense": (said("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"F" * 20), "stored"),
    "HTTP/1.0": (said("HTTP/1.0 400 No", body=b"out of order sample"), "dead-lettered"),
    "a negative length": (said("HTTP/1.1 400 No", "Content-Length: -1", body=b"out of order sample"), "returned"),
    "two lengths": (said("HTTP/1.1 400 No", "Content-Length: 3", "Content-Length: 9", body=b"out of order"), "returned"),
    "another version": (said("HTTP/2.0 204 No Content"), "returned"),
    "the preface of HTTP/2": (said("PRI * HTTP/2.0", "", "SM"), "returned"),
    "an offer of another protocol": (said("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c"), "returned"),
    "status 0": (said("HTTP/1.1 000 No", "Content-Length: 0"), "returned"),
    "an endless 100 Continue": (said("HTTP/1.1 100 Continue") * 50_000, "returned"),
    "an error without end": (said("HTTP/1.1 500 No", body=b"x" * 30_000_000), "returned"),
    "a header of a megabyte": (said("HTTP/1.1 204 No Content", "X-A: " + "b" * 1_000_000), "returned"),
    "a compressed error text": (said("HTTP/1.1 400 No", "Content-Encoding: gzip", f"Content-Length: {len(PACKED)}", body=PACKED),
                                "dead-lettered"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_stores_returns_or_dead_letters_an_event_after_an_odd_answer(stand, name):
    data, what = ANSWERS[name]
    stand.proxy.fault_with(lambda exchange: proxy.raw(data, name))
    result = stand.deliver(*fine_messages(1), deadline_s=2.0)
    letters = stand.letters()
    assert (result.failures, set(letters)) == {"stored": ([], set()), "returned": (["m-0"], set()),
                                               "dead-lettered": ([], {"m-0"})}[what]
    assert result.metrics["delivered"] == (1 if what == "stored" else 0)
    assert stand.ingest.peak_memory() < 30_000_000
    assert_works(stand)


@pytest.mark.parametrize("first", [503, 500, 429, 204])
def test_does_not_take_a_second_answer_for_that_of_the_next_request(stand, first):
    head = "HTTP/1.1 204 No Content" if first == 204 else f"HTTP/1.1 {first} No\r\nContent-Length: 0"
    stand.proxy.faults(proxy.raw(said(head) + 5 * said("HTTP/1.1 204 No Content"), "six answers", hold=True))
    first_result = stand.deliver(*fine_messages())
    second = stand.deliver(record(event({"next": 1.5}), "m-9"))
    assert first_result.failures == second.failures == []
    # The gateway must take the request that was answered 204 first as stored. The receiver stored all others.
    assert stand.tsdb.count() == (1 if first == 204 else 3)


@pytest.mark.parametrize("status, sent", [(413, None), (503, 3), (403, 3), (404, 1)])
def test_accepts_an_answer_that_comes_before_the_request_was_read(stand, status, sent):
    # Hundreds of kilobytes do not fit into the buffers of a socket, so the function is still writing the request. There are two, of
    # at most 10,000 series each.
    def early(exchange):
        length = int(exchange.head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return proxy.answer(status, "no", early=True) if length > 200_000 and (sent or 0) != 3 or exchange.number == 1 else None

    stand.proxy.fault_with(early)
    records = [record(event({f"m_{os.urandom(16).hex()}": n + 0.5 for _ in range(80)}, {"pond": str(n)}), f"m-{n}")
               for n in range(200)]
    result = stand.deliver(*records)
    assert (result.failures == []) == (status != 404)
    assert stand.tsdb.count() == (0 if status == 404 else 16_000)
    if sent:
        assert len(stand.proxy.exchanges) == sent
    assert stand.letters() == {}


def test_answers_in_time_if_the_receiver_reads_a_request_too_slowly(stand):
    stand.proxy.fault_with(lambda exchange: proxy.sip(20_000))
    records = [record(event({f"m_{os.urandom(16).hex()}": n + 0.5 for _ in range(80)}, {"pond": str(n)}), f"m-{n}")
               for n in range(200)]
    result = stand.deliver(*records, deadline_s=2.0)
    assert len(result.failures) == 200
    assert_works(stand)


def test_takes_an_error_text_that_names_many_series_as_a_hint_only(stand):
    # The first series that the text names is not the culprit.
    now, judge = now_ms(), stand.tsdb.judge
    for n in (7, 31):
        stand.tsdb.put((("__name__", "ph"), ("pond", str(n))), now, bits(1.5))
    names = ", ".join(f'series={{__name__="ph", pond="{n}"}}' for n in range(100_000))
    stand.receiver.answer_with(lambda write: answer if (answer := judge(write)).status != 400
                               else Answer(400, f"user=1: err: out of order sample. {names}"))
    result = stand.deliver(*[record(event({"ph": 2.5}, {"pond": str(n)}, now - 1000), f"m-{n}") for n in range(50)])
    assert result.failures == []
    assert {name: letter.attributes["reason"] for name, letter in stand.letters().items()} == {
        "m-7": "out_of_order", "m-31": "out_of_order"}
    assert stand.tsdb.count() == 50
    assert len(stand.proxy.exchanges) <= 2 * (4 * 6 + 8)


def test_treats_a_message_that_is_in_a_batch_twice_as_one(stand):
    # A standard queue delivers "at least once"; this does not exclude twice in one batch.
    good, broken = record(event({"ph": 6.5}), "m-1"), record(BROKEN_TEXT, "m-2")
    stand.proxy.faults(proxy.answer(404))
    result = stand.ingest.invoke({"Records": [good, broken, good, broken]})
    assert set(result.failures) == {"m-1"}
    assert set(stand.letters()) == {"m-2"}
    result = stand.ingest.invoke({"Records": [good, broken, good, broken]})
    assert result.failures == []
    assert set(stand.letters()) == {"m-2"}
    assert stand.tsdb.count() == 1


# --- unusual places --------------------------------------------------------------------------------------------------

def test_acknowledges_only_messages_that_the_queue_confirms_by_a_known_entry(sqs):
    calls = []

    def spoil(call, answer):
        calls.append(call)
        entries = call.request["Entries"]
        if len(calls) > 1:  # the gateway sends again what no known entry confirmed
            return {"Successful": [], "Failed": [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in entries]}
        taken = {"MessageId": "x", "MD5OfMessageBody": hashlib.md5(BROKEN_TEXT.encode()).hexdigest()}
        first, second = (entry["Id"] for entry in entries[:2])
        return {"Successful": [{"Id": one, **taken} for one in ("banana", "", "4294967296", first, first, second)],
                "Failed": [{"Id": one, "SenderFault": False, "Code": "InternalError"} for one in (second, "-1")]}

    with SqsFront(sqs, spoil=spoil) as front, Stand(sqs, queue_endpoint=front.url) as stand:
        result = stand.deliver(*[record(BROKEN_TEXT, f"m-{n}") for n in range(4)], deadline_s=5.0)
        assert sorted(result.failures) == ["m-1", "m-2", "m-3"]


def test_answers_in_time_if_the_queue_hangs(sqs):
    held = threading.Event()
    with SqsFront(sqs, lambda call: held.wait(10) and None) as front, Stand(sqs, queue_endpoint=front.url) as stand:
        result = stand.deliver(*fine_messages(), record(BROKEN_TEXT, "m-2"), deadline_s=2.0)
        assert result.failures == ["m-2"]
        assert stand.tsdb.count() == 2
        held.set()


class Hanging(HttpServer):
    """A server that never answers."""

    def respond(self, request):
        self.closed.wait(30)
        return 500, {}, b""


@pytest.mark.parametrize("deadline", [1.0, 2.0])
def test_answers_in_time_if_credentials_never_come(sqs, deadline):
    with Hanging() as endpoint, Stand(sqs, credentials=False, AWS_EC2_METADATA_DISABLED="true",
                                      AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint.url + "/credentials") as stand:
        result = stand.deliver(*fine_messages(), record(BROKEN_TEXT, "m-2"), deadline_s=deadline)
        assert sorted(result.failures) == ["m-0", "m-1", "m-2"]
        assert stand.proxy.exchanges == []


@contextlib.contextmanager
def port_that_takes_nobody():
    """Returns the port of a listener whose queue is full: a connection to it is never made."""
    with contextlib.ExitStack() as open_ones:
        listener = open_ones.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            knocking = open_ones.enter_context(socket.socket())
            knocking.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knocking.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("deadline", [0.6, 2.0])
def test_answers_in_time_if_a_connection_is_never_made(deadline):
    with port_that_takes_nobody() as port, Ingest({"REMOTE_WRITE_URL": f"http://127.0.0.1:{port}/write"}) as ingest:
        result = ingest.invoke({"Records": fine_messages()}, deadline_s=deadline)
        assert sorted(result.failures) == ["m-0", "m-1"]
        assert result.seconds < deadline


def test_returns_everything_if_the_receiver_does_not_speak_tls(stand):
    with Ingest({"REMOTE_WRITE_URL": f"https://{stand.proxy.address}{stand.receiver.path}"}) as ingest:
        result = ingest.invoke({"Records": fine_messages()}, deadline_s=1.5)
        assert sorted(result.failures) == ["m-0", "m-1"]
        assert result.seconds < 1.5


@pytest.mark.parametrize("where", ["> /dev/full 2> /dev/full", ">&- 2>&-"], ids=["a full disk", "closed"])
def test_loses_no_event_if_logs_cannot_be_written(sqs, receiver, dead_letters, tmp_path, where):
    script = tmp_path / "ingest"
    script.write_text(f"#!/bin/sh\nexec {components.ingest()} {where}\n")
    script.chmod(0o755)
    with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "DEAD_LETTER_QUEUE_URL": dead_letters.url,
                 "AWS_ENDPOINT_URL_SQS": sqs.endpoint}, binary=str(script)) as ingest:
        for number in range(2):
            result = ingest.invoke({"Records": [record(event({f"ph{number}": 1}), "m-1"), record(BROKEN_TEXT, "m-2")]})
            assert result.failures == []
    assert len(receiver.samples()) == 2
    assert len(dead_letters.letters()) == 2


def test_keeps_memory_and_connections_bounded_over_many_faults(stand):
    faults = [None, proxy.reset_before_body(), None, proxy.answer(404), proxy.answer(400, "no"), proxy.answer(413, "no"), None,
              proxy.reset_after_body(stored=True), proxy.raw(b"", "silence"), proxy.raw(b"SSH-2.0"), None]

    def open_files():
        return len(os.listdir(f"/proc/{stand.ingest.pid}/fd"))

    def live(invocations):
        for number in range(invocations):
            stand.deliver(*fine_messages(3), deadline_s=5.0)

    stand.proxy.fault_with(lambda exchange: faults[exchange.number % len(faults)])
    live(30)
    memory, files = stand.ingest.peak_memory(), open_files()
    live(120)
    assert stand.ingest.peak_memory() < memory + 1_000_000
    assert open_files() <= files + 2
