"""The log has one metric line for each invocation, a line for each message that an operator should see, and no secrets."""
import json
import re

import pytest

from support.events import BROKEN, BROKEN_TEXT, event, now_ms, too_old
from support.http_server import closed_port
from support.receiver import Answer
from support.runtime_api import FUNCTION_NAME, SECRET_KEY, SESSION_TOKEN, exit_of, field
from support.sqs import record
from support.sqs import event as batch

COUNTS = ["received", "delivered", "errored", "rejected", "dropped", "maybe_stored", "samples", "series", "requests",
          "retries", "bytes", "inexact", "null_values", "messages", "acknowledged", "dead_lettered", "handed_back"]
STAGES = ["read_ms", "merge_ms", "encode_ms", "send_ms", "dead_letter_ms", "total_ms"]


# --- the metric line -------------------------------------------------------------------------------------------------

def test_the_metric_line_has_the_shape_of_the_embedded_metric_format(ingest):
    before = now_ms()
    line = ingest.invoke([event(), BROKEN]).metrics
    head = line["_aws"]
    assert set(head) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(head["Timestamp"], int) and before <= head["Timestamp"] <= now_ms()
    [directive] = head["CloudWatchMetrics"]
    assert directive["Namespace"] == "AmpPushGateway"
    assert directive["Dimensions"] == [["FunctionName"]]
    assert line["FunctionName"] == FUNCTION_NAME
    assert 0 < len(directive["Metrics"]) <= 100
    for metric in directive["Metrics"]:
        assert set(metric) <= {"Name", "Unit", "StorageResolution"}
        assert isinstance(line[metric["Name"]], (int, float)), metric
        assert metric.get("Unit", "None") in {"Count", "Bytes", "Milliseconds", "None"}, metric
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert len(set(names)) == len(names)


def test_the_metric_line_has_every_count_and_the_milliseconds_of_every_stage(ingest):
    line = ingest.invoke(event()).metrics
    assert set(COUNTS + STAGES) <= set(line)
    assert all(isinstance(line[name], int) for name in COUNTS)
    assert all(line[name] >= 0 for name in STAGES)
    assert line["total_ms"] >= line["send_ms"]


def embedded(line):
    """Returns the names that CloudWatch makes metrics of."""
    return {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}


def test_embeds_seven_metrics_unless_all_are_wanted(start):
    few, many = start().invoke([event(), BROKEN]).metrics, start(METRICS="all").invoke([event(), BROKEN]).metrics
    assert embedded(few) == {"received", "delivered", "errored", "rejected", "dropped", "maybe_stored", "handed_back"}
    assert embedded(few) < embedded(many) == {name for name in many if isinstance(many[name], (int, float))}
    assert set(few) == set(many), "the same fields, whatever is embedded"


def test_units_match_the_names(start):
    metrics = start(METRICS="all").invoke(event()).metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    units = {metric["Name"]: metric.get("Unit") for metric in metrics}
    assert {units[name] for name in STAGES} == {"Milliseconds"}
    assert units["bytes"] == "Bytes"
    assert units["received"] == "Count"


def test_the_metric_line_names_request_and_trigger(ingest):
    direct, sqs = ingest.invoke(event()), ingest.invoke(batch(event()))
    assert direct.metrics["request_id"] == direct.request_id
    # The contract does not fix the names of the triggers, but they must differ.
    assert direct.metrics["trigger"] and sqs.metrics["trigger"]
    assert direct.metrics["trigger"] != sqs.metrics["trigger"]


def test_the_metric_line_counts_what_was_sent(ingest, receiver):
    now = now_ms()
    line = ingest.invoke([event({"a": 1, "b": 2}, timestamp=now), event({"a": 2}, timestamp=now + 1),
                          event({"a": 2}, timestamp=now + 1)]).metrics
    assert (line["received"], line["delivered"]) == (3, 3)
    assert (line["samples"], line["series"]) == (3, 2)
    assert (line["requests"], line["retries"]) == (1, 0)
    assert line["bytes"] == sum(write.compressed_size for write in receiver.writes)
    assert line["maybe_stored"] == 0


def test_stage_times_show_the_slow_stage(ingest, receiver):
    receiver.answer(Answer(204, delay=0.2))
    line = ingest.invoke(event()).metrics
    assert 200 <= line["send_ms"] < 1000
    assert 200 <= line["total_ms"] < 1000
    assert line["read_ms"] + line["merge_ms"] + line["encode_ms"] < 100


def test_counts_reasons_by_name_if_they_are_above_zero(start):
    line = start(METRICS="all").invoke([BROKEN, BROKEN, event(), {"metrics": {"__a": 1}}, too_old()]).metrics
    assert {name: line[name] for name in line if name.startswith("rejected.")} == {
        "rejected.invalid_value": 2, "rejected.invalid_metric_name": 1, "rejected.too_old": 1}
    assert {"rejected.invalid_value", "rejected.invalid_metric_name", "rejected.too_old"} <= embedded(line)
    assert line["rejected"] == 4


SCENARIOS = {
    # Name: (payload, the receiver's answer, (received, delivered, errored, rejected, dropped),
    #        (messages, acknowledged, dead_lettered, handed_back) without and with a dead-letter queue)
    "direct, stored": (lambda: event(), 204, (1, 1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 0, 0)),
    "direct, refused": (lambda: BROKEN, 204, (1, 0, 0, 1, 0), (1, 0, 0, 1), (1, 0, 0, 1)),
    "direct, errored": (lambda: event(), 503, (1, 0, 1, 0, 0), (1, 0, 0, 1), (1, 0, 0, 1)),
    "direct, no json": (lambda: b"{", 204, (1, 0, 0, 1, 0), (1, 0, 0, 1), (1, 0, 0, 1)),
    "direct, null": (lambda: b"null", 204, (1, 0, 0, 1, 0), (1, 0, 0, 1), (1, 0, 0, 1)),
    "array, mixed": (lambda: [event(), BROKEN, BROKEN], 204, (3, 1, 0, 2, 0), (1, 1, 0, 0), (1, 1, 0, 0)),
    "array, errored": (lambda: [event(), BROKEN], 503, (2, 0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 0, 1)),
    "array, empty": (lambda: [], 204, (0, 0, 0, 0, 0), (1, 1, 0, 0), (1, 1, 0, 0)),
    "batch, stored": (lambda: batch(event({"a": 1}), event({"b": 1})), 204, (2, 2, 0, 0, 0), (2, 2, 0, 0), (2, 2, 0, 0)),
    "batch, mixed": (lambda: batch(event({"a": 1}), BROKEN, [event({"b": 1}), BROKEN], "{"), 204, (5, 2, 0, 3, 0),
                     (4, 1, 0, 3), (4, 1, 3, 0)),
    "batch, errored": (lambda: batch(event(), BROKEN, [event({"b": 1}), BROKEN]), 503, (4, 0, 2, 2, 0), (3, 0, 0, 3),
                       (3, 0, 1, 2)),
    "batch, empty arrays": (lambda: batch("[]", "[]"), 204, (0, 0, 0, 0, 0), (2, 2, 0, 0), (2, 2, 0, 0)),
}


@pytest.mark.parametrize("queue", [False, True], ids=["without queue", "with queue"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_metric_line_adds_up(start, sqs, dead_letters, receiver, scenario, queue):
    payload, status, events, without, with_queue = SCENARIOS[scenario]
    env = {"DEAD_LETTER_QUEUE_URL": dead_letters.url, "AWS_ENDPOINT_URL_SQS": sqs.endpoint} if queue else {}
    receiver.answer_with(lambda write: Answer(status))
    line = start(**env).invoke(payload(), deadline_s=3).metrics
    assert tuple(line[name] for name in ("received", "delivered", "errored", "rejected", "dropped")) == events
    assert tuple(line[name] for name in ("messages", "acknowledged", "dead_lettered", "handed_back")) == \
        (with_queue if queue else without)


def test_the_metric_line_adds_up_if_the_dead_letter_queue_fails(start):
    endpoint = f"http://127.0.0.1:{closed_port()}"
    ingest = start(DEAD_LETTER_QUEUE_URL=f"{endpoint}/123456789012/q", AWS_ENDPOINT_URL_SQS=endpoint)
    line = ingest.invoke(batch(event(), BROKEN), deadline_s=5).metrics
    assert (line["messages"], line["acknowledged"], line["dead_lettered"], line["handed_back"]) == (2, 1, 0, 1)
    line = ingest.invoke([event(), BROKEN], deadline_s=5).metrics
    assert (line["messages"], line["acknowledged"], line["dead_lettered"], line["handed_back"]) == (1, 0, 0, 1)


@pytest.mark.parametrize("level", ["off", "error", "warn", "info", "debug", "trace", "hyper=trace"])
def test_prints_the_metric_line_with_any_rust_log(start, level):
    ingest = start(RUST_LOG=level)
    assert ingest.invoke(event()).metrics["delivered"] == 1
    assert ingest.invoke(batch(event({"b": 1}), BROKEN)).metrics["received"] == 2


def test_prints_only_the_metric_line_with_rust_log_off(start):
    result = start(RUST_LOG="off").invoke(batch(event(), BROKEN))
    assert len(result.raw_log.splitlines()) == 1


def test_each_invocation_has_a_metric_line_of_its_own(ingest):
    for _ in range(3):
        assert ingest.invoke(event()).metrics["received"] == 1


# --- lines for messages ----------------------------------------------------------------------------------------------

def test_a_dead_lettered_message_has_one_warn_line_with_its_id_and_reason(ingest_with_queue):
    result = ingest_with_queue.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2"), record("{", "m-3")))
    [first] = result.warnings(message_id="m-1")
    assert field(first, "reason") == "invalid_value"
    [third] = result.warnings(message_id="m-3")
    assert field(third, "reason") == "invalid_json"
    assert result.warnings(message_id="m-2") == []
    assert len([line for line in result.warnings() if field(line, "message_id")]) == 2


def test_a_returned_message_has_one_warn_line_with_its_id_and_reason(ingest, receiver):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2")), deadline_s=3)
    [first] = result.warnings(message_id="m-1")
    assert field(first, "reason") == "invalid_value"
    [second] = result.warnings(message_id="m-2")
    assert field(second, "reason")


def test_a_failed_direct_payload_has_one_warn_line(ingest):
    result = ingest.invoke(BROKEN)
    [line] = result.warnings(message_id=result.request_id)
    assert field(line, "reason") == "invalid_value"


def test_a_delivered_message_has_a_debug_line_and_nothing_at_info(start):
    result = start(RUST_LOG="debug").invoke(batch(record(event(), "m-1")))
    assert len(result.lines("DEBUG", message_id="m-1")) == 1
    assert "m-1" not in start().invoke(batch(record(event(), "m-1"))).raw_log


def test_log_lines_are_json_with_a_level(start):
    result = start(RUST_LOG="debug").invoke(batch(event(), BROKEN))
    for line in result.raw_log.splitlines():
        parsed = json.loads(line)
        assert "_aws" in parsed or parsed["level"] in ("ERROR", "WARN", "INFO", "DEBUG", "TRACE")


# --- secrets ---------------------------------------------------------------------------------------------------------

MARK = "PAYLOAD-MARK-5f1d"


@pytest.mark.parametrize("status", [204, 403, 400])
@pytest.mark.parametrize("level", ["info", "debug", "trace"])
def test_logs_no_secret_signature_or_payload(start, sqs, dead_letters, receiver, level, status):
    ingest = start(RUST_LOG=level, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    receiver.answer_with(lambda write: Answer(status, "no"))
    marked = event({"ph": 1.5}, {"pond": MARK})
    ingest.invoke(batch(record(marked, "m-1"), record({"metrics": {"ph": "abc"}, "dimensions": {"pond": MARK}}, "m-2"),
                        record(f'{{"{MARK}', "m-3"), record([{"metrics": {"ph": 1}, "dimensions": {"pond": MARK}}, BROKEN],
                                                            "m-4")), deadline_s=4)
    ingest.invoke(marked, deadline_s=4)
    ingest.invoke([marked, {**BROKEN, "dimensions": {"pond": MARK}}], deadline_s=4)
    ingest.invoke(MARK.encode())
    text = ingest.log_text()
    assert receiver.writes
    for secret in (SECRET_KEY, SESSION_TOKEN, MARK):
        assert secret not in text, [line[:600] for line in text.splitlines() if secret in line][:3]
    for write in receiver.writes:
        assert write.header("Authorization").rpartition("Signature=")[2] not in text
    assert not re.search(r"Signature=[0-9a-f]{16}", text)


def test_a_failed_start_prints_no_secret():
    end = exit_of({"LATE_SAMPLES": "never", "RUST_LOG": "trace"})
    for secret in (SECRET_KEY, SESSION_TOKEN):
        assert secret not in end.text


def test_logs_no_secret_that_the_receiver_repeats(ingest, receiver):
    # Front ends of AWS repeat the canonical request if they reject its signature.
    def echo(write):
        signed = write.header("Authorization")
        return Answer(403, f"x-amz-security-token:{write.header('X-Amz-Security-Token')} authorization:{signed}")
    receiver.answer_with(echo)
    result = ingest.invoke(event(), deadline_s=5)
    for text in (ingest.log_text(), result.error_message):
        assert SESSION_TOKEN not in text and "(hidden)" in text
        for write in receiver.writes:
            assert write.header("Authorization").rpartition("Signature=")[2] not in text


@pytest.mark.parametrize("payload", [
    {"Records": [MARK * 10_000]},
    {"Records": MARK * 10_000},
    {"Records": [{"eventSource": "aws:sns", "Sns": MARK * 10_000}]},
    {"Records": [{"eventSource": "aws:sqs", "body": 1, "messageId": MARK}]},
], ids=["a record", "the records", "a notification", "a body"])
def test_a_detail_does_not_quote_the_value_in_place_of_records(ingest, payload):
    result = ingest.invoke(payload)
    assert result.error_type == "invalid_event"
    assert MARK not in ingest.log_text() + result.error_message


def test_lines_of_an_invocation_carry_its_id(ingest, receiver):
    receiver.answer_with(lambda write: Answer(404))
    result = ingest.invoke(batch(record(event(), "m-1")), deadline_s=5)
    assert [line["request_id"] for line in result.warnings(message_id="m-1")] == [result.request_id]


# --- bounds ----------------------------------------------------------------------------------------------------------

def test_a_full_batch_has_a_line_for_each_message_in_a_bounded_log(start):
    records = [record('{"metrics":{"%s":"abc"}}' % ("é" * 60), f"m-{number}") for number in range(10_000)]
    result = start().invoke(batch(*records), deadline_s=60)
    assert len(result.failures) == 10_000
    warned = {field(line, "message_id"): field(line, "reason") for line in result.warnings() if field(line, "message_id")}
    assert set(warned) == set(result.failures) and set(warned.values()) == {"invalid_value"}
    assert len(result.raw_log.encode()) < 5_000_000


def test_more_messages_than_a_queue_gives_have_one_line_that_counts_them(start):
    records = [record("{", f"m-{number}") for number in range(10_050)]
    result = start().invoke(batch(*records), deadline_s=60)
    assert len(result.failures) == 10_050
    assert len([line for line in result.warnings() if field(line, "message_id")]) == 10_000
    assert [field(line, "more") for line in result.warnings() if field(line, "more")] == [50]


def test_ids_in_log_lines_are_cut_and_steer_no_terminal(start):
    result = start().invoke(batch(record("{", "\x1b[31m\n\x9b\u202e" + "m" * 100_000)), deadline_s=20)
    [line] = [line for line in result.warnings() if field(line, "message_id")]
    assert len(field(line, "message_id")) == 128
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", result.raw_log.replace("\n", ""))
    assert max(map(len, result.raw_log.splitlines())) < 20_000
