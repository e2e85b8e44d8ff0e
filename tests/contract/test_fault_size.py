"""Large input under faults: ten thousand messages, one hot series, thousands of series, labels up to the limit, 6 MB from a direct
caller.

Whatever the receiver does, each event has its outcome in time, and the memory of the smallest function is enough.
"""
import json

import pytest

from support import proxy
from support.events import BROKEN_TEXT, event, now_ms
from support.faults import Stand, search_bound
from support.receiver import Answer
from support.remote_write import bits
from support.sqs import record
from support.tsdb import Tsdb

#: Half of the smallest function's memory.
MEMORY = 64_000_000


def thousands_of_series(now):
    return [event({"ph": n + 0.5}, {"device": f"d{n}"}, now) for n in range(10_000)]


def one_hot_series(now):
    return [event({"ph": n + 0.5}, {"device": "hot"}, now - 10_000 + n) for n in range(10_000)]


def labels_up_to_the_limit(now):
    # 149 labels and the metric's name.
    many = {f"l{n}": "x" * 10 for n in range(148)}
    return [event({"ph": n + 0.5}, {**many, "device": f"d{n}"}, now) for n in range(300)]


def one_event_of_thousands_of_series(now):
    return [event({f"m{n}": n + 0.5 for n in range(5_000)}, {"device": "wide"}, now)]


SHAPES = [thousands_of_series, one_hot_series, labels_up_to_the_limit, one_event_of_thousands_of_series]


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.__name__.replace("_", " "))
def events(request):
    return request.param(now_ms())


def messages(events):
    return [record(one, f"m-{n}") for n, one in enumerate(events)]


def count(events):
    return sum(len(one["metrics"]) for one in events)


@pytest.fixture
def stand(sqs):
    with Stand(sqs, Tsdb(window_ms=60_000)) as one:
        yield one
        assert one.ingest.peak_memory() < MEMORY


def test_stores_all_of_a_large_input(stand, events):
    result = stand.deliver(*messages(events), deadline_s=20)
    assert result.failures == []
    assert stand.tsdb.count() == count(events)


@pytest.mark.parametrize("fault", [proxy.answer(503, "x" * 1_000_000), proxy.hang()], ids=["503 with 1 MB of error text", "hang"])
def test_returns_a_large_input_in_time_while_the_receiver_fails_and_stores_it_afterwards(stand, events, fault):
    records = messages(events)
    stand.proxy.fault_with(lambda exchange: fault)
    result = stand.deliver(*records, deadline_s=3.0)
    assert len(result.failures) == len(records)
    assert result.metrics["errored"] == len(records)
    assert len(stand.proxy.exchanges) <= 10
    stand.proxy.fault_with(None)
    assert stand.deliver_again(records, result, deadline_s=20).failures == []
    assert stand.tsdb.count() == count(events)
    assert stand.letters() == {}


def test_stores_a_large_input_once_if_it_was_stored_unconfirmed(stand, events):
    stand.proxy.faults(proxy.answer(500, "late", stored=True), proxy.reset_after_body(stored=True))
    result = stand.deliver(*messages(events), deadline_s=20)
    assert result.failures == []
    assert stand.tsdb.count() == count(events)
    assert stand.letters() == {}


def test_splits_a_large_request_as_often_as_necessary(stand, events):
    judge, limit = stand.tsdb.judge, count(events) // 20
    stand.receiver.answer_with(lambda write: Answer(413) if len(write.samples) > limit else judge(write))
    result = stand.deliver(*messages(events), deadline_s=30)
    if len(events) == 1:  # an event is a unit: it does not fit even alone
        assert result.metrics["rejected.too_large"] == 1
        return
    assert result.failures == []
    assert stand.tsdb.count() == count(events)
    assert len(stand.proxy.exchanges) <= 80


@pytest.mark.parametrize("flavour, words", [("amp", "amp"), ("prometheus", "empty")])
def test_finds_one_culprit_in_a_large_input(sqs, events, flavour, words):
    culprit = len(events) * 2 // 3
    events[culprit]["dimensions"]["bad"] = "yes"
    with Stand(sqs, Tsdb(flavour, words, window_ms=60_000, refuse=lambda labels: ("bad", "yes") in labels)) as stand:
        result = stand.deliver(*messages(events), deadline_s=40)
        assert result.failures == []
        assert set(stand.letters()) == {f"m-{culprit}"}
        assert stand.tsdb.count() == count(events) - len(events[culprit]["metrics"])
        assert len(stand.proxy.exchanges) <= search_bound(1, len(events))
        assert stand.ingest.peak_memory() < MEMORY


def test_returns_six_megabytes_of_a_direct_caller_while_the_receiver_fails(stand):
    now = now_ms()
    payload = json.dumps([event({"ph": n + 0.5, "ec": n}, timestamp=now - n) for n in range(80_000)]).encode()
    assert 5_000_000 < len(payload) < 6_291_556
    stand.proxy.fault_with(lambda exchange: proxy.hang())
    result = stand.invoke(payload, deadline_s=5.0)
    assert result.error_type == "delivery_failed"
    assert "80000 of 80000" in result.error_message
    assert stand.letters() == {}


def test_dead_letters_or_returns_every_third_of_ten_thousand_messages(stand):
    # Two thirds of the messages wait for a receiver that hangs; the dead letters of the others need 334 calls.
    records = [record(BROKEN_TEXT if n % 3 == 0 else event({"ph": n}, {"device": f"d{n}"}), f"m-{n}") for n in range(10_000)]
    stand.proxy.fault_with(lambda exchange: proxy.hang())
    result = stand.deliver(*records, deadline_s=5.0)
    failures, letters = set(result.failures), set(stand.letters())
    assert len(failures & letters) <= 10, "only the call that was in flight when the time was up may leave both"
    assert failures | letters == {one["messageId"] for one in records}
    assert letters, "time was left for some dead letters"
