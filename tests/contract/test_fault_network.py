"""The fault matrix, second half: connections that die, receivers that hang, come late or restart, and time that runs out.

The function always answers in time, and reports every event truly.
"""
import threading
import time

import pytest

from support import proxy
from support.events import event
from support.faults import HANGS, fine_messages
from support.sqs import record


# --- hanging ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", HANGS)
def test_answers_in_time_if_the_receiver_hangs_for_ever(stand, name):
    records = fine_messages()
    stand.proxy.fault_with(lambda exchange: HANGS[name].make())
    result = stand.deliver(*records, deadline_s=1.5)
    assert sorted(result.failures) == ["m-0", "m-1"]
    assert result.metrics["errored"] == 2
    assert stand.tsdb.count() == (2 if HANGS[name].stored else 0)
    stand.proxy.fault_with(None)
    assert stand.deliver_again(records, result).failures == []
    assert stand.tsdb.count() == 2
    assert stand.letters() == {}


@pytest.mark.parametrize("name", HANGS)
def test_loses_no_event_if_the_receiver_hangs_once(stand, name):
    # The rest of the time may be too short for a second try. A message that is acknowledged must be stored.
    records = fine_messages()
    stand.proxy.faults(HANGS[name].make())
    result = stand.deliver(*records, deadline_s=3.0)
    assert set(result.failures) in (set(), {"m-0", "m-1"})
    assert result.failures or stand.tsdb.count() == 2
    assert stand.letters() == {}


@pytest.mark.parametrize("fault", [proxy.drip(0.004), proxy.late(0.7)], ids=str)
def test_accepts_a_slow_answer_that_comes_in_time(stand, fault):
    stand.proxy.faults(fault)
    result = stand.deliver(*fine_messages(), deadline_s=5.0)
    assert result.failures == []
    assert (len(stand.proxy.exchanges), result.metrics["retries"]) == (1, 0)


# --- connections -----------------------------------------------------------------------------------------------------

def test_returns_events_while_connections_are_refused_and_stores_them_afterwards(stand):
    records = fine_messages()
    stand.proxy.down()
    result = stand.deliver(*records, deadline_s=2.0)
    assert sorted(result.failures) == ["m-0", "m-1"]
    assert result.metrics["retries"] >= 1
    stand.proxy.up()
    assert stand.deliver_again(records, result).failures == []
    assert stand.tsdb.count() == 2


def test_delivers_to_a_receiver_that_comes_up_during_the_invocation(stand):
    stand.proxy.down()
    threading.Timer(0.5, stand.proxy.up).start()
    result = stand.deliver(*fine_messages(), deadline_s=10.0)
    assert result.failures == []
    assert stand.tsdb.count() == 2


@pytest.mark.parametrize("times", [1, 2])
def test_reconnects_if_a_new_connection_is_reset(stand, times):
    stand.proxy.cut_idle()
    stand.proxy.cut_connections(times)
    assert stand.deliver(*fine_messages()).failures == []
    assert stand.tsdb.count() == 2


def restarted(stand):
    stand.proxy.down()
    stand.proxy.up()


def silently_dead(how):
    """A connection that looks alive until the next request on it."""
    def happen(stand):
        stand.proxy.fault_with(lambda exchange: how() if exchange.reused else None)
    return happen


STALE = {
    "started again": restarted,
    "hung up": lambda stand: stand.proxy.cut_idle(),
    "reset on the next request": silently_dead(proxy.reset_before_body),
    "closed on the next request": silently_dead(lambda: proxy.raw(b"", "silence")),
}


@pytest.mark.parametrize("how", STALE)
def test_reconnects_at_once_if_the_connection_died_between_two_invocations(stand, how):
    # The function was frozen in between. The try on the dead connection may count as a retry or not.
    assert stand.deliver(record(event({"ph": 1}), "m-1")).failures == []
    assert len(stand.proxy.exchanges) == 1
    pauses = []
    for number in range(2, 5):
        before = len(stand.proxy.exchanges)
        STALE[how](stand)
        result = stand.deliver(record(event({f"ph{number}": 2}), f"m-{number}"), deadline_s=5.0)
        assert result.failures == []
        assert result.metrics["delivered"] == 1
        assert stand.tsdb.count() == number
        assert len(stand.proxy.exchanges) <= before + 2
        assert result.metrics["retries"] <= 1
        if len(stand.proxy.exchanges) == before + 2:
            pauses.append(stand.pauses()[-1])
        assert result.seconds < 0.5
    # A wait would take at least 50 ms each time; a busy machine is late now and then.
    assert min(pauses, default=0) < 0.05, "the retry on a new connection comes at once"


def test_reconnects_at_once_if_the_receiver_restarted_before_the_first_invocation(stand):
    restarted(stand)
    result = stand.deliver(*fine_messages())
    assert result.failures == []
    assert result.seconds < 0.5


def test_loses_nothing_if_every_connection_dies_after_one_request(stand):
    STALE["reset on the next request"](stand)
    for number in range(6):
        assert stand.deliver(record(event({f"ph{number}": 1}), f"m-{number}")).failures == []
    assert stand.tsdb.count() == 6


# --- time ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("deadline", [0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("fault", [None, proxy.late(0.25), proxy.hang(), proxy.hang(stored=True), proxy.answer(503)], ids=str)
def test_answers_in_time_and_truly_with_little_time(stand, fault, deadline):
    stand.proxy.fault_with(lambda exchange: fault)
    records = fine_messages()
    # Without time for a request the function answers at once. A busy machine may see that answer late.
    result = stand.deliver(*records, deadline_s=deadline, margin_s=0 if deadline > 0.3 else -0.3)
    line = result.metrics
    assert line["delivered"] + line["errored"] == 2
    acknowledged = {"m-0", "m-1"} - set(result.failures)
    stored = {f"m-{dict(labels)['pond']}" for labels in stand.tsdb.series}
    assert acknowledged <= stored
    if fault is None and deadline >= 1.0:
        assert acknowledged == {"m-0", "m-1"}
    stand.proxy.fault_with(None)
    assert stand.deliver_again(records, result).failures == []
    assert stand.tsdb.count() == 2


def test_ends_retries_when_time_runs_out(stand):
    stand.proxy.fault_with(lambda exchange: proxy.answer(503, wait=0.3))
    result = stand.deliver(*fine_messages(), deadline_s=1.5)
    assert sorted(result.failures) == ["m-0", "m-1"]
    before = len(stand.proxy.exchanges)
    time.sleep(0.6)  # no request may be in flight after the answer
    assert len(stand.proxy.exchanges) == before


def test_works_after_an_invocation_that_ran_out_of_time(stand):
    stand.proxy.faults(proxy.hang(stored=True))
    records = fine_messages()
    first = stand.deliver(*records, deadline_s=0.8)
    second = stand.deliver(record(event({"other": 1}), "m-9"))
    assert second.failures == []
    assert second.metrics["received"] == 1
    again = stand.deliver_again(records, first)
    assert again.failures == []
    assert stand.tsdb.count() == 3
