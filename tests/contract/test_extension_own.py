"""A function's own metrics: the examples in Python and Node.js run as functions beside the extension, and clients that it must survive."""
import http.client
import json
import os
import socket
import time

import pytest

from support import components
from support.clients import node
from support.components import EXAMPLES
from support.dispatched import Dispatched, events
from support.http_server import closed_port
from support.serve import request


@pytest.fixture
def start(start_environment, queue):
    """Starts an environment with both ports open. They are `one.statsd` and `one.events`."""
    def start_one(**settings):
        statsd, own = closed_port(), closed_port()
        one = start_environment(queue, **{"STATSD": statsd, "EVENTS": own, "STATSD_PORT": statsd, "EVENTS_PORT": own, **settings})
        one.statsd, one.events = statsd, own
        return one

    return start_one


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


def test_the_buffer_is_bounded_and_counts_exactly_what_it_drops(start, queue):
    environment = start(DISPATCH_MIN_BATCH_SIZE="1000000", DISPATCH_MAX_AGE="1s", DISPATCH_TIMEOUT="10s")
    values = [{"type": "histogram", "name": "many_values", "value": i / 7} for i in range(1_500)]
    _, _, answer = request(environment.events, "POST", "/events", json.dumps(values))
    report = json.loads(answer)
    assert (report["accepted"], report["rejected_count"]) == (1_000, 500)
    assert {one["reason"] for one in report["rejected"]} == {"series_limit"}
    accepted = 0
    for batch in range(12):
        metrics = [{"type": "counter", "name": "many_total", "value": 1, "labels": {"n": str(batch * 1000 + i)}} for i in range(1000)]
        status, _, answer = request(environment.events, "POST", "/events", json.dumps(metrics))
        accepted += json.loads(answer)["accepted"]
        assert status == (200 if json.loads(answer)["accepted"] else 400)
    # Values of series that are there still have room.
    assert request(environment.events, "POST", "/events", '{"type":"histogram","name":"many_values","value":0}')[0] == 200
    time.sleep(1.1)
    # So many messages may take longer than a shutdown.
    environment.invoke()
    first = Dispatched(events(queue))
    environment.shut_down()
    platform = [key for key in first.series if key[0] not in ("many_total", "many_values") and "extension" not in key[0]]
    assert len([key for key in first.series if key[0] == "many_total"]) == accepted == 10_000 - 1 - len(platform)
    assert len(first("many_values")) == 1_001 and len(set(first("many_values"))) == 1_000
    dropped = first("lambda_extension_dropped_metrics_total")
    # Records that came last found no room, either.
    assert 0 <= dropped - (12_000 - accepted) - 500 < 10


def _addresses(pid):
    """Returns {port: address} of the sockets on which a process listens."""
    own = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    found = {}
    for kind, state in (("tcp", "0A"), ("udp", "07")):
        with open(f"/proc/{pid}/net/{kind}") as file:
            for fields in map(str.split, list(file)[1:]):
                if fields[3] == state and f"socket:[{fields[9]}]" in own:
                    address, port = fields[1].split(":")
                    found[int(port, 16)] = socket.inet_ntoa(bytes.fromhex(address)[::-1])
    return found


def test_only_programs_of_the_environment_reach_the_ports_of_the_function(start):
    environment = start()
    addresses = _addresses(environment.extension.pid)
    assert addresses == {environment.statsd: "127.0.0.1", environment.events: "127.0.0.1", environment.api.port_of_telemetry: "0.0.0.0"}


def test_off_means_that_nobody_listens(start):
    environment = start(STATSD="off", EVENTS="off")
    assert list(_addresses(environment.extension.pid)) == [environment.api.port_of_telemetry]


@pytest.mark.early
@pytest.mark.parametrize("freeze", [False, True], ids=["warm", "frozen"])
def test_clients_that_keep_their_connections_lose_no_request_after_a_long_pause(start, queue, freeze):
    environment = start(freeze=freeze)
    used, fresh = [http.client.HTTPConnection("127.0.0.1", environment.events, timeout=10) for _ in range(2)]

    def send(client):
        client.request("POST", "/events", '{"type":"counter","name":"a_total","value":1}')
        answer = client.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()

    fresh.connect()
    request_id = environment.begin()
    send(used)
    environment.finish(request_id)
    # Longer than an HTTP server usually waits for the next request.
    time.sleep(31)
    request_id = environment.begin()
    send(used)
    send(fresh)
    environment.finish(request_id)
    environment.shut_down()
    assert Dispatched(events(queue))("a_total") == 3


def test_clients_that_keep_connections_without_requests_shut_nobody_out(start, queue):
    environment = start()
    idle = [socket.create_connection(("127.0.0.1", environment.events)) for _ in range(300)]
    assert request(environment.events, "POST", "/events", '{"type":"counter","name":"a_total","value":1}')[0] == 200
    for one in idle:
        one.close()
    environment.shut_down()
    assert Dispatched(events(queue))("a_total") == 1
