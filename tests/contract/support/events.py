"""Short ways to write events and times."""
import time


def now_ms():
    """The present, in milliseconds since the epoch."""
    return int(time.time() * 1000)


def event(metrics=None, dimensions=None, timestamp="now", **other):
    """An event as a producer writes it. `timestamp=None` leaves it out; the default is the present."""
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


#: An event that can never work: `invalid_value`, and a detail that names `metrics.ph`.
BROKEN = {"metrics": {"ph": "abc"}}
BROKEN_TEXT = '{"metrics": {"ph": "abc"}}'


def too_old():
    """An event of two hours ago: `too_old` by default."""
    return event({"ph": 6.7}, timestamp=now_ms() - 2 * 3600 * 1000)
