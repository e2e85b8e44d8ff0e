"""The Grafana dashboard of functions that have the extension: every query has an answer out of a real Prometheus.

The metrics come as the extension sends them: as typed events, through the function, the table and the tick.
"""
import json
import re
import time

import pytest

from support import ROOT
from support.events import now_ms
from support.prometheus import Prometheus
from support.runtime_api import Ingest

DASHBOARD = json.loads((ROOT / "infra/grafana/functions.json").read_text())
QUERIES = [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
#: The choices of a user.
CHOSEN = {"function": ".+", "window": "15m"}

FUNCTION = {"function_name": "checkout"}
MIB = 2**20
#: The metrics of a hundred invocations: name -> type, labels and values.
SENT = {
    "lambda_invocations_total": ("counter", [({"status": "success"}, 90), ({"status": "error"}, 8), ({"status": "timeout"}, 2)]),
    "lambda_duration_seconds": ("histogram", [({}, [0.01 * number for number in range(1, 101)])]),
    "lambda_billed_duration_seconds": ("histogram", [({}, [0.5] * 100)]),
    "lambda_response_latency_seconds": ("histogram", [({}, [0.01])]),
    "lambda_response_duration_seconds": ("histogram", [({}, [0.001])]),
    "lambda_runtime_overhead_seconds": ("histogram", [({}, [0.002])]),
    "lambda_produced_bytes": ("histogram", [({}, [512])]),
    "lambda_cold_starts_total": ("counter", [({"type": "on-demand"}, 5)]),
    "lambda_init_duration_seconds": ("histogram", [({"phase": "init"}, [0.2])]),
    "lambda_restore_duration_seconds": ("histogram", [({}, [0.1])]),
    "lambda_max_memory_used_bytes": ("histogram", [({}, [64 * MIB])]),
    "lambda_memory_size_bytes": ("gauge", [({}, 128 * MIB)]),
    "lambda_telemetry_events_total": ("counter", [({"type": "platform.report"}, 100)]),
    "lambda_telemetry_dropped_records_total": ("counter", [({}, 3)]),
    "lambda_telemetry_dropped_bytes_total": ("counter", [({}, 300)]),
    "lambda_log_records_total": ("counter", [({"type": "function", "level": "error"}, 4)]),
    "lambda_extension_dispatches_total": ("counter", [({"outcome": "success"}, 9), ({"outcome": "failure"}, 1)]),
    "lambda_extension_dropped_metrics_total": ("counter", [({}, 2)]),
}
BUCKETS = {"bytes": [32 * MIB, 64 * MIB, 128 * MIB], "seconds": [0.01, 0.1, 0.5, 0.99, 1, 5]}


def filled(query):
    """Returns a query as Grafana sends it, with the variables filled in."""
    return re.sub(r"\$\{?(\w+)\}?", lambda name: CHOSEN[name[1]], query)


def events(is_classic):
    for name, (kind, series) in SENT.items():
        for labels, value in series:
            one = {"type": kind, "name": name, "value": value, "labels": {**FUNCTION, **labels}}
            if kind == "histogram" and is_classic:
                one["buckets"] = BUCKETS["bytes" if name.endswith("_bytes") else "seconds"]
            yield one


@pytest.fixture(scope="module", params=["native", "classic"])
def functions(request, dynamodb):
    """A real Prometheus with the metrics of a function, as the ticks of ten minutes have written them."""
    table = dynamodb.table()
    with Prometheus() as prometheus, Ingest({
            "REMOTE_WRITE_URL": prometheus.remote_write_url, "REMOTE_WRITE_AUTH": "none", "STATE_TABLE": table.name,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint}) as ingest:
        sent = list(events(request.param == "classic"))
        assert ingest.invoke(sent).json["accepted"] == len(sent)
        now = now_ms()
        for minute in range(9, -1, -1):
            assert ingest.invoke({"tick": now - minute * 60_000}).json["errored"] == 0
        yield prometheus
    table.delete()


@pytest.mark.parametrize("title, target", QUERIES, ids=[f"{title}-{target['refId']}".replace(" ", "_") for title, target in QUERIES])
def test_each_query_answers_with_a_functions_metrics(functions, title, target):
    query, now = filled(target["expr"]), time.time() + 1
    if target["instant"]:
        result = functions.api("query", query=query, time=now)["result"]
    else:
        result = functions.api("query_range", query=query, start=now - 60, end=now, step=15)["result"]
    assert result, query
    wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert wanted <= set(result[0]["metric"]), "the legend names a label that the answer lacks"


@pytest.mark.parametrize("title, value", [
    ("Invocations", 100), ("Invocations that fail", 0.1), ("Duration, 99 %", 0.99), ("Cold starts", 0.05), ("Billed time", 50), ("Not sent, or dropped", 6)])
def test_the_dashboard_shows_the_numbers_of_a_function(functions, title, value):
    query, = (target["expr"] for one, target in QUERIES if one == title)
    (found,) = functions.api("query", query=filled(query), time=time.time() + 1)["result"]
    # A native histogram has a resolution of 9 %, and its increase is extrapolated by half a minute at each end.
    assert float(found["value"][1]) == pytest.approx(value, rel=0.12)


# As soon as the extension of this repository sends metrics.
if (ROOT / "src/telemetry/platform.rs").exists() and (ROOT / "src/extension").is_dir():
    def test_the_dashboard_and_the_readme_show_every_metric_of_the_extension():
        source = "".join(file.read_text() for folder in ("telemetry", "extension") for file in (ROOT / "src" / folder).rglob("*.rs"))
        names = set(re.findall(r'"(lambda_[a-z_]+_(?:total|seconds|bytes))"', source))
        assert names == set(SENT)
        asked = {name for _, target in QUERIES for name in re.findall(r"lambda_[a-z_]+", target["expr"])}
        assert {re.sub(r"_(bucket|sum)$", "", name) for name in asked} == names
        table = (ROOT / "README.md").read_text().partition("\n## Telemetry of functions\n")[2].partition("\n## ")[0]
        assert set(re.findall(r"`(lambda_[a-z_]+)`", table)) == names, "the table in README"
