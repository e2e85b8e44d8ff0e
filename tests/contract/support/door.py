"""The HTTP door behind `pushgw serve --http`, and what a push writes to the receiver."""
import contextlib
import urllib.parse

from .receiver import Receiver
from .serve import Server, request

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: The series that the gateway adds to each push.
PUSH_TIME = "push_time_seconds"


class Answered:
    """An answer of the door, and the `samples` that the request made the door write: {(metric, labels): [(time, value)]}."""

    def __init__(self, status, headers, body, samples):
        self.status, self.headers, self.body, self.samples = status, headers, body, samples

    @property
    def text(self):
        return self.body.decode()

    @property
    def pushed(self):
        """Returns {(metric, labels): value} without the push time."""
        return {key: samples[-1][1] for key, samples in self.samples.items() if key[0] != PUSH_TIME}

    def __repr__(self):
        return f"{self.status} {self.body!r} {self.samples}"


class Door:
    """A door and its receiver, which checks every request. Without a `STATE_TABLE` or a `--state` it writes pushes through."""

    def __init__(self, *arguments, **env):
        if "STATE_TABLE" not in env and "--state" not in arguments:
            arguments = "--state", "none", *arguments
        versions = ("1.0", "2.0") if env.get("REMOTE_WRITE_VERSION") == "2.0" else ("1.0",)
        self.receiver = Receiver(auth="none", takes_metadata=True, versions=versions)
        self.server = Server("--http", "127.0.0.1:0", "--remote-write-url", self.receiver.remote_write_url, *arguments,
                             **{"REMOTE_WRITE_AUTH": "none", **env})
        self.url = self.server.door
        self.port = urllib.parse.urlsplit(self.url).port

    def request(self, method, path, body=None, headers=None):
        """Sends a request and returns what was answered and written. A path may have any characters that HTTP takes."""
        before = len(self.receiver.writes)
        status, fields, text = request(self.port, method, path, body, headers)
        written = {}
        for write in self.receiver.writes[before:]:
            for labels, when, value in write.samples:
                name = dict(labels)["__name__"]
                others = tuple(pair for pair in labels if pair[0] != "__name__")
                written.setdefault((name, others), []).append((when, value))
        return Answered(status, fields, text, written)

    def put(self, path, body, content_type=None, **headers):
        if content_type:
            headers["Content-Type"] = content_type
        return self.request("PUT", path, body.encode() if isinstance(body, str) else body, headers)

    def close(self):
        self.server.close()
        self.receiver.close()


@contextlib.contextmanager
def door(*arguments, **env):
    one = Door(*arguments, **env)
    try:
        yield one
        one.receiver.check()
    finally:
        one.close()
