"""A function's own metrics: the examples in Python and Node.js run as functions beside the extension, and clients that it must survive."""
import json
import socket
import time

import pytest

from support import components
from support.clients import node
from support.components import EXAMPLES
from support.dispatched import Dispatched, events
from support.environment import Environment
from support.http_server import closed_port
from support.serve import request


@pytest.fixture
def queue(sqs):
    return sqs.queue()


@pytest.fixture
def start(sqs, queue):
    """Starts an environment with both ports open. They are `one.statsd` and `one.events`."""
    running = []

    def start_one(**more):
        statsd, own = closed_port(), closed_port()
        one = Environment(**{"AWS_ENDPOINT_URL_SQS": sqs.endpoint, "PUSH_QUEUE_URL": queue.url, "DISPATCH_MIN_BATCH_SIZE": "1",
                             "STATSD": statsd, "EVENTS": own, "STATSD_PORT": statsd, "EVENTS_PORT": own, **more})
        one.statsd, one.events = statsd, own
        running.append(one)
        return one

    yield start_one
    for one in running:
        one.close()


@pytest.mark.parametrize("language", ["python", "node"])
def test_the_example_gives_its_metrics_by_statsd_and_events(start, queue, language):
    support = components.ROOT / "tests/contract/support"
    function = {"python": [components.python(), support / "bootstrap.py", EXAMPLES / "extension/function.py"],
                "node": [node(), support / "bootstrap.js", EXAMPLES / "extension/function.js"]}[language]
    environment = start(function=[str(part) for part in function], freeze=True)
    for orders in ([10, 20], [30], [30, 30, 5]):
        answer = environment.invoke({"orders": orders})
        assert json.loads(answer.body) == {"accepted": 2}
    assert environment.shut_down() < 2
    sent = Dispatched(events(queue))
    assert sent("orders", shop="north") == 6
    assert sorted(sent("order_value", shop="north")) == [5, 10, 20, 30, 30, 30]
    assert len(sent("order_took")) == 3 and max(sent("order_took")) < 5
    assert sent("order_batches_total", shop="north") == 3
    assert sent("last_order_value") == 5
    assert sent("lambda_invocations_total", status="success") == 3


def test_statsd_lines_become_metrics_with_weights_and_labels(start, queue):
    environment = start()
    lines = ["hits:3|c|@0.1", "hits:1|c|@0.1|#a:b,c", "song:250|ms|@0.5", "temperature:20|g", "temperature:-3|g", "users:7|s", "nonsense",
             "size:1:2:3|d|#host:x"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in lines:
            sender.sendto(line.encode(), ("127.0.0.1", environment.statsd))
        sender.sendto(b"last:1|c\nlast:1|c", ("127.0.0.1", environment.statsd))
    environment.invoke()
    environment.shut_down()
    sent = Dispatched(events(queue))
    assert sent("hits") == 30
    assert sent("hits", a="b", c="true") == 10
    assert sent("song") == [0.25, 0.25]
    assert sent("temperature") == 17
    assert sorted(sent("size", host="x")) == [1, 2, 3]
    assert sent("last") == 2
    assert sent("lambda_extension_dropped_metrics_total") == 2
    assert len(environment.lines("WARN")) == 2


def test_events_are_reported_as_the_gateway_reports_them(start, queue):
    environment = start()
    body = json.dumps([{"type": "counter", "name": "a_total", "value": 1}, {"type": "summary", "name": "s", "value": [1, 2]},
                       {"type": "counter", "name": "a_total", "value": -1}, {"metrics": {"ph": 7}}])
    status, headers, answer = request(environment.events, "POST", "/events", body)
    report = json.loads(answer)
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert (report["accepted"], report["typed"], report["rejected_count"]) == (2, 2, 2)
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(2, "invalid_value"), (3, "invalid_event")]
    assert request(environment.events, "POST", "/events", "{")[0] == 400
    assert request(environment.events, "POST", "/events", b"\xff")[0] == 400
    assert request(environment.events, "GET", "/events")[0] == 405
    assert request(environment.events, "POST", "/metrics/job/x", "a 1\n")[0] == 404
    assert request(environment.events, "POST", "/events", b" " * (1 << 20) + b"[]")[0] == 413
    environment.shut_down()
    sent = Dispatched(events(queue))
    assert sent("a_total") == 1 and sent("s") == [1, 2]


@pytest.mark.parametrize("setting, kind", [("STATSD", socket.SOCK_DGRAM), ("EVENTS", socket.SOCK_STREAM)])
def test_a_port_in_use_is_one_line_of_log(start, queue, setting, kind):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        environment = start(**{setting: other.getsockname()[1]})
        environment.invoke()
        (line,) = environment.lines("WARN")
        assert (line["setting"], line["port"]) == (setting, other.getsockname()[1])
        assert environment.shut_down() < 1
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 1


def test_the_buffer_is_bounded_and_counts_what_it_drops(start, queue):
    environment = start(DISPATCH_MIN_BATCH_SIZE="1000000", DISPATCH_MAX_AGE="1s", DISPATCH_TIMEOUT="10s")
    for batch in range(12):
        metrics = [{"type": "counter", "name": "many_total", "value": 1, "labels": {"n": str(batch * 1000 + i)}} for i in range(1000)]
        assert request(environment.events, "POST", "/events", json.dumps(metrics))[0] in (200, 400)
    values = [{"type": "histogram", "name": "lambda_duration_seconds", "value": i / 7} for i in range(1500)]
    request(environment.events, "POST", "/events", json.dumps(values))
    time.sleep(1.1)
    # So many messages may take longer than a shutdown.
    environment.invoke()
    environment.shut_down()
    sent = Dispatched(events(queue))
    kept = [key for key in sent.series if key[0] == "many_total"]
    assert 9_900 < len(kept) <= 10_000
    dropped = sent("lambda_extension_dropped_metrics_total")
    assert dropped >= 12_000 - len(kept)
