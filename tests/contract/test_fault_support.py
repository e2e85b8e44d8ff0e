"""Tests of the tools that inject and check faults.

They hold the model of a receiver against a real Prometheus, check the proxy byte by byte, and hold the FIFO queue against its
documentation.
"""
import http.client
import random
import socket
import time

import pytest

from support import proxy, remote_write
from support.event_source_fifo import DEDUPLICATION_S, EXPIRED, FifoQueue
from support.events import now_ms
from support.prometheus import Prometheus
from support.proxy import FaultProxy
from support.receiver import Receiver
from support.remote_write import bits
from support.tsdb import Tsdb, go_labels, go_time

SERIES = [tuple([("__name__", "judged"), ("n", str(number))]) for number in range(4)]


class Write:
    def __init__(self, series):
        self.series = [remote_write.Series(list(labels), samples, 0, 0) for labels, samples in series]
        self.named = self.half_named = None


def body_of(series):
    return remote_write.snappy_block_encode(remote_write.encode(series))


def post(port, path, body, timeout=10):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, body, {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
                                                "X-Prometheus-Remote-Write-Version": "0.1.0"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def random_requests(generator, count, now):
    """Yields requests of a few series around the present: newer, older, equal, other values, the future."""
    last = {}
    for _ in range(count):
        request = []
        for labels in generator.sample(SERIES, generator.randint(1, 3)):
            offset = generator.choice([-50_000, -30_000, -10_000, -5_000, 0, 0, 1_000, 2_000, 700_000])
            times = sorted({now + offset + generator.choice([0, 0, 1_000]) for _ in range(generator.choice([1, 1, 2]))})
            if labels in last and generator.random() < 0.2:
                times = [last[labels]]
            last[labels] = max(times[-1], last.get(labels, 0))
            request.append((labels, [(when, bits(generator.choice([1.5, 1.5, 2.5]))) for when in times]))
        yield request
        now += generator.choice([0, 0, 1_000, 20_000])


@pytest.mark.parametrize("window_s", [0, 60])
def test_the_model_answers_and_stores_as_a_real_prometheus_does(window_s):
    judge = Tsdb(flavour="prometheus", window_ms=window_s * 1000)
    statuses, now = [], now_ms() - 400_000
    with Prometheus(out_of_order_window=f"{window_s}s") as real:
        port = int(real.url.rpartition(":")[2])
        for request in random_requests(random.Random(window_s), 250, now):
            judged = judge.judge(Write(request))
            status, text = post(port, "/api/v1/write", body_of(request))
            assert (status, text) == (judged.status, judged.body.decode()), request
            statuses.append(text.split(" for ")[0].strip())
        found = real.api("query", query="judged[3h]", time=time.time() + 900)["result"]  # it has samples of the future
        got = {one["metric"]["n"]: {round(when * 1000): value for when, value in one["values"]} for one in found}
    held = {dict(labels)["n"]: {when: f"{remote_write.double(value):g}" for when, value in one.samples.items()}
            for labels, one in judge.series.items()}
    if window_s:  # a query may show either of two values that came out of order for one time
        got, held = ({n: set(samples) for n, samples in side.items()} for side in (got, held))
    assert got == held
    wanted = {"", "duplicate sample", "out of bounds: timestamp is too far in the future",
              "too old sample" if window_s else "out of order sample"}
    assert wanted <= set(statuses), set(statuses)


def test_the_model_stores_the_valid_rest_or_nothing():
    now = now_ms()
    for flavour, kept in (("amp", 2), ("prometheus", 1)):
        judge = Tsdb(flavour=flavour)
        judge.put(SERIES[0], now, bits(1))
        write = Write([(SERIES[0], [(now - 5000, bits(1))]), (SERIES[1], [(now, bits(1))])])
        assert judge.judge(write).status == 400
        assert judge.count() == kept
        assert write.named == ((SERIES[0], now - 5000) if flavour == "amp" else None)
        assert judge.refused[(SERIES[0], now - 5000, bits(1))] == {"out_of_order"}


def test_amps_error_texts_are_those_of_cortex():
    judge, now = Tsdb(), 1_767_225_600_120
    judge.put(SERIES[0], now, bits(1))
    judge.clock = lambda: now
    text = judge.judge(Write([(SERIES[0], [(now - 20, bits(1))])])).body.decode()
    assert text == 'user=123456789012_ws-00000000-0000-0000-0000-000000000001: err: out of order sample. ' \
                   'timestamp=2026-01-01T00:00:00.1Z, series={__name__="judged", n="0"}'
    assert go_time(now - 120) == "2026-01-01T00:00:00Z"
    assert go_labels([("a", 'b"c')]) == '{a="b\\"c"}'


def test_a_full_workspace_takes_the_series_that_it_knows():
    now = now_ms()
    judge = Tsdb(series_limit=1)
    judge.put(SERIES[0], now - 1000, bits(1))
    answer = judge.judge(Write([(SERIES[0], [(now, bits(1))]), (SERIES[1], [(now, bits(1))])]))
    assert answer.status == 400 and b"per-user series limit of 1 exceeded" in answer.body
    assert judge.value(SERIES[0], now) == bits(1) and judge.count() == 2


# --- the proxy -------------------------------------------------------------------------------------------------------

BODY = body_of([(SERIES[0], [(1000, bits(1))])])


@pytest.fixture
def behind():
    with Receiver(auth="none", path="/write") as receiver, FaultProxy(receiver.address) as front:
        yield receiver, front


def test_the_proxy_passes_on_the_receivers_answer(behind):
    receiver, front = behind
    assert post(front.port, "/write", BODY) == (204, "")
    assert len(receiver.writes) == 1
    [exchange] = front.exchanges
    assert (exchange.status, exchange.forwarded, exchange.samples) == (204, True, [(SERIES[0], 1000, bits(1))])


@pytest.mark.parametrize("fault, status, stored", [
    (proxy.answer(503, "no"), 503, False), (proxy.answer(500, "no", stored=True), 500, True),
    (proxy.reset_before_body(), None, False), (proxy.reset_in_body(), None, False),
    (proxy.reset_after_body(), None, False), (proxy.reset_after_body(stored=True), None, True),
    (proxy.raw(b"SSH"), None, False), (proxy.raw(b""), None, False), (proxy.hang(), None, False),
    (proxy.hang(stored=True), None, True), (proxy.drip(0.001), 204, True), (proxy.late(0.01), 204, True),
    (proxy.sip(1000), 204, True), (proxy.answer(413, "no", early=True), 413, False),
], ids=str)
def test_the_proxy_injects_its_fault_and_passes_the_next_request(behind, fault, status, stored):
    receiver, front = behind
    front.faults(fault)
    if status is None:
        with pytest.raises((OSError, http.client.HTTPException)):
            post(front.port, "/write", BODY, timeout=0.5)
    else:
        assert post(front.port, "/write", BODY)[0] == status
    assert len(receiver.writes) == (1 if stored else 0)
    assert front.exchanges[0].status == status
    assert post(front.port, "/write", BODY) == (204, "")


def test_the_proxy_can_go_away_and_come_back_on_the_same_port(behind):
    _, front = behind
    held = socket.create_connection(("127.0.0.1", front.port))
    end = time.monotonic() + 5
    while not front.connections and time.monotonic() < end:
        time.sleep(0.001)  # until the connection has been taken
    front.down()
    assert held.recv(1) == b""
    with pytest.raises(OSError):
        post(front.port, "/write", BODY)
    front.up()
    assert post(front.port, "/write", BODY) == (204, "")


# --- the FIFO queue --------------------------------------------------------------------------------------------------

class Clock:
    """A clock that a test moves."""
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return FifoQueue(visibility_s=30, clock=clock)


def send(queue, *bodies):
    """Sends each body in the group that its first character names."""
    return [queue.send(body, group=body[0]) for body in bodies]


def take(queue, count=10):
    return queue.receive_message(MaxNumberOfMessages=count)["Messages"]


def bodies(messages):
    return [one["Body"] for one in messages]


def entries(messages, **more):
    return [{"Id": str(index), "ReceiptHandle": one["ReceiptHandle"], **more} for index, one in enumerate(messages)]


def delete(queue, messages):
    return queue.delete_message_batch(Entries=entries(messages))


def show_again(queue, messages, seconds=0):
    return queue.change_message_visibility_batch(Entries=entries(messages, VisibilityTimeout=seconds))


def test_fifo_messages_of_a_group_come_in_order_and_as_many_of_one_group_as_possible(queue):
    send(queue, "a1", "b1", "a2", "c1", "b2", "a3")
    assert bodies(take(queue, 4)) == ["a1", "a2", "a3", "b1"]
    assert bodies(take(queue, 4)) == ["c1"], "b is in flight"


def test_fifo_a_group_is_blocked_while_one_of_its_messages_is_in_flight_and_others_are_not(queue):
    send(queue, "a1", "a2", "a3", "b1")
    first = take(queue, 2)
    assert bodies(first) == ["a1", "a2"]
    assert bodies(take(queue)) == ["b1"]
    delete(queue, first[:1])
    assert take(queue) == [], "a2 is still in flight"
    delete(queue, first[1:])
    assert bodies(take(queue)) == ["a3"]


def test_fifo_a_returned_message_comes_before_the_later_ones(queue, clock):
    send(queue, "a1", "a2", "a3", "a4")
    taken = take(queue, 3)
    delete(queue, taken[:1])
    show_again(queue, taken[2:])
    assert take(queue) == [], "a2 is still hidden, and a3 does not overtake it"
    show_again(queue, taken[1:2], seconds=2)
    clock.now += 1
    assert take(queue) == []
    clock.now += 1
    assert bodies(take(queue)) == ["a2", "a3", "a4"]


def test_fifo_a_message_comes_again_when_its_visibility_ends(queue, clock):
    name, = send(queue, "a1")
    first, = take(queue)
    clock.now += 29.9
    assert take(queue) == []
    clock.now += 0.2
    second, = take(queue)
    assert (first["MessageId"], second["MessageId"]) == (name, name)
    counts = [one["Attributes"]["ApproximateReceiveCount"] for one in (first, second)]
    assert counts == ["1", "2"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    assert first["Attributes"]["SentTimestamp"] == second["Attributes"]["SentTimestamp"] == "1000000000"


@pytest.mark.parametrize("act", [delete, show_again])
@pytest.mark.parametrize("how", ["run out", "given again", "shown again"])
def test_fifo_an_expired_handle_does_nothing(queue, clock, act, how):
    send(queue, "a1")
    first = take(queue)
    if how == "shown again":
        show_again(queue, first)
    else:
        clock.now += 31
    second = take(queue) if how == "given again" else []
    answer = act(queue, first)
    assert answer["Successful"] == []
    assert [one["Code"] for one in answer["Failed"]] == [EXPIRED]
    assert bodies(take(queue)) == ([] if second else ["a1"])
    if second:
        assert delete(queue, second)["Failed"] == []


def test_fifo_a_second_message_with_a_deduplication_id_is_accepted_and_not_delivered(queue, clock):
    first = queue.send("a1", group="a", deduplication="same")
    delete(queue, take(queue))
    assert queue.send("a1", group="a", deduplication="same") == first
    assert take(queue) == []
    clock.now += DEDUPLICATION_S
    assert queue.send("a1", group="a", deduplication="same") != first
    assert bodies(take(queue)) == ["a1"]


def test_fifo_the_queue_counts_visible_and_hidden_messages(queue):
    send(queue, "a1", "a2", "b1")
    delete(queue, take(queue, 1))
    take(queue, 1)
    assert queue.get_queue_attributes()["Attributes"] == {"ApproximateNumberOfMessages": "1",
                                                          "ApproximateNumberOfMessagesNotVisible": "1"}
