"""`pushgw load` sends events at a rate and accounts for each sample: arrived, missing, wrong or late."""
import json
import re
import signal
import subprocess

import pytest

from support import components
from support.command_line import environment, on_a_terminal, pushgw
from support.http_server import closed_port
from support.receiver import Answer
from support.serve import serving


def load(*arguments, **env):
    done = pushgw("load", "--json", *arguments, **env)
    assert done.returncode in (0, 1), done.stderr
    shown = json.loads(done.stdout)
    assert shown["ok"] == (done.returncode == 0), shown
    return shown


def test_load_without_a_target_fills_a_workspace_of_its_own():
    shown = load("--rate", 500, "--count", 300, "--metrics", 4, "--devices", 7, AWS_REGION=None, AWS_ACCESS_KEY_ID=None,
                 AWS_SECRET_ACCESS_KEY=None, AWS_SESSION_TOKEN=None)
    assert shown["ok"]
    assert (shown["events"], shown["messages"], shown["broken"], shown["read"]) == (300, 300, 0, "embedded")
    assert shown["arrival"] == {"samples": 1200, "arrived": 1200, "missing": 0, "wrong": 0, "late": 0}
    latency = shown["latency_milliseconds"]
    assert 0 <= latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
    assert shown["bytes"] > 300 * 50


@pytest.mark.parametrize("together", [1, 8])
def test_load_accounts_for_broken_events_by_reason_and_good_ones_arrive(together):
    shown = load("--rate", 1000, "--count", 400, "--broken", 0.25, "--events-per-message", together)
    assert shown["ok"], shown
    assert 60 < shown["broken"] < 140
    assert sum(shown["refused"].values()) == shown["broken"]
    assert {"invalid_value", "invalid_event", "too_old", "invalid_metric_name", "metric_collision"} == set(shown["refused"])
    assert shown["arrival"]["arrived"] == shown["arrival"]["samples"] == 3 * (400 - shown["broken"])
    if together == 1:
        assert shown["messages"] == 400
    else:
        assert 50 <= shown["messages"] < 400


def test_load_draws_values_and_broken_events_from_the_seed():
    def told(seed):
        shown = load("--rate", 1000, "--count", 200, "--broken", 0.1, "--seed", seed)
        return shown["broken"], shown["refused"], shown["bytes"]
    assert told(7) == told(7) != told(8)


def test_load_keeps_its_rate():
    shown = load("--rate", 50, "--duration", 2)
    assert shown["events"] == 100
    assert 1.8 < shown["seconds"] < 6


def test_load_through_a_function_arrives_in_a_real_prometheus(prometheus):
    with serving("--remote-write-url", prometheus.remote_write_url, REMOTE_WRITE_AUTH="none", EXTERNAL_LABELS="env=test") as server:
        shown = load("--rate", 100, "--count", 150, "--seed", 11, "--endpoint-url", server.url, "--query-url", prometheus.url)
    assert shown["ok"], shown
    assert shown["arrival"]["arrived"] == 450 and shown["stored"] == 150
    assert len(prometheus.samples('{load_seed="11"}')) > 0


def test_load_through_a_queue_arrives_in_a_real_prometheus(sqs, prometheus):
    queue = sqs.queue()
    with serving("--remote-write-url", prometheus.remote_write_url, "--queue-url", queue.url, REMOTE_WRITE_AUTH="none",
                 AWS_ENDPOINT_URL_SQS=sqs.endpoint):
        shown = load("--rate", 100, "--count", 150, "--seed", 12, "--queue-url", queue.url, "--query-url", prometheus.url)
    assert shown["ok"], shown
    assert shown["taken"] == 150 and shown["arrival"]["arrived"] == 450
    assert shown["latency_milliseconds"]["max"] > 0


def test_load_claims_nothing_if_it_cannot_read_what_arrived(sqs):
    queue = sqs.queue()
    shown = load("--rate", 500, "--count", 45, "--queue-url", queue.url)
    assert shown["ok"] and shown["arrival"] is None and shown["taken"] == 45
    letters = queue.letters()
    assert len(letters) == 45 and all("load_seed" in letter.body for letter in letters)


def test_load_gives_each_message_of_a_fifo_queue_a_group(sqs):
    queue = sqs.queue(fifo=True)
    assert load("--rate", 500, "--count", 20, "--queue-url", queue.url)["taken"] == 20
    assert len(queue.letters()) == 20


def test_load_reports_samples_that_never_arrive_and_exits_with_1(sqs, prometheus):
    queue = sqs.queue()  # nobody polls this queue
    shown = load("--rate", 500, "--count", 10, "--seed", 13, "--settle", 1, "--queue-url", queue.url, "--query-url",
                 prometheus.url)
    assert not shown["ok"] and shown["arrival"]["missing"] == 30
    assert shown["latency_milliseconds"] is None


def test_load_fails_if_the_receiver_refuses(receiver):
    receiver.answer_with(lambda write: Answer(404, "no such workspace"))
    shown = load("--rate", 100, "--count", 5, "--remote-write-url", receiver.remote_write_url, "--settle", 5,
                 REMOTE_WRITE_AUTH="sigv4")
    assert not shown["ok"] and shown["failed"] == 5 and shown["arrival"]["missing"] == 15
    assert "404" in str(shown["failures"])


def test_load_reports_a_prometheus_that_cannot_be_queried(receiver):
    shown = load("--rate", 100, "--count", 5, "--remote-write-url", receiver.remote_write_url, "--settle", 0, "--query-url",
                 f"http://127.0.0.1:{closed_port()}", REMOTE_WRITE_AUTH="sigv4")
    assert not shown["ok"] and shown["fault"]


def test_load_shows_people_what_was_sent_and_what_arrived():
    done = pushgw("load", "--rate", 500, "--count", 50, "--broken", 0.2)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in "50 events", "broken", "0 missing", "p99", "rejected", "ok:":
        assert part in done.stdout, done.stdout


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_stopped_load_accounts_for_what_it_sent(stop):
    process = subprocess.Popen([components.pushgw(), "load", "--json", "--rate", "50", "--duration", "60"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=2)
    process.send_signal(stop)
    said, _ = process.communicate(timeout=20)
    shown = json.loads(said)
    assert process.returncode == 1, "a stopped load did not send everything, so it exits with 1"
    assert 0 < shown["events"] < 3000 and shown["arrival"]["missing"] == 0
    assert shown["arrival"]["arrived"] == 3 * shown["events"]


@pytest.mark.parametrize("arguments", [
    ["--rate", "0"], ["--broken", "1.5"], ["--count", "5", "--duration", "5"], ["--rate", "2000", "--devices", "1"],
    ["--count", "1000000", "--metrics", "50"], ["--query-url", "http://127.0.0.1:1"],
    ["--queue-url", "http://q/1/a", "--endpoint-url", "http://127.0.0.1:1"], ["--function-name", "f"],
], ids=" ".join)
def test_exits_with_2_for_wrong_usage(arguments):
    done = pushgw("load", *arguments)
    assert done.returncode == 2 and done.stderr and done.stdout == ""


def test_shows_progress_on_a_terminal():
    status, shown = on_a_terminal("load", "--rate", 200, "--count", 100)
    assert status == 0 and re.search(r"/100 events", shown)
