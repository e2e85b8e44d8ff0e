"""LATE_SAMPLES decides on events that are too old for the receiver: dead-letter or drop."""
import pytest

from support.events import BROKEN, event, now_ms, too_old
from support.sqs import record
from support.sqs import event as batch

HOUR = 3_600_000


@pytest.fixture
def dropping(start, sqs, dead_letters):
    return start(LATE_SAMPLES="drop", DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)


def test_dead_letters_a_late_event_by_default(ingest_with_queue, dead_letters):
    assert ingest_with_queue.invoke(batch(record(too_old(), "m-1"))).failures == []
    assert dead_letters.letter().attributes["reason"] == "too_old"


@pytest.mark.parametrize("mode", ["dead-letter", ""], ids=["dead-letter", "empty"])
def test_accepts_the_default_by_name(start, mode):
    result = start(LATE_SAMPLES=mode).invoke(too_old())
    assert result.error_type == "too_old"


def test_drop_acknowledges_a_late_message_without_a_dead_letter(dropping, receiver, dead_letters):
    result = dropping.invoke(batch(record(too_old(), "m-1"), record(event({"a": 1}), "m-2")))
    assert result.failures == []
    assert dead_letters.letters() == []
    assert {metric for metric, _ in receiver.samples()} == {"a"}


def test_drop_counts_late_events_by_reason_and_not_as_rejected(dropping):
    metrics = dropping.invoke(batch(too_old(), too_old(), event())).metrics
    assert (metrics["received"], metrics["delivered"], metrics["rejected"], metrics["dropped"]) == (3, 1, 0, 2)
    assert metrics["dropped.too_old"] == 2
    assert "rejected.too_old" not in metrics
    assert (metrics["messages"], metrics["acknowledged"], metrics["dead_lettered"]) == (3, 3, 0)


def test_drop_succeeds_for_a_single_late_event_and_lists_it(dropping, receiver):
    result = dropping.invoke(too_old())
    assert result.ok
    assert result.json["accepted"] == 0
    assert result.json["rejected_count"] == 0
    assert result.json["rejected"] == []
    assert result.json["dropped_count"] == 1
    [one] = result.json["dropped"]
    assert (one["index"], one["reason"]) == (0, "too_old")
    assert "timestamp" in one["detail"]
    assert receiver.writes == []


def test_drop_lists_late_events_of_an_array_beside_the_rejected_ones(dropping, dead_letters):
    result = dropping.invoke([event({"a": 1}), too_old(), BROKEN, too_old()])
    assert result.json["accepted"] == 1
    assert [(one["index"], one["reason"]) for one in result.json["rejected"]] == [(2, "invalid_value")]
    assert result.json["dropped_count"] == 2
    assert [one["index"] for one in result.json["dropped"]] == [1, 3]
    assert dead_letters.letter().attributes["reason"] == "invalid_value"


def test_the_report_has_dropped_events_only_if_there_are_some(dropping):
    assert not {"dropped", "dropped_count"} & set(dropping.invoke(event()).json)


def test_drop_dead_letters_a_message_for_its_rejected_event(dropping, dead_letters):
    dropping.invoke(batch(record([too_old(), event({"a": 1}), BROKEN], "m-1")))
    letter = dead_letters.letter()
    assert letter.attributes["reason"] == "invalid_value"
    assert "[2].metrics.ph" in letter.attributes["detail"]


def test_drop_rejects_an_event_from_the_future(dropping, dead_letters):
    result = dropping.invoke(batch(record(event(timestamp=now_ms() + HOUR), "m-1")))
    assert result.metrics["dropped"] == 0
    assert dead_letters.letter().attributes["reason"] == "in_future"


def test_drop_takes_the_age_from_the_settings(start):
    result = start(LATE_SAMPLES="drop", MAX_SAMPLE_AGE="10s").invoke(event(timestamp=now_ms() - 60_000))
    assert result.json["dropped_count"] == 1
