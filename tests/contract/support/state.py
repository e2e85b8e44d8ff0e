"""The state through a function: typed events, ticks, and a receiver that takes what a tick writes."""
import struct

from . import remote_write
from .events import now_ms
from .receiver import Receiver
from .remote_write import _fields, _varint, double

#: The bits of a stale marker.
STALE = 0x7FF0000000000002


class TickReceiver(Receiver):
    """A receiver that takes metadata, stale markers and native histograms."""

    def __init__(self):
        super().__init__(takes_metadata=True)

    def _faults_of(self, write):
        faults = [fault for fault in super()._faults_of(write) if f"NaN as {STALE:#x}" not in fault]
        if all(bool(one.histograms) != bool(one.samples) for one in write.series):
            faults = [fault for fault in faults if not fault.endswith((": histograms", ": no sample"))]
        return faults

    def all_values(self, name):
        """Returns {labels: [(time, value)]} of a metric. The value of a stale marker is `stale`."""
        return {labels: [(when, "stale" if bits == STALE else double(bits)) for when, bits in samples]
                for (metric, labels), samples in self.samples().items() if metric == name and samples}

    def last(self, name):
        """Returns the last value of each series of a metric, by its labels."""
        return {labels: samples[-1][1] for labels, samples in self.all_values(name).items()}

    def native(self, name):
        """Returns the native histograms of a metric in the order in which they came: dicts of their fields, with the buckets as
        {index: count}."""
        found = []
        for write in self.writes:
            for number, _, series in _fields(remote_write.snappy_block_decode(write.request.body)):
                parts = list(_fields(series)) if number == 1 else []
                labels = [dict((inner, text) for inner, _, text in _fields(value)) for part, _, value in parts if part == 1]
                if {1: b"__name__", 2: name.encode()} in labels:
                    found += [_native(value) for part, _, value in parts if part == 4]
        return found


def _zigzag(number):
    return number >> 1 ^ -(number & 1)


def _varints(packed):
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _native(message):
    """Reads a `prometheus.Histogram` with whole counts."""
    names = {1: "count", 3: "sum", 4: "schema", 5: "zero_threshold", 6: "zero_count", 14: "reset_hint", 15: "timestamp"}
    read = {"count": 0, "schema": 0, "zero_count": 0, "reset_hint": 0, "sum": 0.0, "zero_threshold": 0.0, "negative": {}, "positive": {}}
    parts = list(_fields(message))
    for number, kind, value in parts:
        if number in names:
            read[names[number]] = struct.unpack("<d", value)[0] if kind == 1 else _zigzag(value) if number == 4 else value
    for side, spans, deltas in ("negative", 8, 9), ("positive", 11, 12):
        packed = b"".join(value for number, _, value in parts if number == deltas)
        moves = map(_zigzag, _varints(packed))
        at = count = 0
        for span in (dict((inner, part) for inner, _, part in _fields(value)) for number, _, value in parts if number == spans):
            at += _zigzag(span.get(1, 0))
            for _ in range(span.get(2, 0)):
                count += next(moves)
                read[side][at] = count
                at += 1
    return read


def typed(metric_type, value, name="m", **more):
    """Returns a typed event."""
    return {"type": metric_type, "name": name, "value": value, **more}


def tick(function, after_ms=0, **more):
    """Runs a tick at this time from now, and returns its numbers. No shard may fail."""
    summary = function.invoke({"tick": now_ms() + after_ms, **more}).json
    assert summary.get("failed_shards") == 0, summary
    return summary
