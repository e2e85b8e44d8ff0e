"""Everything at once: thousands of events of many devices go through a queue. Meanwhile the receiver, the network, the dead-letter
queue and the function itself fail at random.

At the end each event is stored with its value and time, or its message lies on the dead-letter queue with a true reason. Both
may be true of an event only if its dead letter is marked `maybe_stored`. Runs are seeded; environment variables make them longer
(see README.md):

    CHAOS_EVENTS=30000 CHAOS_SECONDS=600 CHAOS_SEED=7 ../.env/venv/bin/python -m pytest -s test_chaos.py
"""
import json
import os
import random
import threading
import time
from collections import Counter, defaultdict

import pytest

from support import proxy
from support.event_source import EventSource
from support.event_source_fifo import FifoQueue
from support.events import now_ms
from support.faults import REPLAY_REASONS, assert_groups_kept_in_order, assert_settled, reason_of
from support.prometheus import Prometheus
from support.proxy import FaultProxy
from support.receiver import Receiver
from support.remote_write import bits
from support.runtime_api import Ingest
from support.sqs import Letter, SqsFront, broken, throttled
from support.tsdb import Tsdb

EVENTS = int(os.environ.get("CHAOS_EVENTS", 0))
SECONDS = float(os.environ.get("CHAOS_SECONDS", 0))
SEED = os.environ.get("CHAOS_SEED", "1")
DEADLINE_S = 3.0
#: The receiver answers 413 to requests with more bytes than this. Only events that are made `large` need more.
LARGE = 12_000
#: At most this many messages are on the queue or in flight.
BACKLOG = 250


# --- the messages ----------------------------------------------------------------------------------------------------

class Event:
    """One event as sent. Without a timestamp it has the time of its message."""

    def __init__(self, metrics, dimensions, timestamp, reason=None, large=False):
        self.metrics, self.dimensions, self.timestamp = metrics, dimensions, timestamp
        #: The reason for which the gateway itself must reject it, if any.
        self.reason = reason
        self.large = large

    @property
    def good(self):
        """True if nothing can be wrong with it but its position in the order."""
        return self.reason is None and not self.large and "bad" not in self.dimensions

    def json(self):
        text = {"dimensions": self.dimensions, "metrics": self.metrics}
        return text if self.timestamp is None else {**text, "timestamp": self.timestamp}

    def samples(self, sent):
        when = sent if self.timestamp is None else self.timestamp
        return [(tuple(sorted([("__name__", metric), *self.dimensions.items()])), when, bits(float(value)))
                for metric, value in self.metrics.items()]


class Fleet:
    """Draws messages and the group of each. A message is a list of events, or a text that is no event with its reason.

    If `ordered`, the samples of a device are in one group, and each is later than the one before it.
    """

    def __init__(self, generator, devices, conflicts, disliked, ordered=False):
        self._generator, self._devices, self._conflicts, self._disliked = generator, devices, conflicts, disliked
        self._ordered = ordered
        self._last = defaultdict(int)
        self._numbers = 0
        self._sent = []

    def _time(self, device):
        self._last[device] = max(now_ms(), self._last[device] + 1)
        return self._last[device]

    def _any(self):
        return f"d{self._generator.randrange(self._devices)}"

    def _event(self, group, metrics=("ph",)):
        device = group if self._ordered else self._any()
        return Event({metric: self._value() for metric in metrics}, {"device": device}, self._time(device))

    def _value(self):
        return self._generator.uniform(-50, 50)

    def message(self):
        """Draws one message and its group."""
        group = self._any()
        return self._message(group), group

    def _message(self, group):
        draw, self._numbers = self._generator.random(), self._numbers + 1
        generator, once = self._generator, f"once{self._numbers}"
        if draw < 0.58 or (self._ordered and 0.88 <= draw < 0.94):
            events = [self._event(group)]
        elif draw < 0.66:
            events = [self._event(group, ("ph", "temperature", "o2"))]
        elif draw < 0.84:
            events = [self._event(group) for _ in range(generator.randint(2, 6))]
        elif draw < 0.88:
            events = [Event({"ph": self._value()}, {"device": once}, None)]
        elif draw < 0.91:
            events = [Event({"ph": self._value()}, {"device": self._any()}, now_ms() - generator.randint(5_000, 90_000))]
        elif draw < 0.93 and self._sent:
            return [generator.choice(self._sent)]  # the same event in a message of its own
        elif draw < 0.94 and self._conflicts and self._sent:
            twin = generator.choice(self._sent)
            events = [Event({metric: self._value() for metric in twin.metrics}, twin.dimensions, twin.timestamp)]
        elif draw < 0.95 and self._disliked:
            events = [Event({"ph": self._value()}, {"device": once, "bad": "yes"}, now_ms())]
        elif draw < 0.955:
            metrics = {f"m{generator.getrandbits(400):x}": self._value() for _ in range(150)}
            events = [Event(metrics, {"device": once}, now_ms(), large=True)]
        elif draw < 0.975:
            events = [generator.choice([
                Event({"ph": "abc"}, {"device": once}, now_ms(), "invalid_value"),
                Event({"__ph": 1}, {"device": once}, now_ms(), "invalid_metric_name"),
                Event({"ph": 1}, {"device": once}, now_ms() - 7_200_000, "too_old"),
                Event({"ph": 1}, {"device": once}, now_ms() + 3_600_000, "in_future")])]
            if generator.random() < 0.3:
                events.insert(0, self._event(group))
        elif draw < 0.98:
            return generator.choice([("{", "invalid_json"), ("17", "invalid_event"), ('{"metrics":{}}', "invalid_event")])
        else:
            events = [self._event(group)]
        self._sent = (self._sent + [one for one in events if one.reason is None and one.timestamp and not one.large])[-300:]
        return events


# --- the faults ------------------------------------------------------------------------------------------------------

#: Every fault of the matrix that does not lie about a sample: (weight, how to make it, how many requests it may last).
_WEATHER = [
    (6, lambda g: None, 40),
    (2, lambda g: proxy.answer(429, "rate exceeded"), 10),
    (1, lambda g: proxy.answer(429, "rate exceeded", {"Retry-After": g.choice(["1", "0", "86400", "garbage"])}), 5),
    (2, lambda g: proxy.answer(g.choice([500, 502, 503, 504]), "try later"), 10),
    (1, lambda g: proxy.answer(503, "x" * 1_000_000), 3),
    (2, lambda g: proxy.answer(500, "stored, but who knows", stored=True), 6),
    (2, lambda g: proxy.reset_after_body(stored=True), 6),
    (1, lambda g: proxy.reset_after_body(), 6),
    (1, lambda g: proxy.reset_before_body(), 6),
    (1, lambda g: proxy.reset_in_body(), 6),
    (1, lambda g: proxy.answer(g.choice([301, 401, 403, 404, 408, 415]), "no"), 6),
    (1, lambda g: proxy.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), 6),
    (1, lambda g: proxy.raw(b""), 6),
    (1, lambda g: proxy.hang(), 1),
    (1, lambda g: proxy.hang(stored=True), 1),
    (1, lambda g: proxy.drip(0.01), 3),
    (1, lambda g: proxy.late(0.3), 4),
]


class Weather:
    """Draws a fault for each request; the same fault comes several times in a row. `clear()` ends all faults."""

    def __init__(self, generator):
        self._generator, self._lock = generator, threading.Lock()
        self._make, self._left, self._share, self._clear = None, 0, 0, False
        self.seen = Counter()

    def clear(self):
        self._clear = True

    def __call__(self, exchange):
        length = int(exchange.head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if length > LARGE:
            return proxy.answer(413, "request too large")  # always: a receiver's limit does not pass
        with self._lock:
            if self._clear:
                return None
            if self._left <= 0:
                _, self._make, longest = self._generator.choices(_WEATHER, [weight for weight, _, _ in _WEATHER])[0]
                self._left = self._generator.randint(1, longest)
                self._share = self._generator.choice([0.3, 0.7, 1.0])
            self._left -= 1
            fault = self._make(self._generator) if self._generator.random() < self._share else None
            self.seen[repr(fault).partition(" {")[0] if fault else "none"] += 1
            return fault


class Storm:
    """A thread that closes the receiver's port, hangs up on all connections, or fills the workspace, now and then."""

    def __init__(self, generator, front, tsdb):
        self._generator, self._front, self._tsdb = generator, front, tsdb
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._blow, daemon=True)
        self._thread.start()
        self.blows = Counter()

    def _blow(self):
        while not self._over.wait(self._generator.uniform(0.2, 0.8)):
            what = self._generator.choice(["down", "hung up", "full"] if self._tsdb else ["down", "hung up"])
            self.blows[what] += 1
            if what == "down":
                self._front.down()
                self._over.wait(self._generator.uniform(0.05, 0.4))
                self._front.up()
            elif what == "hung up":
                self._front.cut_idle()
            else:
                self._tsdb.series_limit = len(self._tsdb.series)
                self._over.wait(self._generator.uniform(0.1, 0.5))
                self._tsdb.series_limit = None

    def end(self):
        self._over.set()
        self._thread.join()


class Queue:
    """Faults of the dead-letter queue: `hook` and `spoil` for `SqsFront`."""

    def __init__(self, generator):
        self._generator, self._lock, self.clear, self.seen = generator, threading.Lock(), False, Counter()

    def hook(self, call):
        with self._lock:
            draw = self._generator.random()
            if self.clear or draw > 0.25:
                return None
            name, what = self._generator.choice([("5xx", broken), ("throttled", throttled), ("reset", lambda call: "reset")])
            self.seen[name] += 1
        return what(call)

    def spoil(self, call, answer):
        with self._lock:
            if self.clear or self._generator.random() > 0.15 or not answer.get("Successful"):
                return answer
            # SQS has the dead letter but denies it. The gateway must return the message, which has two dead letters then.
            self.seen["denied"] += 1
            lost, kept = answer["Successful"][0], answer["Successful"][1:]
        return {**answer, "Successful": kept, "Failed": answer.get("Failed", []) + [
            {"Id": lost["Id"], "SenderFault": False, "Code": "InternalError", "Message": "try again"}]}


class Letters:
    """A thread that takes dead letters off their queue as they come: moto gets slower with each message that a queue holds.

    `all()` ends it and returns message id -> its dead letters, usually one.
    """

    def __init__(self, queue):
        self._queue, self._over, self._taken, self._broken = queue, threading.Event(), defaultdict(list), None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        try:
            while not self._over.wait(0.1):
                self._take()
            self._take()
        except Exception as why:  # reported by `all`
            self._broken = why

    def _take(self):
        """Takes all messages that are on the queue."""
        while messages := self._queue.client.receive_message(
                QueueUrl=self._queue.url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"],
                VisibilityTimeout=600).get("Messages", []):
            self._queue.client.delete_message_batch(QueueUrl=self._queue.url, Entries=[
                {"Id": str(index), "ReceiptHandle": one["ReceiptHandle"]} for index, one in enumerate(messages)])
            for letter in map(Letter, messages):
                self._taken[letter.attributes["source_message_id"]].append(letter)

    def all(self):
        self._over.set()
        self._thread.join()
        assert self._broken is None, f"the dead letters could not be received: {self._broken}"
        return self._taken


# --- the run ---------------------------------------------------------------------------------------------------------

class Run:
    """One run against the receiver at `address` and `path`. `tsdb` is its model, if it has one. If `fifo`, groups stay in order."""

    def __init__(self, sqs, seed, address, path, tsdb=None, conflicts=False, auth="sigv4", fifo=False):
        self.generator = random.Random(seed)
        self.sqs, self.tsdb, self.fifo = sqs, tsdb, fifo
        self.fleet = Fleet(random.Random(f"{seed} fleet"), 40, conflicts, tsdb is not None, fifo)
        self.queue, self.dead = FifoQueue() if fifo else sqs.queue(), sqs.queue(fifo=fifo)
        self.letters = Letters(self.dead)
        self.proxy = FaultProxy(address)
        self.url = self.proxy.remote_write_url(path)
        self.auth = auth
        self.weather = Weather(random.Random(f"{seed} weather"))
        self.faulty_queue = Queue(random.Random(f"{seed} queue"))
        #: Message id -> its events or (text, reason), in the order of sending; and message id -> its group.
        self.messages, self.groups = {}, {}
        self.events = 0
        self.totals = Counter()

    def _start_ingest(self, endpoint):
        return Ingest({"REMOTE_WRITE_URL": self.url, "REMOTE_WRITE_AUTH": self.auth, "AWS_ENDPOINT_URL_SQS": endpoint,
                       "DEAD_LETTER_QUEUE_URL": self.dead.url})

    def _check(self, result, records):
        # Taken from the function's own clock: a dozen threads share this process, which may see an answer late.
        assert result.metrics["total_ms"] < DEADLINE_S * 1000, result.metrics
        assert_settled(result, DEADLINE_S, margin_s=-1)
        if self.fifo:
            assert_groups_kept_in_order(result, records)
        for name in ("received", "delivered", "errored", "rejected", "maybe_stored", "requests", "retries"):
            self.totals[name] += result.metrics[name]

    def _send(self):
        """Sends ten more messages."""
        drawn = [self.fleet.message() for _ in range(10)]
        bodies = [one[0] if isinstance(one, tuple) else
                  one[0].json() if len(one) == 1 else [event.json() for event in one] for one, _ in drawn]
        names = [self.queue.send(body, group) for body, (_, group) in zip(bodies, drawn)] if self.fifo \
            else self.queue.send_all(bodies)
        for name, (one, group) in zip(names, drawn):
            self.messages[name], self.groups[name] = one, group
            self.events += 1 if isinstance(one, tuple) else len(one)

    def go(self, events, seconds):
        """Sends and delivers with faults for `seconds`, then drains the queue without faults."""
        end = time.monotonic() + seconds
        self.proxy.fault_with(self.weather)
        storm = Storm(random.Random(str(self.generator.random())), self.proxy, self.tsdb)
        with SqsFront(self.sqs, self.faulty_queue.hook, self.faulty_queue.spoil) as front:
            source = self.source = EventSource(self.queue, lambda: self._start_ingest(front.url), workers=2,
                                               deadline_s=DEADLINE_S, batch=(1, 10 if self.fifo else 40), check=self._check,
                                               unkind=random.Random(str(self.generator.random())), kill=0.06, run_out=0.02)
            source.start()
            try:
                while self.events < events and not source.faults:
                    self._send()
                    # moto gets slower with each message that it holds.
                    while len(self.messages) - len(source.done) > BACKLOG and not source.faults:
                        if time.monotonic() > end:
                            self._clear(storm)
                        time.sleep(0.01)  # between two looks at the backlog
                while time.monotonic() < end and len(source.done) < len(self.messages) and not source.faults:
                    time.sleep(0.05)
                self._clear(storm)
                drained = source.drain(60 + seconds)
            finally:
                storm.end()
                source.close()
                self.proxy.close()
        assert not source.faults, "\n".join(source.faults[:5])
        assert drained, "messages on the queue were never settled"
        return storm

    def _clear(self, storm):
        """Ends all faults."""
        storm.end()
        self.weather.clear()
        self.faulty_queue.clear = True
        self.source.be_kind()

    def judge(self, held, refused):
        """Checks the end of each message. The receiver has a sample if `held(sample)`; it ever refused it for `refused[sample]`."""
        letters, counts, wrong, owners = self.letters.all(), Counter(), [], defaultdict(set)
        seen = Counter(sample for exchange in self.proxy.exchanges for sample in set(exchange.samples))
        samples_of = {}
        for name, events in self.messages.items():
            if isinstance(events, tuple):
                continue
            samples_of[name] = [[] if one.reason else one.samples(self.source.sent[name]) for one in events]
            for sample in sum(samples_of[name], []):
                owners[sample[:2]].add((name, sample[2]))

        for name, events in self.messages.items():
            mine, counts["messages"] = letters.pop(name, []), counts["messages"] + 1
            counts["dead letters sent twice"] += max(0, len(mine) - 1)
            reasons = {letter.attributes["reason"] for letter in mine}
            if self.fifo and any(letter.system["MessageGroupId"] != self.groups[name] for letter in mine):
                wrong.append(f"{name} of {self.groups[name]}: a dead letter of another group: {[one.system for one in mine]}")
            marked = bool(mine) and all(letter.attributes.get("maybe_stored") == "true" for letter in mine)
            for reason in reasons:
                counts[f"dead-lettered: {reason}"] += 1
            if isinstance(events, tuple):
                counts["events"] += 1
                counts["events dead-lettered"] += 1
                if reasons != {events[1]} or any(letter.body != events[0] for letter in mine):
                    wrong.append(f"{name} {events}: {mine}")
                continue
            counts["events"] += len(events)
            body = json.dumps(events[0].json() if len(events) == 1 else [one.json() for one in events])
            if any(letter.body != body for letter in mine):
                wrong.append(f"{name}: the dead letter is not the message: {mine}")
            # Two messages with the same sample, or with two values for one time: nobody can tell which one stored it.
            twins = any(len(owners[sample[:2]]) > 1 for sample in sum(samples_of[name], []))
            stored = [not one.reason and all(held(sample) for sample in samples)
                      for one, samples in zip(events, samples_of[name])]
            true = {one.reason for one in events if one.reason} | {"too_large" for one in events if one.large}
            for sample in sum(samples_of[name], []):
                true |= refused.get(sample, set())
                if any(value != sample[2] for _, value in owners[sample[:2]]):
                    true.add("duplicate_timestamp")
            if self.fifo:
                for one, samples, is_stored in zip(events, samples_of[name], stored):
                    if not one.good or is_stored:
                        continue
                    # The workspace was full for one of its metrics.
                    was_full = marked and any(None in refused.get(sample, ()) for sample in samples)
                    if was_full and any(held(sample) and sample in refused for sample in samples):
                        # The workspace took its other metrics, which are replays from then on.
                        counts["events stored in part, dead-lettered and marked maybe_stored"] += 1
                    elif was_full and len(samples) > 1 and reasons <= REPLAY_REASONS:
                        # The workspace named no series, and its limit grew during a bisection. Nobody can tell which metric was
                        # over the limit, so later samples of the other metrics do not wait. The contract allows that.
                        counts["events that a full workspace refused, overtaken, dead-lettered and marked maybe_stored"] += 1
                    else:
                        wrong.append(f"{name} of {self.groups[name]}: a good event of an ordered group is not stored: {stored} "
                                     f"{mine} {self.source.deliveries[name]} {self._trace(samples_of[name])}")
            if not mine:
                counts["events stored"] += len(events)
                if not all(stored) and not self._overwritten(samples_of[name], owners, held):
                    wrong.append(f"{name} is LOST: acknowledged {self.source.deliveries[name]}, not dead-lettered, stored: {stored}, "
                                 f"{body}; sent in {self._trace(samples_of[name])}")
                continue
            counts["events stored beside rejected ones in a message"] += sum(stored) if not all(stored) else 0
            counts["events dead-lettered"] += len(events) - sum(stored)
            if not reasons <= true:
                wrong.append(f"{name}: dead-lettered as {reasons}, true would be {true}: {mine} {self._trace(samples_of[name])}")
            if marked and not reasons <= REPLAY_REASONS:
                wrong.append(f"{name}: marked, although the reason is {reasons}")
            if marked and max(self.source.deliveries[name]) == 1 and \
                    all(seen[sample] < 2 for sample in sum(samples_of[name], [])):
                wrong.append(f"{name}: marked, although each sample was sent once: {mine}")
            if all(stored):
                if marked:
                    counts["events stored and dead-lettered, marked maybe_stored"] += len(events)
                elif twins:
                    counts["events stored and dead-lettered, of the same sample in two messages"] += len(events)
                elif name in self.source.in_two_hands:
                    # The function that had the message first could not know that another one stored it meanwhile.
                    counts["events stored and dead-lettered, of a message in two hands at once"] += len(events)
                else:
                    wrong.append(f"{name}: stored and dead-lettered without a mark: {mine} {self.source.deliveries[name]} "
                                 f"{self._trace(samples_of[name])}")
        for name, mine in letters.items():
            wrong.append(f"dead letters for a message that nobody sent: {mine}")
        self.owners = owners
        return counts, wrong

    def _overwritten(self, samples, owners, held):
        """True if only second values for a time are missing: a receiver with a window drops these silently."""
        return all(held(sample) or any(held((*sample[:2], value)) for _, value in owners[sample[:2]])
                   for sample in sum(samples, [])) if self.tsdb is None or self.tsdb.window_ms else False

    def _trace(self, samples):
        wanted = set(sum(samples, []))
        return [exchange for exchange in self.proxy.exchanges if wanted & set(exchange.samples)]

    def report(self, title, counts, storm):
        source = self.source
        print(f"\n{title}")
        for name in sorted(counts):
            print(f"  {counts[name]:7}  {name}")
        print(f"  {source.invocations:7}  invocations, {source.killed} killed; {source.handed_back} messages returned, "
              f"{source.deletions_lost} deletions lost, {len(source.in_two_hands)} messages in two hands at once")
        print(f"  {len(self.proxy.exchanges):7}  requests seen; the metric lines say {dict(self.totals)}")
        print(f"  faults: {dict(self.weather.seen)} {dict(storm.blows)}")
        print(f"  faults of the dead-letter queue: {dict(self.faulty_queue.seen)}")


def rejection_reasons(exchanges):
    """Returns sample -> the reasons that the error texts gave for requests with it."""
    found = defaultdict(set)
    for exchange in exchanges:
        if exchange.status in (400, 409, 422) and exchange.status == exchange.receiver_status:
            for sample in exchange.samples:
                found[sample].add(reason_of(exchange.text))
    return found


def assert_right(run, counts, wrong, stored):
    """Checks that no message came to a wrong end, and that the receiver stored nothing that was never sent."""
    assert not wrong, f"{len(wrong)} messages came to a wrong end:\n" + "\n".join(wrong[:5])
    for (labels, when), value in stored.items():
        assert any(value == sent for _, sent in run.owners[(labels, when)]), f"never sent: {labels} {when} {value}"
    assert counts["events"] == run.events


def into_our_receiver(sqs, flavour, window_s, fifo, events, seconds):
    tsdb = Tsdb(flavour, window_ms=window_s * 1000, refuse=lambda labels: ("bad", "yes") in labels)
    with Receiver(several_senders=True) as receiver:
        receiver.answer_with(tsdb.judge)
        run = Run(sqs, f"{SEED} {flavour} {window_s}", receiver.address, receiver.path, tsdb,
                  conflicts=window_s == 0 and not fifo, fifo=fifo)
        storm = run.go(events, seconds)
        counts, wrong = run.judge(tsdb.holds, tsdb.refused)
        run.report(f"chaos{', FIFO' if fifo else ''}, flavour {flavour}, window {window_s} s, seed {SEED}", counts, storm)
        receiver.check()
    assert_right(run, counts, wrong, {(labels, when): value for labels, series in tsdb.series.items()
                                      for when, value in series.samples.items()})
    return tsdb


def into_prometheus(sqs, window_s, fifo, events, seconds):
    with Prometheus(out_of_order_window=f"{window_s}s") as prometheus:
        run = Run(sqs, f"{SEED} real", prometheus.url.partition("://")[2], "/api/v1/write", auth="none", fifo=fifo)
        storm = run.go(events, seconds)
        stored = {}
        for one in prometheus.api("query", query='{device=~".+"}[3h]', time=time.time() + 60)["result"]:
            labels = tuple(sorted(one["metric"].items()))
            for when, value in one["values"]:
                stored[(labels, round(when * 1000))] = bits(float(value))
    counts, wrong = run.judge(lambda sample: stored.get(sample[:2]) == sample[2], rejection_reasons(run.proxy.exchanges))
    run.report(f"chaos{', FIFO' if fifo else ''}, into a real Prometheus, window {window_s} s, seed {SEED}", counts, storm)
    assert_right(run, counts, wrong, stored)


@pytest.mark.parametrize("flavour, window_s", [("amp", 60), ("amp", 0), ("prometheus", 0)])
def test_chaos_loses_nothing_and_counts_nothing_twice(sqs, flavour, window_s):
    into_our_receiver(sqs, flavour, window_s, False, EVENTS or 1500, SECONDS or 9)


def test_chaos_into_a_real_prometheus_loses_nothing_and_counts_nothing_twice(sqs):
    into_prometheus(sqs, 60, False, EVENTS or 1500, SECONDS or 9)


@pytest.mark.parametrize("flavour, window_s", [("amp", 60), ("amp", 0), ("prometheus", 0)])
def test_chaos_on_a_fifo_queue_stores_every_good_event_in_the_order_of_its_group(sqs, flavour, window_s):
    tsdb = into_our_receiver(sqs, flavour, window_s, True, EVENTS or 600, SECONDS or 5)
    # `samples` keeps the order in which the receiver stored them. The times of a series grow in the order of sending.
    wrong = [labels for labels, series in tsdb.series.items() if list(series.samples) != sorted(series.samples)]
    assert not wrong, f"{len(wrong)} series did not arrive in their order: {wrong[:3]}"


def test_chaos_on_a_fifo_queue_into_a_real_prometheus_without_a_window_stores_every_good_event(sqs):
    # Prometheus refuses every late sample here: one that a later sample of its series overtakes would be missing.
    into_prometheus(sqs, 0, True, EVENTS or 600, SECONDS or 5)
