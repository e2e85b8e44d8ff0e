"""The rulings of the state, with the real function as ingest and as tick, a table, a dead-letter queue and `pushgw`."""
import pytest

from support import proxy
from support.events import now_ms
from support.proxy import FaultProxy
from support.receiver import Receiver
from support.remote_write import double
from support.sqs import event as batch
from support.sqs import record

#: The bits of a stale marker.
STALE = 0x7FF0000000000002


class TickReceiver(Receiver):
    """A receiver that takes metadata and stale markers."""

    def __init__(self):
        super().__init__(takes_metadata=True)

    def check(self):
        assert [fault for fault in self.faults if f"NaN as {STALE:#x}" not in fault] == []

    def last(self, name):
        """Returns the last value of each series of a metric, by its labels."""
        found = {}
        for (metric, labels), samples in self.samples().items():
            if metric == name:
                bits = samples[-1][1]
                found[labels] = "stale" if bits == STALE else double(bits)
        return found


@pytest.fixture
def receiver():
    with TickReceiver() as one:
        yield one
        one.check()


@pytest.fixture
def state(dynamodb, table):
    """The environment of whatever uses the table."""
    return {"STATE_TABLE": table.name, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint}


@pytest.fixture
def function(start, state, sqs, dead_letters):
    return start(**state, DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)


def tick(function, after_ms=0, **more):
    summary = function.invoke({"tick": now_ms() + after_ms, **more}).json
    assert summary["failed_shards"] == 0, summary
    return summary


def typed(metric_type, value, name="m", **more):
    return {"type": metric_type, "name": name, "value": value, **more}


def test_the_later_gauge_of_a_message_wins_also_if_the_message_is_cut_and_a_put_is_repeated(start, dynamodb, table, receiver):
    """A message of more than 350 KB is cut into items. The first and the last event of it set the same gauge."""
    padding = [typed("gauge", i, "padding", labels={"n": f"{i}{'x' * 900}"}) for i in range(1_000)]
    with FaultProxy(dynamodb.endpoint.partition("://")[2]) as state:
        function = start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=state.remote_write_url(""))
        for name, faults in ("a", []), ("b", [proxy.answer(500, "{}")]), ("c", [proxy.reset_in_body(), proxy.answer(500, "{}", stored=True)]):
            message = [typed("gauge", 1, name), *padding, typed("gauge", 2, name)]
            before = len(table.items("j#0"))
            state.faults(*faults)
            assert function.invoke(batch(record(message, name))).failures == []
            assert len(table.items("j#0")) > before + 1, "the message was not cut"
        tick(function)
    assert [receiver.last(name) for name in "abc"] == [{(): 2.0}] * 3
