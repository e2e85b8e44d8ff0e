"""The fault matrix, first half: answers of the receiver, once and for ever.

Each test checks the outcome of every event, the number of requests, and that the function answers before its time is up.
"""
import email.utils
import time

import pytest

from support import proxy
from support.events import BROKEN_TEXT, event, now_ms
from support.faults import CATALOGUE, NEVER_STORED_WORDS, WORDS, Stand
from support.receiver import Answer
from support.remote_write import bits
from support.runtime_api import field
from support.sqs import record


def three_messages():
    """Returns two good messages of two series, and a broken one."""
    return [record(event({"ph": 6.5}, {"pond": "a"}), "m-1"), record(event({"ph": 7.5}, {"pond": "b"}), "m-2"),
            record(BROKEN_TEXT, "m-3")]


# --- for ever --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", CATALOGUE)
def test_returns_events_while_a_fault_stays_and_stores_them_afterwards(stand, name):
    kind, records = CATALOGUE[name], three_messages()
    stand.proxy.fault_with(lambda exchange: kind.make())
    result = stand.deliver(*records, deadline_s=2.0)
    assert sorted(result.failures) == ["m-1", "m-2"]
    assert {key: letter.attributes["reason"] for key, letter in stand.letters().items()} == {"m-3": "invalid_value"}
    sent = len(stand.proxy.exchanges)
    assert sent == {"never": 1, "reload": 2}.get(kind.again, sent)
    if kind.again == "backoff":
        assert 2 <= sent <= 15, f"{sent} requests in 2 s"
    else:
        assert result.seconds < 1.0, "this fault needs no wait"
    line = result.metrics
    assert (line["received"], line["errored"], line["rejected"], line["maybe_stored"]) == (3, 2, 1, 0)
    # Each try is a request, and each one after the first is a retry: nothing is split here.
    assert (line["requests"], line["retries"]) == (sent, sent - 1)
    if any(NEVER_STORED_WORDS in exchange.text for exchange in stand.proxy.exchanges):
        assert NEVER_STORED_WORDS in result.raw_log
    assert stand.tsdb.count() == (2 if kind.stored else 0)

    stand.proxy.fault_with(None)
    again = stand.deliver_again(records, result)
    assert again.failures == []
    assert stand.tsdb.count() == 2
    assert stand.letters() == {}


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_reports_the_status_to_a_direct_caller(stand, status):
    stand.proxy.fault_with(lambda exchange: proxy.answer(status, NEVER_STORED_WORDS))
    result = stand.invoke(event(), deadline_s=2.0)
    assert result.error_type == "delivery_failed"
    assert str(status) in result.error_message
    assert stand.letters() == {}


# --- once ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [name for name, kind in CATALOGUE.items() if kind.again in ("backoff", "reload")])
def test_sends_one_more_request_for_a_fault_that_passes_and_loses_no_event(stand, name):
    stand.proxy.faults(CATALOGUE[name].make())
    result = stand.deliver(*three_messages())
    assert result.failures == []
    line = result.metrics
    assert (line["delivered"], line["errored"], line["rejected"]) == (2, 0, 1)
    assert len(stand.proxy.exchanges) == 2
    assert (line["requests"], line["retries"]) == (2, 1)
    assert result.seconds < 1.5, "the shortest wait is enough"
    assert stand.tsdb.count() == 2
    assert set(stand.letters()) == {"m-3"}


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_takes_any_2xx_as_delivered(stand, status):
    stand.proxy.faults(proxy.answer(status, "" if status == 204 else "out of order sample", stored=True))
    result = stand.deliver(*three_messages())
    assert result.failures == []
    assert len(stand.proxy.exchanges) == 1
    assert (result.metrics["delivered"], result.metrics["retries"]) == (2, 0)
    assert result.seconds < 1.0


# --- delays ----------------------------------------------------------------------------------------------------------

def test_delays_grow(stand):
    stand.proxy.fault_with(lambda exchange: proxy.answer(503))
    stand.deliver(record(event(), "m-1"), deadline_s=5.0)
    pauses = stand.pauses()
    assert 3 <= len(pauses) <= 20, pauses
    assert sum(pauses[-2:]) > sum(pauses[:2]), pauses


@pytest.mark.parametrize("status", [429, 503])
def test_honours_retry_after_in_seconds(stand, status):
    stand.proxy.faults(proxy.answer(status, headers={"Retry-After": "1"}))
    assert stand.deliver(record(event(), "m-1")).failures == []
    [pause] = stand.pauses()
    assert 1.0 <= pause < 2.5


def test_honours_retry_after_as_a_date(stand):
    # A date has whole seconds, so the date two seconds ahead is between one and two seconds away.
    stand.proxy.faults(proxy.answer(429, headers={"Retry-After": email.utils.formatdate(time.time() + 2, usegmt=True)}))
    assert stand.deliver(record(event(), "m-1")).failures == []
    [pause] = stand.pauses()
    assert 0.9 <= pause < 3.5


@pytest.mark.parametrize("value", ["86400", "5", "99999999999999999999", "Tue, 31 Dec 2199 23:59:59 GMT"])
def test_begins_no_wait_beyond_the_remaining_time(stand, value):
    stand.proxy.fault_with(lambda exchange: proxy.answer(429, headers={"Retry-After": value}))
    result = stand.deliver(record(event(), "m-1"), deadline_s=3.0)
    assert result.failures == ["m-1"]
    assert len(stand.proxy.exchanges) == 1
    assert result.seconds < 1.0
    assert result.metrics["retries"] == 0


@pytest.mark.early
def test_waits_at_most_half_a_minute_of_an_hour_and_retries(stand):
    stand.proxy.faults(proxy.answer(429, headers={"Retry-After": "3600"}))
    result = stand.deliver(record(event(), "m-1"), deadline_s=60)
    assert result.failures == []
    [pause] = stand.pauses()
    assert 30 <= pause < 35
    assert result.metrics["retries"] == 1
    assert stand.tsdb.count() == 1


def test_ignores_retry_after_of_answers_that_are_not_retried(stand):
    stand.proxy.fault_with(lambda exchange: proxy.answer(404, headers={"Retry-After": "1"}))
    result = stand.deliver(record(event(), "m-1"))
    assert len(stand.proxy.exchanges) == 1
    assert result.seconds < 1.0


# --- 400, 409, 422: one event ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize("text", ["<!DOCTYPE html><h1>400 Bad Request</h1>", '{"__type":"IncompleteSignatureException","message":"no signature"}',
                                  '{"message":"Bad Request"}', '{"Message":"Forbidden"}'])
def test_returns_what_something_before_the_receiver_refused(sqs, status, text):
    with Stand(sqs) as stand:
        stand.proxy.fault_with(lambda exchange: proxy.answer(status, text))
        records = [record(event({"ph": n}, {"pond": str(n)}), f"m-{n}") for n in range(20)]
        result = stand.deliver(*records)
        assert len(result.failures) == 20
        assert stand.letters() == {}
        assert len(stand.proxy.exchanges) == 1


@pytest.mark.parametrize("words", WORDS, ids=[words.split(". timestamp")[0].split(": ", 1)[-1].strip()[:40] or "(empty)"
                                              for words in WORDS])
def test_takes_the_reason_of_a_rejection_from_the_error_text(stand, words):
    records = []
    for status in (400, 409, 422):
        stand.proxy.fault_with(lambda exchange: proxy.answer(status, words))
        records.append(record(event({"ph": status}, {"pond": str(status)}), f"m-{status}"))
        result = stand.deliver(records[-1])
        assert result.failures == []
        line = result.metrics
        assert (line["rejected"], line[f"rejected.{WORDS[words]}"], line["dead_lettered"]) == (1, 1, 1)
        # The event is alone in its request and sent for the first time, so the receiver cannot have stored it before.
        assert line["maybe_stored"] == 0
        assert 1 <= line["requests"] <= 8
        [warning] = result.warnings(message_id=f"m-{status}")
        assert field(warning, "reason") == WORDS[words]
        if words.isprintable() and '"' not in words:
            assert words in result.raw_log
    letters = stand.letters()
    assert set(letters) == {one["messageId"] for one in records}
    for one in records:
        attributes = letters[one["messageId"]].attributes
        assert attributes["reason"] == WORDS[words]
        assert "maybe_stored" not in attributes
        assert letters[one["messageId"]].body == one["body"]
        assert 0 < len(attributes["detail"]) <= 1000


#: Answers with status 400 whose error text is incomplete, or takes one to two seconds. Half of the text names no reason, or a
#: wrong one.
HALF = "HTTP/1.1 400 Bad Request\r\n{}\r\n\r\nuser=1: err: out of"
BROKEN_OFF = {
    "0.01 s a byte": proxy.drip(0.01),
    "hung up in the middle": proxy.raw(HALF.format("Content-Length: 60").encode(), "half the error text"),
    "a chunk that is nonsense": proxy.raw(HALF.format("Transfer-Encoding: chunked\r\n\r\n5").encode() + b"\r\nzz\r\n"),
}


@pytest.mark.parametrize("how", BROKEN_OFF)
def test_takes_no_wrong_reason_from_a_slow_or_incomplete_error_text(stand, how):
    now = now_ms()
    stand.tsdb.put((("__name__", "ph"),), now, bits(1.5))
    stand.proxy.faults(BROKEN_OFF[how])
    result = stand.deliver(record(event({"ph": 2.5}, timestamp=now - 5000), "m-1"))
    assert result.failures == []
    assert stand.letters()["m-1"].attributes["reason"] == "out_of_order"


@pytest.mark.parametrize("how", BROKEN_OFF)
def test_marks_a_refused_replay_of_a_stored_event_despite_a_slow_or_incomplete_error_text(stand, how):
    now = now_ms()
    stand.proxy.faults(proxy.answer(500, "late", stored=True), BROKEN_OFF[how], BROKEN_OFF[how])
    result = stand.deliver(record(event({"ph": 1.5}, timestamp=now - 5000), "m-1"),
                           record(event({"ph": 2.5}, timestamp=now), "m-2"), deadline_s=20)
    assert result.failures == []
    assert stand.tsdb.count() == 2
    assert {name: letter.attributes.get("maybe_stored") for name, letter in stand.letters().items()} == {"m-1": "true"}


def test_answers_in_time_if_the_error_text_stops_in_the_middle(stand):
    stand.proxy.fault_with(lambda exchange: proxy.raw(HALF.format("Content-Length: 60").encode(), "half the error text", hold=True))
    result = stand.deliver(record(event(), "m-1"), deadline_s=2.5)
    assert result.failures == ["m-1"]
    assert stand.letters() == {}


@pytest.mark.parametrize("status, words, reason", [(400, "out of order sample", "out_of_order"),
                                                   (409, "duplicate sample", "duplicate_timestamp"),
                                                   (422, "no", "refused_by_receiver"),
                                                   (400, "", "refused_by_receiver")])
def test_reports_the_reason_to_a_direct_caller(stand, status, words, reason):
    stand.proxy.fault_with(lambda exchange: proxy.answer(status, words))
    result = stand.invoke(event())
    assert result.error_type == reason
    # The contract, `maybe_stored` (c): a direct invocation may be Lambda's own second try.
    assert result.metrics["maybe_stored"] == (0 if reason == "refused_by_receiver" else 1)
    if words:
        assert words in result.error_message


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_cuts_a_megabyte_of_error_text(stand, status):
    stand.proxy.fault_with(lambda exchange: proxy.answer(status, "out of order sample, " + "é" * 500_000))
    result = stand.deliver(record(event(), "m-1"))
    assert result.failures == []
    letter = stand.letters()["m-1"]
    assert letter.attributes["reason"] == ("too_large" if status == 413 else "out_of_order")
    assert len(letter.attributes["detail"]) <= 1000
    assert len(result.raw_log) < 40_000
    assert stand.ingest.peak_memory() < 30_000_000


def test_works_after_an_invocation_with_a_rejected_event(stand):
    stand.proxy.faults(proxy.answer(400, "out of order sample"))
    assert stand.deliver(record(event(), "m-1")).failures == []
    assert stand.deliver(record(event(), "m-2")).metrics["delivered"] == 1
    assert set(stand.letters()) == {"m-1"}


# --- 413 -------------------------------------------------------------------------------------------------------------

def too_large_over(receiver, samples):
    """Lets the receiver answer 413 to every request with more samples than this."""
    judge = receiver._function
    receiver.answer_with(lambda write: Answer(413, "request too large") if len(write.samples) > samples else judge(write))


@pytest.mark.parametrize("limit", [1, 7, 40])
def test_splits_a_request_that_is_too_large_until_it_fits(stand, limit):
    too_large_over(stand.receiver, limit)
    records = [record(event({"ph": n + 0.5}, {"pond": str(n)}), f"m-{n}") for n in range(64)]
    result = stand.deliver(*records)
    assert result.failures == []
    assert (result.metrics["delivered"], result.metrics["rejected"]) == (64, 0)
    assert stand.tsdb.count() == 64
    assert len(stand.proxy.exchanges) <= 2 * 64
    assert stand.letters() == {}
    stored = [sample for exchange in stand.proxy.exchanges if exchange.status == 200 for sample in exchange.samples]
    assert len(stored) == len(set(stored)) == 64  # a sample that was answered 2xx is never sent again


def test_samples_of_one_series_that_are_split_arrive_in_time_order(stand):
    too_large_over(stand.receiver, 5)
    start = int(time.time() * 1000) - 64_000
    records = [record(event({"ph": n + 0.5}, timestamp=start + n * 1000), f"m-{n}") for n in range(64)]
    result = stand.deliver(*records)
    assert result.failures == []
    assert stand.tsdb.count() == 64
    assert stand.letters() == {}


def test_dead_letters_an_event_that_is_too_large_alone_and_stores_the_others(stand):
    judge = stand.receiver._function
    stand.receiver.answer_with(lambda write: Answer(413, "") if len(write.request.body) > 5000 else judge(write))
    records = [record(event({"ph": n + 0.5}, {"pond": str(n)}), f"m-{n}") for n in range(20)]
    large = event({f"m{n}_{n * 7919 % 99991}": n * 0.37 for n in range(700)}, {"pond": "large"})
    records[11] = record(large, "m-11")
    result = stand.deliver(*records)
    assert result.failures == []
    assert (result.metrics["delivered"], result.metrics["rejected.too_large"]) == (19, 1)
    letters = stand.letters()
    assert {key: letter.attributes["reason"] for key, letter in letters.items()} == {"m-11": "too_large"}
    assert "maybe_stored" not in letters["m-11"].attributes
    assert stand.tsdb.count() == 19


def test_rejects_every_event_as_too_large_if_every_answer_is_413(stand):
    stand.proxy.fault_with(lambda exchange: proxy.answer(413, "Request Entity Too Large"))
    records = [record(event({"ph": n + 0.5}, {"pond": str(n)}), f"m-{n}") for n in range(30)]
    result = stand.deliver(*records)
    assert result.failures == []
    assert result.metrics["rejected.too_large"] == 30
    assert len(stand.proxy.exchanges) <= 2 * 30
    assert len(stand.letters()) == 30
