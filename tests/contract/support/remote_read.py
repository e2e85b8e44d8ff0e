"""Remote read as a client speaks it, without code of the gateway: requests and responses. A query API checks the gateway's queries and
passes them to a real Prometheus."""
import urllib.error
import urllib.parse
import urllib.request

from . import remote_write, sigv4
from .http_server import HttpServer
from .receiver import Answer
from .remote_write import _as_varint, _fields, _series
from .runtime_api import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN

EQUAL, NOT_EQUAL, MATCHES, NOT_MATCHES = range(4)
QUERY_PATH = "/workspaces/ws-00000000-0000-0000-0000-000000000001/api/v1/query"
HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
           "X-Prometheus-Remote-Read-Version": "0.1.0", "User-Agent": "Prometheus/3.5.0"}


def _field(number, data):
    return _as_varint(number << 3 | 2) + _as_varint(len(data)) + data


def _number(number, value):
    return _as_varint(number << 3) + _as_varint(value % (1 << 64))


def request(*queries):
    """Returns the body of a request. A query is (start, end, [(operator, name, value)]), with times in milliseconds."""
    message = bytearray()
    for start, end, matchers in queries:
        query = _number(1, start) + _number(2, end)
        for operator, name, value in matchers:
            query += _field(3, _number(1, operator) + _field(2, name.encode()) + _field(3, value.encode()))
        hints = _number(1, 15_000) + _field(2, b"rate")
        message += _field(1, query + _field(4, hints))
    message += _field(2, _as_varint(1))  # a client that would like chunks
    return remote_write.snappy_block_encode(bytes(message))


def results(body):
    """Reads a response: for each query {labels: [(time, bits)]}. Labels must be sorted and samples in order."""
    read = []
    for number, kind, result in _fields(remote_write.snappy_block_decode(body)):
        assert (number, kind) == (1, 2)
        found = {}
        for inner, inner_kind, raw in _fields(result):
            assert (inner, inner_kind) == (1, 2)
            series = _series(raw)
            labels = tuple(series.labels)
            assert labels not in found, f"{labels} twice"
            assert list(labels) == sorted(labels), f"{labels} are not sorted"
            times = [time for time, _ in series.samples]
            assert times and all(earlier < later for earlier, later in zip(times, times[1:])), times
            found[labels] = series.samples
        read.append(found)
    return read


class QueryApi(HttpServer):
    """The query API of an AMP workspace in front of a real Prometheus. It notes what is wrong with a request, above all with its
    signature. `answers` are given before any query is passed on."""

    def __init__(self, prometheus, region="us-east-1"):
        self._prometheus, self._region = prometheus, region
        self.answers = []
        #: The parameters of every query: {"query": …, "time": …}.
        self.queries = []
        #: A sentence for each thing that is wrong.
        self.faults = []
        super().__init__()
        self.query_url = self.url + QUERY_PATH

    def respond(self, request):
        if request.path == "/":
            return 404, {}, b""
        if (request.method, request.path) != ("POST", QUERY_PATH):
            self.faults.append(f"{request.method} {request.path}")
        if request.header("Content-Type") != "application/x-www-form-urlencoded":
            self.faults.append(f"the type {request.header('Content-Type')}")
        self.faults += sigv4.faults(request, {ACCESS_KEY: SECRET_KEY}, self._region, session_token=SESSION_TOKEN)
        self.queries.append(dict(urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True)))
        if self.answers:
            answer = self.answers.pop(0)
            if answer.delay:
                self.closed.wait(answer.delay)
            return answer.status, answer.headers, answer.body
        passed = urllib.request.Request(self._prometheus.url + "/api/v1/query", request.body,
                                        {"Content-Type": "application/x-www-form-urlencoded"})
        try:
            with urllib.request.urlopen(passed, timeout=20) as answer:
                return 200, {"Content-Type": "application/json"}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {"Content-Type": "application/json"}, error.read()


def failure(status, body="", **headers):
    """Returns an answer of the query API that gives no samples."""
    return Answer(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})
