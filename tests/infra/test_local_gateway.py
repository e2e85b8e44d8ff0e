"""Deploys the templates' own values on this machine: boto3 sends events to the queue, and a real Prometheus stores them."""
import functools
import itertools
import json
import uuid

import pytest

import templates
from local_gateway import LocalGateway
from support.events import BROKEN, event, now_ms

DEPLOYED = {
    "SAM, standard": lambda: templates.sam(),
    "SAM, FIFO": lambda: templates.sam({"QueueType": "fifo"}),
    "CDK, standard": lambda: templates.cdk("Standard"),
    "CDK, FIFO": lambda: templates.cdk("Fifo"),
}
WITH_STATE = {
    "SAM, state": lambda: templates.sam({"State": "on"}),
    "SAM, state, FIFO": lambda: templates.sam({"State": "on", "QueueType": "fifo"}),
    "CDK, state": lambda: templates.cdk("State"),
}
MINUTE = 60_000
#: The function may take half of its memory for its largest payload, because Lambda's own part needs memory too.
SHARE_OF_MEMORY = 0.5


@pytest.fixture(params=DEPLOYED)
def gateway(request, sqs, prometheus, tmp_path):
    with LocalGateway(DEPLOYED[request.param](), sqs, prometheus, tmp_path) as one:
        yield one


@pytest.fixture(params=WITH_STATE)
def with_state(request, sqs, prometheus, dynamodb, tmp_path):
    with LocalGateway(WITH_STATE[request.param](), sqs, prometheus, tmp_path, dynamodb=dynamodb) as one:
        yield one


@pytest.fixture
def metric():
    return f"m_{uuid.uuid4().hex}"


def send(gateway, messages):
    """Sends events by boto3, as producers do. A FIFO queue gets a group for each device."""
    for number, message in enumerate(messages):
        gateway.queue.send(message, group=f"group {number % 10}")


def stored(prometheus, metric):
    return {dict(labels)["device"]: [(time, float(value)) for time, value in samples]
            for labels, samples in prometheus.samples(metric).items()}


def test_events_sent_to_the_queue_can_be_queried_in_prometheus(gateway, prometheus, metric):
    now, wanted, messages = now_ms(), {}, []
    for number in range(300):
        device, time, value = f"d{number % 10}", now - 30_000 + number * 100, 14 + number / 10
        messages.append(event({metric: value}, {"device": device}, time))
        wanted.setdefault(device, []).append((time, value))
    broken, late = dict(BROKEN), event({metric: 1}, {"device": "late"}, now - 61 * MINUTE)
    send(gateway, messages + [broken, late, "no JSON"])
    gateway.run()
    assert stored(prometheus, metric) == wanted
    assert sorted((letter.attributes["reason"], letter.body) for letter in gateway.dead_letters()) == \
        sorted([("invalid_value", json.dumps(broken)), ("too_old", json.dumps(late)), ("invalid_json", "no JSON")])
    size = int(gateway.mapping["BatchSize"])
    assert max(len(records) for records in gateway.batches) == size
    assert gateway.source.handed_back == 0


def test_an_outage_delays_events_and_loses_none(gateway, prometheus, metric):
    now = now_ms()
    bad = iter([(503, {}, b"down")] * 12)
    gateway.workspace.outage = lambda: next(bad, None)
    messages = [event({metric: number}, {"device": f"d{number}"}, now) for number in range(40)]
    send(gateway, messages)
    gateway.run()
    assert stored(prometheus, metric) == {f"d{number}": [(now, float(number))] for number in range(40)}
    assert gateway.source.handed_back > 0
    assert gateway.dead_letters() == []


def test_sqs_moves_an_undeliverable_message_after_the_expected_number_of_tries(gateway, metric):
    gateway.workspace.outage = lambda: (404, {}, b"no such workspace")
    message = event({metric: 1}, {"device": "d"})
    send(gateway, [message])
    gateway.run()
    letter, = gateway.dead_letters()
    assert (letter.body, letter.attributes) == (json.dumps(message), {})
    (tries,) = gateway.source.deliveries.values()
    assert tries == list(range(1, gateway.resources["Queue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"] + 1))


def test_the_heaviest_batch_fits_into_the_functions_memory(gateway, prometheus, metric):
    """Sends full batches of long messages, each an array of events. Lambda passes at most 6 MB."""
    now, size = now_ms(), int(gateway.mapping["BatchSize"])
    bytes_each, numbers = 5_000_000 // size, itertools.count()
    messages, sent = [], 0
    for _ in range(2 * size):  # one for each of two pollers
        text, events = "", []
        while len(text) + 150 < bytes_each:
            number = next(numbers)
            one = json.dumps(event({metric: number, metric + "_b": number / 7}, {"device": f"device-{number}", "site": "north"}, now))
            text += one + ", "
            events.append(one)
        sent += len(events)
        messages.append("[" + ", ".join(events) + "]")
    send(gateway, messages)
    gateway.run()
    assert prometheus.value(f"count({metric})") == sent
    assert gateway.dead_letters() == []
    peak, memory = max(gateway.peaks), int(gateway.function["MemorySize"]) * 2**20
    assert max(sum(len(one["body"]) for one in records) for records in gateway.batches) > 4_500_000
    assert peak < SHARE_OF_MEMORY * memory, f"{peak / 2**20:.1f} MB of {memory / 2**20:.0f}"


def test_increments_of_many_messages_become_one_counter_in_prometheus(with_state, prometheus, metric):
    """Through queue, function, table and tick. An outage of the workspace returns messages, whose repetitions count once."""
    gateway, shops, tick = with_state, ("north", "south"), now_ms()
    bad = iter([(503, {}, b"down")] * 12)
    gateway.workspace.outage = lambda: next(bad, None)
    increments = [{"type": "counter", "name": metric, "value": number % 5, "labels": {"shop": shops[number % 2]}} for number in range(120)]
    seconds = {"type": "histogram", "name": metric + "_seconds", "value": [0.2, 0.7, 3], "buckets": [0.5, 1]}
    # A message has a plain event, too: while that cannot be stored, the whole message is returned.
    send(gateway, [[increment, seconds, event({metric + "_plain": number}, {"device": f"d{number}"}, tick)]
                   for number, increment in enumerate(increments)])
    gateway.run()
    assert gateway.source.handed_back > 0 and gateway.dead_letters() == []

    with gateway.start_tick() as function:
        first = gateway.tick(function, tick)
        assert (first["duplicates"] > 0, first["errored"], first["owed"]) == (True, 0, 0), first
        assert first["increments"] == 4 * len(increments)  # each has three observations beside it
        send(gateway, [increments[-1]])
        gateway.run()
        # The schedule never fires for a time that is ahead; the function takes ten seconds, for clocks that differ.
        second = gateway.tick(function, tick + 5_000)
        assert (second["increments"], second["errored"]) == (1, 0), second

    totals = {shop: sum(one["value"] for one in [*increments, increments[-1]] if one["labels"]["shop"] == shop) for shop in shops}
    ask = functools.partial(prometheus.api, "query", time=(tick + 5_000) / 1_000)

    def by_shop(query):
        return {one["metric"]["shop"]: float(one["value"][1]) for one in ask(query=query)["result"]}

    assert by_shop(metric) == totals
    # A zero stands before the first value, so an increase has it.
    assert by_shop(f"increase({metric}[10m])") == totals
    buckets = {one["metric"]["le"]: float(one["value"][1]) for one in ask(query=f"{metric}_seconds_bucket")["result"]}
    assert buckets == {"0.5": 120, "1.0": 240, "+Inf": 360}
    assert gateway.dead_letters() == []
