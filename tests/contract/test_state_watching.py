"""The numbers of a tick, and a table that fails or that a newer release wrote."""
import json
import time

import pytest

from support import proxy
from support.command_line import pushgw
from support.events import event, now_ms
from support.function_url import call
from support.proxy import FaultProxy
from support.receiver import Answer
from support.remote_write import bits
from support.sqs import event as batch
from support.sqs import record
from support.state import TickReceiver, tick, typed

TEXT = ("Content-Type", "text/plain")
ONE = typed("counter", 1, "c")
#: The numbers of a tick that depend on the machine.
MEASURED = {"read_ms", "fold_ms", "write_ms", "total_ms", "bytes", "snapshot_bytes", "journal_age_ms"}


RECEIVER = TickReceiver


@pytest.fixture
def function(start, state, sqs, dead_letters):
    return start(**state, HTTP_AUTH="none", DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint, MAX_SERIES="4")


def put(function, job, body, **headers):
    answered = call(function, "PUT", f"/metrics/job/{job}", body.encode(), [TEXT, *headers.items()])
    assert answered.status == 202, answered.text


def test_every_number_of_a_tick_is_right_and_the_answer_is_that_of_its_line(function, receiver, table):
    began = now_ms()
    assert function.invoke([
        typed("counter", 2, "c"), typed("counter", 3, "c"), typed("histogram", [1, 5, 9], "h", buckets=[2]), typed("histogram", 1, "h", buckets=[7]),
        typed("summary", [1, 2], "s", quantiles=[0.5]), typed("gauge", 7, "g"), typed("gauge", 1, "c"), typed("counter", 1, "h_count"), typed("gauge", 1, "over"),
    ]).json["typed"] == 9
    for _ in range(2):
        assert function.invoke(batch(record(ONE, "m-1"))).failures == []
    put(function, "a", "x 1\nc 5\n")
    put(function, "b", "x{job=\"q\"} 2\n")
    put(function, "c/d/e", "y 1\n")
    put(function, "c", "y{d=\"e\"} 2\n")
    receiver.answer_with(lambda write: Answer(400, b"out of bounds") if any(("__name__", "g") in one.labels for one in write.series) else Answer(204))
    at = now_ms()
    result = function.invoke({"tick": at})
    report, line = result.json, result.metrics
    assert (line["trigger"], line["level"], line["message"]) == ("tick", "INFO", "invocation")
    assert {name: line[name] for name in report} == report, "the answer has the numbers of the line"
    assert set(line) - set(report) == {"level", "message", "FunctionName", "request_id", "trigger", "_aws"}
    # Typed: c, two buckets with sum and count, one quantile with sum and count. Three of a, b, and so on: a value and two push times.
    typed_values, zeros = 1 + 4 + 3, 1 + 4 + 2
    of_groups = 4 * 2 + 3 + 1
    assert {name: number for name, number in report.items() if name not in MEASURED | {"requests"}} == {
        "series": 4, "births": 4, "groups": 4, "expired": 0, "stale": 0, "entries": 11, "increments": 2 + 3 + 1 + 2 + 1 + 1, "duplicates": 1,
        "bucket_conflicts": 1, "type_conflicts": 2, "series_limit": 1, "series_conflicts": 1, "owed": 0, "dead_lettered": 3, "dropped": 0, "damaged": 0,
        "refused": 1, "errored": 0, "failed_shards": 0, "remembered": 0, "retries": 0, "metadata_failed": 0, "samples": typed_values + zeros + of_groups}
    assert report["requests"] == len(receiver.writes) and report["bytes"] == sum(len(write.request.body) for write in receiver.writes if write.series)
    assert 0 < report["journal_age_ms"] <= at - began + 1_000 and report["total_ms"] >= report["read_ms"] + report["fold_ms"] + report["write_ms"] - 1
    def blobs():
        return sum(len(item["b"]) for item in table.items("s#0") if item["sk"].startswith("b#"))

    written = blobs()
    assert report["snapshot_bytes"] == written
    embedded = line["_aws"]["CloudWatchMetrics"][0]
    assert sorted(metric["Name"] for metric in embedded["Metrics"]) == ["dropped", "journal_age_ms", "owed"] and embedded["Dimensions"] == [["FunctionName"]]
    # The next tick, and one that finds nothing new.
    receiver.answer_with(lambda write: Answer(503) if write.metadata else Answer(204))
    assert call(function, "DELETE", "/metrics/job/a").status == 202
    assert function.invoke(batch(record(typed("counter", 1, "c", help="New."), "m-1"), record(typed("gauge", 1, "g"), "m-2"))).failures == []
    report = tick(function, 1_000)
    expected = {"series": 4, "births": 0, "groups": 3, "stale": 4, "increments": 1, "duplicates": 1, "refused": 0, "series_conflicts": 1}
    assert {name: report[name] for name in expected} == expected and report["snapshot_bytes"] == blobs() - written, report
    report = tick(function, 2_000)
    assert (report["increments"], report["journal_age_ms"], report["remembered"] > 0) == (0, 0, True), report


def test_a_tick_counts_what_expired_what_was_refused_and_what_was_not_sent(start, state, receiver):
    function = start(**state, HTTP_AUTH="none", SERIES_TTL="2s")
    assert function.invoke([ONE, typed("summary", 1, "s", quantiles=[0.5])]).json["typed"] == 2
    put(function, "x", "x 1\n", **{"X-Push-TTL": "1s"})
    assert {name: number for name, number in tick(function, -5_000).items() if name in ("expired", "stale", "groups", "series")} == \
        {"expired": 0, "stale": 0, "groups": 1, "series": 2}
    # A counter, the three series of a summary, and three of the group.
    assert {name: number for name, number in tick(function, 3_000).items() if name in ("expired", "stale", "groups", "series")} == \
        {"expired": 2, "stale": 7, "groups": 0, "series": 0}
    receiver.answer_with(lambda write: Answer(400, b"no"))
    assert function.invoke(ONE).ok
    failed = function.invoke({"tick": now_ms() + 4_000})
    assert failed.ok and failed.json["refused"] == 2 and failed.json["errored"] == 0, "a refusal by itself settles a zero"
    receiver.answer_with(lambda write: Answer(401))
    failed = function.invoke({"tick": now_ms() + 5_000})
    assert failed.error_type == "tick_failed" and "401" in failed.error_message
    assert (failed.metrics["failed_shards"], failed.metrics["errored"]) == (1, 1) and failed.lines("ERROR")


def test_a_damaged_item_is_an_error_line_and_the_rest_is_counted(function, table, dynamodb):
    assert function.invoke([ONE]).ok
    (item,) = table.items("j#0")
    damaged = {"pk": {"S": "j#0"}, "sk": {"S": item["sk"][:-1] + "x"}, "v": {"N": "1"}, "b": {"B": item["b"][:-1] + b"?"}}
    dynamodb.client.put_item(TableName=table.name, Item=damaged)
    result = function.invoke({"tick": now_ms()})
    assert (result.json["damaged"], result.json["increments"]) == (1, 1)
    (line,) = result.lines("ERROR")
    assert damaged["sk"]["S"] in json.dumps(line) and "lost" in line["message"]


def newer(table, dynamodb, partition, prefix):
    """Gives the first item of a partition with this prefix the format of a newer release."""
    item = next(one for one in table.items(partition) if one["sk"].startswith(prefix))
    kinds = {"pk": "S", "sk": "S", "b": "B"}
    changed = {name: {kinds.get(name, "N"): value if name in kinds else str(value)} for name, value in item.items()}
    changed["b"] = {"B": bytes([255]) + bytes(item["b"])[1:]}
    dynamodb.client.put_item(TableName=table.name, Item=changed)


@pytest.mark.parametrize("partition, prefix, what", [
    ("j#0", "", "a journal item"), ("s#0", "head", "the head"), ("s#0", "b#", "a snapshot"), ("s#0", "i#", "identities"), ("s#0", "sent", "what the receiver has settled"),
    ("g#0", "", "a group"),
])
def test_a_table_of_a_newer_release_is_refused_with_a_sentence_and_nothing_in_it_changes(start, function, state, table, dynamodb, receiver, partition, prefix, what):
    assert function.invoke(ONE).ok
    put(function, "x", "a 1\n")
    tick(function)
    assert function.invoke(ONE).ok
    newer(table, dynamodb, partition, prefix)
    before, writes = [table.items(one) for one in ("s#0", "g#0")], len(receiver.writes)
    result = function.invoke({"tick": now_ms() + 1_000})
    sentence = "a newer release wrote version 255 of the format, this one reads up to"
    assert result.error_type == "tick_failed" and what in result.error_message and sentence in result.error_message and "update it" in result.error_message, result
    assert len(receiver.writes) == writes
    if partition == "g#0" or prefix in ("head", "b#"):
        answered = call(function, "GET", "/metrics")
        assert answered.status == 503 and sentence in answered.text, answered.text
        assert sentence in call(function, "GET", "/").text
        listed = pushgw("state", "list", **state)
        assert listed.returncode == 1 and sentence in listed.stderr, listed
        deleted = pushgw("state", "delete", '{__name__=~".+"}', "--yes", **state)
        assert deleted.returncode == 1 and sentence in deleted.stderr, deleted
    if partition == "g#0":
        assert call(function, "GET", "/api/v1/metrics").status == 503
        admin = start(**state, HTTP_AUTH="none", HTTP_ADMIN="on")
        for answered in (call(function, "PUT", "/metrics/job/x", b"a 2\n", [TEXT]), call(function, "POST", "/metrics/job/x", b"a 2\n", [TEXT]),
                         call(function, "DELETE", "/metrics/job/x"), call(admin, "PUT", "/api/v1/admin/wipe")):
            assert answered.status == 503 and sentence in answered.text and answered.headers["retry-after"], answered.text
    # A tick reads groups behind its commit, and loses nothing that it counted.
    assert table.items("g#0") == before[1] and (partition == "g#0" or table.items("s#0") == before[0])


def failing(status, kind, message):
    return proxy.answer(status, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}))


#: How the table fails, and what the sentences say.
FAILURES = {
    "missing": (lambda _: failing(400, "ResourceNotFoundException", "Requested resource not found"), "there is no table"),
    "forbidden": (lambda _: failing(400, "AccessDeniedException", "User is not authorized to perform: dynamodb:PutItem"), "no permission for the table"),
    "throttled": (lambda _: failing(400, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput"), "at the moment"),
    "broken": (lambda _: proxy.answer(500, "{}"), "does not answer"),
}


@pytest.mark.early
@pytest.mark.parametrize("name", FAILURES)
def test_a_table_that_fails_is_503_or_errored_never_rejected_and_touches_no_plain_event(start, dynamodb, table, receiver, dead_letters, sqs, name):
    fault, sentence = FAILURES[name]
    with FaultProxy(dynamodb.endpoint.partition("://")[2]) as front:
        front.fault_with(fault)
        function = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=front.url, HTTP_AUTH="none", HTTP_ADMIN="on", HTTP_DEADLINE="1s",
                         DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
        result = function.invoke(batch(record(ONE, "m-1"), record(event({"ph": 1}), "m-2"), record([event({"ph3": 3}), ONE], "m-3")), deadline_s=4)
        assert result.failures == ["m-1", "m-3"] and len(receiver.metric("ph")) == len(receiver.metric("ph3")) == 1
        assert (result.metrics["errored"], result.metrics["delivered"], result.metrics["rejected"], "typed" in result.metrics) == (2, 2, 0, False)
        assert sentence in json.dumps(result.warnings(message_id="m-1")[0]).lower(), result
        direct = function.invoke([ONE, event({"ph4": 4})], deadline_s=4)
        assert direct.error_type == "delivery_failed" and sentence in direct.error_message.lower()
        begun = time.monotonic()
        assert function.invoke(event({"ph5": 5})).ok and time.monotonic() - begun < 1
        assert dead_letters.letters() == []
        for method, path, body in (("PUT", "/metrics/job/x", b"a 1\n"), ("POST", "/metrics/job/x", b"a 1\n"), ("DELETE", "/metrics/job/x", b""), ("GET", "/metrics", b""),
                                   ("GET", "/api/v1/metrics", b""), ("PUT", "/api/v1/admin/wipe", b""), ("POST", "/events", json.dumps(ONE).encode())):
            answered = call(function, method, path, body, [TEXT])
            assert answered.status == 503 and 1 <= int(answered.headers["retry-after"]) <= 30, (method, path, answered.text)
            assert any(text in answered.text.lower() for text in (sentence, "did not answer in time")) or path == "/events", (method, path, answered.text)
        page = call(function, "GET", "/")
        assert page.status == 200 and any(text in page.text.lower() for text in (sentence, "did not answer in time"))
        assert call(function, "GET", "/-/ready").status == 200
        failed = function.invoke({"tick": now_ms()})
        assert failed.error_type == "tick_failed" and sentence in failed.error_message.lower()
    assert ("a", (("job", "x"),)) not in receiver.samples()


def test_a_plain_event_beside_a_hanging_table_is_stored_at_once(start, dynamodb, table, receiver):
    with FaultProxy(dynamodb.endpoint.partition("://")[2]) as front:
        front.fault_with(lambda _: proxy.hang())
        function = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=front.url)
        begun = time.monotonic()
        request = function.begin(batch(record(ONE, "m-1"), record(event({"ph": 1}), "m-2")), deadline_s=3)
        assert receiver.arrived.wait(2) and time.monotonic() - begun < 2
        assert function.finish(request).failures == ["m-1"]
    assert [raw for _, raw in receiver.metric("ph")] == [bits(1.0)]
