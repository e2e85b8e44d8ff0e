"""Remote read: a real Prometheus reads through the door what another real Prometheus holds.

The door queries a query API that checks each signature. The same `ingest` answers behind a function URL.
"""
import base64
import itertools
import json
import random
import struct
import time
import urllib.error
import urllib.request

import pytest

from support import remote_write
from support.events import now_ms
from support.function_url import FunctionUrl
from support.prometheus import Prometheus
from support.receiver import Receiver
from support.remote_read import EQUAL, HEADERS, MATCHES, NOT_EQUAL, NOT_MATCHES, QueryApi, failure, request, results
from support.remote_write import bits
from support.runtime_api import Ingest, peak_memory
from support.serve import serving

DAY = 86_400_000
#: Odd label values: PromQL must quote each of them.
VALUES = ["plain", 'say "hi"', r"C:\new", "two\nlines", "tab\there", "größe 🌡", "`back` 'single'", "{a=\"b\"}", "\ufffd", "\x00\x7f", "a|b.*"]


@pytest.fixture(scope="module")
def store():
    """The Prometheus that holds the samples. It takes old ones."""
    with Prometheus(out_of_order_window="200d") as server:
        yield server


@pytest.fixture(scope="module")
def query_api(store):
    with QueryApi(store) as server:
        yield server


@pytest.fixture(autouse=True)
def check(query_api):
    """Fails a test if a query is not signed, or otherwise wrong."""
    query_api.queries.clear()
    yield
    assert query_api.faults == []
    assert query_api.answers == []


@pytest.fixture(scope="module")
def door(query_api):
    """The function behind a function URL."""
    settings = {"HTTP_AUTH": "none", "HTTP_READ": "on", "READ_URL": query_api.query_url}
    with Receiver() as receiver, Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, **settings}) as ingest, FunctionUrl(ingest) as one:
        one.ingest = ingest
        yield one


@pytest.fixture(scope="module")
def reader(door):
    """A Prometheus without samples, which reads through the door."""
    with Prometheus(remote_read=door.url + "/api/v1/read") as server:
        yield server


@pytest.fixture
def metric(store, numbers=itertools.count()):
    """A name that no other test uses."""
    return f"m{next(numbers)}"


def write(store, *series):
    """Writes series to the store: ({name: value}, [(time, value)])."""
    made = [(sorted(labels.items()), [(when, bits(value)) for when, value in samples]) for labels, samples in series]
    body = remote_write.snappy_block_encode(remote_write.encode(made))
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    with urllib.request.urlopen(urllib.request.Request(store.remote_write_url, body, headers), timeout=20) as answer:
        assert answer.status == 204


def post(door, body, path="/api/v1/read", **headers):
    """Sends a body to the door and returns (status, headers, body)."""
    sent = urllib.request.Request(door.url + path, body, {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}})
    try:
        with urllib.request.urlopen(sent, timeout=40) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def read(door, *queries):
    status, headers, body = post(door, request(*queries))
    assert status == 200, body
    assert headers["Content-Type"] == "application/x-protobuf" and headers["Content-Encoding"] == "snappy"
    return results(body)


def named(metric):
    return (EQUAL, "__name__", metric)


def matrix(series):
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}})


def in_order(data):
    """Returns the series of an answer sorted by their labels: Prometheus gives them in any order."""
    return sorted(data["result"], key=lambda series: sorted(series["metric"].items()))


def test_a_prometheus_reads_the_same_samples_and_computes_the_same_results(store, reader, metric):
    now = now_ms()
    write(store, *(({"__name__": metric, "job": "a", "instance": f"i{number}"},
                    [(now - 3_600_000 + second * 15_000, number * 1000.0 + second ** 2) for second in range(240)]) for number in range(5)))
    for query in (f"{metric}[2h]", f'{metric}{{instance=~"i[13]"}}[30m]', f"{metric}", f"sum by (job) (rate({metric}[5m]))",
                  f'count_over_time({metric}{{job!="b",instance!~"i0"}}[1h])', f"{metric} offset 20m", f"absent({metric}_x)"):
        for when in (now / 1000, now / 1000 - 1234.567):
            wanted = in_order(store.api("query", query=query, time=when))
            assert in_order(reader.api("query", query=query, time=when)) == wanted and wanted, query
    ranged = {"query": f"rate({metric}[3m])", "start": now / 1000 - 3000, "end": now / 1000, "step": 60}
    assert in_order(reader.api("query_range", **ranged)) == in_order(store.api("query_range", **ranged))


def test_passes_values_on_bit_for_bit(store, door, metric):
    now = now_ms()
    values = [0.0, -0.0, 0.1, -1.5e308, 5e-324, float("inf"), float("-inf"), 2 ** 53 + 2.0, 123456789.123]
    write(store, ({"__name__": metric}, [(now - 1000 * number, value) for number, value in enumerate(values)][::-1]))
    [found] = read(door, (now - 60_000, now, [named(metric)]))
    assert sorted(value for _, value in found[(("__name__", metric),)]) == sorted(map(bits, values))
    write(store, ({"__name__": metric}, [(now + 1, float("nan"))]))
    [found] = read(door, (now + 1, now + 1, [named(metric)]))
    [(_, value)] = found[(("__name__", metric),)]
    assert struct.unpack("<d", value.to_bytes(8, "little"))[0] != struct.unpack("<d", value.to_bytes(8, "little"))[0]


def test_passes_matchers_on_exactly_whatever_the_value(store, door, metric):
    now = now_ms()
    write(store, *(({"__name__": metric, "v": value}, [(now, float(number))]) for number, value in enumerate(VALUES)))
    write(store, ({"__name__": metric, "größe mit \"Punkt.\"": "\\"}, [(now, 100.0)]))

    def found(*matchers):
        [result] = read(door, (now, now, [named(metric), *matchers]))
        return sorted(dict(labels).get("v", "-") for labels in result)

    for value in VALUES:
        assert found((EQUAL, "v", value)) == [value]
        assert found((NOT_EQUAL, "v", value)) == sorted(["-", *VALUES[:VALUES.index(value)], *VALUES[VALUES.index(value) + 1:]])
    assert found((MATCHES, "v", r"C:\\n.w|p\w+")) == [r"C:\new", "plain"]
    assert found((MATCHES, "v", "two\nl.*|größe.*")) == ["größe 🌡", "two\nlines"]
    assert found((NOT_MATCHES, "v", ".+")) == ["-"]
    assert found((EQUAL, "v", "")) == ["-"]
    assert found((EQUAL, "größe mit \"Punkt.\"", "\\")) == ["-"]
    assert found((NOT_EQUAL, "größe mit \"Punkt.\"", "")) == ["-"]


def test_answers_matchers_that_all_take_the_empty_string(store, door, query_api, metric):
    now = now_ms()
    write(store, ({"__name__": metric, "only": metric}, [(now, 1.0)]))
    for matchers in ([(MATCHES, "only", f"{metric}|")], [(MATCHES, "only", f"({metric})?"), (NOT_EQUAL, "x", "y")]):
        [result] = read(door, (now, now, matchers))
        assert (("__name__", metric), ("only", metric)) in result
    assert all(query["query"].endswith(',__name__=~".+"}[1ms]') for query in query_api.queries)
    query_api.queries.clear()
    read(door, (now, now, [(MATCHES, "only", f"{metric}|x")]))
    assert query_api.queries[0]["query"] == f'{{only=~"{metric}|x"}}[1ms]'


def test_includes_both_ends_of_the_range_and_nothing_beyond(store, door, metric):
    now = now_ms() - 10_000
    write(store, ({"__name__": metric}, [(now + offset, float(offset)) for offset in range(5)]))

    def found(start, end):
        [result] = read(door, (now + start, now + end, [named(metric)]))
        return [when - now for when, _ in result.get((("__name__", metric),), [])]

    assert found(1, 3) == [1, 2, 3]
    assert found(2, 2) == [2]
    assert found(-9, 0) == [0]
    assert found(4, 9) == [4]
    assert found(5, 9) == found(-9, -1) == found(3, 1) == []


def test_joins_a_long_range_without_a_sample_twice_or_missing(store, door, query_api, metric):
    """The parts have 31 days, the longest that AMP takes. Samples lie at each seam, and a millisecond before and behind it."""
    start = now_ms() - 100 * DAY
    times = sorted({start + day * DAY + offset for day in range(0, 94, 31) for offset in (0, 1)} | {start + day * DAY - 1 for day in (31, 62, 93)})
    write(store, ({"__name__": metric}, [(when, float(number)) for number, when in enumerate(times)]))
    [result] = read(door, (start, times[-1], [named(metric)]))
    assert result[(("__name__", metric),)] == [(when, bits(float(number))) for number, when in enumerate(times)]
    assert len(query_api.queries) == 4


def test_answers_each_query_of_a_request_in_order(store, door, metric):
    now = now_ms()
    write(store, ({"__name__": metric, "a": "1"}, [(now, 1.0)]), ({"__name__": metric, "a": "2"}, [(now, 2.0)]))
    found = read(door, *((now, now, [named(metric), (EQUAL, "a", value)]) for value in ("2", "3", "1")))
    assert [[dict(labels)["a"] for labels in result] for result in found] == [["2"], [], ["1"]]


def test_says_how_to_narrow_a_query_that_finds_more_than_lambda_can_answer(door, query_api):
    generator = random.Random(1)
    now = now_ms()
    values = [[now / 1000 - second, str(generator.random())] for second in range(5000, 0, -1)]
    series = [{"metric": {"__name__": "x", "n": str(number)}, "values": values} for number in range(100)]
    query_api.answers.append(failure(200, matrix(series)))
    status, headers, body = post(door, request((now - DAY, now, [named("x")])))
    assert status == 422, body[:200]
    assert "choose a shorter time range, or add matchers" in body.decode()
    # A third of them fits.
    query_api.answers.append(failure(200, matrix(series[:33])))
    assert sum(map(len, read(door, (now - DAY, now, [named("x")]))[0].values())) == 33 * 5000
    assert peak_memory(door.ingest.pid) < 128 << 20

    status, headers, body = post(door, request((-(1 << 63), (1 << 63) - 1, [named("x")])))
    assert status == 422 and "days" in body.decode() and "choose a shorter time range" in body.decode()


def test_says_so_too_if_the_response_is_more_than_a_load_balancer_takes(door, query_api):
    generator = random.Random(1)
    now = now_ms()
    values = [[now / 1000 - second, str(generator.random())] for second in range(5000, 0, -1)]
    query_api.answers.append(failure(200, matrix([{"metric": {"n": str(number)}, "values": values} for number in range(20)])))
    body = base64.b64encode(request((now - DAY, now, [named("x")]))).decode()
    event = {"requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/g/1"}},
             "httpMethod": "POST", "path": "/api/v1/read", "queryStringParameters": {}, "headers": {"content-encoding": "snappy"},
             "body": body, "isBase64Encoded": True}
    answer = door.ingest.invoke(event).json
    assert answer["statusCode"] == 422
    assert "1000000 bytes" in answer["body"] and "choose a shorter time range" in answer["body"]


@pytest.mark.parametrize("status, body, expected", [
    (400, '{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}', "parse error: unexpected end"),
    (422, '{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}',
     "query processing would load too many samples into memory"),
])
def test_passes_a_400_and_a_422_of_the_receiver_on_with_their_text(door, query_api, status, body, expected):
    query_api.answers.append(failure(status, body))
    assert post(door, request((0, 1, [named("x")])))[::2] == (status, (expected + "\n").encode())


def test_passes_on_what_the_receiver_says_about_a_regular_expression(door):
    status, _, body = post(door, request((0, 1, [named("x"), (MATCHES, "a", "(")])))
    assert status == 400 and b"missing closing" in body


@pytest.mark.parametrize("fault", [failure(429, "Rate exceeded"), failure(500, "x"), failure(503, ""), failure(404, ""), failure(200, "<html>")])
def test_answers_503_if_the_receiver_may_answer_later(door, query_api, fault):
    query_api.answers += [fault] * (5 if fault.status in (429, 500, 503) else 1)
    status, headers, body = post(door, request((0, 1, [named("x")])))
    assert status == 503 and 1 <= int(headers["Retry-After"]) <= 30 and body.strip()


def test_tries_again_within_the_time_of_a_client(store, door, query_api, metric):
    now = now_ms()
    write(store, ({"__name__": metric}, [(now, 1.0)]))
    query_api.answers += [failure(429, "Rate exceeded"), failure(503, "", Retry_After="1")]
    assert read(door, (now, now, [named(metric)])) == [{(("__name__", metric),): [(now, bits(1.0))]}]
    assert len(query_api.queries) == 3


def test_answers_before_its_deadline_if_the_receiver_hangs(door, query_api):
    slow = failure(200, matrix([]))
    slow.delay = 30
    query_api.answers.append(slow)
    begun = time.monotonic()
    assert post(door, request((0, 1, [named("x")])))[0] == 503
    assert time.monotonic() - begun < 9.5


def test_leaves_out_native_histograms(door, query_api):
    histogram = [1.5, {"count": "1", "sum": "2", "buckets": [[0, "1", "2", "1"]]}]
    query_api.answers.append(failure(200, matrix([{"metric": {"a": "1"}, "histograms": [histogram]},
                                                  {"metric": {"a": "2"}, "values": [[1.5, "3"]], "histograms": [histogram]}])))
    assert read(door, (0, 2000, [named("x")])) == [{(("a", "2"),): [(1500, bits(3.0))]}]
    result = door.responses[-1].result
    assert result.warnings(histograms=2)
    assert (result.metrics["series"], result.metrics["samples"]) == (1, 1)


@pytest.mark.parametrize("body, headers, status, text", [
    (b"", {}, 400, "not a snappy block"), (b"not a block", {}, 400, "not a snappy block"),
    (remote_write.snappy_block_encode(b"\x0a\x05"), {}, 400, "not a prometheus.ReadRequest"),
    (request((0, 1, [(EQUAL, "", "x")])), {}, 400, "no label name"), (request((0, 1, [(7, "a", "x")])), {}, 400, "expected 0 to 3"),
    (request(), {"Content_Encoding": "gzip"}, 415, "expected snappy"),
    (remote_write.snappy_block_encode(bytes(1_100_000)), {}, 413, "expected at most"),
])
def test_says_what_is_wrong_with_a_request(door, query_api, body, headers, status, text):
    found, _, sentence = post(door, body, **headers)
    assert (found, text in sentence.decode()) == (status, True), sentence
    assert query_api.queries == []


def test_answers_at_both_paths_and_only_to_post(door):
    assert post(door, request(), path="/read")[0] == 200
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(door.url + "/api/v1/read", timeout=10)
    assert error.value.code == 405 and "POST" in error.value.headers["Allow"]


@pytest.mark.parametrize("settings", [{"READ_URL": "http://127.0.0.1:9/api/v1/query"}, {"HTTP_READ": "off", "READ_URL": "http://127.0.0.1:9"}, {"HTTP_READ": "on"}])
def test_is_404_with_a_sentence_unless_it_is_set_up(settings):
    with Receiver() as receiver, Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "HTTP_AUTH": "none", **settings}) as ingest, FunctionUrl(ingest) as door:
        status, _, body = post(door, request())
        assert status == 404 and b"HTTP_READ=on" in body and b"READ_URL" in body


def test_pushgw_serve_reads_for_a_prometheus_without_signatures(store, metric):
    now = now_ms()
    write(store, ({"__name__": metric, "a": "ö"}, [(now - 1000, 1.0), (now, 2.0)]))
    settings = {"REMOTE_WRITE_AUTH": "none", "HTTP_READ": "on", "READ_URL": store.url}
    with serving("--http", "127.0.0.1:0", "--remote-write-url", store.remote_write_url, **settings) as server:
        with Prometheus(remote_read=server.door + "/read") as reader:
            assert reader.samples(metric) == store.samples(metric) == {(("a", "ö"),): [(now - 1000, "1"), (now, "2")]}
