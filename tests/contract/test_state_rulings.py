"""The rulings of the state, with the real function as ingest and as tick, a table, a dead-letter queue and `pushgw`."""
import json

import pytest

from support import proxy
from support.command_line import pushgw
from support.events import now_ms
from support.function_url import call
from support.proxy import FaultProxy
from support.sqs import event as batch
from support.sqs import record
from support.state import TickReceiver, tick, typed

RECEIVER = TickReceiver


@pytest.fixture
def function(start, state, sqs, dead_letters):
    return start(**state, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)


def test_the_later_gauge_of_a_message_wins_also_if_the_message_is_cut_and_a_put_is_repeated(start, dynamodb, table, receiver):
    """A message of more than 350 KB is cut into items. The first and the last event of it set the same gauge."""
    padding = [typed("gauge", i, "padding", labels={"n": f"{i}{'x' * 900}"}) for i in range(1_000)]
    with FaultProxy(dynamodb.endpoint.partition("://")[2]) as state:
        function = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=state.remote_write_url(""))
        for name, faults in ("a", []), ("b", [proxy.answer(500, "{}")]), ("c", [proxy.reset_in_body(), proxy.answer(500, "{}", stored=True)]):
            message = [typed("gauge", 1, name), *padding, typed("gauge", 2, name)]
            before = len(table.items("j#0"))
            state.faults(*faults)
            assert function.invoke(batch(record(message, name))).failures == []
            assert len(table.items("j#0")) > before + 1, "the message was not cut"
        tick(function)
    assert [receiver.last(name) for name in "abc"] == [{(): 2.0}] * 3


def redrive(dead_letters, source):
    """Sends all dead letters back. Returns what then is on the queue, as an event of Lambda."""
    done = pushgw("redrive", "--queue-url", dead_letters.url, "--to", source.url, "--all", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return source.lambda_event()


def test_a_conflict_comes_back_from_its_dead_letter_and_its_copies_count_once(function, state, sqs, dead_letters, receiver):
    first = [typed("gauge", 1, "orders_total")]
    conflicting = [typed("counter", 3, "orders_total", id="o-1"), typed("counter", 4, "orders_total")]
    assert function.invoke(batch(record(first, "m-1"))).failures == []
    tick(function)
    assert function.invoke(batch(record(conflicting, "m-2"))).failures == []
    summary = tick(function, 1_000)
    assert (summary["type_conflicts"], summary["dead_lettered"], summary["owed"]) == (2, 2, 0)
    letter = dead_letters.letter()
    assert letter.attributes["reason"] == "type_conflict" and letter.attributes["source_message_id"].endswith(":type_conflict")
    assert [event.get("id") for event in json.loads(letter.body)] == [None, None]
    assert receiver.last("orders_total") == {(): 1.0}
    # A tick that dies behind the dead letter sends it again.
    kept = {name: letter.attributes[name] for name in ("reason", "detail", "source_message_id", "sent_timestamp")}
    for _ in range(2):
        dead_letters.send(letter.body, kept)
    done = pushgw("state", "delete", "orders_total", "--yes", **state)
    assert done.returncode == 0, done.stdout + done.stderr
    again = redrive(dead_letters, sqs.queue())
    assert len(again["Records"]) == 2
    assert function.invoke(again).failures == []
    summary = tick(function, 2_000)
    assert (summary["increments"], summary["duplicates"], summary["type_conflicts"]) == (2, 2, 0)
    assert receiver.last("orders_total") == {(): 7.0}, "the copies count once"


def sns(message, message_id):
    """Returns the body of an SQS message that SNS made."""
    return json.dumps({"Type": "Notification", "MessageId": message_id, "TopicArn": "arn:aws:sns:us-east-1:123456789012:t",
                       "Message": json.dumps(message), "Timestamp": "2026-01-01T00:00:00.000Z"})


def test_an_event_has_the_identity_of_its_message_and_index_and_that_of_a_wrapper_does_not_count(function, receiver):
    one = typed("counter", 1, "c_total")
    for _ in range(2):
        assert function.invoke(batch(record([one, one], "m-1"), record(sns(one, "n-1"), "m-2"), record(sns(one, "n-1"), "m-3"))).failures == []
        # Lambda keeps the request id when it tries an asynchronous invocation again.
        assert function.invoke([one, one, one], request_id="r-1").ok
    # The caller of a synchronous invocation has no such id.
    assert function.invoke(one).ok and function.invoke(one).ok
    # A mended body keeps its elements at their places.
    assert function.invoke(batch(record([{**one, "value": 50}, one, one], "m-9", attributes={"source_message_id": "m-1"}))).failures == []
    # One element of it.
    assert function.invoke(batch(record(one, "m-8", attributes={"source_message_id": "m-7", "source_index": "0"}))).failures == []
    assert function.invoke(batch(record(one, "m-7", attributes={"source_message_id": "m-7", "source_index": "0"}))).failures == []
    summary = tick(function)
    assert (summary["increments"], receiver.last("c_total")) == (2 + 2 + 3 + 2 + 1 + 1, {(): 11.0})


def test_an_id_makes_an_event_count_once_for_each_series_and_type(function, receiver):
    one = typed("counter", 1, "c_total", id="x")
    events = [one, one, {**one, "labels": {"a": "b"}}, {**one, "name": "d_total"}, {**one, "id": "7"}, {**one, "id": 7}, {**one, "value": 9}]
    assert function.invoke(events).json["typed"] == 7
    assert function.invoke(batch(record(one, "m-1"))).failures == []
    tick(function)
    assert receiver.last("c_total") == {(): 2.0, (("a", "b"),): 1.0} and receiver.last("d_total") == {(): 1.0}


def test_a_tick_counts_what_was_journalled_after_its_time_and_a_later_tick_does_not_count_it_again(function, receiver):
    assert function.invoke(typed("counter", 5, "c_total")).ok
    for minutes, counted in (-9, 1), (-8, 0), (0, 0):
        assert tick(function, minutes * 60_000)["increments"] == counted
    times = [when for when, _ in receiver.values()["c_total", ()]]
    assert len(times) == 4 and times == sorted(set(times)) and receiver.last("c_total") == {(): 5.0}


def test_a_series_over_the_limit_is_a_dead_letter_and_the_log_names_its_family(start, state, sqs, dead_letters, receiver):
    function = start(**state, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint, MAX_SERIES="3")
    events = [typed("counter", 1, "few_total")] + [typed("counter", 1, "ids_total", labels={"id": str(i)}) for i in range(5)]
    assert function.invoke(events).json["typed"] == 6
    result = function.invoke({"tick": now_ms()})
    assert {name: result.json[name] for name in ("series", "births", "series_limit", "dead_lettered")} == \
        {"series": 3, "births": 3, "series_limit": 3, "dead_lettered": 3}
    (warning,) = [line for line in result.logs if line["level"] == "WARN"]
    assert (warning["family"], warning["refused"]) == ("ids_total", 3)
    letter = dead_letters.letter()
    assert letter.attributes["reason"] == "series_limit" and len(json.loads(letter.body)) == 3
    # Series that are held go on.
    assert function.invoke(events[0]).ok and tick(function, 1_000)["series_limit"] == 0
    assert receiver.last("few_total") == {(): 2.0}


def test_without_a_dead_letter_queue_events_stay_owed_until_there_is_one(start, state, sqs, dead_letters, receiver):
    function = start(**state)
    assert function.invoke([typed("counter", 1), typed("gauge", 1)]).json["typed"] == 2
    result = function.invoke({"tick": now_ms()})
    assert result.json["owed"] == 1 and [line["level"] for line in result.logs if line["level"] == "ERROR"] == ["ERROR"]
    assert tick(function, 1_000)["owed"] == 1
    other = start(**state, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    assert tick(other, 2_000)["owed"] == 0 and json.loads(dead_letters.letter().body)["type"] == "gauge"
    assert tick(other, 3_000)["dead_lettered"] == 0


def test_at_most_10000_events_are_owed_and_a_tick_sends_1000_of_them(start, state, sqs, dead_letters, receiver):
    function = start(**state)
    assert function.invoke([typed("counter", 1)] + [typed("gauge", i) for i in range(10_010)]).json["typed"] == 10_011
    result = function.invoke({"tick": now_ms()})
    assert {name: result.json[name] for name in ("type_conflicts", "owed", "dropped", "dropped.type_conflict")} == \
        {"type_conflicts": 10_010, "owed": 10_000, "dropped": 10, "dropped.type_conflict": 10}
    assert [line["dropped"] for line in result.logs if line["level"] == "ERROR" and "dropped" in line] == [10]
    other = start(**state, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    for number in range(1, 12):
        summary = tick(other, number * 500)
        assert (summary["dead_lettered"], summary["owed"]) == ((1_000, 10_000 - number * 1_000) if number <= 10 else (0, 0))
    letters = dead_letters.letters()
    assert len({letter.attributes["source_message_id"] for letter in letters}) == len(letters) == 10
    values = [event["value"] for letter in letters for event in json.loads(letter.body)]
    assert sorted(values) == list(range(10_000))


def test_another_workspace_gets_metadata_anew_and_no_zeros(function, start, state, receiver):
    assert function.invoke(typed("counter", 5, "c_total", help="What it counts.")).ok
    tick(function)
    with TickReceiver() as other:
        assert function.invoke(typed("counter", 2, "c_total")).ok
        tick(start(**state, REMOTE_WRITE_URL=other.remote_write_url), 1_000)
        assert [value for _, value in other.values()["c_total", ()]] == [7.0]
        assert [len(write.metadata) for write in other.writes] == [0, 1]
        other.check()


def test_a_wipe_deletes_groups_and_leaves_typed_series(start, state, receiver):
    function = start(**state, HTTP_AUTH="none", HTTP_ADMIN="on")
    assert function.invoke(typed("counter", 5, "c_total")).ok
    for job in "a", "b":
        assert call(function, "PUT", f"/metrics/job/{job}", b"rows 7\n", [("Content-Type", "text/plain")]).status == 202
    assert (tick(function)["groups"], len(receiver.last("rows"))) == (2, 2)
    assert call(function, "PUT", "/api/v1/admin/wipe", b"", []).status == 202
    # A series and two push times of each group end.
    summary = tick(function, 1_000)
    assert (summary["groups"], summary["series"], summary["stale"]) == (0, 1, 6)
    assert set(receiver.last("rows").values()) == {"stale"} and receiver.last("c_total") == {(): 5.0}
    assert tick(function, 2_000)["stale"] == 0


def test_items_expire_after_14_days_and_the_head_never_does(function, table):
    assert function.invoke(typed("counter", 1)).ok
    tick(function)
    after_14_days = now_ms() / 1000 + 14 * 24 * 3600
    items = table.items("j#0") + table.items("s#0")
    kinds = {item["sk"][:2] for item in items if abs(item.get("ttl", 0) - after_14_days) < 120}
    assert kinds == {items[0]["sk"][:2], "b#", "i#"}
    assert {item["sk"] for item in items if "ttl" not in item} == {"head", "sent"}


def test_a_tick_says_what_is_wrong_with_its_time_and_changes_nothing(start, state, table, sqs, dead_letters):
    function = start(**state, HTTP_AUTH="none", DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    now = now_ms()
    table_of_wrong = [
        ({"tick": now + 60_000}, "ahead of the clock, at most 10000 are accepted"), ({"tick": now - 11 * 60_000}, "behind the clock, at most 600000 are"),
        ({"tick": None}, "tick: null is not a time"), ({"tick": "<aws.scheduler.scheduled-time>"}, "is not a time"), ({"tick": 10**40}, "is not a time"),
        ({"tick": now, "shard": 1}, "there is no shard 1"), ({"tick": now, "shard": "0"}, "is not the number of a shard"),
        ({"tick": now, "shard": -1}, "is not the number of a shard"),
    ]
    for payload, expected in table_of_wrong:
        result = function.invoke(payload)
        assert result.error_type == "tick_failed" and expected in result.error_message, (payload, result)
    for payload in {"tick": now, "other": 1}, {"tick": now, "metrics": {"a": 1}}:
        assert function.invoke(payload).error_type == "invalid_event"
    report = function.invoke([{"tick": now}]).json
    assert (report["accepted"], report["rejected"][0]["reason"]) == (0, "invalid_event")
    assert function.invoke(batch(record({"tick": now}))).failures == []
    wrapped = {"detail-type": "Scheduled", "source": "aws.events", "detail": {"tick": now}}
    assert function.invoke(wrapped).error_type == "invalid_event"
    assert call(function, "POST", "/events", json.dumps({"tick": now}).encode(), [("Content-Type", "application/json")]).status == 400
    assert table.items("s#0") == []


#: Wrong metrics, and their reasons.
WRONG = [
    ('{"type":"counter","name":"c","value":1e400}', "invalid_value"),
    ('{"type":"counter","name":"c","value":"0x10"}', "invalid_value"),
    ('{"type":"counter","name":"c","value":[1]}', "invalid_value"),
    ('{"type":"gauge","name":"c","value":true}', "invalid_value"),
    ('{"type":"counter","name":"  ","value":1}', "invalid_metric_name"),
    ('{"type":"counter","name":"\\u0000","value":1}', "invalid_metric_name"),
    ('{"type":"counter","name":"c","value":1,"labels":"a=b"}', "invalid_event"),
    ('{"type":"counter","name":"c","value":1,"labels":{"":"x"}}', "invalid_label_name"),
    ('{"type":"counter","name":"c","value":1,"labels":{"a":"1","a":"2"}}', "label_collision"),
    ('{"type":"counter","name":"c","value":1,"labels":{"a":"1"},"dimensions":{"a":"1"}}', "invalid_event"),
    ('{"type":"histogram","name":"h","value":1,"labels":{"le":"1"}}', "invalid_label_name"),
    ('{"type":"histogram","name":"h","value":[],"buckets":[1]}', "invalid_event"),
    ('{"type":"histogram","name":"h","value":"[1,2]","buckets":[1]}', "invalid_value"),
    ('{"type":"histogram","name":"h","value":1,"buckets":["+Inf",1]}', "invalid_event"),
    ('{"type":"histogram","name":"h","value":1,"buckets":[2,1]}', "invalid_event"),
    ('{"type":"histogram","name":"h","value":1,"buckets":{"0":1}}', "invalid_event"),
    ('{"type":"histogram","name":"h","value":1,"buckets":[true]}', "invalid_event"),
    ('{"type":"summary","name":"s","value":1,"quantiles":[1.1]}', "invalid_event"),
    ('{"type":"summary","name":"s","value":[1],"counts":[18446744073709551616]}', "invalid_event"),
    ('{"type":"GAUGE","name":"g","value":1}', "invalid_event"),
    ('{"type":"gauge","name":"g","value":1,"timestamp":0}', "too_old"),
    ('{"type":"gauge","name":"g","value":1,"id":true}', "invalid_event"),
]

#: Odd metrics that are right.
ODD = [
    *['{"type":"counter","name":"c1","value":9223372036854775807}'] * 3,
    '{"type":"counter","name":"c2","value":170141183460469231731687303715884105727}',
    '{"type":"counter","name":"c3","value":-0.0}', '{"type":"counter","name":"c3","value":" 1e3 "}',
    '{"type":"counter","name":"温度","value":1}', '{"type":"counter","name":"9a","value":1}',
    '{"type":"counter","name":"c4","value":1,"labels":[]}', '{"type":"counter","name":"c4","value":1,"dimensions":{"a":null}}',
    '{"type":"histogram","name":"h1","value":["1",2.5,"3e0"],"buckets":[1,"+Inf"]}', '{"type":"histogram","name":"h2","value":1,"buckets":["+Inf"]}',
    *['{"type":"histogram","name":"h3","value":[1],"counts":[9223372036854775807],"buckets":[1]}'] * 2,
    '{"type":"histogram","name":"h4","value":[1.7e308,1.7e308],"counts":[2.0,"3"],"buckets":[1]}',
    '{"type":"summary","name":"s1","value":[1.7e308,-1.7e308,1.7e308],"quantiles":[1,0,0.5,0.5]}',
]


def test_wrong_typed_metrics_have_their_reasons_and_odd_ones_are_exposed(function, receiver, dead_letters):
    bodies = [body for body, _ in WRONG] + ODD
    assert function.invoke(batch(*(record(body, f"m-{i}") for i, body in enumerate(bodies)))).failures == []
    reasons = {letter.attributes["source_message_id"]: letter.attributes["reason"] for letter in dead_letters.letters()}
    assert reasons == {f"m-{i}": reason for i, (_, reason) in enumerate(WRONG)}
    summary = tick(function)
    assert (summary["type_conflicts"], summary["refused"], summary["errored"]) == (0, 0, 0)
    largest = 1.7976931348623157e308
    expected = {"c1": 3.0 * 2**63, "c2": 2.0**127, "c3": 1000.0, "U___6e29__5ea6_": 1.0, "_9a": 1.0, "c4": 2.0, "h1_sum": 6.5, "h1_count": 3.0, "h2_count": 1.0,
                "h3_count": 2.0**63, "h4_sum": largest, "h4_count": 5.0, "s1_count": 3.0}
    assert {name: receiver.last(name).get(()) for name in expected} == expected
    assert receiver.last("h1_bucket") == {(("le", "1.0"),): 1.0, (("le", "+Inf"),): 3.0}
    assert receiver.last("s1") == {(("quantile", "0.0"),): -1.7e308, (("quantile", "0.5"),): pytest.approx(1.7e308, rel=0.01), (("quantile", "1.0"),): 1.7e308}
