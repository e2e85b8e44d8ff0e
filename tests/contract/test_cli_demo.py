"""`pushgw demo` shows the main job; it needs nothing but this repository."""
import json
import re
import time

import pytest

from support.command_line import pushgw
from support.http_server import closed_port

SPARK = re.compile("[▁▂▃▄▅▆▇█]")


@pytest.fixture(scope="module")
def shown():
    started = time.monotonic()
    done = pushgw("demo", AWS_REGION=None, AWS_DEFAULT_REGION=None, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None,
                  AWS_SESSION_TOKEN=None)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < 30, "the demo takes seconds, not minutes"
    return done.stdout


def test_demo_succeeds_and_shows_the_series(shown):
    lines = [line for line in shown.splitlines() if SPARK.search(line)]
    assert len(lines) >= 4, shown
    for name in "temperature", "ph", "customer":
        assert name in shown


def test_demo_has_several_customers_and_devices(shown):
    assert len(set(re.findall(r"customer\w*[=:]\s*\"?([\w-]+)", shown))) >= 2 or len(set(re.findall(r"customer-?\d", shown))) >= 2


def test_demo_shows_the_types_of_values(shown):
    assert re.search(r"(?i)\bint", shown) or re.search(r"(?i)\bfloat", shown)


def test_demo_shows_dead_letters_with_their_reasons(shown):
    assert len(set(re.findall(r"\b(?:invalid_\w+|too_\w+|in_future|\w+_collision)\b", shown))) >= 2, shown


def test_demo_shows_increments_that_add_up_a_repetition_and_a_group_that_expires(shown):
    rows = [re.split(r"  +", line.strip()) for line in shown.split("added up:")[1].split("dead letters:")[0].splitlines()]
    _, first, second, third = (row for row in rows if len(row) > 2)
    assert first[2:] == ["0, then 3", "4200"] and "expires after 80 s" in first[1]
    assert second[2:] == ["5", "ended by a stale marker"] and "dropped" in second[1]
    assert third[1:] == ["+1 +2", "8"]
    assert "6 typed metrics, each added up once" in shown


def test_prints_the_same_as_json():
    done = pushgw("demo", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert {letter["reason"] for letter in shown["dead_letters"]} >= {"invalid_value", "invalid_json", "too_old"}
    assert all(letter["detail"] and letter["body"] for letter in shown["dead_letters"])
    names = {series["labels"]["__name__"] for series in shown["series"]}
    assert names >= {"temperature", "ph"}
    assert len({series["labels"]["customerId"] for series in shown["series"]}) >= 2
    ticks = [{key: tick[key] for key in ("increments", "duplicates", "orders_total", "import_rows")} for tick in shown["ticks"]]
    assert ticks == [
        {"increments": [1, 1, 1], "duplicates": 0, "orders_total": ["0", "3"], "import_rows": ["4200"]},
        {"increments": [1, 2], "duplicates": 1, "orders_total": ["5"], "import_rows": ["stale"]},
        {"increments": [1, 2], "duplicates": 0, "orders_total": ["8"], "import_rows": []},
    ]


def test_two_runs_of_the_demo_show_the_same_series():
    def series(*more):
        return [one["labels"] for one in json.loads(pushgw("demo", "--json", *more).stdout)["series"]]
    assert series() == series()
    assert series("--seed", 7) == series("--seed", 7) != series()


def test_demo_takes_the_size_of_the_fleet():
    shown = json.loads(pushgw("demo", "--json", "--devices", 200).stdout)
    assert len({series["labels"]["deviceId"] for series in shown["series"]}) == 200


def test_prometheus_answers_queries_for_the_demos_series(prometheus):
    done = pushgw("demo", "--remote-write-url", prometheus.remote_write_url)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: prometheus.samples(name) for name in ("temperature", "ph")}
    for name, series in found.items():
        assert len(series) >= 2, f"{name}: {series}"
        assert all(samples for samples in series.values())
        assert all(any(label.startswith("customer") for label, _ in labels) for labels in series)
    # A second demo has series of its own, and the first is not over for the receiver.
    assert pushgw("demo", "--remote-write-url", prometheus.remote_write_url).returncode == 0
    for found in prometheus.samples("orders_total").values():
        assert [float(value) for _, value in found] == [0, 3, 5, 8]
    assert len(prometheus.samples("orders_total")) == 2


def test_demo_fails_if_the_receiver_cannot_be_reached():
    done = pushgw("demo", "--remote-write-url", f"http://127.0.0.1:{closed_port()}/api/v1/write")
    assert done.returncode not in (0, 101)
    assert done.stdout + done.stderr


def test_demo_reports_a_wrong_url():
    done = pushgw("demo", "--remote-write-url", "not a url")
    assert done.returncode not in (0, 101)
    assert "not a url" in done.stdout + done.stderr
