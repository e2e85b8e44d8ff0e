"""The main job: a real Prometheus stores an event of each of the three triggers with the right labels, value and time.

The tests query Prometheus, because it answers 204 to some requests that it does not store.
"""
import json
import math
import struct
import uuid

import pytest

from support.events import BROKEN_TEXT, event, now_ms
from support.runtime_api import Ingest
from support.sqs import event as batch

CUSTOMERS = ["customer1", "customer2", "customer3"]


@pytest.fixture
def metric():
    """A metric name that no other test uses: all tests share Prometheus."""
    return f"m_{uuid.uuid4().hex}"


@pytest.fixture
def into_prometheus(prometheus, sqs, dead_letters):
    """An `ingest` that writes to Prometheus."""
    with Ingest({"REMOTE_WRITE_URL": prometheus.remote_write_url, "DEAD_LETTER_QUEUE_URL": dead_letters.url,
                 "AWS_ENDPOINT_URL_SQS": sqs.endpoint}) as ingest:
        yield ingest


def labels(**pairs):
    return tuple(sorted(pairs.items()))


def test_a_batch_from_a_queue_can_be_queried_in_prometheus(into_prometheus, prometheus, sqs, metric):
    queue, now = sqs.queue(), now_ms()
    wanted = {}
    for number in range(60):
        customer, device = CUSTOMERS[number % 3], f"d{number % 6}"
        value, time = 14 + number / 10, now - 60_000 + number * 1000
        queue.send(event({metric: str(value) if number % 2 else value}, {"customerId": customer, "device": device},
                         timestamp=time))
        wanted.setdefault(labels(customerId=customer, device=device), []).append((time, value))
    received = queue.lambda_event()
    assert len(received["Records"]) == 60
    result = into_prometheus.invoke(received)
    assert result.failures == []
    got = {key: [(time, float(value)) for time, value in samples] for key, samples in prometheus.samples(metric).items()}
    assert got == wanted


def test_a_fifo_batch_can_be_queried_in_prometheus(into_prometheus, prometheus, sqs, metric):
    queue, now = sqs.queue(fifo=True), now_ms()
    queue.send(event({metric: 6.7}, {"customerId": "customer1"}, timestamp=now), group="customer1")
    assert into_prometheus.invoke(queue.lambda_event()).failures == []
    assert prometheus.samples(metric) == {labels(customerId="customer1"): [(now, "6.7")]}


def test_the_payload_of_an_iot_rule_can_be_queried_in_prometheus(into_prometheus, prometheus, metric):
    # A rule's Lambda action invokes the function with the result of its SELECT, one object.
    now = now_ms()
    payload = {"dimensions": {"customerId": "customer1", "device": "pond-7", "battery-ok": True, "channel": 3},
               "timestamp": now, "metrics": {metric: 6.7, metric + "-raw": "14.3"}}
    assert into_prometheus.invoke(payload).json["accepted"] == 1
    key = labels(customerId="customer1", device="pond-7", battery_ok="true", channel="3")
    assert prometheus.samples(metric) == {key: [(now, "6.7")]}
    assert prometheus.samples(metric + "_raw") == {key: [(now, "14.3")]}


def test_a_direct_invoke_can_be_queried_in_prometheus(into_prometheus, prometheus, metric):
    now = now_ms()
    result = into_prometheus.invoke([event({metric: n}, {"n": str(n)}, timestamp=now - n) for n in range(5)])
    assert result.json["accepted"] == 5
    assert prometheus.samples(metric) == {labels(n=str(n)): [(now - n, str(n))] for n in range(5)}
    assert prometheus.value(f"sum({metric})") == 10


def test_the_event_of_the_ancestor_works_verbatim(into_prometheus, prometheus):
    now = now_ms()
    text = '{"dimensions": {"customerId": "customer1"}, "timestamp": %d, "metrics": {"temperature": "14.3", "ph": "6.7"}}'
    assert into_prometheus.invoke((text % now).encode()).json["accepted"] == 1
    for metric, value in (("temperature", "14.3"), ("ph", "6.7")):
        # Other tests use these names too, so this takes only the series without any other label.
        samples = prometheus.samples(metric + '{customerId="customer1"}')
        assert (now, value) in samples[labels(customerId="customer1")]


def test_one_process_takes_all_triggers_in_turn(into_prometheus, prometheus, metric):
    now = now_ms()
    assert into_prometheus.invoke(event({metric: 1}, timestamp=now)).json["accepted"] == 1
    assert into_prometheus.invoke(batch(event({metric: 2}, timestamp=now + 1))).failures == []
    assert into_prometheus.invoke(event({metric: 3}, timestamp=now + 2)).json["accepted"] == 1
    assert prometheus.samples(metric) == {(): [(now, "1"), (now + 1, "2"), (now + 2, "3")]}


@pytest.mark.parametrize("literal, wanted", [
    ("12", 12.0), ("12.0", 12.0), ('"12"', 12.0), ("1e3", 1000.0), ("9007199254740993", 9007199254740992.0),
    ("0.1", 0.1), ("2.2250738585072011e-308", 2.2250738585072011e-308), ("5e-324", 5e-324), ("-0.0", -0.0), ("-0", 0.0),
    ("1.7976931348623157e308", 1.7976931348623157e308), ('"Inf"', math.inf), ('"-Inf"', -math.inf), ('"NaN"', math.nan),
])
def test_a_value_arrives_exactly(into_prometheus, prometheus, metric, literal, wanted):
    now = now_ms()
    payload = f'{{"timestamp":{now},"metrics":{{"{metric}":{literal}}}}}'
    assert into_prometheus.invoke(payload.encode()).json["accepted"] == 1
    [(time, value)] = prometheus.samples(metric)[()]
    assert time == now
    if math.isnan(wanted):
        assert value == "NaN"
    else:
        assert struct.pack(">d", float(value)) == struct.pack(">d", wanted)


def test_events_out_of_order_in_a_batch_are_all_stored(into_prometheus, prometheus, metric):
    now = now_ms()
    order = [3, 1, 4, 0, 2]
    into_prometheus.invoke([event({metric: n}, timestamp=now - 1000 * n) for n in order])
    assert prometheus.samples(metric) == {(): [(now - 1000 * n, str(n)) for n in sorted(order, reverse=True)]}


def test_stores_forty_nine_of_fifty_records_in_prometheus_if_one_is_broken(into_prometheus, prometheus, sqs, dead_letters,
                                                                       metric):
    queue, now = sqs.queue(), now_ms()
    bodies = [json.dumps(event({metric: n}, {"n": f"{n:02}"}, timestamp=now)) for n in range(50)]
    bodies[17] = BROKEN_TEXT
    ids = queue.send_all(bodies)
    received = queue.lambda_event()
    result = into_prometheus.invoke(received)
    assert result.failures == []
    queue.settle(received, result)
    assert prometheus.samples(metric) == {labels(n=f"{n:02}"): [(now, str(n))] for n in range(50) if n != 17}
    letter = dead_letters.letter()
    assert letter.body == BROKEN_TEXT
    assert letter.attributes["source_message_id"] == ids[17]


def test_a_mended_dead_letter_is_stored_at_its_first_time(into_prometheus, prometheus, sqs, dead_letters, metric):
    queue = sqs.queue()
    queue.send(json.dumps({"metrics": {metric: "n/a"}}))
    received = queue.lambda_event()
    sent = int(received["Records"][0]["attributes"]["SentTimestamp"])
    assert into_prometheus.invoke(received).failures == []
    letter = dead_letters.letter()
    again = sqs.queue()
    again.send(letter.body.replace("n/a", "6.7"), attributes=letter.attributes)
    assert into_prometheus.invoke(again.lambda_event()).failures == []
    assert prometheus.samples(metric) == {(): [(sent, "6.7")]}


def test_external_labels_are_in_prometheus(prometheus, metric):
    now = now_ms()
    with Ingest({"REMOTE_WRITE_URL": prometheus.remote_write_url, "EXTERNAL_LABELS": "env=prod,team=water"}) as ingest:
        assert ingest.invoke(event({metric: 1}, {"team": "pond"}, timestamp=now)).ok
    assert prometheus.samples(metric) == {labels(env="prod", team="pond"): [(now, "1")]}


def test_a_sample_that_is_sent_twice_is_stored_once(into_prometheus, prometheus, metric):
    now = now_ms()
    for _ in range(2):
        assert into_prometheus.invoke(event({metric: 1.5}, timestamp=now)).ok
    assert prometheus.samples(metric) == {(): [(now, "1.5")]}


def test_a_6_mb_payload_is_stored_whole(into_prometheus, prometheus, metric):
    now = now_ms()
    parts = [f'{{"timestamp":{now - n % 1000},"dimensions":{{"device":"d{n // 1000:03}"}},"metrics":{{"{metric}":{n}}}}}'
             for n in range(54_000)]
    payload = ("[" + ",".join(parts) + "]").encode()
    assert 5_500_000 < len(payload) < 6_291_456
    result = into_prometheus.invoke(payload)
    assert result.json["accepted"] == 54_000
    assert prometheus.value(f"sum(count_over_time({metric}[1m]))") == 54_000


def test_a_killed_process_is_followed_by_one_that_works(prometheus, metric):
    now = now_ms()
    settings = {"REMOTE_WRITE_URL": prometheus.remote_write_url}
    with Ingest(settings) as first:
        assert first.invoke(event({metric: 1}, timestamp=now)).ok
        first.kill()
    with Ingest(settings) as second:
        assert second.invoke(event({metric: 2}, timestamp=now + 1)).ok
    assert prometheus.samples(metric) == {(): [(now, "1"), (now + 1, "2")]}
