"""The same pushes to a real Pushgateway, which a Prometheus scrapes, and to `pushgw serve --state`, which writes to another Prometheus. Both
answer queries alike."""
import json
import struct
import time
import uuid
from datetime import datetime, timezone

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, delete_from_gateway, push_to_gateway, pushadd_to_gateway

from support.clients import CLIENTS
from support.command_line import eventually
from support.door import PROTOBUF
from support.prometheus import Prometheus
from support.pushgateway import Pushgateway
from support.serve import request, serving

#: The moments of a push differ. The scrape adds series of its own, and Pushgateway exposes its own metrics.
NOT_COMPARED = ("push_time_seconds", "push_failure_time_seconds", "up", "scrape_", "pushgateway_", "go_", "process_", "prometheus_", "promhttp_")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two pairs of an address that takes pushes and the Prometheus behind it."""
    state = tmp_path_factory.mktemp("beside") / "state"
    with Pushgateway() as reference, Prometheus(scrape=reference.address) as scraping, Prometheus() as written, \
            serving("--http", "127.0.0.1:0", "--state", str(state), "--tick", "1s",
                    "--remote-write-url", written.remote_write_url) as server:
        yield (reference.address, scraping), (server.door.removeprefix("http://"), written)


def _shown(prometheus, job):
    """Returns {(labels): value} of what a query shows now of the groups of this job."""
    result = prometheus.api("query", query="{job=%s}" % json.dumps(job, ensure_ascii=False))["result"]
    found = {}
    for series in result:
        name = series["metric"]["__name__"]
        if not name.startswith(NOT_COMPARED):
            labels = {key: value for key, value in series["metric"].items() if value}
            native = series["histogram"][1] if "histogram" in series else None
            value = (native["count"], native["sum"], str(native.get("buckets"))) if native else float(series["value"][1])
            found[tuple(sorted(labels.items()))] = value
    return found


def _agree(both, job, expected_series):
    """Waits until both show so many series, and returns what both show."""
    (_, scraping), (_, written) = both
    eventually(lambda: len(_shown(scraping, job)) == expected_series and _shown(scraping, job) == _shown(written, job))
    return _shown(written, job)


def _registry(value):
    registry = CollectorRegistry()
    Counter("jobs", "jobs that ran", ["kind"], registry=registry).labels("full").inc(value)
    Gauge("size_bytes", "size", registry=registry).set(value * 2)
    histogram = Histogram("took_seconds", "time", buckets=[0.5, 1, 10], registry=registry)
    summary = Summary("wait_seconds", "wait", registry=registry)
    for i in range(value):
        histogram.observe(i / 2)
        summary.observe(i)
    return registry


def test_a_put_a_post_a_replacement_and_a_delete_look_alike(both):
    addresses = [address for address, _ in both]
    registry = _registry(3)
    for address in addresses:
        push_to_gateway(address, job="steps", grouping_key={"instance": "a/b"}, registry=registry)
    # Two of the counter (with `_created`), one gauge, four buckets, and sum, count and `_created` of two.
    assert _agree(both, "steps", 13)
    registry = _registry(5)
    for address in addresses:
        pushadd_to_gateway(address, job="steps", grouping_key={"instance": "a/b"}, registry=registry)
    shown = _agree_on(both, "steps", "size_bytes", 10)
    assert len(shown) == 13
    other = CollectorRegistry()
    Gauge("alone", "only this", registry=other).set(1)
    for address in addresses:
        push_to_gateway(address, job="steps", grouping_key={"instance": "a/b"}, registry=other)
    assert len(_agree(both, "steps", 1)) == 1
    for address in addresses:
        delete_from_gateway(address, job="steps", grouping_key={"instance": "a/b"})
    assert _agree(both, "steps", 0) == {}


def _agree_on(both, job, name, value):
    def shows(prometheus):
        return any(dict(labels)["__name__"] == name and found == value for labels, found in _shown(prometheus, job).items())

    (_, scraping), (_, written) = both
    eventually(lambda: shows(scraping) and shows(written))
    return _agree(both, job, len(_shown(scraping, job)))


def test_the_status_has_the_structure_of_the_reference(both):
    reference, own = (json.loads(request(int(address.rsplit(":", 1)[1]), "GET", "/api/v1/status")[2]) for address, _ in both)
    assert set(own) == set(reference) == {"status", "data"} and own["status"] == "success"
    assert set(own["data"]) == set(reference["data"]) == {"build_information", "flags", "start_time"}
    for found in reference["data"], own["data"]:
        assert abs(datetime.fromisoformat(found["start_time"][:19]).replace(tzinfo=timezone.utc).timestamp() - time.time()) < 600
        assert found["build_information"]["version"]
        assert all(isinstance(value, str) for value in found["flags"].values())
    flags = own["data"]["flags"]
    assert {name: flags[name] for name in ("STATE_TABLE", "STATE_SHARDS", "GROUP_TTL", "SERIES_TTL", "MAX_SERIES", "SUMMARY_WINDOW", "HTTP_AUTH")} == {
        "STATE_TABLE": "", "STATE_SHARDS": "1", "GROUP_TTL": "0", "SERIES_TTL": "0", "MAX_SERIES": "100000", "SUMMARY_WINDOW": "10m", "HTTP_AUTH": "none"}


#: Bodies, and the lines of text or the keys of JSON in which they may differ.
BODIES = {
    "numbers": b"# HELP b Some \"text\" with \\\\ and \\n nl.\n# TYPE b counter\nb{c=\"d\\\"e\\\\f\\ng\"} 2.5\na 1e6\nz NaN\ny -Inf\nx +Inf\n"
               b"v 1e21\nu 123456789\nt 1e-7\ns 0.1\nq 100000\n",
    "histogram": b"# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\nh_bucket{x=\"y\",le=\"0.5\"} 1.5\n"
                 b"h_bucket{x=\"y\",le=\"+Inf\"} 2.5\nh_sum{x=\"y\"} NaN\nh_count{x=\"y\"} 2.5\n",
    "summary": b"# HELP s Some.\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.99\"} NaN\ns_sum 3\ns_count 2\n",
    "instances": b"a{instance=\"q\"} 1\na 2\n",
    "a label of the path": b"a{job=\"q\"} 1\n",
    "no series": b"# HELP a x\n# TYPE b gauge\n",
    "nothing": b"",
}


def _lines(port):
    """Returns the lines of a scrape without the metrics of Pushgateway itself and without push times."""
    text = request(port, "GET", "/metrics")[2].decode()
    return [line for line in text.splitlines() if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(NOT_COMPARED)]


def _group(port, job):
    [group] = [group for group in json.loads(request(port, "GET", "/api/v1/metrics")[2])["data"] if group["labels"]["job"] == job]
    for name, family in group.items():
        if isinstance(family, dict) and "time_stamp" in family:
            assert abs(datetime.fromisoformat(family.pop("time_stamp")[:19]).replace(tzinfo=timezone.utc).timestamp() - time.time()) < 60
            family["metrics"].sort(key=lambda metric: sorted(metric["labels"].items()))
            if name.startswith("push_time"):
                assert abs(float(family["metrics"][0].pop("value")) - time.time()) < 60
    return group


@pytest.mark.parametrize("name", BODIES)
def test_a_scrape_and_the_groups_as_json_look_alike(both, name):
    ports = [int(address.rsplit(":", 1)[1]) for address, _ in both]
    for port in ports:
        assert request(port, "PUT", "/metrics/job/alike", BODIES[name])[0] in (200, 202)
    try:
        lines = [[line for line in _lines(port) if 'job="alike"' in line or line.startswith("#")] for port in ports]
        assert lines[0] == lines[1]
        groups = [_group(port, "alike") for port in ports]
        assert groups[0] == groups[1]
    finally:
        for port in ports:
            request(port, "DELETE", "/metrics/job/alike")


def test_the_buckets_of_a_native_histogram_look_alike_as_json(both):
    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    def double(number, value):
        return bytes([number << 3 | 1]) + struct.pack("<d", value)

    native = (b"\x08\x0c" + double(2, 18.4) + b"\x28\x02" + double(6, 0.001) + b"\x38\x02" + field(9, b"\x08\x01\x10\x01") + b"\x50\x02"
              + field(12, b"\x08\x00\x10\x02") + field(12, b"\x08\x02\x10\x02") + b"\x68\x02\x68\x02\x68\x01\x68\x00")
    message = field(1, b"n") + b"\x18\x04" + field(4, field(7, native))
    ports = [int(address.rsplit(":", 1)[1]) for address, _ in both]
    for port in ports:
        assert request(port, "PUT", "/metrics/job/native", bytes([len(message)]) + message, {"Content-Type": PROTOBUF})[0] in (200, 202)
    groups = [_group(port, "native") for port in ports]
    assert groups[0] == groups[1] and len(groups[0]["n"]["metrics"][0]["buckets"]) == 6
    for port in ports:
        request(port, "DELETE", "/metrics/job/native")


def test_groups_of_one_job_stay_apart(both):
    for address in [address for address, _ in both]:
        for shop in ("north", "south"):
            registry = CollectorRegistry()
            Gauge("open_orders", "orders", ["state"], registry=registry).labels("new").set(len(shop))
            push_to_gateway(address, job="shops", grouping_key={"shop": shop}, registry=registry)
    assert set(dict(labels)["shop"] for labels in _agree(both, "shops", 2)) == {"north", "south"}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_both_answer_alike_what_a_client_library_pushed_added_and_deleted(client, both):
    job = f"{client.job}-{uuid.uuid4().hex}"

    def shown(prometheus):
        # Each process of a client made its metrics at a time of its own.
        found = _shown(prometheus, client.kept(job))
        return {labels: value for labels, value in found.items() if not dict(labels)["__name__"].endswith("_created")}

    def agree(orders):
        (scraped, written) = (shown(prometheus) for _, prometheus in both)
        return scraped == written and orders in [value for labels, value in written.items() if dict(labels)["__name__"] == "client_orders_total"]

    for verb, orders in ("push", 3), ("pushadd", 4):
        for address, _ in both:
            client.push(verb, f"http://{address}", job, orders)
        eventually(lambda: agree(orders))
        assert len(shown(both[1][1])) == len(client.series(orders))
    if "delete" in client.verbs:
        for address, _ in both:
            client.push("delete", f"http://{address}", job)
        if client.name == "prometheus-cpp":
            # It deletes the group of the job alone, without the labels that it pushed with: both keep the group.
            time.sleep(3)
            assert agree(4)
        else:
            eventually(lambda: [shown(prometheus) for _, prometheus in both] == [{}, {}])
