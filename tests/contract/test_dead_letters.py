"""A dead letter is the original body, byte for byte, with all that an operator needs to correct it and send it again."""
import time

import pytest

from support.events import BROKEN_TEXT, event, now_ms
from support.http_server import closed_port
from support.sqs import SqsFront, broken, record, refuse_bodies_with, throttled
from support.sqs import event as batch

LIMIT = 1024 * 1024


@pytest.mark.parametrize("body", [
    BROKEN_TEXT,
    ' \n\t{"metrics" :\r\n {"ph":"abc"} }  \n',
    '{"metrics":{"ph":"abc"},"dimensions":{"name":"Wörth am Rhein \U0001f41f"}}',
    '{"metrics":{"ph":"abc"},"dimensions":{"name":"\\u00e9\\ud83d\\udc1f"}}',
    "not json at all",
    "{",
    "null",
    '{"metrics":{"ph":1,"ph":2}}',
    "eyJtZXRyaWNzIjp7InBoIjoiYWJjIn19",
    '{"metrics":{"ph":"\\ud800"}}',
], ids=["plain", "white space", "unicode", "escapes", "no json", "cut short", "null", "key twice", "base64",
        "lone surrogate"])
def test_dead_letter_has_the_original_body_byte_for_byte(ingest_with_queue, dead_letters, body):
    assert ingest_with_queue.invoke(batch(record(body, "m-1"))).failures == []
    assert dead_letters.letter().body == body


def test_dead_letter_has_reason_detail_source_and_time_and_nothing_else(ingest_with_queue, dead_letters):
    sent = now_ms() - 1234
    ingest_with_queue.invoke(batch(record(BROKEN_TEXT, "m-1", sent=sent, attributes={"colour": "blue"})))
    assert dead_letters.letter().attributes == {
        "reason": "invalid_value",
        "detail": 'metrics.ph: "abc" is not a number',
        "source_message_id": "m-1",
        "sent_timestamp": str(sent),
    }


def test_redriven_message_that_is_rejected_again_keeps_its_first_time_and_source(ingest_with_queue, dead_letters):
    first = now_ms() - 600_000
    old = {"sent_timestamp": str(first), "reason": "too_old", "detail": "old", "source_message_id": "m-0",
           "source_index": "17", "maybe_stored": "true"}
    ingest_with_queue.invoke(batch(record(BROKEN_TEXT, "m-1", attributes=old)))
    assert dead_letters.letter().attributes == {
        "reason": "invalid_value",
        "detail": 'metrics.ph: "abc" is not a number',
        "source_message_id": "m-0",
        "source_index": "17",
        "sent_timestamp": str(first),
    }


def test_an_empty_source_counts_as_none(ingest_with_queue, dead_letters):
    ingest_with_queue.invoke(batch(record(BROKEN_TEXT, "m-1", attributes={"source_message_id": "", "source_index": ""})))
    attributes = dead_letters.letter().attributes
    assert attributes["source_message_id"] == "m-1" and "source_index" not in attributes


def test_maybe_stored_is_absent_if_the_gateway_rejected_the_event(ingest_with_queue, dead_letters):
    ingest_with_queue.invoke(batch(record(BROKEN_TEXT, receive_count=7)))
    assert "maybe_stored" not in dead_letters.letter().attributes


@pytest.mark.parametrize("body", [
    '{"metrics":{"a\\u0001b\\uffffc\\u0000":"abc"}}',
    '{"metrics":{"ph":"\\u0001\\ufffe\\u001b"}}',
    '{"dimensions":{"\\u0007":[]},"metrics":{"ph":1}}',
    '{"\\u0002":1,"metrics":{"ph":1}}',
], ids=["metric", "value", "label", "key"])
def test_characters_that_sqs_does_not_allow_do_not_stop_a_dead_letter(ingest_with_queue, dead_letters, body):
    assert ingest_with_queue.invoke(batch(record(body, "m-1"))).failures == []
    detail = dead_letters.letter().attributes["detail"]
    assert all(character in "\t\n\r" or 0x20 <= ord(character) <= 0xD7FF or 0xE000 <= ord(character) <= 0xFFFD
               or ord(character) >= 0x10000 for character in detail)


@pytest.mark.parametrize("body", [
    '{"metrics":{"ph":"' + "x" * 5000 + '"}}',
    '{"metrics":{"' + "é" * 5000 + '":"abc"}}',
    '{"dimensions":{"' + "\U0001f41f" * 3000 + '":[]},"metrics":{"ph":1}}',
    '{"metrics":{' + ",".join(f'"m{n}":"abc"' for n in range(5000)) + "}}",
], ids=["value", "metric", "label", "many"])
def test_detail_has_at_most_a_thousand_characters(ingest_with_queue, dead_letters, body):
    assert ingest_with_queue.invoke(batch(record(body, "m-1"))).failures == []
    detail = dead_letters.letter().attributes["detail"]
    assert 0 < len(detail) <= 1000


def _size(letter):
    return len(letter.body.encode()) + sum(len(name) + len(letter.types[name]) + len(value.encode())
                                           for name, value in letter.attributes.items())


def test_cuts_the_detail_if_body_and_attributes_exceed_the_limit(ingest_with_queue, dead_letters):
    body = BROKEN_TEXT.ljust(LIMIT - 140)
    sent = now_ms()
    assert ingest_with_queue.invoke(batch(record(body, "m-1", sent=sent))).failures == []
    letter = dead_letters.letter()
    assert letter.body == body
    assert letter.attributes["reason"] == "invalid_value"
    assert letter.attributes["source_message_id"] == "m-1"
    assert letter.attributes["sent_timestamp"] == str(sent)
    assert _size(letter) <= LIMIT


def test_returns_a_message_that_leaves_no_room_for_its_reason(ingest_with_queue, dead_letters):
    result = ingest_with_queue.invoke(batch(record(BROKEN_TEXT.ljust(LIMIT - 40), "m-1"), record(BROKEN_TEXT, "m-2")))
    assert result.failures == ["m-1"]
    assert dead_letters.letter().attributes["source_message_id"] == "m-2"


def test_sends_large_dead_letters_in_several_calls(ingest_with_queue, dead_letters):
    bodies = [BROKEN_TEXT.ljust(500_000 + number) for number in range(5)]
    assert ingest_with_queue.invoke(batch(*[record(body, f"m-{n}") for n, body in enumerate(bodies)])).failures == []
    assert sorted(len(letter.body) for letter in dead_letters.letters()) == [len(body) for body in bodies]


def test_sends_more_dead_letters_than_one_call_takes(ingest_with_queue, dead_letters):
    result = ingest_with_queue.invoke(batch(*[record(BROKEN_TEXT, f"m-{n}") for n in range(43)]))
    assert result.failures == []
    assert sorted(letter.attributes["source_message_id"] for letter in dead_letters.letters()) == \
        sorted(f"m-{n}" for n in range(43))


def test_loses_none_of_many_rejected_messages_in_little_time(ingest_with_queue, dead_letters):
    names = {f"m-{n}" for n in range(5000)}
    result = ingest_with_queue.invoke(batch(*[record(BROKEN_TEXT, name) for name in names]), deadline_s=1.5)
    assert result.seconds < 1.5
    put_aside = {letter.attributes["source_message_id"] for letter in dead_letters.letters()}
    assert names - set(result.failures) <= put_aside
    assert result.metrics["dead_lettered"] + result.metrics["handed_back"] == 5000


# --- a queue that fails ----------------------------------------------------------------------------------------------

def test_returns_rejected_messages_if_the_queue_does_not_exist(start, sqs, receiver):
    ingest = start(DEAD_LETTER_QUEUE_URL=sqs.missing_queue_url(), AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    result = ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event({"ph": 1}), "m-2")), deadline_s=10)
    assert result.failures == ["m-1"]
    assert receiver.metric("ph")


def test_returns_rejected_messages_if_the_queue_cannot_be_reached(start, receiver):
    endpoint = f"http://127.0.0.1:{closed_port()}"
    ingest = start(DEAD_LETTER_QUEUE_URL=f"{endpoint}/123456789012/q", AWS_ENDPOINT_URL_SQS=endpoint)
    result = ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event({"ph": 1}), "m-2")), deadline_s=8)
    assert result.failures == ["m-1"]
    assert result.seconds < 8
    assert receiver.metric("ph")


def test_answers_in_time_if_the_queue_does_not_answer(start, sqs, dead_letters):
    def hang(call):
        time.sleep(6)
        return broken()
    with SqsFront(sqs, hook=hang) as front:
        ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=front.url)
        result = ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2")), deadline_s=3)
    assert result.failures == ["m-1"]
    assert result.seconds < 3


def test_returns_exactly_the_message_that_a_batch_call_refuses(start, sqs, dead_letters):
    with SqsFront(sqs, *refuse_bodies_with("poison")) as front:
        ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=front.url)
        records = [record(BROKEN_TEXT, f"m-{n}") for n in range(5)]
        records[3] = record('{"metrics":{"ph":"poison"}}', "m-3")
        assert ingest.invoke(batch(*records), deadline_s=8).failures == ["m-3"]


@pytest.mark.parametrize("fault", [throttled, broken, lambda: "reset"], ids=["throttled", "5xx", "reset"])
def test_retries_a_passing_fault_of_the_queue(start, sqs, dead_letters, fault):
    with SqsFront(sqs, hook=lambda call: fault() if call.number == 1 else None) as front:
        ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=front.url)
        assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1")), deadline_s=10).failures == []
    assert dead_letters.letter().body == BROKEN_TEXT


# --- FIFO queues -----------------------------------------------------------------------------------------------------

def test_fifo_dead_letter_keeps_its_group_and_is_deduplicated_by_message_id(start, sqs):
    queue = sqs.queue(fifo=True)
    ingest = start(DEAD_LETTER_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1", group="pond-7"))).failures == []
    letter = queue.letter()
    assert letter.system["MessageGroupId"] == "pond-7"
    assert letter.system["MessageDeduplicationId"] == "m-1"


def test_fifo_dead_letter_from_a_standard_queue_has_the_group_rejected(start, sqs):
    queue = sqs.queue(fifo=True)
    ingest = start(DEAD_LETTER_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    ingest.invoke(batch(record(BROKEN_TEXT, "m-1")))
    letter = queue.letter()
    assert letter.system["MessageGroupId"] == "rejected"
    assert letter.system["MessageDeduplicationId"] == "m-1"


def test_fifo_queue_takes_two_dead_letters_with_the_same_body(start, sqs):
    queue = sqs.queue(fifo=True)
    ingest = start(DEAD_LETTER_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    ingest.invoke(batch(record(BROKEN_TEXT, "m-1", group="a"), record(BROKEN_TEXT, "m-2", group="a")))
    assert [letter.attributes["source_message_id"] for letter in queue.letters()] == ["m-1", "m-2"]


def test_standard_dead_letter_queue_takes_messages_of_a_fifo_queue(ingest_with_queue, dead_letters):
    assert ingest_with_queue.invoke(batch(record(BROKEN_TEXT, "m-1", group="pond-7"))).failures == []
    assert dead_letters.letter().attributes["source_message_id"] == "m-1"
