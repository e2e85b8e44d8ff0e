"""`pushgw check FILE...|-` shows what the gateway would send, or why it would reject an event. It sends nothing.

Exit codes: 0 if all events are good, 1 if any is rejected, 2 for wrong usage or a file that cannot be read.
"""
import json
import re

import pytest

from support.command_line import on_a_terminal, pushgw
from support.event_values import GOOD as GOOD_VALUES
from support.event_values import NAN
from support.events import now_ms
from support.hostile_text import HOSTILE, assert_harmless
from support.receiver import bits, double
from support.sqs import event as sqs_event
from support.sqs import record

GOOD = '{"dimensions": {"customerId": "customer1"}, "metrics": {"temperature": "14.3", "ph": 6.7, "level": 3}}'
BAD = '{"dimensions": {"customerId": "customer2"}, "metrics": {"temperature": 14.3, "ph": "abc"}}'

REFUSED = {
    "invalid_json": "{", "invalid_event": '{"dimension": {"a": "b"}, "metrics": {"v": 1}}', "invalid_value": BAD,
    "invalid_metric_name": '{"metrics": {"__v": 1}}', "invalid_label_name": '{"dimensions": {"-": "x"}, "metrics": {"v": 1}}',
    "label_collision": '{"dimensions": {"a-b": "x", "a_b": "x"}, "metrics": {"v": 1}}',
    "metric_collision": '{"metrics": {"a-b": 1, "a_b": 1}}',
    "too_many_labels": json.dumps({"dimensions": {f"d{i}": "x" for i in range(150)}, "metrics": {"v": 1}}),
    "too_large": json.dumps({"dimensions": {"d": "x" * 2049}, "metrics": {"v": 1}}),
    "too_old": '{"timestamp": 1676398017000, "metrics": {"v": 1}}',
    "in_future": '{"timestamp": 4102444800000, "metrics": {"v": 1}}',
}


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns its path."""
    def write(text, name="events.json"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


def test_a_good_event_shows_its_series_typed_values_and_time(file):
    now = now_ms()
    done = pushgw("check", file(GOOD[:-1] + f', "timestamp": {now}}}'))
    assert done.returncode == 0, done.stderr
    for shown in ("temperature", "ph", "level", "customerId", "customer1", "14.3", "6.7"):
        assert shown in done.stdout
    assert re.search(r"(?i)\bint", done.stdout) and re.search(r"(?i)\bfloat", done.stdout), done.stdout


def test_shows_names_as_they_would_be_sent(file):
    done = pushgw("check", file('{"dimensions": {"1st-floor": "x"}, "metrics": {"battery-level": 87}}'))
    assert done.returncode == 0
    assert "battery_level" in done.stdout and "key_1st_floor" in done.stdout


def test_warns_of_each_name_that_is_sent_as_another(file):
    path = file('{"dimensions": {"1st-floor": "x", "site": "a"}, "metrics": {"温度": 87, "a.b": null, "ph": 6.7}}')
    done = pushgw("check", path)
    assert done.returncode == 0
    assert "warning metrics.温度 is sent as U___6e29__5ea6_" in done.stdout
    assert done.stdout.count("warning") == 2
    shown = json.loads(pushgw("check", "--json", path).stdout)
    assert shown["warnings"] == ["metrics.温度 is sent as U___6e29__5ea6_", "dimensions.1st-floor is sent as key_1st_floor"]


@pytest.mark.parametrize("reason", REFUSED)
def test_shows_reason_and_path_of_a_rejected_event_and_exits_with_1(file, reason):
    done = pushgw("check", file(REFUSED[reason]))
    assert done.returncode == 1
    assert reason in done.stdout + done.stderr


def test_names_the_path_of_the_error(file):
    done = pushgw("check", file(BAD))
    assert 'metrics.ph: "abc" is not a number' in done.stdout + done.stderr


@pytest.mark.parametrize("text", [GOOD, f"[{GOOD}]", f"[{GOOD}, {GOOD}]", f"{GOOD}\n{GOOD}\n", f"{GOOD}\r\n{GOOD}",
                                  f"{GOOD}\n\n{GOOD}\n\n", json.dumps(json.loads(GOOD), indent=2),
                                  f"[\n  {GOOD},\n  {GOOD}\n]\n", "[]"],
                         ids=["one event", "array of one", "array of two", "JSON lines", "JSON lines with CR LF",
                              "JSON lines with empty ones", "one over several lines", "array over several lines",
                              "empty array"])
def test_reads_one_event_arrays_or_json_lines_from_a_file(file, text):
    for name in "events.json", "events.jsonl":
        done = pushgw("check", file(text, name))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("customer1") >= text.count("customer1") or "[]" in text


@pytest.mark.parametrize("text", [f"[{GOOD}, {BAD}]", f"{GOOD}\n{BAD}\n", f"{BAD}\n{GOOD}\n", f"{GOOD}\n{{\n{GOOD}\n",
                                  f"{GOOD}\n[{GOOD}, {BAD}]\n"],
                         ids=["array", "JSON lines", "JSON lines, first", "JSON lines, no JSON", "an array in JSON lines"])
def test_exits_with_1_for_one_bad_event_and_shows_the_good_ones(file, text):
    done = pushgw("check", file(text))
    assert done.returncode == 1
    assert "customer1" in done.stdout
    assert "invalid_value" in done.stdout + done.stderr or "invalid_json" in done.stdout + done.stderr


def test_shows_the_position_of_one_bad_event_among_many(file):
    array = pushgw("check", file("[%s]" % ",".join([GOOD] * 3 + [BAD] + [GOOD])))
    assert "3" in array.stdout + array.stderr and "metrics.ph" in array.stdout + array.stderr
    lines = pushgw("check", file("\n".join([GOOD] * 3 + [BAD] + [GOOD]), "x.jsonl"))
    assert re.search(r"\b(4|3)\b", lines.stdout + lines.stderr) and "metrics.ph" in lines.stdout + lines.stderr


def test_checks_all_of_several_files(file):
    good, bad, last = file(GOOD, "a.json"), file(BAD, "b.json"), file('{"metrics": {"last_one": 1}}', "c.json")
    assert pushgw("check", good, last).returncode == 0
    done = pushgw("check", good, bad, last)
    assert done.returncode == 1
    assert "last_one" in done.stdout, "check stopped at the first bad event"
    assert "b.json" in done.stdout + done.stderr


@pytest.mark.parametrize("text, status", [(GOOD, 0), (BAD, 1), ("", 1)])
def test_reads_standard_input_for_a_dash(text, status):
    assert pushgw("check", "-", stdin=text).returncode == status


def test_exits_with_2_if_a_file_cannot_be_read(file, tmp_path):
    for path in tmp_path / "missing.json", tmp_path:
        done = pushgw("check", path)
        assert done.returncode == 2
        assert str(path) in done.stderr
    assert pushgw("check", file(BAD), tmp_path / "missing.json").returncode == 2


def test_rejects_invalid_utf_8(file):
    done = pushgw("check", file(b'{"metrics": {"v\xff": 1}}'))
    assert done.returncode == 1
    assert "invalid_json" in done.stdout + done.stderr


def test_sends_nothing_and_needs_no_settings(file, receiver):
    assert pushgw("check", file(GOOD), REMOTE_WRITE_URL=receiver.remote_write_url).returncode == 0
    assert receiver.writes == []
    done = pushgw("check", file(GOOD), AWS_REGION=None, AWS_DEFAULT_REGION=None, AWS_ACCESS_KEY_ID=None,
                  AWS_SECRET_ACCESS_KEY=None, AWS_SESSION_TOKEN=None)
    assert done.returncode == 0


def documents(done):
    """Returns the printed JSON objects, one for each event."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_prints_the_same_as_json(file):
    now = now_ms()
    good, bad = file(GOOD[:-1] + f', "timestamp": {now}}}', "a.json"), file(f"[{GOOD}, {BAD}]", "b.json")
    done = pushgw("check", "--json", good, bad)
    assert done.returncode == 1
    first, second, third = documents(done)
    assert (first["file"], first["ok"], first["timestamp"]) == (str(good), True, now)
    assert first["samples"] == [
        {"labels": {"__name__": name, "customerId": "customer1"}, "type": kind, "value": value}
        for name, kind, value in (("temperature", "float", "14.3"), ("ph", "float", "6.7"), ("level", "integer", "3"))]
    assert (second["file"], second["index"], second["ok"]) == (str(bad), 0, True)
    assert (third["file"], third["index"], third["ok"], third["reason"]) == (str(bad), 1, False, "invalid_value")
    assert 'metrics.ph: "abc" is not a number' in third["detail"]


def test_names_the_line_of_an_event_in_json_lines(file):
    done = pushgw("check", "--json", file(f"{GOOD}\n\n{BAD}\n[{GOOD},{BAD}]\n", "x.jsonl"))
    assert [(one["line"], one["index"], one["ok"]) for one in documents(done)] == [
        (1, 0, True), (3, 0, False), (4, 0, True), (4, 1, False)]


def test_takes_digits_alone_as_an_integer_and_all_else_as_a_float():
    """Repeats the table of values: `check` shows the type itself, and the sent value of an inexact integer."""
    text = "\n".join('{"metrics": {"v": %s}}' % param.values[0] for param in GOOD_VALUES)
    done = pushgw("check", "--json", "-", stdin=text)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    found = documents(done)
    assert len(found) == len(GOOD_VALUES)
    for param, document in zip(GOOD_VALUES, found):
        literal, wire, inexact = param.values
        (sample,) = document["samples"]
        assert sample["type"] == ("integer" if "is an integer" in param.id else "float"), param.id
        assert ("sent_as" in sample) == bool(inexact), param.id
        if inexact:
            assert float(sample["sent_as"]) == double(wire), param.id
        assert (NAN if sample["value"] == "NaN" else bits(float(sample["value"]))) == wire, param.id


def test_checks_wrapped_messages_as_a_trigger_delivers_them(file):
    assert pushgw("check", file(json.dumps(sqs_event(record(GOOD), record(f"[{GOOD}]"))))).returncode == 0
    done = pushgw("check", "--json", file(json.dumps(sqs_event(record(GOOD), record(BAD)))))
    assert done.returncode == 1
    assert [one["ok"] for one in documents(done)] == [True, False]


def test_shows_external_labels_of_the_environment(file):
    done = pushgw("check", "--json", file(GOOD), EXTERNAL_LABELS="env=prod")
    assert documents(done)[0]["samples"][0]["labels"] == {"__name__": "temperature", "customerId": "customer1", "env": "prod"}


def test_takes_age_limits_from_the_environment_unless_any_age_is_allowed(file):
    old = file(REFUSED["too_old"])
    assert pushgw("check", old, MAX_SAMPLE_AGE="36500d").returncode == 0
    assert pushgw("check", "--any-age", old).returncode == 0
    assert pushgw("check", "--any-age", file(REFUSED["in_future"])).returncode == 0


def test_exits_with_2_for_a_wrong_setting(file):
    done = pushgw("check", file(GOOD), MAX_SAMPLE_AGE="an hour")
    assert done.returncode == 2
    assert "MAX_SAMPLE_AGE" in done.stderr and "an hour" in done.stderr


def test_checks_a_large_file(file):
    done = pushgw("check", file("\n".join([GOOD] * 20_000)))
    assert done.returncode == 0


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("text", [
    json.dumps({"metrics": {HOSTILE: 1}}), json.dumps({"metrics": {"v": HOSTILE}}), json.dumps({HOSTILE: 1}),
    json.dumps({"dimensions": {"d": HOSTILE}, "metrics": {"v": 1}}), json.dumps({"metrics": {"__" + HOSTILE: 1}}), HOSTILE,
])
def test_foreign_text_steers_no_terminal(file, text, options):
    path = file(text)
    _, shown = on_a_terminal("check", *options, path)
    for piece in (shown, pushgw("check", *options, path).stdout):
        assert_harmless(piece)
    if options:
        json.loads(pushgw("check", *options, path).stdout.splitlines()[0])
