"""Pushed groups with a table, through `pushgw serve --http`: what is exposed, listed, expires and is wiped."""
import gzip
import json
import re
import time

import pytest

from support.door import PROTOBUF, door
from support.receiver import Answer
from support.table import state_table

HELP = "Last Unix time when changing this group in the Pushgateway"


@pytest.fixture(scope="module")
def gateway(sqs):
    with door(HTTP_ADMIN="on", **state_table(sqs.endpoint)) as one:
        yield one


@pytest.fixture(autouse=True)
def empty(gateway):
    assert gateway.request("PUT", "/api/v1/admin/wipe").status == 202


def exposed(gateway, **headers):
    """Returns the lines of series without the push times, which are checked on their own."""
    answered = gateway.request("GET", "/metrics", headers=headers)
    assert answered.status == 200, answered
    return [line for line in answered.text.splitlines() if not line.startswith("#") and "_time_seconds{" not in line]


def push_times(gateway, job="x"):
    text = gateway.request("GET", "/metrics").text
    found = re.findall(rf'push_(failure_)?time_seconds{{instance="",job="{job}"}} (\S+)', text)
    return {"failed" if failure else "pushed": float(value) for failure, value in found}


def test_shows_a_push_as_pushgateway_does(gateway):
    before = time.time()
    assert gateway.put("/metrics/job/x", '# HELP b Some "text".\n# TYPE b counter\nb{c="d\\"e"} 2.5\na 1e6\n').status == 202
    answered = gateway.request("GET", "/metrics")
    assert answered.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    times = push_times(gateway)
    assert times["failed"] == 0 and before - 1 <= times["pushed"] <= time.time()
    assert re.sub(r"(push_time_seconds{.*}) \S+", r"\1 T", answered.text) == f"""# TYPE a untyped
a{{instance="",job="x"}} 1e+06
# HELP b Some "text".
# TYPE b counter
b{{c="d\\"e",instance="",job="x"}} 2.5
# HELP push_failure_time_seconds {HELP} failed.
# TYPE push_failure_time_seconds gauge
push_failure_time_seconds{{instance="",job="x"}} 0
# HELP push_time_seconds {HELP} succeeded.
# TYPE push_time_seconds gauge
push_time_seconds{{instance="",job="x"}} T
"""
    assert not answered.samples, "nothing is written but by the tick"


def test_put_replaces_post_merges_and_delete_removes(gateway):
    gateway.put("/metrics/job/x", "a 1\nb 1\n")
    assert gateway.request("POST", "/metrics/job/x", b"b 2\nc 2\n").status == 202
    assert exposed(gateway) == [f'{name}{{instance="",job="x"}} {value}' for name, value in (("a", 1), ("b", 2), ("c", 2))]
    gateway.put("/metrics/job/x", "c 3\n")
    assert exposed(gateway) == ['c{instance="",job="x"} 3']
    gateway.put("/metrics/job/x", "")
    assert exposed(gateway) == [] and push_times(gateway)["pushed"] > 0
    assert gateway.request("DELETE", "/metrics/job/x", b"ignored").status == 202
    assert push_times(gateway) == {}
    assert gateway.request("DELETE", "/metrics/job/x").status == 202


def test_labels_of_the_path_win_and_an_empty_one_takes_the_label_away(gateway):
    gateway.put("/metrics/job/x/instance/i/e/", 'a{job="body",e="body",other="o"} 1\n')
    assert exposed(gateway) == ['a{instance="i",job="x",other="o"} 1']
    ((labels),) = [group["labels"] for group in listed(gateway)]
    assert labels == {"job": "x", "instance": "i", "e": ""}


def test_a_wrong_push_keeps_the_group_and_sets_its_failure_time(gateway):
    gateway.put("/metrics/job/x", "a 1\n")
    before = time.time()
    assert gateway.put("/metrics/job/x", f"a 2\nb 1 {int((time.time() - 9e6) * 1000)}\n").status == 400
    times = push_times(gateway)
    assert exposed(gateway) == ['a{instance="",job="x"} 1'] and before - 1 <= times["failed"] <= time.time()
    (group,) = listed(gateway)
    assert group["last_push_successful"] is False
    assert gateway.put("/metrics/job/new", "a 1\na 2\n").status == 400
    assert push_times(gateway, "new")["pushed"] == 0
    assert gateway.put("/metrics/job/syntax", "a b c\n").status == 400
    assert push_times(gateway, "syntax") == {}, "as in Pushgateway"


def test_a_sample_with_a_time_of_its_own_is_written_and_not_exposed(gateway):
    when = int(time.time() * 1000) - 60_000
    answered = gateway.put("/metrics/job/x", f"a 1 {when}\nb 2\n")
    assert answered.status == 202, answered
    assert [(key[0], samples[0][0]) for key, samples in answered.samples.items()] == [("a", when)]
    assert exposed(gateway) == ['b{instance="",job="x"} 2']


@pytest.mark.parametrize("answer, status, sentence", [
    (Answer(400, b"out of bounds"), 400, "1 of 2 samples are refused, the group is not changed; line 1: a"), (Answer(503), 503, "503"),
])
def test_a_group_is_changed_only_if_its_samples_with_times_are_stored(sqs, answer, status, sentence):
    with door(HTTP_DEADLINE="1s", **state_table(sqs.endpoint)) as gateway:
        assert gateway.put("/metrics/job/x", "b 1\n").status == 202
        gateway.receiver.answer_with(lambda write: answer)
        answered = gateway.put("/metrics/job/x", f"a 1 {int(time.time() * 1000) - 1000}\nb 2\n")
        assert answered.status == status and sentence in answered.text, answered
        assert exposed(gateway) == ['b{instance="",job="x"} 1']


@pytest.mark.parametrize("path, header, expires", [
    ("/metrics/job/x", "1s", True), ("/ttl/1s/metrics/job/x", None, True), ("/ttl/1s/metrics/job/x", "0", False),
    ("/ttl/1h/metrics/job/x", "1s", True), ("/ttl/0/metrics/job/x", "1s", True),
])
def test_a_group_expires_as_its_push_says(gateway, path, header, expires):
    headers = {"X-Push-TTL": header} if header else {}
    assert gateway.put(path, "a 1\n", **headers).status == 202
    assert exposed(gateway) == ['a{instance="",job="x"} 1']
    time.sleep(1.1)
    assert (exposed(gateway) == []) == expires and (push_times(gateway) == {}) == expires


@pytest.mark.parametrize("path, header", [("/metrics/job/x", "soon"), ("/metrics/job/x", "-1s"), ("/ttl/x/metrics/job/x", None)])
def test_an_expiry_that_is_no_duration_is_400(gateway, path, header):
    answered = gateway.put(path, "a 1\n", **({"X-Push-TTL": header} if header else {}))
    assert answered.status == 400 and "duration" in answered.text
    assert exposed(gateway) == []


def listed(gateway):
    answered = gateway.request("GET", "/api/v1/metrics")
    assert answered.status == 200 and answered.headers["content-type"] == "application/json"
    found = json.loads(answered.text)
    assert found["status"] == "success"
    return found["data"]


def test_lists_groups_in_pushgateways_structure(gateway):
    gateway.put("/metrics/job/x", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n"
                                  "# HELP g Help.\n# TYPE g gauge\ng{l=\"v\"} 0.27\n")
    (group,) = listed(gateway)
    assert group["labels"] == {"job": "x"} and group["last_push_successful"] is True
    own = {"instance": "", "job": "x"}
    when = group["g"].pop("time_stamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", when)
    assert group["g"] == {"type": "GAUGE", "help": "Help.", "metrics": [{"labels": {**own, "l": "v"}, "value": "0.27"}]}
    assert group["h"]["type"] == "HISTOGRAM"
    assert group["h"]["metrics"] == [{"labels": own, "buckets": {"1.0": "1", "+Inf": "2"}, "count": "2", "sum": "3.5"}]
    assert group["push_failure_time_seconds"]["metrics"] == [{"labels": own, "value": "0"}]


def test_groups_that_disagree_about_a_type_show_it_untyped(gateway):
    gateway.put("/metrics/job/x", "# TYPE a counter\na 1\n")
    gateway.put("/metrics/job/y", "# TYPE a gauge\na 2\n")
    assert "# TYPE a untyped\n" in gateway.request("GET", "/metrics").text
    assert sorted(group["a"]["type"] for group in listed(gateway)) == ["COUNTER", "GAUGE"]


def test_a_scrape_is_compressed_or_protobuf_if_it_asks_for_it(gateway):
    gateway.put("/metrics/job/x", "a 1\n")
    plain = gateway.request("GET", "/metrics")
    packed = gateway.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in plain.headers
    binary = gateway.request("GET", "/metrics", headers={"Accept": f"{PROTOBUF};q=0.7,text/plain;q=0.3"})
    assert binary.headers["content-type"] == PROTOBUF
    # The families of the answer are a push, too.
    gateway.request("PUT", "/api/v1/admin/wipe")
    gateway.request("PUT", "/metrics/job/y", binary.body, {"Content-Type": PROTOBUF})
    assert exposed(gateway) == ['a{instance="",job="y"} 1']


def test_head_and_options_of_what_shows_groups(gateway):
    for path in ("/metrics", "/", "/api/v1/metrics"):
        answered = gateway.request("HEAD", path)
        assert (answered.status, answered.body) == (200, b"")
        assert "GET" in gateway.request("OPTIONS", path).headers["allow"]


def test_a_group_that_does_not_fit_into_the_table_is_413(gateway):
    gateway.put("/metrics/job/x", "a 1\n")
    body = "".join(f'a{{l="{hash(str(i)):x}{hash(i * 1.1):x}"}} {i / 7}\n' for i in range(40_000))
    answered = gateway.put("/metrics/job/x", body)
    assert answered.status == 413 and "fit into one item" in answered.text
    assert exposed(gateway) == ['a{instance="",job="x"} 1'] and push_times(gateway)["failed"] > 0


def test_a_group_that_certainly_does_not_fit_is_413_before_it_is_built(gateway):
    gateway.put("/metrics/job/x", "a 1\n")
    body = b"".join(b'a{n="%x"} 1\n' % number for number in range(500_000))
    answered = gateway.put("/metrics/job/x", gzip.compress(body, 1))
    assert answered.status == 413 and "push to several groups" in answered.text
    assert exposed(gateway) == ['a{instance="",job="x"} 1'] and push_times(gateway)["failed"] > 0


def test_a_scrape_of_too_many_series_is_503_and_says_that_the_tick_writes_them_all(gateway):
    body = gzip.compress("".join(f'a{{n="{number:x}"}} 1\n' for number in range(20_000)).encode(), 1)
    for number in range(7):
        assert gateway.put(f"/metrics/job/j{number}", body).status == 202
    answered = gateway.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    assert answered.status == 503 and "the tick writes them all" in answered.text and answered.headers["Retry-After"]
    assert len(listed(gateway)) == 7
    assert gateway.request("GET", "/").status == 200


def test_a_wipe_is_only_for_those_who_are_allowed_it(sqs):
    with door(**state_table(sqs.endpoint)) as gateway:
        gateway.put("/metrics/job/x", "a 1\n")
        assert gateway.request("PUT", "/api/v1/admin/wipe").status == 404
        assert exposed(gateway) == ['a{instance="",job="x"} 1']
