"""Each OpenTelemetry SDK sends to the door, and a real Prometheus behind it answers queries about what was sent.

The door is `pushgw serve --http`, or a function URL around the real `ingest`.
"""
import json
import uuid

import pytest

from support.function_url import FunctionUrl
from support.otlp_clients import COUNTS, GAUGES, OTLP, PEERS, SDKS, each
from support.clients import CONTRACT
from support.runtime_api import Ingest
from support.serve import serving

each_sdk = pytest.mark.parametrize("sdk", each(SDKS + PEERS))


@pytest.fixture(scope="module")
def function_url(prometheus):
    with Ingest({"REMOTE_WRITE_URL": prometheus.remote_write_url, "HTTP_AUTH": "none"}) as ingest, FunctionUrl(ingest) as url:
        yield url


@pytest.fixture(scope="module")
def served(prometheus):
    with serving("--http", "127.0.0.1:0", "--state", "none", "--remote-write-url", prometheus.remote_write_url, REMOTE_WRITE_AUTH="none") as server:
        yield server


@pytest.fixture(params=["pushgw serve", "function URL"])
def door(request):
    """The URL of a door that writes to Prometheus."""
    return request.getfixturevalue("served").door if request.param == "pushgw serve" else request.getfixturevalue("function_url").url


def stored(prometheus, job):
    """Returns {(metric, labels without job and instance): value} of all that Prometheus knows of a job."""
    found = {}
    for one in prometheus.api("query", query="{job=%s}" % json.dumps(f"shop/{job}"))["result"]:
        labels = one["metric"]
        assert (labels.pop("job"), labels.pop("instance")) == (f"shop/{job}", "one")
        native = one["histogram"][1] if "histogram" in one else None
        value = (float(native["count"]), float(native["sum"])) if native else float(one["value"][1])
        found[labels.pop("__name__"), tuple(sorted(labels.items()))] = value
    return found


@each_sdk
def test_prometheus_answers_what_the_sdk_sent(sdk, door, prometheus):
    job = uuid.uuid4().hex
    sdk.send(door, job)
    assert stored(prometheus, job) == {**COUNTS, **GAUGES}


@each_sdk
def test_the_function_answers_200_with_nothing_to_the_sdk(sdk, function_url):
    before = len(function_url.requests)
    sdk.send(function_url.url, uuid.uuid4().hex)
    # Some SDKs send once more when they stop.
    requests, responses = function_url.requests[before:], function_url.responses[before:]
    asked = {(request.method, request.header("Content-Type"), request.header("Content-Encoding")) for request in requests}
    assert asked == {("POST", sdk.content_type, "gzip" if "gzip" in sdk.name else None)}
    assert {(response.status, response.body) for response in responses} == {(200, b"{}" if "JSON" in sdk.name else b"")}


@each_sdk
def test_deltas_are_rejected_without_the_table_and_the_rest_is_stored(sdk, served, prometheus):
    job = uuid.uuid4().hex
    told = sdk.send(served.door, job, int(sdk.fails_if_some_are_rejected), OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta")
    assert stored(prometheus, job) == GAUGES
    # The SDKs for Python, Java and Rust keep it to themselves.
    if sdk.name.startswith(("Node.js", "Go")):
        assert "delta temporality needs the table (STATE_TABLE)" in told


def test_the_table_of_sdks_has_a_row_of_each_with_its_version():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (OTLP / "README.md").read_text().splitlines()
            if line.startswith("| `")]
    table = {row[0].strip("`"): row[1] for row in rows}
    assert list(table) == [sdk.name for sdk in SDKS + PEERS]
    for sdk in SDKS + PEERS:
        path, entry = sdk.pinned
        assert entry in (CONTRACT / path).read_text() and table[sdk.name] in entry
