"""Typed metrics and groups through `pushgw serve --state` into a real Prometheus: its queries give what was sent."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.command_line import eventually
from support.prometheus import Prometheus
from support.serve import request, serving

#: The zero of a new series lies a minute before its first value.
RANGE = "10m"


@pytest.fixture
def prometheus():
    with Prometheus() as one:
        yield one


def _gateway(prometheus, tmp_path, **env):
    return serving("--http", "127.0.0.1:0", "--state", str(tmp_path / "state"), "--tick", "1s",
                   "--remote-write-url", prometheus.remote_write_url, **env)


def _send(server, method, path, body, **headers):
    port = int(server.door.rsplit(":", 1)[1])
    status, _, answer = request(port, method, path, body, headers)
    return status, answer


def _events(server, events):
    status, answer = _send(server, "POST", "/events", json.dumps(events))
    assert status == 200, answer
    return json.loads(answer)


def _last(prometheus, selector):
    """Returns the last sample of the one series as (seconds, value)."""
    samples = prometheus.samples(selector)
    if not samples:
        return None
    ((_, of_series),) = samples.items()
    when, value = of_series[-1]
    return when / 1000, float(value)


def _counter(value, **more):
    return {"type": "counter", "name": "orders_total", "value": value, "labels": {"shop": "north"}, **more}


def test_the_increase_of_a_counter_is_what_many_senders_sent_over_a_kill_and_repetitions(prometheus, tmp_path):
    messages = [[_counter(i % 7, id=f"order-{batch}-{i}") for i in range(20)] for batch in range(40)]
    total = sum(event["value"] for message in messages for event in message)
    half = len(messages) // 2
    with _gateway(prometheus, tmp_path) as server, ThreadPoolExecutor(4) as senders:
        for report in senders.map(lambda message: _events(server, message), messages[:half]):
            assert report["accepted"] == 20
        eventually(lambda: _last(prometheus, "orders_total"))
        server.process.kill()
        server.process.wait()
    with _gateway(prometheus, tmp_path) as server, ThreadPoolExecutor(4) as senders:
        # All messages again: the first half was answered, and counts once.
        for report in senders.map(lambda message: _events(server, message), messages):
            assert report["accepted"] == 20
        eventually(lambda: _last(prometheus, "orders_total")[1] == total)
        when, _ = _last(prometheus, "orders_total")
        query = f"increase(orders_total[{RANGE}])"
        ((found),) = prometheus.api("query", query=query, time=when)["result"]
        assert float(found["value"][1]) == total
        assert found["metric"] == {"shop": "north"}


def test_observations_give_quantiles_and_averages(prometheus, tmp_path):
    values = [i / 100 for i in range(1, 101)]
    with _gateway(prometheus, tmp_path) as server:
        _events(server, [{"type": "histogram", "name": "classic_seconds", "value": values, "buckets": [0.25, 0.5, 1]},
                         {"type": "histogram", "name": "native_seconds", "value": values},
                         {"type": "summary", "name": "summary_seconds", "value": values, "quantiles": [0.5, 0.99]},
                         {"type": "gauge", "name": "queue_length", "value": 7}])
        # The zeros come before the values.
        eventually(lambda: (_last(prometheus, "classic_seconds_count") or (0, 0))[1] == 100)
        when, _ = _last(prometheus, "classic_seconds_count")

        def value(query):
            (found,) = prometheus.api("query", query=query, time=when)["result"]
            return float(found["value"][1])

        assert value(f"increase(classic_seconds_sum[{RANGE}])") == pytest.approx(sum(values))
        assert value('classic_seconds_bucket{le="0.5"}') == 50
        assert value('classic_seconds_bucket{le="+Inf"}') == 100
        assert value("histogram_count(native_seconds)") == 100
        assert value("histogram_sum(native_seconds)") == pytest.approx(sum(values))
        assert value("histogram_quantile(0.5, native_seconds)") == pytest.approx(0.5, rel=0.1)
        assert value('summary_seconds{quantile="0.5"}') == pytest.approx(0.5, rel=0.01)
        assert value('summary_seconds{quantile="0.99"}') == pytest.approx(0.99, rel=0.01)
        assert value("summary_seconds_count") == 100
        assert value("queue_length") == 7


def test_a_group_stays_until_it_expires_or_is_deleted_and_then_ends_at_once(prometheus, tmp_path):
    with _gateway(prometheus, tmp_path) as server:
        assert _send(server, "PUT", "/metrics/job/kept", "backup_bytes 5\n")[0] == 202
        assert _send(server, "PUT", "/ttl/3s/metrics/job/short", "backup_bytes 6\n")[0] == 202
        assert _send(server, "PUT", "/metrics/job/gone", "backup_bytes 7\n")[0] == 202

        def values():
            found = prometheus.api("query", query="backup_bytes")["result"]
            return {series["metric"]["job"]: series["value"][1] for series in found}

        eventually(lambda: values() == {"kept": "5", "short": "6", "gone": "7"})
        assert _send(server, "DELETE", "/metrics/job/gone", None)[0] == 202
        eventually(lambda: values() == {"kept": "5"})

        def kept():
            return [len(samples) for labels, samples in prometheus.samples("backup_bytes").items() if ("job", "kept") in labels]

        # Each tick writes the group again.
        eventually(lambda: kept()[0] > 3)
