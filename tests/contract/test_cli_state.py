"""`pushgw state list` and `pushgw state delete`: typed series and groups in the file of `serve`, and in a table of DynamoDB."""
import base64
import json
import struct
import threading

import pytest

from support.command_line import eventually, on_a_terminal, pushgw
from support.door import Door
from support.events import now_ms
from support.serve import request, serving
from support.state import STALE, TickReceiver

RECEIVER = TickReceiver

EVENTS = [
    {"type": "counter", "name": "http_requests_total", "value": 5, "labels": {"method": "GET"}, "help": "Requests."},
    {"type": "counter", "name": "http_requests_total", "value": 2, "labels": {"method": "POST"}},
    {"type": "gauge", "name": "queue_length", "value": -7.5},
    {"type": "histogram", "name": "took_seconds", "value": [0.25, 0.75], "buckets": [0.5, 1], "labels": {"path": "/a\"b"}},
    {"type": "histogram", "name": "native_seconds", "value": 0.5},
    {"type": "summary", "name": "size_bytes", "value": [10, 20, 30], "quantiles": [0.5]},
]


def _send(server, method, path, body=None, **headers):
    status, _, text = request(int(server.door.rsplit(":", 1)[1]), method, path, body, headers)
    assert status in (200, 202), text
    return text.decode()


def _fill(server):
    _send(server, "POST", "/events", json.dumps(EVENTS))
    _send(server, "PUT", "/metrics/job/backup/instance/db-1", "rows 7\nsize_bytes_free 1\n", **{"X-Push-TTL": "1h"})
    _send(server, "PUT", "/metrics/job/nightly", "rows 8\n")
    eventually(lambda: "http_requests_total" in _send(server, "GET", "/metrics"))


def state(*arguments, **more):
    done = pushgw("state", *arguments, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def listed(*arguments, **more):
    return json.loads(state("list", "--json", *arguments, **more).stdout)


def names(found):
    """Returns the typed series and the groups of a list, each by its name or labels."""
    series = [one["name"] + "".join(f" {name}={value}" for name, value in one["labels"].items()) for one in found["typed"]]
    return series, [group["labels"] for group in found["groups"]]


BACKUP, NIGHTLY = {"job": "backup", "instance": "db-1"}, {"job": "nightly"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file that a `serve` has filled."""
    path = tmp_path_factory.mktemp("state") / "state"
    with serving("--http", "127.0.0.1:0", "--state", str(path), "--tick", "1s") as server:
        _fill(server)
        in_use = pushgw("state", "list", "--state", path)
        server.process.terminate()
        server.process.wait(20)
    assert in_use.returncode == 1 and f"{path} is in use" in in_use.stderr and "stop that first" in in_use.stderr
    return path


def test_lists_each_type_with_value_last_update_and_expiry(file):
    found = listed("--state", file, SERIES_TTL="24h")
    series, groups = names(found)
    assert series == ["http_requests_total method=GET", "http_requests_total method=POST", "native_seconds", "queue_length",
                      "size_bytes", 'took_seconds path=/a"b']
    assert groups == [BACKUP, NIGHTLY]
    shown = {one["name"]: {key: value for key, value in one.items() if key in ("type", "value", "count", "sum", "buckets", "quantiles", "schema", "help")}
             for one in found["typed"] if one["labels"] != {"method": "POST"}}
    quantile = shown["size_bytes"].pop("quantiles")
    assert float(quantile["0.5"]) == pytest.approx(20, rel=0.01)
    assert shown == {
        "http_requests_total": {"type": "counter", "value": "5", "help": "Requests."},
        "native_seconds": {"type": "histogram", "count": "1", "sum": "0.5", "schema": 3, "help": ""},
        "queue_length": {"type": "gauge", "value": "-7.5", "help": ""},
        "size_bytes": {"type": "summary", "count": "3", "sum": "60", "help": ""},
        "took_seconds": {"type": "histogram", "count": "2", "sum": "1", "buckets": {"0.5": "1", "1.0": "2", "+Inf": "2"}, "help": ""},
    }
    for one in found["typed"]:
        assert one["updated"] <= found["last_tick"] < one["expires"]
    backup, nightly = found["groups"]
    assert backup["pushed"] < backup["expires"] and backup["failed"] is None and nightly["expires"] is None
    assert (backup["families"], backup["series"]) == (["rows", "size_bytes_free"], 2)
    assert [one["expires"] for one in listed("--state", file)["typed"]] == [None] * 6


def test_shows_a_table_to_people(file):
    shown = state("list", "--state", file, SERIES_TTL="24h").stdout
    for part in ('typed series: 6; last tick 20', 'http_requests_total{method="GET"}', "counter", "count 2, sum 1", "count 1, sum 0.5, native",
                 'took_seconds{path="/a\\"b"}', "groups: 2", '{instance="db-1", job="backup"}', "never"):
        assert part in shown, (part, shown)


@pytest.mark.parametrize("selector, typed, groups", [
    ('http_requests_total{method="GET"}', ["http_requests_total method=GET"], []),
    ('http_requests_total{method!="GET"}', ["http_requests_total method=POST"], []),
    ('{__name__=~".*_seconds"}', ["native_seconds", 'took_seconds path=/a"b'], []),
    ('{__name__=~".+",method=""}', ["native_seconds", "queue_length", "size_bytes", 'took_seconds path=/a"b'], []),
    ('{job=~"backup|other"}', [], [BACKUP]),
    ('{job!="backup",job!=""}', [], [NIGHTLY]),
    ('{instance!~"db-.*",job=~".+"}', [], [NIGHTLY]),
    ("rows", [], []),
])
def test_a_selector_takes_series_by_name_and_labels_and_groups_by_their_labels(file, selector, typed, groups):
    assert names(listed(selector, "--state", file)) == (typed, groups)


def test_takes_only_one_kind_if_asked_for(file):
    assert names(listed("--state", file, "--only", "groups")) == ([], [BACKUP, NIGHTLY])
    assert names(listed("--state", file, "--only", "typed"))[1] == []


def test_says_what_a_name_means_that_no_typed_series_has(file):
    assert "a typed series has the name of its family: took_seconds" in state("list", "took_seconds_bucket", "--state", file).stderr
    assert '{instance="db-1", job="backup"} has this metric' in state("list", "size_bytes_free", "--state", file).stderr


@pytest.mark.parametrize("arguments, expected", [
    (["list", "x{", "--state", "FILE"], "at character 3: expected a label name"),
    (["list", "{}", "--state", "FILE"], "at least one matcher must not match the empty string"),
    (["list"], "expected --state FILE, --table NAME, or STATE_TABLE"),
    (["delete", "--state", "FILE"], "SELECTOR"),
    (["delete", "x", "--json", "--state", "FILE"], "--yes"),
    (["list", "--state", "missing"], "missing cannot be read"),
    (["list", "--table", "a"], "STATE_TABLE"),
])
def test_wrong_usage_is_named(file, arguments, expected, tmp_path):
    done = pushgw("state", *(str(file) if argument == "FILE" else argument for argument in arguments), cwd=tmp_path)
    assert done.returncode == 2 and expected in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_hostile_text_steers_no_terminal(tmp_path):
    hostile = "\x1b]0;owned\x07\u202e\nnext line"
    path = tmp_path / "state"
    with serving("--http", "127.0.0.1:0", "--state", str(path), "--tick", "1s") as server:
        _send(server, "POST", "/events", json.dumps({"type": "gauge", "name": "g", "value": 1, "labels": {"l": hostile}}))
        _send(server, "PUT", "/metrics/job@base64/" + base64.urlsafe_b64encode(hostile.encode()).decode().rstrip("="), "a 1\n")
        eventually(lambda: "\ng{" in _send(server, "GET", "/metrics"))
        server.process.terminate()
        server.process.wait(20)
    shown = state("list", "--state", path).stdout
    # `pushgw()` looks for the escape character.
    assert "\x07" not in shown and "\u202e" not in shown and "\nnext line" not in shown
    status, shown = on_a_terminal("state", "list", "--state", path)
    assert status == 0 and "]0;owned" in shown and "\x1b]" not in shown and "\x07" not in shown
    found = listed("--state", path)
    assert [found["typed"][0]["labels"]["l"], found["groups"][0]["labels"]["job"]] == [hostile] * 2


def test_a_file_that_is_none_is_named(tmp_path):
    other = tmp_path / "other"
    other.write_text("not a state")
    done = pushgw("state", "list", "--state", other)
    assert done.returncode == 1 and "is not a file of the state" in done.stderr and other.read_text() == "not a state"


def _lines(door, name):
    """Returns the samples of a metric that reached the receiver: [(labels, time, value)]; a marker is `stale`."""
    found = []
    for write in door.receiver.writes:
        for labels, when, bits in write.samples:
            if dict(labels)["__name__"] == name:
                value = "stale" if bits == STALE else struct.unpack("<d", struct.pack("<Q", bits))[0]
                found.append((tuple(pair for pair in labels if pair[0] != "__name__"), when, value))
    return found


def test_delete_says_what_it_deletes_asks_and_the_next_tick_ends_the_series(tmp_path):
    path = str(tmp_path / "state")
    arguments = "--state", path, "--tick", "1s"
    one = Door(*arguments)
    _fill(one.server)
    one.server.process.terminate()
    one.server.process.wait(20)
    one.close()
    for answer in "", "n\n", "no\n":
        done = pushgw("state", "delete", '{method="GET"}', "--state", path, stdin=answer)
        assert done.returncode == 1 and 'http_requests_total{method="GET"}' in done.stdout
        assert "delete 1 typed series? [y/N]" in done.stderr and "nothing is deleted" in done.stderr
    done = pushgw("state", "delete", '{method="GET"}', "--state", path, stdin="y\n")
    assert done.returncode == 0 and "deleted: 1 typed series" in done.stdout, done.stdout + done.stderr
    done = state("delete", '{job="backup"}', "--yes", "--json", "--state", path)
    assert json.loads(done.stdout)["deleted"] == {"typed": 0, "groups": 1}
    assert "nothing is deleted: the selector takes no typed series" in state("delete", '{job="backup"}', "--yes", "--state", path).stdout
    assert names(listed('{__name__=~"http.*"}', "--state", path))[0] == ["http_requests_total method=POST"]

    one = Door(*arguments)
    try:
        get, post = (("method", "GET"),), (("method", "POST"),)
        eventually(lambda: sum(labels == post for labels, *_ in _lines(one, "http_requests_total")) >= 2)
        assert [value for labels, _, value in _lines(one, "http_requests_total") if labels == get] == ["stale"]
        rows = _lines(one, "rows")
        assert [value for labels, _, value in rows if ("job", "backup") in labels] == ["stale"]
        assert 8 in [value for labels, _, value in rows if ("job", "nightly") in labels]
        # It begins at zero, behind its marker.
        _send(one.server, "POST", "/events", json.dumps({**EVENTS[0], "value": 3}))
        eventually(lambda: [value for labels, _, value in _lines(one, "http_requests_total") if labels == get][:3] == ["stale", 0, 3])
        times = [when for labels, when, _ in _lines(one, "http_requests_total") if labels == get]
        assert times == sorted(times) and len(set(times)) == len(times)
    finally:
        one.close()


def test_lists_and_deletes_in_a_table_whatever_its_number_of_shards(start, dynamodb, table, receiver):
    where = {"STATE_TABLE": table.name, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint}
    function = start(STATE_SHARDS="5", SERIES_TTL="24h", **where)
    events = [{**EVENTS[0], "labels": {"n": str(i)}} for i in range(40)]
    assert function.invoke(events).json["accepted"] == 40
    with serving("--http", "127.0.0.1:0", STATE_SHARDS="5", **where) as server:
        for job in range(10):
            _send(server, "PUT", f"/metrics/job/job-{job}", "a 1\n")
    assert function.invoke({"tick": now_ms()}).json["series"] == 40
    found = listed(**where)
    assert len(found["typed"]) == 40 and len(found["groups"]) == 10
    assert len({item["pk"] for shard in range(5) for item in table.items(f"s#{shard}")}) > 1
    deleted = json.loads(state("delete", '{__name__=~"http.*",n!~"1.?"}', "--yes", "--json", "--table", table.name, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint).stdout)
    assert deleted["deleted"] == {"typed": 29, "groups": 0}
    assert json.loads(state("delete", '{job=~"job-[0-7]"}', "--yes", "--json", **where).stdout)["deleted"] == {"typed": 0, "groups": 8}
    summary = function.invoke({"tick": now_ms() + 2_000}).json
    assert (summary["series"], summary["groups"], summary["failed_shards"]) == (11, 2, 0)
    # Three series of each group ended: its own one and the two push times.
    assert summary["stale"] == 29 + 8 * 3


def test_a_deletion_beside_running_ticks_and_senders_loses_no_count_of_other_series(start, dynamodb, table, receiver):
    where = {"STATE_TABLE": table.name, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint}
    sender, ticker = start(**where), start(**where)
    begin, stop, sent, failures = now_ms() - 8 * 60_000, threading.Event(), [0], []

    def send():
        while not stop.is_set():
            report = sender.invoke([{"type": "counter", "name": name, "value": 1} for name in ("kept_total", "doomed_total")]).json
            if report["accepted"] != 2:
                failures.append(report)
            sent[0] += 1

    def tick():
        number = 0
        while not stop.is_set():
            number += 1
            summary = ticker.invoke({"tick": begin + number * 1_000}).json
            if summary["failed_shards"]:
                failures.append(summary)

    threads = [threading.Thread(target=target) for target in (send, tick)]
    for thread in threads:
        thread.start()
    eventually(lambda: names(listed(**where))[0] == ["doomed_total", "kept_total"])
    deletions = [json.loads(state("delete", "doomed_total", "--yes", "--json", **where).stdout)["deleted"]["typed"] for _ in range(15)]
    stop.set()
    for thread in threads:
        thread.join()
    last = ticker.invoke({"tick": begin + 7 * 60_000}).json
    assert failures == [] and last["failed_shards"] == 0 and sum(deletions) >= 3, deletions

    def values(name):
        samples = [(when, bits) for write in receiver.writes for labels, when, bits in write.samples if dict(labels)["__name__"] == name]
        times = [when for when, _ in samples]
        assert times == sorted(set(times)), "each time once, in order"
        return ["stale" if bits == STALE else struct.unpack("<d", struct.pack("<Q", bits))[0] for _, bits in samples]

    kept = values("kept_total")
    assert kept == sorted(kept) and kept[-1] == sent[0]
    lives = [[]]
    for value in values("doomed_total"):
        lives[-1].append(value) if value != "stale" else lives.append([])
    assert len(lives) >= 3
    for life in lives[:-1]:
        assert life[0] == 0 and life == sorted(life)
