"""The seventeen known defects of the ancestor (awslabs/aws-serverless-prometheus-push-gateway), one test for each.

The gateway must have none of them. Defects of the ancestor's infrastructure (14, 15, 17) are checked as far as the binary can
show them.
"""
import pytest

from support.events import BROKEN, BROKEN_TEXT, event, now_ms
from support.receiver import Answer
from support.sqs import record
from support.sqs import event as batch

DEFECTS = {}


def defect(number, title):
    """Adds a check to the table."""
    def enter(check):
        DEFECTS[number] = (title, check)
        return check
    return enter


@defect(1, "a message that is not a valid record was only logged, and then deleted by SQS")
def _(ingest, receiver):
    assert ingest.invoke(batch(record({"hello": "world"}, "m-1"), record(event(), "m-2"))).failures == ["m-1"]


@defect(2, "one body that is not JSON failed the whole batch")
def _(ingest, receiver):
    assert ingest.invoke(batch(record("{", "m-1"), record(event({"ph": 1}), "m-2"))).failures == ["m-1"]
    assert receiver.metric("ph")


@defect(3, "a value that is not a number was retried for ever and never reported")
def _(ingest, receiver):
    result = ingest.invoke({"metrics": {"ph": 6.7, "temperature": {"celsius": 14}}})
    assert result.error_type == "invalid_value"
    assert "metrics.temperature" in result.error_message


@defect(4, "after a failed export every later warm invocation failed")
def _(ingest, receiver):
    receiver.answer(Answer(404))
    assert ingest.invoke(batch(record(event(), "m-1")), deadline_s=5).failures == ["m-1"]
    for number in range(3):
        result = ingest.invoke(batch(record(event({"ph": number}, {"n": str(number)}), f"n-{number}")))
        assert result.failures == []
        assert result.seconds < 1


@defect(5, "a slow receiver was reported as failed although it stored, and as stored although it failed")
def _(ingest, receiver):
    receiver.answer(Answer(204, delay=2.5))
    assert ingest.invoke(event(), deadline_s=10).json["accepted"] == 1
    receiver.answer(Answer(404, delay=2.5))
    assert ingest.invoke(event(), deadline_s=10).error_type == "delivery_failed"


@defect(6, "a device one millisecond ahead lost its samples silently")
def _(ingest, receiver):
    for ahead in (1, 100, 5000):
        assert ingest.invoke(event({"ph": 1}, {"ahead": str(ahead)}, timestamp=now_ms() + ahead)).json["accepted"] == 1


@defect(7, "samples up to a day old were sent although the workspace refuses samples older than an hour")
def _(ingest, receiver):
    assert ingest.invoke(event(timestamp=now_ms() - 2 * 3_600_000)).error_type == "too_old"
    assert receiver.writes == []


@defect(8, "no sorting, no merging and no removal of duplicates within a batch")
def _(ingest, receiver):
    now = now_ms()
    ingest.invoke(batch(event({"ph": 3}, timestamp=now), event({"ph": 1}, timestamp=now - 2),
                        event({"ph": 2}, timestamp=now - 1), event({"ph": 1}, timestamp=now - 2)))
    assert len(receiver.writes) == 1
    assert receiver.values() == {("ph", ()): [(now - 2, 1.0), (now - 1, 2.0), (now, 3.0)]}


@defect(9, "dimensions of null failed the whole batch, and an array passed as dimensions")
def _(ingest, receiver):
    now = now_ms()
    result = ingest.invoke(batch(record({"dimensions": None, "metrics": {"ph": 1}, "timestamp": now}, "m-1"),
                                 record({"dimensions": ["a"], "metrics": {"ph": 2}, "timestamp": now}, "m-2")))
    assert result.failures == ["m-2"]
    assert receiver.values() == {("ph", ()): [(now, 1.0)]}


@defect(10, "an empty reading was stored as 0, and 0x1F was a number")
def _(ingest, receiver):
    for value in ("", " ", "\t", "0x1F", "1_000", [], {}):
        assert ingest.invoke({"metrics": {"ph": value}}).error_type == "invalid_value", value
    assert ingest.invoke({"metrics": {"ph": None}}).error_type == "invalid_event"
    assert receiver.writes == []


@defect(11, "empty dimensions were rejected (the gateway still rejects unknown keys, on purpose)")
def _(ingest, receiver):
    assert ingest.invoke(event({"ph": 1}, {})).json["accepted"] == 1
    rejected = ingest.invoke(event({"ph": 1}, dimension={"a": "b"}))
    assert rejected.error_type == "invalid_event"
    assert "dimensions" in rejected.error_message


@defect(12, "timestamps as text were rejected, and seconds were not recognised")
def _(ingest, receiver):
    now = now_ms()
    assert ingest.invoke(event({"ph": 1}, timestamp=str(now))).json["accepted"] == 1
    assert [time for time, _ in receiver.metric("ph")] == [now]
    assert ingest.invoke(event({"flow": 1}, timestamp=now // 1000)).json["accepted"] == 1
    assert [time for time, _ in receiver.metric("flow")] == [now // 1000 * 1000]


@defect(13, "an export was tried with no metrics at all")
def _(ingest, receiver):
    for payload in ([], [BROKEN], batch(BROKEN_TEXT), {"Records": []}):
        ingest.invoke(payload)
    assert receiver.writes == []


@defect(14, "infrastructure: bound to us-east-1 (the binary writes and signs for any region)")
def _(start, receiver):
    receiver.region = "ap-southeast-2"
    assert start(AWS_REGION="ap-southeast-2").invoke(event()).ok
    assert len(receiver.writes) == 1


@defect(15, "infrastructure: SQS or direct was fixed at deployment (one process of the binary takes both)")
def _(ingest, receiver):
    assert ingest.invoke(batch(event({"a": 1}))).failures == []
    assert ingest.invoke(event({"b": 1})).json["accepted"] == 1
    assert ingest.invoke(batch(event({"c": 1}))).failures == []


@defect(16, "every metric and every batch was logged")
def _(ingest, receiver):
    records = [record(event({"ph": n}, {"device": f"secret-pond-{n}"}), f"m-{n}") for n in range(50)]
    result = ingest.invoke(batch(*records))
    assert result.failures == []
    assert len(result.raw_log.splitlines()) == 1
    assert "secret-pond" not in result.raw_log


@defect(17, "infrastructure: permission to log to all functions' groups (the binary logs to its own streams only)")
def _(ingest, receiver):
    result = ingest.invoke(event())
    assert result.metrics["FunctionName"]


def test_checks_each_of_the_seventeen_defects():
    assert sorted(DEFECTS) == list(range(1, 18))


@pytest.mark.parametrize("number", sorted(DEFECTS), ids=lambda number: f"{number}: {DEFECTS[number][0]}")
def test_does_not_have_the_ancestors_defect(request, number):
    check = DEFECTS[number][1]
    check(*[request.getfixturevalue(name) for name in check.__code__.co_varnames[:check.__code__.co_argcount]])
