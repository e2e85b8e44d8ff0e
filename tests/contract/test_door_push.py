"""Pushes by Pushgateway's protocol, through `pushgw serve --http` to a receiver that checks what arrives."""
import gzip
import json
import struct
import time

import pytest

from support.door import OPENMETRICS, PROTOBUF, PUSH_TIME, door
from support.events import now_ms
from support.receiver import Answer
from support.remote_write import bits

JOB = (("job", "x"),)


@pytest.fixture(scope="module")
def gateway():
    with door(EXTERNAL_LABELS="env=test") as one:
        yield one


@pytest.fixture
def own():
    """A door for tests that change what the receiver answers."""
    with door() as one:
        yield one


def labels(**pairs):
    return tuple(sorted({"env": "test", "job": "x", **pairs}.items()))


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_writes_every_series_once_with_the_time_of_the_push(gateway, method):
    before = now_ms()
    body = b"# TYPE a counter\na 1\n# HELP b some text\nb{c=\"d\"} 2.5\nb{c=\"e\"} -Inf\n"
    answered = gateway.request(method, "/metrics/job/x", body)
    assert (answered.status, answered.body) == (202, b"")
    assert answered.pushed == {("a", labels()): bits(1.0), ("b", labels(c="d")): bits(2.5), ("b", labels(c="e")): bits(float("-inf"))}
    times = {when for samples in answered.samples.values() for when, _ in samples}
    assert len(times) == 1
    assert before <= min(times) <= now_ms()
    ((when, value),) = answered.samples[(PUSH_TIME, labels())]
    assert value == bits(when / 1000)


@pytest.mark.parametrize("path, expected", [
    ("/metrics", {"env": "test"}),
    ("/metrics/job/some%20job", {"job": "some job"}),
    ("/metrics/job/x/", {}),
    ("/metrics/job/x/instance/", {}),
    ("//metrics/job/x/a/b+c", {"a": "b+c"}),
    ("/metrics/job@base64/YS9iIGM=/e@base64/=/p@base64/L3Zhci90bXA", {"job": "a/b c", "p": "/var/tmp"}),
    ("/metrics/job/x/a%2Fb", {"a": "b"}),
    ("/metrics/job/x/zone.id/z", {"zone_id": "z"}),
    ("/metrics/job/x/env/prod", {"env": "prod"}),
    ("/metrics/job/x/job/y", {}),
    ("/ttl/15m/metrics/job/x", {}),
    ("/metrics/job/%CE%BB", {"job": "λ"}),
])
def test_the_path_gives_the_labels_of_the_group(gateway, path, expected):
    wanted = dict(labels(**expected))
    if path == "/metrics":
        del wanted["job"]
    answered = gateway.put(path, "a 1\n")
    assert answered.status == 202, answered
    assert answered.pushed == {("a", tuple(sorted(wanted.items()))): bits(1.0)}


def test_labels_of_the_path_win_over_those_of_the_body(gateway):
    answered = gateway.put("/metrics/job/x/instance/i/empty/", 'a{job="body",instance="body",empty="body",other="o"} 1\n')
    assert answered.pushed == {("a", labels(instance="i", other="o")): bits(1.0)}


@pytest.mark.parametrize("path, sentence", [
    ("/metrics/job/", "no job"), ("/metrics/job//a/b", "no job"), ("/metrics/job/x/a", "no value"),
    ("/metrics/job/x/__a/b", "reserved"), ("/metrics/job/x//b", "empty"), ("/metrics/job@base64/_w", "UTF-8"),
    ("/metrics/job@base64/a*", "base64"), ("/metrics/job/%zz", "hexadecimal"), ("/metrics/job/%ff", "UTF-8"),
    ("/metrics/job/a%00", "zero"), ("/metrics/job/x/a.b/1/a_b/2", "one name"), ("/ttl/soon/metrics/job/x", "duration"),
])
def test_a_path_without_a_grouping_key_is_400(gateway, path, sentence):
    answered = gateway.put(path, "a 1\n")
    assert answered.status == 400
    assert sentence in answered.text
    assert answered.samples == {}


@pytest.mark.parametrize("body, line, sentence", [
    ("a 1\nb x\n", 2, "x"),
    ("a 1\n{} 2\n", 2, ""),
    ("a 1\na 2\n", 2, "another value"),
    ("a.b 1\n", 1, ""),
    ('{"a.b"} 1\na_b 1\n', 2, "one name"),
    ('a{x="1",x="2"} 1\n', 1, "x"),
    ('a{"x.y"="1",x_y="2"} 1\n', 1, "one name"),
    ("__a 1\n", 1, "reserved"),
    ('a{__x="1"} 1\n', 1, "reserved"),
    ("# TYPE a histogram\na_bucket 1\n", 2, "le"),
    ("# TYPE a histogram\na_bucket{le=\"x\"} 1\n", 2, "le"),
    ("# TYPE a counter\n# TYPE a gauge\na 1\n", None, "type"),
    ("a 1 1000\n", 1, "old"),
    ("a 1 9000000000000\n", 1, "ahead"),
    ("a" * 1025 + " 1\n", 1, "1025 bytes"),
    ('a{b="' + "c" * 2049 + '"} 1\n', 1, "2049 bytes"),
    ("a{" + ",".join(f'l{i}="v"' for i in range(148)) + "} 1\n", 1, "151 labels"),
], ids=lambda value: str(value)[:30])
def test_a_body_with_one_fault_is_400_and_nothing_of_it_is_written(gateway, body, line, sentence):
    answered = gateway.put("/metrics/job/x", "good 1\n" + body)
    assert answered.status == 400
    assert answered.samples == {}
    assert sentence in answered.text
    assert answered.text.count("\n") == 1 and len(answered.text) < 1000
    if line:
        assert f"line {line + 1}" in answered.text


def test_takes_what_a_scrape_takes(gateway):
    body = "\ufeff# a comment\r\n\r\na 1\r\n# EOF\n# UNIT a seconds\nb{c=\"d\",} NaN\ne{} +Inf\n{\"f g\"} 1e3"
    answered = gateway.put("/metrics/job/x", body)
    assert answered.status == 202, answered
    assert {name for name, _ in answered.pushed} == {"a", "b", "e", "f_g"}


def test_normalises_the_bounds_of_histograms_and_summaries_as_prometheus_does(gateway):
    body = ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"
            "# TYPE s summary\ns{quantile=\"0.50\"} 1\n# TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 1\n")
    answered = gateway.put("/metrics/job/x", body)
    assert {(name, dict(labels).get("le"), dict(labels).get("quantile")) for name, labels in answered.pushed} == {
        ("h_bucket", "1.0", None), ("h_bucket", "+Inf", None), ("h_sum", None, None), ("h_count", None, None),
        ("s", None, "0.5"), ("g", "1", "1")}


def test_openmetrics_skips_exemplars_and_created_and_needs_its_end(gateway):
    body = ("# TYPE a counter\n# UNIT a_seconds seconds\na_total 1 # {trace=\"x\"} 1 1.5\na_created 1.5\n# EOF\n")
    answered = gateway.put("/metrics/job/x", body.replace("a_seconds seconds", "a seconds").replace("# UNIT a seconds\n", ""), OPENMETRICS)
    assert answered.status == 202, answered
    assert answered.pushed == {("a_total", labels()): bits(1.0)}
    assert gateway.put("/metrics/job/x", "a 1\n", OPENMETRICS).status == 400


def test_a_sample_with_a_time_of_its_own_keeps_it(gateway):
    when = now_ms() - 60_000
    answered = gateway.put("/metrics/job/x", f"a 1 {when}\na 2 {when + 1}\n")
    assert answered.status == 202
    assert answered.samples[("a", labels())] == [(when, bits(1.0)), (when + 1, bits(2.0))]


def test_the_own_series_win_over_pushed_ones(gateway):
    answered = gateway.put("/metrics/job/x", "push_time_seconds 1\npush_failure_time_seconds 2\na 1\n")
    assert answered.status == 202
    assert set(answered.samples) == {("a", labels()), (PUSH_TIME, labels())}
    assert answered.samples[(PUSH_TIME, labels())][0][1] != bits(1.0)


def test_an_empty_push_writes_the_push_time_alone(gateway):
    for method in ("PUT", "POST"):
        answered = gateway.request(method, "/metrics/job/x", b"")
        assert answered.status == 202
        assert set(answered.samples) == {(PUSH_TIME, labels())}


@pytest.mark.parametrize("body, expected", [
    ('{"U__a_2e_b"} 1\nU__c 1\n', {"U__a_2e_b", "U__c"}), ('{__name__="d",x=""} 1\n', {"d"}), ('{"d",x="y"} 1\n', {"d"}), ('{x="y","d"} 1\n', {"d"}),
])
def test_names_may_stand_in_braces_and_escaped_ones_stay(gateway, body, expected):
    answered = gateway.put("/metrics/job/x", body)
    assert answered.status == 202, answered
    assert {name for name, _ in answered.pushed} == expected


@pytest.mark.parametrize("path, body, count", [
    ("/metrics/job/x/instance/i", 'a{instance="1"} 1\na{instance="2"} 1\n', 1), ("/metrics/job/x", 'a{env="test"} 1\na 1\n', 1),
    ("/metrics/job/x", 'a{"b.c"="1"} 1\na{"b c"="1"} 1\n', 1), ("/metrics/job/x", 'a{b=""} 1\na 1\n', 1), ("/metrics/job/x", 'a{env="other"} 1\na 2\n', 2),
])
def test_series_that_become_one_are_one_if_they_are_equal_and_400_if_not(gateway, path, body, count):
    assert len(gateway.put(path, body).pushed) == count
    answered = gateway.put(path, body.replace("1\n", "3\n", 1))
    assert answered.status == (400 if count == 1 else 202)
    assert len(answered.pushed) == (0 if count == 1 else 2)


def test_equal_samples_are_written_once(gateway):
    assert gateway.put("/metrics/job/x", "a 1\na 1\n").pushed == {("a", labels()): bits(1.0)}


def test_delete_is_202_whatever_its_body(gateway):
    for body in (b"", b"no metrics at all {{{"):
        answered = gateway.request("DELETE", "/metrics/job/x/a/b", body)
        assert (answered.status, answered.samples) == (202, {})


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_a_gzip_body_is_unpacked_with_and_without_its_header(gateway, headers):
    answered = gateway.put("/metrics/job/x", gzip.compress(b"a 1\n"), **headers)
    assert answered.pushed == {("a", labels()): bits(1.0)}


def test_an_unknown_encoding_is_415_and_a_bomb_413(gateway):
    assert gateway.put("/metrics/job/x", "a 1\n", **{"Content-Encoding": "br"}).status == 415
    bomb = gzip.compress(b"a" * (16 << 20) + b" 1\n")
    assert gateway.put("/metrics/job/x", bomb, **{"Content-Encoding": "gzip"}).status == 413


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/-/healthy", 200), ("HEAD", "/-/ready", 200), ("POST", "/-/healthy", 405), ("GET", "/nowhere", 404),
    ("GET", "/metrics/job/x", 405), ("GET", "/metrics", 404), ("GET", "/api/v1/metrics", 200), ("GET", "/api/v1/status", 200),
    ("PUT", "/api/v1/admin/wipe", 404), ("PATCH", "/metrics/job/x", 405), ("OPTIONS", "/metrics/job/x", 200),
    ("PUT", "/metrics/job", 404),
])
def test_answers_other_routes(gateway, method, path, status):
    answered = gateway.request(method, path)
    assert answered.status == status
    assert answered.headers["Cache-Control"] == "no-store"
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
    if status == 405 or method == "OPTIONS":
        assert answered.headers["Allow"]
    if method == "HEAD":
        assert answered.body == b""


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_web_page_of_another_site_cannot_push(gateway, headers):
    answered = gateway.put("/metrics/job/x", "a 1\n", **headers)
    assert (answered.status, answered.samples) == (403, {})


def test_a_newer_push_supersedes_an_older_one(own):
    own.receiver.answer_with(lambda write: Answer(400, b"out of order sample"))
    assert own.put("/metrics/job/x", "a 1\n").status == 202
    when = now_ms() - 1000
    assert own.put("/metrics/job/x", f"a 1 {when}\n").status == 400


def test_a_refused_sample_is_400_and_the_rest_is_stored(own):
    def answer(write):
        bad = any(("__name__", "bad") in series.labels for series in write.series)
        return Answer(400, b"invalid label value") if bad else Answer(204)
    own.receiver.answer_with(answer)
    answered = own.put("/metrics/job/x", "good 1\nbad 2\n")
    assert answered.status == 400
    assert "line 2" in answered.text and "bad" in answered.text and "invalid label value" in answered.text
    assert ("good", JOB) in own.receiver.samples()


@pytest.mark.parametrize("answer, wait", [(Answer(503, headers={"Retry-After": "17"}), "17"), (Answer(500), "5"), (Answer(429), "5")])
def test_trouble_of_the_receiver_is_503_with_retry_after(answer, wait):
    with door(HTTP_DEADLINE="1s") as own:
        own.receiver.answer_with(lambda write: answer)
        begun = time.monotonic()
        answered = own.put("/metrics/job/x", "a 1\n")
        assert (answered.status, answered.headers["Retry-After"]) == (503, wait)
        assert time.monotonic() - begun < 3


def family(name, label=b""):
    """Returns a delimited message: a gauge with one metric of value 1.5."""
    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content
    metric = (field(1, label) if label else b"") + field(2, b"\x09" + struct.pack("<d", 1.5))
    message = field(1, name) + b"\x18\x01" + field(4, metric)
    return bytes([len(message)]) + message


def vint(number, value):
    out = bytes([number << 3])
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


def delimited(message):
    return vint(0, len(message))[1:] + message


#: Schema 1, four observations in two buckets.
HISTOGRAM_NATIVE = (vint(1, 4) + b"\x11" + struct.pack("<d", 2.5) + vint(5, 2) + b"\x31" + struct.pack("<d", 0.001)
                    + field(12, vint(1, 0) + vint(2, 2)) + vint(13, 4) + vint(13, 0))


def test_takes_delimited_protobuf_and_names_the_family_of_an_error(gateway):
    answered = gateway.put("/metrics/job/x", family(b"a") + family(b"b", b"\x0a\x01c\x12\x01d"), PROTOBUF)
    assert answered.status == 202, answered
    assert answered.pushed == {("a", labels()): bits(1.5), ("b", labels(c="d")): bits(1.5)}
    answered = gateway.put("/metrics/job/x", family(b"a") + family(b"b", b"\x0a\x03__c\x12\x01d"), PROTOBUF)
    assert (answered.status, answered.samples) == (400, {})
    assert answered.text.startswith("family 2: b{__c=")
    assert gateway.put("/metrics/job/x", family(b"a")[:-1], PROTOBUF).status == 400


def test_a_native_and_a_classic_histogram_in_one_family_are_both_written(gateway):
    strict = gateway.receiver._faults_of
    gateway.receiver._faults_of = lambda write: [fault for fault in strict(write) if "histograms" not in fault and "no sample" not in fault]
    native = HISTOGRAM_NATIVE + field(3, vint(1, 1) + b"\x11" + struct.pack("<d", 0.5))
    answered = gateway.put("/metrics/job/x", delimited(field(1, b"n") + vint(3, 4) + field(4, field(7, native))), PROTOBUF)
    assert answered.status == 202, answered
    assert {(name, dict(labels).get("le")) for name, labels in answered.pushed} == {("n_bucket", "0.5"), ("n_bucket", "+Inf"), ("n_sum", None), ("n_count", None)}
    gateway.receiver._faults_of = strict
    [series] = [series for write in gateway.receiver.writes[-2:] for series in write.series if series.histograms]
    assert dict(series.labels)["__name__"] == "n"


@pytest.mark.parametrize("spans", [field(12, vint(1, 0) + vint(2, 3)), field(12, vint(1, 0) + vint(2, 1)), b""])
def test_spans_and_deltas_that_do_not_match_are_400(gateway, spans):
    wrong = vint(1, 4) + vint(5, 2) + b"\x31" + struct.pack("<d", 0.001) + spans + vint(13, 2) + vint(13, 2)
    answered = gateway.put("/metrics/job/x", delimited(field(1, b"n") + vint(3, 4) + field(4, field(7, wrong))), PROTOBUF)
    assert (answered.status, answered.samples) == (400, {}), answered
    assert answered.text.startswith("family 1")


def test_two_types_of_one_family_in_protobuf_are_400(gateway):
    answered = gateway.put("/metrics/job/x", family(b"a") + family(b"a").replace(b"\x18\x01", b"\x18\x00"), PROTOBUF)
    assert (answered.status, answered.samples) == (400, {}) and "type" in answered.text


def test_a_time_that_no_clock_has_is_a_time(gateway):
    late = delimited(field(1, b"a") + vint(3, 1) + field(4, field(2, b"\x09" + struct.pack("<d", 1)) + vint(6, 1 << 63)))
    answered = gateway.put("/metrics/job/x", late, PROTOBUF)
    assert (answered.status, answered.samples) == (400, {}) and "old" in answered.text


def test_trouble_comes_before_what_the_receiver_refuses():
    def answer(write):
        names = {dict(series.labels)["__name__"] for series in write.series}
        return Answer(400, b"invalid label value") if "bad" in names else Answer(503 if "down" in names else 204)
    with door(HTTP_DEADLINE="2s") as gateway:
        gateway.receiver.answer_with(answer)
        answered = gateway.put("/metrics/job/x", "bad 1\ndown 2\n")
        assert answered.status == 503 and answered.headers["Retry-After"] == "5", answered


def test_a_receiver_that_hangs_is_503_before_the_deadline():
    with door(HTTP_DEADLINE="1s") as gateway:
        gateway.receiver.answer_with(lambda write: Answer(204, delay=20))
        begun = time.monotonic()
        answered = gateway.put("/metrics/job/x", "a 1\n")
        assert answered.status == 503 and answered.headers["Retry-After"]
        assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("wanted, expected", [("0", "5"), ("100", "30"), ("2", "2"), ("soon", "5"), ("Sun, 29 Nov 2020 00:00:00 GMT", "5")])
def test_retry_after_is_a_number_from_1_to_30(wanted, expected):
    with door(HTTP_DEADLINE="1s") as gateway:
        gateway.receiver.answer_with(lambda write: Answer(503, headers={"Retry-After": wanted}))
        assert gateway.put("/metrics/job/x", "a 1\n").headers["Retry-After"] == expected


# --- large pushes ------------------------------------------------------------------------------------------------------

#: More than the gateway writes at a time.
MANY = 200_000


@pytest.fixture
def patient():
    """A door that waits for a receiver in Python."""
    with door(HTTP_DEADLINE="60s") as one:
        yield one


def many(*last):
    return gzip.compress(b"".join(b'a{n="%x"} 1\n' % number for number in range(MANY)) + b"".join(line + b"\n" for line in last), 1)


def test_a_large_push_is_written_whole_with_one_time(patient):
    answered = patient.put("/metrics/job/x", many())
    assert answered.status == 202, answered.text
    assert len(answered.samples) == MANY + 1
    assert len({when for samples in answered.samples.values() for when, _ in samples}) == 1
    assert all(len(samples) == 1 for samples in answered.samples.values())
    last = [dict(labels)["__name__"] for labels, _, _ in patient.receiver.writes[-1].samples]
    assert PUSH_TIME in last


@pytest.mark.parametrize("line, sentence", [
    (b'a{n="0",job="y"} 2', "contradicts 1.0"), (b"b 1 1000", "old"), (b"__b 1", "reserved"), (b'{"n.b"} 1\n{"n b"} 1', "one name"),
])
def test_a_large_push_with_a_fault_at_its_end_is_400_and_nothing_is_written(patient, line, sentence):
    answered = patient.put("/metrics/job/x", many(line))
    assert (answered.status, answered.samples) == (400, {})
    assert sentence in answered.text and f"line {MANY + 1}" in answered.text or "one name" in answered.text


def test_a_series_of_a_large_push_that_is_there_already_is_written_once(patient):
    answered = patient.put("/metrics/job/x", many(b'a{n="0",job="y"} 1'))
    assert answered.status == 202
    assert len(answered.samples) == MANY + 1 and all(len(samples) == 1 for samples in answered.samples.values())


def test_a_large_push_stops_at_the_first_part_that_fails(patient):
    patient.receiver.answer_with(lambda write: Answer(403))
    answered = patient.put("/metrics/job/x", many())
    # It is 21 requests long.
    assert answered.status == 503 and len(patient.receiver.writes) < 12


def test_a_push_that_is_too_much_to_send_is_413_before_anything_is_sent(patient):
    labels = "".join(f"/l{number}/{'v' * 2_000}" for number in range(4))
    body = b"".join(b"a%d 1\n" % number for number in range(9_000))
    answered = patient.put(f"/metrics/job/x{labels}", body)
    assert (answered.status, answered.samples) == (413, {}) and "67108864" in answered.text
    body = gzip.compress(b"".join(b"a{b=\"%x\"} 1\n" % number for number in range(1_000_001)), 1)
    answered = patient.put("/metrics/job/x", body)
    assert (answered.status, answered.samples) == (413, {}) and "1000000" in answered.text


def test_metadata_has_a_request_of_its_own_once_an_hour(own):
    body = "# HELP a some text\n# TYPE a counter\na 1\nb 2\n"
    for _ in range(2):
        assert own.put("/metrics/job/x", body).status == 202
    [write] = [write for write in own.receiver.writes if write.metadata]
    [raw] = write.metadata
    assert raw == b"\x08\x01\x12\x01a\x22\x09some text"
    assert own.receiver.writes.index(write) == 1, "behind the samples"


def test_metadata_that_the_receiver_refuses_changes_no_answer(own):
    own.receiver.answer_with(lambda write: Answer(400 if write.metadata else 204, b"metadata too long"))
    assert own.put("/metrics/job/x", "# TYPE a counter\na 1\n").status == 202
    assert "metadata not taken" in own.server.output()


def test_events_are_answered_with_the_report(gateway):
    when = now_ms()
    for body, status, counts in [
        (f'{{"metrics":{{"a":1}},"timestamp":{when}}}', 200, (1, 0)), ('[{"metrics":{"a":1}},{"metrics":{"a":"x"}}]', 200, (1, 1)),
        ('{"metrics":{"a":"x"}}', 400, (0, 1)), ("[]", 200, (0, 0)), ("no json", 400, (0, 1)),
    ]:
        answered = gateway.request("POST", "/events", body.encode(), {"Content-Type": "text/plain"})
        assert answered.status == status, (body, answered)
        report = json.loads(answered.body)
        assert (report["accepted"], report["rejected_count"]) == counts
