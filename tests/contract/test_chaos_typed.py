"""Typed metrics while everything fails: a queue, several `ingest` processes, one table, and a second function that ticks. Processes are
killed at random times, messages come twice, answers of the table and of the receiver are lost, and two ticks run at once.

At the end each series in a real Prometheus is the exact sum of what was sent, and `increase()` says the same. Environment variables make
the run longer (see README.md):

    CHAOS_EVENTS=30000 CHAOS_SECONDS=300 CHAOS_SEED=7 ../.env/venv/bin/python -m pytest -s test_chaos_typed.py
"""
import os
import random
import threading
import time
from collections import Counter, defaultdict

import pytest

from support import proxy
from support.event_source import EventSource
from support.prometheus import Prometheus
from support.proxy import FaultProxy
from support.runtime_api import Ingest, IngestExited

EVENTS = int(os.environ.get("CHAOS_EVENTS", 1500))
SECONDS = float(os.environ.get("CHAOS_SECONDS", 9))
SEED = os.environ.get("CHAOS_SEED", "1")
DEADLINE_S = 3.0
BOUNDS = [1, 5, 10]
#: At most this many messages are on the queue or in flight.
BACKLOG = 120


class Senders:
    """Draws messages, and knows what their events add up to. Some events carry an `id` and come again in another message."""

    def __init__(self, generator):
        self._generator = generator
        self._again = []
        self.events = 0
        #: The name of a series -> its value; and the observations of the histogram.
        self.totals, self.observed = Counter(), []

    def message(self):
        events = [self._event() for _ in range(self._generator.randint(1, 8))]
        return events if len(events) > 1 else events[0]

    def _event(self):
        generator = self._generator
        if self._again and generator.random() < 0.1:
            return generator.choice(self._again)
        self.events += 1
        if generator.random() < 0.2:
            values = [generator.randint(0, 12) for _ in range(generator.randint(1, 4))]
            event = {"type": "histogram", "name": "chaos_seconds", "value": values, "buckets": BOUNDS}
            self.observed += values
        else:
            # Series are born until the end.
            name = f"chaos_{generator.randrange(3 + self.events // 100)}_total"
            event = {"type": "counter", "name": name, "value": generator.randint(1, 5)}
            self.totals[name] += event["value"]
        if generator.random() < 0.15:
            event["id"] = f"event-{self.events}"
            self._again.append(event)
        return event


class Ticks:
    """A thread that asks for a tick each half second, now and then for two at once, and kills some of them."""

    def __init__(self, generator, start):
        self._generator, self._start = generator, start
        self._over, self._calm = threading.Event(), threading.Event()
        self.ticks = self.killed = self.failed = 0
        self.faults = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        functions = [self._start(), self._start()]
        try:
            while not self._over.is_set():
                tick = int(time.time() * 2) * 500
                self.ticks += 1
                twice = not self._calm.is_set() and self._generator.random() < 0.3
                begun = [(place, functions[place].begin({"tick": tick}, 10)) for place in range(1 + twice)]
                if not self._calm.is_set() and self._generator.random() < 0.4:
                    time.sleep(self._generator.choice([0.001, 0.004, 0.01, 0.02]))  # so much of the tick is done
                    functions[0].kill()
                for place, request in begun:
                    try:
                        self.failed += not functions[place].finish(request).ok
                    except IngestExited:
                        self.killed += 1
                        functions[place].close()
                        functions[place] = self._start()
                self._over.wait(0.5 - time.time() % 0.5)
        except Exception as why:  # the test reports it
            self.faults.append(f"{type(why).__name__}: {why}")
        finally:
            for one in functions:
                one.close()

    def be_kind(self):
        self._calm.set()

    def end(self):
        """Ends it after two more ticks without faults."""
        first, patience = self.ticks, time.monotonic() + 20
        while self.ticks < first + 3 and not self.faults and time.monotonic() < patience:
            time.sleep(0.05)
        self._over.set()
        self._thread.join(30)
        assert not self.faults, self.faults


class Faults:
    """Draws a fault for each request, while there are any."""

    def __init__(self, generator, probability, faults):
        self._generator, self._probability, self._faults, self._lock = generator, probability, faults, threading.Lock()
        self.calm, self.seen = False, Counter()

    def __call__(self, _):
        with self._lock:
            if self.calm or self._generator.random() > self._probability:
                return None
            name, make = self._generator.choice(self._faults)
            self.seen[name] += 1
            return make()


RECEIVER_FAULTS = [("503", lambda: proxy.answer(503, "later")), ("429", lambda: proxy.answer(429, "slower")),
                   ("stored, and 500", lambda: proxy.answer(500, "who knows", stored=True)),
                   ("stored, and reset", lambda: proxy.reset_after_body(stored=True)), ("reset", proxy.reset_in_body)]
TABLE_FAULTS = [("500", lambda: proxy.answer(500, "{}")), ("effect, and 500", lambda: proxy.answer(500, "{}", stored=True)),
                ("effect, and reset", lambda: proxy.reset_after_body(stored=True)), ("reset", proxy.reset_in_body),
                ("late", lambda: proxy.late(0.3))]


def buckets(values):
    """Returns what the series of the histogram hold, by the name and `le`."""
    held = {("chaos_seconds_bucket", f"{bound:.1f}"): sum(value <= bound for value in values) for bound in BOUNDS}
    held["chaos_seconds_bucket", "+Inf"] = held["chaos_seconds_count", None] = len(values)
    return {**held, ("chaos_seconds_sum", None): sum(values)}


@pytest.mark.early
def test_every_typed_event_counts_once_while_everything_fails(sqs, dynamodb, table):
    generator, senders = random.Random(SEED), Senders(random.Random(f"{SEED} senders"))
    weather = [Faults(random.Random(f"{SEED} receiver"), 0.3, RECEIVER_FAULTS), Faults(random.Random(f"{SEED} table"), 0.1, TABLE_FAULTS)]
    # Without a window, as AMP: a value that is overtaken is refused.
    with Prometheus(out_of_order_window="0s") as prometheus, FaultProxy(prometheus.url.partition("://")[2]) as receiver, \
            FaultProxy(dynamodb.endpoint.partition("://")[2]) as state:
        receiver.fault_with(weather[0])
        state.fault_with(weather[1])
        dead = sqs.queue()
        env = {"REMOTE_WRITE_URL": receiver.remote_write_url("/api/v1/write"), "REMOTE_WRITE_AUTH": "none",
               "STATE_TABLE": table.name, "STATE_SHARDS": 2, "AWS_ENDPOINT_URL_DYNAMODB": state.remote_write_url(""),
               "DEAD_LETTER_QUEUE_URL": dead.url, "AWS_ENDPOINT_URL_SQS": sqs.endpoint}
        queue = sqs.queue()
        source = EventSource(queue, lambda: Ingest(env), workers=3, deadline_s=DEADLINE_S, batch=(1, 6), visibility_s=4,
                             kill=0.3, lose_deletion=0.05, run_out=0.05, unkind=random.Random(str(generator.random())))
        ticks = Ticks(random.Random(str(generator.random())), lambda: Ingest(env))
        source.start()
        sent, end = 0, time.monotonic() + SECONDS
        try:
            while (senders.events < EVENTS or time.monotonic() < end) and not source.faults:
                if time.monotonic() > end:
                    be_kind(source, ticks, weather)
                elif senders.events >= EVENTS * (1 + time.monotonic() - end + SECONDS) / SECONDS or \
                        sent - len(source.done) > BACKLOG:
                    time.sleep(0.01)  # as many events as belong to this time
                    continue
                sent += len(queue.send_all([senders.message() for _ in range(5)]))
            be_kind(source, ticks, weather)
            assert source.drain(60 + SECONDS), "messages on the queue were never settled"
        finally:
            source.close()
            ticks.end()
        assert not source.faults, source.faults[:3]
        assert dead.letters() == []
        found, increases = read(prometheus)
    expected = {(name, None): value for name, value in senders.totals.items()} | buckets(senders.observed)
    print(f"\ntyped chaos, seed {SEED}: {senders.events} events in {sent} messages, {len(expected)} series\n"
          f"  {source.invocations} invocations, {source.killed} killed, {sum(map(len, source.deliveries.values()))} deliveries, "
          f"{source.deletions_lost} deletions lost\n  {ticks.ticks} ticks, {ticks.killed} killed, {ticks.failed} failed\n"
          f"  faults of the receiver {dict(weather[0].seen)}\n  faults of the table {dict(weather[1].seen)}")
    assert found == expected
    assert increases == expected


def be_kind(source, ticks, weather):
    source.be_kind()
    ticks.be_kind()
    for one in weather:
        one.calm = True


def read(prometheus):
    """Returns the values of all series at the last tick, and their `increase()` since their births, by name and `le`."""
    (samples,) = prometheus.samples("chaos_seconds_count").values()
    last = samples[-1][0] / 1000
    results = defaultdict(dict)
    # `increase()` drops the name, so each name is a query of its own.
    for name in {one["metric"]["__name__"] for one in prometheus.api("query", query='{__name__=~"chaos_.*"}', time=last)["result"]}:
        for query in (name, f"increase({name}[30m])"):
            for one in prometheus.api("query", query=query, time=last)["result"]:
                results[query == name][name, one["metric"].get("le")] = float(one["value"][1])
    return results[True], results[False]
