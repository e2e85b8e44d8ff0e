"""Names, collisions and limits (contract: the event, rows `names` and `limits`)."""
import json
import re

import pytest

from support.gateway import Gateway, with_dimensions
from support.receiver import Receiver


def named(name):
    return json.dumps({"metrics": {name: 1}})


def labelled(name, value="x"):
    return with_dimensions(json.dumps({name: value}))


def escaped(name, label=False):
    """Returns a name in Prometheus' scheme `values` (https://prometheus.io/docs/instrumenting/escaping_schemes/)."""
    kept = r"[A-Za-z]" if label else r"[A-Za-z:]"
    return "U__" + "".join("__" if c == "_" else c if re.fullmatch(kept, c) or (c in "0123456789" and index) else f"_{ord(c):x}_"
                           for index, c in enumerate(name))


CLASSIC = ["temperature", "ph", "battery_level", "A", "a1", "_x", "a__b", "x_", "__"[:1] + "x__", "node:cpu:rate5m"]

METRIC_NAMES = [(name, name) for name in CLASSIC] + [
    (":x", ":x"), (":", ":"), ("::", "::"), ("a:", "a:"), (":1", ":1"),
    ("battery-level", "battery_level"), ("a.b", "a_b"), ("a..b", "a_b"), ("a-_b", "a_b"), ("a_-b", "a_b"), ("a b", "a_b"),
    ("a-__-b", "a_b"), ("a__b-c", "a_b_c"), ("x__-", "x_"), 
    ("1abc", "_1abc"), ("1", "_1"), ("1:2", "_1:2"), ("1__x", "_1_x"), ("-1x", "_1x"), ("1-", "_1_"), ("-x", "_x"),
    ("-_x", "_x"), ("_-x", "_x"), ("a\u0000b", "a_b"), ("a\nb", "a_b"), ("a\"b", "a_b"), ("a\\b", "a_b"), ("%", None),
    ("a:b-c", "a:b_c"), ("-:", "_:"), ("x-", "x_"), (" ", None), ("x ", "x_"),
    ("", None), ("-", None), ("_", None), ("__", None), ("___", None), ("_-", None), ("-_-", None), ("__x", None),
    ("__name__", None), ("__-x", None), ("__x-y", None), ("--x", "_x"), ("__日本", None),
]

LABEL_NAMES = [(name, name) for name in CLASSIC if ":" not in name] + [
    ("customerId", "customerId"), ("job", "job"), ("instance", "instance"), ("le", "le"),
    (":x", "_x"), ("a:b", "a_b"), ("a::b", "a_b"), (":", None), ("1:2", "key_1_2"), ("x:", "x_"),
    ("battery-level", "battery_level"), ("a.b", "a_b"), ("a..b", "a_b"), ("a-_b", "a_b"), ("a b", "a_b"),
    ("1x", "key_1x"), ("1", "key_1"), ("1__x", "key_1_x"), ("-1x", "_1x"), ("1-", "key_1_"),
    ("customer-id", "customer_id"), ("1st-floor", "key_1st_floor"),
    ("", None), ("-", None), ("_", None), ("__", None), ("__x", None), ("__name__", None), ("__replica__", None),
    ("__x-y", None), ("--x", "_x"), (" ", None),
]


METRIC_NAMES += [("U__x", "U__x"), ("温度1", "U___6e29__5ea6_1"), ("é_1:", "U___e9___1:")]
LABEL_NAMES += [("U__x", "U__x"), ("温度:1", "U___6e29__5ea6__3a_1")]
for other in ["température", "water.temperature (°C)", "é1", "é", "日本", "🌡", "日本1", "1日本", "a日本b", "a🌡", "٣x", "Ａ", "ª1", "x²", "湿度1", "_é", "é:"]:
    METRIC_NAMES.append((other, escaped(other)))
    LABEL_NAMES.append((other, escaped(other, label=True)))


@pytest.mark.parametrize("name, translated", METRIC_NAMES, ids=ascii)
def test_translates_or_rejects_a_metric_name(gateway, name, translated):
    if translated is None:
        reason, detail = gateway.refused(named(name))
        assert reason == "invalid_metric_name"
        assert detail
    else:
        assert gateway.accepted(named(name)).names == [translated]


@pytest.mark.parametrize("name, translated", LABEL_NAMES, ids=ascii)
def test_translates_or_rejects_a_label_name(gateway, name, translated):
    if translated is None:
        reason, detail = gateway.refused(labelled(name))
        assert reason == "invalid_label_name"
        assert detail
    else:
        assert gateway.accepted(labelled(name)).labels == {translated: "x"}


def test_different_names_of_any_script_stay_different_series(gateway):
    sent = gateway.accepted('[{"metrics":{"温度1":21.5}},{"metrics":{"湿度1":40}}]')
    assert len(sent.samples) == 2


def test_detail_shows_the_bad_name(gateway):
    assert "__temperature" in gateway.refused(named("__temperature"))[1]
    assert "__replica__" in gateway.refused(labelled("__replica__"))[1]


# --- collisions ------------------------------------------------------------------------------------------------------

METRIC_COLLISIONS = {
    "a key twice": '{"a":1,"a":2}', "a key twice, equal values": '{"a":1,"a":1}',
    "a key twice, once in escapes": '{"a":1,"\\u0061":2}', "two become one": '{"a-b":1,"a.b":2}',
    "two become one, equal values": '{"a-b":1,"a.b":1}', "one becomes the other": '{"a_b":1,"a-b":2}',
    "one becomes the other, the other way about": '{"a-b":2,"a_b":1}', "a digit in front": '{"_1a":1,"1a":1}',
    "a name that needs translation twice": '{"battery-level":1,"battery-level":1}',
    "far apart": '{"a-b":1,%s,"a b":1}' % ",".join('"m%d":1' % i for i in range(200)),
}


@pytest.mark.parametrize("metrics", METRIC_COLLISIONS.values(), ids=METRIC_COLLISIONS)
def test_rejects_two_metrics_of_one_name_as_a_collision(gateway, metrics):
    reason, detail = gateway.refused('{"metrics":%s}' % metrics)
    assert reason == "metric_collision"
    assert detail


LABEL_COLLISIONS = {
    "a key twice": '{"a":"1","a":"2"}', "a key twice, equal values": '{"a":"1","a":"1"}',
    "a key twice, once in escapes": '{"a":"1","\\u0061":"2"}', "two become one": '{"a-b":"1","a.b":"2"}',
    "two become one, equal values": '{"a-b":"1","a.b":"1"}', "one becomes the other": '{"a_b":"1","a-b":"2"}',
    "a digit in front": '{"key_1a":"1","1a":"1"}', "numbers": '{"a-b":1,"a_b":1}',
}


@pytest.mark.parametrize("dimensions", LABEL_COLLISIONS.values(), ids=LABEL_COLLISIONS)
def test_rejects_two_labels_of_one_name_as_a_collision(gateway, dimensions):
    reason, detail = gateway.refused(with_dimensions(dimensions))
    assert reason == "label_collision"
    assert detail


@pytest.mark.parametrize("dimensions, labels", [
    ('{"a":null,"a":"x"}', {"a": "x"}), ('{"a":"x","a":null}', {"a": "x"}), ('{"a":null,"a":null}', {}),
    ('{"a-b":null,"a_b":"x"}', {"a_b": "x"}), ('{"a_b":"x","a-b":null}', {"a_b": "x"}),
    ('{"a-b":null,"a.b":null,"a b":"x"}', {"a_b": "x"}),
])
def test_a_null_dimension_causes_no_collision(gateway, dimensions, labels):
    assert gateway.accepted(with_dimensions(dimensions)).labels == labels


def test_names_that_differ_in_case_do_not_collide(gateway):
    sent = gateway.accepted('{"dimensions":{"a":"1","A":"2"},"metrics":{"ph":1,"pH":2,"PH":3}}')
    assert sent.names == ["PH", "pH", "ph"]
    assert {labels for _, labels in sent.samples} == {(("A", "2"), ("a", "1"))}


def test_names_of_different_events_do_not_collide(gateway):
    sent = gateway.accepted('[{"metrics":{"a-b":1},"dimensions":{"d":"1"}},{"metrics":{"a_b":1},"dimensions":{"d":"2"}}]')
    assert sent.names == ["a_b", "a_b"]


def test_a_metric_and_a_label_may_share_a_name(gateway):
    assert gateway.accepted('{"dimensions":{"ph":"x"},"metrics":{"ph":1}}').labels == {"ph": "x"}


# --- limits ----------------------------------------------------------------------------------------------------------

def dimensions(count, first=0):
    return {f"d{number:03d}": "x" for number in range(first, first + count)}


def test_accepts_150_labels_with_the_name(gateway):
    assert len(gateway.accepted({"dimensions": dimensions(149), "metrics": {"v": 1}}).labels) == 149


def test_rejects_151_labels_with_the_name(gateway):
    assert gateway.refused(with_dimensions(json.dumps(dimensions(150))))[0] == "too_many_labels"


def test_does_not_count_dimensions_without_a_label(gateway):
    given = {**dimensions(149), "none": None, "empty": "", "another": None}
    assert len(gateway.accepted(with_dimensions(json.dumps(given))).labels) == 149


@pytest.fixture(scope="module")
def gateway_with_external_labels():
    with Receiver() as receiver:
        one = Gateway(receiver, EXTERNAL_LABELS="env=prod,team=water")
        yield one
        one.close()


@pytest.mark.parametrize("count, own, fits", [
    pytest.param(147, {}, True, id="147 and two external ones"),
    pytest.param(148, {}, False, id="148 and two external ones"),
    pytest.param(147, {"env": "test"}, True, id="148, one of them an external one's"),
    pytest.param(147, {"env": "test", "team": "x"}, True, id="149, two of them the external ones'"),
    pytest.param(148, {"env": "test"}, False, id="149, one of them an external one's"),
    pytest.param(147, {"env": ""}, True, id="147 and an empty one that the external one fills"),
])
def test_counts_external_labels(gateway_with_external_labels, count, own, fits):
    text = with_dimensions(json.dumps({**dimensions(count), **own}))
    if fits:
        sent = gateway_with_external_labels.accepted(text)
        assert len(sent.labels) == 149
        assert sent.labels["env"] == (own.get("env") or "prod")
    else:
        assert gateway_with_external_labels.refused(text)[0] == "too_many_labels"


SIZES = [
    pytest.param(named("n" * 1024), True, id="metric name of 1,024"),
    pytest.param(named("n" * 1025), False, id="metric name of 1,025"),
    pytest.param(named("n" * 1023 + "-"), True, id="metric name of 1,024 to translate"),
    pytest.param(named("1" + "n" * 1022), True, id="metric name of 1,023 that gets one more"),
    pytest.param(named("1" + "n" * 1023), False, id="metric name of 1,024 that gets one more"),
    pytest.param(named("n" + "é" * 255), True, id="metric name of 511 bytes that becomes 1,024"),
    pytest.param(named("n" + "é" * 256), False, id="metric name of 513 bytes that becomes 1,028"),
    pytest.param(labelled("n" * 1024), True, id="label name of 1,024"),
    pytest.param(labelled("n" * 1025), False, id="label name of 1,025"),
    pytest.param(labelled("1" + "n" * 1019), True, id="label name of 1,020 that gets four more"),
    pytest.param(labelled("1" + "n" * 1020), False, id="label name of 1,021 that gets four more"),
    pytest.param(labelled("n" + "é" * 255), True, id="label name of 511 bytes that becomes 1,024"),
    pytest.param(labelled("n" + "é" * 256), False, id="label name of 513 bytes that becomes 1,028"),
    pytest.param(named("n" + "-" * 1200), True, id="metric name of 1,201 bytes that becomes two"),
    pytest.param(labelled("d", "v" * 2048), True, id="value of 2,048"),
    pytest.param(labelled("d", "v" * 2049), False, id="value of 2,049"),
    pytest.param(labelled("d", "é" * 1024), True, id="value of 1,024 characters of two bytes (in escapes)"),
    pytest.param(labelled("d", "é" * 1024 + "v"), False, id="value of 1,025 characters and 2,049 bytes (in escapes)"),
    pytest.param(with_dimensions('{"d":"%s"}' % ("é" * 1024)), True, id="value of 1,024 characters of two bytes"),
    pytest.param(with_dimensions('{"d":"%s"}' % ("é" * 1024 + "v")), False, id="value of 1,025 characters, 2,049 bytes"),
    pytest.param(labelled("d", "🌡" * 512), True, id="value of 512 characters of four bytes (surrogate pairs)"),
    pytest.param(labelled("d", "🌡" * 512 + "v"), False, id="value of 513 characters and 2,049 bytes (surrogate pairs)"),
    pytest.param(with_dimensions('{"d":%s}' % ("1" * 2048)), True, id="number of 2,048 digits"),
    pytest.param(with_dimensions('{"d":%s}' % ("1" * 2049)), False, id="number of 2,049 digits"),
]


@pytest.mark.parametrize("text, fits", SIZES)
def test_limits_the_size_of_names_and_values(gateway, text, fits):
    if fits:
        gateway.accepted(text)
    else:
        reason, detail = gateway.refused(text)
        assert reason == "too_large"
        assert len(detail) < 1000, "the detail repeats the text that is too large"
