"""Bisection: finding the events that a 400 is about.

Whatever a receiver refuses, answers and keeps, the gateway stores every good event. It dead-letters every culprit with its true
reason, and sends a bounded number of requests.
"""
import json
import random

import pytest

from support import proxy
from support.events import event, now_ms
from support.faults import REPLAY_REASONS, Stand, maybe_stored_of, search_bound
from support.receiver import Answer
from support.remote_write import bits
from support.sqs import record
from support.tsdb import HOUR, Tsdb, go_labels, go_time

FLAVOURS = ["amp", "prometheus"]
WORDS = ["amp", "prometheus", "empty", "other"]
MINUTE = 60_000


def labels_of(metric, dimensions):
    return tuple(sorted([("__name__", metric), *dimensions.items()]))


def samples_of(one):
    """Returns the samples of an event: [(labels, timestamp, bits)]."""
    return [(labels_of(metric, one.get("dimensions", {})), one["timestamp"], bits(float(value)))
            for metric, value in one["metrics"].items()]


# --- random batches --------------------------------------------------------------------------------------------------

class Scene:
    """A receiver that holds samples already, and a batch of messages; some of their events are culprits.

    Good events are good in any order of the series, if the samples of one series go in time order. A culprit stays one.
    """

    ODD = ['plain', 'quote"d', "back\\slash", "new\nline", "Wörth}", "a, b", "c=d", "out-of-this-world"]

    def __init__(self, seed, tsdb, events, culprits):
        self.generator = generator = random.Random(seed)
        self.tsdb, self.now = tsdb, now_ms()
        tsdb.clock = lambda: self.now
        tsdb.refuse = lambda labels: ("bad", "yes") in labels
        tsdb.put(labels_of("anchor", {}), self.now - 1000, bits(1))
        #: (event, is it a culprit)
        self.events = []
        kinds = [self._out_of_order, self._duplicate, self._too_old, self._in_future, self._disliked, self._half]
        bad = [generator.choice(kinds)(number) for number in range(culprits)]
        good = []
        while len(good) < events - culprits:
            good += generator.choice([self._fresh, self._next, self._same, self._row, self._late])(events + len(good))
        good = good[:events - culprits]
        self.events = [(one, True) for one in bad] + [(one, False) for one in good]
        generator.shuffle(self.events)
        #: (record, [(event, is it a culprit)])
        self.messages = []
        rest = list(self.events)
        while rest:
            size = generator.choice([1, 1, 1, 1, 3])
            part, rest = rest[:size], rest[size:]
            body = part[0][0] if len(part) == 1 else [one for one, _ in part]
            self.messages.append((record(body, f"m-{len(self.messages)}"), part))
        self.records = [one for one, _ in self.messages]

    def _dimensions(self, number):
        return {"device": f"d{number}", "odd": self.generator.choice(self.ODD)}

    def _past(self, dimensions, before, value=1.5, metric="ph"):
        self.tsdb.put(labels_of(metric, dimensions), self.now - before, bits(value))

    # culprits: one event for each series
    def _out_of_order(self, number):
        dimensions = self._dimensions(number)
        self._past(dimensions, 2000)
        return event({"ph": 2.5}, dimensions, self.now - (5 * MINUTE if self.tsdb.window_ms else 12_000))

    def _duplicate(self, number):
        dimensions = self._dimensions(number)
        self._past(dimensions, 2000)
        return event({"ph": 2.5}, dimensions, self.now - 2000)

    def _too_old(self, number):
        dimensions = self._dimensions(number)
        return event({"ph": 2.5}, dimensions, self.now - self.tsdb.max_age_ms - 10 * MINUTE)

    def _in_future(self, number):
        return event({"ph": 2.5}, self._dimensions(number), self.now + self.tsdb.lead_ms + 4000)

    def _disliked(self, number):
        return event({"ph": 2.5}, {**self._dimensions(number), "bad": "yes"}, self.now - 3000)

    def _half(self, number):
        dimensions = self._dimensions(number)
        self._past(dimensions, 2000, metric="ec")
        return event({"ph": 2.5, "ec": 2.5, "o2": 2.5}, dimensions, self.now - 2000)

    # good
    def _fresh(self, number):
        return [event({"ph": 2.5, "ec": 1.5}, self._dimensions(number), self.now - self.generator.randint(0, 30_000))]

    def _next(self, number):
        dimensions = self._dimensions(number)
        self._past(dimensions, 30_000)
        return [event({"ph": 2.5}, dimensions, self.now - self.generator.randint(0, 29_000))]

    def _same(self, number):
        dimensions = self._dimensions(number)
        self._past(dimensions, 2000)
        return [event({"ph": 1.5}, dimensions, self.now - 2000)]

    def _row(self, number):
        dimensions = self._dimensions(number)
        start = self.now - 25_000
        return [event({"ph": 2.5 + step}, dimensions, start + step * 1000) for step in range(self.generator.randint(2, 8))]

    def _late(self, number):
        if not self.tsdb.window_ms:
            return self._fresh(number)
        dimensions = self._dimensions(number)
        self._past(dimensions, 2000)
        return [event({"ph": 2.5}, dimensions, self.now - self.generator.randint(3000, 40_000))]


def judge(scene, stand, result, writes, count=1, complete=True):
    """Checks all that must hold after the delivery of a scene without injected faults."""
    tsdb, letters = scene.tsdb, stand.letters()
    failures, refused = set(result.failures), 0
    for message, events in scene.messages:
        name = message["messageId"]
        letter = letters.pop(name, None)
        assert not (letter and name in failures), f"{name} is returned and dead-lettered"
        if complete:
            assert name not in failures, f"{name} is returned: {message['body']}"
        if name in failures:
            continue
        wanted, possible, marks = [], [], []
        for one, is_culprit in events:
            samples = samples_of(one)
            reasons = set().union(*(tsdb.refused[sample] for sample in samples if sample in tsdb.refused))
            if is_culprit:
                assert not all(tsdb.holds(sample) for sample in samples)
                wanted.append(reasons)
            else:
                assert all(tsdb.holds(sample) for sample in samples), f"a good event of {name} is not stored: {one}"
                if reasons:  # a replay of a stored sample, which the receiver refuses
                    possible.append(reasons)
            if reasons & REPLAY_REASONS:
                marks.append((maybe_stored_of(samples, writes, count), is_culprit, one))
        refused += len(wanted)
        if not letter:
            assert not wanted, f"{name} is acknowledged but {events} is refused"
            continue
        assert wanted or possible, f"{name} is dead-lettered for no reason: {letter}"
        assert letter.body == message["body"]
        assert letter.attributes["reason"] in set().union(*wanted, *possible), letter
        marked = letter.attributes.get("maybe_stored")
        assert marked in (None, "true")
        if letter.attributes["reason"] not in REPLAY_REASONS and len(events) == 1:
            assert marked is None, letter
        if not wanted:
            # The message has only good events. It is dead-lettered because the receiver refused a replay, so it must be marked.
            # If the receiver gives no reason the contract has a gap: the mark goes with three reasons, and this is none of them.
            assert marked == "true" or tsdb.words in ("empty", "other"), f"stored and dead-lettered without a mark: {letter}"
            refused += len(possible)
        elif len(events) == 1 and letter.attributes["reason"] in REPLAY_REASONS:
            expected, _, one = marks[0]
            assert expected == "may" or (marked == "true") == (expected == "must"), f"maybe_stored is {marked}: {one}, {letter}"
    assert not letters, f"unexpected dead letters: {letters}"
    sent = len(writes)
    bound = search_bound(refused, len(scene.events)) if refused else 1
    assert sent <= bound, f"{sent} requests for {refused} refused among {len(scene.events)}, {bound} allowed"
    assert result.metrics["requests"] == sent
    answered = set()
    for write in writes:
        again = answered & set(write.samples)
        assert not again, f"sent again although it was answered 2xx: {again}"
        if write.acknowledged:
            answered |= set(write.samples)


SIZES = [(1, 1), (2, 1), (2, 2), (3, 1), (7, 3), (20, 1), (20, 20), (60, 5), (60, 30), (150, 2), (150, 12)]


@pytest.mark.parametrize("window_s", [0, 60])
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_stores_every_good_event_and_dead_letters_every_culprit_with_its_reason(sqs, flavour, words, window_s):
    for number, (events, culprits) in enumerate(SIZES):
        tsdb = Tsdb(flavour, words, window_ms=window_s * 1000, max_age_ms=HOUR // 2, lead_ms=3000)
        scene = Scene(f"{number} {flavour} {words} {window_s}", tsdb, events, culprits)
        with Stand(sqs, tsdb) as stand:
            result = stand.deliver(*scene.records, deadline_s=20)
            try:
                judge(scene, stand, result, stand.receiver.writes)
            except AssertionError as why:
                raise AssertionError(f"{events} events, {culprits} culprits: {why}") from why


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("words", ["amp", "empty"])
def test_finds_one_culprit_among_a_thousand_in_few_requests(sqs, flavour, words):
    # With a window the receiver refuses no replay, so the culprit is the only rejected event.
    tsdb = Tsdb(flavour, words, window_ms=MINUTE, max_age_ms=HOUR // 2, lead_ms=3000)
    scene = Scene(1, tsdb, 1000, 1)
    with Stand(sqs, tsdb) as stand:
        result = stand.deliver(*scene.records, deadline_s=30)
        assert result.metrics["rejected"] == 1
        judge(scene, stand, result, stand.receiver.writes)


def test_bisection_takes_at_most_500_requests_and_the_next_delivery_continues(sqs):
    with Stand(sqs) as stand:
        stand.tsdb.refuse = lambda labels: ("bad", "yes") in labels
        records = [record(event({"ph": n}, {"pond": str(n), "bad": "yes"}), f"m-{n}") for n in range(300)]
        result = stand.deliver(*records, deadline_s=40)
        assert len(stand.proxy.exchanges) <= 500
        assert result.metrics["requests"] == len(stand.proxy.exchanges)
        line, names = result.metrics, {one["messageId"] for one in records}
        assert line["errored"] == len(result.failures) > 0
        assert line["rejected"] >= 100, "a bisection that is cut short has settled something"
        deliveries = 1
        while result.failures:
            result = stand.deliver_again(records, result, count=deliveries + 1, deadline_s=40)
            deliveries += 1
            assert deliveries <= 4
        letters = stand.dead_letters.letters()
        assert {letter.attributes["source_message_id"] for letter in letters} == names
        assert len(letters) == len(names)
        assert {letter.attributes["reason"] for letter in letters} == {"refused_by_receiver"}


def test_bisection_that_runs_out_of_time_returns_unsettled_messages(sqs):
    with Stand(sqs, Tsdb("prometheus", "other")) as stand:
        stand.tsdb.refuse = lambda labels: ("bad", "yes") in labels
        stand.proxy.fault_with(lambda exchange: proxy.late(0.05))
        records = [record(event({"ph": n}, {"pond": str(n), "bad": "yes" if n % 2 else "no"}), f"m-{n}") for n in range(100)]
        result = stand.deliver(*records, deadline_s=1.5)
        failures, letters = set(result.failures), stand.letters()
        assert failures and not failures & set(letters)
        for n in range(100):
            if f"m-{n}" not in failures:
                assert (f"m-{n}" in letters) == bool(n % 2)
                assert stand.tsdb.holds(samples_of(json.loads(records[n]["body"]))[0]) == (not n % 2)
        stand.proxy.fault_with(None)
        assert stand.deliver_again(records, result, deadline_s=20).failures == []
        assert stand.tsdb.count() == 50
        assert set(stand.letters()) | set(letters) == {f"m-{n}" for n in range(1, 100, 2)}


@pytest.mark.parametrize("seed", range(6))
def test_acknowledges_only_stored_or_dead_lettered_messages_despite_other_faults(sqs, seed):
    generator = random.Random(seed)
    tsdb = Tsdb(FLAVOURS[seed % 2], WORDS[seed % 4], window_ms=[0, 60_000][seed // 2 % 2], max_age_ms=HOUR // 2, lead_ms=3000)
    scene = Scene(seed, tsdb, 60, 8)
    makers = [lambda: proxy.answer(503), lambda: proxy.answer(500, stored=True), proxy.reset_in_body,
              lambda: proxy.reset_after_body(stored=True), lambda: proxy.answer(404), lambda: proxy.answer(429)]
    with Stand(sqs, tsdb) as stand:
        stand.proxy.fault_with(lambda exchange: generator.choice(makers)() if generator.random() < 0.15 else None)
        result, dead_lettered, count = stand.deliver(*scene.records, deadline_s=4), stand.letters(), 1
        while result.failures:
            count += 1
            assert count < 12
            stand.proxy.fault_with(None if count > 4 else stand.proxy._function)
            result = stand.deliver_again(scene.records, result, count, deadline_s=4)
            dead_lettered.update(stand.letters())
        for message, events in scene.messages:
            letter = dead_lettered.pop(message["messageId"], None)
            stored = [all(tsdb.holds(sample) for sample in samples_of(one)) for one, _ in events]
            if letter is None:
                assert all(stored), f"acknowledged, not dead-lettered, not stored: {events}"
            elif all(stored):
                assert letter.attributes.get("maybe_stored") == "true", f"stored and dead-lettered without a mark: {letter}"
        assert not dead_lettered


@pytest.mark.parametrize("status, tries", [(404, 1), (503, 5)])
@pytest.mark.parametrize("why, flavour", [("a culprit", "prometheus"), ("413", "amp"), ("413", "prometheus")])
def test_sends_no_later_sample_of_a_series_before_a_failed_part(sqs, why, flavour, status, tries):
    # The first part of the bisection fails; those after it would pass. Without a window, a later sample that overtakes a failed
    # part puts it out of order for ever. Good events would be rejected, and never stored.
    now = now_ms()
    row = [event({"ph": n + 0.5}, {"pond": "a"}, now - 9000 + 1000 * n) for n in range(8)]
    records = [record(one, f"m-{n}") for n, one in enumerate([*row, event({"ph": 1.5}, {"bad": "yes"})])]
    with Stand(sqs, Tsdb(flavour, "other", refuse=lambda labels: ("bad", "yes") in labels)) as stand:
        if why == "413":
            stand.receiver.answer_with(lambda write: Answer(413) if len(write.samples) > 5 else stand.tsdb.judge(write))
        stand.proxy.fault_with(lambda exchange: proxy.answer(status) if 2 <= exchange.number < 2 + tries else None)
        result, letters, deliveries = stand.deliver(*records), stand.letters(), 1
        assert "m-0" in result.failures
        while result.failures:
            deliveries += 1
            assert deliveries < 8, "events are returned for ever"
            result = stand.deliver_again(records, result, deliveries)
            letters.update(stand.letters())
        assert all(stand.tsdb.holds(samples_of(one)[0]) for one in row), f"good events are not stored: {sorted(letters)}"
        held = list(stand.tsdb.series[labels_of("ph", {"pond": "a"})].samples)
        assert held == sorted(held), "the receiver got the samples of a series in another order"
        assert "m-8" in letters


# --- maybe_stored ----------------------------------------------------------------------------------------------------

def two_of_one_series(now):
    return [record(event({"ph": 1.5}, {"pond": "a"}, now - 2000), "m-1"),
            record(event({"ph": 2.5}, {"pond": "a"}, now - 1000), "m-2")]


AMBIGUOUS = {"500 but stored": lambda: proxy.answer(500, "late", stored=True),
             "reset, stored": lambda: proxy.reset_after_body(stored=True)}


@pytest.mark.parametrize("words", ["amp", "prometheus"])
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_marks_an_event_that_was_stored_unconfirmed_and_is_refused_as_a_replay(sqs, fault, flavour, words):
    with Stand(sqs, Tsdb(flavour, words)) as stand:
        stand.proxy.faults(AMBIGUOUS[fault]())
        result = stand.deliver(*two_of_one_series(now_ms()))
        assert result.failures == []
        assert stand.tsdb.count() == 2
        letters = stand.letters()
        assert set(letters) == {"m-1"}
        assert letters["m-1"].attributes["reason"] == "out_of_order"
        assert letters["m-1"].attributes["maybe_stored"] == "true"
        assert (result.metrics["delivered"], result.metrics["maybe_stored"]) == (1, 1)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_dead_letters_nothing_if_the_window_accepts_a_replay(sqs, fault, flavour):
    with Stand(sqs, Tsdb(flavour, window_ms=60_000)) as stand:
        stand.proxy.faults(AMBIGUOUS[fault]())
        assert stand.deliver(*two_of_one_series(now_ms())).failures == []
        assert stand.tsdb.count() == 2
        assert stand.letters() == {}


@pytest.mark.parametrize("fault", [proxy.answer(503), proxy.answer(429), proxy.reset_in_body(), None], ids=str)
@pytest.mark.parametrize("again", [False, True], ids=["first delivery", "second delivery"])
def test_the_mark_depends_on_what_was_sent_before(sqs, fault, again):
    # The mark is due (a) if an earlier request of this invocation ended in 400, 5xx, timeout or reset, (b) on a second delivery.
    # A 429 does not count: receivers refuse the whole request then.
    now = now_ms()
    with Stand(sqs) as stand:
        stand.tsdb.put(labels_of("ph", {}), now, bits(1.5))
        if fault:
            stand.proxy.faults(fault)
        result = stand.deliver(record(event({"ph": 2.5}, timestamp=now - 5000), "m-1", receive_count=2 if again else 1))
        assert result.failures == []
        letter = stand.letters()["m-1"]
        assert letter.attributes["reason"] == "out_of_order"
        ambiguous = fault is not None and "429" not in str(fault)
        assert letter.attributes.get("maybe_stored") == ("true" if again or ambiguous else None)
        assert result.metrics["maybe_stored"] == (1 if again or ambiguous else 0)


@pytest.mark.parametrize("reason", ["in_future", "refused_by_receiver"])
def test_never_marks_events_that_are_rejected_for_other_reasons(sqs, reason):
    now = now_ms()
    with Stand(sqs, Tsdb(lead_ms=3000)) as stand:
        stand.tsdb.refuse = lambda labels: reason == "refused_by_receiver"
        stand.proxy.faults(proxy.answer(503))
        result = stand.deliver(record(event({"ph": 2.5}, timestamp=now + 8000), "m-1", receive_count=3))
        letter = stand.letters()["m-1"]
        assert letter.attributes["reason"] == reason
        assert "maybe_stored" not in letter.attributes
        assert result.metrics["maybe_stored"] == 0


def test_marks_only_the_culprit_that_the_error_text_does_not_name(sqs):
    now = now_ms()
    for words, mark in (("amp", None), ("prometheus", "true")):
        with Stand(sqs, Tsdb(words=words)) as stand:
            stand.tsdb.put(labels_of("ph", {"pond": "a"}), now, bits(1.5))
            stand.deliver(record(event({"ph": 2.5}, {"pond": "a"}, now - 5000), "m-1"),
                          record(event({"ph": 2.5}, {"pond": "b"}, now), "m-2"),
                          record(event({"ph": 2.5}, {"pond": "c"}, now), "m-3"))
            letters = stand.letters()
            assert set(letters) == {"m-1"}
            expected = maybe_stored_of([(labels_of("ph", {"pond": "a"}), now - 5000, bits(2.5))], stand.receiver.writes)
            assert expected == ("must" if mark else "never")
            assert letters["m-1"].attributes.get("maybe_stored") == mark


def test_does_not_take_label_values_for_the_error_text(sqs):
    # The contract, "reason by text": the text also quotes the producer's labels, which may hold any words.
    now = now_ms()
    with Stand(sqs) as stand:
        names = ["out of order", "per-user series limit of 5 exceeded", "timestamp too new"]
        for name in names:
            stand.tsdb.put(labels_of("ph", {"state": name}), now, bits(1.5))
        result = stand.deliver(*[record(event({"ph": 2.5}, {"state": name}, now), name) for name in names])
        assert result.failures == []
        assert {letter.attributes["reason"] for letter in stand.letters().values()} == {"duplicate_timestamp"}


# --- a workspace that is full ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", [400, 429])
@pytest.mark.parametrize("kind", ["user", "metric", "labelset"])
def test_returns_only_the_events_over_the_limit_of_a_full_workspace(sqs, kind, status):
    # Receivers use both statuses. The contract's table lists 429 among the retries, and its sentence on limits says "only the
    # events over the limit". Read plainly, that sentence holds for both.
    now = now_ms()
    with Stand(sqs, Tsdb(series_limit=12, limit_kind=kind, limit_status=status)) as stand:
        for n in range(10):
            stand.tsdb.put(labels_of("ph", {"pond": str(n)}), now - 10_000, bits(1.5))
        records = [record(event({"ph": 2.5}, {"pond": str(n)}, now), f"m-{n}") for n in range(20)]
        result = stand.deliver(*records, deadline_s=8)
        assert stand.tsdb.count() == 22
        stored = {f"m-{dict(labels)['pond']}" for labels, held in stand.tsdb.series.items() if now in held.samples}
        assert len(stored) == 12
        assert set(result.failures) == {f"m-{n}" for n in range(20)} - stored
        assert stand.letters() == {}
        assert (result.metrics["delivered"], result.metrics["errored"], result.metrics["rejected"]) == (12, 8, 0)
        assert len(stand.proxy.exchanges) <= search_bound(8, 20)
        assert f"per-{kind} series limit of 12 exceeded" in result.raw_log
        stand.tsdb.series_limit = 1000
        assert stand.deliver_again(records, result).failures == []
        assert stand.tsdb.count() == 30


def test_tells_a_full_workspace_and_culprits_apart(sqs):
    now = now_ms()
    with Stand(sqs, Tsdb(series_limit=10)) as stand:
        for n in range(10):
            stand.tsdb.put(labels_of("ph", {"pond": str(n)}), now - 1000, bits(1.5))
        records = [record(event({"ph": 2.5}, {"pond": str(n)}, now - (5000 if n % 3 == 0 else 0)), f"m-{n}") for n in range(20)]
        result = stand.deliver(*records, deadline_s=8)
        assert set(result.failures) == {f"m-{n}" for n in range(10, 20)}
        assert set(stand.letters()) == {"m-0", "m-3", "m-6", "m-9"}
        assert result.metrics["delivered"] == 6


def test_answers_delivery_failed_to_a_direct_caller_over_the_limit(sqs):
    with Stand(sqs, Tsdb(series_limit=0)) as stand:
        assert stand.invoke([event({"ph": 1}), event({"ec": 1})]).error_type == "delivery_failed"
        assert stand.letters() == {}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_sends_no_later_sample_first_if_a_limit_is_raised_during_a_bisection(sqs, flavour):
    now = now_ms()
    with Stand(sqs, Tsdb(flavour, series_limit=0)) as stand:
        def grow(exchange):
            if exchange.number > 2:  # first the whole batch, then the oldest event alone
                stand.tsdb.series_limit = None

        stand.proxy.fault_with(grow)
        records = [record(event({"ph": n + 0.5}, timestamp=now - 5000 + n), f"m-{n}") for n in range(2)]
        result = stand.deliver(*records)
        assert "m-0" in result.failures
        assert stand.deliver_again(records, result).failures == []
        assert stand.tsdb.count() == 2
        assert stand.letters() == {}


# --- groups, and dropped events ---------------------------------------------------------------------------------------

def test_fifo_group_continues_after_a_rejected_event_and_stops_at_an_errored_one(sqs):
    now = now_ms()
    with Stand(sqs, Tsdb(series_limit=3)) as stand:
        for name in ("ph", "ec"):
            stand.tsdb.put(labels_of(name, {}), now, bits(1.5))
        stand.tsdb.put(labels_of("o2", {}), now - 9000, bits(1.5))
        result = stand.deliver(
            record(event({"ph": 2.5}, timestamp=now - 5000), "a-1", group="a"),
            record(event({"o2": 2.5}, timestamp=now), "a-2", group="a"),
            record(event({"full": 2.5}, timestamp=now), "a-3", group="a"),
            record(event({"ec": 2.5}, timestamp=now - 5000), "a-4", group="a"),
            record(event({"ec": 1.5}, timestamp=now), "a-5", group="a"),
            record(event({"ph": 1.5}, timestamp=now), "b-1", group="b"))
        assert sorted(result.failures) == ["a-3", "a-4", "a-5"]
        assert set(stand.letters()) == {"a-1"}


def test_drop_drops_only_late_events_of_those_that_the_receiver_refuses(sqs):
    now = now_ms()
    with Stand(sqs, Tsdb(max_age_ms=HOUR // 2, lead_ms=3000), LATE_SAMPLES="drop") as stand:
        stand.tsdb.put(labels_of("ph", {}), now, bits(1.5))
        stand.tsdb.put(labels_of("ec", {}), now, bits(1.5))
        result = stand.deliver(record(event({"ph": 2.5}, timestamp=now - 5000), "late"),
                               record(event({"old": 2.5}, timestamp=now - 45 * MINUTE), "old"),
                               record(event({"ec": 2.5}, timestamp=now), "other value"),
                               record(event({"new": 2.5}, timestamp=now + 8000), "future"),
                               record(event({"good": 2.5}, timestamp=now), "good"))
        assert result.failures == []
        letters = stand.letters()
        assert {name: letter.attributes["reason"] for name, letter in letters.items()} == {
            "other value": "duplicate_timestamp", "future": "in_future"}
        line = result.metrics
        assert (line["delivered"], line["rejected"], line["dropped"]) == (1, 2, 2)
        assert (line["acknowledged"], line["dead_lettered"]) == (3, 2)
        assert (line["dropped.out_of_order"], line["dropped.too_old"]) == (1, 1)


# --- direct ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flavour", FLAVOURS)
def test_reports_and_dead_letters_each_culprit_of_a_direct_array(sqs, flavour):
    now = now_ms()
    with Stand(sqs, Tsdb(flavour)) as stand:
        for n in (3, 7, 8):
            stand.tsdb.put(labels_of("ph", {"pond": str(n)}), now, bits(1.5))
        events = [event({"ph": 2.5}, {"pond": str(n)}, now - 5000) for n in range(12)]
        result = stand.invoke(events)
        assert result.json["accepted"] == 9
        assert [(one["index"], one["reason"]) for one in result.json["rejected"]] == [(n, "out_of_order") for n in (3, 7, 8)]
        assert result.json["requests"] == len(stand.proxy.exchanges)
        assert (result.json["samples"], result.json["series"]) == (9, 9)
        letters = stand.dead_letters.letters()
        assert sorted(letter.body for letter in letters) == sorted(json.dumps(events[n]) for n in (3, 7, 8))
        # The contract, `maybe_stored` (c): a direct invocation may be the caller's second try.
        assert {letter.attributes.get("maybe_stored") for letter in letters} == {"true"}
        assert result.metrics["maybe_stored"] == 3


# --- fair shares -----------------------------------------------------------------------------------------------------

def late_array(tsdb, now, name, count, series):
    """Returns an array of `count` events that the receiver refuses as out of order, over so many series."""
    events = []
    for n in range(count):
        dimensions = {"array": name, "sensor": str(n % series)}
        tsdb.put(labels_of("ph", dimensions), now - 1000, bits(1.5))
        events.append(event({"ph": n}, dimensions, now - 600_000 + 1000 * (n // series)))
    return events


def settle(stand, records, deadline_s=60):
    """Delivers until no message is returned. Returns the number of deliveries, and all dead letters."""
    result, letters, deliveries = stand.deliver(*records, deadline_s=deadline_s), stand.letters(), 1
    while result.failures:
        deliveries += 1
        assert deliveries <= 6, f"{len(result.failures)} messages are returned again and again"
        result = stand.deliver_again(records, result, deliveries, deadline_s=deadline_s)
        letters.update(stand.letters())
    return deliveries, letters


@pytest.mark.parametrize("series", [1, 300], ids=["one series", "300 series"])
@pytest.mark.parametrize("words", ["amp", "empty"])
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_an_array_of_late_readings_holds_no_message_up(sqs, flavour, words, series, fifo):
    tsdb = Tsdb(flavour, words, max_age_ms=HOUR)
    now = now_ms()
    array = late_array(tsdb, now, "a", 300, series)
    good = [event({"ph": n}, {"pond": str(n)}, now - 5000) for n in range(49)]
    # In a FIFO queue some of them are of the array's own group, and wait behind it.
    groups = ["a", *("a" if n % 2 else f"g{n}" for n in range(49))] if fifo else [None] * 50
    records = [record(one, f"m-{n}", group=group) for n, (one, group) in enumerate(zip([array, *good], groups))]
    with Stand(sqs, tsdb) as stand:
        deliveries, letters = settle(stand, records)
        assert deliveries == 1
        assert set(letters) == {"m-0"}, "only the array is dead-lettered"
        assert letters["m-0"].attributes["reason"] == ("out_of_order" if words == "amp" else "refused_by_receiver")
        assert all(tsdb.holds(samples_of(one)[0]) for one in good)


@pytest.mark.parametrize("words", ["amp", "empty"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_ten_arrays_of_late_readings_are_settled_in_one_delivery(sqs, flavour, words):
    tsdb = Tsdb(flavour, words, max_age_ms=HOUR)
    now = now_ms()
    arrays = [late_array(tsdb, now, f"a{n}", 100, 100) for n in range(10)]
    good = event({"ph": 6.7}, {"pond": "a"}, now - 5000)
    records = [record(one, f"m-{n}") for n, one in enumerate([*arrays, good])]
    with Stand(sqs, tsdb) as stand:
        deliveries, letters = settle(stand, records)
        assert deliveries == 1
        assert set(letters) == {f"m-{n}" for n in range(10)}
        reason = "out_of_order" if words == "amp" else "refused_by_receiver"
        assert {letter.attributes["reason"] for letter in letters.values()} == {reason}
        assert tsdb.holds(samples_of(good)[0])


@pytest.mark.parametrize("words", ["amp", "empty"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_direct_array_of_late_readings_is_settled_in_one_invocation(sqs, flavour, words):
    tsdb = Tsdb(flavour, words, max_age_ms=HOUR)
    now = now_ms()
    good = [event({"ph": n}, {"pond": str(n)}, now - 5000) for n in range(49)]
    with Stand(sqs, tsdb) as stand:
        result = stand.invoke([*late_array(tsdb, now, "a", 300, 300), *good], deadline_s=60)
        assert result.ok, result
        report = result.json
        assert report["requests"] <= 500
        # Events that were not settled are dead-lettered, too: they may be stored, and nothing is lost.
        assert len(stand.dead_letters.letters()) == report["rejected_count"] >= 300
        assert report["accepted"] + report["rejected_count"] == 349


def test_one_answer_settles_the_older_samples_of_a_series(sqs):
    """Prometheus' text names no sample; the receiver here names the newest."""
    tsdb = Tsdb("amp", "amp", max_age_ms=HOUR)
    now = now_ms()
    labels = {"sensor": "s"}
    tsdb.put(labels_of("ph", labels), now - 1000, bits(1.5))
    row = [event({"ph": n}, labels, now - 600_000 + 1000 * n) for n in range(200)]

    def names_the_newest(write):
        answer = tsdb.judge(write)
        if answer.status != 400:
            return answer
        series = write.series[-1]
        when = max(time for time, _ in series.samples)
        return Answer(400, body=f"err: out of order sample. timestamp={go_time(when)}, series={go_labels(series.labels)}".encode())

    with Stand(sqs, tsdb) as stand:
        stand.receiver.answer_with(names_the_newest)
        result = stand.deliver(*(record(one, f"m-{n}") for n, one in enumerate(row)), deadline_s=30)
        assert result.failures == []
        assert result.metrics["requests"] <= 4
        assert len(stand.letters()) == 200
