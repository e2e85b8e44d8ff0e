"""The roles of the function and of the tick allow the calls that they make, and nothing else.

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

#: Actions that a function itself never calls: who does, and the AWS page that says so.
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
#: Lambda has no destination for failed invocations of the tick.
OF_LAMBDA_FOR_THE_TICK = {"logs:CreateLogStream": ["TickLogGroup.Arn"], "logs:PutLogEvents": ["TickLogGroup.Arn"]}
#: Segments that Lambda sends if tracing is on: https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
OF_TRACING = {"xray:PutTraceSegments": ["*"], "xray:PutTelemetryRecords": ["*"]}

#: The ARN of the workspace that a template makes.
MADE = "arn:aws:aps:eu-west-1:123456789012:workspace/ws-made"
IOT = {"queue": ["FailureQueue.Arn", "Queue.Arn"], "function": ["FailureQueue.Arn"]}

#: The other variants have the same roles.
WITH_STATE = ("state", "state with an HTTP door", "state with an HTTP door, an existing table, and every parameter changed")
DEPLOYED = [(tool, variant) for tool in ("SAM", "CDK")
            for variant in ("standard", "fifo", "an existing workspace, of another account and region", "traced",
                            "an HTTP door by a function URL, for signed requests", "an HTTP door by an HTTP API, with an existing secret",
                            *WITH_STATE)]

COUNTER = {"type": "counter", "name": "orders_total", "value": 1, "labels": {"shop": "north"}}
#: The authorizer of a request that AWS has checked.
SIGNED = {"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:role/sender"}}}
#: The same series with another type: the tick dead-letters it.
CONFLICT = {**COUNTER, "type": "gauge"}


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
    queue fails once. If there is an HTTP door, it takes a request of each kind. With state typed metrics come each way, too.
    """
    if gateway.tables:
        commit(gateway)
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
        if gateway.tables:
            assert function.invoke(batch(record([COUNTER, good[0]], group=group), record(COUNTER, group=group))).failures == []
            assert function.invoke(COUNTER).ok
        if "HTTP_AUTH" in gateway.function["Environment"]["Variables"]:
            through_the_door(gateway, function)
        return function.api.address
    finally:
        function.close()


def commit(gateway):
    """Lets a tick commit a state, so that there is something to read."""
    with gateway.start(LD_PRELOAD=None) as function, gateway.start_tick(LD_PRELOAD=None) as tick:
        assert function.invoke([COUNTER]).ok
        assert gateway.tick(tick, now_ms())["series"] == 1
    forget(gateway)


def through_the_door(gateway, function):
    """Sends a request of each kind to the HTTP door, with credentials and without."""
    variables = gateway.function["Environment"]["Variables"]
    prefix, reads = variables.get("HTTP_PATH_PREFIX", ""), variables.get("HTTP_READ") == "on"
    if variables["HTTP_AUTH"] == "iam":
        allowed, refused = SIGNED, 403
        headers = []
    else:
        allowed, refused = {}, 401
        headers = [("Authorization", "Basic " + base64.b64encode(b"push:secret").decode())]
    written = remote_write.snappy_block_encode(remote_write.encode([([("__name__", "through_the_door")], [(now_ms(), remote_write.bits(1.0))])]))
    table = [("PUT", "/metrics/job/a", b"through_the_door 1\n", [("Content-Type", "text/plain")], 202),
             ("POST", "/api/v1/write", written, [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")], 204),
             ("POST", "/api/v1/read", remote_read.request((now_ms() - 60_000, now_ms(), [(remote_read.EQUAL, "__name__", "a")])),
              list(remote_read.HEADERS.items()), 200 if reads else 404),
             ("POST", "/metrics/job/a", b"through_the_door 2\n", [("Content-Type", "text/plain")], 202),
             ("GET", "/", b"", [], 200), ("GET", "/api/v1/metrics", b"", [], 200),
             ("GET", "/metrics", b"", [], 200 if gateway.tables else 404),
             ("DELETE", "/metrics/job/a", b"", [], 202)]
    if gateway.tables:
        of_json = [("Content-Type", "application/json")]
        table += [("POST", "/events", json.dumps(COUNTER).encode(), of_json, 200), ("POST", "/v1/metrics", delta(), of_json, 200)]
    if variables.get("HTTP_ADMIN") == "on":
        item = {"pk": {"S": "g#0"}, "sk": {"S": "damaged"}, "v": {"N": "1"}, "b": {"B": b"\x01damaged"}}
        gateway.tables.table.client.put_item(TableName=gateway.tables.table.name, Item=item)
        table += [("PUT", "/metrics/job/b", b"through_the_door 3\n", [("Content-Type", "text/plain")], 202),
                  ("PUT", "/api/v1/admin/wipe", b"", [], 202)]
    for method, path, body, more, status in table:
        answer = call(function, method, prefix + path, body, [*headers, *more], **allowed)
        assert answer.status == status, (path, answer.text)
        assert call(function, method, prefix + path, body, more).status == refused, path


def delta():
    """Returns a request of OTLP with an increment."""
    point = {"asInt": "1", "startTimeUnixNano": str((now_ms() - 1_000) * 1_000_000), "timeUnixNano": str(now_ms() * 1_000_000)}
    metric = {"name": "increments", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [point]}}
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def every_tick(gateway):
    """Runs ticks that do all that a tick ever does with AWS.

    They count, commit, write, retry, and dead-letter an event that conflicts. They delete an empty group, and the answer to that is
    lost. A gateway without a door may have groups, too, because it can have had a door before.
    """
    pusher, tick = gateway.start(HTTP_AUTH="iam", LD_PRELOAD=None), gateway.start_tick()
    lost = []

    def lose(request):
        if request.header("X-Amz-Target").endswith(".DeleteItem") and not lost:
            lost.append(request)
        return lost[-1:] == [request]

    try:
        assert pusher.invoke([COUNTER]).ok
        assert call(pusher, "PUT", "/metrics/job/gone", b"ends 1\n", **SIGNED).status == 202
        answers = [(503, {}, b""), (403, {}, b"")]
        gateway.workspace.outage = lambda: answers.pop(0) if answers else None
        numbers = gateway.tick(tick, now_ms())
        assert (numbers["errored"], numbers["failed_shards"], answers) == (0, 0, []) and numbers["increments"] >= 1, numbers
        assert call(pusher, "DELETE", "/metrics/job/gone", **SIGNED).status == 202
        assert pusher.invoke([CONFLICT]).ok
        forget(gateway)  # the calls of the pusher, and those of the first tick, which the second makes again
        gateway.tables.lose = lose
        numbers = gateway.tick(tick, now_ms())
        assert (numbers["type_conflicts"], numbers["dead_lettered"], numbers["owed"], len(lost)) == (1, 1, 0, 1), numbers
        return tick.api.address
    finally:
        pusher.close()
        tick.close()


def forget(gateway):
    """Forgets the captured calls."""
    for captured in (gateway.workspace.requests, gateway.secrets.requests, gateway.sqs_front.calls, gateway.tables.requests):
        captured.clear()


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
    for one in gateway.sqs_front.calls:
        found.setdefault(IAM_ACTION[one.action], set()).add(f"{names[one.request['QueueUrl']]}.Arn")
    for request in gateway.tables.requests if gateway.tables else []:
        if request.method == "GET":
            continue  # the function opens its connection
        assert faults(request, {ACCESS_KEY: SECRET_KEY}, None, "dynamodb", session_token=SESSION_TOKEN) == []
        version, action = request.header("X-Amz-Target").split(".")
        assert version == "DynamoDB_20120810"
        asked = json.loads(request.body)
        assert asked["TableName"] == gateway.tables.table.name
        found.setdefault(f"dynamodb:{action}", set()).add(f"{arn_of_table(gateway)} with {leading_key(action, asked)}")
    return {action: sorted(resources) for action, resources in found.items()}


def arn_of_table(gateway):
    name = gateway.function["Environment"]["Variables"]["STATE_TABLE"]
    return f"{name}.Arn" if name in gateway.resources else f"arn:aws:dynamodb:eu-west-1:123456789012:table/{name}"


def leading_key(action, asked):
    """Returns the partition key of a call, with `*` for the number of the shard: IAM calls it dynamodb:LeadingKeys."""
    if action == "Query":
        assert re.match(r"pk = :p( AND|$)", asked["KeyConditionExpression"]), asked
        key = asked["ExpressionAttributeValues"][":p"]["S"]
    else:
        key = asked["Item" if action == "PutItem" else "Key"]["pk"]["S"]
    return re.fullmatch(r"([a-z]#)\d+", key)[1] + "*"


def as_called(arn):
    """Returns the region and id of a workspace, as a call names it: in its signature and in its path."""
    match = re.fullmatch(r"arn:aws:aps:([a-z0-9-]+):[0-9]{12}:workspace/([a-zA-Z0-9-]+)", MADE if arn == "Workspace.Arn" else arn)
    return " ".join(match.groups()) if match else arn


def allowed_to(resources, role):
    """Returns what a role may do, with workspaces as calls name them."""
    allowed = may(resources, role)
    for action in ACTION_OF_AMP.values():
        if action in allowed:
            allowed[action] = [as_called(arn) for arn in allowed[action]]
    return allowed


def needed_for(called, variant, of_lambda):
    """Returns what a role must allow: the calls of its function, and those that Lambda makes with the role."""
    needed = {action: set(on) for action, on in called.items()}
    for others in (of_lambda, OF_TRACING if VARIANTS[variant]["sam"].get("Tracing") == "true" else {}):
        for action, on in others.items():
            needed.setdefault(action, set()).update(on)
    return {action: sorted(on) for action, on in needed.items()}


def captured(tool, variant, run, sqs, prometheus, dynamodb, folder, library):
    """Deploys a variant on this machine, and returns its resources and the calls that are captured while `run` runs. A function may connect
    only to AWS and to the Runtime API, whose address `run` returns."""
    resources = resources_of(tool, variant)
    noted = folder / "connections"
    with LocalGateway(resources, sqs, prometheus, folder, environment={"LD_PRELOAD": library, "CONNECTIONS": noted},
                      dynamodb=dynamodb) as gateway:
        runtime_api = run(gateway)
        called = calls(gateway)
        known = {runtime_api, gateway.workspace.address, gateway.sqs_front.address}
        known |= {gateway.secrets.address} if gateway.secrets.requests else set()
        known |= {gateway.tables.address} if gateway.tables else set()
    connected = set(noted.read_text().splitlines())
    assert connected == known, "it connects to, or looks up, an address that is none of the Runtime API, the workspace, SQS and the table"
    return resources, called


@pytest.mark.parametrize("tool, variant", DEPLOYED)
def test_the_role_allows_exactly_the_calls_that_are_made(tool, variant, sqs, prometheus, dynamodb, tmp_path, noting_connections):
    resources, called = captured(tool, variant, everything, sqs, prometheus, dynamodb, tmp_path, noting_connections)
    assert needed_for(called, variant, OF_LAMBDA) == allowed_to(resources, role_of_function(resources))


@pytest.mark.parametrize("tool", ["SAM", "CDK"])
@pytest.mark.parametrize("variant", WITH_STATE)
def test_the_role_of_the_tick_allows_exactly_the_calls_that_are_made(tool, variant, sqs, prometheus, dynamodb, tmp_path, noting_connections):
    resources, called = captured(tool, variant, every_tick, sqs, prometheus, dynamodb, tmp_path, noting_connections)
    role = resources["TickFunction"]["Properties"]["Role"].removesuffix(".Arn")
    assert needed_for(called, variant, OF_LAMBDA_FOR_THE_TICK) == allowed_to(resources, role)


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
