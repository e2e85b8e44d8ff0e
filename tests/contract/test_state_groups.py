"""Pushed groups in a table, and what ticks write of them: expiry, stale markers, large and repeated pushes."""
import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from support.command_line import pushgw
from support.events import now_ms
from support.function_url import call
from support.remote_write import double
from support.state import TickReceiver, tick, typed

TEXT = ("Content-Type", "text/plain")
OWN = {"push_time_seconds", "push_failure_time_seconds"}


RECEIVER = TickReceiver


@pytest.fixture
def function(start, state):
    return start(**state, HTTP_AUTH="none")


def push(function, body, path="/metrics/job/x", method="PUT", **headers):
    answered = call(function, method, path, body.encode(), [TEXT, *((name.replace("_", "-"), value) for name, value in headers.items())])
    assert answered.status == 202, answered.text
    return answered


def written(receiver, since=0):
    """Returns {(name, labels): values} of all samples of the writes from this one on, without the gateway's own series."""
    found = {}
    for write in receiver.writes[since:]:
        for labels, when, bits in write.samples:
            name = dict(labels)["__name__"]
            if name not in OWN:
                found.setdefault((name, tuple(pair for pair in labels if pair[0] != "__name__")), []).append("stale" if bits == 0x7FF0000000000002 else double(bits))
    return found


def test_a_push_is_written_by_each_tick_as_it_was_pushed_and_gets_no_zero(function, receiver):
    body = "# HELP c_total What.\n# TYPE c_total counter\nc_total 3\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 2.5\nh_count 2\n"
    push(function, body)
    assert receiver.writes == [], "only the tick writes"
    at = now_ms()
    assert function.invoke({"tick": at}).json["groups"] == 1
    push(function, "", method="POST")
    tick(function, 1_000)
    job = (("job", "x"),)
    assert written(receiver) == {("c_total", job): [3.0] * 2, ("h_bucket", (*job, ("le", "1.0"))): [1.0] * 2, ("h_bucket", (*job, ("le", "+Inf"))): [2.0] * 2,
                                 ("h_sum", job): [2.5] * 2, ("h_count", job): [2.0] * 2}
    assert {when for when, _ in receiver.all_values("c_total")[job][:1]} == {at}
    metadata = [write for write in receiver.writes if write.metadata]
    assert len(metadata) == 1 and any(b"c_total" in one and b"What." in one for one in metadata[0].metadata)


def test_the_tick_writes_no_instance_label_and_the_scrape_shows_an_empty_one(function, receiver):
    """The empty value of the path is part of the grouping key and takes the label away."""
    push(function, 'a{instance="body",zone="z"} 1\n', "/metrics/job/x/instance/")
    push(function, 'a{instance="body"} 2\n', "/metrics/job/x")
    tick(function)
    assert written(receiver) == {("a", (("job", "x"), ("zone", "z"))): [1.0], ("a", (("instance", "body"), ("job", "x"))): [2.0]}
    shown = call(function, "GET", "/metrics").text
    assert 'a{instance="",job="x",zone="z"} 1\n' in shown and 'a{instance="body",job="x"} 2\n' in shown
    assert sorted(map(len, (group["labels"] for group in json.loads(call(function, "GET", "/api/v1/metrics").body)["data"]))) == [1, 2]


def test_series_that_a_push_removes_get_one_marker_and_those_that_come_back_none(function, receiver):
    push(function, "a 1\nb 1\nc{x=\"1\"} 1\nc{x=\"2\"} 1\n")
    tick(function)
    push(function, "a 2\nb 2\n")
    push(function, "c{x=\"2\"} 2\n", method="POST")
    push(function, "c{x=\"2\"} 3\nb 3\n")
    push(function, "a 4\n", method="POST")
    assert tick(function, 1_000)["stale"] == 1
    assert tick(function, 2_000)["stale"] == 0
    of = {name + dict(labels).get("x", ""): values for (name, labels), values in written(receiver).items()}
    assert of == {"a": [1.0, 4.0, 4.0], "b": [1.0, 3.0, 3.0], "c1": [1.0, "stale"], "c2": [1.0, 3.0, 3.0]}


def test_the_tick_deletes_the_item_of_a_group_that_is_gone_once_its_markers_are_stored(function, table, receiver):
    push(function, "a 1\n")
    tick(function)
    assert call(function, "DELETE", "/metrics/job/x").status == 202
    assert len(table.items("g#0")) == 1, "its series must end"
    assert tick(function, 1_000)["stale"] == 3 and table.items("g#0") == []
    # A group that comes and goes between two ticks leaves nothing either.
    push(function, "a 1\n", "/metrics/job/y")
    assert call(function, "DELETE", "/metrics/job/y").status == 202
    tick(function, 2_000)
    assert table.items("g#0") == [] and call(function, "GET", "/metrics").text == ""
    before = len(receiver.writes)
    tick(function, 3_000)
    assert receiver.writes[before:] == [], "with nothing exposed no request is made"


@pytest.mark.parametrize("default, path, header, expires", [
    (None, "", None, None), ("0", "", None, None), ("2h", "", None, 2), ("2h", "", "1h", 1), ("2h", "/ttl/1h", None, 1), ("2h", "/ttl/1h", "3h", 3),
    ("2h", "/ttl/1h", "0", None), ("2h", "/ttl/0", None, None), ("2h", "/ttl/0", "1h", 1), ("2h", "", "0s", None), (None, "/ttl/90m", None, 1.5), (None, "", "1d", 24),
])
def test_the_expiry_of_a_push_is_that_of_its_header_else_of_its_prefix_else_the_default(start, state, default, path, header, expires):
    function = start(**state, HTTP_AUTH="none", GROUP_TTL=default)
    push(function, "a 1\n", path + "/metrics/job/x", **({"X_Push_TTL": header} if header else {}))
    done = pushgw("state", "list", "--json", **state)
    (group,) = json.loads(done.stdout)["groups"]
    pushed, end = (group[name] and datetime.fromisoformat(group[name].replace("Z", "+00:00")) for name in ("pushed", "expires"))
    assert (end and end - pushed) == (expires and timedelta(hours=expires))


def test_every_push_renews_the_expiry_and_a_failed_one_does_not(function, state):
    def kept():
        done = pushgw("state", "list", "--json", **state)
        return json.loads(done.stdout)["groups"][0]

    push(function, "a 1\n", X_Push_TTL="1h")
    first = kept()
    push(function, "b 1\n", method="POST", X_Push_TTL="1h")
    second = kept()
    assert call(function, "POST", "/metrics/job/x", b"a 1\na 2\n", [TEXT, ("X-Push-TTL", "3h")]).status == 400
    third = kept()
    assert first["expires"] < second["expires"] == third["expires"] and third["failed"] >= second["pushed"]


def test_a_whole_group_expires_with_its_push_times_and_gets_markers_at_the_time_of_its_expiry(function, receiver, table):
    push(function, "a 1\n", X_Push_TTL="1s")
    expires = next(int(float(line.rpartition(" ")[2]) * 1_000) for line in call(function, "GET", "/metrics").text.splitlines() if line.startswith("push_time_seconds{")) + 1_000
    tick(function, -2_000)
    assert tick(function, 3_000)["stale"] == 3
    for name in ("a", *OWN):
        (samples,) = receiver.all_values(name).values()
        assert [value for _, value in samples][1:] == ["stale"] and samples[-1][0] == expires, name


def test_a_repeated_push_changes_nothing_and_a_large_one_is_413_with_a_sentence(function, table):
    push(function, "a 1\n")
    body = "".join(f'a{{l="{hash(str(i)):x}{hash(i * 1.1):x}"}} {i / 7}\n' for i in range(30_000))
    answered = call(function, "PUT", "/metrics/job/x", gzip.compress(body.encode()), [TEXT, ("Content-Encoding", "gzip")])
    assert answered.status == 413 and answered.text.count("\n") == 1 and "one item" in answered.text, answered.text
    (item,) = table.items("g#0")
    before = call(function, "GET", "/metrics").text
    push(function, "a 1\n")
    again = call(function, "GET", "/metrics").text
    assert [line for line in again.splitlines() if "_time_seconds{" not in line] == [line for line in before.splitlines() if "_time_seconds{" not in line]
    assert [one["sk"] for one in table.items("g#0")] == [item["sk"]]


def test_a_typed_series_is_counted_beside_an_equal_series_of_a_group_and_wins(function, receiver):
    push(function, "c_total 100\nother 5\n", "/metrics/job/x")
    assert function.invoke([typed("counter", 3, "c_total", labels={"job": "x"})]).json["typed"] == 1
    summary = tick(function)
    assert summary["series_conflicts"] == 1
    assert written(receiver) == {("c_total", (("job", "x"),)): [0.0, 3.0], ("other", (("job", "x"),)): [5.0]}
    shown = call(function, "GET", "/metrics").text
    assert 'c_total{instance="",job="x"} 3\n' in shown and "100" not in shown


def test_the_scrape_shows_the_series_of_two_groups_as_the_tick_writes_it(function, receiver):
    """The youngest push of the series counts. A later push of another family, or one that fails, is none of it."""
    push(function, 'a{zone="z"} 1\n', "/metrics/job/x")
    push(function, "a 2\n", "/metrics/job/x/zone/z")
    push(function, "b 3\n", "/metrics/job/x", method="POST")
    assert call(function, "POST", "/metrics/job/x", b"c 1\nc 2\n", [TEXT]).status == 400
    assert tick(function)["series_conflicts"] == 1
    labels = (("job", "x"), ("zone", "z"))
    assert written(receiver)["a", labels] == [2.0]
    assert 'a{instance="",job="x",zone="z"} 2\n' in call(function, "GET", "/metrics").text


def test_groups_that_a_push_changes_at_the_same_time_lose_nothing(start, state, table):
    """Sixteen pushes from four functions to one group: each is a compare-and-swap that is repeated."""
    functions = [start(**state, HTTP_AUTH="none") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: [push(functions[i], f"a{i}_{turn} 1\n", method="POST") for turn in range(4)], range(4)))
    shown = call(functions[0], "GET", "/metrics").text
    assert sum(line.startswith("a") for line in shown.splitlines()) == 16 and len(table.items("g#0")) == 1
