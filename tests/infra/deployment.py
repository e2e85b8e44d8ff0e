"""Describes the deployment of a template in the form of deployment.yaml, and compares the two."""
import copy
import json
import re
from pathlib import Path

import yaml

TABLE = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
VARIANTS = TABLE["variants"]

_QUEUE = ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit", "SqsManagedSseEnabled",
          "KmsMasterKeyId", "MessageRetentionPeriod", "VisibilityTimeout", "DelaySeconds", "MaximumMessageSize",
          "ReceiveMessageWaitTimeSeconds", "RedrivePolicy", "QueueName")
_PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}


def expected(variant):
    """Returns what the table expects of a variant."""
    whole = copy.deepcopy(TABLE["gateway"])
    for path, value in VARIANTS[variant]["differs"].items():
        *way, last = path.split(".", path.count(".") if not path.startswith("may.") else 1)
        inner = whole
        for key in way:
            inner = inner[key]
        inner[last] = value
    return whole


def described(resources):
    """Describes resources in the same form. They come from `cloudformation.resolve`."""
    return _Reader(resources).whole()


def differences(found, wanted):
    """Returns a sentence for each value of `found` that is not as in `wanted`."""
    found, wanted = _flat(found), _flat(wanted)
    return [f"{path} is {found.get(path, 'absent')}, expected {wanted.get(path, 'nothing')}"
            for path in sorted(found.keys() | wanted.keys()) if found.get(path) != wanted.get(path)]


def statements(resources, role):
    """Returns every statement of a role, in its own policies and in those that name it."""
    found = [one for policy in resources[role]["Properties"].get("Policies", []) for one in policy["PolicyDocument"]["Statement"]]
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Policy" and role in resource["Properties"]["Roles"]:
            found += resource["Properties"]["PolicyDocument"]["Statement"]
    return found


def may(resources, role):
    """Returns the permissions of a role: action -> resources. A resource may be limited to keys of a table: `StateTable.Arn with j#*`.
    Fails if the role has anything but such permissions."""
    properties = resources[role]["Properties"]
    assert not properties.get("ManagedPolicyArns"), f"{role} has managed policies"
    assert not properties.get("PermissionsBoundary") and not properties.get("RoleName")
    allowed = {}
    for one in statements(resources, role):
        assert one["Effect"] == "Allow" and set(one) <= {"Sid", "Effect", "Action", "Resource", "Condition"}, one
        on = _list(one["Resource"])
        if "Condition" in one:
            (operator, keys), = one["Condition"].items()
            assert operator == "ForAllValues:StringLike" and set(keys) == {"dynamodb:LeadingKeys"}, one
            on = [f"{resource} with {key}" for resource in on for key in _list(keys["dynamodb:LeadingKeys"])]
        for action in _list(one["Action"]):
            allowed[action] = sorted(set(allowed.get(action, []) + on))
    return allowed


def role_of_function(resources):
    """Returns the name of the function's role."""
    return resources["Function"]["Properties"]["Role"].removesuffix(".Arn")


class _Reader:
    def __init__(self, resources):
        self.resources = resources

    def of(self, kind):
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}

    def only(self, kind, tick=False):
        """Returns the one resource of a type, among those of the tick or the others."""
        found = [one for name, one in self.of(kind).items() if name.startswith("Tick") == tick]
        assert len(found) == 1, f"{len(found)} of {kind}, not 1"
        return found[0]

    def whole(self):
        role = role_of_function(self.resources)
        function = self.only("AWS::Lambda::Function")["Properties"]
        alarms = self.of("AWS::CloudWatch::Alarm")
        return {
            "function": _function(function),
            "environment": _environment(function),
            "may": may(self.resources, role),
            "trusts": self.trusts(role),
            "queues": {name: self.queue(name) for name in self.of("AWS::SQS::Queue")},
            "event source mapping": _of_function(self.only("AWS::Lambda::EventSourceMapping")["Properties"]),
            "asynchronous invocations": _of_function(self.only("AWS::Lambda::EventInvokeConfig")["Properties"]),
            "log group": _log_group(self.only("AWS::Logs::LogGroup")),
            "workspace": self.workspace(),
            "alarms": {name: _alarm(one["Properties"]) for name, one in alarms.items()},
            "topics of alarms": sorted({topic for one in alarms.values() for kind in ("AlarmActions", "OKActions")
                                   for topic in one["Properties"].get(kind, [])}),
            "dashboards": len(self.of("AWS::CloudWatch::Dashboard")),
            "iot": self.iot(),
            "door": self.door(),
            "state": self.state(),
        }

    def trusts(self, role):
        trusted = []
        for one in self.resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            assert (one["Effect"], one["Action"], list(one["Principal"])) == ("Allow", "sts:AssumeRole", ["Service"])
            trusted.append(one["Principal"]["Service"] + _where(one))
        return trusted

    def queue(self, name):
        resource = self.resources[name]
        # RedriveAllowPolicy could only name the source, which names this queue.
        assert set(resource["Properties"]) <= {*_QUEUE, "Tags"}, set(resource["Properties"]) - set(_QUEUE)
        policy, = (one for one in self.of("AWS::SQS::QueuePolicy").values() if name in one["Properties"]["Queues"])
        said = {"Deny": [], "Allow": []}
        for one in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert _list(one["Resource"]) == [f"{name}.Arn"], one
            who = "everyone" if one["Principal"] in ("*", {"AWS": "*"}) else _principal(one["Principal"])
            how = " by plain HTTP" if one.get("Condition") == _PLAIN_HTTP else _where(one)
            said[one["Effect"]] += [f"{action} to {who}{how}" for action in _list(one["Action"])]
        return {**{key: resource["Properties"].get(key) for key in _QUEUE}, **_policies(resource), "Policy": _policies(policy),
                "Denies": said["Deny"], "Allows": sorted(said["Allow"])}

    def workspace(self):
        if not self.of("AWS::APS::Workspace"):
            return None
        workspace = self.only("AWS::APS::Workspace")
        window = workspace["Properties"].get("WorkspaceConfiguration", {}).get("OutOfOrderTimeWindowInSeconds")
        return {"DeletionPolicy": workspace["DeletionPolicy"], "UpdateReplacePolicy": workspace["UpdateReplacePolicy"],
                "OutOfOrderTimeWindowInSeconds": window and int(window)}

    def iot(self):
        permissions = [one for one in self.of("AWS::Lambda::Permission").values() if one["Properties"]["Principal"] == "iot.amazonaws.com"]
        if not self.of("AWS::IoT::TopicRule"):
            assert not permissions
            return None
        rule = self.only("AWS::IoT::TopicRule")["Properties"]["TopicRulePayload"]
        roles = set()

        def action(one):
            (kind, given), = one.items()
            given = dict(given)
            roles.add(given.pop("RoleArn", None))
            return f"{kind} {json.dumps(given, sort_keys=True)}"

        actions, error_action = [action(one) for one in rule["Actions"]], action(rule["ErrorAction"])
        role, = (name.removesuffix(".Arn") for name in roles - {None})
        assert len(permissions) <= 1
        return {"Sql": rule["Sql"], "AwsIotSqlVersion": rule["AwsIotSqlVersion"], "RuleDisabled": rule["RuleDisabled"],
                "Actions": actions, "ErrorAction": error_action, "may": may(self.resources, role), "trusts": self.trusts(role),
                "permission": _of_function(permissions[0]["Properties"]) if permissions else None}

    def door(self):
        """Describes every resource of the HTTP door. None if there is not one."""
        secrets, urls = self.of("AWS::SecretsManager::Secret"), self.of("AWS::Lambda::Url")
        apis = {name: one for name, one in self.resources.items() if one["Type"].startswith("AWS::ApiGateway")}
        permissions = [dict(one["Properties"]) for one in self.of("AWS::Lambda::Permission").values()
                       if one["Properties"]["Principal"] != "iot.amazonaws.com"]
        if not (secrets or urls or apis or permissions):
            return None
        for one in secrets.values():
            assert set(one["Properties"]) == {"Description", "GenerateSecretString"}
        return {
            "secrets": {name: {**one["Properties"]["GenerateSecretString"], **_policies(one)} for name, one in secrets.items()},
            "url": self.only("AWS::Lambda::Url")["Properties"] if urls else None,
            "api": {one["Type"].removeprefix("AWS::ApiGatewayV2::"): one["Properties"] for one in apis.values()} or None,
            "permissions": sorted(
                f"{one.pop('Action')} on {one.pop('FunctionName').removesuffix('.Arn')} to {one.pop('Principal')}"
                f" where {json.dumps(one, sort_keys=True)}" for one in permissions),
        }

    def state(self):
        """Describes the table, the tick and its schedule. None if there is no state."""
        tables, schedules = self.of("AWS::DynamoDB::Table"), self.of("AWS::Scheduler::Schedule")
        if not (tables or schedules):
            assert not [name for name in self.resources if name.startswith("Tick")]
            return None
        tick, schedule = self.only("AWS::Lambda::Function", tick=True)["Properties"], self.only("AWS::Scheduler::Schedule", tick=True)
        assert tick["Code"] == self.resources["Function"]["Properties"]["Code"]
        role = tick["Role"].removesuffix(".Arn")
        function = self.resources["Function"]
        refers = [*function.get("DependsOn", []), *(tag.get("Value") for tag in function["Properties"].get("Tags", []))]
        assert "TickFunction" in refers, "an update must change the tick first"
        target = dict(schedule["Properties"]["Target"])
        invoker = target.pop("RoleArn").removesuffix(".Arn")
        return {
            "table": {**tables["StateTable"]["Properties"], **_policies(tables["StateTable"])} if tables else None,
            "tick": {**_function(tick), "environment": _environment(tick), "may": may(self.resources, role), "trusts": self.trusts(role),
                     "log group": _log_group(self.only("AWS::Logs::LogGroup", tick=True))},
            "asynchronous invocations": _of_function(self.only("AWS::Lambda::EventInvokeConfig", tick=True)["Properties"]),
            "schedule": {**schedule["Properties"], "Target": target, "Description": None, "may": may(self.resources, invoker),
                         "trusts": self.trusts(invoker)},
        }


def _function(function):
    return {**{name: function.get(name) for name in ("Runtime", "Handler", "Architectures", "ReservedConcurrentExecutions")},
            "MemorySize": int(function["MemorySize"]), "Timeout": int(function["Timeout"]),
            "LogFormat": function["LoggingConfig"]["LogFormat"], "LogGroup": function["LoggingConfig"]["LogGroup"],
            "Traced": function.get("TracingConfig", {}).get("Mode") == "Active"}


def _environment(function):
    return {name: value for name, value in function["Environment"]["Variables"].items() if value != ""}


def _log_group(log_group):
    return {"RetentionInDays": log_group["Properties"]["RetentionInDays"], "DeletionPolicy": log_group["DeletionPolicy"]}


#: How an alarm compares, in words.
_COMPARES = {"GreaterThanOrEqualToThreshold": "at least", "LessThanThreshold": "less than"}


def _alarm(alarm):
    compares = _COMPARES[alarm["ComparisonOperator"]]
    # No data is in order, unless few are not.
    assert alarm["TreatMissingData"] == {"at least": "notBreaching", "less than": "breaching"}[compares]
    assert alarm.get("AlarmActions") == alarm.get("OKActions")
    metric = alarm
    if "Metrics" in alarm:
        metrics = [one for one in alarm["Metrics"] if "MetricStat" in one]
        expression, = (one for one in alarm["Metrics"] if "Expression" in one)
        assert expression.get("ReturnData", True) and not any(one["ReturnData"] for one in metrics)
        name = expression["Expression"]
        for one in metrics:
            name = re.sub(rf"\b{one['Id']}\b", one["MetricStat"]["Metric"]["MetricName"], name)
        stat, = {json.dumps({**one["MetricStat"], "Metric": {**one["MetricStat"]["Metric"], "MetricName": name}}, sort_keys=True)
                 for one in metrics}
        stat = json.loads(stat)
        metric = {**stat["Metric"], "Statistic": stat["Stat"], "Period": stat["Period"]}
    (dimension,) = metric["Dimensions"]
    periods = alarm["EvaluationPeriods"]
    return (f"{metric['Namespace']} {metric['MetricName']} of {dimension['Value']}, {metric['Statistic']} of {metric['Period']} s"
            f" {compares} {alarm['Threshold']} in {alarm.get('DatapointsToAlarm', periods)} of {periods}")


def _policies(resource):
    return {name: resource.get(name) for name in ("DeletionPolicy", "UpdateReplacePolicy")}


def _principal(principal):
    (kind, who), = principal.items()
    # CDK writes an account as the ARN of its root, which means the same.
    return " ".join([kind, *(re.sub(r"^arn:aws:iam::(\d{12}):root$", r"\1", one) for one in _list(who))])


def _of_function(properties):
    """Returns the properties with the name of the function, which may be given as its ARN."""
    return {**properties, "FunctionName": properties["FunctionName"].removesuffix(".Arn")}


def _where(statement):
    if "Condition" not in statement:
        return ""
    condition = {operator: {key: _list(value) if operator == "ArnEquals" else value for key, value in keys.items()}
                 for operator, keys in statement["Condition"].items()}
    return f" where {json.dumps(condition, sort_keys=True)}"


def _list(value):
    return value if isinstance(value, list) else [value]


def _flat(value, path=""):
    """Returns path -> text for each value. To CloudFormation "30" is 30; null and empty values are absent."""
    if isinstance(value, dict):
        return {deeper: one for key, inner in value.items() for deeper, one in _flat(inner, f"{path}.{key}".lstrip(".")).items()}
    return {} if value in (None, []) else {path: str(value)}
