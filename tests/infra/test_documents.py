"""Holds the pages of infra/, and the price in the README, against the template, the construct, the programs and the cost computation."""
import base64
import functools
import json
import math
import re
import shlex
import subprocess
from pathlib import Path

import botocore.session
import cost
import cost_of_state
import pytest
import yaml
from botocore import xform_name

from support import ROOT, components
from support.events import event
from support.http_server import Accepting
from support.receiver import Receiver
from support.runtime_api import Ingest
from templates import environment, infra_tool

INFRA = ROOT / "infra"
PAGES = {page.name: page.read_text() for page in sorted(INFRA.glob("*.md"))}


class CloudFormation(yaml.SafeLoader):
    """Loads YAML with CloudFormation's short forms: `!Ref X` is {"Ref": "X"}."""


def _tag(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix: value}


CloudFormation.add_multi_constructor("!", _tag)
TEMPLATE = yaml.load((INFRA / "sam/template.yaml").read_text(), CloudFormation)
PARAMETERS, RESOURCES, OUTPUTS = TEMPLATE["Parameters"], TEMPLATE["Resources"], TEMPLATE["Outputs"]
ALARMS = {name for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
HTTP_ALARMS = {name for name in ALARMS if RESOURCES[name]["Condition"] == "HasHttpAlarms"}
STATE_ALARMS = {name for name in ALARMS if RESOURCES[name]["Condition"] == "HasStateAlarms"}
PROPS_SOURCE = (INFRA / "cdk/src/props.ts").read_text()


def props(interface):
    """Returns the props of an interface of the construct."""
    body = re.search(rf"export interface {interface} \{{\n(.*?)^\}}", PROPS_SOURCE, re.S | re.M)[1]
    return set(re.findall(r"^  readonly (\w+)\??:", body, re.M))


PROPS = (props("PrometheusPushGatewayProps") | {f"iot.{name}" for name in props("IotRuleProps")}
         | {f"httpDoor.{name}" for name in props("HttpDoorProps")} | {f"state.{name}" for name in props("StateProps")})


def section(page, title):
    """Returns the text under a heading, up to the next heading of its level or a higher one."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,9}} |\Z)", PAGES[page], re.M | re.S)
    assert found, f"{page} has no section {title!r}"
    return found[2]


def rows(page, title, number=0):
    """Returns the cells of a table in a section."""
    tables = re.findall(r"(?:^\|.*\n)+", section(page, title), re.M)
    return [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in tables[number].splitlines()[2:]]


def spans(text):
    """Returns the texts in code quotes, outside of blocks."""
    return [re.sub(r"\s+", " ", one) for one in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))]


def commands():
    """Returns (page, command line) of all commands on the pages: in blocks of shell, and in code quotes."""
    program = re.compile(r"(?:^|\$\()((?:aws|sam|pushgw|promtool|infra/package|python3|bash|cargo|npx|npm|cd|curl) [^\n]*)")
    for page, text in PAGES.items():
        for block in re.findall(r"```sh\n(.*?)```", text, re.S):
            for line in block.splitlines():
                line = line.strip()
                assert not line or program.search(line), f"{page}: {line!r} is no known command"
                yield from ((page, one.rstrip(")") if "$(" in line else one) for one in program.findall(line))
        yield from ((page, one) for one in spans(text) if program.match(one))


COMMANDS = sorted(set(commands()))


def of_program(name):
    """Returns test parameters: the words of each command line of one program, with the page in the test's name."""
    words = [(page, shlex.split(line)) for page, line in COMMANDS if line.split()[0] == name]
    assert words, name
    return pytest.mark.parametrize("words", [pytest.param(one[1:], id=f"{page}: {' '.join(one)[:60]}") for page, one in words])


def flags(words):
    return [word.split("=")[0] for word in words if word.startswith("--")]


# --- names ------------------------------------------------------------------------------------------------------------

def test_the_page_names_every_parameter_with_its_default_and_prop():
    told = {}
    for parameter, prop, default, _ in rows("README.md", "Parameters"):
        for name in spans(prop):
            assert name in PROPS, name
        if parameter != "–":
            told[parameter.strip("`")] = default.strip("`")
    assert set(told) == set(PARAMETERS)
    words = {"makes one": "", "AMP's, 60 s": "", "none": "", "1 h": "", "10 s": ""}
    for name, default in told.items():
        actual = str(PARAMETERS[name]["Default"])
        assert actual in (words.get(default, default), default), f"{name} is {actual!r}, and the page says {default!r}"


def test_the_page_names_every_prop():
    told = {name for row in rows("README.md", "Parameters") for name in spans(row[1])}
    # The page names the parts of `iot`, `httpDoor` and `state`; `code` is for builds of one's own.
    assert told == PROPS - {"iot", "httpDoor", "state", "code"}


def test_the_page_names_every_output():
    assert {name for row in rows("README.md", "Outputs") for name in spans(row[0])} == set(OUTPUTS)


def test_the_page_has_a_line_for_every_alarm():
    assert {name for row in rows("operate.md", "Alarms") for name in spans(row[0])} == ALARMS


def test_the_page_on_moving_names_parts_that_exist_on_both_sides():
    for _, prop, parameter in rows("moving-over.md", "Differences in deployment and settings"):
        for name in spans(prop):
            if "member" not in prop:
                assert name.split()[0] in PROPS, name
        for name in spans(parameter):
            assert name in PARAMETERS or name in OUTPUTS, name


def test_the_code_to_copy_uses_props_and_methods_of_the_construct():
    gateway = (INFRA / "cdk/src/gateway.ts").read_text()
    text = section("README.md", "With CDK")
    typescript, python = (re.search(rf"```{language}\n(.*?)```", text, re.S)[1] for language in ("ts", "python"))
    camel = re.sub(r"_([a-z])", lambda letter: letter[1].upper(), python)
    given = re.findall(r"\b(\w+): ", typescript) + re.findall(r"\b(\w+)=\w", camel)
    assert given and set(given) <= PROPS
    called = re.findall(r"^gateway\.(\w+)\(", typescript + camel, re.M)
    assert len(called) == 2 and all(f"public {method}(" in gateway for method in called)


@pytest.mark.parametrize("page", PAGES)
def test_names_in_code_quotes_exist(page):
    """Finds a `MaxConcurrency` on one page that should be `MaximumConcurrency`."""
    metrics = set(re.findall(r'"metricName": "([A-Z]\w+)"', (INFRA / "grafana/dashboard.json").read_text()))
    ours = set(PARAMETERS) | set(OUTPUTS) | set(RESOURCES) | metrics
    rules = {name for file in (INFRA / "prometheus").glob("*.yaml") for name in re.findall(r"alert: (\w+)", file.read_text())}
    layer = yaml.load((INFRA / "sam/extension.yaml").read_text(), CloudFormation)
    ours |= set(layer["Parameters"]) | set(layer["Outputs"])
    # Names of Lambda, SQS and the ancestor.
    others = {"SendMessage", "SendMessageBatch", "VpcConfig", "PrometheusPushGateway", "PrometheusLambdaPushGateway", "Enabled",
              "ReportBatchItemFailures", "PushAdd", "BinaryMediaTypes", "IteratorAge"}
    for span in spans(PAGES[page]):
        if re.fullmatch(r"(?:[A-Z][a-z]+){2,}|[A-Z][a-z]+Arn", span):
            assert span in ours | rules | others, span


def test_the_page_has_a_line_for_every_reason():
    told = [name for row in rows("operate.md", "Dead letters") for name in spans(row[0])]
    reasons = re.findall(r'=> "([a-z_]+)"', (ROOT / "src/model/outcome.rs").read_text())
    for reason in reasons:
        assert any(re.fullmatch(name.replace("…", ".*"), reason) for name in told), reason
    for name in told:
        others = {"max_receives", "delivery_failed", "iot_action_failed"}
        assert name in others or any(re.fullmatch(name.replace("…", ".*"), reason) for reason in reasons), name


def test_the_page_has_the_templates_numbers_of_the_queue():
    timeout, window = str(PARAMETERS["FunctionTimeout"]["Default"]), str(PARAMETERS["BatchWindow"]["Default"])
    seconds = TEMPLATE["Mappings"]["VisibilityTimeout"][timeout][window]
    receives = RESOURCES["Queue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    assert f"{seconds} s by default" in section("operate.md", "Batches") and f"({receives} times)" in section("operate.md", "Batches")
    move = section("moving-over.md", "Cutting over a queue")
    assert f'"VisibilityTimeout": "{seconds}"' in move and f'\\"maxReceiveCount\\": \\"{receives}\\"' in move


def test_the_page_names_the_resources_that_stay_after_removal():
    stays = {name for name, one in RESOURCES.items() if one.get("DeletionPolicy", "Delete").startswith("Retain")}
    assert stays == {"Workspace", "DeadLetterQueue", "DeadLetterQueuePolicy", "FailureQueue", "FailureQueuePolicy", "StateTable"}
    text = re.sub(r"\s+", " ", section("README.md", "Removing it"))
    assert "the workspace with its metrics, the dead-letter queue, the failure queue, and [the table of the state]" in text


# --- permissions ------------------------------------------------------------------------------------------------------

def actions_of(role):
    """Returns the actions that a role of the template allows, with or without conditions."""
    found = set()

    def look(node):
        if isinstance(node, dict):
            if node.get("Effect") == "Allow" and "Principal" not in node:
                action = node["Action"]
                found.update([action] if isinstance(action, str) else action)
            for child in node.values():
                look(child)
        elif isinstance(node, list):
            for child in node:
                look(child)

    look(RESOURCES[role]["Properties"])
    return found


def test_the_page_describes_the_whole_role():
    for number, role in enumerate(["FunctionRole", "TickRole"]):
        assert {name for row in rows("permissions.md", "To run", number) for name in spans(row[0])} == actions_of(role)
    assert actions_of("IotRole") == {"sqs:SendMessage"}
    assert actions_of("TickScheduleRole") == {"lambda:InvokeFunction"}


#: The action that creates a resource of each type in the template.
CREATES = {
    "AWS::APS::Workspace": "aps:CreateWorkspace", "AWS::SQS::Queue": "sqs:CreateQueue",
    "AWS::SQS::QueuePolicy": "sqs:SetQueueAttributes", "AWS::Serverless::Function": "lambda:CreateFunction",
    "AWS::IAM::Role": "iam:CreateRole", "AWS::Logs::LogGroup": "logs:CreateLogGroup",
    "AWS::Lambda::EventSourceMapping": "lambda:CreateEventSourceMapping",
    "AWS::Lambda::EventInvokeConfig": "lambda:PutFunctionEventInvokeConfig", "AWS::Lambda::Permission": "lambda:AddPermission",
    "AWS::IoT::TopicRule": "iot:CreateTopicRule", "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
    "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard", "AWS::SecretsManager::Secret": "secretsmanager:CreateSecret",
    "AWS::Lambda::Url": "lambda:CreateFunctionUrlConfig", "AWS::ApiGatewayV2::Api": "apigateway:POST",
    "AWS::ApiGatewayV2::Integration": "apigateway:POST", "AWS::ApiGatewayV2::Route": "apigateway:POST",
    "AWS::ApiGatewayV2::Stage": "apigateway:POST", "AWS::DynamoDB::Table": "dynamodb:CreateTable",
    "AWS::Scheduler::Schedule": "scheduler:CreateSchedule",
}


def test_the_policy_for_deploying_has_actions_of_aws_for_each_resource():
    policy = json.loads(re.search(r"```json\n(.*?)```", section("permissions.md", "To deploy"), re.S)[1])
    allowed = set()
    for statement in policy["Statement"]:
        action = statement["Action"]
        allowed.update([action] if isinstance(action, str) else action)
    for resource in RESOURCES.values():
        assert CREATES[resource["Type"]] in allowed, resource["Type"]
    session = botocore.session.get_session()
    services = {"aps": "amp"}
    # Names of IAM for which the API has another name or none.
    iam_only = {"iam:PassRole", "lambda:ListTags", "lambda:TagResource", "s3:GetObject", "apigateway:POST", "apigateway:GET",
                "apigateway:PATCH", "apigateway:DELETE"}
    for action in allowed - iam_only:
        service, operation = action.split(":")
        assert operation in session.get_service_model(services.get(service, service)).operation_names, action


@pytest.mark.parametrize("page", PAGES)
def test_each_block_of_json_is_valid(page):
    for block in re.findall(r"```json\n(.*?)```", PAGES[page], re.S):
        json.loads(block)


# --- the HTTP door ----------------------------------------------------------------------------------------------------

def blocks(page, title, language):
    """Returns the blocks of a language in a section."""
    return re.findall(rf"```{language}\n(.*?)```", section(page, title), re.S)


@pytest.mark.parametrize("title, number", [("Agents", 0), ("Remote read and Grafana", 0), ("From the Timestream connector", 0)])
def test_prometheus_accepts_the_configuration_on_the_page(title, number, tmp_path):
    file = tmp_path / "prometheus.yml"
    file.write_text(blocks("http-door.md", title, "yaml")[number])
    ended = subprocess.run([Path(components.prometheus()).with_name("promtool"), "check", "config", file], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_each_configuration_on_the_page_is_valid_yaml_and_names_the_host_alike():
    found = re.findall(r"```yaml\n(.*?)```", PAGES["http-door.md"], re.S)
    assert len(found) == 7
    for block in found:
        assert yaml.load(block, CloudFormation)
        assert set(re.findall(r"https://([^/\s]+)", block)) <= {"HOST"}


def test_cfn_lint_accepts_the_template_of_a_rest_api(tmp_path):
    template, = blocks("http-door.md", "Other fronts", "yaml")
    file = tmp_path / "rest.yaml"
    file.write_text(template)
    ended = subprocess.run([infra_tool("cfn-lint"), "--", file], env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # Without it every binary body is destroyed.
    assert yaml.load(template, CloudFormation)["Resources"]["RestApi"]["Properties"]["BinaryMediaTypes"] == ["*/*"]


def test_the_python_client_on_the_page_pushes_with_basic_auth():
    """Runs the page's lines against a server on this machine."""
    code, = blocks("http-door.md", "Client libraries", "python")
    with Accepting() as door:
        program = code.replace("https://HOST", door.url).replace("PASSWORD", repr("secret"))
        ended = subprocess.run([infra_tool("python"), "-c", program], env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    request, = door.requests
    assert (request.method, request.path) == ("PUT", "/metrics/job/backup")
    assert request.header("Authorization") == "Basic " + base64.b64encode(b"push:secret").decode()
    assert b"backup_last_success_unixtime" in request.body


@pytest.mark.parametrize("title, values, authorization", [
    ("Deploy it", {"PASSWORD": "secret"}, "Basic " + base64.b64encode(b"push:secret").decode()),
    ("Client libraries", {"TOKEN": "secret"}, "Bearer secret"),
    ("In a browser", {"PASSWORD": "secret"}, "Basic " + base64.b64encode(b"push:secret").decode()),
])
def test_the_curl_commands_on_the_page_send_their_credentials(title, values, authorization, tmp_path):
    line, = (one for block in blocks("http-door.md", title, "sh")
             for one in map(str.strip, block.splitlines()) if one.startswith("curl "))
    (tmp_path / "metrics.txt").write_text("a 1\n")
    with Accepting() as door:
        ended = subprocess.run(["sh", "-c", line], cwd=tmp_path, env={**environment(), **values, "URL": door.url}, capture_output=True,
                               text=True)
    assert ended.returncode == 0, ended.stderr
    request, = door.requests
    assert request.header("Authorization") == authorization
    assert request.path.startswith("/metrics/job/backup") if request.method == "POST" else request.path == "/api/v1/status"


# --- links and commands -----------------------------------------------------------------------------------------------

def anchors(text):
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_repository_have_a_target(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (INFRA / path).resolve() if path else INFRA / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_name_files_that_exist(page):
    for name in spans(PAGES[page]):
        if re.fullmatch(r"(?:infra|tests|examples|src)/[\w./-]+", name):
            assert (ROOT / name).exists(), name


@of_program("aws")
def test_the_aws_cli_knows_the_command(words):
    service, operation, *rest = words
    if (service, operation) == ("s3", "cp"):
        return
    everywhere = {"--region", "--output", "--query"}
    model = botocore.session.get_session().get_service_model(service)
    name, = (one for one in model.operation_names if xform_name(one, "-") == operation)
    shape = model.operation_model(name).input_shape
    known = {f"--{xform_name(member, '-')}": member for member in shape.members}
    rest = ["--content" if word == "--zip-file" else word for word in rest]  # the CLI's own name
    given = [flag if flag in known else flag.replace("--no-", "--") for flag in flags(rest) if flag not in everywhere]
    assert set(given) <= set(known), given
    missing = set(shape.required_members) - {known[flag] for flag in given}
    # The page names the command without its flags.
    assert not missing or not given, missing


@of_program("pushgw")
def test_pushgw_knows_the_command(words):
    verb, *rest = words
    ended = subprocess.run([components.pushgw(), verb, "--help"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for flag in flags(rest):
        assert re.search(rf"^ +{flag}\b", ended.stdout, re.M), flag


@functools.cache
def sam_help(verb):
    """Returns the output of `sam VERB --help`. It takes seconds."""
    ended = subprocess.run([infra_tool("sam"), verb, "--help"], capture_output=True, text=True, check=False,
                           env=environment() | {"COLUMNS": "200"})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@of_program("sam")
def test_sam_knows_the_command(words):
    verb, *rest = words
    assert sam_help(verb)
    for flag in flags(rest):
        assert re.search(rf"{flag}\b", sam_help(verb)), flag
    for value in (word for word in rest if re.fullmatch(r"[A-Z]\w+=\S+", word)):
        assert value.split("=")[0] in PARAMETERS, value


def test_other_commands_name_files_that_exist():
    for page, line in COMMANDS:
        words = shlex.split(line)
        if words[0] in ("python3", "bash", "cd"):
            assert (ROOT / words[1]).exists(), f"{page}: {line}"
        for word in words:
            if word.startswith(("infra/", "tests/", "fileb://infra/")):
                assert (ROOT / word.removeprefix("fileb://")).exists(), f"{page}: {line}"


def test_the_quick_create_link_has_only_parameters_of_the_template():
    link = re.search(r"https://REGION\.console\S+", PAGES["README.md"])[0]
    assert set(re.findall(r"param_(\w+)", link)) <= set(PARAMETERS)


# --- cost -------------------------------------------------------------------------------------------------------------

def test_the_page_shows_the_tables_that_are_computed():
    page = PAGES["scale-and-cost.md"]
    assert cost.written(page) == page, "run: python3 tests/infra/cost.py --write"


def test_the_page_shows_the_figures_that_are_computed_with():
    text = PAGES["scale-and-cost.md"]
    for figure in (f"{cost.CPU_MS_OF_AN_INVOCATION} ms", f"{cost.CPU_MS_OF_AN_EVENT * 1_000:.2f} µs", f"{cost.AMP_WAIT_MS} ms",
                   f"{cost.RECORD_BYTES} bytes", f"{cost.EMBEDDED_METRICS} × {cost.METRIC:.2f}", f"{cost.ALARMS} × {cost.ALARM:.2f}",
                   f"{cost.LAMBDA_GB_SECOND:.10f}", f"{cost.MB_OF_ONE_VCPU:,} MB", f"{cost.SQS_IN_FLIGHT:,}",
                   f"{cost.AMP_SAMPLES_A_SECOND:,}", f"{cost.AMP_REQUESTS_A_SECOND:,}",
                   f"{(cost.METRIC_LINE_BYTES + cost.PLATFORM_LINE_BYTES) / 1_000:.2f} kB"):
        assert figure in text, figure


def test_counts_everything_that_is_charged_by_the_piece():
    for metrics, count in (("alarms", cost.EMBEDDED_METRICS), ("all", cost.ALL_METRICS)):
        with Receiver() as receiver:
            ingest = Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "METRICS": metrics})
            try:
                line = ingest.invoke([event()]).metrics
            finally:
                ingest.close()
        directive, = line["_aws"]["CloudWatchMetrics"]
        assert len(directive["Metrics"]) == count
        if metrics == PARAMETERS["Metrics"]["Default"]:
            assert len(json.dumps(line, separators=(",", ":"))) == pytest.approx(cost.METRIC_LINE_BYTES, rel=0.1)
    assert len(ALARMS - HTTP_ALARMS - STATE_ALARMS) == cost.ALARMS
    assert len(HTTP_ALARMS) == cost.HTTP_ALARMS
    assert len(STATE_ALARMS) == cost_of_state.STATE_ALARMS
    assert PARAMETERS["TickMemory"]["Default"] == cost_of_state.TICK_MEMORY_MB
    assert len([one for one in RESOURCES.values() if one["Type"] == "AWS::SecretsManager::Secret"]) == cost.HTTP_SECRETS
    assert cost.DASHBOARDS == (PARAMETERS["Dashboard"]["Default"] == "true")


def test_a_gateway_with_an_event_a_minute_costs_at_most_four_dollars_a_month():
    assert sum(cost.Load(1 / 60, batch=10).month().values()) <= 4


def test_the_readme_shows_the_computed_cost_of_a_small_gateway():
    month = {events: round(sum(cost.Load(events / 60, batch=50).month().values())) for events in (1, 1_000)}
    text = re.sub(r"\s+", " ", (ROOT / "README.md").read_text())
    assert f"costs [about {month[1]} USD a month](infra/scale-and-cost.md#cost) with one event a minute" in text
    assert f"about {month[1_000]} USD with a thousand" in text


@pytest.mark.parametrize("messages, of_a_message, series, kilobytes", [
    (10, 1, 100, 1), (100, 1, 100, 4), (1_000, 1, 100, 22), (1_000, 1, 100_000, 37)])
def test_the_formula_of_the_journal_gives_the_measured_sizes(messages, of_a_message, series, kilobytes):
    state = cost_of_state.State(1, series, of_a_message)
    state.load.batch = messages
    assert math.ceil(state.item_bytes() / 1_024) == pytest.approx(kilobytes, abs=1)


def test_a_state_of_100_series_and_10_events_a_second_costs_less_than_half_of_the_others():
    month = sum(cost_of_state.State(10, 100).month().values())
    assert month < cost_of_state.in_eks(100) / 2 and month < cost_of_state.with_redis(10, 100) / 1.5


def test_a_tick_ends_long_before_its_deadline():
    for events, series, of_a_message in [(10, 100, 1), (1_000, 100_000, 1), (5_000, 100_000, 100)]:
        assert cost_of_state.tick_seconds(cost_of_state.State(events, series, of_a_message)) < 10
    assert cost_of_state.tick_seconds(cost_of_state.State(30_000, 100_000, 100)) < cost_of_state.TICK_SECONDS
    assert cost_of_state.tick_seconds(cost_of_state.State(50_000, 100, 100)) > cost_of_state.TICK_SECONDS


def test_the_page_shows_the_figures_of_the_state():
    text = section("scale-and-cost.md", "Cost of the state")
    for figure in (f"{cost_of_state.TABLE_WRITE * 1e6:.3f} a million write", f"{cost_of_state.TABLE_READ * 1e6:.3f} a million read",
                   f"{cost_of_state.SERIES_BYTES} bytes a series", f"{cost_of_state.JOURNAL_EVENT_BYTES} bytes an event",
                   f"{cost_of_state.IDENTITY_BYTES} bytes of each event",
                   f"{cost_of_state.REMEMBERED_MINUTES} minutes", f"{cost_of_state.FARGATE_VCPU_HOUR} a vCPU",
                   f"{cost_of_state.REDIS_NODE_HOUR} an hour", f"{cost_of_state.REDIS_METRICS_OF_A_VCPU:,} metrics a second",
                   f"{cost_of_state.NODE_HOUR['t3.medium']}, {cost_of_state.NODE_HOUR['t3.large']} an hour"):
        assert figure in text, figure


def test_the_rules_read_the_counted_samples():
    expressions = [rule["expr"] for group in yaml.safe_load((INFRA / "prometheus/rules.yaml").read_text())["groups"]
                   for rule in group["rules"]]
    windows = re.findall(r"deviceId!=[^\[]*\[(\w+)\]", " ".join(expressions))
    assert sorted(windows) == sorted(["1d"] * 2 + ["1h"] + ["15m"] * 3)


@pytest.mark.parametrize("amount, cost_of_it", [(0, 0), (1e9, 90), (2e9, 180), (3e9, 215), (252e9, 180 + 8_750), (253e9, 180 + 8_750 + 16)])
def test_charges_samples_by_tiers(amount, cost_of_it):
    assert cost.tiered(amount, cost.AMP_SAMPLES) == pytest.approx(cost_of_it)


def test_an_invocation_takes_fourteen_times_its_cpu_time_at_128_mb():
    cpu = cost.CPU_MS_OF_AN_INVOCATION + 5_000 * cost.CPU_MS_OF_AN_EVENT
    assert cost.duration_ms(5_000, 128) == pytest.approx(cost.AMP_WAIT_MS + 13.82 * cpu, abs=1)
    assert cost.duration_ms(5_000, 10_240) == pytest.approx(cost.AMP_WAIT_MS + cpu, abs=1)
