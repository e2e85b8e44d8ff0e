"""Payloads that no producer should send. The function answers each, and its next invocation works."""
import base64
import json
import threading

import pytest

from support.events import event, now_ms
from support.receiver import Answer
from support.runtime_api import Ingest
from support.sqs import record
from support.sqs import event as batch

MEGABYTE = 1024 * 1024
PAYLOAD_LIMIT = 6 * MEGABYTE
MEMORY = 128 * 1000 * 1000

S3 = {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
                   "eventTime": "2026-01-01T00:00:00.000Z", "eventName": "ObjectCreated:Put",
                   "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "b"}, "object": {"key": "k", "size": 1}}}]}
KINESIS = {"Records": [{"kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "1", "sequenceNumber": "1",
                                    "data": base64.b64encode(json.dumps(event(timestamp=1676398017000)).encode()).decode(),
                                    "approximateArrivalTimestamp": 1545084650.987},
                        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": "1", "eventName": "aws:kinesis:record",
                        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}]}


def works(ingest):
    """Checks that the next invocation works normally."""
    assert ingest.invoke(event({"after": 1.5})).json["accepted"] == 1
    assert ingest.invoke(batch(record(event({"after": 2.5}), "m-1"))).failures == []


NESTED = {
    "arrays": b"[" * 10_000 + b"]" * 10_000,
    "objects": b'{"metrics":' * 10_000 + b"1" + b"}" * 10_000,
    "a value": b'{"metrics":{"ph":' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    "dimensions": b'{"metrics":{"ph":1},"dimensions":{"a":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001 + b"}",
    "an unknown key": b'{"metrics":{"ph":1},"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "details": b'{"detail":' * 10_000 + b'{"metrics":{"ph":1}}' + b"}" * 10_000,
    "records": b'{"Records":' * 10_000 + b"[]" + b"}" * 10_000,
    "never closed": b"[" * 100_000,
}


@pytest.mark.parametrize("payload, reason", [
    (b"", "invalid_json"),
    (b" ", "invalid_json"),
    (b"{", "invalid_json"),
    (b'{"metrics":{"ph":6.7}}}', "invalid_json"),
    (b'{"metrics":{"ph":6.7}} {"metrics":{"ph":6.7}', "invalid_json"),
    (b"\xff\xfe\x00", "invalid_json"),
    (b'{"metrics":{"ph":6.7},"dimensions":{"a":"\xff"}}', "invalid_json"),
    (b'{"metrics":{"ph":6.7},"dimensions":{"a":"\xed\xa0\x80"}}', "invalid_json"),
    (b'\xef\xbb\xbf\xef\xbb\xbf' * 100_000, "invalid_json"),
    (b'{"metrics":{"ph":6.7},"dimensions":{"a":"\\ud800"}}', "invalid_json"),
    (b'{"metrics":{"ph":6.7},"dimensions":{"a":"\x00"}}', "invalid_json"),
    (b"null", "invalid_event"),
    (b"17", "invalid_event"),
    (b"true", "invalid_event"),
    (b'"text"', None),
    (b"{}", "invalid_event"),
    (json.dumps(S3).encode(), "invalid_event"),
    (json.dumps(KINESIS).encode(), "invalid_event"),
    (b'{"Records":17}', "invalid_event"),
    (b'{"Records":null}', "invalid_event"),
    (b'{"Records":{}}', "invalid_event"),
    (b'{"Records":[17]}', None),
    (b'{"Records":[{}]}', None),
], ids=repr)
def test_rejects_a_strange_direct_payload_and_works_afterwards(ingest, receiver, payload, reason):
    result = ingest.invoke(payload)
    assert not result.ok, result
    assert receiver.writes == []
    if reason:  # None: the contract allows both reasons
        assert result.error_type == reason
    assert result.error_type in ("invalid_json", "invalid_event")
    assert result.error_message
    works(ingest)


@pytest.mark.parametrize("payload", [S3, KINESIS, 17], ids=["S3", "Kinesis", "number"])
def test_rejects_a_foreign_payload_and_names_the_expected_one(ingest, payload):
    message = ingest.invoke(payload).error_message
    assert "expected" in message, message


@pytest.mark.parametrize("name", NESTED)
def test_rejects_ten_thousand_levels_of_nesting_in_a_direct_payload(ingest, receiver, name):
    result = ingest.invoke(NESTED[name])
    assert receiver.writes == []
    assert not result.ok or result.json["rejected_count"] == 1
    works(ingest)


@pytest.mark.parametrize("name", NESTED)
def test_stores_the_rest_of_a_batch_with_ten_thousand_levels_of_nesting(ingest, receiver, name):
    result = ingest.invoke(batch(record(NESTED[name].decode(), "m-1"), record(event({"ph": 1}), "m-2")))
    assert result.failures == ["m-1"]
    assert receiver.metric("ph")
    works(ingest)


@pytest.mark.parametrize("body", ["", " ", "null", "17", "true", '"text"', "{}", "[null]", "[[]]", "[[[1]]]",
                                  '{"metrics":null}', '{"metrics":[]}', '{"metrics":{}}', json.dumps(S3), "\x00", "%%%",
                                  "AAAA", "\ufeff{}", '{"Records":[{"body":17}]}'], ids=repr)
def test_rejects_only_the_message_with_a_strange_body(ingest, receiver, body):
    result = ingest.invoke(batch(record(body, "m-1"), record(event({"ph": 1}), "m-2")))
    assert result.failures == ["m-1"]
    assert receiver.metric("ph")


def test_answers_a_batch_with_a_body_that_is_not_text(ingest):
    one = record(event(), "m-1")
    one["body"] = 17
    ingest.invoke(batch(one))
    works(ingest)


def test_accepts_a_record_without_attributes(ingest, receiver):
    one = record(event({"ph": 1}), "m-1")
    for name in ("attributes", "messageAttributes", "md5OfBody", "awsRegion"):
        del one[name]
    assert ingest.invoke(batch(one)).failures == []


def test_ignores_strange_message_attributes(ingest, receiver):
    attributes = {"sent_timestamp": {"binaryValue": "AA==", "dataType": "Binary"}, "x": {"dataType": "Number"}}
    assert ingest.invoke(batch(record(event({"ph": 1}), "m-1", attributes=attributes))).failures == []


@pytest.mark.parametrize("sent", ["soon", "-1", "99999999999999999999999", ""])
def test_stores_the_rest_of_a_batch_with_a_bad_sent_timestamp(ingest, receiver, sent):
    # The contract leaves the outcome of the first message open. The other one is stored.
    result = ingest.invoke(batch(record(event({"a": 1}, timestamp=None), "m-1", attributes={"sent_timestamp": sent}),
                                 record(event({"b": 1}), "m-2")))
    assert "m-2" not in result.failures
    works(ingest)


# --- size ------------------------------------------------------------------------------------------------------------

def test_stores_ten_thousand_records(ingest, receiver):
    now = now_ms()
    records = [record(f'{{"timestamp":{now},"dimensions":{{"d":"{n}"}},"metrics":{{"ph":{n}}}}}', f"m-{n}")
               for n in range(10_000)]
    result = ingest.invoke(batch(*records))
    assert result.failures == []
    assert sum(len(samples) for samples in receiver.samples().values()) == 10_000
    assert result.metrics["messages"] == 10_000
    assert ingest.peak_memory() < MEMORY


def test_returns_ten_thousand_broken_records(ingest):
    result = ingest.invoke(batch(*[record("{}", f"m-{n}") for n in range(10_000)]))
    assert sorted(result.failures) == sorted(f"m-{n}" for n in range(10_000))
    works(ingest)


def full(payload):
    return payload if len(payload) <= PAYLOAD_LIMIT else pytest.fail(f"{len(payload)} bytes are too many for a Lambda payload")


def test_stores_a_6_mb_array_in_little_memory(ingest, receiver):
    now = now_ms()
    parts = [f'{{"timestamp":{now - n},"metrics":{{"temperature":{n},"ph":{n}.5}}}}' for n in range(84_000)]
    payload = full(("[" + ",".join(parts) + "]").encode())
    assert len(payload) > 5_500_000
    result = ingest.invoke(payload)
    assert result.json["accepted"] == 84_000
    assert result.json["samples"] == 168_000
    assert ingest.peak_memory() < MEMORY
    works(ingest)


@pytest.mark.parametrize("named", [True, False])
def test_keeps_the_error_text_of_a_sample_that_many_events_share_once(ingest, receiver, named):
    count = 300_000
    series = '{__name__="a"}' if named else ""
    receiver.answer_with(lambda write: Answer(400, f"out of order sample {series} " + "x" * 600))
    result = ingest.invoke(b"[" + b",".join([b'{"metrics":{"a":1}}'] * count) + b"]")
    assert result.json["rejected_count"] == count
    assert result.metrics["rejected.out_of_order"] == count
    assert result.metrics["requests"] <= 20
    assert ingest.peak_memory() < MEMORY
    receiver.answer_with(lambda write: Answer())
    works(ingest)


def test_answers_two_million_broken_events_in_little_memory(ingest, receiver):
    count = 2_000_000
    result = ingest.invoke(full(b"[" + b",".join([b"{}"] * count) + b"]"))
    assert result.json["rejected_count"] == count
    assert len(result.json["rejected"]) == 1000
    assert result.metrics["rejected.invalid_event"] == count
    assert len(result.raw_log) < 1_000_000
    assert receiver.writes == []
    assert ingest.peak_memory() < MEMORY
    works(ingest)


def test_answers_two_million_broken_events_in_time_and_little_memory_with_a_dead_letter_queue(ingest_with_queue):
    count = 2_000_000
    payload = b"[" + b",".join([b"{}"] * count) + b"]"
    for _ in range(3):
        result = ingest_with_queue.invoke(payload, deadline_s=4)
        if result.seconds < 4:
            break  # the work fills the whole time; a busy machine is late now and then, a defect is late always
    assert result.seconds < 4
    assert result.error_type == "delivery_failed"  # above 5,000 the payload is one dead letter, and this one is too long
    assert f"{count} of {count} events are rejected" in result.error_message
    assert ingest_with_queue.peak_memory() < MEMORY
    works(ingest_with_queue)


def test_dead_letters_one_message_full_of_broken_events(ingest_with_queue, dead_letters):
    body = "[" + ",".join(["{}"] * 340_000) + "]"  # the most that fits into a message of SQS
    assert ingest_with_queue.invoke(batch(record(body, "m-1"))).failures == []
    letter = dead_letters.letter()
    assert letter.body == body
    assert letter.attributes["detail"].endswith("; and 339999 more")


@pytest.mark.parametrize("what", ["[[]]", "nulls", "numbers", "strings"])
def test_answers_millions_of_bad_array_elements_in_little_memory(ingest, what):
    element = {"[[]]": b"[]", "nulls": b"null", "numbers": b"1", "strings": b'""'}[what]
    count = (PAYLOAD_LIMIT - 2) // (len(element) + 1)
    result = ingest.invoke(full(b"[" + b",".join([element] * count) + b"]"))
    assert result.json["rejected_count"] == count
    assert ingest.peak_memory() < MEMORY
    works(ingest)


def test_rejects_one_message_for_many_broken_events(ingest):
    count = 50_000
    result = ingest.invoke(batch(record("[" + ",".join(["{}"] * count) + "]", "m-1")))
    assert result.failures == ["m-1"]
    assert result.metrics["rejected"] == count
    assert len(result.raw_log) < 100_000


def test_stores_one_event_with_very_many_metrics(ingest, receiver):
    payload = full(json.dumps(event({f"m{n}": n for n in range(150_000)})).encode())
    result = ingest.invoke(payload)
    assert result.json["samples"] == 150_000
    assert ingest.peak_memory() < MEMORY


def test_rejects_one_event_with_very_many_dimensions(ingest):
    payload = full(json.dumps(event({"ph": 1}, {f"d{n}": "x" for n in range(200_000)})).encode())
    assert ingest.invoke(payload).error_type == "too_many_labels"
    works(ingest)


@pytest.mark.parametrize("payload", [
    b'"' + b"a" * (PAYLOAD_LIMIT - 2) + b'"',
    b" " * PAYLOAD_LIMIT,
    b"9" * PAYLOAD_LIMIT,
    b'{"metrics":{"ph":' + b"9" * (PAYLOAD_LIMIT - 19) + b"}}",
    b'{"metrics":{"ph":"' + b"x" * (PAYLOAD_LIMIT - 21) + b'"}}',
    b'{"metrics":{"' + b"x" * (PAYLOAD_LIMIT - 18) + b'":1}}',
    b"eyJt" * (PAYLOAD_LIMIT // 4),
], ids=["text", "spaces", "digits", "a number", "a value", "a name", "base64"])
def test_rejects_a_6_mb_payload_of_one_value_with_a_short_message(ingest, payload):
    result = ingest.invoke(full(payload))
    assert not result.ok
    assert len(result.error_message) < 5_000
    assert len(result.raw_log) < 20_000
    assert ingest.peak_memory() < MEMORY
    works(ingest)


def test_stays_small_after_a_large_batch_and_large_rejections(ingest):
    for _ in range(3):
        ingest.invoke(batch(*[record(event({"ph": 1}, {"d": str(n)}), f"m-{n}") for n in range(2000)]))
        ingest.invoke(b"[" + b",".join([b"{}"] * 300_000) + b"]")
    assert ingest.peak_memory() < MEMORY


# --- kills -----------------------------------------------------------------------------------------------------------

def test_works_after_a_process_was_killed_in_the_middle(receiver):
    receiver.answer(Answer(204, delay=5))
    settings = {"REMOTE_WRITE_URL": receiver.remote_write_url}
    payload = batch(record(event({"ph": 6.7}), "m-1"))
    with Ingest(settings) as first:
        first.begin(payload)
        assert receiver.arrived.wait(10)
        first.kill()
        assert first.status == -9
    receiver.release()
    with Ingest(settings) as second:
        assert second.invoke(payload).failures == []


def test_several_processes_do_not_disturb_each_other(receiver):
    results = {}

    def run(number):
        with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url}) as ingest:
            results[number] = ingest.invoke(event({"ph": number}, {"process": str(number)})).json["accepted"]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), 1)


def test_memory_does_not_grow_with_labels_times_metrics(ingest_with_queue, receiver):
    # 220 kB that become a gigabyte of requests. The function sends as much as time allows and returns the rest.
    wide = {"dimensions": {f"d{n}": "x" * 2000 for n in range(50)}, "metrics": {f"m{n}": n for n in range(10_000)}}
    result = ingest_with_queue.invoke(batch(record(event({"ph": 1}), "m-1"), record(wide, "m-2")), deadline_s=4, timeout=10)
    assert result.failures in ([], ["m-2"])
    assert receiver.metric("ph")
    assert result.seconds < 4
    assert ingest_with_queue.peak_memory() < 64_000_000


def test_accepts_an_answer_whose_body_never_ends(start, receiver):
    receiver.answer_with(lambda write: Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", hold=True))
    result = start().invoke(batch(record(event({"a": 1}), "m-1"), record(event({"b": 1}), "m-2")), deadline_s=10)
    assert result.failures == []
    assert result.seconds < 2


def test_sends_no_dead_letter_if_no_time_is_left(ingest_with_queue, dead_letters):
    result = ingest_with_queue.invoke(batch(*(record("{}", f"m-{n}") for n in range(10_000))), deadline_s=-5)
    assert len(result.failures) == 10_000
    assert result.metrics["dead_letter_ms"] < 100
    assert dead_letters.letters() == []
