"""Short functions that make events and times."""
import time


def now_ms():
    """Returns the present, in milliseconds since the epoch."""
    return int(time.time() * 1000)


def event(metrics=None, dimensions=None, timestamp="now", **other):
    """Returns an event as a producer writes it. Its time is the present by default; `timestamp=None` leaves it out."""
    result = {}
    if dimensions is not None:
        result["dimensions"] = dimensions
    if timestamp == "now":
        timestamp = now_ms()
    if timestamp is not None:
        result["timestamp"] = timestamp
    result["metrics"] = {"temperature": 14.3} if metrics is None else metrics
    result.update(other)
    return result


#: A broken event: its reason is `invalid_value`, and its detail names `metrics.ph`.
BROKEN = {"metrics": {"ph": "abc"}}
BROKEN_TEXT = '{"metrics": {"ph": "abc"}}'


def too_old():
    """Returns an event of two hours ago, which is `too_old` by default."""
    return event({"ph": 6.7}, timestamp=now_ms() - 2 * 3600 * 1000)


def numbered(count, start=0):
    """Returns events with a number each. They are a millisecond apart, so that none is a duplicate of another."""
    now = now_ms() - count
    return [event({"number": number}, timestamp=now + number) for number in range(start, count)]
