"""The requests to the receiver. The receiver checks signature, headers, encoding, order and sizes of every request in every test;
the tests here need more than one request or answer.
"""
import json
import math
import random

import pytest

from support.events import BROKEN, event, now_ms
from support.http_server import closed_port
from support.receiver import PATH, Answer, Receiver
from support.remote_write import CANONICAL_NAN, COMPRESSED_LIMIT, bits
from support.runtime_api import Ingest
from support.sqs import record
from support.sqs import event as batch

OK_STATUSES = [200, 201, 202, 204, 299]
REFUSALS = {400: "out_of_order", 409: "out_of_order", 422: "out_of_order", 413: "too_large"}
OTHER_STATUSES = [300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 408, 410, 415, 418, 429, 451, 499, 500, 501,
                  502, 503, 504, 529, 599]
FAULTS = {
    "reset": Answer(reset=True),
    "not HTTP": Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "nothing": Answer(raw=b""),
    "a cut head": Answer(raw=b"HTTP/1.1 204 No Con"),
    "a cut body": Answer(raw=b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nab"),
    "a nonsense status": Answer(raw=b"HTTP/1.1 999999 Eh\r\nContent-Length: 0\r\n\r\n"),
}


# --- answers ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", OK_STATUSES)
def test_any_2xx_is_delivered(ingest, receiver, status):
    receiver.answer_with(lambda write: Answer(status, b"" if status == 204 else b"fine"))
    assert ingest.invoke(event()).json["accepted"] == 1


@pytest.mark.parametrize("status", REFUSALS)
def test_dead_letters_an_event_with_the_reason_of_the_answer(ingest_with_queue, receiver,
                                                                                         dead_letters, status):
    receiver.answer_with(lambda write: Answer(status, b"out of order sample"))
    assert ingest_with_queue.invoke(batch(record(event(), "m-1")), deadline_s=3).failures == []
    letter = dead_letters.letter()
    assert letter.attributes["reason"] == REFUSALS[status]
    assert letter.attributes["detail"].startswith(f"the receiver answered {status}")


@pytest.mark.parametrize("status", OTHER_STATUSES)
def test_any_other_answer_is_errored_and_never_rejected(ingest_with_queue, receiver, dead_letters, status):
    receiver.answer_with(lambda write: Answer(status, b"out of order sample"))
    result = ingest_with_queue.invoke(batch(record(event(), "m-1")), deadline_s=3)
    assert result.failures == ["m-1"]
    assert result.metrics["errored"] == 1
    assert result.metrics["rejected"] == 0
    assert dead_letters.letters() == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_fault_is_errored(ingest, receiver, fault):
    receiver.answer_with(lambda write: FAULTS[fault])
    result = ingest.invoke(batch(record(event(), "m-1")), deadline_s=3)
    assert result.failures == ["m-1"]
    assert result.metrics["errored"] == 1


def test_nobody_listening_is_errored(start):
    ingest = start(REMOTE_WRITE_URL=f"http://127.0.0.1:{closed_port()}{PATH}")
    assert ingest.invoke(event(), deadline_s=3).error_type == "delivery_failed"


def test_a_name_that_does_not_resolve_is_errored(start):
    ingest = start(REMOTE_WRITE_URL=f"http://no-such-host.invalid{PATH}")
    assert ingest.invoke(event(), deadline_s=5).error_type == "delivery_failed"


def test_a_receiver_without_the_tls_that_was_asked_for_is_errored(start, receiver):
    ingest = start(REMOTE_WRITE_URL=receiver.remote_write_url.replace("http:", "https:"))
    assert ingest.invoke(event(), deadline_s=5).error_type == "delivery_failed"


def test_answers_in_time_if_the_receiver_does_not_answer(ingest, receiver):
    receiver.answer(Answer(204, delay=20))
    result = ingest.invoke(batch(record(event(), "m-1")), deadline_s=2)
    assert result.failures == ["m-1"]
    assert result.seconds < 2


def test_returns_exactly_the_unstored_messages_if_time_runs_out_between_requests(ingest, receiver):
    events = random_labels(random.Random(5), 4500)
    receiver.answer_with(lambda write: Answer(204, delay=0.6))
    result = ingest.invoke(batch(*[record(one, f"m-{number}") for number, one in enumerate(events)]), deadline_s=2)
    assert result.seconds < 2
    stored = {f"m-{number}" for write in receiver.writes if write.acknowledged for number in numbers_of(write)}
    everything = {f"m-{number}" for number in range(4500)}
    assert everything - set(result.failures) <= stored
    assert result.metrics["delivered"] + result.metrics["errored"] == 4500


@pytest.mark.parametrize("deadline", [-5, 0, 0.05])
def test_answers_an_invocation_without_time(ingest, deadline):
    result = ingest.invoke(batch(record(event(), "m-1")), deadline_s=deadline)
    assert result.failures == ["m-1"]
    assert ingest.invoke(event()).ok


@pytest.mark.parametrize("first", [Answer(503), Answer(400, "x" * 1000), Answer(reset=True), Answer(raw=b"junk"),
                                   Answer(204, headers={"Connection": "close"})],
                         ids=["503", "400", "reset", "junk", "connection: close"])
def test_the_next_invocation_works(ingest, receiver, first):
    receiver.answer(first, first, first, first, first, first, first, first)
    ingest.invoke(event(), deadline_s=1.5)
    receiver.forget_answers()
    assert ingest.invoke(event()).json["accepted"] == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_no_redirects(ingest, receiver, status):
    receiver.answer_with(lambda write: Answer(status, headers={"Location": receiver.url + "/elsewhere"}))
    assert ingest.invoke(event(), deadline_s=3).error_type == "delivery_failed"
    assert receiver.strays == []
    assert {write.request.method for write in receiver.writes} == {"POST"}


def test_survives_a_very_long_error_text(ingest, receiver):
    receiver.answer_with(lambda write: Answer(400, b"x" * 20_000_000))
    result = ingest.invoke(event(), deadline_s=10)
    assert result.error_type == "refused_by_receiver"
    assert len(result.error_message) < 10_000
    assert all(len(line) < 20_000 for line in result.raw_log.splitlines())
    assert ingest.peak_memory() < 40_000_000


def test_logs_the_error_text_unchanged(ingest, receiver):
    receiver.answer_with(lambda write: Answer(400, 'user=1_ws: err: out of order sample. series={__name__="ph"}'))
    result = ingest.invoke(event(), deadline_s=3)
    assert any('err: out of order sample. series={__name__="ph"}' in json.dumps(line).replace('\\"', '"')
               for line in result.logs)


# --- nothing to send -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("payload", [[], {"Records": []}, [BROKEN], batch(BROKEN), batch("[]"), None, 17, {}],
                         ids=["[]", "no records", "refused", "refused record", "record of []", "null", "number", "{}"])
def test_sends_nothing_without_samples(ingest, receiver, payload):
    result = ingest.invoke(payload)
    assert receiver.writes == []
    assert result.metrics["requests"] == 0
    assert result.metrics["bytes"] == 0


def test_sends_no_metrics_of_its_own(ingest, receiver):
    ingest.invoke(event({"ph": 6.7}))
    assert {metric for metric, _ in receiver.samples(acknowledged=False)} == {"ph"}


# --- merging ---------------------------------------------------------------------------------------------------------

def test_merges_events_of_one_series_in_time_order(ingest, receiver):
    now = now_ms()
    ingest.invoke([event({"ph": 3.5}, {"b": "2", "a": "1"}, timestamp=now - 1),
                   event({"ph": 1.5}, {"a": "1", "b": "2"}, timestamp=now - 3),
                   event({"ph": 2.5}, {"a": "1", "b": "2", "c": ""}, timestamp=now - 2)])
    assert len(receiver.writes) == 1
    assert receiver.values() == {("ph", (("a", "1"), ("b", "2"))): [(now - 3, 1.5), (now - 2, 2.5), (now - 1, 3.5)]}


def test_sorts_labels_by_their_bytes(ingest, receiver):
    ingest.invoke(event({"ph": 1}, {"a": "1", "B": "2", "Z": "4", "a_b": "5", "aB": "6", "_z": "7", "A9": "8"}))
    [(_, labels)] = receiver.samples()
    assert [name for name, _ in labels] == sorted(["a", "B", "Z", "a_b", "aB", "_z", "A9"])
    [series] = receiver.writes[0].series
    assert [name for name, _ in series.labels] == sorted(["__name__", "a", "B", "Z", "a_b", "aB", "_z", "A9"])


@pytest.mark.parametrize("first, second", [
    ("6.7", "6.7"), ('"6.7"', "6.7"), ("6.70", "6.7"), ("12", "12.0"), ("0", "0.0"), ('"NaN"', '"NaN"'),
    ('"Inf"', '"+Inf"'), ("-0.0", "-0.0"), ("1e3", "1000"), ("9007199254740993", "9007199254740992"), ("-0", "0"),
])
def test_sends_equal_samples_once_with_one_outcome(ingest, receiver, first, second):
    now = now_ms()
    payload = f'[{{"timestamp":{now},"metrics":{{"ph":{first}}}}},{{"timestamp":"{now}","metrics":{{"ph":{second}}}}}]'
    result = ingest.invoke(payload.encode())
    assert result.json["accepted"] == 2
    assert result.json["samples"] == 1
    assert len(receiver.metric("ph")) == 1


def test_reports_all_equal_samples_of_a_failed_request_as_errored(ingest, receiver):
    receiver.answer_with(lambda write: Answer(503))
    same = event({"ph": 6.7})
    result = ingest.invoke(batch(record(same, "m-1"), record(same, "m-2")), deadline_s=3)
    assert sorted(result.failures) == ["m-1", "m-2"]


@pytest.mark.parametrize("first, second", [("6.7", "6.8"), ("0.0", "-0.0"), ("12", "13"), ('"NaN"', "1"),
                                           ('"Inf"', '"-Inf"'), ("0.1", "0.10000000000000002")])
def test_rejects_the_later_event_with_another_value_at_the_same_time(ingest, receiver, first, second):
    now = now_ms()
    payload = f'[{{"timestamp":{now},"metrics":{{"ph":{first}}}}},{{"timestamp":{now},"metrics":{{"ph":{second}}}}}]'
    result = ingest.invoke(payload.encode())
    assert result.json["accepted"] == 1
    [refused] = result.json["rejected"]
    assert (refused["index"], refused["reason"]) == (1, "duplicate_timestamp")
    assert "metrics.ph" in refused["detail"]
    wanted = {"NaN": CANONICAL_NAN, "Inf": bits(math.inf)}.get(first.strip('"'))
    assert receiver.metric("ph") == [(now, wanted if wanted is not None else bits(float(first)))]


def test_takes_the_event_later_in_the_payload_as_the_later_one_across_messages(ingest_with_queue, receiver, dead_letters):
    now = now_ms()
    ingest_with_queue.invoke(batch(record(event({"ph": 1.5}, timestamp=now), "m-1", sent=now),
                                   record(event({"ph": 2.5}, timestamp=now), "m-2", sent=now - 1000)))
    assert receiver.values() == {("ph", ()): [(now, 1.5)]}
    letter = dead_letters.letter()
    assert letter.attributes["source_message_id"] == "m-2"
    assert letter.attributes["reason"] == "duplicate_timestamp"
    assert "maybe_stored" not in letter.attributes


def test_an_event_that_is_rejected_for_its_form_reserves_nothing(ingest, receiver):
    now = now_ms()
    result = ingest.invoke([event({"a": 1.5, "b": "abc"}, timestamp=now), event({"a": 2.5}, timestamp=now)])
    assert [item["index"] for item in result.json["rejected"]] == [0]
    assert receiver.values() == {("a", ()): [(now, 2.5)]}


def test_an_event_that_is_rejected_as_duplicate_reserves_nothing(ingest, receiver):
    now = now_ms()
    result = ingest.invoke([event({"a": 1.5}, timestamp=now), event({"b": 5.5, "a": 2.5}, timestamp=now),
                            event({"b": 6.5}, timestamp=now), event({"c": 1.5, "b": 6.5}, timestamp=now)])
    assert [item["index"] for item in result.json["rejected"]] == [1]
    assert receiver.values() == {("a", ()): [(now, 1.5)], ("b", ()): [(now, 6.5)], ("c", ()): [(now, 1.5)]}


def test_accepts_the_same_time_in_two_series(ingest, receiver):
    now = now_ms()
    result = ingest.invoke([event({"ph": 1.5}, {"pond": "a"}, timestamp=now),
                            event({"ph": 2.5}, {"pond": "b"}, timestamp=now)])
    assert result.json["accepted"] == 2


# --- sizes -----------------------------------------------------------------------------------------------------------

def random_labels(generator, count, label_bytes=1000):
    """Returns events whose labels snappy cannot compress."""
    alphabet = "".join(map(chr, range(0x21, 0x7F)))
    return [event({"noise": 0.5}, {"n": str(number), "r": "".join(generator.choices(alphabet, k=label_bytes))})
            for number in range(count)]


def test_cuts_many_large_series_into_requests_and_sends_each_sample_once(ingest, receiver):
    events = random_labels(random.Random(1), 4500)
    payload = json.dumps(events).encode()
    assert 4_500_000 < len(payload) < 6_200_000
    result = ingest.invoke(payload)
    assert result.json["accepted"] == 4500
    assert len(receiver.writes) >= 5
    assert result.json["requests"] == len(receiver.writes)
    samples = receiver.samples()
    assert len(samples) == 4500
    assert all(len(one) == 1 for one in samples.values())


def test_limits_the_decoded_size_if_the_compressed_size_is_small(ingest, receiver):
    labels = {f"label{n}": "the same long value, again and again " * 10 for n in range(20)}
    text = json.dumps(labels)
    now = now_ms()
    events = [f'{{"timestamp":{now},"dimensions":{text},"metrics":{{' + ",".join(f'"m{n}_{k}":1' for k in range(8)) + "}}"
              for n in range(300)]
    result = ingest.invoke(("[" + ",".join(events) + "]").encode())
    assert result.json["samples"] == 2400
    assert sum(write.decoded_size for write in receiver.writes) > 6_000_000
    assert max(write.compressed_size for write in receiver.writes) < COMPRESSED_LIMIT
    assert len(receiver.writes) >= 3


def test_cuts_requests_no_smaller_than_necessary(ingest, receiver):
    ingest.invoke(random_labels(random.Random(2), 700))
    assert len(receiver.writes) == 1


def test_sends_a_series_that_is_too_long_for_a_request_in_time_order(ingest, receiver):
    generator, now, count = random.Random(3), now_ms() - 200_000, 90_000
    parts = [f'{{"timestamp":{now + n},"metrics":{{"x":{generator.random()!r}}}}}' for n in range(count)]
    generator.shuffle(parts)
    payload = ("[" + ",".join(parts) + "]").encode()
    assert len(payload) < 6_200_000
    receiver.answer_with(lambda write: Answer(204, delay=0.1))  # long enough to notice two requests at the same time
    result = ingest.invoke(payload)
    assert result.json["accepted"] == count
    assert result.json["series"] == 1
    pieces = [[time for time, _ in write.series[0].samples] for write in receiver.writes]
    assert len(pieces) >= 2
    assert [time for piece in pieces for time in piece] == [now + n for n in range(count)]


def test_reports_exactly_the_events_of_a_failed_request_as_errored(ingest, receiver):
    events = random_labels(random.Random(4), 3000)
    records = [record(one, f"m-{number}") for number, one in enumerate(events)]
    receiver.answer_with(lambda write: Answer(503 if "1500" in numbers_of(write) else 204))
    # There is time for all tries: the receiver might store a request that the function gives up in the middle.
    result = ingest.invoke(batch(*records), deadline_s=20)
    stored = {number for write in receiver.writes if write.acknowledged for number in numbers_of(write)}
    assert 0 < len(stored) < 3000
    assert set(result.failures) == {f"m-{number}" for number in range(3000) if str(number) not in stored}
    assert len(result.failures) == len(set(result.failures))


def numbers_of(write):
    return {dict(series.labels)["n"] for series in write.series}


def test_reports_an_event_of_two_requests_as_errored_when_one_of_them_fails(ingest, receiver):
    metrics = {f"m{number}": number + 0.5 for number in range(2500)}
    dimensions = {f"label{n}": "the same long value, again and again " * 10 for n in range(5)}
    receiver.answer_with(lambda write: Answer(503 if any(("__name__", "m7") in s.labels for s in write.series) else 204))
    result = ingest.invoke(batch(record(event(metrics, dimensions), "m-1")), deadline_s=4)
    assert len(receiver.writes) >= 2
    assert result.failures == ["m-1"]
    assert result.metrics["errored"] == 1


# --- address and signature -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/", "/api/v1/write", "/a/b%20c/write", "/write?tenant=a&x=1", "/write?q=a%20b%2Fc&e="])
def test_uses_and_signs_the_url_unchanged(path):
    with Receiver(path=path) as receiver, Ingest({"REMOTE_WRITE_URL": receiver.url + path}) as ingest:
        assert ingest.invoke(event()).ok
        receiver.check()


def test_sends_no_session_token_if_there_is_none():
    with Receiver(session_token=None) as receiver, \
            Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "AWS_SESSION_TOKEN": None}) as ingest:
        assert ingest.invoke(event()).ok
        receiver.check()


def test_signs_nothing_with_auth_none():
    with Receiver(auth="none") as receiver, \
            Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "REMOTE_WRITE_AUTH": "none"}, credentials=False) as ingest:
        assert ingest.invoke(event()).ok
        assert receiver.writes[0].header("X-Amz-Date") is None
        receiver.check()


@pytest.mark.parametrize("env, region", [
    ({"AWS_REGION": "ap-south-1"}, "ap-south-1"),
    ({"AWS_REGION": "ap-south-1", "SIGV4_REGION": "eu-central-1"}, "eu-central-1"),
    ({"AWS_REGION": "ap-south-1", "SIGV4_REGION": ""}, "ap-south-1"),
    ({"AWS_REGION": None, "AWS_DEFAULT_REGION": None, "SIGV4_REGION": "eu-central-1"}, "eu-central-1"),
], ids=["AWS_REGION", "SIGV4_REGION wins", "empty is unset", "SIGV4_REGION alone"])
def test_signs_with_the_region_of_the_settings(env, region):
    with Receiver(region=region) as receiver, Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, **env}) as ingest:
        assert ingest.invoke(event()).ok
        receiver.check()


@pytest.mark.parametrize("gone", [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
                                  ("AWS_SECRET_ACCESS_KEY",)], ids=["all", "the secret"])
def test_missing_credentials_are_errored_without_a_crash(start, receiver, gone):
    ingest = start(AWS_EC2_METADATA_DISABLED="true", **dict.fromkeys(gone))
    assert ingest.invoke(batch(record(event(), "m-1")), deadline_s=5).failures == ["m-1"]
    result = ingest.invoke(event(), deadline_s=5)
    assert result.error_type == "delivery_failed"
    assert "credential" in result.error_message.lower()
    assert receiver.writes == []


def test_missing_credentials_do_not_stop_rejections(start, receiver):
    ingest = start(credentials=False, AWS_EC2_METADATA_DISABLED="true")
    assert ingest.invoke(BROKEN).error_type == "invalid_value"
