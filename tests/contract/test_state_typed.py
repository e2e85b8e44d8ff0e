"""Typed metrics, from the event to the samples that a tick writes: each key, each limit, and each form that is also taken."""
import json

import pytest

from support.events import now_ms
from support.remote_write import _fields
from support.sqs import event as batch
from support.sqs import record
from support.state import TickReceiver, tick, typed


RECEIVER = TickReceiver


@pytest.fixture
def function(start, state):
    return start(**state)


def text(length, of="é"):
    """Returns text of so many bytes."""
    return "x" * (length % 2) + of * (length // 2)


def labels(count):
    return {f"l{i}": "v" for i in range(count)}


#: The keys beside type, name and value, and the reason of the rejection; None if the event is taken.
LIMITS = [
    ("gauge", {"help": text(1_024)}, None), ("gauge", {"help": text(1_025)}, "too_large"), ("gauge", {"help": ["x"]}, "invalid_event"),
    ("gauge", {"id": text(128)}, None), ("gauge", {"id": text(129)}, "too_large"), ("gauge", {"id": ""}, "invalid_event"),
    ("gauge", {"id": int("7" * 128)}, None), ("gauge", {"id": int("7" * 129)}, "too_large"), ("gauge", {"id": {}}, "invalid_event"),
    ("gauge", {"unit": 7}, None), ("gauge", {"unit": {"a": [None]}}, None), ("gauge", {"labels": labels(149)}, None),
    ("gauge", {"labels": labels(150)}, "too_many_labels"), ("gauge", {"labels": {"l": text(2_048)}}, None), ("gauge", {"labels": {"l": text(2_049)}}, "too_large"),
    ("gauge", {"labels": {text(1_024, "ab"): "v"}}, None), ("gauge", {"labels": {text(1_025, "ab"): "v"}}, "too_large"),
    ("gauge", {"labels": {"le": "1", "quantile": "2"}}, None), ("counter", {"labels": {"le": "1"}}, None), ("summary", {"labels": {"le": "1"}}, None),
    ("histogram", {"labels": {"quantile": "1"}}, None), ("histogram", {"labels": {"le": "1"}}, "invalid_label_name"),
    ("histogram", {"dimensions": {"le": ""}}, None), ("summary", {"dimensions": {"quantile": "1"}}, "invalid_label_name"),
    ("histogram", {"buckets": [1], "labels": labels(148)}, None), ("histogram", {"buckets": [1], "labels": labels(149)}, "too_many_labels"),
    ("summary", {"labels": labels(149)}, "too_many_labels"), ("histogram", {"buckets": list(range(200))}, None),
    ("histogram", {"buckets": [*range(200), "+Inf"]}, None), ("histogram", {"buckets": list(range(201))}, "invalid_event"),
    ("histogram", {"buckets": [1, 1]}, "invalid_event"), ("histogram", {"buckets": "1,2"}, "invalid_event"), ("counter", {"buckets": [1]}, "invalid_event"),
    ("summary", {"quantiles": [i / 20 for i in range(20)]}, None), ("summary", {"quantiles": [i / 20 for i in range(21)]}, "invalid_event"),
    ("summary", {"quantiles": [-0.1]}, "invalid_event"), ("summary", {"quantiles": 0.5}, "invalid_event"), ("gauge", {"quantiles": [0.5]}, "invalid_event"),
    *[("summary", {"epsilons": wrong}, None) for wrong in ([0.05, 0.01], "x", {"a": 1}, [None, "y"], True, 7, None)],
    ("histogram", {"counts": [1, 1]}, "invalid_event"), ("histogram", {"counts": [0]}, "invalid_event"), ("gauge", {"counts": [1]}, "invalid_event"),
    ("gauge", {"labels": [], "dimensions": []}, "invalid_event"), ("gauge", {"labels": None, "dimensions": {"a": "b"}}, None), ("gauge", {"tags": {}}, "invalid_event"),
    ("gauge", {"timestamp": "2026-01-01 00:00:00"}, "invalid_event"), ("gauge", {"timestamp": None}, None),
]


def test_each_key_has_its_limit_and_what_is_taken_is_exposed(function, table, receiver):
    events = [typed(metric_type, 1, f"m{i}", **more) for i, (metric_type, more, _) in enumerate(LIMITS)]
    report = function.invoke(events).json
    reasons = {one["index"]: one["reason"] for one in report["rejected"]}
    assert [reasons.get(i) for i in range(len(LIMITS))] == [reason for *_, reason in LIMITS]
    assert report["typed"] == len(LIMITS) - len(reasons)
    summary = tick(function)
    assert (summary["births"], summary["type_conflicts"], summary["refused"], summary["errored"]) == (report["typed"], 0, 0, 0)
    written = {name for name, _ in receiver.samples()} | {f"m{i}" for i, (_, more, _) in enumerate(LIMITS) if receiver.native(f"m{i}")}
    for i, (metric_type, more, reason) in enumerate(LIMITS):
        suffix = "_bucket" if metric_type == "histogram" and more.get("buckets") else ""
        assert (f"m{i}{suffix}" in written) == (reason is None), (metric_type, more)
    counts = {i: len(receiver.last(f"m{i}_bucket")) for i, (_, more, reason) in enumerate(LIMITS) if reason is None and len(more.get("buckets") or []) >= 200}
    assert list(counts.values()) == [201, 201], "+Inf is implied, and ignored if it is given"


@pytest.mark.parametrize("metric_type, suffix", [("gauge", ""), ("counter", ""), ("histogram", "_bucket"), ("summary", "_count")])
def test_a_name_has_room_for_its_longest_suffix(function, receiver, metric_type, suffix):
    longest = 1_024 - len(suffix)
    more = {"buckets": [1]} if metric_type == "histogram" else {}
    report = function.invoke([typed(metric_type, 1, "n" * longest, **more), typed(metric_type, 1, "n" * (longest + 1), **more)]).json
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(1, "too_large")]
    tick(function)
    assert max(len(name) for name, _ in receiver.samples()) == 1_024


def test_an_event_of_more_than_300_kb_in_the_journal_is_too_large(function, table):
    # An observation takes eight bytes, and its weight one.
    fits, above = ({"type": "histogram", "name": "h", "value": [0.1] * count} for count in (33_300, 33_400))
    report = function.invoke([above, fits, above]).json
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(0, "too_large"), (2, "too_large")]
    assert "300000" in report["rejected"][0]["detail"] and report["typed"] == 1
    assert all(len(item["b"]) <= 350 * 1_024 for item in table.items("j#0"))


def test_names_are_translated_as_those_of_events_and_get_no_suffix(function, receiver):
    names = {"orders": "orders", "a.b-c": "a_b_c", "9lives": "_9lives", "a:b": "a:b", "größe": "U__gr_f6__df_e"}
    for metric_type in "counter", "gauge":
        report = function.invoke([typed(metric_type, 1, f"{name}{metric_type}", dimensions={"a.b": 1.50, "c": True, "d": None}) for name in names]).json
        assert report["accepted"] == len(names), report
    tick(function)
    written = {(name, labels) for name, labels in receiver.samples()}
    assert written == {(f"{name}{metric_type}", (("a_b", "1.5"), ("c", "true"))) for name in names.values() for metric_type in ("counter", "gauge")}


def test_external_labels_apply_at_ingest_and_are_part_of_the_series(start, state, receiver):
    """The tick adds none: it has other ones here, and must not change a series with a change of its settings."""
    ingest, ticker = start(**state, EXTERNAL_LABELS="env=prod,le=x"), start(**state, EXTERNAL_LABELS="env=tick,more=1")
    events = [typed("counter", 1, "c"), typed("counter", 2, "c", labels={"env": "prod", "le": "x"}), typed("counter", 4, "c", labels={"env": "test"}),
              typed("histogram", 1, "h", buckets=[2]), typed("counter", 1, "full", labels=labels(148))]
    report = ingest.invoke(events).json
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(4, "too_many_labels")], "external labels count"
    tick(ticker)
    assert receiver.last("c") == {(("env", "prod"), ("le", "x")): 3.0, (("env", "test"), ("le", "x")): 4.0}
    assert receiver.last("h_bucket") == {(("env", "prod"), ("le", "2.0")): 1.0, (("env", "prod"), ("le", "+Inf")): 1.0}


@pytest.mark.parametrize("buckets", ["absent", [], None])
def test_a_histogram_without_buckets_is_native(function, receiver, buckets):
    more = {} if buckets == "absent" else {"buckets": buckets}
    assert function.invoke([typed("histogram", [1, 1, -8, 0], "h", counts=[1, 2, 1, 5], **more), typed("histogram", 4, "h", **more)]).json["typed"] == 2
    tick(function)
    zero, value = receiver.native("h")
    assert (zero["count"], zero["sum"], zero["positive"], zero["negative"]) == (0, 0.0, {}, {})
    assert value["timestamp"] - zero["timestamp"] == 59_999
    assert (value["schema"], value["zero_threshold"], value["zero_count"], value["reset_hint"]) == (3, 2.0 ** -128, 5, 0)
    # With schema 3 a power of two is the upper bound of every eighth bucket.
    assert (value["count"], value["sum"], value["positive"], value["negative"]) == (10, -1.0, {0: 3, 16: 1}, {24: 1})
    assert not [name for name, _ in receiver.samples() if name != "h"], "no bucket, sum or count"


def test_a_native_histogram_has_at_most_160_buckets_and_its_schema_only_falls(function, receiver):
    def inside(buckets):
        return [0.99 * 2 ** (i / 8) for i in buckets]

    assert function.invoke(typed("histogram", inside(range(160)), "h")).json["typed"] == 1
    tick(function)
    assert function.invoke(typed("histogram", inside([160]), "h")).json["typed"] == 1
    tick(function, 1_000)
    assert function.invoke(typed("histogram", [1], "h")).json["typed"] == 1
    tick(function, 2_000)
    _, *values = receiver.native("h")
    assert [(value["schema"], value["count"]) for value in values] == [(3, 160), (2, 161), (2, 162)]
    assert [len(value["positive"]) for value in values] == [160, 81, 81]
    assert all(sum(value["positive"].values()) == value["count"] for value in values), "it merges exactly"


def test_bounds_and_quantiles_are_written_as_prometheus_normalises_them(function, receiver):
    bounds = [-1, 0, 0.1, 1, 1e6, 1e21, 5e-324]
    events = [typed("histogram", 1, "h", buckets=sorted(bounds)), typed("summary", 1, "s", quantiles=["0.50", 0, 1, 0.999])]
    assert function.invoke(events).json["typed"] == 2
    tick(function)
    assert [dict(labels)["le"] for labels in receiver.last("h_bucket")] == ["-1.0", "0.0", "5e-324", "0.1", "1.0", "1e+06", "1e+21", "+Inf"]
    assert {dict(labels)["quantile"] for labels in receiver.last("s")} == {"0.0", "0.5", "0.999", "1.0"}


def test_the_first_layout_and_the_first_quantiles_of_a_series_win(function, receiver):
    events = [typed("histogram", 1, "h", buckets=[1, 2]), typed("histogram", 1.5, "h", buckets=[1.7]), typed("histogram", 3, "h"),
              typed("histogram", 3, "h", labels={"a": "b"}), typed("summary", 5, "s", quantiles=[0.25]), typed("summary", 5, "s", quantiles=[0.75]), typed("summary", 5, "s")]
    assert function.invoke(events).json["typed"] == 7
    summary = tick(function)
    assert (summary["bucket_conflicts"], summary["type_conflicts"], summary["increments"]) == (2, 0, 7)
    assert receiver.last("h_bucket") == {(("le", "1.0"),): 1.0, (("le", "2.0"),): 2.0, (("le", "+Inf"),): 3.0}
    assert receiver.last("h_sum") == {(): 5.5} and receiver.native("h")[-1]["count"] == 1, "another label set has a layout of its own"
    assert list(receiver.last("s")) == [(("quantile", "0.25"),)] and receiver.last("s_count") == {(): 3.0}


def test_the_greater_time_of_a_gauge_wins_and_without_one_it_is_the_sent_time_of_the_message(function, receiver):
    now = now_ms()
    of = [("sent", [record(typed("gauge", 2, "sent"), sent=now - 1_000)], [record(typed("gauge", 1, "sent"), sent=now - 2_000)]),
          ("equal", [record(typed("gauge", 1, "equal"), sent=now - 1_000)], [record(typed("gauge", 2, "equal"), sent=now - 1_000)]),
          ("own", [record(typed("gauge", 2, "own", timestamp=now - 1_000), sent=now - 5_000)], [record(typed("gauge", 1, "own", timestamp=now - 2_000), sent=now)]),
          ("mixed", [record(typed("gauge", 1, "mixed", timestamp=now - 3_000), sent=now - 9_000)], [record(typed("gauge", 2, "mixed"), sent=now - 2_000)]),
          ("array", [record([typed("gauge", 1, "array"), typed("gauge", 2, "array")], sent=now - 2_000)], [record(typed("gauge", 0, "array"), sent=now - 3_000)])]
    for turn in 1, 2:
        assert function.invoke(batch(*(one for row in of for one in row[turn]))).failures == []
    tick(function)
    assert {name: receiver.last(name) for name, *_ in of} == {name: {(): 2.0} for name, *_ in of}


def test_a_timestamp_places_no_increment(function, receiver):
    """It appears at the next tick, whatever its time."""
    when = now_ms() - 30 * 60_000
    assert function.invoke([typed("counter", 1, "c", timestamp=when), typed("gauge", 1, "g", timestamp=when)]).json["typed"] == 2
    at = now_ms()
    assert function.invoke({"tick": at}).ok
    assert receiver.all_values("c") == {(): [(at - 59_999, 0.0), (at, 1.0)]} and receiver.all_values("g") == {(): [(at, 1.0)]}


def test_values_keep_every_bit_of_large_sums(function, receiver):
    """A double would lose the ones beside 2^62."""
    events = [typed("counter", 2 ** 62, "c"), *[typed("counter", 1, "c")] * 512, *[typed("counter", 0.25, "f")] * 3]
    assert function.invoke(events).json["typed"] == len(events)
    tick(function)
    assert receiver.last("c") == {(): float(2 ** 62 + 512)}
    assert receiver.last("f") == {(): 0.75}


def test_plain_and_typed_events_may_stand_in_one_array_and_in_any_wrapper(function, receiver):
    mixed = [typed("counter", 1, "c"), {"metrics": {"p": 5}}, typed("counter", 1, "c")]
    assert function.invoke(mixed).json["accepted"] == 3
    lines = "\n".join(json.dumps(event) for event in mixed)
    assert function.invoke(batch(record(lines, "m-1"), record(json.dumps(json.dumps(typed("counter", 1, "c"))), "m-2"))).failures == []
    tick(function)
    assert receiver.last("c") == {(): 5.0} and receiver.last("p") == {(): 5.0}


def test_metadata_has_the_type_and_the_newest_help_in_requests_behind_the_values(function, receiver):
    events = [typed("counter", 1, "c", help="Old."), typed("gauge", 1, "g"), typed("histogram", 1, "h", buckets=[1], help="H."),
              typed("histogram", 1, "n", help=text(1_024)), typed("summary", 1, "s", help="S."), typed("counter", 1, "c", help="New.", unit="bytes"), typed("counter", 1, "c")]
    assert function.invoke(events).json["typed"] == len(events)
    tick(function)
    # Zeros, values, metadata.
    assert [(bool(write.series), bool(write.metadata)) for write in receiver.writes] == [(True, False), (True, False), (False, True)]
    read = [{number: value for number, _, value in _fields(one)} for one in receiver.writes[-1].metadata]
    found = {one[2].decode(): (one[1], one.get(4, b"").decode(), one.get(5, b"")) for one in read}
    assert found == {"c": (1, "New.", b""), "g": (2, "", b""), "h": (3, "H.", b""), "n": (3, text(1_024), b""), "s": (5, "S.", b"")}
