"""The table of faults, and the rules of the contract that hold for every invocation in spite of them.

`CATALOGUE` names every fault of one request, with the contract's rule for it. `Credentials` is the endpoint from which an
environment without variables takes its credentials. `assert_settled` holds for every answer of `ingest`.
"""
import datetime
import json
import re
from collections import namedtuple

from . import proxy
from .events import event
from .http_server import HttpServer
from .receiver import Receiver
from .runtime_api import Ingest, field
from .sqs import record
from .tsdb import Tsdb

NEVER_STORED_WORDS = "the coffee is out"
CUT_500 = b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nab"

#: How often the sender must, and may, send one request that always gets this answer.
#: `again`: "backoff" (at least once again, with delays), "reload" (once again, with new credentials), "never", "search".
Kind = namedtuple("Kind", "make again stored")


def _status(status, headers=None, body=NEVER_STORED_WORDS):
    return lambda: proxy.answer(status, body, headers)


#: Name -> Kind: every answer of the contract's table but 2xx and 400, 409, 422, and every fault of a network.
CATALOGUE = {
    **{str(status): Kind(_status(status), "never", False)
       for status in (300, 301, 302, 303, 304, 307, 308, 402, 404, 405, 406, 410, 411, 415, 418, 431, 451)},
    **{str(status): Kind(_status(status), "reload", False) for status in (401, 403)},
    **{str(status): Kind(_status(status), "backoff", False) for status in (408, 429, 500, 501, 502, 503, 504, 507, 529, 599)},
    "503 with Retry-After: 0": Kind(_status(503, {"Retry-After": "0"}), "backoff", False),
    "429 with Retry-After: garbage": Kind(_status(429, {"Retry-After": "soon; maybe"}), "backoff", False),
    "429 with Retry-After: -5": Kind(_status(429, {"Retry-After": "-5"}), "backoff", False),
    "429 with Retry-After of the past": Kind(_status(429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}), "backoff", False),
    "500 with 1 MB of error text": Kind(_status(500, body=NEVER_STORED_WORDS + " " + "x" * 1_000_000), "backoff", False),
    "500 but stored": Kind(lambda: proxy.answer(500, "late", stored=True), "backoff", True),
    "504 but stored": Kind(lambda: proxy.answer(504, "late", stored=True), "backoff", True),
    "reset before the body": Kind(proxy.reset_before_body, "backoff", False),
    "reset in the body": Kind(proxy.reset_in_body, "backoff", False),
    "reset after the body": Kind(proxy.reset_after_body, "backoff", False),
    "reset after the body, stored": Kind(lambda: proxy.reset_after_body(stored=True), "backoff", True),
    "silence": Kind(lambda: proxy.raw(b"", "silence"), "backoff", False),
    "another protocol": Kind(lambda: proxy.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "backoff", False),
    "a cut head": Kind(lambda: proxy.raw(b"HTTP/1.1 204 No Con", "a cut head"), "backoff", False),
    "a nonsense status": Kind(lambda: proxy.raw(b"HTTP/1.1 999999 Eh\r\nContent-Length: 0\r\n\r\n"), "backoff", False),
    "a cut 500": Kind(lambda: proxy.raw(CUT_500, "a cut 500"), "backoff", False),
    "a 500 that stops in its error text": Kind(lambda: proxy.raw(CUT_500, "a stalled 500", hold=True), "backoff", False),
    "a head that never ends": Kind(lambda: proxy.raw(b"HTTP/1.1 204 No Content\r\n" + b"X-A: b\r\n" * 20_000, "a long head"),
                                   "backoff", False),
}

#: Faults that take all the time of the invocation.
HANGS = {
    "hang": Kind(proxy.hang, "backoff", False),
    "hang, stored": Kind(lambda: proxy.hang(stored=True), "backoff", True),
    "an answer that drips slower than time runs": Kind(lambda: proxy.drip(0.3), "backoff", True),
}

#: Error texts of receivers, and the reason that the contract gives them. Statuses 400, 409 and 422 mean the same.
WORDS = {
    # Cortex and AMP
    "user=1_ws-0: err: out of order sample. timestamp=2026-01-01T00:00:00Z, series={__name__=\"ph\"}": "out_of_order",
    "user=1_ws-0: err: too old sample. timestamp=2026-01-01T00:00:00Z, series={__name__=\"ph\"}": "out_of_order",
    "user=1_ws-0: err: duplicate sample for timestamp. timestamp=2026-01-01T00:00:00Z, series={__name__=\"ph\"}":
        "duplicate_timestamp",
    "user=1_ws-0: err: new value for timestamp. timestamp=2026-01-01T00:00:00Z, series={__name__=\"ph\"}":
        "duplicate_timestamp",
    "user=1_ws-0: err: out of bounds. timestamp=2026-01-01T00:00:00Z, series={__name__=\"ph\"}": "too_old",
    'timestamp too old: 1767225600000 metric: "ph"': "too_old",
    'timestamp too new: 1767225600000 metric: "ph"': "in_future",
    "the sample is older than the max sample age": "too_old",
    'sample invalid metric name: "otelcol.ratio"': "refused_by_receiver",
    "series has too many labels (actual: 151, limit: 150) series: 'ph{a=\"b\"}'": "refused_by_receiver",
    # Prometheus
    "out of order sample\n": "out_of_order",
    "too old sample\n": "out_of_order",
    "out of bounds\n": "too_old",
    "out of bounds: timestamp is too far in the future\n": "in_future",
    "duplicate sample for timestamp 1767225600000; overrides not allowed: existing 1, new value 2\n": "duplicate_timestamp",
    # Thanos and others
    "store locally for endpoint 10.0.0.1:10901: add 1 samples: out of order sample": "out_of_order",
    'sample with the same timestamp, but a different value (err-mimir-sample-duplicate-timestamp)': "duplicate_timestamp",
    '{"message":"the sample has been rejected because its timestamp is too old (err-mimir-sample-timestamp-too-old)"}': "too_old",
    "nein": "refused_by_receiver",
    "\x00\x01\x1b[31mred\u2028": "refused_by_receiver",
    "": "refused_by_receiver",
}

_BY_TEXT = [(("too new", "too far in the future"), "in_future"), (("out of order", "too old sample"), "out_of_order"),
            (("duplicate sample", "new value for timestamp", "same timestamp"), "duplicate_timestamp"),
            (("timestamp too old", "timestamp is too old", "max sample age", "out of bounds"), "too_old")]


def reason_of(text):
    """Returns the reason that the contract gives for an answer with this text; None for a limit of the workspace."""
    if re.search(r"per-(user|metric|labelset) series limit", text):
        return None
    for words, reason in _BY_TEXT:
        if any(word in text for word in words):
            return reason
    return "refused_by_receiver"


#: Reasons for which a receiver may refuse a replay of a stored sample.
REPLAY_REASONS = {"out_of_order", "duplicate_timestamp", "too_old"}


def assert_settled(result, deadline_s, margin_s=0.05):
    """Checks what holds for every answer. It is in time, and has one metric line that adds up. Each returned or dead-lettered message
    has one warn line, and no line is too long."""
    assert result.seconds < deadline_s - margin_s, f"answered after {result.seconds:.2f} s of {deadline_s}"
    line = result.metrics
    assert line["received"] == line["delivered"] + line["errored"] + line["rejected"] + line["dropped"], line
    assert line["messages"] == line["acknowledged"] + line["dead_lettered"] + line["handed_back"], line
    assert 0 <= line["retries"] <= line["requests"], line
    assert line["maybe_stored"] <= line["rejected"] + line["dropped"], line
    warned = [field(one, "message_id") for one in result.warnings() if field(one, "message_id")]
    assert len(warned) == len(set(warned)), f"two warn lines for one message: {sorted(warned)[:10]}"
    if result.ok and isinstance(result.json, dict) and "batchItemFailures" in result.json:
        assert len(warned) == line["handed_back"] + line["dead_lettered"], \
            f"{len(warned)} warn lines, {line['handed_back']} returned, {line['dead_lettered']} dead-lettered"
        assert len(result.failures) == line["handed_back"]
        assert len(set(result.failures)) == len(result.failures)
        assert set(result.failures) <= set(warned)
    longest = max(map(len, result.raw_log.splitlines()), default=0)
    assert longest < 20_000, f"a log line of {longest} characters"


#: The contract's reasons.
REASONS = {"invalid_json", "invalid_event", "invalid_value", "invalid_metric_name", "invalid_label_name", "label_collision",
           "metric_collision", "too_many_labels", "too_large", "too_old", "in_future", "out_of_order", "duplicate_timestamp",
           "refused_by_receiver"}


def assert_groups_kept_in_order(result, records):
    """Checks every answer to a batch of a FIFO queue: after the first errored message of a group all later ones are returned. No
    other message stops a group."""
    failures, held = set(result.failures), set()
    reasons = {field(one, "message_id"): field(one, "reason") for one in result.warnings()}
    for one in records:
        name, group = one["messageId"], one["attributes"]["MessageGroupId"]
        if group in held:
            assert name in failures, f"{name} is done, although an earlier message of its group {group} is not"
        elif name in failures:
            assert reasons[name] != "held_back", f"{name} is held back in group {group}, although no earlier message errored"
            if reasons[name] not in REASONS:  # a rejected message that could not be dead-lettered does not stop its group
                held.add(group)


def maybe_stored_of(samples, writes, receive_count=1):
    """Returns "must", "may" or "never" for the mark `maybe_stored` on an event's dead letter. The event came by SQS and was rejected
    with a reason of `REPLAY_REASONS`. `writes` are the requests of its last invocation, in order."""
    if receive_count > 1:
        return "must"
    mark = "never"
    for labels, when, value in samples:
        held = [write for write in writes if (labels, when, value) in write.samples]
        for earlier in held[:-1]:
            if earlier.acknowledged or earlier.named == (labels, when):
                continue
            if earlier.half_named == (dict(labels)["__name__"], when) or len(samples) > 1:
                mark = "may"  # the text names half of it, or the last answer may mean any of the event's samples
            else:
                return "must"
    return mark


def search_bound(culprits, events):
    """Returns how many requests a bisection may take by the contract, for so many events and culprits among them."""
    logarithm = (events - 1).bit_length() if events > 1 else 0
    return min(culprits * (4 * logarithm + 8), 2 * events + 8, 500)


class Credentials(HttpServer):
    """The endpoint that `AWS_CONTAINER_CREDENTIALS_FULL_URI` names. It answers with `now`, (key, secret, token), or with 500 if that
    is None. The credentials expire after `lives` seconds."""

    def __init__(self, now=None, lives=3600):
        self.now, self.lives, self.asked = now, lives, 0
        super().__init__()

    def respond(self, request):
        self.asked += 1
        if self.now is None:
            return 500, {}, b"not yet"
        key, secret, token = self.now
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.lives)
        return 200, {"Content-Type": "application/json"}, json.dumps({
            "AccessKeyId": key, "SecretAccessKey": secret, "Token": token,
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()


def fine_messages(count=2):
    """Returns good messages of a series each: "m-0", "m-1" and so on."""
    return [record(event({"ph": n + 0.5}, {"pond": str(n)}), f"m-{n}") for n in range(count)]


class Stand:
    """A model of a receiver, a proxy that injects faults, a dead-letter queue, and one `ingest` between them.

        stand = Stand(sqs, Tsdb(window_ms=60_000))
        stand.proxy.fault_with(lambda exchange: proxy.hang())
        result = stand.deliver(record(event(), "m-1"), deadline_s=2)

    `deliver` checks the rules for every answer. `close` checks every request.
    """

    def __init__(self, sqs, tsdb=None, receiver=None, queue_endpoint=None, credentials=True, **env):
        self.receiver = receiver or Receiver()
        self.tsdb = tsdb or Tsdb()
        self.receiver.answer_with(self.tsdb.judge)
        self.proxy = proxy.FaultProxy(self.receiver.address)
        self.dead_letters = sqs.queue()
        self.ingest = Ingest({"REMOTE_WRITE_URL": self.proxy.remote_write_url(self.receiver.path),
                              "DEAD_LETTER_QUEUE_URL": self.dead_letters.url,
                              "AWS_ENDPOINT_URL_SQS": queue_endpoint or sqs.endpoint, **env}, credentials=credentials)

    def deliver(self, *records, deadline_s=10.0, **more):
        """Runs one invocation with a batch of SQS records, and checks the rules that hold for every answer."""
        return self.invoke({"Records": list(records)}, deadline_s, **more)

    def invoke(self, payload, deadline_s=10.0, **more):
        """Runs one invocation with any payload, and checks the rules that hold for every answer."""
        result = self.ingest.invoke(payload, deadline_s=deadline_s)
        assert_settled(result, deadline_s, **more)
        return result

    def deliver_again(self, records, result, count=2, **more):
        """Delivers the returned messages once more."""
        failures = set(result.failures)
        again = [dict(one, attributes={**one["attributes"], "ApproximateReceiveCount": str(count)})
                 for one in records if one["messageId"] in failures]
        return self.deliver(*again, **more)

    def pauses(self):
        """Returns the seconds between the arrival of each request and the next."""
        times = [exchange.started for exchange in self.proxy.exchanges]
        return [later - earlier for earlier, later in zip(times, times[1:])]

    def letters(self):
        """Returns the dead letters, by the id of their message."""
        found = {letter.attributes["source_message_id"]: letter for letter in self.dead_letters.letters()}
        return found

    def close(self):
        self.ingest.close()
        self.proxy.close()
        self.receiver.close()
        self.receiver.check()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
