"""A remote-write receiver on loopback that checks everything a sender can get wrong.

    with Receiver() as receiver:
        receiver.answer(Answer(503, b"try later"))       # the next request gets this one, those after it 204
        receiver.answer_with(lambda write: Answer(400))  # or: a function of the request, for all from now on
        ...
        receiver.samples()[("ph", (("customerId", "c1"),))] == [(1676398017000, bits(6.7))]
        receiver.check()                                 # raises if any request broke a rule

The `receiver` fixture calls `check` at the end of each test. So every test fails if a request is unsigned, badly signed, badly
encoded, unsorted, too large, or has content that it should not have.
"""
import re
import threading
from collections import defaultdict

from . import remote_write, sigv4
from .http_server import HttpServer, Raw, Reset
from .remote_write import bits, double  # noqa: F401  (`bits` is for the tests)
from .runtime_api import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN

PATH = "/workspaces/ws-00000000-0000-0000-0000-000000000001/api/v1/remote_write"
_USER_AGENT = re.compile(r"amp-push-gateway/\d+\.\d+\.\d+\S*( .*)?")

#: The type of the body and the version that a request of a version has.
_HEADERS = {"1.0": ("application/x-protobuf", "0.1.0"),
            "2.0": ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0")}


class Answer:
    """An answer of the receiver: a status with body and headers, after a delay. `reset=True` cuts the connection instead.
    `raw=b"..."` sends bytes that need not be HTTP; with `hold=True` the connection then stays open. A success of a request of 2.0 has
    the counts of what it holds, unless `counts=False`."""

    def __init__(self, status=204, body=b"", headers=None, delay=0.0, reset=False, raw=None, hold=False, counts=True):
        self.status, self.headers, self.delay, self.reset, self.raw = status, headers or {}, delay, reset, raw
        self.hold, self.counts = hold, counts
        self.body = body.encode() if isinstance(body, str) else body


class Write:
    """One decoded request, with the answer that it got."""

    def __init__(self, request):
        self.request = request
        self.compressed_size = len(request.body)
        self.decoded_size = None
        self.series = []
        #: The version of remote write, by the headers.
        self.version = None
        #: The undecoded messages of `metadata`; in 2.0 (type, help, unit) or None for each series.
        self.metadata = []
        self.status = None
        self.faults = []
        #: The `Answer` to the request.
        self.answer = None
        #: The (labels, timestamp), or only (metric, timestamp), that the error text names, if the model sets them.
        self.named = self.half_named = None

    @property
    def text(self):
        """Returns the text of the answer."""
        return self.answer.body.decode("utf-8", "replace") if self.answer else ""

    @property
    def samples(self):
        """Returns the samples of the request: [(labels, timestamp, bits)]."""
        return [(tuple(series.labels), when, value) for series in self.series for when, value in series.samples]

    @property
    def described(self):
        """Returns {metric: (type, help, unit)} of a request of 2.0."""
        return {dict(series.labels)["__name__"]: one for series, one in zip(self.series, self.metadata)}

    @property
    def counts(self):
        """Returns the headers that count what the request holds."""
        counts = sum(len(one.samples) for one in self.series), sum(one.histograms for one in self.series)
        return {f"X-Prometheus-Remote-Write-{kind}-Written": str(count) for kind, count in zip(("Samples", "Histograms"), counts)}

    @property
    def access_key(self):
        """Returns the access key of the signature."""
        return (self.header("Authorization") or "").partition("Credential=")[2].partition("/")[0]

    @property
    def acknowledged(self):
        return self.status is not None and 200 <= self.status < 300

    def header(self, name):
        return self.request.header(name)


class Receiver(HttpServer):
    """The receiver: see the module. It takes requests of `versions`. `auth="none"` expects unsigned requests. `several_senders=True`
    allows a series in two requests at the same time. `know` adds credentials."""

    def __init__(self, auth="sigv4", region="us-east-1", session_token=SESSION_TOKEN, path=PATH,
                 access_key=ACCESS_KEY, secret_key=SECRET_KEY, several_senders=False, takes_metadata=False, versions=("1.0",)):
        self.versions = versions
        self.auth, self.region, self.session_token, self.path = auth, region, session_token, path
        self.secrets = {access_key: secret_key}
        self._tokens = {}
        self._several_senders = several_senders
        #: Requests of metadata are right.
        self.takes_metadata = takes_metadata
        self._answers, self._function = [], None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._in_flight = defaultdict(int)
        #: Every request, in the order of arrival.
        self.writes = []
        #: Sentences on requests that broke a rule.
        self.faults = []
        #: The requests that open a connection at the start of a process: `GET /`.
        self.warmings = []
        #: Requests to any other path, for example after a redirect.
        self.strays = []
        #: Set when a request has arrived and been decoded, before it is answered.
        self.arrived = threading.Event()
        super().__init__()
        self.remote_write_url = self.url + path

    def know(self, access_key, secret_key, session_token):
        """Adds credentials whose signatures are right. The answer decides if they are allowed."""
        self.secrets[access_key] = secret_key
        self._tokens[access_key] = session_token

    def answer(self, *answers):
        """Queues answers for the next requests."""
        self._answers.extend(answers)

    def answer_with(self, function):
        """Answers every request that has no queued answer with `function(write)`."""
        self._function = function

    def respond(self, request):
        if (request.method, request.path) == ("GET", "/"):
            self.warmings.append(request)
            return 404, {}, b"not found"
        write = Write(request)
        if request.path != self.path:
            with self._lock:
                self.strays.append(request)
                self.faults.append(f"a request to {request.method} {request.path}")
            return 404, {}, b""
        write.faults = self._faults_of(write)
        keys = {tuple(series.labels) for series in write.series}
        with self._lock:
            for key in keys:
                if self._in_flight[key] and not self._several_senders:
                    write.faults.append(f"series {key} in two requests at the same time")
                self._in_flight[key] += 1
            self.writes.append(write)
            self.faults.extend(write.faults)
            answer = self._answers.pop(0) if self._answers else None
        self.arrived.set()
        try:
            if answer is None:
                answer = self._function(write) if self._function else Answer()
            write.answer = answer
            if answer.delay:
                self._closing.wait(answer.delay)
            write.status = answer.status
            if answer.reset:
                write.status = None
                raise Reset
            if answer.raw is not None:
                write.status = None
                raise Raw(answer.raw, answer.hold)
            has_counts = write.version == "2.0" and write.acknowledged and answer.counts
            return answer.status, {**(write.counts if has_counts else {}), **answer.headers}, answer.body
        finally:
            with self._lock:
                for key in keys:
                    self._in_flight[key] -= 1

    def _faults_of(self, write):
        request, found = write.request, []
        if request.method != "POST":
            found.append(f"{request.method}, not POST")
        if request.version != "HTTP/1.1":
            found.append(f"{request.version}, not HTTP/1.1")
        write.version = "2.0" if ";" in (request.header("Content-Type") or "") else "1.0"
        if write.version not in self.versions:
            found.append(f"a request of {write.version}, not of {self.versions}")
        content_type, number = _HEADERS[write.version]
        for name, wanted in (("Content-Encoding", "snappy"), ("Content-Type", content_type),
                             ("X-Prometheus-Remote-Write-Version", number)):
            if request.header(name) != wanted:
                found.append(f"{name} is {request.header(name)!r}, not {wanted!r}")
        if not _USER_AGENT.fullmatch(request.header("User-Agent") or ""):
            found.append(f"User-Agent is {request.header('User-Agent')!r}: not a name and a version")
        if request.header("Content-Length") != str(len(request.body)):
            found.append(f"Content-Length is {request.header('Content-Length')!r}")
        names = [name.lower() for name, _ in request.headers]
        for name in set(names):
            if names.count(name) > 1:
                found.append(f"the header {name} twice")
        if self.auth == "sigv4":
            found += sigv4.faults(request, self.secrets, self.region,
                                  session_token=self._tokens.get(write.access_key, self.session_token))
        elif request.header("Authorization") is not None:
            found.append("signed, though told not to sign")
        try:
            raw = remote_write.snappy_block_decode(request.body)
            write.decoded_size = len(raw)
            decoded = (remote_write.decode if write.version == "1.0" else remote_write.decode_v2)(raw)
            write.series, write.metadata = decoded.series, decoded.metadata
            found += remote_write.faults(decoded, len(raw), len(request.body), self.takes_metadata)
        except remote_write.Malformed as why:
            found.append(str(why))
        return found

    def samples(self, acknowledged=True):
        """Returns (metric, ((label, value), ...)) -> [(timestamp, bits)] in time order: of the requests that were answered 2xx, or of
        all. Labels are as they came, without `__name__`."""
        found = defaultdict(list)
        for write in self.writes:
            if write.acknowledged or not acknowledged:
                for series in write.series:
                    name = dict(series.labels).get("__name__")
                    labels = tuple(pair for pair in series.labels if pair[0] != "__name__")
                    found[(name, labels)].extend(series.samples)
        return {key: sorted(samples) for key, samples in found.items()}

    def values(self, acknowledged=True):
        """Returns the same with doubles for bits. They are easy to compare if there is no NaN and no -0.0."""
        return {key: [(time, double(raw)) for time, raw in samples]
                for key, samples in self.samples(acknowledged).items()}

    def metric(self, name):
        """Returns the samples of the one series of this metric: [(timestamp, bits)]."""
        found = [samples for (metric, _), samples in self.samples().items() if metric == name]
        assert len(found) == 1, f"{len(found)} series of {name}, not 1"
        return found[0]

    def forget_answers(self):
        """Drops the remaining queued answers."""
        self._answers.clear()

    def release(self):
        """Ends all delays: delayed answers go out now."""
        self._closing.set()

    def check(self):
        """Raises if any request broke a rule."""
        assert not self.faults, "requests broke rules:\n  " + "\n  ".join(self.faults[:20])

    def close(self):
        self.release()
        super().close()


def acknowledged_values(receiver, metric="number"):
    """Returns the values of a metric that the receiver has acknowledged, in the order in which they came."""
    return [double(raw) for write in receiver.writes if write.acknowledged for labels, _, raw in write.samples
            if dict(labels)["__name__"] == metric]
