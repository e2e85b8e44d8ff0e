"""Checks the templates with the tools of AWS (sam validate, cfn-lint, sam build), and tests their rules and parameters. No test
here has credentials or uses a network."""
import itertools
import json
import re
import subprocess

import pytest

import cloudformation
import templates
from package import ARCHITECTURES, LAMBDA
from deployment import VARIANTS, expected
from support.components import ROOT, tool
from support.http_server import HttpServer
from support.runtime_api import exit_of

REGION = ["--region", "eu-west-1"]
WORKSPACE = "arn:aws:aps:eu-west-1:123456789012:workspace/ws-12345678-abcd-1234-abcd-123456789012"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:push-AbCdEf"
TIMEOUTS, WINDOWS = (30, 60, 120), (0, 5, 10, 20, 30, 60, 120, 300)

#: Findings of cfn-lint in CDK's template that stay: code -> why.
ACCEPTED = {"W3005": "CDK names dependencies that a reference implies already; one too many does no harm"}


def run(*command, cwd=ROOT):
    """Runs a command that must succeed. Returns its output."""
    ended = subprocess.run(command, cwd=cwd, env=templates.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ended.returncode == 0, f"{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
    return ended.stdout + ended.stderr


# --- SAM's own tools and cfn-lint ------------------------------------------------------------------------------------

def test_sam_validates_its_template():
    assert "is a valid SAM Template" in run(templates.infra_tool("sam"), "validate", "--lint", "--template",
                                            str(templates.SAM_TEMPLATE), *REGION)


def test_cfn_lint_finds_nothing_in_the_sam_template():
    run(templates.infra_tool("cfn-lint"), "--include-checks", "W", "I", "--", str(templates.SAM_TEMPLATE))


def test_cfn_lint_finds_nothing_in_the_transformed_sam_template(tmp_path):
    lint_each(tmp_path, [templates.sam_template(variant["sam"]) for variant in VARIANTS.values()])


def test_cfn_lint_finds_nothing_in_the_constructs_templates(tmp_path):
    lint_each(tmp_path, [templates.cdk_templates()[variant["cdk"]] for variant in VARIANTS.values()], "--ignore-checks", *ACCEPTED)


def lint_each(folder, all_of_them, *options):
    """Lints templates in one process. Most parameters leave SAM's template as it is, and then it is linted once."""
    files = []
    for text in {json.dumps(one, sort_keys=True) for one in all_of_them}:
        files.append(folder / f"{len(files)}.json")
        files[-1].write_text(text)
    run(templates.infra_tool("cfn-lint"), *options, "--", *map(str, files))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_sam_build_accepts_the_packaged_function(arch, tmp_path):
    run(templates.infra_tool("sam"), "build", *REGION, "--build-dir", str(tmp_path / "build"), "--cache-dir", str(tmp_path / "cache"),
        "--parameter-overrides", f"Architecture={arch}", cwd=ROOT / "infra/sam")
    for function in ("Function", "TickFunction"):
        folder = tmp_path / "build" / function
        assert sorted(path.name for path in folder.iterdir()) == ["THIRD-PARTY-NOTICES", "bootstrap"]
        assert (folder / "bootstrap").read_bytes() == (LAMBDA / arch / "bootstrap").read_bytes()
        assert (folder / "bootstrap").stat().st_mode & 0o777 == 0o755


# --- parameters ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("parameters, sentence", [
    ({"QueueType": "fifo", "IotTarget": "queue", "IotTopicFilter": "events/+"}, "AWS IoT cannot send to a FIFO queue"),
    ({"IotTarget": "queue"}, "IotTarget needs to know which messages"),
    ({"IotTarget": "function", "IotTopicFilter": "a", "IotSql": "SELECT * FROM 'a'"}, "IotSql has its own FROM"),
    ({"WorkspaceArn": WORKSPACE, "OutOfOrderWindow": "60"}, "OutOfOrderWindow is set only on a workspace that this stack makes"),
    ({"WorkspaceArn": "ws-12345678-abcd-1234-abcd-123456789012"}, "the ARN of a workspace"),
    ({"BatchWindow": 301}, "BatchWindow=301"),
    ({"FunctionTimeout": 31}, "FunctionTimeout=31"),
    ({"MaximumConcurrency": 1}, "MaximumConcurrency=1"),
    ({"IotTarget": "queue", "IotTopicFilter": "it's/+"}, "an MQTT topic filter"),
    ({"AlarmTopicArn": "on-call"}, "the ARN of a standard SNS topic"),
    ({"SenderTopics": "readings"}, "ARNs such as arn:aws:sns"),
    ({"SenderRules": "arn:aws:sns:eu-west-1:123456789012:readings"}, "ARNs such as arn:aws:events"),
    ({"SenderPrincipals": "*"}, "account ids or ARNs"),
    ({"SenderPrincipals": "123456789012, 210987654321"}, "account ids or ARNs"),
    ({"ReservedConcurrency": "0"}, "a whole number from 1"),
    ({"HttpDoor": "load-balancer"}, "HttpDoor=load-balancer"),
    ({"HttpAuth": "iam"}, "have no effect without a door"),
    ({"HttpSecretArn": SECRET}, "have no effect without a door"),
    ({"HttpPathPrefix": "/a"}, "have no effect without a door"),
    ({"HttpRead": "on"}, "have no effect without a door"),
    ({"OtlpPromoteAttributes": "cloud.region"}, "no effect without a"),
    ({"OtlpScopeLabels": "on"}, "no effect without a"),
    ({"HttpDoor": "function-url", "OtlpPromoteAttributes": "cloud.region, a"}, "names of the form"),
    ({"State": "on", "HttpAdmin": "on"}, "have no effect without a door"),
    ({"HttpDoor": "function-url", "HttpAdmin": "on"}, "effect without state"),
    *(({name: value}, "effect without state") for name, value in [
        ("StateTableName", "restored"), ("StateShards", 2), ("GroupTtl", "15m"), ("SeriesTtl", "0s"), ("MaxSeries", 1),
        ("SummaryWindow", "5m"), ("TickMemory", 512), ("TickConcurrency", "")]),
    ({"State": "on", "StateTableName": "arn:aws:dynamodb:eu-west-1:123456789012:table/restored"}, "the name of a table"),
    ({"State": "on", "StateShards": 17}, "StateShards=17"),
    ({"State": "on", "SeriesTtl": ""}, "a whole number and a unit"),
    ({"State": "on", "SummaryWindow": "0s"}, "from 1s to 24h"),
    ({"State": "on", "TickConcurrency": "0"}, "a whole number from 1 to 99"),
    ({"MaxSampleAge": "59s"}, "whole seconds from 60s to 21600s"),
    ({"MaxSampleAge": "21601s"}, "whole seconds from 60s to 21600s"),
    ({"MaxSampleAge": "1h"}, "whole seconds from 60s to 21600s"),
    ({"HttpDoor": "function-url", "HttpAuth": "none"}, "HttpAuth=none"),
    ({"HttpDoor": "function-url", "HttpAuth": "iam", "HttpSecretArn": SECRET}, "HttpSecretArn has no effect with HttpAuth=iam"),
    ({"HttpDoor": "function-url", "HttpSecretArn": "push"}, "the whole ARN of a secret"),
    ({"HttpDoor": "function-url", "HttpSecretArn": SECRET[:-7]}, "the whole ARN of a secret"),
    ({"HttpDoor": "function-url", "HttpPathPrefix": "prometheus"}, "a path such as /prometheus"),
    ({"HttpDoor": "function-url", "HttpPathPrefix": "/prometheus/"}, "a path such as /prometheus"),
    ({"HttpDoor": "http-api", "HttpRateLimit": 0}, "HttpRateLimit=0"),
    ({"HttpDoor": "http-api", "HttpBurstLimit": 10001}, "HttpBurstLimit=10001"),
    ({"ExternalLabels": "env=prod,team=water,env=test"}, "no name twice"),
    ({"ExternalLabels": ",".join(f"a{number}=x" for number in range(150))}, "at most 149"),
])
def test_rejects_parameters_that_cannot_work_before_deployment(parameters, sentence):
    with pytest.raises(cloudformation.InvalidParameters, match=re.escape(sentence)):
        templates.sam(parameters)


@pytest.mark.parametrize("labels", ["a=b,ab=c,b=a", "a=a=1,b=a=1", "a=b,c=a", "_1=x,_2=y", "a=" + "x" * 2048, "a=" + "é" * 512,
                                    ",".join(f"a{number}=x" for number in range(149))])
def test_accepts_external_labels_that_only_resemble_wrong_ones(labels):
    variables = cloudformation.resolve(templates.sam_template({}), {"ExternalLabels": labels}, templates.KNOWN)
    assert variables["Function"]["Properties"]["Environment"]["Variables"]["EXTERNAL_LABELS"] == labels


def test_allows_fifo_with_an_iot_rule_to_the_function():
    assert "IotPermission" in templates.sam({"QueueType": "fifo", "IotTarget": "function", "IotTopicFilter": "events/+"})


@pytest.mark.parametrize("parameters, size", [
    ({}, 50),
    ({"BatchSize": 10000}, 10000),
    ({"BatchWindow": 0}, 10),
    ({"BatchWindow": 0, "BatchSize": 7}, 7),
    ({"QueueType": "fifo"}, 10),
    ({"QueueType": "fifo", "BatchSize": 3}, 3),
    ({"QueueType": "fifo", "BatchSize": 11}, 10),
])
def test_limits_a_batch_to_ten_messages_if_lambda_takes_no_more(parameters, size):
    assert int(templates.sam(parameters)["EventSourceMapping"]["Properties"]["BatchSize"]) == size


@pytest.mark.parametrize("queue", ["standard", "fifo"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_message_is_hidden_long_enough_and_the_number_of_deliveries_is_the_same_everywhere(timeout, window, queue):
    template = templates.sam_template({})  # other properties depend on the timeout too, and have their own tests
    made = cloudformation.resolve(template, {"FunctionTimeout": timeout, "BatchWindow": window, "QueueType": queue}, templates.KNOWN)
    properties = made["Queue"]["Properties"]
    visibility, deliveries = properties["VisibilityTimeout"], properties["RedrivePolicy"]["maxReceiveCount"]
    assert visibility == 6 * timeout + (window if queue == "standard" else 0)
    # A deployment with another timeout or window must not lower it for messages that wait in an outage.
    assert deliveries == expected("standard")["queues"]["Queue"]["RedrivePolicy"]["maxReceiveCount"] >= 25
    # AMP rejects samples older than an hour: the function gives the reason before SQS moves the message without one.
    assert deliveries * visibility >= 75 * 60
    assert made["NearTimeout"]["Properties"]["Threshold"] == timeout * 1000 * 80 // 100


@pytest.mark.parametrize("age, event_age", [("", 3600), ("60s", 60), ("999s", 999), ("3600s", 3600), ("21599s", 21599), ("21600s", 21600)])
def test_lambda_keeps_asynchronous_events_as_long_as_the_function_takes_their_samples(age, event_age):
    made = cloudformation.resolve(templates.sam_template({}), {"MaxSampleAge": age}, templates.KNOWN)
    assert int(made["EventInvokeConfig"]["Properties"]["MaximumEventAgeInSeconds"]) == event_age


def test_the_mappings_have_every_timeout_and_window_that_can_be_chosen():
    template = templates.sam_template({})
    for parameter, values in (("FunctionTimeout", TIMEOUTS), ("BatchWindow", WINDOWS)):
        assert tuple(map(int, template["Parameters"][parameter]["AllowedValues"])) == values


# --- the defaults ------------------------------------------------------------------------------------------------------

def test_a_deployment_without_parameters_has_neither_a_door_nor_state():
    made = sorted(one["Type"].removeprefix("AWS::") for one in templates.sam().values())
    assert made == sorted([
        "APS::Workspace", "IAM::Role", "Lambda::Function", "Lambda::EventInvokeConfig", "Lambda::EventSourceMapping", "Logs::LogGroup",
        *["SQS::Queue", "SQS::QueuePolicy"] * 3, *["CloudWatch::Alarm"] * 13])
    variables = templates.sam()["Function"]["Properties"]["Environment"]["Variables"]
    assert not [name for name in variables if name.startswith(("HTTP", "STATE")) or name in SETTINGS_OF_STATE]


# --- the outputs of a deployment --------------------------------------------------------------------------------------

def test_the_outputs_name_the_resources():
    told = templates.sam_outputs({"Dashboard": "true"})
    assert told.pop("OutOfOrderWindowCommand")
    assert told == {
        "QueueUrl": "Queue", "QueueArn": "Queue.Arn", "DeadLetterQueueUrl": "DeadLetterQueue", "FailureQueueUrl": "FailureQueue",
        "FunctionArn": "Function.Arn", "FunctionName": "Function", "WorkspaceId": "ws-made", "WorkspaceArn": "Workspace.Arn",
        "RemoteWriteUrl": expected("standard")["environment"]["REMOTE_WRITE_URL"],
        "DashboardUrl": "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards:name=Overview",
    }


@pytest.mark.parametrize("parameters, table", [
    ({"State": "on"}, ("StateTable", "TickFunction")),
    ({"State": "on", "StateTableName": "restored"}, ("restored", "TickFunction")),
    ({}, (None, None)),
])
def test_the_outputs_name_the_table_and_the_function_of_the_tick(parameters, table):
    told = templates.sam_outputs(parameters)
    assert (told.get("StateTableName"), told.get("TickFunctionName")) == table


@pytest.mark.parametrize("parameters, url, secret", [
    ({"HttpDoor": "function-url"}, "https://abc123.lambda-url.eu-west-1.on.aws", templates.KNOWN["HttpSecret"]),
    ({"HttpDoor": "http-api", "HttpSecretArn": SECRET}, "https://abc123.execute-api.eu-west-1.amazonaws.com", SECRET),
    ({"HttpDoor": "http-api", "HttpAuth": "iam"}, "https://abc123.execute-api.eu-west-1.amazonaws.com", None),
    ({}, None, None),
])
def test_the_outputs_name_the_url_of_the_door_without_a_slash_at_its_end(parameters, url, secret):
    told = templates.sam_outputs(parameters)
    assert (told.get("HttpUrl"), told.get("HttpSecretArn")) == (url, secret)


class Amp(HttpServer):
    """A server that keeps the command line's requests to AMP."""

    def __init__(self):
        self.asked = []
        super().__init__()

    def respond(self, request):
        body = json.loads(request.body)
        body.pop("clientToken")
        self.asked.append((request.method, request.path, body))
        return 202, {"Content-Type": "application/json"}, b'{"status": {"statusCode": "UPDATING"}}'


@pytest.mark.parametrize("parameters, region, workspace", [
    ({}, "eu-west-1", "ws-made"),
    ({"WorkspaceArn": WORKSPACE.replace("eu-west-1", "us-east-2")}, "us-east-2", WORKSPACE.partition("/")[2]),
])
def test_aws_cli_accepts_the_command_for_the_out_of_order_window(parameters, region, workspace):
    program, *arguments = templates.sam_outputs(parameters)["OutOfOrderWindowCommand"].split()
    assert program == "aws" and arguments[arguments.index("--region") + 1] == region
    with Amp() as amp:
        ended = subprocess.run([tool("aws"), "--endpoint-url", amp.url, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, env={**templates.environment(), "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    assert ended.returncode == 0, ended.stderr
    assert amp.asked == [("PATCH", f"/workspaces/{workspace}/configuration", {"outOfOrderTimeWindowInSeconds": 300})]


# --- settings --------------------------------------------------------------------------------------------------------

#: Settings of `ingest` that no template has a parameter for: name -> why.
NOT_OFFERED = {
    "AWS_PROMETHEUS_ENDPOINT": "the ancestor's name for REMOTE_WRITE_URL",
    "REMOTE_WRITE_AUTH": "only sigv4 makes sense in AWS",
    "REMOTE_WRITE_VERSION": "AMP takes only 1.0",
    "HTTP_DEADLINE": "the default suits the shortest timeout of a client",
    "READ_URL": "follows from the workspace",
}
#: The settings of the state.
SETTINGS_OF_STATE = {"STATE_TABLE", "STATE_SHARDS", "GROUP_TTL", "SERIES_TTL", "MAX_SERIES", "SUMMARY_WINDOW"}


def test_sets_the_variables_that_ingest_reads():
    known = set(NOT_OFFERED).union(*(expected(variant)["environment"] for variant in VARIANTS))
    read = set(re.findall(r"\b([A-Z][A-Z0-9_]+)=!", exit_of({name: "!" for name in known}).text)) | {"SIGV4_REGION"}
    assert known == read | {"AWS_PROMETHEUS_ENDPOINT"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_ingest_starts_with_the_variables_of_each_variant(variant):
    for resources, function in itertools.product((templates.sam(VARIANTS[variant]["sam"]), templates.cdk(VARIANTS[variant]["cdk"])),
                                                 ("Function", "TickFunction")):
        if function not in resources:
            continue
        variables = dict(resources[function]["Properties"]["Environment"]["Variables"])
        variables["DEAD_LETTER_QUEUE_URL"] = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{variables['DEAD_LETTER_QUEUE_URL']}"
        ended = exit_of(variables)
        assert ended.asked_for_work, ended.text
        # A function without a door says that nobody can use one.
        said = [line for line in ended.text.splitlines() if "HTTP_AUTH" in variables or "HTTP door: it is closed" not in line]
        assert said == []


@pytest.mark.parametrize("parameter, variable, value", [
    (parameter, variable, value) for parameter, variable, values in [
        ("ExternalLabels", "EXTERNAL_LABELS", [
            "", "env=prod", "env=prod,team=water", "_a=1", "a=b=c", "a= b ", "a=é", "a=b,ab=c,b=a", "a=a=1,b=a=1", "a=" + "x" * 2048,
            "env=", "=x", "a=b,", "a b=c", "__a=b", "_=x", "__=x", "a-b=c", "1a=b", "é=x",
            "a=1,a=2", "a=1,b=2,a=1", "b=1,a=2,a=3", "a=" + "x" * 2049, "a=" + "é" * 1025, "a" * 1025 + "=x"]),
        ("MaxSampleAge", "MAX_SAMPLE_AGE", [
            "", "60s", "90s", "3600s", "2h", "500ms", "3d", "30m", "1", "1.5h", "1h30m", "-1h", "1 h", "1w", "h", "1H"]),
        ("MaxSampleLead", "MAX_SAMPLE_LEAD", ["", "90s", "0s", "500ms", "1", "1.5h", "1h30m", "1 h", "1w"]),
        ("LateSamples", "LATE_SAMPLES", ["dead-letter", "drop", "Drop", "keep"]),
        ("Metrics", "METRICS", ["alarms", "all", "All", "none"]),
        ("LogLevel", "RUST_LOG", ["off", "error", "warn", "info", "debug", "trace", "INFO", "loud"]),
        ("HttpAuth", "HTTP_AUTH", ["secret", "iam", "none", "IAM", "basic"]),
        ("HttpSecretArn", "HTTP_AUTH_SECRET", ["", SECRET, SECRET.replace("push", "a/b_c+d=e.f@g"), SECRET + "\u00e9", "push", WORKSPACE]),
        ("HttpPathPrefix", "HTTP_PATH_PREFIX", [
            "", "/a", "/a/b", "/a-b_c.d~e/1", "a", "/", "//", "/a/", "//a", "/a//b", "/a b", "/a%20b", "/\u00e9", "/a?b", "/.", "/..", "/a/../b"]),
        ("HttpRead", "HTTP_READ", ["off", "on", "On", "true"]),
        ("HttpAdmin", "HTTP_ADMIN", ["off", "on", "On", "true"]),
        ("OtlpPromoteAttributes", "OTLP_PROMOTE_ATTRIBUTES", [
            "", "cloud.region", "a,b", "k8s.pod.name,service/x,a-b,A_1", "a" * 255, ".", "_", "__a", "1a", "a,", ",a", "a, b", "é", "a,_,b", "a" * 2000]),
        ("OtlpScopeLabels", "OTLP_SCOPE_LABELS", ["off", "on", "On", "true"]),
        ("StateTableName", "STATE_TABLE", ["", "ab", "abc", "a_b-C.9", "a" * 255, "a" * 256, "a/b", "\u00e9\u00e9\u00e9",
                                           "arn:aws:dynamodb:eu-west-1:123456789012:table/restored"]),
        ("StateShards", "STATE_SHARDS", ["1", "16", "0", "17"]),
        *((parameter, variable, ["0", "0s", "500ms", "90s", "999999999s", "9999999m", "99999h", "9999d", "99999d", "999999999d", "1", "-1s",
                                 "1w", "1 h", ""]) for parameter, variable in [("GroupTtl", "GROUP_TTL"), ("SeriesTtl", "SERIES_TTL")]),
        ("MaxSeries", "MAX_SERIES", ["1", "100000", "1000000", "1000001", "0"]),
        ("SummaryWindow", "SUMMARY_WINDOW", ["1s", "59s", "9999s", "79999s", "86399s", "86400s", "86401s", "1m", "999m", "1399m", "1440m", "1441m",
                                             "1h", "24h", "25h", "0s", "500ms", "1d", ""]),
    ] for value in values])
def test_the_template_rejects_values_that_the_function_would_reject(parameter, variable, value):
    """The reverse need not hold: the function accepts forms that the template rejects."""
    url = f"https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/{WORKSPACE.partition('/')[2]}/api/v1/remote_write"
    starts = exit_of({"REMOTE_WRITE_URL": url, variable: value}).asked_for_work
    try:
        needed = {"HttpDoor": "function-url"} if parameter.startswith(("Http", "Otlp")) else {}
        needed |= {"State": "on"} if variable in SETTINGS_OF_STATE | {"HTTP_ADMIN"} else {}
        cloudformation.resolve(templates.sam_template({}), {**needed, parameter: value}, templates.KNOWN)
        taken = True
    except cloudformation.InvalidParameters:
        taken = False
    assert starts or not taken
