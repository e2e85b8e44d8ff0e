"""Extensions in many environments, their queue, the gateway with a table, and a real Prometheus, which shows what was dispatched."""
import json
import random
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.dispatched import Dispatched
from support.http_server import Reset, closed_port
from support.runtime_api import Ingest
from support.sqs import SqsFront


class Gateway:
    """The gateway with a table, which gets messages of a queue and writes at each tick."""

    def __init__(self, queue, table, dynamodb, prometheus):
        self.queue, self.prometheus = queue, prometheus
        self.ingest = Ingest({"REMOTE_WRITE_URL": prometheus.remote_write_url, "REMOTE_WRITE_AUTH": "none", "STATE_TABLE": table.name,
                              "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint})
        self.events = []

    def take(self, deliveries=1):
        """Delivers what is in the queue, so many times, and ticks. Returns the tick's time in seconds."""
        while (event := self.queue.lambda_event())["Records"]:
            self.events += [one for item in event["Records"] for one in json.loads(item["body"])]
            for _ in range(deliveries):
                result = self.ingest.invoke(event)
                assert result.failures == [] and result.metrics["rejected"] == 0, result
            self.queue.settle(event, result)
        tick = int(time.time() * 1000)
        result = self.ingest.invoke({"tick": tick})
        assert result.ok, result
        return tick / 1000

    def value(self, query, at):
        (found,) = self.prometheus.api("query", query=query, time=at)["result"]
        return float(found["value"][1])


@pytest.fixture
def gateway(queue, table, dynamodb, prometheus):
    one = Gateway(queue, table, dynamodb, prometheus)
    yield one
    one.ingest.close()


@pytest.fixture
def start(start_environment, queue):
    """Starts an environment of a function: `start("f", freeze=True)`."""
    return lambda name, **settings: start_environment(queue, AWS_LAMBDA_FUNCTION_NAME=name, **settings)


def _name():
    return f"f-{uuid.uuid4().hex}"


def test_all_invocations_of_all_environments_are_one_series_if_each_is_shut_down_in_order(start, gateway):
    name = _name()
    environments = [start(name, freeze=True) for _ in range(4)]

    def life(environment):
        for number in range(10):
            environment.invoke(status="error" if number % 5 == 4 else "success")
        return environment.shut_down()

    with ThreadPoolExecutor(4) as threads:
        assert max(threads.map(life, environments)) < 2
    at = gateway.take(deliveries=2)
    assert gateway.value(f'lambda_invocations_total{{function_name="{name}",status="success"}}', at) == 32
    assert gateway.value(f'lambda_invocations_total{{function_name="{name}",status="error"}}', at) == 8
    assert gateway.value(f'increase(lambda_invocations_total{{function_name="{name}",status="success"}}[2m])', at) == 32
    assert gateway.value(f'histogram_count(lambda_duration_seconds{{function_name="{name}"}})', at) == 40
    assert gateway.value(f'histogram_sum(lambda_billed_duration_seconds{{function_name="{name}"}})', at) == pytest.approx(40 * 0.041)
    assert gateway.value(f'lambda_cold_starts_total{{function_name="{name}",type="on-demand"}}', at) == 4
    assert gateway.value(f'lambda_memory_size_bytes{{function_name="{name}"}}', at) == 128 << 20
    series = gateway.prometheus.api("query", query=f'count({{function_name="{name}"}})', time=at)["result"]
    assert int(series[0]["value"][1]) < 30, "one series a metric, and none an environment"


def test_everything_dispatched_counts_once_over_frozen_and_killed_environments_and_a_broken_queue(start, gateway, sqs):
    generator = random.Random(7)
    name = _name()

    def hook(call):
        # Before the queue has it.
        return generator.choice(["reset", (500, {}, b""), None, None, None, None])

    def spoil(call, answer):
        # Behind it: the queue has the message, and the extension does not know.
        if generator.random() < 0.2:
            raise Reset
        if generator.random() < 0.1:
            answer["MD5OfMessageBody"] = "0" * 32
        return answer

    with SqsFront(sqs, hook, spoil) as front:
        environments = [start(name, freeze=True, AWS_ENDPOINT_URL_SQS=front.url, DISPATCH_TIMEOUT="200ms") for _ in range(6)]
        done = 0
        for _ in range(10):
            for environment in environments:
                environment.invoke()
                done += 1
            time.sleep(0.4)  # the pauses of dispatches that failed go by while the environments are frozen
        for environment in environments[:3]:
            environment.kill()
        for environment in environments[3:]:
            environment.shut_down()
    at = gateway.take()
    dispatched = Dispatched(gateway.events)
    key = ("lambda_invocations_total", (("function_name", name), ("status", "success")))
    assert dispatched.duplicates > 0, "the queue must have had some twice"
    assert 30 <= dispatched.series[key] <= done
    assert gateway.value(f'lambda_invocations_total{{function_name="{name}"}}', at) == dispatched.series[key]
    durations = dispatched.series[("lambda_duration_seconds", (("function_name", name),))]
    assert gateway.value(f'histogram_count(lambda_duration_seconds{{function_name="{name}"}})', at) == len(durations)


#: Lines of StatsD that some client may send. The extension drops a line that is no metric, and the gateway then takes all the others.
ODD_LINES = [
    b"a:1|c|@1e-300", b"a:1|c|@0.3333333333333333", b"a:9223372036854775807|c", b"a:9223372036854775808|c", b"a:1e308|c", b"a:-0|c", b"a:0|c", b"a:1_0|c",
    b"h:1|h|@1e-300", b"h:1|h|@5e-324", b"h:1e308|h", b"h:-1e308|d", b"h:5e-324|ms", b"h:-0.0|h", b"h:NaN|h", b"h:inf|d", b"h:0x10|h",
    b"g:1e308|g", b"g:-1e308|g", b"g:+1e308|g", b"g:--1|g", b"g:|g", b"s:x|s", b"_e{1,1}:a|b", b"_sc|a|0", b"|c", b":|c", b"a|", b"::::|c", b"a:1|c|#",
    b"t:1|c|#,,,", b"t:1|c|#:x", b"t:1|c|#x:", b"t:1|c|#x:\x00", b"t:1|c|#x:\x1b[31m\x7f", b"t:1|c|#x:\xef\xbf\xbe\xef\xbf\xbf", b"t:1|c|#x:\xed\xa0\x80",
    b"t:1|c|#x:\xff", b"t:1|c|#\xe6\xb8\xa9\xe5\xba\xa6:1", b"\xe6\xb8\xa9:1|c", b"t:1|c|#le:1", b"h:1|h|#le:1", b"h:1|h|#quantile:1", b"t:1|c|#job:a,instance:b",
    b"t:1|c|#function_name:other", b"t:1|c|#__name__:x", b"__t:1|c", b"t:1|c|#a-b:1,a.b:2,a_b:3", b"t:1|c|#" + b",".join(b"n%d:1" % n for n in range(147)),
    b"t:1|c|#" + b",".join(b"n%d:1" % n for n in range(148)), b"t:1|c|#x:" + b"y" * 2048, b"t:1|c|#x:" + b"y" * 2049, b"n" * 1017 + b":1|h", b"n" * 1024 + b":1|c",
    b"n" * 1025 + b":1|c", b"lambda_invocations_total:1|c", b"lambda_duration_seconds:1|g", b"lambda_invocations_total:1|g|#status:success",
    b"t:1|c|T1656581400", b"t:1|c|c:in-1", b"t:1|c|e:it-false", b"t:1|c|card:low", b"t:1:2:x|c", b"t:1|c|@1|@0.5|#a:1|#b:2",
]


def _noise(generator):
    """Returns a line that is nearly one of StatsD."""
    line = bytearray(generator.choice(ODD_LINES)[:200])
    for _ in range(generator.randrange(3)):
        line.insert(generator.randrange(len(line) + 1), generator.choice(b":|#@,.-+e0123456789cghmsd_\x00\xc3\xa9 "))
    return bytes(line)


def test_the_gateway_takes_every_metric_that_the_extension_takes_from_statsd(start, gateway):
    generator, port = random.Random(11), closed_port()
    environment = start(_name(), STATSD=port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in [*ODD_LINES, *(_noise(generator) for _ in range(2_000))]:
            sender.sendto(line, ("127.0.0.1", port))
            time.sleep(0.0002)  # a socket's buffer is small
    environment.invoke()
    environment.shut_down()
    # `take` fails if the gateway rejects any.
    gateway.take()
    assert len({(one["name"], *one["labels"].items()) for one in gateway.events}) > 60
    assert sum(one["value"] for one in gateway.events if one["name"] == "lambda_extension_dropped_metrics_total") > 100


@pytest.mark.early
def test_an_environment_that_was_frozen_for_long_counts_on_where_it_stopped(start, gateway):
    name = _name()
    environment = start(name, freeze=True)
    environment.invoke()
    environment.invoke()
    first = gateway.take()
    selector = f'lambda_invocations_total{{function_name="{name}",status="success"}}'
    assert gateway.value(selector, first) == 1
    # Longer than an idle connection is kept.
    time.sleep(16)
    environment.invoke()
    environment.shut_down()
    assert gateway.value(selector, gateway.take()) == 3
