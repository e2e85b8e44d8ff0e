"""The value of a metric (contract: the event, rows `metrics` and `type of a value`), bit for bit.

Only two results show the type of a value: `inexact` counts Integers alone, and `-0` loses its sign as an Integer. The tests take
the expected double from Python's float(), which rounds correctly.
"""
import base64
import json
import random
import struct

import pytest

from support.event_values import BAD, GOOD, INF, NAN, NEGATIVE_INF
from support.gateway import with_metrics
from support.receiver import bits, double


@pytest.mark.parametrize("literal, wire, inexact", GOOD)
def test_a_value_arrives_bit_for_bit(gateway, literal, wire, inexact):
    sent = gateway.accepted(with_metrics(literal))
    assert hex(sent.bits) == hex(wire), f"{double(sent.bits)!r} for {double(wire)!r}"
    assert sent.result.json["inexact"] == inexact


@pytest.mark.parametrize("literal, wire, inexact", GOOD)
def test_a_value_arrives_bit_for_bit_by_sqs(gateway, literal, wire, inexact):
    sent = gateway.sqs(with_metrics(literal))
    assert sent.result.failures == []
    assert hex(sent.bits) == hex(wire)


@pytest.mark.parametrize("literal", BAD.values(), ids=BAD)
def test_rejects_a_value_that_is_not_a_number(gateway, literal):
    reason, detail = gateway.refused(with_metrics(literal))
    assert reason == "invalid_value"
    assert detail.startswith("metrics.v: ")


def test_rejects_values_that_are_not_numbers_in_an_array_too(gateway):
    sent = gateway.direct("[%s]" % ",".join(with_metrics(literal) for literal in BAD.values()))
    rejected = {one["index"]: one["reason"] for one in sent.result.json["rejected"]}
    assert rejected == dict.fromkeys(range(len(BAD)), "invalid_value")
    assert sent.writes == []


@pytest.mark.parametrize("literal", ["+5", ".5", "5.", "-.5", "01", "-01", "0x1F", "1_000", "NAN", "+Infinity",
                                     "-nan", "-inf", "Inf", "INFINITY", "NaN5", "--5", "1e", "-", "'1'", "1e+", "abc", "", "True", "None", "1.e5"])
def test_rejects_a_literal_that_json_does_not_know(gateway, literal):
    assert gateway.refused(with_metrics(literal))[0] == "invalid_json"


@pytest.mark.parametrize("token, wire", [("NaN", NAN), ("nan", NAN), ("Infinity", INF), ("-Infinity", NEGATIVE_INF), ("inf", INF)])
def test_accepts_the_bare_tokens_of_python_c_and_firmware(gateway, token, wire):
    for text in (with_metrics(token), '{"metrics": {"v" :\n%s }}' % token, "\ufeff" + with_metrics(token),
                 json.dumps(with_metrics(token)), base64.b64encode(with_metrics(token).encode()).decode()):
        assert hex(gateway.accepted(text).bits) == hex(wire), text
        assert hex(gateway.sqs(text).bits) == hex(wire), text


def test_a_bare_token_leaves_the_rest_of_an_array_alone(gateway):
    events = ['{"dimensions":{"n":%d},"metrics":{"v":%s}}' % (n, "NaN" if n == 3 else "abc" if n == 5 else n) for n in range(10)]
    assert gateway.refused("[%s]" % ",".join(events))[0] == "invalid_json"  # abc is none of the tokens
    events[5] = '{"dimensions":{"n":5},"metrics":{"v":"abc"}}'
    sent = gateway.direct("[%s]" % ",".join(events))
    assert [one["index"] for one in sent.result.json["rejected"]] == [5]
    assert sent.result.json["accepted"] == 9


@pytest.mark.parametrize("text", [
    '{"dimensions":{"a":NaN},"metrics":{"v":1}}', '{"metrics":{"v":1},"timestamp":NaN}', '{"metrics":NaN}', "NaN", "[NaN]",
    '{"metrics":{"v":[NaN]}}', '{"metrics":{"v":{"metrics":1,"w":NaN}}}', '{"metrics":{NaN:1}}', '{"metrics":{"v":NaN}',
])
def test_rejects_a_bare_token_at_any_other_place(gateway, text):
    assert gateway.refused(text)[0] in ("invalid_json", "invalid_value")


# --- null ------------------------------------------------------------------------------------------------------------

def test_leaves_a_null_metric_out_and_counts_it(gateway):
    sent = gateway.accepted('{"metrics":{"temperature":null,"humidity":48.0,"__reserved":null}}')
    assert sent.names == ["humidity"]
    assert sent.result.json["null_values"] == sent.result.metrics["null_values"] == 2


def test_a_null_metric_collides_with_nothing(gateway):
    assert gateway.accepted('{"metrics":{"a-b":null,"a_b":1,"a.b":null}}').names == ["a_b"]


@pytest.mark.parametrize("metrics", ['{"v":null}', '{"v":null,"w":null}', '{"__v":null}'])
def test_rejects_an_event_in_which_each_metric_is_null(gateway, metrics):
    reason, detail = gateway.refused('{"metrics":%s}' % metrics)
    assert reason == "invalid_event"
    assert "no metric has a value" in detail


@pytest.mark.parametrize("value, words", [
    ('"0x1F"', "hexadecimal"), ('"14,3"', "comma"), ('"1_000"', "underscore"), ('"14.3 C"', "unit"), ('"5%"', "unit"), ('" "', "blank"),
])
def test_detail_says_what_may_be_the_matter_with_a_string(gateway, value, words):
    assert words in gateway.refused(with_metrics(value))[1]


@pytest.mark.parametrize("literal, detail", [('"abc"', 'metrics.ph: "abc" is not a number')])
def test_detail_names_the_path_and_the_value(gateway, literal, detail):
    assert gateway.refused('{"metrics": {"temperature": 14.3, "ph": %s}}' % literal) == ("invalid_value", detail)


def test_detail_names_a_metric_as_the_producer_wrote_it(gateway):
    reason, detail = gateway.refused('{"metrics": {"battery-level": "abc"}}')
    assert reason == "invalid_value"
    assert detail.startswith("metrics.battery-level: ")


# --- many values-----------------------------------------------------------------------------------------------------

def stored(gateway, literals):
    """Sends each literal as an event of one payload. Returns the bits in their order."""
    sent = gateway.accepted("[%s]" % ",".join('{"dimensions":{"n":%d},"metrics":{"v":%s}}' % pair
                                              for pair in enumerate(literals)))
    assert sent.result.json["accepted"] == len(literals)
    by_number = {int(labels[0][1]): samples[0][1] for (_, labels), samples in sent.samples.items()}
    return [by_number[number] for number in range(len(literals))]


def random_doubles(count, seed):
    """Returns finite doubles; every bit pattern is equally likely."""
    source = random.Random(seed)
    while count:
        (value,) = struct.unpack("<d", source.randbytes(8))
        if value - value == 0:
            count -= 1
            yield value


WAYS = {
    "the shortest text": repr,
    "17 digits": lambda value: f"{value:.16e}",
    "one digit less than needed": lambda value: f"{value:.15e}",
    "25 digits": lambda value: f"{value:.24e}",
    "all digits": lambda value: f"{value:.800e}",
    "in a string": lambda value: f'"{value!r}"',
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_random_doubles_arrive_bit_for_bit(gateway, write):
    literals = [write(value) for value in random_doubles(2000, seed=20230214)]
    literals = [literal for literal in literals if abs(float(literal.strip('"'))) < float("inf")]
    assert stored(gateway, literals) == [bits(float(literal.strip('"'))) for literal in literals]


def test_rounds_decimals_half_way_between_two_doubles_to_the_even_one(gateway):
    source = random.Random(7)
    literals = []
    for _ in range(500):
        low = source.randrange(2**53, 2**62) & ~0xFFF
        (value,) = struct.unpack("<d", struct.pack("<Q", bits(float(low))))
        (above,) = struct.unpack("<d", struct.pack("<Q", bits(value) + 1))
        half = (int(value) + int(above)) // 2
        literals += [f"{half}.0", f"{half}.{'0' * 30}1", f"{half - 1}.{'9' * 30}", f"{half}e0"]
    assert stored(gateway, literals) == [bits(float(literal)) for literal in literals]


def test_random_readings_of_few_digits_arrive_bit_for_bit(gateway):
    source = random.Random(3)
    literals = [f"{source.uniform(-1000, 1000):.{source.randrange(1, 8)}f}" for _ in range(2000)]
    assert stored(gateway, literals) == [bits(float(literal)) for literal in literals]


def test_counts_random_integers_that_a_double_cannot_hold_as_inexact(gateway):
    source = random.Random(11)
    values = [source.randrange(-(2**63), 2**63) >> source.randrange(0, 63) for _ in range(2000)]
    sent = gateway.accepted("[%s]" % ",".join('{"dimensions":{"n":%d},"metrics":{"v":%d}}' % pair
                                              for pair in enumerate(values)))
    assert sent.result.json["inexact"] == sum(int(float(value)) != value for value in values)
