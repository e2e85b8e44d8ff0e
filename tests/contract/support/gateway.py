"""One `ingest` and one receiver for many invocations, and what each invocation sent."""
import json

from .runtime_api import Ingest
from .sqs import event as sqs_event
from .sqs import record


class Sent:
    """The `result` of one invocation, and the `samples` that it sent to the receiver."""

    def __init__(self, result, writes):
        self.result, self.writes = result, writes
        #: {(metric, ((label, value), ...)): [(timestamp, bits), ...]}
        self.samples = {}
        for write in writes:
            for series in write.series:
                labels = tuple(pair for pair in series.labels if pair[0] != "__name__")
                self.samples.setdefault((dict(series.labels)["__name__"], labels), []).extend(series.samples)

    @property
    def names(self):
        """Returns the metric names that were sent."""
        return sorted(name for name, _ in self.samples)

    @property
    def labels(self):
        """Returns the labels of the only series, without its name."""
        ((_, labels),) = self.samples
        return dict(labels)

    @property
    def bits(self):
        """Returns the 64 bits of the only sample."""
        (((_, raw),),) = self.samples.values()
        return raw

    @property
    def time(self):
        """Returns the time of the only sample, or of all if they agree."""
        (time,) = {time for samples in self.samples.values() for time, _ in samples}
        return time


class Gateway:
    """One `ingest` and its receiver. The receiver checks every request. A process that ended is started again, so that one crash
    fails one test."""

    def __init__(self, receiver, **env):
        self.receiver, self.env, self.ingest = receiver, env, None
        self._start()

    def _start(self):
        self.ingest = Ingest({"REMOTE_WRITE_URL": self.receiver.remote_write_url, **self.env})

    def direct(self, payload):
        """Invokes with text, bytes, or an object that becomes JSON."""
        if self.ingest.exited:
            self.ingest.close()
            self._start()
        if isinstance(payload, str):
            payload = payload.encode()
        writes, faults = len(self.receiver.writes), len(self.receiver.faults)
        result = self.ingest.invoke(payload)
        assert self.receiver.faults[faults:] == []
        return Sent(result, self.receiver.writes[writes:])

    def accepted(self, payload):
        """Invokes with a direct payload; all its events must be stored."""
        sent = self.direct(payload)
        assert sent.result.ok, sent.result
        assert sent.result.json["rejected_count"] == 0, sent.result
        assert sent.result.json["accepted"] > 0, sent.result
        return sent

    def refused(self, payload):
        """Invokes with a direct payload of one event that must be rejected. Returns (reason, detail). Nothing of it may be sent."""
        sent = self.direct(payload)
        assert not sent.result.ok, f"accepted: {sent.result}"
        assert sent.writes == [], f"rejected, and yet sent: {sent.samples}"
        assert sent.result.error_message, sent.result
        return sent.result.error_type, sent.result.error_message

    def sqs(self, *bodies, **more):
        """Invokes with a batch of SQS. Bodies are text, objects or whole records."""
        return self.direct(json.dumps(sqs_event(*(body if isinstance(body, dict) and "messageId" in body
                                                  else record(body, **more) for body in bodies))))

    def close(self):
        self.ingest.close()


def with_metrics(literal):
    """Returns the text of an event whose one metric `v` has this JSON text as its value."""
    return '{"metrics":{"v":%s}}' % literal


def with_dimensions(literal):
    """Returns the text of an event with this JSON text as its dimensions."""
    return '{"dimensions":%s,"metrics":{"v":1}}' % literal
