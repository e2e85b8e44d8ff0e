"""The role of the function allows the calls that it makes, and nothing else.

The tests capture every AWS call of `ingest` and hold it against the statements of both templates.
"""
import base64
import json
import re
import subprocess

import pytest

import templates
from deployment import VARIANTS, may, role_of_function
from local_gateway import LocalGateway
from support import remote_read, remote_write
from support.components import MissingComponent
from support.events import BROKEN_TEXT, event, now_ms
from support.function_url import call
from support.runtime_api import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN
from support.sigv4 import _AUTHORIZATION, faults
from support.sqs import broken, record
from support.sqs import event as batch

#: The IAM action of each call of SQS.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
IAM_ACTION = {"SendMessage": "sqs:SendMessage", "SendMessageBatch": "sqs:SendMessage"}

#: The IAM action of each path of a workspace: https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference.html
ACTION_OF_AMP = {"api/v1/remote_write": "aps:RemoteWrite", "api/v1/query": "aps:QueryMetrics"}

#: Actions that the function itself never calls: who does, and the AWS page that says so.
OF_LAMBDA = {
    # The pollers of the event source mapping: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    "sqs:ReceiveMessage": ["Queue.Arn"],
    "sqs:DeleteMessage": ["Queue.Arn"],
    "sqs:GetQueueAttributes": ["Queue.Arn"],
    # Failed asynchronous invocations: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    "sqs:SendMessage": ["FailureQueue.Arn"],
    # Lambda writes the function's output to its log: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
    "logs:CreateLogStream": ["LogGroup.Arn"],
    "logs:PutLogEvents": ["LogGroup.Arn"],
}
#: Segments that Lambda sends if tracing is on: https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
OF_TRACING = {"xray:PutTraceSegments": ["*"], "xray:PutTelemetryRecords": ["*"]}

#: The ARN of the workspace that a template makes.
MADE = "arn:aws:aps:eu-west-1:123456789012:workspace/ws-made"
IOT = {"queue": ["FailureQueue.Arn", "Queue.Arn"], "function": ["FailureQueue.Arn"]}

#: The other variants have the same role of the function.
DEPLOYED = [(tool, variant) for tool in ("SAM", "CDK")
            for variant in ("standard", "fifo", "an existing workspace, of another account and region", "traced",
                            "an HTTP door by a function URL, for signed requests", "an HTTP door by an HTTP API, with an existing secret")]


def resources_of(tool, variant):
    return templates.sam(VARIANTS[variant]["sam"]) if tool == "SAM" else templates.cdk(VARIANTS[variant]["cdk"])


@pytest.fixture(scope="session")
def noting_connections(tmp_path_factory):
    """Builds a library that records the addresses to which a process connects."""
    library = tmp_path_factory.mktemp("connections") / "connections.so"
    source = templates.ROOT / "tests/infra/connections.c"
    built = subprocess.run(["cc", "-shared", "-fPIC", "-O", "-o", library, source, "-ldl"], capture_output=True, text=True)
    if built.returncode != 0:
        raise MissingComponent(f"connections.c does not build (apt-get install gcc libc6-dev): {built.stderr}")
    return library


def everything(gateway):
    """Runs invocations in which `ingest` does all that it ever does with AWS.

    It writes, retries, reloads credentials, bisects, and dead-letters one message, many and large ones, of both triggers. The
    queue fails once. If there is an HTTP door, it takes a push, remote write and remote read.
    """
    answers = []
    gateway.workspace.outage = lambda: answers.pop(0) if answers else None
    function, now = gateway.start(), now_ms()
    good = [event({"m": number}, {"device": f"d{number}"}, now) for number in range(20)]
    group = "g" if gateway.queue.fifo else None
    try:
        for upset in ([], [(503, {}, b"")], [(403, {}, b"")], [(400, {}, b"out of bounds")] * 3, [(429, {"Retry-After": "0"}, b"")]):
            answers[:] = upset
            assert function.invoke(batch(*[record(one, group=group) for one in good])).ok
        large = '{"metrics": {"ph": "' + "x" * 600_000 + '"}}'
        for bodies in ([BROKEN_TEXT], [BROKEN_TEXT] * 25, [large] * 2):
            result = function.invoke(batch(*[record(body, group=group) for body in bodies]))
            assert result.failures == [], result
        assert function.invoke([good[0], {"metrics": {"ph": "abc"}}]).json["rejected_count"] == 1
        assert function.invoke(good[0]).ok
        failing = [broken()]
        gateway.sqs_front._hook = lambda call: failing.pop() if failing else None
        assert function.invoke(batch(record(BROKEN_TEXT, group=group))).failures == []
        assert failing == []
        if "HTTP_AUTH" in gateway.function["Environment"]["Variables"]:
            through_the_door(function, gateway.function["Environment"]["Variables"])
        return function.api.address
    finally:
        function.close()


def through_the_door(function, variables):
    """Sends a request of each kind to the HTTP door, with credentials and without."""
    prefix, reads = variables.get("HTTP_PATH_PREFIX", ""), variables.get("HTTP_READ") == "on"
    if variables["HTTP_AUTH"] == "iam":
        allowed, refused = {"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:role/sender"}}}, 403
        headers = []
    else:
        allowed, refused = {}, 401
        headers = [("Authorization", "Basic " + base64.b64encode(b"push:secret").decode())]
    written = remote_write.snappy_block_encode(remote_write.encode([([("__name__", "through_the_door")], [(now_ms(), remote_write.bits(1.0))])]))
    table = [("PUT", "/metrics/job/a", b"through_the_door 1\n", [("Content-Type", "text/plain")], 202),
             ("POST", "/api/v1/write", written, [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")], 204),
             ("POST", "/api/v1/read", remote_read.request((now_ms() - 60_000, now_ms(), [(remote_read.EQUAL, "__name__", "a")])),
              list(remote_read.HEADERS.items()), 200 if reads else 404)]
    for method, path, body, more, status in table:
        assert call(function, method, prefix + path, body, [*headers, *more], **allowed).status == status, path
        assert call(function, method, prefix + path, body, more).status == refused, path


def calls(gateway):
    """Returns the captured calls as IAM names them: action -> resources."""
    found = {}
    for request in gateway.workspace.requests:
        if (request.method, request.path, request.header("Authorization")) == ("GET", "/", None):
            continue  # the function opens its connection with this GET, which calls no API
        assert request.method == "POST" and request.path.startswith("/workspaces/"), request.path
        assert faults(request, {ACCESS_KEY: SECRET_KEY}, None, session_token=SESSION_TOKEN) == []
        region = _AUTHORIZATION.fullmatch(request.header("Authorization")).group(3)
        workspace, path = request.path.removeprefix("/workspaces/").split("/", 1)
        found.setdefault(ACTION_OF_AMP[path], set()).add(f"{region} {workspace}")
    for request in gateway.secrets.requests:
        assert request.header("X-Amz-Target") == "secretsmanager.GetSecretValue"
        assert faults(request, {ACCESS_KEY: SECRET_KEY}, None, "secretsmanager", session_token=SESSION_TOKEN) == []
        found.setdefault("secretsmanager:GetSecretValue", set()).add(json.loads(request.body)["SecretId"])
    names = {queue.url: name for name, queue in gateway.queues.items()}
    for call in gateway.sqs_front.calls:
        found.setdefault(IAM_ACTION[call.action], set()).add(f"{names[call.request['QueueUrl']]}.Arn")
    return {action: sorted(resources) for action, resources in found.items()}


def as_called(arn):
    """Returns the region and id of a workspace, as a call names it: in its signature and in its path."""
    match = re.fullmatch(r"arn:aws:aps:([a-z0-9-]+):[0-9]{12}:workspace/([a-zA-Z0-9-]+)", MADE if arn == "Workspace.Arn" else arn)
    return " ".join(match.groups()) if match else arn


@pytest.mark.parametrize("tool, variant", DEPLOYED)
def test_the_role_allows_exactly_the_calls_that_are_made(tool, variant, sqs, prometheus, tmp_path, noting_connections):
    resources = resources_of(tool, variant)
    noted = tmp_path / "connections"
    with LocalGateway(resources, sqs, prometheus, tmp_path,
                 environment={"LD_PRELOAD": noting_connections, "CONNECTIONS": noted}) as gateway:
        runtime_api = everything(gateway)
        called = calls(gateway)
        known = {runtime_api, gateway.workspace.address, gateway.sqs_front.address}
        if gateway.secrets.requests:
            known.add(gateway.secrets.address)

    connected = set(noted.read_text().splitlines())
    assert connected == known, "it connects to, or looks up, an address that is not the Runtime API, the workspace or SQS"

    allowed = may(resources, role_of_function(resources))
    for action in ACTION_OF_AMP.values():
        if action in allowed:
            allowed[action] = [as_called(arn) for arn in allowed[action]]
    needed = {action: set(on) for action, on in called.items()}
    for others in (OF_LAMBDA, OF_TRACING if VARIANTS[variant]["sam"].get("Tracing") == "true" else {}):
        for action, on in others.items():
            needed.setdefault(action, set()).update(on)
    assert {action: sorted(on) for action, on in needed.items()} == allowed


@pytest.mark.parametrize("tool", ["SAM", "CDK"])
@pytest.mark.parametrize("target", IOT)
def test_the_role_of_the_iot_rule_allows_exactly_the_targets_of_its_actions(tool, target):
    resources = resources_of(tool, f"AWS IoT to the {target}")
    rule, = (one["Properties"]["TopicRulePayload"] for one in resources.values() if one["Type"] == "AWS::IoT::TopicRule")
    actions = [*rule["Actions"], rule["ErrorAction"]]
    roles = {action["Sqs"]["RoleArn"].removesuffix(".Arn") for action in actions if "Sqs" in action}
    sends_to = sorted(f"{action['Sqs']['QueueUrl']}.Arn" for action in actions if "Sqs" in action)
    role, = roles
    assert may(resources, role) == {"sqs:SendMessage": sends_to}
    assert sends_to == IOT[target]
