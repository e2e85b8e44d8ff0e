"""The AWS IoT rules of examples/iot are valid for the API, and turn each sample message into exactly its payload.

No program outside of AWS runs a topic rule. `Rule` evaluates the subset of AWS IoT SQL (version 2016-03-23) that the examples use,
as the reference of AWS IoT describes it:
  - object literals, `topic(n)`, `clientid()`, `timestamp()`, `isUndefined(x)`, `isNull(x)`, dotted paths, `=`, `AND`, `OR`, parentheses;
  - a key that the payload does not have is Undefined, and an object leaves Undefined members out;
  - a whole number, such as 15.0, is an Int.
Anything else in a rule fails the test, so that nobody extends the subset by accident.
"""

import json
import re

import boto3
import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from support.components import ROOT
from support.gateway import Gateway
from support.receiver import Receiver, bits
from support.sqs import REGION, record

IOT = ROOT / "examples" / "iot"
RULES = ["lambda-rule", "sqs-rule"]
MESSAGES = sorted(path.stem for path in (IOT / "messages").glob("*.json"))

UNDEFINED = object()
TOKEN = re.compile(r"\s*(?:('[^']*')|([A-Za-z_][A-Za-z_0-9]*)|(\d+)|([{}(),:.=]))")


def without_comments(sql):
    """Returns the statement on one line. Comments stand on lines of their own."""
    lines = (line.strip() for line in sql.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("--"))


class Rule:
    """One SELECT statement, which is evaluated while it is parsed."""

    def __init__(self, sql, message):
        self.tokens = self._tokens(sql)
        self.message = message

    @staticmethod
    def _tokens(sql):
        tokens, at = [], 0
        while at < len(sql.rstrip()):
            match = TOKEN.match(sql, at)
            assert match, f"not in the subset of AWS IoT SQL that the test knows: {sql[at:]}"
            tokens.append(match.group(match.lastindex))
            at = match.end()
        return tokens

    def _next(self, expected=None):
        assert self.tokens, f"the statement ends where {expected or 'more'} is expected"
        token = self.tokens.pop(0)
        if expected is not None:
            assert token.upper() == expected, f"expected {expected}, found {token}"
        return token

    def _take(self, token):
        if self.tokens and self.tokens[0].upper() == token:
            self.tokens.pop(0)
            return True
        return False

    def payload(self):
        """Returns the payload of the actions, or None if the topic filter or WHERE excludes the message."""
        self._next("SELECT")
        selected = {}
        while True:
            value = self._value()
            self._next("AS")
            selected[self._next()] = value
            if not self._take(","):
                break
        self._next("FROM")
        wanted = topic_matches(unquoted(self._next()), self.message["topic"])
        if self._take("WHERE"):
            wanted = self._condition() and wanted
        assert not self.tokens, f"left over: {self.tokens}"
        return without_undefined(selected) if wanted else None

    def _condition(self):
        holds = self._conjunction()
        while self._take("OR"):
            holds = self._conjunction() or holds
        return holds

    def _conjunction(self):
        holds = self._comparison()
        while self._take("AND"):
            holds = self._comparison() and holds
        return holds

    def _comparison(self):
        if self._take("("):
            holds = self._condition()
            self._next(")")
            return holds
        left = self._value()
        self._next("=")
        return left == self._value()

    def _value(self):
        token = self._next()
        if token == "{":
            return self._object()
        if token.startswith("'"):
            return unquoted(token)
        if token.isdigit():
            return int(token)
        if token.lower() in ("true", "false"):
            return token.lower() == "true"
        if self._take("("):
            return self._call(token)
        return self._path(token)

    def _object(self):
        members = {}
        while not self._take("}"):
            key = unquoted(self._next())
            self._next(":")
            members[key] = self._value()
            if not self._take(","):
                self._next("}")
                break
        return members

    def _call(self, name):
        arguments = []
        while not self._take(")"):
            arguments.append(self._value())
            self._take(",")
        match name.lower(), arguments:
            case "topic", [int(segment)]:
                return self.message["topic"].split("/")[segment - 1]
            case "clientid", []:
                return self.message["clientId"]
            case "timestamp", []:
                return self.message["receivedAt"]
            case "isundefined", [value]:
                return value is UNDEFINED
            case "isnull", [value]:
                return value is None
        raise AssertionError(f"not in the subset of AWS IoT SQL that the test knows: {name}({arguments})")

    def _path(self, name):
        value = self.message["payload"].get(name, UNDEFINED)
        while self._take("."):
            key = self._next()
            value = value.get(key, UNDEFINED) if isinstance(value, dict) else UNDEFINED
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value


def unquoted(token):
    assert re.fullmatch(r"'[^']*'", token), f"expected a string, found {token}"
    return token[1:-1]


def topic_matches(topic_filter, topic):
    levels, actual = topic_filter.split("/"), topic.split("/")
    assert "#" not in levels, "the test knows no # in topic filters"
    return len(levels) == len(actual) and all(a in ("+", b) for a, b in zip(levels, actual))


def without_undefined(value):
    if isinstance(value, dict):
        return {key: without_undefined(member) for key, member in value.items() if member is not UNDEFINED}
    return value


def rule_json(rule):
    return json.loads((IOT / f"{rule}.json").read_text())


def message_json(message):
    return json.loads((IOT / "messages" / f"{message}.json").read_text())


def payload_file(rule, message):
    return IOT / "payloads" / f"{rule}.{message}.json"


# --- the rules -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds_the_commented_sql_without_its_comments(rule):
    commented = (IOT / f"{rule}.sql").read_text()
    assert "--" in commented
    sql = rule_json(rule)["sql"]
    assert sql == without_comments(commented)
    assert "--" not in sql, "AWS IoT accepts no comments"


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_is_valid_for_the_api(rule):
    shape = get_session().get_service_model("iot").operation_model("CreateTopicRule").input_shape
    report = ParamValidator().validate({"ruleName": "amp_push", "topicRulePayload": rule_json(rule)}, shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_can_be_created(sqs, rule):
    iot = boto3.client("iot", endpoint_url=sqs.endpoint, region_name=REGION, aws_access_key_id="test",
                       aws_secret_access_key="test")
    name = "amp_push_" + rule.replace("-", "_")
    iot.create_topic_rule(ruleName=name, topicRulePayload=rule_json(rule))
    created = iot.get_topic_rule(ruleName=name)["rule"]
    assert created["sql"] == rule_json(rule)["sql"]
    assert created["awsIotSqlVersion"] == "2016-03-23"
    assert created["actions"] == rule_json(rule)["actions"]


def test_one_rule_has_the_lambda_action_and_one_the_sqs_action():
    (to_function,) = rule_json("lambda-rule")["actions"]
    (to_queue,) = rule_json("sqs-rule")["actions"]
    assert list(to_function) == ["lambda"] and list(to_queue) == ["sqs"]
    assert to_queue["sqs"]["useBase64"] is False
    assert all(rule_json(rule)["errorAction"] for rule in RULES)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("message", MESSAGES)
def test_the_rule_makes_of_a_message_exactly_its_payload(rule, message):
    payload = Rule(rule_json(rule)["sql"], message_json(message)).payload()
    path = payload_file(rule, message)
    if payload is None:
        assert not path.exists()
    else:
        assert json.dumps(payload) == json.dumps(json.loads(path.read_text()))


def test_each_payload_belongs_to_a_rule_and_a_message():
    expected = {payload_file(rule, message) for rule in RULES for message in MESSAGES}
    assert set((IOT / "payloads").iterdir()) <= expected


@pytest.mark.parametrize("sql", ["SELECT * FROM 'a'", "SELECT abs(x) AS y FROM 'a'", "SELECT x AS y FROM 'a' WHERE x > 5",
                                 "SELECT x AS y FROM 'a/#'", "SELECT {'a': x AS y FROM 'a'", "SELECT x AS y FROM 'a' AND"])
def test_the_evaluator_rejects_sql_that_it_does_not_know(sql):
    with pytest.raises(AssertionError):
        Rule(sql, {"topic": "a", "clientId": "c", "receivedAt": 0, "payload": {"x": 1}}).payload()


@pytest.mark.parametrize("topic", ["sensors/c/d/air", "sensors/c/water", "sensors/c/d/water/more", "other/c/d/water"])
def test_the_rule_ignores_messages_on_other_topics(topic):
    message = {**message_json("both-readings"), "topic": topic}
    assert all(Rule(rule_json(rule)["sql"], message).payload() is None for rule in RULES)


# --- the gateway and the payloads -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def patient_gateway():
    """An `ingest` that accepts the payloads: they have the time of their messages, in 2023."""
    with Receiver() as receiver:
        one = Gateway(receiver, MAX_SAMPLE_AGE="36500d")
        yield one
        one.close()


@pytest.mark.parametrize("path", sorted((IOT / "payloads").iterdir()), ids=lambda path: path.stem)
def test_function_delivers_the_payload(patient_gateway, path):
    text = path.read_text()
    if path.name.startswith("lambda-rule"):
        sent = patient_gateway.accepted(text)
    else:
        sent = patient_gateway.sqs(record(text))
        assert sent.result.failures == []
    payload = json.loads(text)
    labels = tuple(sorted(payload["dimensions"].items()))
    assert sent.samples == {
        (name, labels): [(payload["timestamp"], bits(float(value)))]
        for name, value in payload["metrics"].items() if value is not None}
