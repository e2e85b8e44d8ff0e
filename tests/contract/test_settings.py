"""The settings of `ingest`: their meaning and their values. The start reports all wrong settings at once."""
import re

import pytest

from support.events import event, now_ms, too_old
from support.receiver import Receiver
from support.runtime_api import Ingest, exit_of

URL = "https://metrics.example.com/api/v1/write"
AMP = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-0a1b2c3d"
RIGHT = AMP + "/api/v1/remote_write"

WRONG = [
    ("REMOTE_WRITE_URL", "not a url", "http"),
    ("REMOTE_WRITE_URL", "/api/v1/write", "http"),
    ("REMOTE_WRITE_URL", "ftp://metrics.example.com/write", "http"),
    ("REMOTE_WRITE_URL", "metrics.example.com/write", "http"),
    ("AWS_PROMETHEUS_ENDPOINT", "not a url", "http"),
    ("REMOTE_WRITE_AUTH", "basic", "sigv4"),
    ("REMOTE_WRITE_AUTH", "basic", "none"),
    ("REMOTE_WRITE_AUTH", "SigV4 ", "sigv4"),
    ("REMOTE_WRITE_VERSION", "2", "1.0"),
    ("REMOTE_WRITE_VERSION", "0.1.0", "2.0"),
    ("DEAD_LETTER_QUEUE_URL", "not a url", "http"),
    ("DEAD_LETTER_QUEUE_URL", "arn:aws:sqs:us-east-1:123456789012:q", "http"),
    ("EXTERNAL_LABELS", "env", "name=value"),
    ("EXTERNAL_LABELS", "=prod", ""),
    ("EXTERNAL_LABELS", "1a=x", ""),
    ("EXTERNAL_LABELS", "en-v=x", ""),
    ("EXTERNAL_LABELS", "env:x=y", ""),
    ("EXTERNAL_LABELS", "__env=x", "__"),
    ("EXTERNAL_LABELS", "__name__=x", "__"),
    ("EXTERNAL_LABELS", "env=prod,env=test", ""),
    ("EXTERNAL_LABELS", "env=prod, team=water", ""),
    ("MAX_SAMPLE_AGE", "1", "ms"),
    ("MAX_SAMPLE_AGE", "h", "ms"),
    ("MAX_SAMPLE_AGE", "1 h", "ms"),
    ("MAX_SAMPLE_AGE", "1.5h", "ms"),
    ("MAX_SAMPLE_AGE", "-1h", "ms"),
    ("MAX_SAMPLE_AGE", "+1h", "ms"),
    ("MAX_SAMPLE_AGE", "1w", "ms"),
    ("MAX_SAMPLE_AGE", "1H", "ms"),
    ("MAX_SAMPLE_AGE", "1h30m", "ms"),
    ("MAX_SAMPLE_AGE", "99999999999999999999d", "ms"),
    ("MAX_SAMPLE_AGE", "9999999999999999d", "ms"),
    ("MAX_SAMPLE_LEAD", "soon", "ms"),
    ("MAX_SAMPLE_LEAD", "10", "ms"),
    ("LATE_SAMPLES", "keep", "dead-letter"),
    ("LATE_SAMPLES", "keep", "drop"),
    ("LATE_SAMPLES", "Drop", "drop"),
    ("METRICS", "some", "alarms"),
    ("METRICS", "some", "all"),
    ("RUST_LOG", "water=loud", "debug"),
]


@pytest.mark.parametrize("variable, value, allowed", WRONG)
def test_a_wrong_setting_ends_the_start_and_is_reported_with_the_allowed_values(variable, value, allowed):
    env = {variable: value}
    if variable != "AWS_PROMETHEUS_ENDPOINT":
        env.setdefault("REMOTE_WRITE_URL", URL)
    end = exit_of(env)
    assert not end.asked_for_work
    assert end.status not in (None, 0)
    for part in (variable, value, allowed):
        assert part in end.text, end.text


def test_reports_all_wrong_settings_at_once():
    env = {"REMOTE_WRITE_URL": "ws://x", "REMOTE_WRITE_AUTH": "digest", "DEAD_LETTER_QUEUE_URL": "queue-7",
           "EXTERNAL_LABELS": "9x=y", "MAX_SAMPLE_AGE": "1y", "MAX_SAMPLE_LEAD": "10sec", "LATE_SAMPLES": "never"}
    end = exit_of(env)
    assert end.status not in (None, 0)
    missing = [part for pair in env.items() for part in pair if part not in end.text]
    assert not missing, end.text


@pytest.mark.parametrize("env", [{}, {"REMOTE_WRITE_URL": ""}, {"REMOTE_WRITE_URL": "", "AWS_PROMETHEUS_ENDPOINT": ""}],
                         ids=["unset", "empty", "both empty"])
def test_requires_a_url_to_write_to(env):
    end = exit_of(env)
    assert end.status not in (None, 0)
    assert "REMOTE_WRITE_URL" in end.text


def test_reports_a_missing_url_together_with_another_error():
    end = exit_of({"LATE_SAMPLES": "never"})
    assert "REMOTE_WRITE_URL" in end.text
    assert "LATE_SAMPLES" in end.text


def test_requires_a_region():
    end = exit_of({"REMOTE_WRITE_URL": URL, "AWS_REGION": None, "AWS_DEFAULT_REGION": None})
    assert end.status not in (None, 0)
    assert "SIGV4_REGION" in end.text


def test_requires_no_region_if_nothing_is_signed():
    with Receiver(auth="none") as receiver, Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "AWS_REGION": None,
                                                    "AWS_DEFAULT_REGION": None, "REMOTE_WRITE_AUTH": "none"}) as ingest:
        assert ingest.invoke(event()).ok
        receiver.check()


def test_takes_the_region_from_the_host_name_of_a_workspace():
    # No test can show from outside that it is preferred to AWS_REGION: that needs such a host.
    with Ingest({"REMOTE_WRITE_URL": RIGHT, "AWS_REGION": None, "AWS_DEFAULT_REGION": None}) as ingest:
        assert ingest.status is None


# --- the receiver's URL ------------------------------------------------------------------------------------------------

def test_accepts_the_ancestors_variable(receiver):
    with Ingest({"AWS_PROMETHEUS_ENDPOINT": receiver.remote_write_url}) as ingest:
        assert ingest.invoke(event()).ok
    assert len(receiver.writes) == 1


@pytest.mark.parametrize("other", ["http://127.0.0.1:1/nobody", ""], ids=["another", "empty"])
def test_prefers_remote_write_url_to_the_ancestors_variable(receiver, other):
    with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "AWS_PROMETHEUS_ENDPOINT": other}) as ingest:
        assert ingest.invoke(event()).ok


def test_uses_the_ancestors_variable_if_remote_write_url_is_empty(receiver):
    with Ingest({"REMOTE_WRITE_URL": "", "AWS_PROMETHEUS_ENDPOINT": receiver.remote_write_url}) as ingest:
        assert ingest.invoke(event()).ok


@pytest.mark.parametrize("variable", ["REMOTE_WRITE_URL", "AWS_PROMETHEUS_ENDPOINT"])
@pytest.mark.parametrize("path", ["", "/", "/api/v1", "/api/v1/", "/api/v1/remote_write/", "/api/v1/query", "/remote_write",
                                  "/api/v1/write"])
def test_rejects_another_path_on_a_workspace_and_suggests_the_right_url(variable, path):
    end = exit_of({variable: AMP + path})
    assert end.status not in (None, 0)
    assert variable in end.text
    assert AMP + path in end.text
    assert RIGHT in end.text.replace(RIGHT + "/", "")


@pytest.mark.parametrize("path", ["/", "", "/api/v1/remote_write", "/workspaces//api/v1/remote_write", "/workspaces/"])
def test_shows_the_form_of_the_url_if_the_path_names_no_workspace(path):
    url = "https://aps-workspaces.eu-west-1.amazonaws.com" + path
    end = exit_of({"REMOTE_WRITE_URL": url})
    assert end.status not in (None, 0)
    assert url in end.text
    assert re.search(r"/workspaces/[^/\s]*[<{][^/]+[>}]/api/v1/remote_write", end.text), end.text


@pytest.mark.parametrize("host", ["aps-workspaces-fips.us-east-1.amazonaws.com", "aps-workspaces.us-east-1.api.aws"])
def test_checks_the_path_on_every_host_of_amp(host):
    end = exit_of({"REMOTE_WRITE_URL": f"https://{host}/workspaces/ws-1/api/v1/query"})
    assert end.status not in (None, 0)
    assert f"https://{host}/workspaces/ws-1/api/v1/remote_write" in end.text


@pytest.mark.parametrize("url", [
    RIGHT,
    "https://aps-workspaces-fips.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
    "https://aps-workspaces.us-east-1.api.aws/workspaces/ws-1/api/v1/remote_write",
    "https://mimir.example.com/workspaces/ws-1/api/v1/push",
    "http://127.0.0.1:9/",
])
def test_accepts_the_right_path_of_a_workspace_and_any_path_elsewhere(url):
    with Ingest({"REMOTE_WRITE_URL": url}) as ingest:
        assert ingest.status is None


# --- empty variables -------------------------------------------------------------------------------------------------

def test_takes_every_empty_variable_as_unset(receiver):
    empty = dict.fromkeys(["AWS_PROMETHEUS_ENDPOINT", "REMOTE_WRITE_AUTH", "REMOTE_WRITE_VERSION", "SIGV4_REGION", "DEAD_LETTER_QUEUE_URL",
                           "EXTERNAL_LABELS", "MAX_SAMPLE_AGE", "MAX_SAMPLE_LEAD", "LATE_SAMPLES", "METRICS", "RUST_LOG"], "")
    with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, **empty}) as ingest:
        result = ingest.invoke([event({"ph": 1}), too_old(), event(timestamp=now_ms() + 60_000)])
    assert result.json["accepted"] == 1
    assert [item["reason"] for item in result.json["rejected"]] == ["too_old", "in_future"]
    assert result.warnings() or result.metrics
    assert list(receiver.samples()) == [("ph", ())]


@pytest.mark.parametrize("variable, value", [
    ("REMOTE_WRITE_AUTH", "sigv4"), ("LATE_SAMPLES", "dead-letter"), ("LATE_SAMPLES", "drop"), ("MAX_SAMPLE_AGE", "1ms"),
    ("METRICS", "alarms"), ("METRICS", "all"), ("REMOTE_WRITE_VERSION", "1.0"), ("REMOTE_WRITE_VERSION", "2.0"),
    ("MAX_SAMPLE_AGE", "30s"), ("MAX_SAMPLE_AGE", "5m"), ("MAX_SAMPLE_AGE", "24h"), ("MAX_SAMPLE_AGE", "7d"),
    ("MAX_SAMPLE_LEAD", "500ms"), ("RUST_LOG", "off"), ("RUST_LOG", "debug"), ("RUST_LOG", "trace"),
    ("EXTERNAL_LABELS", "env=prod"), ("EXTERNAL_LABELS", "env=prod,team=water"), ("EXTERNAL_LABELS", "_x9=a b:c/d é"),
])
def test_accepts_a_valid_setting(start, variable, value):
    assert start(**{variable: value}).status is None


# --- ages ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("env, age_ms, outcome", [
    ({}, 3_590_000, None),
    ({}, 3_610_000, "too_old"),
    ({}, -9_000, None),
    ({}, -15_000, "in_future"),
    ({"MAX_SAMPLE_AGE": "2h"}, 5_400_000, None),
    ({"MAX_SAMPLE_AGE": "1d"}, 5_400_000, None),
    ({"MAX_SAMPLE_AGE": "10s"}, 20_000, "too_old"),
    ({"MAX_SAMPLE_AGE": "10m"}, 590_000, None),
    ({"MAX_SAMPLE_AGE": "30000ms"}, 20_000, None),
    ({"MAX_SAMPLE_LEAD": "1m"}, -50_000, None),
    ({"MAX_SAMPLE_LEAD": "1s"}, -5_000, "in_future"),
])
def test_limits_the_age_of_a_sample_in_both_directions(start, env, age_ms, outcome):
    result = start(**env).invoke(event(timestamp=now_ms() - age_ms))
    assert result.error_type == outcome


# --- EXTERNAL_LABELS -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("labels, dimensions, wanted", [
    ("env=prod,team=water", None, {"env": "prod", "team": "water"}),
    ("env=prod", {"pond": "a"}, {"env": "prod", "pond": "a"}),
    ("env=prod", {"env": "test"}, {"env": "test"}),
    ("env=prod", {"env": ""}, {"env": "prod"}),
    ("env=prod", {"env": None}, {"env": "prod"}),
    ("env=prod", {"env": 7}, {"env": "7"}),
    ("pond_id=x", {"pond-id": "a"}, {"pond_id": "a"}),
    ("a=1=2", None, {"a": "1=2"}),
    ("zz=1,AA=2", {"m": "3"}, {"AA": "2", "m": "3", "zz": "1"}),
], ids=["added", "beside", "own wins", "empty does not win", "null does not win", "number wins", "after translation",
        "equals sign", "sorted"])
def test_adds_external_labels(start, receiver, labels, dimensions, wanted):
    assert start(EXTERNAL_LABELS=labels).invoke(event({"ph": 1}, dimensions)).ok
    [(_, got)] = receiver.samples()
    assert dict(got) == wanted


def test_external_labels_make_two_events_one_series(start, receiver):
    now = now_ms()
    ingest = start(EXTERNAL_LABELS="env=prod")
    result = ingest.invoke([event({"ph": 1}, {"env": "prod"}, timestamp=now), event({"ph": 2}, timestamp=now)])
    assert [item["reason"] for item in result.json["rejected"]] == ["duplicate_timestamp"]


@pytest.mark.parametrize("count, ok", [(148, True), (149, False)])
def test_external_labels_count_towards_the_hundred_and_fifty(start, count, ok):
    result = start(EXTERNAL_LABELS="env=prod").invoke(event({"ph": 1}, {f"l{n}": "x" for n in range(count)}))
    assert result.ok is ok
    assert ok or result.error_type == "too_many_labels"
