"""Dimensions become labels (contract: the event, row `dimensions`)."""
import pytest
from support.gateway import with_dimensions


@pytest.mark.parametrize("text", [
    pytest.param('{"metrics":{"v":1}}', id="missing"),
    pytest.param(with_dimensions("null"), id="null"),
    pytest.param(with_dimensions("{}"), id="empty"),
    pytest.param(with_dimensions('{"a":null}'), id="only a null"),
    pytest.param(with_dimensions('{"a":"","b":null}'), id="only an empty one and a null"),
])
def test_dimensions_that_are_missing_null_or_empty_are_the_same(gateway, text):
    assert gateway.accepted(text).labels == {}


@pytest.mark.parametrize("literal, label", [
    ('"customer1"', "customer1"), ('" "', " "), ('"  spaced  "', "  spaced  "), ('"null"', "null"), ('"0"', "0"),
    ('"température"', "température"), ('"水温"', "水温"), ('"🌡"', "🌡"), ('"\\ud83c\\udf21"', "🌡"),
    ('"\\uD83C\\uDF21\\uFE0F"', "🌡️"), ('"\\u00e9"', "é"), ('"e\u0301"', "e\u0301"), ('"\\"quoted\\""', '"quoted"'),
    ('"back\\\\slash"', "back\\slash"), ('"a\\/b"', "a/b"), ('"line\\nbreak\\ttab\\r\\b\\f"', "line\nbreak\ttab\r\b\f"),
    ('"\\\\ud83c"', "\\ud83c"), ('"\\\\\\\\ud83c"', "\\\\ud83c"), ('"{}"', "{}"), ('"a=b,c"', "a=b,c"),
    ('"\u2028"', "\u2028"), ('"\\uffff"', "\uffff"), ('"\ufeff"', "\ufeff"),
    # numbers and booleans are their JSON text
    ("12", "12"), ("1.50", "1.50"), ("12.0", "12.0"), ("-0", "-0"), ("-0.0", "-0.0"), ("1e3", "1e3"), ("1E+3", "1E+3"),
    ("9007199254740993", "9007199254740993"), ("1e309", "1e309"), ("123456789012345678901234567890" * 2,) * 2,
    ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ("true", "true"), ("false", "false"),
], ids=lambda value: ascii(value))
def test_a_dimension_becomes_a_label(gateway, literal, label):
    sent = gateway.accepted(with_dimensions('{"d":%s}' % literal))
    assert sent.labels == {"d": label}


@pytest.mark.parametrize("literal", ["null", '""'])
def test_makes_no_label_of_null_or_the_empty_string(gateway, literal):
    assert gateway.accepted(with_dimensions('{"d":%s,"site":"pond"}' % literal)).labels == {"site": "pond"}


@pytest.mark.parametrize("literal", ["[]", "{}", '["pond"]', '{"site":"pond"}', "[1]", "[null]"])
def test_rejects_a_dimension_that_is_an_array_or_object_and_names_it(gateway, literal):
    reason, detail = gateway.refused(with_dimensions('{"ok":"x","d":%s}' % literal))
    assert reason == "invalid_event"
    assert "dimensions.d" in detail


@pytest.mark.parametrize("literal", ["[]", '["a","b"]', '[["a","b"]]', '"customer1"', '""', "5", "0", "true", "false"])
def test_rejects_dimensions_that_are_not_an_object(gateway, literal):
    reason, detail = gateway.refused(with_dimensions(literal))
    assert reason == "invalid_event"
    assert "dimensions" in detail


def test_all_metrics_of_an_event_carry_its_labels_sorted(gateway):
    sent = gateway.accepted('{"dimensions":{"zone":"z","Area":"a","b_2":"x","b":"y"},"metrics":{"ph":1,"flow":2}}')
    labels = (("Area", "a"), ("b", "y"), ("b_2", "x"), ("zone", "z"))  # by bytes: capitals first
    assert set(sent.samples) == {("ph", labels), ("flow", labels)}


def test_the_order_of_dimensions_does_not_change_the_series(gateway):
    sent = gateway.accepted('[{"dimensions":{"a":"1","b":"2"},"metrics":{"v":1}},'
                            '{"dimensions":{"b":"2","a":"1"},"metrics":{"v":1}}]')
    assert len(sent.samples) == 1


def test_the_text_of_a_number_decides_the_series(gateway):
    sent = gateway.accepted('[{"dimensions":{"a":1.50},"metrics":{"v":1}},{"dimensions":{"a":1.5},"metrics":{"v":1}},'
                            '{"dimensions":{"a":"1.5"},"metrics":{"v":1}}]')
    assert sorted(dict(labels)["a"] for _, labels in sent.samples) == ["1.5", "1.50"]
