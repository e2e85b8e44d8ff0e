"""OTLP with delta temporality: the table adds up increments, and a real Prometheus answers with each data point counted once."""
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.command_line import eventually
from support.events import now_ms
from support.function_url import call
from support.otlp_clients import PEERS, SDKS, each
from support.prometheus import Prometheus
from support.receiver import Receiver
from support.recorder import Recorder
from support.runtime_api import Ingest
from support.serve import request, serving

#: The zero of a new series lies a minute before its first value.
RANGE = "10m"
DELTA = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
JSON = {"Content-Type": "application/json"}
#: One of each language and encoding; gzip is for the tests of the door.
EACH_LANGUAGE = [sdk for sdk in SDKS + PEERS if "gzip" not in sdk.name]


class Trouble(Recorder):
    """Passes requests on, and tells the sender 503 instead of the first answer: the sender repeats what is stored."""

    def respond(self, request):
        answered = super().respond(request)
        return (503, {"Retry-After": "1"}, b"") if len(self.exchanges) == 1 else answered


@pytest.fixture(scope="module")
def prometheus():
    with Prometheus() as one:
        yield one


def _gateway(prometheus, tmp_path):
    return serving("--http", "127.0.0.1:0", "--state", str(tmp_path / "state"), "--tick", "1s",
                   "--remote-write-url", prometheus.remote_write_url, REMOTE_WRITE_AUTH="none")


def _port(server):
    return int(server.door.rsplit(":", 1)[1])


def _value(prometheus, query, when=None):
    """Returns the value of the one series that answers; None if there is none. A native histogram is (count, sum)."""
    found = prometheus.api("query", query=query, **({"time": when} if when else {}))["result"]
    if not found:
        return None
    (one,) = found
    native = one["histogram"][1] if "histogram" in one else None
    return (float(native["count"]), float(native["sum"])) if native else float(one["value"][1])


def _last(prometheus, selector):
    """Returns when the one series was last written, in seconds."""
    ((_, samples),) = prometheus.samples(selector).items()
    return samples[-1][0] / 1000


@pytest.mark.parametrize("sdk", each(EACH_LANGUAGE))
def test_the_deltas_of_two_processes_add_up_though_each_repeats_its_request(sdk, prometheus, tmp_path):
    job = uuid.uuid4().hex
    with _gateway(prometheus, tmp_path) as server:
        for _ in range(2):
            with Trouble(server.door) as trouble:
                sdk.send(f"http://{trouble.address}", job, **DELTA)
            bodies = [exchange[0].body for exchange in trouble.exchanges]
            assert len(bodies) > 1 and bodies[0] == bodies[1], "the SDK repeats its request"
            # All again, long after its answer.
            for sent, status, _, _ in trouble.exchanges:
                assert status == 200
                headers = {name: value for name, value in sent.headers if name.lower() in ("content-type", "content-encoding")}
                assert request(_port(server), "POST", sent.path, sent.body, headers)[0] == 200
        of = '{job="shop/%s"}' % job
        eventually(lambda: _value(prometheus, f"client_latency_seconds_count{of}") == 8)
        # Some ticks later it is the same.
        when = _last(prometheus, f"client_orders_total{of}")
        eventually(lambda: _last(prometheus, f"client_orders_total{of}") >= when + 3)
        when = _last(prometheus, f"client_orders_total{of}")
        assert _value(prometheus, f"client_orders_total{of}", when) == 6
        assert _value(prometheus, f"increase(client_orders_total{of}[{RANGE}])", when) == 6
        for bound, count in {"0.1": 2, "1.0": 6, "5.0": 6, "+Inf": 8}.items():
            labels = of.replace("}", f', le="{bound}"}}')
            assert _value(prometheus, f"client_latency_seconds_bucket{labels}", when) == count
            assert _value(prometheus, f"increase(client_latency_seconds_bucket{labels}[{RANGE}])", when) == count
        assert _value(prometheus, f"client_latency_seconds_sum{of}", when) == 16.125
        assert _value(prometheus, f"client_native_seconds{of}", when) == (8, 16.125)
        quantile = _value(prometheus, f"histogram_quantile(0.5, client_native_seconds{of})", when)
        assert quantile == pytest.approx(0.5, rel=0.05)
        assert _value(prometheus, f"histogram_quantile(0.5, client_latency_seconds_bucket{of})", when) == pytest.approx(0.55)
        # Up-down counters have no deltas.
        assert _value(prometheus, f"client_queue_length{of}") == 3


def _sum(name, value, number, monotonic=True, **attributes):
    """Returns a metric of one data point, the interval `number` of this minute."""
    start = now_ms() // 60_000 * 60_000 * 1_000_000 - (number + 1) * 1_000_000
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in attributes.items()]
    point = {"startTimeUnixNano": str(start), "timeUnixNano": str(start + 1_000_000), "asInt": str(value), "attributes": attributes}
    return {"name": name, "sum": {"aggregationTemporality": 1, "isMonotonic": monotonic, "dataPoints": [point]}}


def _body(*metrics):
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()


def test_a_kill_and_repetitions_in_another_order_and_cut_change_no_total(prometheus, tmp_path):
    points = [_sum("killed.orders", number % 7, number, shop="north") for number in range(600)]
    points += [_sum("killed.open", (-1) ** number * (number % 5), number, monotonic=False) for number in range(600)]
    total = sum(number % 7 for number in range(600))
    still_open = sum((-1) ** number * (number % 5) for number in range(600))

    def requests(size):
        return [_body(*points[first::len(points) // size]) for first in range(len(points) // size)]

    def send(server, bodies):
        def one(body):
            status, _, answer = request(_port(server), "POST", "/v1/metrics", body, JSON)
            assert (status, answer) == (200, b"{}")
        with ThreadPoolExecutor(4) as senders:
            list(senders.map(one, bodies))

    with _gateway(prometheus, tmp_path) as server:
        send(server, requests(60)[:15])
        eventually(lambda: _value(prometheus, "killed_orders_total"))
        server.process.kill()
        server.process.wait()
    with _gateway(prometheus, tmp_path) as server:
        send(server, requests(60))
        send(server, reversed(requests(100)))
        eventually(lambda: _value(prometheus, "killed_orders_total") == total and _value(prometheus, "killed_open") == still_open)
        when = _last(prometheus, "killed_orders_total")
        assert _value(prometheus, f"increase(killed_orders_total[{RANGE}])", when) == total
        eventually(lambda: _last(prometheus, "killed_orders_total") >= when + 2)
        assert _value(prometheus, "killed_orders_total") == total


def test_the_function_journals_deltas_and_writes_the_rest(dynamodb, table):
    with Receiver(takes_metadata=True) as receiver, \
            Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "STATE_TABLE": table.name,
                    "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint, "HTTP_AUTH": "none"}) as ingest:
        _journals_twice(ingest, table, receiver)


def _journals_twice(ingest, table, receiver):
    gauge = {"name": "g", "gauge": {"dataPoints": [{"asInt": 1, "timeUnixNano": str(now_ms() * 1_000_000)}]}}
    for _ in range(2):
        answered = call(ingest, "POST", "/v1/metrics", _body(_sum("a", 3, 1), gauge), list(JSON.items()))
        assert (answered.status, answered.body) == (200, b"{}")
    assert len(table.items("j#0")) == 2
    assert {name for name, _ in receiver.values()} == {"g"}


def test_a_table_that_fails_is_503_and_the_rest_is_stored(start, dynamodb, receiver):
    ingest = start(STATE_TABLE="missing-table", AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint, HTTP_AUTH="none")
    gauge = {"name": "g", "gauge": {"dataPoints": [{"asInt": 1}]}}
    answered = call(ingest, "POST", "/v1/metrics", _body(_sum("a", 3, 1), gauge), list(JSON.items()))
    assert answered.status == 503 and int(answered.headers["retry-after"]) >= 1
    assert "missing-table" in json.loads(answered.body)["message"]
    assert [name for name, _ in receiver.values()] == ["g"]


def test_a_delta_that_is_too_old_to_be_recognised_is_rejected(start, dynamodb, table):
    ingest = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint, HTTP_AUTH="none")
    old = _sum("a", 3, 3_600_000 + 60_000)
    answered = call(ingest, "POST", "/v1/metrics", _body(old, _sum("b", 1, 1)), list(JSON.items()))
    assert answered.status == 200
    partial = json.loads(answered.body)["partialSuccess"]
    assert partial["rejectedDataPoints"] == "1" and "are accepted of a delta" in partial["errorMessage"]
    assert len(table.items("j#0")) == 1
