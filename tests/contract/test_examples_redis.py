"""The bridge of examples/redis moves every metric from a real Redis to SQS, and a repetition has the same id: whenever it is killed."""
import collections
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from support import components
from support.command_line import run
from support.components import EXAMPLES
from support.redis_server import RedisServer
from support.sqs import SqsFront, throttled

BRIDGE = EXAMPLES / "redis/bridge.py"
#: The key in prom-stream-gateway's own settings.
LIST = "prom-stream-gateway:metric-queue"


@pytest.fixture(scope="module")
def server():
    with RedisServer() as one:
        yield one


@pytest.fixture
def redis(server):
    server.client.flushall()
    return server


def command(redis, queue, *more):
    return [sys.executable, BRIDGE, "--queue-url", queue.url, "--redis", redis.url, "--name", "test", "--until-empty", *more]


def counter(number):
    """Returns the text of an increment. Many are equal, as they are in practice."""
    return json.dumps({"type": "counter", "name": "orders_total", "value": 1, "labels": {"shop": f"s{number % 3}"}})


def push(redis, texts):
    for text in texts:
        redis.client.lpush(LIST, text)


def on_the_queue(queue):
    """Returns every metric on the queue, with its repetitions."""
    return [one for letter in queue.letters() for one in json.loads(letter.body)]


def once(metrics):
    """Returns the metrics by id, as the gateway counts them. A repetition must be the same metric."""
    found = {}
    for one in metrics:
        assert found.setdefault(one["id"], one) == one
    return found


def test_moves_every_metric_in_the_order_of_the_producers_with_an_id_and_a_time(redis, sqs):
    queue, before = sqs.queue(), time.time() * 1_000
    texts = [json.dumps({"type": "gauge", "name": "level", "value": number}) for number in range(2_500)]
    push(redis, texts)
    done = run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    assert (done.returncode, done.stdout) == (0, "2500 metrics sent\n"), done.stderr
    found = on_the_queue(queue)
    assert len(found) == len(once(found)) == 2_500
    found.sort(key=lambda one: (one["timestamp"], int(one["id"].split(":")[1])))
    assert [one["value"] for one in found] == list(range(2_500))
    assert all(before - 1 <= one["timestamp"] <= time.time() * 1_000 for one in found)
    assert redis.client.keys("*") == []


def test_keeps_an_id_and_a_time_that_a_producer_gave(redis, sqs):
    queue = sqs.queue()
    push(redis, [json.dumps({"type": "counter", "name": "a_total", "value": 1, "id": "order 7", "timestamp": 1_700_000_000_000})])
    assert run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=sqs.endpoint).returncode == 0
    [one] = on_the_queue(queue)
    assert (one["id"], one["timestamp"]) == ("order 7", 1_700_000_000_000)


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "null", "\x00\x01", '{"type": "counter"', b"\xff"])
def test_wraps_what_is_no_metric_in_a_message_of_its_own(redis, sqs, text):
    queue = sqs.queue()
    push(redis, [counter(1), text, counter(2)])
    assert run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=sqs.endpoint).returncode == 0
    bodies = [json.loads(letter.body) for letter in queue.letters()]
    assert sorted(type(body).__name__ for body in bodies) == ["dict", "list"]
    assert next(body for body in bodies if isinstance(body, dict)).keys() == {"not_a_metric"}
    assert len(next(body for body in bodies if isinstance(body, list))) == 2


def test_keeps_what_is_too_large_for_sqs_in_redis(redis, sqs):
    queue = sqs.queue()
    push(redis, [counter(1), "x" * 1_000_001])
    done = run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    assert done.returncode == 0 and "too large" in done.stderr
    assert len(on_the_queue(queue)) == 1
    assert [key.decode() for key in redis.client.keys("*")] == [f"{{{LIST}}}:bridge:test:too_large"]


def test_the_gateway_reads_the_messages_and_rejects_only_what_is_no_metric(redis, sqs, tmp_path):
    queue, file = sqs.queue(), tmp_path / "message.json"
    push(redis, [counter(1), "no JSON", '{"type": "histogram", "name": "d_seconds", "value": 0.75, "help": "", "buckets": [0.1, 1]}',
                 '{"type": "summary", "name": "s", "value": 1, "quantiles": [0.5], "epsilons": [0.05], "labels": {"a": "b"}}'])
    assert run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=sqs.endpoint).returncode == 0
    outcomes = {}
    for letter in queue.letters():
        file.write_text(letter.body)
        checked = run(components.pushgw(), "check", file)
        outcomes[type(json.loads(letter.body)).__name__] = (checked.returncode, "invalid_event" in checked.stdout + checked.stderr)
    assert outcomes == {"list": (0, False), "dict": (1, True)}


def test_a_throttle_delays_metrics_and_loses_none(redis, sqs):
    queue, answers = sqs.queue(), [throttled()] * 8
    push(redis, map(counter, range(50)))
    with SqsFront(sqs, lambda call: answers.pop() if answers else None) as front:
        assert run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=front.url).returncode == 0
    found = on_the_queue(queue)
    assert len(found) == len(once(found)) == 50


@pytest.mark.parametrize("answered", [False, True], ids=["before SQS takes the message", "after SQS took it, before the answer"])
@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_bridge_killed_while_it_sends_loses_nothing_and_repeats_the_same_ids(redis, sqs, at, answered):
    queue, killed = sqs.queue(), threading.Event()
    push(redis, map(counter, range(2_500)))

    def kill():
        bridge.send_signal(signal.SIGKILL)
        killed.set()
        return "reset"

    def hook(call):
        if call.number == at and not killed.is_set() and not answered:
            return kill()
        return None

    def spoil(call, answer):
        if call.number == at and not killed.is_set() and answered:
            kill()
        return answer

    with SqsFront(sqs, hook, spoil) as front:
        env = {**os.environ, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1",
               "AWS_ENDPOINT_URL_SQS": front.url}
        bridge = subprocess.Popen(command(redis, queue), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        assert bridge.wait(60) == -signal.SIGKILL and killed.is_set()
        assert run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=front.url).returncode == 0
    found = on_the_queue(queue)
    counted = collections.Counter(one["labels"]["shop"] for one in once(found).values())
    assert counted == collections.Counter(f"s{number % 3}" for number in range(2_500))
    # Killed after the first message of a batch, the second run sends it again.
    assert (len(found) > 2_500) == (answered or at in (2, 5))


def test_a_bridge_killed_at_any_moment_and_two_of_one_name_count_every_metric_once(redis, sqs):
    queue, dice, sent = sqs.queue(), random.Random(7), 6_000
    env = {**os.environ, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1",
           "AWS_ENDPOINT_URL_SQS": sqs.endpoint}
    producer = threading.Thread(target=push, args=(redis, list(map(counter, range(sent)))))
    producer.start()
    for _ in range(4):
        bridges = [subprocess.Popen(command(redis, queue), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL) for _ in range(2)]
        time.sleep(0.5 + dice.uniform(0, 1.5))
        for bridge in bridges:
            bridge.kill()
            bridge.wait()
    producer.join()
    assert run(*command(redis, queue), AWS_ENDPOINT_URL_SQS=sqs.endpoint).returncode == 0
    assert len(once(on_the_queue(queue))) == sent
    assert redis.client.keys("*") == []
