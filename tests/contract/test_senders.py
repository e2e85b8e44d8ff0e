"""Agents that send remote write or OTLP through the door while the receiver is away for some time: every sample arrives.

The door is `pushgw serve --http`, or a function URL around the real `ingest`. A Prometheus behind it answers which samples it has.
"""
import time
import uuid

import pytest

from support.events import now_ms
from support.function_url import FunctionUrl
from support.prometheus import Prometheus
from support.recorder import Recorder
from support.runtime_api import Ingest
from support.senders import Collector, OtlpCollector, Outage, Sample, Telegraf, Vmagent
from support.serve import serving


@pytest.fixture(scope="module")
def store():
    with Prometheus() as one:
        yield one


@pytest.fixture
def outage(store):
    with Outage(store.url) as one:
        yield one


@pytest.fixture(params=["pushgw serve", "function URL"])
def door(request, outage):
    """A recorder in front of a door that writes to the outage."""
    receiver = outage.url + "/api/v1/write"
    if request.param == "pushgw serve":
        with serving("--http", "127.0.0.1:0", "--remote-write-url", receiver, REMOTE_WRITE_AUTH="none") as server:
            with Recorder(server.door) as recorder:
                yield recorder
    else:
        with Ingest({"REMOTE_WRITE_URL": receiver, "HTTP_AUTH": "none"}) as ingest, FunctionUrl(ingest) as url:
            with Recorder(url.url) as recorder:
                yield recorder


def wait_for(condition, sender, seconds=40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen in time\n{sender.log()}"
        time.sleep(0.1)


def batch(sender, run, number, start):
    """Returns 150 samples of 50 series, or of 150."""
    times = [start + 3000 * number + 1000 * i for i in range(3)]
    return [Sample("sender_load", (("run", run), ("series", str(series) if sender.several_samples_of_a_series else f"{series}-{when}")),
                   when, series + when % 1000 / 8 + number / 2)
            for series in range(50) for when in times]


def loses_nothing(sender, door, outage, store):
    """Feeds the sender before, during and after an outage of the receiver."""
    run, start = uuid.uuid4().hex, now_ms() - 60_000
    fed = []

    def feed(number):
        samples = batch(sender, run, number, start)
        sender.feed(samples)
        fed.extend(samples)

    def stored():
        found = {}
        for labels, samples in store.samples(f'sender_load{{run="{run}"}}').items():
            labels = dict(labels)
            assert set(labels) - set(sender.own_labels) == {"run", "series"}
            for when, value in samples:
                assert found.setdefault((labels["series"], when), value) == value
        return {key: float(value) for key, value in found.items()}

    def expected():
        return {(dict(one.labels)["series"], one.time): one.value for one in fed}

    feed(0)
    wait_for(lambda: stored() == expected(), sender)
    outage.away = True
    for number in 1, 2, 3:
        feed(number)
        time.sleep(0.5)  # so that the agent sends more than one request
    wait_for(lambda: any(status == 503 for _, status, *_ in door.exchanges), sender)
    outage.away = False
    feed(4)
    wait_for(lambda: len(stored()) >= len(fed), sender)
    assert stored() == expected()


def test_vmagent_sends_zstd_then_snappy_and_loses_nothing(door, outage, store):
    with Vmagent(door.url) as sender:
        loses_nothing(sender, door, outage, store)
    sent = [(request.header("Content-Encoding"), status) for request, status, *_ in door.exchanges]
    assert sent[0] == ("zstd", 415)
    # It has several connections.
    assert {status for encoding, status in sent if encoding == "zstd"} == {415} and sent.count(("zstd", 415)) <= 8
    assert {status for encoding, status in sent if encoding == "snappy"} == {204, 503}


@pytest.mark.peers
@pytest.mark.parametrize("agent", [Collector, Telegraf])
def test_an_agent_loses_nothing(agent, door, outage, store):
    with agent(door.url) as sender:
        loses_nothing(sender, door, outage, store)
    sent = [(request.header("Content-Encoding"), status) for request, status, *_ in door.exchanges]
    assert set(sent) == {("snappy", 204), ("snappy", 503)}


@pytest.mark.peers
def test_a_collector_loses_nothing_by_otlp(door, outage, store):
    with OtlpCollector(door.url) as sender:
        loses_nothing(sender, door, outage, store)
    sent = [(request.header("Content-Type"), request.header("Content-Encoding"), status) for request, status, *_ in door.exchanges]
    assert set(sent) == {("application/x-protobuf", "gzip", 200), ("application/x-protobuf", "gzip", 503)}
