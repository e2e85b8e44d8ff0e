"""Remote write 1.0 and 2.0 from senders, through the door to a receiver that checks what arrives, and to a real Prometheus."""
import os
import shutil
import struct
import subprocess
import tempfile
import time
from urllib.request import Request, urlopen

import pytest

from support import components
from support.door import door
from support.events import now_ms
from support.http_server import closed_port
from support.prometheus import Prometheus
from support.receiver import Answer
from support.remote_write import bits, snappy_block_encode

V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
STALE = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]
WRITTEN = ["X-Prometheus-Remote-Write-Samples-Written", "X-Prometheus-Remote-Write-Histograms-Written",
           "X-Prometheus-Remote-Write-Exemplars-Written"]


@pytest.fixture
def gateway():
    with door(EXTERNAL_LABELS="env=test") as one:
        yield one


@pytest.fixture
def lenient():
    """A door whose receiver takes what only a relay may send: labels that begin with `__`, and stale markers."""
    with door(EXTERNAL_LABELS="env=test") as one:
        strict = one.receiver._faults_of
        one.receiver._faults_of = lambda write: [fault for fault in strict(write) if "reserved label" not in fault and "NaN as" not in fault]
        yield one


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    """Returns a field of protobuf: bytes and text with their length, a float as a double, an int as a varint."""
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    if isinstance(content, int):
        return varint(number << 3) + varint(content & (1 << 64) - 1)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def series_v1(labels, samples=(), exemplars=0, histograms=()):
    out = b"".join(field(1, field(1, name) + field(2, value)) for name, value in labels)
    out += b"".join(field(2, field(1, float(value)) + field(2, when)) for when, value in samples)
    out += b"".join(field(3, field(2, 1.0)) for _ in range(exemplars))
    return field(1, out + b"".join(field(4, histogram) for histogram in histograms))


def request_v2(*series):
    """Returns a 2.0 request of (labels, samples, exemplars)."""
    symbols, out = [""], b""
    for labels, samples, exemplars in series:
        refs = b""
        for text in (text for pair in labels for text in pair):
            if text not in symbols:
                symbols.append(text)
            refs += varint(symbols.index(text))
        one = field(1, refs) + b"".join(field(2, field(1, float(value)) + field(2, when)) for when, value in samples)
        out += field(5, one + b"".join(field(4, field(2, 1.0)) for _ in range(exemplars)))
    return b"".join(field(4, symbol) for symbol in symbols) + out


def write(gateway, protobuf, content_type=V1, path="/api/v1/write", **headers):
    headers = {"Content-Type": content_type, "Content-Encoding": "snappy", **headers}
    return gateway.request("POST", path, snappy_block_encode(protobuf), headers)


def named(name, **labels):
    return [("__name__", name), *labels.items()]


@pytest.mark.parametrize("path", ["/api/v1/write", "/api/v1/push", "/write",
                                  "/workspaces/ws-00000000-0000-0000-0000-000000000009/api/v1/remote_write"])
def test_relays_a_request_of_1_0_on_every_path(gateway, path):
    when = now_ms()
    answered = write(gateway, series_v1(named("up", job="x"), [(when, 1), (when + 1, 2.5)]), path=path)
    assert (answered.status, answered.body) == (204, b"")
    assert answered.samples == {("up", (("env", "test"), ("job", "x"))): [(when, bits(1.0)), (when + 1, bits(2.5))]}
    assert not any(answered.headers[name] for name in WRITTEN)


def test_counts_what_is_written_of_a_request_of_2_0(lenient):
    when = now_ms()
    request = request_v2((named("a"), [(when, 1), (when + 1, 2)], 3), (named("b", x="y"), [(when, STALE)], 0))
    answered = write(lenient, request, V2)
    assert answered.status == 204
    assert [answered.headers[name] for name in WRITTEN] == ["3", "0", "3"]
    assert answered.samples[("b", (("env", "test"), ("x", "y")))] == [(when, 0x7FF0000000000002)]


def test_rejects_a_series_and_writes_the_others(gateway):
    when = now_ms()
    for bad, sentence in [
        ([("job", "x")], "the metric's name"), (named("a.b"), "a.b"), (named("a", **{"b.c": "d"}), "b.c"),
        ([*named("a"), ("__name__", "b")], "twice"), ([*named("a"), ("b", "c"), ("b", "d")], "twice"), (named("a", b="c" * 2049), "2049 bytes"),
        (named("a", **{f"l{i}": "v" for i in range(149)}), "151 labels"),
    ]:
        request = request_v2((bad, [(when, 1)], 0), (named("good"), [(when, 1)], 0))
        answered = write(gateway, request, V2)
        assert answered.status == 400, bad
        assert sentence in answered.text and "1 of 2 samples are rejected, the rest is stored" in answered.text
        assert [answered.headers[name] for name in WRITTEN] == ["1", "0", "0"]
        assert set(answered.samples) == {("good", (("env", "test"),))}
        when += 1


@pytest.mark.parametrize("schema, bounds", [(1, b""), (-53, struct.pack("<2d", 0.5, 1.0))])
def test_passes_native_histograms_and_custom_buckets_on(lenient, schema, bounds):
    strict = lenient.receiver._faults_of
    lenient.receiver._faults_of = lambda write: [fault for fault in strict(write) if "histograms" not in fault and "no sample" not in fault]
    histogram = (field(1, 3) + field(3, 1.5) + field(4, (schema << 1) ^ (schema >> 31)) + field(11, field(2, 2)) + field(12, varint(4) + varint(1))
                 + field(15, now_ms()) + (field(16, bounds) if bounds else b""))
    request = field(4, "") + field(4, "__name__") + field(4, "h") + field(5, field(1, varint(1) + varint(2)) + field(3, histogram))
    answered = write(lenient, request, V2)
    assert answered.status == 204, answered
    assert [answered.headers[name] for name in WRITTEN] == ["0", "1", "0"]
    assert [series.histograms for write in lenient.receiver.writes for series in write.series] == [1]


def test_sorts_labels_and_leaves_out_empty_ones_and_passes_reserved_ones(lenient):
    when = now_ms()
    answered = write(lenient, series_v1([("z", "1"), ("__replica__", "r"), ("a", ""), ("__name__", "up"), ("cluster", "c")], [(when, 1)]))
    assert answered.status == 204
    assert list(answered.samples) == [("up", (("__replica__", "r"), ("cluster", "c"), ("env", "test"), ("z", "1")))]


@pytest.mark.parametrize("headers, status", [
    ({"Content-Type": "application/json"}, 415), ({"Content-Type": "application/x-protobuf;proto=other"}, 415),
    ({"Content-Encoding": "zstd"}, 415), ({"Content-Encoding": "gzip"}, 415),
    ({"Content-Type": "application/x-protobuf; proto=prometheus.WriteRequest"}, 204),
    ({"Content-Type": "", "Content-Encoding": ""}, 204),
])
def test_takes_only_its_types_and_encodings(gateway, headers, status):
    answered = write(gateway, series_v1(named("up"), [(now_ms(), 1)]), **headers)
    assert answered.status == status
    assert bool(answered.samples) == (status == 204)


@pytest.mark.parametrize("body, sentence", [
    (b"", "empty"), (b"\xff\x06\x00\x00sNaPpY", "framed"), (b"\xff\xff\xff\xff\x0f", "bytes"), (snappy_block_encode(b"\x0a\xff"), "byte"),
    (b"no snappy at all", "snappy"),
])
def test_a_body_that_cannot_be_read_is_400(gateway, body, sentence):
    answered = gateway.request("POST", "/api/v1/write", body, {"Content-Type": V1, "Content-Encoding": "snappy"})
    assert answered.status == 400
    assert sentence in answered.text
    assert answered.samples == {}


def test_a_valid_request_without_samples_is_204(gateway):
    for protobuf, kind in [(b"", V1), (series_v1(named("up")), V1), (field(4, ""), V2)]:
        assert write(gateway, protobuf, kind).status == 204, (protobuf, kind)


def test_a_request_under_the_type_of_the_other_version_is_400(gateway):
    when = now_ms()
    for protobuf, kind, sentence in [(request_v2((named("up"), [(when, 1)], 0)), V1, "remote write 2.0"),
                                     (series_v1(named("up"), [(when, 1)]), V2, "remote write 1.0")]:
        answered = write(gateway, protobuf, kind)
        assert (answered.status, answered.samples) == (400, {}), kind
        assert sentence in answered.text


def test_symbols_that_do_not_fit_are_400(gateway):
    for protobuf in (field(4, "x"), field(4, "") + field(5, field(1, varint(7) + varint(0))), field(4, "") + field(5, field(1, varint(0)))):
        answered = write(gateway, protobuf, V2)
        assert answered.status == 400, protobuf
        assert not any(answered.headers[name] for name in WRITTEN)


def test_a_sample_that_the_receiver_refuses_is_400_and_trouble_is_503(gateway):
    when = now_ms()

    def answer(write):
        return Answer(400, b"out of order sample") if any(("x", "bad") in one.labels for one in write.series) else Answer(204)
    gateway.receiver.answer_with(answer)
    request = request_v2((named("a", x="bad"), [(when, 1)], 0), (named("a", x="good"), [(when, 1)], 1))
    answered = write(gateway, request, V2)
    assert answered.status == 400
    assert "out of order sample" in answered.text
    assert [answered.headers[name] for name in WRITTEN] == ["1", "0", "1"]
    gateway.receiver.answer_with(lambda write: Answer(429, headers={"Retry-After": "3"}))
    answered = write(gateway, request, V2)
    assert (answered.status, answered.headers["Retry-After"]) == (503, "3")


@pytest.fixture
def plain():
    """A door without external labels: it can send a request as it came."""
    with door() as one:
        yield one


def test_sends_a_request_as_it_came_if_nothing_of_it_changes(plain):
    when = now_ms()
    good = series_v1(named("a", job="x"), [(when, 1)]) + series_v1(named("b", job="x"), [(when, 2.5), (when + 1, 0)])
    block = snappy_block_encode(good)
    assert plain.request("POST", "/api/v1/write", block, {"Content-Type": V1, "Content-Encoding": "snappy"}).status == 204
    assert [write.request.body for write in plain.receiver.writes] == [block]
    answered = write(plain, good + series_v1(named("c"), [(when, 1)], exemplars=1))
    assert answered.status == 204
    assert sorted(name for name, _ in answered.samples) == ["a", "b", "c"]


def test_takes_a_refused_request_apart_without_sending_it_whole_again(plain):
    when, sent, stored = now_ms(), [], []

    def answer(write):
        values = [dict(one.labels)["x"] for one in write.series]
        sent.append(tuple(sorted(values)))
        if "bad" in values:
            return Answer(400, b"out of order sample")
        stored.extend(values)
        return Answer(204)
    plain.receiver.answer_with(answer)
    series = [series_v1(named("a", x=x), [(when, 1)]) for x in ("one", "bad", "two", "three")]
    answered = write(plain, b"".join(series))
    assert answered.status == 400
    assert "1 of 4 samples are rejected, the rest is stored" in answered.text and "out of order sample" in answered.text
    assert sorted(stored) == ["one", "three", "two"]
    assert len(set(sent)) == len(sent) > 2, sent
    assert write(plain, series[1]).status == 400


def test_sends_a_request_again_as_it_came_while_the_receiver_is_in_trouble(plain):
    when = now_ms()
    series = series_v1(named("a"), [(when, 1)])
    answers = iter([Answer(503), Answer(500), Answer(204)])
    plain.receiver.answer_with(lambda write: next(answers))
    assert write(plain, series).status == 204
    assert [write.request.body for write in plain.receiver.writes] == [snappy_block_encode(series)] * 3
    plain.receiver.answer_with(lambda write: Answer(404))
    answered = write(plain, series)
    assert (answered.status, answered.headers["Retry-After"]) == (503, "5")
    assert "404" in answered.text


def test_trouble_comes_before_a_rejection(gateway):
    gateway.receiver.answer_with(lambda write: Answer(503))
    request = request_v2((named("a.b"), [(now_ms(), 1)], 0), (named("good"), [(now_ms(), 1)], 0))
    answered = write(gateway, request, V2)
    assert answered.status == 503 and answered.headers["Retry-After"]
    assert [answered.headers[name] for name in WRITTEN] == ["0", "0", "0"]


@pytest.mark.parametrize("when", [0, -1, 1_000, (1 << 63) - 1])
def test_the_receiver_judges_the_age_of_a_sample(lenient, when):
    """The gateway's own rules are for events and pushes."""
    strict = lenient.receiver._faults_of
    lenient.receiver._faults_of = lambda write: [fault for fault in strict(write) if "time" not in fault]
    answered = write(lenient, series_v1(named("a"), [(when, 1)]))
    assert answered.status == 204
    [[(sent, _)]] = answered.samples.values()
    assert sent == when


def test_a_request_that_is_too_much_to_send_is_400_and_never_413(gateway):
    body = series_v1(named("a", x="y"), [(number, 1) for number in range(1_000)]) * 600
    assert write(gateway, body + series_v1(named("b"), [(1, 1)] * 500_000)).status == 400
    answered = gateway.request("POST", "/api/v1/write", snappy_block_encode(b"\0" * 100) + b"x" * (17 << 20), {"Content-Type": V1})
    assert answered.status == 400 and "16777216" in answered.text and answered.samples == {}


def test_metadata_of_1_0_is_passed_on_once(gateway):
    metadata = field(3, field(1, 1) + field(2, "http_requests") + field(4, "Requests."))
    for _ in range(2):
        assert write(gateway, metadata).status == 204
    assert [write.metadata for write in gateway.receiver.writes] == [[field(1, 1) + field(2, "http_requests") + field(4, "Requests.")]]


# --- real senders ----------------------------------------------------------------------------------------------------

class Agent:
    """A Prometheus in agent mode that scrapes itself and writes to the door."""

    def __init__(self, url, protobuf):
        self.directory = tempfile.mkdtemp(prefix="agent-")
        port = closed_port()
        config = os.path.join(self.directory, "prometheus.yml")
        with open(config, "w") as file:
            file.write(f"""\
global: {{scrape_interval: 1s, external_labels: {{sender: agent}}}}
scrape_configs:
  - job_name: self
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
remote_write:
  - url: {url}/api/v1/write
    protobuf_message: {protobuf}
    queue_config: {{batch_send_deadline: 1s, min_backoff: 100ms, max_backoff: 1s}}
    metadata_config: {{send_interval: 2s}}
""")
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [components.prometheus(), "--agent", f"--config.file={config}", f"--storage.agent.path={self.directory}/data",
                 f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", "--enable-feature=metadata-wal-records"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.mark.parametrize("protobuf", ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"])
def test_a_prometheus_writes_through_the_door_and_an_outage_loses_nothing(protobuf):
    with Prometheus() as store, door("--json") as gateway:
        receiver = gateway.receiver
        # The receiver is a store that is away for some seconds.
        def answer(write):
            if away:
                return Answer(503)
            request = Request(store.remote_write_url, write.request.body, {
                "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"})
            with urlopen(request, timeout=10) as reply:
                return Answer(reply.status)
        away = False
        receiver.answer_with(answer)
        agent = Agent(gateway.url, protobuf)
        try:
            def scrapes():
                found = store.samples('up{sender="agent"}', window="10m")
                return sorted(when for samples in found.values() for when, _ in samples)
            wait_for(lambda: len(scrapes()) >= 3)
            away = True
            time.sleep(3)  # an outage of three scrapes
            away = False
            seen = len(scrapes())
            wait_for(lambda: len(scrapes()) >= seen + 5)
            times = scrapes()
            assert max(later - earlier for earlier, later in zip(times, times[1:])) < 1900, times
            assert store.value('count({sender="agent"})') > 100
            assert store.value('sum(up{sender="agent"})') == 1
            with open(agent.log_path) as log:
                assert "non-recoverable" not in log.read()
        finally:
            agent.close()


def wait_for(condition, seconds=40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)
