"""Direct invocation: the report, and the end of events that are rejected or could not be stored."""
import base64
import json
import time

import pytest

from support.events import BROKEN, event, now_ms
from support.receiver import Answer
from support.sqs import SqsFront, refuse_bodies_with

REPORT_KEYS = {"accepted", "rejected_count", "rejected", "samples", "series", "requests", "inexact", "null_values"}
NOTHING = {"accepted": 0, "rejected_count": 0, "rejected": [], "samples": 0, "series": 0, "requests": 0, "inexact": 0, "null_values": 0}


def report(**changes):
    return {**NOTHING, **changes}


def test_reports_a_stored_event_with_every_count(ingest):
    result = ingest.invoke(event({"temperature": "14.3", "ph": 6.7}, {"customerId": "c1"}))
    assert result.ok
    assert result.json == report(accepted=1, samples=2, series=2, requests=1)


def test_reports_an_array_as_a_whole(ingest):
    now = now_ms()
    result = ingest.invoke([event({"ph": 1.5}, timestamp=now), event({"ph": 2.5}, timestamp=now + 1),
                            event({"ph": 3.5}, {"pond": "b"}, timestamp=now)])
    assert result.json == report(accepted=3, samples=3, series=2, requests=1)


def test_samples_counts_distinct_samples_and_accepted_counts_events(ingest):
    now = now_ms()
    result = ingest.invoke([event({"ph": 6.7}, timestamp=now)] * 3)
    assert result.json == report(accepted=3, samples=1, series=1, requests=1)


def test_inexact_counts_the_integers_of_accepted_events_that_a_double_cannot_hold(ingest, receiver):
    payload = b'[{"metrics":{"a":9007199254740993,"b":9007199254740992}},{"metrics":{"c":"9007199254740993"}},' \
              b'{"metrics":{"d":9007199254740993,"e":"abc"}},{"metrics":{"f":9007199254740993.0}}]'
    result = ingest.invoke(payload)
    assert result.json["accepted"] == 3
    assert result.json["inexact"] == 2
    assert result.metrics["inexact"] == 2


@pytest.mark.parametrize("payload", [b"[]", b'{"Records":[]}', b" [ ] "])
def test_sends_nothing_for_an_empty_payload_and_succeeds(ingest, receiver, payload):
    result = ingest.invoke(payload)
    assert result.ok
    assert receiver.writes == []


def test_reports_an_empty_array_with_zeros(ingest):
    assert ingest.invoke(b"[]").json == NOTHING


@pytest.mark.parametrize("payload, reason, detail", [
    (BROKEN, "invalid_value", 'metrics.ph: "abc" is not a number'),
    ({"metrics": {"__ph": 1}}, "invalid_metric_name", "__ph"),
    ({"metrics": {"ph": 1}, "dimensions": {"__a": "b"}}, "invalid_label_name", "__a"),
    ({"metrics": {"a-b": 1, "a.b": 1}}, "metric_collision", "a_b"),
    ({"metrics": {"ph": 1}, "dimensions": {"a-b": "1", "a.b": "1"}}, "label_collision", "a_b"),
    ({"metrics": {"ph": 1}, "dimensions": {f"l{i}": "x" for i in range(150)}}, "too_many_labels", "150"),
    ({"metrics": {"ph": 1}, "dimensions": {"a": "x" * 2049}}, "too_large", "dimensions.a"),
    ({"metrics": {"ph": 1}, "timestamp": 1676398017}, "too_old", "old"),
    ({"metrics": {"ph": 1}, "timestamp": "2023-02-14T18:06:57"}, "invalid_event", "zone"),
    ({"metrics": {"ph": 1}, "timestamp": 1676398017000}, "too_old", "timestamp"),
    ({"metrics": {"ph": 1}, "timestamp": 4070908800000}, "in_future", "timestamp"),
    (b"not json", "invalid_json", ""),
], ids=lambda value: value if isinstance(value, str) and value.replace("_", "").isalpha() else "")
def test_answers_a_rejected_single_event_with_reason_and_detail(ingest, receiver, payload, reason,
                                                                                   detail):
    result = ingest.invoke(payload)
    assert not result.ok
    assert result.error_type == reason
    assert detail in result.error_message
    assert receiver.writes == []


def test_does_not_dead_letter_a_rejected_single_event(ingest_with_queue, dead_letters):
    assert ingest_with_queue.invoke(BROKEN).error_type == "invalid_value"
    assert dead_letters.letters() == []


def test_lists_a_rejected_event_of_an_array_and_stores_the_others(ingest, receiver):
    result = ingest.invoke([event({"a": 1.5}), {"metrics": {"ph": "abc"}}, event({"b": 2.5})])
    assert result.ok
    assert set(result.json) == REPORT_KEYS
    assert result.json["accepted"] == 2
    assert result.json["rejected_count"] == 1
    [refused] = result.json["rejected"]
    assert set(refused) == {"index", "reason", "detail"}
    assert (refused["index"], refused["reason"]) == (1, "invalid_value")
    assert 'metrics.ph: "abc" is not a number' in refused["detail"]
    assert {metric for metric, _ in receiver.samples()} == {"a", "b"}


def test_rejects_an_event_as_a_whole(ingest, receiver):
    result = ingest.invoke([event({"a": 1, "b": "abc", "c": 3})])
    assert result.json == report(rejected_count=1, rejected=result.json["rejected"])
    assert receiver.writes == []


def test_reports_an_array_of_one_rejected_event_without_an_error(ingest):
    result = ingest.invoke([BROKEN])
    assert result.ok
    assert result.json["rejected_count"] == 1


def test_report_lists_the_first_thousand_rejections_and_counts_all(ingest):
    result = ingest.invoke([BROKEN] * 1500)
    assert result.json["rejected_count"] == 1500
    assert [item["index"] for item in result.json["rejected"]] == list(range(1000))


def test_dead_letters_each_rejected_event_of_an_array_with_its_own_text(ingest_with_queue, dead_letters):
    first, second = '{ "metrics" : {"ph":\t"abc"}, "dimensions":{"dé":"\\u00e9 "} }', '{"metrics":{"ph":1e309}}'
    payload = f'[ {first} ,\n{{"metrics":{{"ph":6.7}}}}, {second}]'
    result = ingest_with_queue.invoke(payload.encode())
    assert result.ok
    letters = {letter.body: letter for letter in dead_letters.letters()}
    assert set(letters) == {first, second}
    for letter in letters.values():
        assert letter.attributes["reason"] == "invalid_value"
        assert letter.attributes["source_message_id"] == result.request_id
        # A direct payload has no time of its own. The time of the invocation lets a redriven event keep its time.
        assert int(letter.attributes["sent_timestamp"]) == pytest.approx(now_ms(), abs=10_000)
        assert set(letter.attributes) == {"reason", "detail", "source_message_id", "source_index", "sent_timestamp"}
    assert [letters[text].attributes["source_index"] for text in (first, second)] == ["0", "2"]
    assert '"abc" is not a number' in letters[first].attributes["detail"]


def test_dead_letters_more_events_than_one_call_takes(ingest_with_queue, dead_letters):
    bodies = [f'{{"metrics":{{"ph":"abc{number}"}}}}' for number in range(37)]
    result = ingest_with_queue.invoke(("[" + ",".join(bodies) + "]").encode())
    assert result.json["rejected_count"] == 37
    assert sorted(letter.body for letter in dead_letters.letters()) == sorted(bodies)


def test_fifo_dead_letter_of_a_direct_event_has_the_group_rejected(start, sqs):
    queue = sqs.queue(fifo=True)
    ingest = start(DEAD_LETTER_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    result = ingest.invoke([BROKEN, event(), BROKEN])
    assert result.ok
    letters = queue.letters()
    assert [letter.system["MessageGroupId"] for letter in letters] == ["rejected", "rejected"]
    ids = [letter.system["MessageDeduplicationId"] for letter in letters]
    # The contract does not fix how the two are joined; the id must have both.
    for number, one in zip(("0", "2"), sorted(ids)):
        assert one.startswith(result.request_id) and one.endswith(number)


def test_answers_an_error_with_the_report_if_the_dead_letter_queue_fails(start, sqs):
    ingest = start(DEAD_LETTER_QUEUE_URL=sqs.missing_queue_url(), AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    result = ingest.invoke([event({"ph": 6.7}), BROKEN])
    assert result.error_type == "dead_letter_failed"
    said = json.loads(result.error_message)
    assert said["accepted"] == 1
    assert said["rejected_count"] == 1
    assert said["rejected"][0]["reason"] == "invalid_value"


@pytest.fixture
def flooded(start, sqs):
    """Returns the result for twenty thousand rejected events if the dead-letter queue does not exist."""
    ingest = start(DEAD_LETTER_QUEUE_URL=sqs.missing_queue_url(), AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    return ingest.invoke([BROKEN] * 20_000, deadline_s=20)


def test_the_report_of_a_failed_dead_letter_queue_counts_all_and_lists_a_thousand(flooded):
    assert flooded.error_type == "dead_letter_failed"
    said = json.loads(flooded.error_message)
    assert said["rejected_count"] == 20_000
    assert len(said["rejected"]) == 1000


def test_the_report_of_a_failed_dead_letter_queue_is_not_written_into_the_log(flooded):
    assert max(len(line) for line in flooded.raw_log.splitlines()) < 20_000


def test_answers_an_error_if_the_queue_refuses_one_of_many_dead_letters(start, sqs, dead_letters):
    with SqsFront(sqs, *refuse_bodies_with("poison")) as front:
        ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=front.url)
        result = ingest.invoke([BROKEN, {"metrics": {"ph": "poison"}}], deadline_s=8)
    assert result.error_type == "dead_letter_failed"


def test_dead_letters_more_than_five_thousand_events_as_one_payload(start, sqs):
    queue = sqs.queue(fifo=True)
    ingest = start(DEAD_LETTER_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    texts = [b'{"x" :%d}' % number for number in range(5_001)]
    few, many = b"[" + b", ".join(texts[:50]) + b"]", b" [" + b" ,".join([json.dumps(event()).encode(), *texts]) + b"]\n"
    assert ingest.invoke(few).ok
    assert [letter.body.encode() for letter in queue.letters()] == texts[:50]
    result = ingest.invoke(many)
    assert (result.json["accepted"], result.json["rejected_count"]) == (1, 5_001)
    letter = queue.letter()
    assert letter.body.encode() == many
    assert letter.attributes["reason"] == "invalid_event" and letter.attributes["detail"].endswith("; and 5000 more")
    assert letter.attributes["source_message_id"] == result.request_id and "source_index" not in letter.attributes
    assert (letter.system["MessageGroupId"], letter.system["MessageDeduplicationId"]) == ("rejected", result.request_id)


def test_answers_delivery_failed_if_the_payload_is_too_long_for_one_dead_letter(ingest_with_queue, dead_letters):
    result = ingest_with_queue.invoke([event()] + ["x" * 200] * 6_000)
    assert result.error_type == "delivery_failed"
    assert all(text in result.error_message for text in ("6000 of 6001", "1 were delivered", "more than SQS takes"))
    assert dead_letters.letters() == []


def test_makes_a_dead_letter_of_an_event_that_only_the_receiver_rejects(start, sqs, dead_letters, receiver):
    receiver.answer_with(lambda write: Answer(400, "out of bounds") if b"bad" in write.request.body else Answer(204))
    ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    bad = '{ "metrics":{"bad" : 1},"dimensions":{"a":"\\u00e9"}}'
    text = f'[{json.dumps(event())},{bad} , {json.dumps(event({"ph": 2}))}]'
    for payload in (text, base64.b64encode(text.encode()).decode()):
        assert ingest.invoke(payload.encode(), deadline_s=10).json["rejected_count"] == 1
        assert dead_letters.letter().body == bad


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: base64.b64encode(text)], ids=["plain", "base64"])
def test_answers_in_time_if_the_queue_hangs_after_390_000_rejected_events(start, sqs, dead_letters, wrap):
    payload = wrap(b"[" + b",".join([b"1"] * 390_000) + b"]")
    with SqsFront(sqs, hook=lambda call: time.sleep(30)) as front:
        ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=front.url)
        result = ingest.invoke(payload, deadline_s=8)
    assert result.error_type == "dead_letter_failed", result
    assert result.seconds < 8
    assert len(json.loads(result.error_message)["rejected"]) == 1000


@pytest.mark.parametrize("status", [500, 503, 403, 404, 301])
def test_answers_delivery_failed_with_counts_and_status_if_nothing_was_stored(ingest, receiver, status):
    receiver.answer_with(lambda write: Answer(status, "because"))
    result = ingest.invoke([event({"a": 1}), event({"b": 2}), event({"c": 3})], deadline_s=3)
    assert result.error_type == "delivery_failed"
    assert str(status) in result.error_message
    assert "3" in result.error_message.replace(str(status), "")


def test_answers_delivery_failed_for_a_single_event_that_was_not_stored(ingest, receiver):
    receiver.answer_with(lambda write: Answer(503))
    assert ingest.invoke(event(), deadline_s=3).error_type == "delivery_failed"


def test_dead_letters_nothing_if_another_event_errored(ingest_with_queue, receiver, dead_letters):
    receiver.answer_with(lambda write: Answer(503))
    result = ingest_with_queue.invoke([event(), BROKEN], deadline_s=3)
    assert result.error_type == "delivery_failed"
    assert dead_letters.letters() == []


def test_reports_rejections_only_and_warns_at_start_without_a_queue(ingest):
    warnings = [line for line in ingest.start_log.splitlines() if '"WARN"' in line]
    assert any("DEAD_LETTER_QUEUE_URL" in line for line in warnings), ingest.start_log


def test_does_not_warn_at_start_with_a_queue(ingest_with_queue):
    warnings = [line for line in ingest_with_queue.start_log.splitlines() if '"WARN"' in line]
    assert all("HTTP door" in line for line in warnings), "a function without credentials for the door says that it is closed"


@pytest.mark.parametrize("wrap", [
    lambda one: {"version": "0", "id": "1", "detail-type": "reading", "source": "ponds", "account": "123456789012",
                 "time": "2020-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": one},
    lambda one: {"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:us-east-1:123456789012:t",
                 "Message": json.dumps(one), "Timestamp": "2020-01-01T00:00:00.000Z"},
], ids=["eventbridge", "sns notification"])
def test_applies_the_same_rules_to_a_wrapped_direct_payload(ingest, receiver, wrap):
    assert ingest.invoke(wrap(event({"ph": 6.7}))).json == report(accepted=1, samples=1, series=1, requests=1)
    assert ingest.invoke(wrap(BROKEN)).error_type == "invalid_value"


def test_reads_sns_records_as_their_messages(ingest, receiver):
    payload = {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0",
                            "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:t:1",
                            "Sns": {"Type": "Notification", "MessageId": "1", "Message": json.dumps(event({"ph": 6.7})),
                                    "TopicArn": "arn:aws:sns:us-east-1:123456789012:t",
                                    "Timestamp": "2020-01-01T00:00:00.000Z", "MessageAttributes": {}}}]}
    assert ingest.invoke(payload).json["accepted"] == 1
    assert receiver.metric("ph")
