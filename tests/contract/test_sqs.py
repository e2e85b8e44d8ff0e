"""A batch from SQS: the function acknowledges, returns or dead-letters whole messages."""
import json
import random

import pytest

from support.events import BROKEN, BROKEN_TEXT, event, now_ms
from support.receiver import Answer
from support.sqs import ARN, FIFO_ARN, record
from support.sqs import event as batch


def test_acknowledges_a_stored_batch(ingest, receiver):
    result = ingest.invoke(batch(event({"a": 1}), event({"b": 2})))
    assert result.json == {"batchItemFailures": []}
    assert {metric for metric, _ in receiver.samples()} == {"a", "b"}


def test_sends_all_events_of_a_batch_in_one_request(ingest, receiver):
    ingest.invoke(batch(*[event({"ph": number + 0.5}, {"pond": str(number)}) for number in range(100)]))
    assert len(receiver.writes) == 1
    assert len(receiver.samples()) == 100


def test_returns_a_batch_that_could_not_be_stored(ingest, receiver):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest.invoke(batch(record(event(), "m-1"), record(event(), "m-2")), deadline_s=3)
    assert sorted(result.failures) == ["m-1", "m-2"]


def test_acknowledges_an_empty_batch(ingest, receiver):
    # An empty `Records` does not name its service. The answer must not be an error; the contract leaves its form open.
    assert ingest.invoke({"Records": []}).ok
    assert receiver.writes == []


def test_acknowledges_a_message_with_an_empty_array(ingest, receiver):
    assert ingest.invoke(batch(record("[]", "m-1"))).failures == []
    assert receiver.writes == []


def test_reads_a_message_as_an_array_of_events(ingest, receiver):
    assert ingest.invoke(batch(record([event({"a": 1}), event({"b": 2})], "m-1"))).failures == []
    assert {metric for metric, _ in receiver.samples()} == {"a", "b"}


def test_dead_letters_a_whole_message_with_a_rejected_event_and_stores_the_good_ones(ingest_with_queue, receiver,
                                                                                    dead_letters):
    body = json.dumps([event({"a": 1}), BROKEN, event({"b": 2})])
    assert ingest_with_queue.invoke(batch(record(body, "m-1"))).failures == []
    assert {metric for metric, _ in receiver.samples()} == {"a", "b"}
    letter = dead_letters.letter()
    assert letter.body == body
    assert letter.attributes["reason"] == "invalid_value"
    assert "[1].metrics.ph" in letter.attributes["detail"]


def test_returns_a_message_with_a_rejected_event_if_there_is_no_queue(ingest, receiver):
    result = ingest.invoke(batch(record([event({"a": 1}), BROKEN], "m-1"), record(event({"b": 2}), "m-2")))
    assert result.failures == ["m-1"]
    assert {metric for metric, _ in receiver.samples()} == {"a", "b"}


def test_dead_letter_has_the_reason_of_the_first_rejected_event_and_counts_the_others(ingest_with_queue, dead_letters):
    body = [event({"a": 1}), {"metrics": {"__x": 1}}, BROKEN, BROKEN, {"metrics": {}}, BROKEN]
    ingest_with_queue.invoke(batch(record(body, "m-1")))
    letter = dead_letters.letter()
    assert letter.attributes["reason"] == "invalid_metric_name"
    assert "[1].metrics.__x" in letter.attributes["detail"]
    assert letter.attributes["detail"].endswith("; and 4 more")


def test_returns_a_message_with_errored_and_rejected_events(ingest_with_queue, receiver,
                                                                                          dead_letters):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest_with_queue.invoke(batch(record([event(), BROKEN], "m-1")), deadline_s=3)
    assert result.failures == ["m-1"]
    assert dead_letters.letters() == []


def test_dead_letters_a_rejected_message_even_if_the_others_errored(ingest_with_queue, receiver,
                                                                                 dead_letters):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest_with_queue.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2")), deadline_s=3)
    assert result.failures == ["m-2"]
    assert dead_letters.letter().body == BROKEN_TEXT


def test_decides_on_each_message_of_a_batch_by_itself(ingest, receiver):
    bodies = {"ok": event({"ph": 1}), "json": "{", "value": BROKEN_TEXT, "shape": "17", "fine": event({"ph2": 1})}
    result = ingest.invoke(batch(*[record(body, name) for name, body in bodies.items()]))
    assert sorted(result.failures) == ["json", "shape", "value"]
    assert {metric for metric, _ in receiver.samples()} == {"ph", "ph2"}


def test_takes_two_records_with_the_same_body_as_two_messages(ingest):
    result = ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(BROKEN_TEXT, "m-2")))
    assert sorted(result.failures) == ["m-1", "m-2"]


def test_dead_letters_one_broken_record_of_fifty_and_stores_the_others(ingest_with_queue, receiver,
                                                                                           dead_letters):
    records = [record(event({"ph": n + 0.5}, {"device": f"d{n}"}), f"m-{n}") for n in range(50)]
    broken = '{"metrics":  {"ph": "n/a"}, "dimensions": {"device": "dé"}}'
    sent = now_ms() - 5000
    records[17] = record(broken, "m-17", sent=sent)
    assert ingest_with_queue.invoke(batch(*records)).failures == []
    assert len(receiver.samples()) == 49
    letter = dead_letters.letter()
    assert letter.body == broken
    assert letter.attributes["reason"] == "invalid_value"
    assert letter.attributes["detail"] == 'metrics.ph: "n/a" is not a number'
    assert letter.attributes["source_message_id"] == "m-17"
    assert letter.attributes["sent_timestamp"] == str(sent)


def test_returns_only_the_broken_record_of_fifty_if_there_is_no_queue(ingest, receiver):
    records = [record(event({"ph": n + 0.5}, {"device": f"d{n}"}), f"m-{n}") for n in range(50)]
    records[17] = record(BROKEN_TEXT, "m-17")
    assert ingest.invoke(batch(*records)).failures == ["m-17"]
    assert len(receiver.samples()) == 49


@pytest.mark.parametrize("given, wanted", [
    (dict(sent=1_000), "sent"), (dict(sent=1_000, attributes=True), "attribute"),
], ids=["SentTimestamp", "the attribute sent_timestamp before it"])
def test_an_event_without_a_timestamp_takes_the_time_of_its_message(ingest, receiver, given, wanted):
    sent, older = now_ms() - 20_000, now_ms() - 50_000
    attributes = {"sent_timestamp": str(older)} if "attributes" in given else None
    ingest.invoke(batch(record(event({"ph": 6.7}, timestamp=None), sent=sent, attributes=attributes)))
    [(time, _)] = receiver.metric("ph")
    assert time == (sent if wanted == "sent" else older)


# --- FIFO ------------------------------------------------------------------------------------------------------------

def test_returns_the_later_messages_of_a_fifo_group(ingest_with_queue, receiver,
                                                                                        dead_letters):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest_with_queue.invoke(batch(
        record(BROKEN_TEXT, "a-0", group="a"), record(event({"a": 1}), "a-1", group="a"),
        record(BROKEN_TEXT, "a-2", group="a"), record("[]", "a-3", group="a"),
        record("[]", "b-1", group="b"), record('{"metrics": {"b": "abc"}}', "b-2", group="b"),
    ), deadline_s=3)
    assert sorted(result.failures) == ["a-1", "a-2", "a-3"]
    letters = dead_letters.letters()
    assert sorted(letter.attributes["source_message_id"] for letter in letters) == ["a-0", "b-2"]


def test_a_rejected_message_does_not_stop_its_fifo_group(ingest, receiver):
    result = ingest.invoke(batch(record(event({"a": 1}), "a-1", group="a"), record(BROKEN_TEXT, "a-2", group="a"),
                                 record(event({"b": 1}), "a-3", group="a")))
    assert result.failures == ["a-2"]
    assert {metric for metric, _ in receiver.samples()} == {"a", "b"}


def test_one_fifo_group_does_not_stop_another(ingest, receiver):
    generator = random.Random(7)
    # The two groups are too large for one request. Only the request that holds `marked` fails.
    def filler(metric):
        return [event({f"{metric}{n}": 1}, {f"l{k}": f"{generator.getrandbits(4000):01000x}" for k in range(6)})
                for n in range(100)]
    records = [record(filler(f"{group}_{part}_"), f"{group}-{part}", group=group)
               for part in range(3) for group in ("a", "b")]
    receiver.answer_with(lambda write: Answer(503 if _holds(write, "a_0_0") else 204))
    # There is time for all tries: the receiver might store a request that the function gives up in the middle.
    result = ingest.invoke(batch(*records), deadline_s=20)
    assert {"a-0", "a-1", "a-2"} <= set(result.failures)
    failed_metrics = {name for write in receiver.writes if not write.acknowledged for name in _metrics(write)}
    stored = {metric for metric, _ in receiver.samples()}
    wanted = set()
    for part in range(3):  # group b stops at its first message that has a sample in a failed request
        if wanted or any(f"b_{part}_{n}" in failed_metrics - stored for n in range(100)):
            wanted.add(f"b-{part}")
    assert {one for one in result.failures if one.startswith("b")} == wanted


def _metrics(write):
    return {dict(series.labels)["__name__"] for series in write.series}


def _holds(write, metric):
    return metric in _metrics(write)


def test_does_not_treat_a_standard_queue_with_message_groups_as_fifo(ingest_with_queue, receiver, dead_letters):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest_with_queue.invoke(batch(record(event(), "a-1", group="a", arn=ARN),
                                            record(BROKEN_TEXT, "a-2", group="a", arn=ARN)), deadline_s=3)
    assert result.failures == ["a-1"]
    assert dead_letters.letter().attributes["source_message_id"] == "a-2"


def test_recognises_a_fifo_queue_by_its_arn(ingest_with_queue, receiver, dead_letters):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest_with_queue.invoke(batch(record(event(), "a-1", group="a", arn=FIFO_ARN),
                                            record(BROKEN_TEXT, "a-2", group="a", arn=FIFO_ARN)), deadline_s=3)
    assert sorted(result.failures) == ["a-1", "a-2"]
    assert dead_letters.letters() == []


# --- a real queue ----------------------------------------------------------------------------------------------------

def test_stores_the_messages_of_a_queue_and_receives_a_failed_batch_again(ingest_with_queue, receiver, sqs, dead_letters):
    queue = sqs.queue(VisibilityTimeout="300")
    queue.send_all([event({"ph": n + 0.5}, {"device": f"d{n}"}) for n in range(20)] + [BROKEN_TEXT])
    receiver.answer(Answer(404))
    first = queue.lambda_event()
    failed = ingest_with_queue.invoke(first, deadline_s=10)
    assert len(failed.failures) == 20
    queue.settle(first, failed)
    second = queue.lambda_event()
    assert {item["attributes"]["ApproximateReceiveCount"] for item in second["Records"]} == {"2"}
    queue.settle(second, ingest_with_queue.invoke(second))
    assert queue.lambda_event() == {"Records": []}
    assert len(receiver.samples()) == 20
    assert dead_letters.letter().body == BROKEN_TEXT


def test_stores_the_messages_of_a_fifo_queue(ingest, receiver, sqs):
    queue = sqs.queue(fifo=True, VisibilityTimeout="300")
    now = now_ms()
    for number in range(5):
        queue.send(event({"ph": number + 0.5}, timestamp=now + number), group="pond")
    received = queue.lambda_event()
    queue.settle(received, ingest.invoke(received))
    assert [time for time, _ in receiver.metric("ph")] == [now + number for number in range(len(received["Records"]))]
