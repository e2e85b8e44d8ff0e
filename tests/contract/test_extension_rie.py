"""The extension in AWS's own emulator of Lambda, which is stricter than the other surroundings of these tests."""
import pytest

from support import rie
from support.command_line import eventually
from support.components import EXAMPLES
from support.dispatched import Dispatched, events
from support.http_server import closed_port


@pytest.fixture
def start(sqs):
    if reason := rie.why_not():
        pytest.fail(reason)
    running = []

    def start_one(queue, **more):
        statsd, own = closed_port(), closed_port()
        one = rie.Rie(EXAMPLES / "extension/function.py", PUSH_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint, STATSD=statsd, EVENTS=own,
                      STATSD_PORT=statsd, EVENTS_PORT=own, DISPATCH_MIN_BATCH_SIZE=1, DISPATCH_MAX_AGE="1s", **more)
        running.append(one)
        return one

    yield start_one
    for one in running:
        one.close()


def test_a_functions_own_metrics_arrive_although_the_emulator_has_no_telemetry(start, sqs):
    queue = sqs.queue()
    emulator = start(queue)
    for _ in range(3):
        assert emulator.invoke({"orders": [10, 20]}) == {"accepted": 2}
    emulator.shut_down()
    assert "this sandbox has no Telemetry API" in emulator.log()
    assert Dispatched(events(queue))("orders", shop="north") == 6


def test_a_managed_instance_counts_the_records_of_the_real_telemetry_api(start, sqs):
    queue = sqs.queue()
    emulator = start(queue, managed=True)
    for _ in range(3):
        assert emulator.invoke({"orders": [10, 20]}) == {"accepted": 2}
    found = []
    eventually(lambda: found.extend(events(queue)) or Dispatched(found)("lambda_invocations_total", status="success") == 3)
    emulator.shut_down()
    sent = Dispatched(found + events(queue))
    assert sent("orders", shop="north") == 6
    assert len(sent("lambda_duration_seconds")) == 3
    assert sent("lambda_cold_starts_total", type="lambda-managed-instances") == 1
