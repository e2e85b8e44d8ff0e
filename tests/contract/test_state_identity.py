"""A typed event counts once: identities, puts, and dead letters that come back."""
import base64
import json

import pytest

from support import proxy
from support.command_line import pushgw
from support.events import BROKEN, event, now_ms
from support.function_url import call
from support.proxy import FaultProxy
from support.recorder import Recorder
from support.sqs import event as batch
from support.sqs import record
from support.state import TickReceiver, tick, typed

HOUR = 3_600_000
ONE = typed("counter", 1, "c")


RECEIVER = TickReceiver


@pytest.fixture
def function(start, state, sqs, dead_letters):
    return start(**state, HTTP_AUTH="none", DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)


def post(function, events, key=None, **more):
    headers = [("Content-Type", "application/json")] + ([("Idempotency-Key", key)] if key is not None else [])
    answered = call(function, "POST", "/events", json.dumps(events).encode(), headers, **more)
    assert answered.status == 200, answered.text
    return json.loads(answered.body)


def test_an_idempotency_key_is_the_identity_of_an_http_request_and_without_one_it_has_none(function, receiver):
    for _ in range(2):
        assert post(function, [ONE, ONE], "k-1")["typed"] == 2
        assert post(function, ONE)["typed"] == 1
        assert post(function, ONE, "")["typed"] == 1
    post(function, [ONE, ONE, ONE], "k-1")
    # It is no message id, and no request id.
    post(function, ONE, "m-1")
    assert function.invoke(batch(record(ONE, "m-1"))).failures == []
    assert function.invoke([ONE], request_id="k-1").ok
    summary = tick(function)
    assert (summary["increments"], summary["duplicates"], receiver.last("c")) == (3 + 4 + 3, 4, {(): 10.0})


def test_an_id_wins_over_every_identity_of_a_message(function, receiver):
    own = {**ONE, "id": "o-7"}
    post(function, own, "k-1")
    post(function, own, "k-2")
    assert function.invoke(batch(record(own, "m-1"), record([ONE, own], "m-2", attributes={"source_message_id": "m-0"}))).failures == []
    assert function.invoke(own).ok
    assert tick(function)["duplicates"] == 4 and receiver.last("c") == {(): 2.0}


def test_the_ids_of_wrappers_do_not_count(function, receiver):
    """EventBridge and SNS give a message an id, and may give it again. Lambda's request id is the same when Lambda tries again."""
    bridge = {"version": "0", "id": "e-1", "detail-type": "x", "source": "y", "time": "2026-01-01T00:00:00Z", "detail": ONE}
    sns = {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": "arn",
                        "Sns": {"Type": "Notification", "MessageId": "n-1", "TopicArn": "t", "Message": json.dumps(ONE)}}]}
    for wrapped in bridge, sns:
        for request in "r-1", "r-1", "r-2":
            assert function.invoke(wrapped, request_id=f"{request}-{wrapped is sns}").ok
    encoded = base64.b64encode(json.dumps(bridge).encode()).decode()
    for _ in range(2):
        assert function.invoke(batch(record(bridge, "m-1"), record(encoded, "m-2"))).failures == []
    assert tick(function)["duplicates"] == 4 and receiver.last("c") == {(): 6.0}


def test_a_journal_item_is_one_plain_put_under_a_fresh_key_for_each_try(start, dynamodb, table):
    with Recorder(dynamodb.endpoint) as recorder:
        function = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=recorder.url)
        events = [typed("counter", 1.5, "c"), typed("gauge", 2 ** 62, "g"), typed("histogram", [1, 2], "h"), event()]
        for _ in range(2):
            assert function.invoke(batch(record(events, "m-1"))).failures == []
        exchanges = recorder.exchanges
    assert [request.header("X-Amz-Target") for request, *_ in exchanges] == ["DynamoDB_20120810.PutItem"] * 2
    puts = [json.loads(request.body) for request, *_ in exchanges]
    assert all(set(put) <= {"TableName", "Item", "ReturnConsumedCapacity"} for put in puts), "neither a condition nor an old value"
    assert len({put["Item"]["sk"]["S"] for put in puts}) == 2
    assert {kind for put in puts for name, value in put["Item"].items() for kind in value if name not in ("pk", "sk")} == {"N", "B"}
    assert {name for put in puts for name, value in put["Item"].items() if "N" in value} == {"v", "ttl"}, "values travel as binary"


@pytest.mark.early
def test_a_put_without_an_answer_is_given_up_after_five_seconds_and_counts_once(start, dynamodb, table, receiver):
    """The table took it. The next try has another key, and the message is delivered."""
    with FaultProxy(dynamodb.endpoint.partition("://")[2]) as state:
        function = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=state.url)
        state.faults(proxy.hang(stored=True))
        result = function.invoke(batch(record(ONE, "m-1")))
        assert result.failures == [] and 4.9 < result.seconds < 8
        state.faults(proxy.hang(stored=True))
        # There is no time for another try: Errored. SQS delivers the message again.
        result = function.invoke(batch(record(ONE, "m-2")), deadline_s=5)
        assert result.failures == ["m-2"] and result.seconds < 5
        assert function.invoke(batch(record(ONE, "m-2", receive_count=2))).failures == []
        assert len({item["sk"] for item in table.items("j#0")}) == 4
        summary = tick(function)
    assert (summary["entries"], summary["increments"], summary["duplicates"]) == (4, 2, 2) and receiver.last("c") == {(): 2.0}


def test_typed_events_of_a_counted_dead_letter_are_too_old_after_an_hour(function, table, dead_letters):
    """Whatever their own times are. Its plain events are judged by theirs."""
    kept = {"source_message_id": "m-0", "sent_timestamp": str(now_ms() - HOUR - 1_000), "counted": "true"}
    assert function.invoke(batch(record([{**ONE, "timestamp": now_ms()}, event({"ph": 7})], "m-1", attributes=kept))).failures == []
    letter = dead_letters.letter()
    assert (letter.attributes["reason"], letter.attributes["source_message_id"], letter.attributes["counted"]) == ("too_old", "m-0", "true")
    assert letter.attributes["sent_timestamp"] == kept["sent_timestamp"] and table.items("j#0") == []


def test_an_id_with_a_timestamp_protects_for_ever(function, receiver, dead_letters):
    """After an hour nobody remembers the id, and the event is too old."""
    late = {**ONE, "id": "x", "timestamp": now_ms() - HOUR - 1_000}
    report = function.invoke([late, {**late, "timestamp": now_ms() - HOUR + 60_000}]).json
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(0, "too_old")] and report["typed"] == 1
    assert dead_letters.letter().attributes["maybe_stored"] == "true", "a direct caller may have sent it before"


#: Events whose series is held as a gauge or as a counter: each becomes a dead letter.
CONFLICTS = [
    typed("counter", 9_007_199_254_740_993, "a", labels={"z": "ä\u0001\u2028", "b": "\"\\"}), typed("counter", 0.1, "a", help="Some\n\"help\"."),
    typed("counter", "1e3", "a", dimensions={"n": 1.50}), typed("gauge", -2.5, "b"), typed("gauge", "3", "b", labels={"le": "x", "quantile": "y"}),
    typed("histogram", [0.5, 7, -1], "a", buckets=[0.1, 1, 2.5], counts=[1, 2, 9]), typed("histogram", 0.25, "a", labels={"l": "1"}, buckets=[0.1]),
    typed("histogram", [5e-324, 1.7e308], "a", labels={"l": "2"}), typed("summary", [1, 2], "b", quantiles=[0.99, 0.5], labels={"l": "3"}),
    typed("summary", 1, "b", labels={"l": "4"}), typed("histogram", [1, 1], "a", labels={"l": "5"}, counts=[2, 1], buckets=["+Inf"]),
]


def test_an_event_that_conflicts_comes_back_as_its_producer_could_have_written_it(start, dynamodb, state, sqs, dead_letters, receiver):
    """The dead letter is the event without its `id`. Sent back to an empty table, it gives the same series."""
    function = start(**state, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint, EXTERNAL_LABELS="env=prod")
    when = now_ms() - 60_000
    events = [{**one, "timestamp": when} if i % 2 else one for i, one in enumerate(CONFLICTS)]
    held = [{**typed("gauge" if one["name"] == "a" else "counter", 1, one["name"]), **{key: one[key] for key in ("labels", "dimensions") if key in one}}
            for one in events]
    assert function.invoke(held).json["typed"] == len(held)
    tick(function)
    before = len(receiver.writes)
    assert function.invoke([{**one, "id": f"o-{i}"} for i, one in enumerate(events)]).json["typed"] == len(events)
    # Some of the histograms and summaries have no label set in common with what is held, but another type or family.
    summary = tick(function, 1_000)
    assert (summary["type_conflicts"], summary["dead_lettered"], summary["increments"]) == (len(events), len(events), 0), summary
    letter = dead_letters.letter()
    rebuilt = json.loads(letter.body)
    assert all("id" not in one for one in rebuilt) and [one.get("timestamp") for one in rebuilt] == [one.get("timestamp") for one in events]
    assert all(one["labels"]["env"] == "prod" for one in rebuilt) and [one["type"] for one in rebuilt] == [one["type"] for one in events]
    assert len(receiver.writes) > before
    assert letter.attributes["reason"] == "type_conflict" and len(letter.attributes["source_message_id"].split(":")[0]) == 32

    def exposed(of):
        """Returns what a function with an empty table writes for these events."""
        with TickReceiver() as other:
            empty = {**state, "STATE_TABLE": dynamodb.table().name}
            one = start(REMOTE_WRITE_URL=other.remote_write_url, EXTERNAL_LABELS="env=prod", **empty)
            assert one.invoke(of).json["typed"] == len(of)
            assert tick(one)["type_conflicts"] == 0
            other.check()
            written = {key: samples[-1][1] for key, samples in other.samples().items() if samples}
            return written, [{key: value for key, value in one.items() if key != "timestamp"} for one in other.native("a")]
    for i, (original, again) in enumerate(zip(events, rebuilt)):
        assert exposed([original]) == exposed([again]), (i, original, again)


def test_a_message_with_a_rejected_event_is_mended_and_counts_what_was_not_counted(function, receiver, dead_letters, sqs):
    """The dead letter keeps the identity of its message, so its typed event counts once. The mended element is new."""
    assert function.invoke(batch(record([ONE, {**ONE, "value": -1}, BROKEN], "m-1"))).failures == []
    letter = dead_letters.letter()
    assert letter.attributes["counted"] == "true"
    mended = json.loads(letter.body)
    mended[1]["value"], mended[2] = 5, event({"ph": 7})
    kept = {name: letter.attributes[name] for name in ("reason", "detail", "source_message_id", "sent_timestamp", "counted")}
    dead_letters.send(mended, kept)
    source = sqs.queue()
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all", "--include-invalid", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert function.invoke(source.lambda_event()).failures == []
    summary = tick(function)
    assert (summary["increments"], summary["duplicates"]) == (2, 1)
    assert receiver.last("c") == {(): 6.0} and receiver.last("ph") == {(): 7.0}


def test_a_payload_that_is_one_dead_letter_says_that_it_is_counted_and_counts_once(function, receiver, dead_letters, sqs):
    """More than 5,000 of its events are rejected. The message that comes back has the identity of the invocation."""
    result = function.invoke([ONE, *[{**ONE, "value": "x"}] * 5_001, ONE])
    assert result.json["typed"] == 2 and result.json["rejected_count"] == 5_001
    source = sqs.queue()
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all", "--include-invalid", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["sent"] == 1, done.stdout + done.stderr
    again = source.lambda_event()
    (one,) = again["Records"]
    attributes = {name: attribute["stringValue"] for name, attribute in one["messageAttributes"].items()}
    assert (attributes["counted"], attributes["source_message_id"]) == ("true", result.request_id)
    assert function.invoke(again).failures == []
    summary = tick(function)
    assert (summary["increments"], summary["duplicates"], receiver.last("c")) == (2, 2, {(): 2.0})
