"""Credentials that are missing, wrong, expired or rotated: the gateway loses and rejects no event because of them."""
import pytest

from support.events import BROKEN_TEXT, event
from support.faults import Credentials, Stand
from support.receiver import Answer, Receiver
from support.sqs import record

FIRST = ("ASIAFIRSTKEY", "first/secret+key", "first//token==")
SECOND = ("ASIASECONDKEY", "second/secret+key", "second//token==")
DENIED = '{"Message":"The security token included in the request is expired"}'


@pytest.fixture
def endpoint():
    with Credentials(FIRST) as one:
        yield one


@pytest.fixture
def gate():
    """A receiver that knows both pairs of credentials. It accepts the access keys in `gate.allowed`."""
    receiver = Receiver(access_key=FIRST[0], secret_key=FIRST[1], session_token=FIRST[2])
    receiver.know(*SECOND)
    receiver.allowed = {FIRST[0]}
    return receiver


@pytest.fixture
def stand(sqs, endpoint, gate):
    with Stand(sqs, receiver=gate, credentials=False, AWS_EC2_METADATA_DISABLED="true",
               AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint.url + "/credentials") as one:
        gate.answer_with(lambda write: one.tsdb.judge(write) if write.access_key in gate.allowed else Answer(403, DENIED))
        yield one


def keys(gate):
    return [write.access_key for write in gate.writes]


def test_loads_rotated_credentials_within_the_invocation(stand, endpoint, gate):
    assert stand.deliver(record(event({"a": 1}), "m-1")).failures == []
    endpoint.now, gate.allowed = SECOND, {SECOND[0]}
    result = stand.deliver(record(event({"b": 1}), "m-2"))
    assert result.failures == []
    assert keys(gate) == [FIRST[0], FIRST[0], SECOND[0]]
    assert (result.metrics["requests"], result.metrics["retries"]) == (2, 1)
    assert stand.deliver(record(event({"c": 1}), "m-3")).metrics["requests"] == 1
    assert stand.tsdb.count() == 3


def test_loads_denied_credentials_again_once_and_returns_the_event(stand, endpoint, gate):
    gate.allowed = set()
    asked = endpoint.asked
    records = [record(event(), "m-1"), record(BROKEN_TEXT, "m-2")]
    result = stand.deliver(*records, deadline_s=5.0)
    assert "m-1" in result.failures
    assert len(gate.writes) == 2
    assert endpoint.asked - asked <= 4
    assert "security token included in the request is expired" in result.raw_log
    assert result.seconds < 3
    gate.allowed = {FIRST[0]}
    again = stand.deliver_again([records[0]], result)
    assert again.failures == []


def test_loads_denied_credentials_again_in_every_invocation(stand, endpoint, gate):
    gate.allowed = set()
    for number in range(2):
        assert stand.deliver(record(event(), f"m-{number}")).failures == [f"m-{number}"]
    endpoint.now, gate.allowed = SECOND, {SECOND[0]}
    assert stand.deliver(record(event(), "m-9")).failures == []


def test_survives_expired_credentials_and_takes_new_ones(stand, endpoint, gate):
    endpoint.lives, gate.allowed = -60, set()
    result = stand.deliver(record(event(), "m-1"), deadline_s=5.0)
    assert result.failures == ["m-1"]
    assert len(gate.writes) <= 2
    endpoint.now, endpoint.lives, gate.allowed = SECOND, 3600, {SECOND[0]}
    assert stand.deliver(record(event(), "m-2")).failures == []
    assert keys(gate)[-1] == SECOND[0]


def test_replaces_credentials_that_are_about_to_expire(stand, endpoint, gate):
    endpoint.lives = 2
    assert stand.deliver(record(event({"a": 1}), "m-1")).failures == []
    endpoint.now, endpoint.lives, gate.allowed = SECOND, 3600, {SECOND[0]}
    assert stand.deliver(record(event({"b": 1}), "m-2")).failures == []
    assert keys(gate)[-1] == SECOND[0]


def test_returns_everything_while_credentials_are_missing(stand, endpoint, gate):
    endpoint.now = None
    records = [record(event(), "m-1"), record(BROKEN_TEXT, "m-2")]
    result = stand.deliver(*records, deadline_s=3.0)
    assert sorted(result.failures) == ["m-1", "m-2"]  # calls of SQS need credentials too
    assert gate.writes == []
    endpoint.now = FIRST
    assert stand.deliver_again(records, result).failures == []
    assert stand.letters()["m-2"].attributes["reason"] == "invalid_value"
    assert stand.tsdb.count() == 1


def test_keeps_its_credentials_if_their_endpoint_goes_away(stand, endpoint, gate):
    assert stand.deliver(record(event({"a": 1}), "m-1")).failures == []
    endpoint.now = None
    assert stand.deliver(record(event({"b": 1}), "m-2")).failures == []
