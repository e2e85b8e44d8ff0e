"""When the extension dispatches, how long it waits for a dispatch, and how long it pauses after a failure."""
import time

import pytest

from support.dispatched import Dispatched, events
from support.http_server import HttpServer
from support.sqs import SqsFront


def _failures(environment):
    return [line for line in environment.lines("WARN") if line["message"] == "a dispatch failed"]


def test_a_dispatch_begins_with_an_invocation_and_runs_beside_the_function(start_environment, sqs, queue):
    asked = []
    with SqsFront(sqs, lambda call: asked.append(time.monotonic())) as front:
        environment = start_environment(queue, AWS_ENDPOINT_URL_SQS=front.url)
        time.sleep(0.2)
        assert asked == [], "records wait, and no invocation has come"
        for number in (1, 2):
            begun = time.monotonic()
            environment.invoke(seconds=0.3)
            assert len(asked) == number and asked[-1] - begun < 0.25, "the function had not answered"
        time.sleep(0.2)
        assert len(asked) == 2, "nothing is sent between invocations: the environment may be frozen"


def test_the_end_of_an_invocation_waits_for_a_slow_dispatch_up_to_one_second(start_environment, sqs, queue):
    slow = [0.4, 3.0]

    def hook(call):
        time.sleep(slow.pop(0) if slow else 0)

    with SqsFront(sqs, hook) as front:
        environment = start_environment(queue, AWS_ENDPOINT_URL_SQS=front.url)
        assert 0.3 < environment.invoke().extension_s < 0.9
        assert _failures(environment) == []
        took = environment.invoke()
        assert took.response_s < 0.25 and 0.9 < took.extension_s < 1.5
        (line,) = _failures(environment)
        assert line["error"] == "no answer in time"
        environment.shut_down()
    # The queue takes the message after all, and it counts once.
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 2


def test_by_default_a_dispatch_begins_with_100_records(start_environment, queue):
    environment = start_environment(queue, DISPATCH_MIN_BATCH_SIZE=None)
    # Three of the initialisation, and three of each invocation. Two of the last one come later.
    for _ in range(32):
        environment.invoke()
    assert events(queue) == []
    environment.invoke()
    sent = events(queue)
    assert sum(one["value"] for one in sent if one["name"] == "lambda_telemetry_events_total") == 100


class Refusing(HttpServer):
    """A queue that takes nothing. `asked` has the time of each request."""

    def __init__(self):
        self.asked = []
        super().__init__()

    def respond(self, request):
        self.asked.append(time.monotonic())
        return 503, {}, b""


@pytest.mark.early
def test_the_pause_after_a_failure_doubles_and_shutdown_heeds_none(start_environment):
    with Refusing() as refusing:
        environment = start_environment(f"{refusing.url}/123456789012/q", AWS_ENDPOINT_URL_SQS=refusing.url)
        end = time.monotonic() + 7.8
        while time.monotonic() < end:
            environment.invoke()
            time.sleep(0.02)
        assert [line["pause_s"] for line in _failures(environment)] == [1, 2, 4, 8]
        pauses = [later - earlier for earlier, later in zip(refusing.asked, refusing.asked[1:])]
        assert len(pauses) == 3
        for pause, expected in zip(pauses, [1, 2, 4]):
            assert expected <= pause < expected + 0.5
        assert environment.shut_down() < 2
        assert len(refusing.asked) == 5
