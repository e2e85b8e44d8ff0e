"""A model of a receiver: it accepts or refuses samples as Prometheus' TSDB does, and answers and stores as receivers do.

    tsdb = Tsdb(flavour="amp", window_ms=60_000)
    receiver.answer_with(tsdb.judge)
    ...
    tsdb.value(labels, timestamp)       # what it holds, as bits
    tsdb.refused[(labels, timestamp, bits)]   # the reasons for which it ever refused this sample

It follows `appendable` of Prometheus' head. A sample that is newer than the latest of its series is in order. The latest again is
accepted with the same value, and refused with another one. An older sample is accepted if it is not older than the newest time of
ANY series minus the window. That newest time is the one before the request: it moves when a request is committed.

Two flavours differ in the rest of a request that has a refused sample:
- "amp": Cortex and AMP store the valid samples, and report the first error only. They validate times and limits first; a series
  is then refused as a whole with its first bad sample.
- "prometheus": all or nothing, the first error rolls the whole request back.

`words` chooses the error text. "amp" names series and time, "prometheus" names neither. "empty" is empty, and "other" is a text
that the contract does not list. `test_fault_support.py` compares this model with a real Prometheus.
"""
import datetime
import json
import threading
from collections import defaultdict

from .events import now_ms
from .receiver import Answer
from .remote_write import double

USER = "123456789012_ws-00000000-0000-0000-0000-000000000001"
HOUR = 3_600_000

#: Cause -> reason of the contract.
REASONS = {
    "out of order sample": "out_of_order",
    "too old sample": "out_of_order",
    "duplicate sample": "duplicate_timestamp",
    "out of bounds": "too_old",
    "timestamp too old": "too_old",
    "timestamp too new": "in_future",
    "refused": "refused_by_receiver",
    "limit": None,
}


def limit_words(limit, kind="user", metric="ph"):
    """Returns Cortex' error text for a full workspace."""
    if kind == "labelset":
        return f'user={USER}: per-labelset series limit of {limit} exceeded (labelSet: {{team="water"}}, ' \
               f"local limit: 0 global limit: {limit} actual)"
    of = f" for metric {metric}" if kind == "metric" else ""
    return f"user={USER}: per-{kind} series limit of {limit} exceeded{of}, please contact administrator to raise it " \
           f"(local limit: 0 global limit: {limit} actual local limit: {limit})"


def go_time(when):
    """Formats a time as Go's RFC3339Nano does: no trailing zeros in the fraction."""
    whole, rest = divmod(when, 1000)
    text = datetime.datetime.fromtimestamp(whole, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{rest:03}".rstrip("0") if rest else "") + "Z"


def go_labels(labels):
    """Formats a label set as Prometheus does."""
    return "{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels) + "}"


class Held:
    """One series: its latest sample in order, and every sample that it holds."""

    def __init__(self):
        self.latest = None
        self.samples = {}


class Tsdb:
    """The model: see the module. `series_limit` limits the series of the whole workspace; `limit_kind` is only its name in the error
    text. The receiver refuses a series for a reason of its own if `refuse(labels)` is true."""

    def __init__(self, flavour="amp", words=None, window_ms=0, max_age_ms=HOUR, lead_ms=600_000, series_limit=None,
                 limit_kind="user", limit_status=400, refuse=None, status=400, clock=now_ms):
        assert flavour in ("amp", "prometheus"), flavour
        self.flavour, self.words = flavour, words or flavour
        self.window_ms, self.max_age_ms, self.lead_ms = window_ms, max_age_ms, lead_ms
        self.series_limit, self.limit_kind, self.limit_status = series_limit, limit_kind, limit_status
        self.refuse, self.status, self.clock = refuse, status, clock
        self.series = {}
        self.newest = None
        #: (labels, timestamp, bits) -> the reasons for which it was ever refused (None: a limit).
        self.refused = defaultdict(set)
        #: All samples that ever arrived, refused or not.
        self.seen = set()
        self._lock = threading.Lock()

    def value(self, labels, when):
        """Returns the bits of this series at this time; None if there are none."""
        held = self.series.get(tuple(labels))
        return held.samples.get(when) if held else None

    def holds(self, sample):
        """Returns true if exactly this (labels, timestamp, bits) is stored."""
        labels, when, value = sample
        return self.value(labels, when) == value

    def count(self):
        """Returns the number of stored samples."""
        return sum(len(held.samples) for held in self.series.values())

    def put(self, labels, when, value):
        """Stores a sample before the test's first request."""
        held = self.series.setdefault(tuple(labels), Held())
        held.samples[when] = value
        if held.latest is None or when > held.latest[0]:
            held.latest = (when, value)
        self.newest = when if self.newest is None else max(self.newest, when)

    def judge(self, write):
        """Returns the answer to one request, for `Receiver.answer_with`. Sets `write.named` to the (labels, timestamp) that the text
        names, or `write.half_named` to the (metric, timestamp) if the text names no labels."""
        with self._lock:
            errors, kept = self._judge(write.series)
            if self.flavour == "amp" or not errors:
                self._commit(kept)
        if not errors:
            return Answer(204 if self.flavour == "prometheus" else 200)
        cause, labels, when, value, existing = errors[0]
        write.named = (labels, when) if self._names_sample(cause) else None
        write.half_named = (dict(labels).get("__name__"), when) if self.words == "amp" and cause.startswith("timestamp") else None
        status = self.limit_status if cause == "limit" else self.status
        return Answer(status, self._text(cause, labels, when, value, existing))

    def _judge(self, series):
        """Returns the errors in the order in which the receiver finds them, and the samples that it would store."""
        validated, appended, kept = [], [], []
        now = self.clock()
        created = 0
        for one in series:
            labels = tuple(one.labels)
            self.seen.update((labels, when, value) for when, value in one.samples)
            if self.flavour == "amp":
                bad = self._validation_error(labels, one.samples, now)
                if bad:
                    validated.append(bad)
                    continue
            if labels not in self.series and self.series_limit is not None:
                if len(self.series) + created >= self.series_limit:
                    appended.append(self._error("limit", labels, *one.samples[0]))
                    for when, value in one.samples[1:]:
                        self._error("limit", labels, when, value)
                    continue
                created += 1
            for when, value in one.samples:
                cause = self._cause(labels, when, value, now)
                if cause:
                    appended.append(self._error(cause, labels, when, value))
                    if self.flavour == "prometheus":
                        return appended, []
                else:
                    kept.append((labels, when, value))
        # Cortex reports the ingester's error if there is one, else that of the validation before it.
        return appended + validated, kept

    def _error(self, cause, labels, when, value):
        self.refused[(labels, when, value)].add(self._reason(cause))
        held = self.series.get(labels)
        return cause, labels, when, value, held.latest[1] if held and held.latest else None

    def _reason(self, cause):
        """Returns the reason that the sender can know for a cause."""
        if cause == "limit":
            return None
        return REASONS[cause] if self.words in ("amp", "prometheus") else "refused_by_receiver"

    def _validation_error(self, labels, samples, now):
        if self.refuse and self.refuse(labels):
            return self._error("refused", labels, *samples[0])
        for when, value in samples:
            if when < now - self.max_age_ms:
                return self._error("timestamp too old", labels, when, value)
            if when > now + self.lead_ms:
                return self._error("timestamp too new", labels, when, value)
        return None

    def _cause(self, labels, when, value, now):
        if self.flavour == "prometheus":
            if self.refuse and self.refuse(labels):
                return "refused"
            if when > now + self.lead_ms:
                return "timestamp too new"
        first_valid = None if self.newest is None else self.newest - self.max_age_ms
        held = self.series.get(labels)
        if first_valid is None or when >= first_valid:
            if held is None or held.latest is None or when > held.latest[0]:
                return None
            if when == held.latest[0]:
                return None if value == held.latest[1] else "duplicate sample"
        if self.window_ms and when >= self.newest - self.window_ms:
            return None
        if self.window_ms:
            return "too old sample"
        return "out of bounds" if first_valid is not None and when < first_valid else "out of order sample"

    def _commit(self, kept):
        for labels, when, value in kept:
            held = self.series.setdefault(labels, Held())
            if held.latest is None or when > held.latest[0]:
                held.latest = (when, value)
            held.samples.setdefault(when, value)
            self.newest = when if self.newest is None else max(self.newest, when)

    def _names_sample(self, cause):
        return self.words == "amp" and cause in ("out of order sample", "too old sample", "duplicate sample", "out of bounds")

    def _text(self, cause, labels, when, value, existing):
        if self.words == "empty":
            return ""
        if self.words == "other":
            return "the write was not to our liking\n"
        name = dict(labels).get("__name__")
        if cause == "limit":
            return limit_words(self.series_limit, self.limit_kind, name)
        if cause == "refused":
            return f"sample invalid label: \"frob\" metric '{name}{go_labels(labels)}'" if self.words == "amp" \
                else "invalid labels\n"
        if self.words == "prometheus":
            return {
                "out of order sample": "out of order sample",
                "too old sample": "too old sample",
                "out of bounds": "out of bounds",
                "timestamp too old": "out of bounds",
                "timestamp too new": "out of bounds: timestamp is too far in the future",
                "duplicate sample": f"duplicate sample for timestamp {when}; overrides not allowed: existing "
                                    f"{double(existing or 0):g}, new value {double(value):g}",
            }[cause] + "\n"
        if cause.startswith("timestamp"):
            return f'{cause}: {when} metric: "{name}"'
        cause = "duplicate sample for timestamp" if cause == "duplicate sample" else cause
        return f"user={USER}: err: {cause}. timestamp={go_time(when)}, series={go_labels(labels)}"
