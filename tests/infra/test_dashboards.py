"""The Grafana dashboard and the Prometheus rules: every query has an answer, and every name exists.

The tests run no Grafana. They hold the Prometheus queries against a real Prometheus with the demo's data, and the rules against
promtool. Metric names must be in the line that the binary prints or in the lists of AWS.
"""
import itertools
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

import cost_of_state
import templates
from deployment import VARIANTS
from support import ROOT, components
from support.events import event
from support.function_url import call
from support.prometheus import Prometheus
from support.receiver import Receiver
from support.runtime_api import Ingest

DASHBOARD = json.loads((ROOT / "infra/grafana/dashboard.json").read_text())
RULES = ROOT / "infra/prometheus/rules.yaml"
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
CLOUDWATCH = [(panel, target) for panel, target in TARGETS if target["datasource"]["type"] == "cloudwatch"]
PROMETHEUS = [(panel, target) for panel, target in TARGETS if target["datasource"]["type"] == "prometheus"]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}

#: The choices of a user of the demo's fleet.
CHOSEN = {"label": "deviceId", "device": ".+", "metric": "temperature", "silence": "15m", "seen": "1d"}

#: Metrics that AWS publishes, and the dimension by which they are queried.
AWS_METRICS = {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html, read in November 2026
    "AWS/Lambda": ("FunctionName", {
        "Invocations", "Errors", "DeadLetterErrors", "DestinationDeliveryFailures", "Throttles", "Duration",
        "ConcurrentExecutions", "AsyncEventsReceived", "AsyncEventAge", "AsyncEventsDropped",
        # https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html, same
        "UrlRequestCount", "Url4xxCount", "Url5xxCount", "UrlRequestLatency"}),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html, from memory
    "AWS/ApiGateway": ("ApiId", {"Count", "4xx", "5xx", "Latency", "IntegrationLatency", "DataProcessed"}),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html, from memory
    "AWS/DynamoDB": ("TableName", {
        "ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents",
        "TimeToLiveDeletedItemCount"}),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html, same
    "AWS/SQS": ("QueueName", {
        "ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible", "NumberOfEmptyReceives", "NumberOfMessagesDeleted",
        "NumberOfMessagesReceived", "NumberOfMessagesSent", "SentMessageSize"}),
    # https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-CW-usage-metrics.html, same. The dimension is not in the
    # part that could be read. A public exporter of CloudWatch metrics states that it was verified against a workspace.
    "AWS/Prometheus": ("Workspace", {"DiscardedSamples", "DiscardedSeries", "OutOfOrderIngestionRate"}),
}


def filled(text):
    """Returns a query as Grafana sends it, with the variables filled in."""
    return re.sub(r"\$\{?(\w+)\}?", lambda name: CHOSEN[name[1]], text)


def name_of(one):
    panel, target = one
    return f"{panel['title'] or panel['id']}-{target['refId']}".replace(" ", "_")


# --- form ------------------------------------------------------------------------------------------------------------

#: Every dashboard, and the kinds of its sources. test_functions.py has the queries of the other one.
BOARDS = pytest.mark.parametrize("file, kinds", [("dashboard", {"cloudwatch", "prometheus"}), ("functions", {"prometheus"})])


def board(file):
    return json.loads((ROOT / f"infra/grafana/{file}.json").read_text())


@BOARDS
def test_panels_have_unique_ids_and_do_not_overlap(file, kinds):
    ids = [panel["id"] for panel in board(file)["panels"]]
    assert len(ids) == len(set(ids))
    taken = {}
    for panel in board(file)["panels"]:
        place = panel["gridPos"]
        assert place["w"] >= 1 and place["h"] >= 1 and 0 <= place["x"] and place["x"] + place["w"] <= 24, panel["title"]
        for cell in itertools.product(range(place["x"], place["x"] + place["w"]),
                                      range(place["y"], place["y"] + place["h"])):
            assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
            taken[cell] = panel["title"]


@BOARDS
def test_each_query_has_a_chosen_source_and_a_unique_name_in_its_panel(file, kinds):
    variables = board(file)["templating"]["list"]
    sources = {f"${{{one['name']}}}": one["query"] for one in variables if one["type"] == "datasource"}
    assert set(sources.values()) == kinds
    for panel in board(file)["panels"]:
        if panel["type"] == "row":
            continue
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0, panel["title"]
        for holder in [panel, *panel["targets"]]:
            assert sources[holder["datasource"]["uid"]] == holder["datasource"]["type"], panel["title"]
    for variable in variables:
        if variable["type"] == "query":
            assert sources[variable["datasource"]["uid"]] == variable["datasource"]["type"], variable["name"]


@BOARDS
def test_each_used_variable_exists_and_each_variable_is_used(file, kinds):
    used = set(re.findall(r"\$\{?([a-z]\w*)\}?", json.dumps(board(file))))
    assert used == {one["name"] for one in board(file)["templating"]["list"]}


@BOARDS
def test_the_dashboard_names_nothing_of_one_installation(file, kinds):
    assert board(file).get("id") is None
    assert not re.search(r"\d{12}|ws-[0-9a-f]{8}|https?://", json.dumps(board(file)))


# --- CloudWatch ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def printed():
    """Returns the numbers of the metric line that the binary prints, with those of all reasons."""
    with Receiver() as receiver:
        ingest = Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "METRICS": "all"})
        try:
            line = ingest.invoke([event(), event({"ph": "abc"})]).metrics
        finally:
            ingest.close()
    directive, = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("AmpPushGateway", [["FunctionName"]])
    names = {name for name, value in line.items() if isinstance(value, (int, float))}
    reasons = re.findall(r'=> "([a-z_]+)"', (ROOT / "src/model/outcome.rs").read_text())
    assert "rejected.invalid_value" in names and "invalid_value" in reasons
    late = {"dropped.too_old", "dropped.out_of_order"}
    return names | {f"rejected.{reason}" for reason in reasons} | late


def shown_of(dimension):
    """Returns the numbers of metric lines that Grafana's dashboard shows of the function, or of the tick."""
    return {target["metricName"] for _, target in CLOUDWATCH
            if target["namespace"] == "AmpPushGateway" and target["dimensions"]["FunctionName"] == dimension}


def of_tick():
    """Returns the names of a tick's numbers, and of those that are metrics by default, from the source of its line."""
    source, reasons = ((ROOT / "src" / file).read_text() for file in ("instrumentation/metric_line.rs", "aggregate/owed.rs"))
    always = re.findall(r'\("([a-z_]+)", Number::', source.partition("fn numbers_of_tick(")[2].partition("\n}")[0])
    by_default = re.findall(r'"([a-z_]+)"', re.search(r"OF_TICK_ALARMS: \[&str; \d+\] = \[(.*?)\];", source, re.S)[1])
    dropped = [f"dropped.{reason}" for reason in re.findall(r'Self::\w+ => "([a-z_]+)"', reasons)]
    assert len(always) > 20 and len(dropped) == 2
    return {*always, *dropped}, set(by_default)


# As soon as the function of this repository has a tick.
if "fn numbers_of_tick(" in (ROOT / "src/instrumentation/metric_line.rs").read_text():
    def test_the_dashboards_show_every_number_of_a_ticks_metric_line():
        numbers, _ = of_tick()
        assert shown_of("$tick") == numbers
        for resources in (templates.sam({"State": "on", "Dashboard": "true"}), templates.cdk("StateChosen")):
            queries = [one["properties"]["query"] for one in widgets_of(resources) if "TickLogGroup" in one["properties"].get("query", "")]
            assert len(queries) == 6 and all('message = "invocation"' in query for query in queries)
            assert {name for query in queries for name in re.findall(r"(?:sum|max|pct)\(`?([a-z_.]+)`?", query)} == numbers

    def test_the_alarms_of_the_state_watch_the_metrics_that_a_tick_makes_by_default():
        numbers, by_default = of_tick()
        watched = {alarm["Properties"]["MetricName"] for alarm in templates.sam({"State": "on"}).values()
                   if alarm["Type"] == "AWS::CloudWatch::Alarm" and alarm["Properties"].get("Namespace") == "AmpPushGateway"
                   and alarm["Properties"]["Dimensions"] == [{"Name": "FunctionName", "Value": "TickFunction"}]}
        assert watched == by_default <= numbers
        assert len(watched) == cost_of_state.TICK_METRICS
        for panel in PANELS:
            own = {target["metricName"] for target in panel["targets"]
                   if target.get("namespace") == "AmpPushGateway" and target["dimensions"]["FunctionName"] == "$tick"}
            if own:
                assert ("Needs Metrics=all" in panel["description"]) == bool(own - by_default), panel["title"]

    def test_the_page_of_the_state_names_every_number_of_a_tick():
        numbers, _ = of_tick()
        page = (ROOT / "infra/state.md").read_text().partition("## Watching it")[2].partition("\n## ")[0]
        told = {name for row in re.findall(r"^\| (`[^|]*) \|", page, re.M) for name in re.findall(r"`([^`]+)`", row)}
        assert told - {"dropped.<reason>"} == {name for name in numbers if "." not in name}
        asked = re.findall(r"(?:sum|max|pct)\(([a-z_]+)", page) + [name for line in re.findall(r"fields @timestamp, request_id, (.*)", page)
                                                                   for name in line.split(", ")]
        assert asked and set(asked) <= numbers


def test_the_dashboard_shows_every_number_of_the_metric_line(printed):
    assert shown_of("$function") == printed


def test_a_panel_says_so_if_it_shows_metrics_that_do_not_exist_by_default():
    with Receiver() as receiver:
        ingest = Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url})
        try:
            directive, = ingest.invoke([event()]).metrics["_aws"]["CloudWatchMetrics"]
        finally:
            ingest.close()
    by_default = {metric["Name"] for metric in directive["Metrics"]}
    for panel in PANELS:
        own = {target["metricName"] for target in panel["targets"]
               if target.get("namespace") == "AmpPushGateway" and target["dimensions"]["FunctionName"] == "$function"}
        if not own:
            continue
        assert ("Needs Metrics=all" in panel.get("description", "")) == bool(own - by_default), panel["title"]


def test_the_dashboard_queries_metrics_that_aws_publishes():
    for panel, target in CLOUDWATCH:
        assert target["region"] == "$region" and target["queryMode"] == "Metrics", panel["title"]
        if target["namespace"] == "AmpPushGateway":
            assert target["dimensions"] in ({"FunctionName": "$function"}, {"FunctionName": "$tick"}), panel["title"]
            continue
        dimension, names = AWS_METRICS[target["namespace"]]
        assert target["metricName"] in names, panel["title"]
        assert list(target["dimensions"]) == [dimension], panel["title"]
    for variable in VARIABLES.values():
        query = variable.get("query")
        if variable["type"] == "query" and query.get("queryType") == "dimensionValues":
            dimension, names = AWS_METRICS.get(query["namespace"], ("FunctionName", {"received"}))
            assert query["dimensionKey"] == dimension and query["metricName"] in names, variable["name"]


@pytest.mark.parametrize("variable, name, is_offered", [
    ("tick", "gateway-TickFunction-1A2B3C", True),
    ("tick", "GatewayStack-GatewayTickFunction0F0F-1A2B3C", True),
    ("tick", "gateway-Function-1A2B3C", False),
    ("queue", "gateway-Queue-1A2B3C", True),
    ("queue", "GatewayStack-GatewayQueue0F0F-1A2B3C.fifo", True),
    ("queue", "readings", True),
    ("queue", "gateway-DeadLetterQueue-1A2B3C", False),
    ("queue", "gateway-FailureQueue-1A2B3C", False),
    ("dead_letter_queue", "gateway-DeadLetterQueue-1A2B3C", True),
    ("dead_letter_queue", "gateway-Queue-1A2B3C", False),
    ("failure_queue", "gateway-FailureQueue-1A2B3C", True),
    ("failure_queue", "gateway-Queue-1A2B3C", False),
])
def test_each_queue_and_tick_is_offered_where_it_belongs(variable, name, is_offered):
    assert bool(re.search(VARIABLES[variable]["regex"].strip("/"), name)) == is_offered


@pytest.mark.parametrize("page", ["infra/sam/template.yaml", "infra/cdk/src/dashboard.ts"])
def test_the_queries_of_the_log_name_messages_that_the_function_logs(page):
    queries = re.findall(r"filter message (?:in|=) ([^|\n]+)", (ROOT / page).read_text())
    messages = {name for query in queries for name in re.findall(r'"([a-z][a-z ,-]+)\\?"', query)}
    assert len(messages) == 5
    source = "".join(file.read_text() for file in (ROOT / "src").rglob("*.rs"))
    assert {name for name in messages if f'"{name}"' not in source} == set()


@pytest.mark.parametrize("deployment", ["SAM", "CDK"])
def test_the_graphs_of_the_log_show_numbers_of_the_metric_line(deployment, printed):
    resources = templates.sam({"Dashboard": "true"}) if deployment == "SAM" else templates.cdk("Chosen")
    (dashboard,) = (one for one in resources.values() if one["Type"] == "AWS::CloudWatch::Dashboard")
    widgets = json.loads(dashboard["Properties"]["DashboardBody"])["widgets"]
    queries = [widget["properties"]["query"] for widget in widgets if widget["properties"].get("view") == "timeSeries"
               and widget["type"] == "log"]
    asked = {name for query in queries for name in re.findall(r"(?:sum|pct)\(`?([a-z_.]+)`?", query)}
    of_metrics = {line[1] for widget in widgets if widget["type"] == "metric" for line in widget["properties"]["metrics"]
                  if line[0] in ("AmpPushGateway", ".")}
    assert len(queries) == 7 and asked <= printed
    # Together they show every number.
    assert printed <= asked | of_metrics


def test_the_metric_line_of_an_http_request_has_the_fields_that_the_queries_ask_for():
    with Receiver() as receiver:
        ingest = Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "HTTP_AUTH": "none"})
        try:
            answer = call(ingest, "PUT", "/metrics/job/backup", b"m 1\n", [("Content-Type", "text/plain")])
            line, events = answer.result.metrics, ingest.invoke(event()).metrics
        finally:
            ingest.close()
    assert (answer.status, line["status"], line["samples"]) == (202, 202, 2)  # with push_time_seconds
    assert line["route"].startswith("/metrics/job/") and {"rejected", "total_ms"} <= set(line)
    # The queries tell requests from events by it.
    assert "route" not in events


@pytest.mark.parametrize("deployment", ["SAM", "CDK"])
@pytest.mark.parametrize("variant, namespace, dimension, of", [
    ("an HTTP door by a function URL", "AWS/Lambda", "FunctionName", "Function"),
    ("an HTTP door by an HTTP API, with an existing secret", "AWS/ApiGateway", "ApiId", "HttpApi"),
])
def test_the_last_row_of_the_dashboard_shows_the_front_of_the_door(deployment, variant, namespace, dimension, of):
    known = templates.sam(VARIANTS[variant]["sam"]) if deployment == "SAM" else templates.cdk(VARIANTS[variant]["cdk"])
    (dashboard,) = (one for one in known.values() if one["Type"] == "AWS::CloudWatch::Dashboard")
    *others, requests, latency, log = json.loads(dashboard["Properties"]["DashboardBody"])["widgets"]
    assert [(one["x"], one["y"], one["width"], one["height"]) for one in (requests, latency, log)] == [
        (0, 32, 8, 6), (8, 32, 8, 6), (16, 32, 8, 6)]
    assert max(one["y"] + one["height"] for one in others) == 32
    for widget, count in ((requests, 3), (latency, 2)):
        lines = widget["properties"]["metrics"]
        assert lines[0][0] == namespace and lines[0][2:4] == [dimension, of]
        assert len(lines) == count and {line[1] for line in lines} <= AWS_METRICS[namespace][1]
        assert {line[0] for line in lines} <= {namespace, "."} and {line[2] for line in lines} <= {dimension, "."}
    assert re.sub(r"\s+", " ", log["properties"]["query"]) == (
        "SOURCE 'LogGroup' | filter ispresent(route) | stats count() as requests, sum(samples) as stored by route, status")
    states, = (one["properties"]["alarms"] for one in others if one["type"] == "alarm")
    assert len(states) == 16


def widgets_of(resources):
    """Returns the widgets of the only dashboard."""
    (dashboard,) = (one for one in resources.values() if one["Type"] == "AWS::CloudWatch::Dashboard")
    return json.loads(dashboard["Properties"]["DashboardBody"])["widgets"]


@pytest.mark.parametrize("variant", [name for name, one in VARIANTS.items() if one["differs"].get("dashboards")])
def test_both_deployments_have_the_same_graphs_at_the_same_places(variant):
    def graphs(resources):
        return {(one["properties"]["title"], one["x"], one["y"], one["width"], one["height"]) for one in widgets_of(resources)}

    sam, cdk = graphs(templates.sam(VARIANTS[variant]["sam"])), graphs(templates.cdk(VARIANTS[variant]["cdk"]))
    # Without alarms the construct begins its graphs at the top.
    if VARIANTS[variant]["sam"].get("Alarms") == "false":
        cdk = {(title, x, y + 2, width, height) for title, x, y, width, height in cdk}
    assert sam == cdk


@pytest.mark.parametrize("deployment", ["SAM", "CDK"])
def test_the_graphs_of_the_state_show_metrics_of_the_tick_and_the_table(deployment):
    resources = templates.sam({"State": "on", "Dashboard": "true"}) if deployment == "SAM" else templates.cdk("StateChosen")
    shown = {one["properties"]["title"]: one["properties"]["metrics"] for one in widgets_of(resources) if one["type"] == "metric"}
    for title, namespace in (("Ticks", "AWS/Lambda"), ("Duration of a tick, in milliseconds", "AWS/Lambda"), ("Table, in units", "AWS/DynamoDB")):
        dimension, names = AWS_METRICS[namespace]
        first = shown[title][0]
        assert first[0] == namespace and first[2] == dimension, title
        assert first[3] == ("TickFunction" if namespace == "AWS/Lambda" else "StateTable" if deployment == "SAM" else "restored")
        assert {line[1] for line in shown[title]} <= names, title


# --- Prometheus ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def fleet():
    """A real Prometheus with the demo's fleet, which fell silent a minute ago, and a device that fell silent three quarters of an
    hour earlier."""
    with Prometheus() as prometheus:
        demo = subprocess.run(
            [components.pushgw(), "demo", "--json", "--remote-write-url", prometheus.remote_write_url],
            capture_output=True, text=True, check=False, timeout=60)
        assert demo.returncode == 0, demo.stdout + demo.stderr
        old = event({"temperature": 4.5}, {"customerId": "customer1", "deviceId": "lost"},
                    timestamp=int((time.time() - 45 * 60) * 1000))
        ingest = Ingest({"REMOTE_WRITE_URL": prometheus.remote_write_url, "REMOTE_WRITE_AUTH": "none"})
        try:
            assert ingest.invoke(old).json["accepted"] == 1
        finally:
            ingest.close()
        prometheus.devices = {series["labels"]["deviceId"] for series in json.loads(demo.stdout)["series"]}
        yield prometheus


def by_title(title):
    """Returns the one query of the panel with this title."""
    target, = (target for panel, target in PROMETHEUS if panel["title"] == title)
    return filled(target["expr"])


@pytest.mark.parametrize("one", PROMETHEUS, ids=map(name_of, PROMETHEUS))
def test_each_query_answers_with_the_demos_fleet(fleet, one):
    _, target = one
    query = filled(target["expr"])
    if target["instant"]:
        result = fleet.api("query", query=query)["result"]
    else:
        now = time.time()
        result = fleet.api("query_range", query=query, start=now - 3600, end=now, step=60)["result"]
    assert result, query


def test_the_dashboard_shows_the_numbers_of_the_fleet(fleet):
    devices = len(fleet.devices)
    assert devices == 6
    assert fleet.value(by_title("Devices")) == devices + 1
    assert fleet.value(by_title("Silent devices")) == 1
    assert fleet.value(by_title("Series")) == devices * 3
    assert fleet.value(by_title("Metrics")) == 3
    assert 0 <= fleet.value(by_title("Last sample")) < 180
    # If no device is silent the answer is 0, not empty.
    assert fleet.value(by_title("Silent devices").replace('=~".+"', '=~"sensor.+"')) == 0


def test_the_dashboard_lists_only_silent_devices_with_their_time(fleet):
    query = by_title("Time since the last sample of silent devices")
    found = {row["metric"]["deviceId"]: float(row["value"][1]) for row in fleet.api("query", query=query)["result"]}
    assert list(found) == ["lost"] and 44 * 60 < found["lost"] < 48 * 60
    later = fleet.api("query", query=query, time=time.time() + 20 * 60)["result"]
    assert {row["metric"]["deviceId"] for row in later} == fleet.devices | {"lost"}


def test_the_variables_offer_the_fleets_values(fleet):
    """Runs the variables' own queries, as Grafana's Prometheus source translates them."""
    name = re.compile(r"label_values\((\{.*\}),(.*)\)")
    assert VARIABLES["label"]["query"]["query"] == "label_names()"
    labels = {one for one in fleet.api("labels") if re.search(VARIABLES["label"]["regex"].strip("/"), one)}
    assert {"deviceId", "customerId"} <= labels and "__name__" not in labels
    for variable, expected in [("device", fleet.devices | {"lost"}), ("metric", {"temperature", "ph", "battery"})]:
        selector, label = name.fullmatch(filled(VARIABLES[variable]["query"]["query"])).groups()
        assert set(fleet.api(f"label/{label}/values", **{"match[]": selector})) == expected


# --- rules -----------------------------------------------------------------------------------------------------------

def promtool(*arguments):
    """Runs the promtool beside Prometheus and returns (exit code, output)."""
    ended = subprocess.run([Path(components.prometheus()).with_name("promtool"), *map(str, arguments)],
                           capture_output=True, text=True, check=False, timeout=120)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("file", ["rules", "functions"])
def test_promtool_accepts_the_rules(file):
    code, said = promtool("check", "rules", "--lint-fatal", ROOT / f"infra/prometheus/{file}.yaml")
    assert code == 0, said


@pytest.mark.parametrize("tests", ["rules_test", "functions_rules_test"])
def test_promtools_tests_of_the_rules_pass(tests):
    code, said = promtool("test", "rules", ROOT / f"tests/infra/{tests}.yaml")
    assert code == 0, said


def test_alerts_only_if_the_number_of_series_doubles(tmp_path):
    """rules_test.yaml does not have this case, because it takes a thousand series."""
    def series(count, values):
        return [f"  - {{series: 'reading{{deviceId=\"d{number}\"}}', values: '{values}'}}" for number in range(count)]

    day = 24 * 60
    table = [  # (series from the start, series that begin after a day, true if the alert fires)
        (1000, 1100, True), (1000, 900, False), (10, 300, False)]
    tests = ["rule_files: [" + json.dumps(str(RULES)) + "]", "evaluation_interval: 5m", "tests:"]
    for before, after, told in table:
        tests += ["- interval: 30m", "  input_series:", *series(before, "1+0x60")]
        tests += [line.replace('"d', '"new') for line in series(after, "_x48 1+0x12")]
        expected = f"[{{labels: '{{alertname=\"SeriesDoubled\", alertstate=\"firing\", severity=\"warning\"}}', value: 1}}]"
        tests += ["  promql_expr_test:",
                  f"  - {{expr: 'sum by (alertname, alertstate, severity) (ALERTS{{alertname=\"SeriesDoubled\","
                  f"alertstate=\"firing\"}})', eval_time: {day + 90}m, exp_samples: {expected if told else '[]'}}}"]
    file = tmp_path / "doubled.yaml"
    file.write_text("\n".join(tests))
    code, said = promtool("test", "rules", file)
    assert code == 0, said


def test_the_page_that_the_alerts_name_exists():
    pages = {page for file in RULES.parent.glob("*.yaml") for page in re.findall(r"infra/[\w-]+\.md", file.read_text())}
    assert pages and all((ROOT / page).exists() for page in pages), pages
