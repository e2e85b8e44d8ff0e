"""One event through the real `ingest`: the ancestor's README event, an event as one unit, and the types of the report."""
import re

import pytest

from support.events import now_ms
from support.receiver import bits
from support.sqs import record

README_EVENT = '{"dimensions": {"customerId": "customer1"}, "timestamp": %s, "metrics": {"temperature": "14.3", "ph": "6.7"}}'


def readme_samples(now):
    labels = (("customerId", "customer1"),)
    return {("temperature", labels): [(now, bits(14.3))], ("ph", labels): [(now, bits(6.7))]}


def test_the_ancestors_readme_event_works_verbatim(gateway):
    now = now_ms()
    sent = gateway.accepted(README_EVENT % now)
    assert sent.samples == readme_samples(now)
    assert sent.result.json == {"accepted": 1, "rejected_count": 0, "rejected": [], "samples": 2, "series": 2,
                                "requests": 1, "inexact": 0, "null_values": 0}


def test_the_ancestors_readme_event_works_verbatim_by_sqs(gateway):
    now = now_ms()
    sent = gateway.sqs(README_EVENT % now)
    assert sent.result.failures == []
    assert sent.samples == readme_samples(now)


def test_the_example_of_the_contract_works(gateway):
    now = now_ms()
    sent = gateway.accepted('{"dimensions": {"customerId": "customer1"}, "timestamp": %d, '
                            '"metrics": {"temperature": "14.3", "ph": 6.7}}' % now)
    assert sent.samples == readme_samples(now)


@pytest.mark.parametrize("bad", [
    pytest.param('"metrics": {"temperature": 14.3, "ph": "abc", "level": 3}', id="one value"),
    pytest.param('"metrics": {"ph": "abc", "temperature": 14.3}', id="the first value"),
    pytest.param('"metrics": {"temperature": 14.3, "ph": ""}', id="the last value"),
    pytest.param('"metrics": {"temperature": 14.3, "__ph": 6.7}', id="one metric name"),
    pytest.param('"dimensions": {"": "x"}, "metrics": {"temperature": 14.3}', id="one label name"),
    pytest.param('"dimensions": {"site": []}, "metrics": {"temperature": 14.3}', id="one dimension"),
    pytest.param('"timestamp": 1676398017000, "metrics": {"temperature": 14.3}', id="the timestamp"),
    pytest.param('"metrics": {"temperature": 14.3}, "unit": "C"', id="an unknown key at the end"),
    pytest.param('"metrics": {"temperature": 14.3, "a-b": 1, "a_b": 1}', id="a collision"),
    pytest.param('"metrics": {"temperature": 14.3, "%s": 1}' % ("n" * 1025), id="a name too long"),
])
def test_sends_nothing_of_an_event_with_one_bad_part(gateway, bad):
    gateway.refused("{%s}" % bad)


@pytest.mark.parametrize("bad", ['{"metrics": {"temperature": 14.3, "ph": "abc"}}',
                                 '{"metrics": {"temperature": 14.3}, "unit": "C"}'])
def test_stores_the_other_events_of_an_array_whole(gateway, bad):
    good = '{"dimensions": {"d": "%s"}, "metrics": {"temperature": 14.3, "ph": 6.7}}'
    sent = gateway.direct("[%s,%s,%s]" % (good % "before", bad, good % "after"))
    assert sent.result.ok, sent.result
    assert (sent.result.json["accepted"], sent.result.json["rejected_count"]) == (2, 1)
    assert set(sent.samples) == {(name, (("d", where),)) for name in ("temperature", "ph")
                                 for where in ("before", "after")}


def test_accepts_keys_in_any_order(gateway):
    now = now_ms()
    parts = ['"dimensions": {"customerId": "customer1"}', f'"timestamp": {now}',
             '"metrics": {"temperature": "14.3", "ph": 6.7}']
    for order in (0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0):
        assert gateway.accepted("{%s}" % ",".join(parts[i] for i in order)).samples == readme_samples(now)


def test_accepts_white_space_anywhere(gateway):
    now = now_ms()
    text = '\r\n\t {\n "metrics" \t:\r{ "ph" : \n 6.7 } , "timestamp"\n:\n%d }\n\n ' % now
    assert gateway.accepted(text).samples == {("ph", ()): [(now, bits(6.7))]}


# --- the keys of an event --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, named, likely", [
    pytest.param('{"dimension": {"a": "b"}, "metrics": {"v": 1}}', "dimension", "dimensions", id="dimension"),
    pytest.param('{"Dimensions": {"a": "b"}, "metrics": {"v": 1}}', "Dimensions", "dimensions", id="Dimensions"),
    pytest.param('{"dimnesions": {}, "metrics": {"v": 1}}', "dimnesions", "dimensions", id="dimnesions"),
    pytest.param('{"metrics": {"v": 1}, "timestmp": 1}', "timestmp", "timestamp", id="timestmp"),
    pytest.param('{"metrics": {"v": 1}, "timeStamp": 1}', "timeStamp", "timestamp", id="timeStamp"),
    pytest.param('{"metric": {"v": 1}}', "metric", "metrics", id="metric"),
    pytest.param('{"metrics": {"v": 1}, "metrics ": {}}', "metrics ", "metrics", id="metrics and a space"),
])
def test_rejects_an_unknown_key_and_suggests_the_likely_one(gateway, text, named, likely):
    reason, detail = gateway.refused(text)
    assert reason == "invalid_event"
    assert named in detail
    assert re.search(rf"did you mean `?{likely}`?\?", detail), detail


@pytest.mark.parametrize("text", [
    pytest.param('{"metrics": {"v": 1}, "Records": []}', id="Records after"),
    pytest.param('{"Records": [], "metrics": {"v": 1}}', id="Records before"),
    pytest.param('{"metrics": {"v": 1}, "Records": null}', id="Records null"),
    pytest.param('{"metrics": {"v": 1}, "detail": []}', id="detail"),
    pytest.param('{"metrics": {"v": 1}, "Type": "Notification", "Message": "[]"}', id="Message"),
    pytest.param('{"metrics": {"v": 1}, "detail-type": "t", "source": "s", "detail": []}', id="detail with its type"),
])
def test_does_not_silently_lose_an_event_with_a_wrappers_key(gateway, text):
    assert gateway.refused(text)[0] == "invalid_event"
    sent = gateway.sqs(record(text, message_id="m-1"))
    assert sent.result.failures == ["m-1"]


@pytest.mark.parametrize("key", ["xyzzy", "unit", "", "日本", "a\\nb"])
def test_rejects_an_unknown_key_and_names_it(gateway, key):
    reason, detail = gateway.refused('{"metrics": {"v": 1}, "%s": null}' % key)
    assert reason == "invalid_event"
    if key and "\\" not in key:
        assert key in detail


@pytest.mark.parametrize("text", [
    pytest.param('{"metrics": {"v": 1}, "metrics": {"w": 1}}', id="metrics"),
    pytest.param('{"metrics": {"v": 1}, "metrics": {"v": 1}}', id="metrics, the same"),
    pytest.param('{"dimensions": {"a": "b"}, "metrics": {"v": 1}, "dimensions": {"c": "d"}}', id="dimensions"),
    pytest.param('{"dimensions": null, "metrics": {"v": 1}, "dimensions": null}', id="dimensions, both null"),
    pytest.param('{"timestamp": null, "metrics": {"v": 1}, "timestamp": null}', id="timestamp, both null"),
    pytest.param('{"metrics": {"v": 1}, "metr\\u0069cs": {"w": 1}}', id="metrics, once with an escape"),
])
def test_rejects_a_key_of_the_event_that_is_given_twice(gateway, text):
    assert gateway.refused(text)[0] == "invalid_event"


def test_accepts_keys_with_escapes(gateway):
    sent = gateway.accepted('{"\\u006detrics": {"\\u0070h": "\\u0036.7"}, "dim\\u0065nsions": {"\\u0061": "\\u0062"}}')
    assert [(key, samples[0][1]) for key, samples in sent.samples.items()] == [(("ph", (("a", "b"),)), bits(6.7))]


@pytest.mark.parametrize("text", [
    pytest.param("{}", id="empty object"),
    pytest.param('{"dimensions": {"a": "b"}}', id="missing"),
    pytest.param('{"metrics": {}}', id="none"),
    pytest.param('{"metrics": null}', id="null"),
    pytest.param('{"metrics": []}', id="empty array"),
    pytest.param('{"metrics": [1]}', id="array"),
    pytest.param('{"metrics": [{"ph": 6.7}]}', id="array of objects"),
    pytest.param('{"metrics": "ph"}', id="string"),
    pytest.param('{"metrics": 6.7}', id="number"),
    pytest.param('{"metrics": true}', id="boolean"),
])
def test_requires_metrics_to_be_an_object_with_an_entry(gateway, text):
    reason, detail = gateway.refused(text)
    assert reason == "invalid_event"
    assert "metrics" in detail


# --- the report ------------------------------------------------------------------------------------------------------

def test_the_report_of_an_array_names_each_rejected_event_by_index(gateway):
    good, bad = '{"metrics": {"ph": 6.7}, "dimensions": {"d": "%d"}}', '{"metrics": {"ph": "abc"}}'
    sent = gateway.direct("[%s]" % ",".join([good % 0, bad, good % 2, '{"metrics": {}}']))
    report = sent.result.json
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(1, "invalid_value"), (3, "invalid_event")]
    assert 'metrics.ph: "abc" is not a number' in report["rejected"][0]["detail"]
    assert {name: report[name] for name in report if name != "rejected"} == {
        "accepted": 2, "rejected_count": 2, "samples": 2, "series": 2, "requests": 1, "inexact": 0, "null_values": 0}


def test_the_report_counts_only_rejections_if_nothing_was_sent(gateway):
    sent = gateway.direct('[{"metrics": {"ph": "abc"}}, {"metrics": {"ph": "def"}}]')
    assert sent.writes == []
    report = sent.result.json
    assert {name: report[name] for name in report if name != "rejected"} == {
        "accepted": 0, "rejected_count": 2, "samples": 0, "series": 0, "requests": 0, "inexact": 0, "null_values": 0}


def test_the_report_lists_the_first_thousand_and_counts_all(gateway):
    report = gateway.direct("[%s]" % ",".join(['{"metrics": {"ph": "abc"}}'] * 1500)).result.json
    assert report["rejected_count"] == 1500
    assert [one["index"] for one in report["rejected"]] == list(range(1000))


def test_the_report_counts_integers_that_a_double_cannot_hold(gateway):
    sent = gateway.accepted('[{"metrics": {"a": 9007199254740993, "b": "9007199254740993", "c": 9007199254740993.0}},'
                            '{"metrics": {"d": 9007199254740995, "e": 9007199254740992}}]')
    assert sent.result.json["inexact"] == 3


def test_inexact_counts_accepted_events_only(gateway):
    sent = gateway.direct('[{"metrics": {"a": 9007199254740993, "b": "abc"}}, {"metrics": {"c": 9007199254740993}}]')
    assert (sent.result.json["accepted"], sent.result.json["inexact"]) == (1, 1)
