"""Typed metrics: the journal in the table, what a message becomes of if the table fails, dead letters and redrive."""
import json
import re

import pytest

from support.command_line import pushgw
from support.events import BROKEN, event, now_ms
from support.function_url import call
from support.sqs import event as batch
from support.sqs import record

HOUR = 3600 * 1000
COUNTER = {"type": "counter", "name": "http_requests_total", "value": 1, "labels": {"method": "GET", "status": "200"}}
HISTOGRAM = {"type": "histogram", "name": "request_duration_seconds", "value": 0.75, "buckets": [0.1, 0.5, 1, 5, 10],
             "labels": {"endpoint": "/api/data"}}


@pytest.fixture
def with_table(start, dynamodb, table, sqs, dead_letters):
    """An `ingest` with a table and a dead-letter queue."""
    return start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint, DEAD_LETTER_QUEUE_URL=dead_letters.url,
                 AWS_ENDPOINT_URL_SQS=sqs.endpoint)


def test_typed_metrics_go_to_the_journal_and_samples_to_the_receiver(with_table, table, receiver):
    result = with_table.invoke(batch(record(COUNTER, "m-1"), record([event({"ph": 6.7}), HISTOGRAM], "m-2")))
    assert result.failures == []
    assert {name: result.metrics[name] for name in ("received", "delivered", "typed", "samples", "requests")} == \
        {"received": 3, "delivered": 3, "typed": 2, "samples": 1, "requests": 1}
    assert [name for name, _ in receiver.values()] == ["ph"]
    (item,) = table.items("j#0")
    assert re.fullmatch(r"\d{13}#0001#[0-9a-f]{16}", item["sk"]) and abs(int(item["sk"][:13]) - now_ms()) < 60_000
    assert abs(item["ttl"] - now_ms() / 1000 - 14 * 24 * 3600) < 120
    assert item["v"] == 1 and isinstance(item["b"], bytes)


def test_events_without_a_type_make_no_item(with_table, table):
    assert with_table.invoke(batch(record(event()), record(BROKEN))).failures == []
    assert table.items("j#0") == []


def test_a_direct_caller_gets_the_number_of_journalled_events(with_table):
    report = with_table.invoke([COUNTER, event(), {"type": "counter", "name": "c", "value": -1}]).json
    assert (report["accepted"], report["typed"], report["samples"], report["rejected_count"]) == (2, 1, 1, 1)
    assert report["rejected"][0]["detail"] == "[2].value: -1 is negative, and a counter only grows"


def test_without_a_table_typed_metrics_are_rejected_and_others_stored(ingest, receiver):
    result = ingest.invoke(COUNTER)
    assert result.error_type == "needs_state" and "STATE_TABLE" in result.error_message
    report = ingest.invoke([event({"ph": 6.7}), COUNTER]).json
    assert (report["accepted"], report["rejected"][0]["reason"], report["rejected"][0]["index"]) == (1, "needs_state", 1)


def test_a_missing_table_returns_typed_metrics_and_touches_no_other_message(start, dynamodb, receiver):
    ingest = start(STATE_TABLE="missing-table", AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint)
    result = ingest.invoke(batch(record(COUNTER, "m-1"), record(event({"ph": 6.7}), "m-2")))
    assert result.failures == ["m-1"]
    assert [name for name, _ in receiver.values()] == ["ph"]
    assert "missing-table" in ingest.log_text()
    failed = ingest.invoke(COUNTER)
    assert failed.error_type == "delivery_failed" and "missing-table" in failed.error_message


def test_a_dead_letter_says_that_its_typed_metrics_are_counted(with_table, dead_letters):
    sent = now_ms() - 5_000
    assert with_table.invoke(batch(record([COUNTER, BROKEN], "m-1", sent=sent))).failures == []
    attributes = dead_letters.letter().attributes
    assert (attributes["counted"], attributes["source_message_id"], attributes["sent_timestamp"]) == ("true", "m-1", str(sent))
    again = {**attributes, "source_index": "4"}
    assert with_table.invoke(batch(record(BROKEN, "m-2", attributes=again))).failures == []
    kept = [letter.attributes for letter in dead_letters.letters() if letter.attributes.get("source_index") == "4"]
    assert [(one["counted"], one["source_message_id"], one["sent_timestamp"]) for one in kept] == [("true", "m-1", str(sent))]


@pytest.mark.parametrize("receives, maybe", [(1, None), (2, "true")])
def test_a_typed_metric_of_an_old_message_is_too_old(with_table, table, dead_letters, receives, maybe):
    old = record({**COUNTER, "timestamp": now_ms()}, "m-1", sent=now_ms() - HOUR - 1_000, receive_count=receives)
    assert with_table.invoke(batch(old)).failures == []
    attributes = dead_letters.letter().attributes
    assert (attributes["reason"], attributes.get("maybe_stored")) == ("too_old", maybe)
    assert table.items("j#0") == []


def test_late_typed_metrics_are_dropped_if_the_operator_wants_it(start, dynamodb, table):
    ingest = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint, LATE_SAMPLES="drop")
    result = ingest.invoke(batch(record(COUNTER, "m-1", sent=now_ms() - HOUR - 1_000)))
    assert result.failures == [] and result.metrics["dropped.too_old"] == 1


def redriven(dead_letters, source):
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all", "--json")
    assert json.loads(done.stdout)["sent"] == 1, done.stdout + done.stderr
    (one,) = source.lambda_event()["Records"]
    return {name: attribute["stringValue"] for name, attribute in one["messageAttributes"].items()}


def test_redrive_sends_what_is_not_counted_as_a_new_message(sqs, dead_letters):
    """Its own id makes a run that is killed and repeated harmless."""
    old = {"reason": "needs_state", "detail": "d", "source_message_id": "m-1", "sent_timestamp": str(now_ms() - 5 * HOUR)}
    dead_letters.send(COUNTER, old)
    attributes = redriven(dead_letters, sqs.queue())
    assert set(attributes) == {"source_message_id"} and attributes["source_message_id"] != "m-1"


def test_redrive_sends_what_is_counted_as_it_was(sqs, dead_letters):
    kept = {"source_message_id": "m-1", "source_index": "3", "sent_timestamp": str(now_ms() - 5_000), "counted": "true"}
    dead_letters.send([COUNTER, event()], {"reason": "refused_by_receiver", "detail": "d", **kept})
    assert redriven(dead_letters, sqs.queue()) == kept


def test_check_shows_typed_metrics_and_their_mistakes(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(HISTOGRAM) + "\n" + json.dumps({**COUNTER, "value": -1}) + "\n")
    done = pushgw("check", path)
    assert done.returncode == 1
    for part in ("request_duration_seconds", "histogram with the buckets 0.1, 0.5, 1, 5, 10", "1 typed metric",
                 "value: -1 is negative"):
        assert part in done.stdout, done.stdout


def test_an_http_client_posts_typed_metrics(start, dynamodb, table):
    ingest = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint, HTTP_AUTH="none")
    headers = [("Idempotency-Key", "k-1"), ("Content-Type", "application/json")]
    for _ in range(2):
        answered = call(ingest, "POST", "/events", json.dumps(COUNTER).encode(), headers)
        assert answered.status == 200, answered
    assert len(table.items("j#0")) == 2
