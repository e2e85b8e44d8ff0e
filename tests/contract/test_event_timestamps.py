"""The time of an event and its age (contract: the event, rows `timestamp` and `age`)."""
import json
import random
from datetime import UTC, datetime

import pytest

from support.events import now_ms
from support.gateway import Gateway
from support.receiver import Receiver
from support.sqs import record

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
#: The edges of the allowed range leave this much room for the time between making an event and the start of its invocation.
SLACK = 3 * SECOND


def at(literal):
    return '{"timestamp":%s,"metrics":{"v":1}}' % literal


# --- forms of a timestamp --------------------------------------------------------------------------------------------

WRITTEN = {
    "a number": "{now}", "a string of digits": '"{now}"', "with a fraction": "{now}.25", "cut, not rounded": "{now}.9999",
    "cut, where a double would round": "{now}.99999999999999999999", "with a point and zero": "{now}.0",
    "with an exponent": "{now}e0", "with an exponent of one": "{tenth}e1", "in scientific form": "{first}.{rest}e12",
    "in scientific form with a fraction": "{first}.{rest}9999E+12", "with a negative exponent": "{now}00e-2",
    "with a negative exponent and a fraction": "{now}99e-2", "digits in escapes": '"\\u0031{rest}"',
}


@pytest.mark.parametrize("form", WRITTEN.values(), ids=WRITTEN)
def test_accepts_a_timestamp_written_as(gateway, form):
    now = now_ms() // 10 * 10
    literal = form.format(now=now, tenth=now // 10, first=str(now)[0], rest=str(now)[1:])
    assert gateway.accepted(at(literal)).time == now


def test_cuts_off_a_fraction_with_any_exponent(gateway):
    """Numbers with up to 25 digits of fraction and an exponent are never rounded up to the next millisecond."""
    source = random.Random(5)
    now = now_ms()
    literals = []
    for number in range(2000):
        nines = source.choice(["", "9" * source.randrange(1, 25), str(source.randrange(10**12)), "5"])
        digits = f"{now - number}{nines}"
        point = source.randrange(1, len(digits) + 3)  # digits before the point in the text
        exponent = len(str(now)) - point
        written = digits[:point].ljust(point, "0") + ("." + digits[point:] if point < len(digits) else "")
        literals.append(f"{written}e{exponent}")
    sent = gateway.accepted("[%s]" % ",".join('{"dimensions":{"n":%d},"timestamp":%s,"metrics":{"v":1}}' % pair
                                              for pair in enumerate(literals)))
    times = {int(labels[0][1]): samples[0][0] for (_, labels), samples in sent.samples.items()}
    assert [(literals[n], times[n]) for n in range(2000) if times[n] != now - n] == []


@pytest.mark.parametrize("literal", [
    '""', '" "', '"abc"', '"now"', '"0x18F"', '"1_676_398_017_000"', '"NaN"', '"Inf"', '"١٦٧٦٣٩٨٠١٧٠٠٠"', '"{now} ms"', "true",
    "false", "[]", "[{now}]", "{{}}", '{{"ms":{now}}}', "1e400", "-1e400", "1e99999999999999999999", '"%s"' % ("9" * 400), "9" * 400,
    '"2026-11-21"', '"02:42:04Z"', '"21.11.2026 02:42:04"', '"2026-11-21T02:42:04 CET"', '"20261121T024204Z"', '"Sat Nov 21 02:42:04 2026"',
], ids=lambda literal: literal[:30])
def test_rejects_a_value_that_is_not_a_time(gateway, literal):
    reason, detail = gateway.refused(at(literal.format(now=now_ms())))
    assert reason == "invalid_event"
    assert "timestamp" in detail


UNITS = {"seconds": 1000, "milliseconds": 1, "microseconds": 1 / 1000, "nanoseconds": 1 / 1_000_000}


@pytest.mark.parametrize("form", ["{0}", '"{0}"', '" {0}\\n"', "{0}.75", '"{0}.75"', "{0}e0"])
@pytest.mark.parametrize("unit", UNITS)
def test_takes_the_unit_from_the_magnitude(gateway, unit, form):
    second = now_ms() // 1000
    number = second * round(1000 / UNITS[unit])
    fraction = 750 if unit == "seconds" and ".75" in form else 0
    assert gateway.accepted(at(form.format(number))).time == second * 1000 + fraction


@pytest.mark.parametrize("literal, milliseconds", [
    ("0", 0), ("1", 1000), ("0.0019", 1), ("-1", -1000), ('"-5"', -5000), ("99999999999", 99999999999000),
    ("99999999999.9999", 99999999999999), ("100000000000", 100000000000), ("99999999999999.9", 99999999999999), ("1e14", 100000000000),
    ("99999999999999999", 99999999999999), ("100000000000000000", 100000000000), ("9223372036854775807", 9223372036854),
    ("9223372036854775808", 9223372036854),
])
def test_reads_any_magnitude_before_it_judges_the_age(gateway, literal, milliseconds):
    reason, detail = gateway.refused(at(literal))
    assert reason == ("too_old" if milliseconds < now_ms() else "in_future")
    assert f"timestamp: {milliseconds} is " in detail


ZONES = {"Z": 0, "z": 0, "+00:00": 0, "-00:00": 0, "+01:00": 60, "-05:30": -330, "+0545": 345, "-10": -600, " +0200": 120}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dt%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M"])
def test_accepts_a_date_and_time_with_its_zone(gateway, form, zone):
    time = now_ms() // 60_000 * 60
    local = datetime.fromtimestamp(time + ZONES[zone] * 60, UTC).strftime(form)
    assert gateway.accepted(at(f'"{local}{zone}"')).time == time * 1000


@pytest.mark.parametrize("fraction, milliseconds", [(".25", 250), (".2509", 250), (".999999999999", 999), (".000", 0), (",5", 500)])
def test_cuts_the_fraction_of_a_date_and_time(gateway, fraction, milliseconds):
    time = now_ms() // 1000 - 1
    text = datetime.fromtimestamp(time, UTC).strftime(f"%Y-%m-%dT%H:%M:%S{fraction}Z")
    assert gateway.accepted(at(f'"{text}"')).time == time * 1000 + milliseconds


@pytest.mark.parametrize("text, words", [
    ("2026-11-28T21:16:14", "zone"), ("2026-11-28 21:16", "zone"), ("2026-11-28T21:16:14.5", "zone"),
    ("2026-02-29T00:00:00Z", "calendar"), ("2026-13-01T00:00:00Z", "calendar"), ("2026-11-28T25:00:00Z", "time of the day"),
    ("2026-11-28T21:16:14+25:00", "offset"),
])
def test_rejects_a_date_and_time_with_a_hint(gateway, text, words):
    reason, detail = gateway.refused(at(f'"{text}"'))
    assert reason == "invalid_event"
    assert words in detail


@pytest.mark.parametrize("literal, reason", [
    pytest.param("100000000000", "too_old", id="10^11 is a time of 1973"),
    pytest.param("1676398017000", "too_old", id="the ancestor's README"),
    pytest.param("99999999999999", "in_future", id="just below 10^14 is a time of 5138"),
    pytest.param("4102444800000", "in_future", id="2100"),
])
def test_rejects_milliseconds_of_other_centuries_as_too_old_or_in_the_future(gateway, literal, reason):
    assert gateway.refused(at(literal))[0] == reason
    assert gateway.refused(at('"%s"' % literal))[0] == reason


# --- the age of an event ---------------------------------------------------------------------------------------------

AGES = {
    "an hour ago, less a little": (-HOUR + SLACK, None), "an hour ago and more": (-HOUR - 5, "too_old"),
    "a day ago": (-24 * HOUR, "too_old"), "half an hour ago": (-HOUR // 2, None), "now": (0, None),
    "nine seconds ahead": (9 * SECOND, None), "ten seconds ahead and more": (10 * SECOND + SLACK, "in_future"),
    "a minute ahead": (MINUTE, "in_future"), "a day ahead": (24 * HOUR, "in_future"),
}


@pytest.mark.parametrize("offset, reason", AGES.values(), ids=AGES)
def test_the_age_is_measured_from_the_start_of_the_invocation(gateway, offset, reason):
    time = now_ms() + offset
    if reason is None:
        assert gateway.accepted(at(time)).time == time
    else:
        refused_as, detail = gateway.refused(at(time))
        assert refused_as == reason
        assert detail


@pytest.mark.parametrize("offset, reason", AGES.values(), ids=AGES)
def test_checks_the_age_of_events_from_sqs_too(gateway, offset, reason):
    time = now_ms() + offset
    sent = gateway.sqs(record(at(time), message_id="m-1"))
    assert sent.result.failures == ([] if reason is None else ["m-1"])
    assert sent.result.metrics.get("rejected", 0) == (0 if reason is None else 1)


@pytest.fixture(scope="module")
def patient_gateway():
    with Receiver() as receiver:
        one = Gateway(receiver, MAX_SAMPLE_AGE="2h", MAX_SAMPLE_LEAD="30m")
        yield one
        one.close()


@pytest.mark.parametrize("offset, reason", [
    (-2 * HOUR + SLACK, None), (-2 * HOUR - 5, "too_old"), (30 * MINUTE - SLACK, None), (30 * MINUTE + SLACK, "in_future"),
])
def test_takes_the_age_limits_from_the_settings(patient_gateway, offset, reason):
    time = now_ms() + offset
    if reason is None:
        assert patient_gateway.accepted(at(time)).time == time
    else:
        assert patient_gateway.refused(at(time))[0] == reason


# --- no timestamp ---------------------------------------------------------------------------------------------------

MISSING = {"missing": '{"metrics":{"v":1}}', "null": '{"metrics":{"v":1},"timestamp":null}'}


@pytest.mark.parametrize("text", MISSING.values(), ids=MISSING)
def test_a_direct_event_without_time_has_the_time_of_the_invocation(gateway, text):
    before = now_ms()
    time = gateway.accepted(text).time
    assert before <= time <= now_ms()


@pytest.mark.parametrize("text", MISSING.values(), ids=MISSING)
def test_a_message_without_time_has_the_time_at_which_sqs_received_it(gateway, text):
    sent_at = now_ms() - 20 * MINUTE
    assert gateway.sqs(record(text, sent=sent_at)).time == sent_at


@pytest.mark.parametrize("text", MISSING.values(), ids=MISSING)
def test_prefers_the_attribute_of_a_redriven_message(gateway, text):
    first_sent = now_ms() - 30 * MINUTE
    one = record(text, sent=now_ms() - MINUTE, attributes={"sent_timestamp": str(first_sent)})
    assert gateway.sqs(one).time == first_sent


def test_accepts_the_attribute_as_a_number(gateway):
    first_sent = now_ms() - 30 * MINUTE
    attribute = {"stringValue": str(first_sent), "stringListValues": [], "binaryListValues": [], "dataType": "Number"}
    assert gateway.sqs(record(MISSING["missing"], attributes={"sent_timestamp": attribute})).time == first_sent


@pytest.mark.parametrize("ahead", [SECOND, HOUR])
def test_a_time_that_the_queue_gave_is_never_later_than_the_invocation(gateway, ahead):
    before = now_ms()
    one = record(MISSING["missing"], sent=before + ahead)
    redriven = record(MISSING["missing"], attributes={"sent_timestamp": str(before + ahead)})
    for each in (one, redriven):
        assert before <= gateway.sqs(each).time <= now_ms()


def test_details_give_ages_for_people(gateway):
    _, detail = gateway.refused(at(now_ms() - 3 * HOUR - 12 * MINUTE - 5 * SECOND))
    assert "is 3 h 12 min old (115" in detail and "at most 1 h" in detail
    _, detail = gateway.refused(at(now_ms() + 2 * 24 * HOUR + MINUTE))
    assert "is 2 d ahead (172" in detail and "at most 10 s" in detail


def test_a_record_without_any_time_has_the_time_of_the_invocation(gateway):
    before = now_ms()
    time = gateway.sqs(record(MISSING["missing"], sent=before - 30 * MINUTE, system={"SentTimestamp": None})).time
    assert before <= time <= now_ms()


def test_prefers_an_events_own_time_to_all_others(gateway):
    own = now_ms() - 5 * MINUTE
    one = record(at(own), sent=now_ms() - MINUTE, attributes={"sent_timestamp": str(own - MINUTE)})
    assert gateway.sqs(one).time == own


def test_rejects_an_event_whose_messages_time_is_too_old(gateway):
    one = record(MISSING["missing"], message_id="late", sent=now_ms() - 2 * HOUR)
    sent = gateway.sqs(one)
    assert sent.result.failures == ["late"]  # rejected, and there is no queue for dead letters
    assert sent.result.metrics["rejected.too_old"] == 1
    assert sent.writes == []


def test_events_of_one_message_without_time_share_it(gateway):
    sent_at = now_ms() - 20 * MINUTE
    own = now_ms() - MINUTE
    sent = gateway.sqs(record('[{"metrics":{"a":1}},{"metrics":{"b":2}},{"metrics":{"c":3},"timestamp":%d}]' % own,
                              sent=sent_at))
    assert {name: samples[0][0] for (name, _), samples in sent.samples.items()} == {"a": sent_at, "b": sent_at, "c": own}


def test_each_record_has_its_own_time(gateway):
    times = {f"m{index}": now_ms() - index * MINUTE for index in range(5)}
    sent = gateway.sqs(*(record({"metrics": {name: 1}}, sent=time) for name, time in times.items()))
    assert {name: samples[0][0] for (name, _), samples in sent.samples.items()} == times


def test_does_not_use_the_times_of_wrappers(gateway):
    inner = json.dumps({"metrics": {"v": 1}})
    wrappers = [
        {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": inner,
         "Timestamp": "2023-02-14T18:06:57.000Z"},
        {"version": "0", "id": "i", "detail-type": "reading", "source": "sensors", "account": "123456789012",
         "time": "2023-02-14T18:06:57Z", "region": "us-east-1", "resources": [], "detail": json.loads(inner)},
    ]
    sent_at = now_ms() - 20 * MINUTE
    for wrapper in wrappers:
        assert gateway.sqs(record(wrapper, sent=sent_at)).time == sent_at
        before = now_ms()
        assert before <= gateway.accepted(wrapper).time <= now_ms()
