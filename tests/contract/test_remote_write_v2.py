"""Remote write 2.0 out, through the wire: to a receiver that checks what arrives, and to a real Prometheus."""
import contextlib
import json
import time

import pytest

from support.door import door
from support.events import now_ms
from support.function_url import FunctionUrl
from support.prometheus import Prometheus
from support.receiver import Answer, Receiver, acknowledged_values
from support.remote_write import bits, encode_v2, snappy_block_encode
from support.runtime_api import Ingest
from support.serve import invoke, request, serving
from test_door_remote_write import V1, V2, WRITTEN, field, named, request_v2, series_v1, varint

COUNTER, GAUGE, HISTOGRAM, SUMMARY = 1, 2, 3, 5
KINDS = ["pushgw serve", "function URL"]


@contextlib.contextmanager
def gateway_to(kind, url, **env):
    """Returns the port of the door of a gateway that writes 2.0 to `url`, unsigned."""
    env = {"REMOTE_WRITE_AUTH": "none", "REMOTE_WRITE_VERSION": "2.0", **env}
    if kind == "pushgw serve":
        with serving("--http", "127.0.0.1:0", "--state", "none", "--remote-write-url", url, **env) as server:
            yield int(server.door.rpartition(":")[2])
    else:
        with Ingest({"REMOTE_WRITE_URL": url, "HTTP_AUTH": "none", **env}) as ingest, FunctionUrl(ingest) as front:
            yield int(front.url.rpartition(":")[2])


@contextlib.contextmanager
def receiver_of(*versions, **options):
    with Receiver(auth="none", versions=versions, **options) as one:
        yield one
        one.check()


def write(port, protobuf, content_type=V1):
    headers = {"Content-Type": content_type, "Content-Encoding": "snappy"}
    return request(port, "POST", "/api/v1/write", snappy_block_encode(protobuf), headers)


def versions(receiver):
    return [write.version for write in receiver.writes]


def sample(metric, when=None, **labels):
    return series_v1(named(metric, **labels), [(when or now_ms(), 1)])


@pytest.mark.parametrize("kind", KINDS)
def test_writes_what_every_door_takes_with_its_metadata(kind):
    when = now_ms()
    with receiver_of("2.0") as receiver, gateway_to(kind, receiver.remote_write_url, EXTERNAL_LABELS="env=test") as port:
        text = ("# HELP backup_seconds How long.\n# TYPE backup_seconds gauge\nbackup_seconds 2.5\n"
                "# TYPE latency histogram\nlatency_bucket{le=\"0.5\"} 1\nlatency_bucket{le=\"+Inf\"} 3\nlatency_sum 4\nlatency_count 3\n"
                "plain 1\n")
        assert request(port, "PUT", "/metrics/job/b", text.encode())[0] == 202
        (pushed,) = receiver.writes
        gauge = (GAUGE, "How long.", "")
        assert pushed.described == {"backup_seconds": gauge, "latency_bucket": (HISTOGRAM, "", ""), "latency_sum": (HISTOGRAM, "", ""),
                                    "latency_count": (HISTOGRAM, "", ""), "plain": None, "push_time_seconds": None}
        samples = receiver.samples()
        assert [value for _, value in samples[("latency_bucket", (("env", "test"), ("job", "b"), ("le", "0.5")))]] == [bits(1.0)]

        otlp = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "queue.length", "description": "Waiting.", "unit": "1", "gauge": {
            "dataPoints": [{"timeUnixNano": str(when * 1_000_000), "asInt": 7}]}}]}]}]}
        assert request(port, "POST", "/v1/metrics", json.dumps(otlp).encode(), {"Content-Type": "application/json"})[0] == 200
        print(receiver.writes[-1].described)
        assert receiver.writes[-1].described == {"queue_length_ratio": (GAUGE, "Waiting.", "")}

        events = [{"metrics": {"a": 1, "b": 2.5}, "dimensions": {"d": "1"}}, {"metrics": {"a": 2}, "dimensions": {"d": "2"}}]
        assert request(port, "POST", "/events", json.dumps(events).encode(), {"Content-Type": "application/json"})[0] == 200
        assert receiver.writes[-1].described == {"a": None, "b": None}
        assert receiver.metric("b")[0][1] == bits(2.5)
    assert versions(receiver) == ["2.0"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_relays_both_versions_with_the_metadata_that_it_knows(kind):
    when = now_ms()
    with receiver_of("2.0") as receiver, gateway_to(kind, receiver.remote_write_url) as port:
        metadata = field(3, field(1, COUNTER) + field(2, "requests") + field(4, "All requests.") + field(5, ""))
        assert write(port, metadata)[0] == 204
        assert receiver.writes == [], "2.0 has no request of metadata alone"
        assert write(port, sample("requests_total", when) + sample("other", when))[0] == 204
        assert receiver.writes[-1].described == {"requests_total": (COUNTER, "All requests.", ""), "other": None}

        symbols = ["", "__name__", "speed", "Of light.", "m"]
        one = field(1, varint(1) + varint(2)) + field(2, field(1, 3e8) + field(2, when)) + field(5, field(1, GAUGE) + field(3, 3) + field(4, 4))
        status, headers, _ = write(port, b"".join(field(4, symbol) for symbol in symbols) + field(5, one), V2)
        assert (status, [headers[name] for name in WRITTEN]) == (204, ["1", "0", "0"])
        assert receiver.writes[-1].described == {"speed": (GAUGE, "Of light.", "m")}
        assert receiver.metric("speed") == [(when, bits(3e8))]


def test_a_relayed_sample_has_a_message_of_its_own_in_the_order_of_time():
    when = now_ms()
    with receiver_of("2.0") as receiver, gateway_to(KINDS[0], receiver.remote_write_url) as port:
        request_of_two = request_v2((named("b"), [(when + 1, 2)], 0), (named("a"), [(when, 1)], 0), (named("b"), [(when, 1)], 2))
        assert write(port, request_of_two, V2)[0] == 204
    (one,) = receiver.writes
    assert [(dict(series.labels)["__name__"], len(series.samples)) for series in one.series] == [("b", 1), ("b", 1), ("a", 1)]
    assert receiver.metric("b") == [(when, bits(1.0)), (when + 1, bits(2.0))]


@pytest.mark.parametrize("kind", KINDS)
def test_passes_exemplars_on_from_2_0_and_leaves_them_out_of_1_0(kind):
    when = now_ms()
    exemplar = [("trace_id", "abc"), ("span", "é")], 0.5, when - 5
    samples = [(named("a", job="x"), when, 1.0, exemplar, (COUNTER, "Help.", "")), (named("b"), when, 2.0, None, None)]
    with receiver_of("2.0") as receiver, gateway_to(kind, receiver.remote_write_url) as port:
        status, headers, _ = write(port, encode_v2(samples), V2)
        assert (status, [headers[name] for name in WRITTEN]) == (204, ["2", "0", "1"])
        first, second = receiver.writes[0].series
        assert (first.exemplars, second.exemplars) == ([([("trace_id", "abc"), ("span", "é")], bits(0.5), when - 5)], [])
        assert receiver.writes[0].described == {"a": (COUNTER, "Help.", ""), "b": None}
    with receiver_of("1.0", takes_metadata=True) as receiver, \
            gateway_to(kind, receiver.remote_write_url, REMOTE_WRITE_VERSION="1.0") as port:
        assert write(port, encode_v2(samples), V2)[0] == 204
        assert [one.exemplars for one in receiver.writes[0].series] == [0, 0]


def test_typed_metrics_and_groups_have_their_types_in_each_tick():
    with receiver_of("2.0") as receiver:
        with serving("--http", "127.0.0.1:0", "--state", "memory", "--tick", "1s", "--remote-write-url", receiver.remote_write_url,
                     REMOTE_WRITE_AUTH="none", REMOTE_WRITE_VERSION="2.0") as server:
            counter = {"type": "counter", "name": "orders_total", "value": 2, "labels": {"shop": "a"}, "help": "Sold."}
            result, body = invoke(server, counter)
            assert json.loads(body)["accepted"] == 1
            door = int(server.door.rpartition(":")[2])
            assert request(door, "PUT", "/metrics/job/b", b"# TYPE size gauge\nsize 4\n")[0] == 202
            end = time.monotonic() + 20
            while not {"orders_total", "size"} <= {metric for write in receiver.writes for metric in write.described}:
                assert time.monotonic() < end, server.output()
                time.sleep(0.05)
    described = {metric: one for write in receiver.writes for metric, one in write.described.items()}
    assert described["orders_total"] == (COUNTER, "Sold.", "") and described["size"] == (GAUGE, "", "")


@pytest.mark.parametrize("answer", [Answer(415, b"only 1.0"), Answer(204, counts=False), Answer(200, b"ok", counts=False)])
def test_falls_back_to_1_0_at_once_and_stays_with_it(answer):
    with Receiver(versions=("1.0", "2.0")) as receiver:
        receiver.answer_with(lambda write: answer if write.version == "2.0" else Answer())
        with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "REMOTE_WRITE_VERSION": "2.0"}) as ingest:
            for value in range(3):
                assert ingest.invoke([{"metrics": {"number": value}}]).json["accepted"] == 1
                time.sleep(0.002)  # another millisecond
            said = [line for line in ingest.log_text().splitlines() if "takes no remote write 2.0" in line]
        receiver.check()
    assert versions(receiver) == ["2.0", "1.0", "1.0", "1.0"]
    assert [write.series[0].samples for write in receiver.writes[:1]] == [write.series[0].samples for write in receiver.writes[1:2]]
    assert acknowledged_values(receiver)[-3:] == [0, 1, 2] and len(said) == 1


def test_the_bisection_finds_the_event_that_a_receiver_of_2_0_refuses():
    with Receiver(versions=("2.0",)) as receiver:
        bad = lambda write: any(dict(series.labels).get("d") == "bad" for series in write.series)
        receiver.answer_with(lambda write: Answer(400, b"invalid sample", write.counts) if bad(write) else Answer())
        with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "REMOTE_WRITE_VERSION": "2.0"}) as ingest:
            events = [{"metrics": {"number": 1}, "dimensions": {"d": d}} for d in ("1", "2", "bad", "3", "4")]
            report = ingest.invoke(events).json
        receiver.check()
    assert (report["accepted"], [item["index"] for item in report["rejected"]]) == (4, [2])
    stored = {dict(series.labels)["d"] for write in receiver.writes if write.acknowledged for series in write.series}
    assert stored == {"1", "2", "3", "4"}


@pytest.mark.parametrize("answer, expected, text", [
    (Answer(400, b"out of order sample", {WRITTEN[0]: "2"}), (400, ["2", "0", "0"]), "1 of 3 samples are rejected, the rest is stored"),
    (Answer(400, b"Bad request"), (400, ["0", "0", "0"]), "3 of 3 samples are rejected, none is stored; the receiver answered 400: Bad request"),
    (Answer(413, b"too large"), (400, ["0", "0", "0"]), "3 of 3"),
    (Answer(503, b"busy", {"Retry-After": "7"}), (503, ["0", "0", "0"]), "the receiver answered 503: busy"),
    (Answer(429, b"slow", {"Retry-After": "7"}), (503, ["0", "0", "0"]), "the receiver answered 429: slow"),
    (Answer(401, b"who"), (503, ["0", "0", "0"]), "the receiver answered 401: who"),
    (Answer(404, b"where"), (503, ["0", "0", "0"]), "the receiver answered 404: where"),
])
def test_passes_the_answer_on_to_a_sender_and_asks_only_once(answer, expected, text):
    when = now_ms()
    with receiver_of("2.0") as receiver, gateway_to(KINDS[0], receiver.remote_write_url) as port:
        receiver.answer_with(lambda _: answer)
        series = [(named(metric), [(when, 1)], 0) for metric in "abc"]
        status, headers, body = write(port, request_v2(*series), V2)
        assert (status, [headers[name] for name in WRITTEN]) == expected and text in body.decode()
        if status == 503:
            # If a retry cannot help before an operator acts, the sender is asked to wait longer.
            assert headers["Retry-After"] == answer.headers.get("Retry-After", "30")
    assert len(receiver.writes) == 1


def test_warns_of_a_success_that_counts_fewer_samples_and_takes_it():
    with receiver_of("2.0") as receiver:
        receiver.answer(Answer(204, headers={WRITTEN[0]: "1"}, counts=False))
        with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "REMOTE_WRITE_AUTH": "none", "REMOTE_WRITE_VERSION": "2.0"}) as ingest:
            result = ingest.invoke([{"metrics": {"a": 1, "b": 2}}])
            assert result.json["accepted"] == 1
            assert "counts fewer samples than it has" in ingest.log_text()


def test_sends_1_0_without_the_setting():
    with door() as one:
        one.put("/metrics/job/b", "# TYPE a gauge\na 1\n")
        assert set(versions(one.receiver)) == {"1.0"}


def _native(schema, when, bounds=b""):
    return (field(1, 3) + field(3, 1.5) + field(4, (schema << 1) ^ (schema >> 31)) + field(6, 0) + field(11, field(2, 2))
            + field(12, varint(4) + varint(1)) + field(15, when) + (field(16, bounds) if bounds else b""))


@pytest.mark.parametrize("kind", KINDS)
def test_prometheus_stores_values_and_native_histograms_and_passes_the_metadata_on(kind):
    with Receiver(auth="none", versions=("1.0", "2.0")) as behind, Prometheus(forward=behind.remote_write_url) as store, \
            gateway_to(kind, store.remote_write_url) as port:
        when = now_ms()
        text = b"# HELP backup_seconds How long.\n# TYPE backup_seconds gauge\nbackup_seconds{disk=\"a\"} 2.5\nbackup_seconds{disk=\"b\"} +Inf\n"
        assert request(port, "PUT", "/metrics/job/b", text)[0] == 202
        symbols = ["", "__name__", "native", "Seconds."]
        one = field(1, varint(1) + varint(2)) + field(3, _native(1, when)) + field(5, field(1, HISTOGRAM) + field(3, 3))
        status, headers, body = write(port, b"".join(field(4, symbol) for symbol in symbols) + field(5, one), V2)
        assert (status, [headers[name] for name in WRITTEN]) == (204, ["0", "1", "0"]), body

        found = {dict(labels)["disk"]: value for labels, [(_, value)] in store.samples("backup_seconds").items()}
        assert found == {"a": "2.5", "b": "+Inf"}
        assert store.value("histogram_count(native)") == 3 and store.value("histogram_sum(native)") == 1.5
        (stored,) = store.api("query", query="native")["result"]
        assert [bucket[3] for bucket in stored["histogram"][1]["buckets"]] == ["2", "1"]

        # Prometheus does not show metadata that was written to it, but sends it on.
        end = time.monotonic() + 20
        wanted = {"backup_seconds": (GAUGE, "How long.", ""), "native": (HISTOGRAM, "Seconds.", "")}
        while not all(any(write.described.get(metric) == one for write in behind.writes) for metric, one in wanted.items()):
            assert time.monotonic() < end, [write.described for write in behind.writes]
            time.sleep(0.1)
