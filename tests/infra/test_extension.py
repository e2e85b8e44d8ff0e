"""The layer of the extension, and a function that has it: the template on the page, the construct, the permissions, the settings."""
import json
import re
import subprocess

import cloudformation
import cost
import pytest
import templates
import yaml
from deployment import TABLE, differences, statements
from local_gateway import LocalGateway, Secrets
from package import ARCHITECTURES, LAMBDA, unpacked
from support import ROOT
from support.components import ARCH
from support.environment import Environment
from support.events import now_ms
from support.http_server import Accepting
from support.runtime_api import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN
from support.sigv4 import faults
from support.sqs import SqsFront

PAGE = (ROOT / "infra/extension.md").read_text()
TELEMETRY = TABLE["telemetry"]
#: The outputs of the two stacks, as parameters of the template on the page.
OUTPUTS = {"ExtensionLayerArn": "ExtensionLayer", "QueueUrl": "Queue", "QueueArn": "Queue.Arn"}


def run(*command, cwd=ROOT):
    """Runs a command that must succeed."""
    ended = subprocess.run(command, cwd=cwd, env=templates.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ended.returncode == 0, f"{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"


@pytest.fixture
def on_the_page(tmp_path):
    """The template on the page, as a file."""
    file = tmp_path / "function.yaml"
    file.write_text(re.search(r"### With SAM\n.*?```yaml\n(.*?)```", PAGE, re.S)[1])
    return file


def layer_of_sam(parameters=None):
    return cloudformation.resolve(templates.sam_template(parameters, templates.EXTENSION_TEMPLATE), parameters)


def described(resources, layers):
    """Describes the function Checkout in the form of the table, with the layers that it may name."""
    function = resources["Checkout"]["Properties"]
    role = function["Role"].removesuffix(".Arn")
    allowed = {}
    for one in statements(resources, role):
        assert (one["Effect"], set(one) - {"Sid", "Effect", "Action", "Resource"}) == ("Allow", set()), one
        allowed.setdefault(one["Action"], []).append(one["Resource"])
    layer, = layers.values()
    assert {"Content", *layer["Properties"]} >= {"Description", "LicenseInfo"}
    return {
        "layer": {name: layer["Properties"][name] for name in ("CompatibleArchitectures", "LicenseInfo")},
        "layers": ["the layer" if one in layers else one for one in function["Layers"]],
        "environment": function["Environment"]["Variables"],
        "may": {action: sorted(set(on)) for action, on in allowed.items()},
    }


def of_construct(variant):
    resources = templates.cdk(variant)
    return described(resources, {name: one for name, one in resources.items() if one["Type"] == "AWS::Lambda::LayerVersion"})


# --- a function that has it -------------------------------------------------------------------------------------------

def test_the_template_on_the_page_gives_a_function_the_layer_the_variable_and_one_permission(on_the_page):
    function = cloudformation.resolve(templates.sam_template(OUTPUTS, on_the_page), OUTPUTS)
    layers = {name: one for name, one in layer_of_sam().items() if one["Type"] == "AWS::Lambda::LayerVersion"}
    wanted = {key: TELEMETRY[key] for key in ("layer", "layers", "environment", "may")}
    assert differences(described(function, layers), wanted) == []


@pytest.mark.parametrize("variant, of", [("Telemetry", None), ("TelemetryByDoor", "by door"), ("TelemetryChosen", "every setting")])
def test_the_construct_gives_a_function_the_layer_the_variables_and_one_permission(variant, of):
    wanted = {key: TELEMETRY[key] for key in ("layer", "layers", "environment", "may")} | TELEMETRY.get(of, {})
    assert differences(of_construct(variant), wanted) == []


def test_the_outputs_that_the_page_names_exist():
    gateway, layer = templates.sam_outputs(), cloudformation.outputs(templates.sam_template({}, templates.EXTENSION_TEMPLATE))
    assert {**gateway, **layer}.items() >= OUTPUTS.items()


def test_the_code_on_the_page_uses_props_of_the_construct():
    code = re.search(r"### With CDK\n.*?```ts\n(.*?)```", PAGE, re.S)[1]
    props = (ROOT / "infra/cdk/src/props.ts").read_text().partition("export interface TelemetryProps {")[2].partition("\n}")[0]
    given = re.findall(r"(\w+): ", code)
    assert given and set(given) <= set(re.findall(r"readonly (\w+)\?:", props))
    assert "public addTelemetry(" in (ROOT / "infra/cdk/src/gateway.ts").read_text()


# As soon as the extension of this repository has settings.
if (ROOT / "src/config/extension.rs").exists():
    def test_the_construct_sets_every_variable_that_the_extension_reads():
        source = (ROOT / "src/config/extension.rs").read_text()
        read = set(re.findall(r'pub const ENV_\w+: &str = "([A-Z_]+)";', source))
        set_by_it = set().union(*(part["environment"] for part in (TELEMETRY, TELEMETRY["by door"], TELEMETRY["every setting"])))
        assert read == set_by_it
        seconds, = re.findall(r'ENV_DISPATCH_MAX_AGE, max_age\)\.unwrap_or\(Duration::from_secs\((\d+)\)\)', source)
        import cost_of_extension
        assert int(seconds) == cost_of_extension.DISPATCH_SECONDS


# --- the packaged extension -------------------------------------------------------------------------------------------

@pytest.fixture
def environment(tmp_path):
    """Starts an environment with the packaged extension, whose records are dispatched at once."""
    program = unpacked(ARCH, tmp_path, "extension")
    running = []

    def start(**settings):
        running.append(Environment(binary=program, DISPATCH_MIN_BATCH_SIZE="1", **settings))
        return running[-1]

    yield start
    for one in running:
        one.close()


def test_the_permission_is_for_the_only_call_that_the_extension_makes(environment, sqs):
    queue = sqs.queue()
    with SqsFront(sqs) as front:
        one = environment(PUSH_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=front.url)
        for status in ("success", "error", "timeout"):
            one.invoke(status=status)
        assert one.shut_down() < 2
        assert {(f"sqs:{call.action}", call.request["QueueUrl"]) for call in front.calls} == {("sqs:SendMessage", queue.url)}
    assert list(TELEMETRY["may"]) == ["sqs:SendMessage"]


def test_by_the_door_the_permission_is_for_the_only_secret_that_the_extension_reads(environment):
    secret, = TELEMETRY["by door"]["may"]["secretsmanager:GetSecretValue"]
    with Accepting() as door, Secrets() as secrets:
        one = environment(GATEWAY=door.url, AUTH_SECRET=secret, AWS_ENDPOINT_URL_SECRETS_MANAGER=secrets.url)
        one.invoke()
        assert one.shut_down() < 2
        assert {(request.header("X-Amz-Target"), json.loads(request.body)["SecretId"]) for request in secrets.requests} == \
            {("secretsmanager.GetSecretValue", secret)}
        for request in secrets.requests:
            assert faults(request, {ACCESS_KEY: SECRET_KEY}, None, "secretsmanager", session_token=SESSION_TOKEN) == []
        assert {request.method for request in door.requests} >= {"DELETE"}
        assert all(request.header("Authorization").startswith("Basic ") for request in door.requests)


@pytest.mark.parametrize("tool", ["SAM", "CDK"])
def test_the_invocations_of_all_environments_are_one_series_in_prometheus(tool, environment, sqs, prometheus, dynamodb, tmp_path):
    """From the packaged extension through queue, function, table and tick of the templates."""
    resources = templates.sam({"State": "on"}) if tool == "SAM" else templates.cdk("Telemetry")
    name = f"checkout-{tool}"
    with LocalGateway(resources, sqs, prometheus, tmp_path, dynamodb=dynamodb) as gateway:
        for invocations in (3, 2):
            one = environment(PUSH_QUEUE_URL=gateway.queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint, AWS_LAMBDA_FUNCTION_NAME=name)
            for _ in range(invocations):
                one.invoke()
            assert one.shut_down() < 2
        gateway.run()
        with gateway.start_tick() as tick:
            assert gateway.tick(tick, now_ms())["errored"] == 0
        assert gateway.dead_letters() == []
    assert prometheus.value(f'lambda_invocations_total{{function_name="{name}"}}') == 5
    assert prometheus.value(f'lambda_cold_starts_total{{function_name="{name}"}}') == 2
    assert prometheus.value(f'histogram_count(lambda_duration_seconds{{function_name="{name}"}})') == 5


# --- the layer --------------------------------------------------------------------------------------------------------

def test_cfn_lint_finds_nothing_in_the_templates_of_the_layer_and_of_the_page(on_the_page):
    run(templates.infra_tool("cfn-lint"), "--include-checks", "W", "I", "--", str(templates.EXTENSION_TEMPLATE))
    run(templates.infra_tool("cfn-lint"), "--", str(on_the_page))


def test_versions_of_the_layer_stay_because_functions_of_other_stacks_use_them():
    layer = layer_of_sam()["ExtensionLayer"]
    assert (layer["DeletionPolicy"], layer["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("parameters, principal", [
    ({}, None), ({"OrganizationId": "o-a1b2c3d4e5"}, {"Principal": "*", "OrganizationId": "o-a1b2c3d4e5", "Action": "lambda:GetLayerVersion"})])
def test_only_the_accounts_of_an_organisation_may_use_the_layer_and_only_if_it_is_named(parameters, principal):
    shared = [one["Properties"] for one in layer_of_sam(parameters).values() if one["Type"] == "AWS::Lambda::LayerVersionPermission"]
    assert [{key: one[key] for key in principal} for one in shared] == ([principal] if principal else [])


def test_rejects_an_organisation_that_is_none():
    with pytest.raises(cloudformation.InvalidParameters, match="an id such as o-a1b2c3d4e5"):
        layer_of_sam({"OrganizationId": "*"})


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_sam_build_accepts_the_packaged_layer(arch, tmp_path):
    run(templates.infra_tool("sam"), "build", "--template", "extension.yaml", "--region", "eu-west-1", "--build-dir", str(tmp_path / "build"),
        "--cache-dir", str(tmp_path / "cache"), "--parameter-overrides", f"Architecture={arch}", cwd=ROOT / "infra/sam")
    built, program = tmp_path / "build/ExtensionLayer", "extensions/amp-push-extension"
    assert sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()) == \
        ["amp-push-extension/THIRD-PARTY-NOTICES", program]
    assert (built / program).read_bytes() == (LAMBDA / arch / program).read_bytes()
    assert (built / program).stat().st_mode & 0o777 == 0o755


# --- the page ---------------------------------------------------------------------------------------------------------

def test_the_page_has_a_line_for_every_alert():
    rules = yaml.safe_load((ROOT / "infra/prometheus/functions.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert set(re.findall(r"^\| `([A-Z]\w+)` \| ", PAGE.partition("## Dashboard and rules")[2].partition("\n## ")[0], re.M)) == alerts


def test_the_page_shows_the_costs_that_are_computed():
    assert cost.written(PAGE, cost.EXTENSION_TABLES) == PAGE, "run: python3 tests/infra/cost.py --write"


def test_the_telemetry_of_a_function_costs_less_than_lambda_insights():
    import cost_of_extension
    for a_second, environments in [(1 / 60, 1), (1, 1), (100, 30), (1_000, 200)]:
        assert sum(cost_of_extension.month(a_second, environments).values()) < cost_of_extension.insights(a_second) / 2
