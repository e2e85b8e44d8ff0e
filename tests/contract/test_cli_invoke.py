"""`pushgw invoke FILE|-` passes one payload through the handler and prints the answer as Lambda would return it."""
import json

import pytest

from support.command_line import pushgw
from support.sqs import event as sqs_event
from support.sqs import record

GOOD = '{"dimensions": {"customerId": "customer1"}, "metrics": {"temperature": "14.3", "ph": 6.7}}'
BAD = '{"metrics": {"temperature": 14.3, "ph": "abc"}}'


def invoke(text, *arguments, **env):
    return pushgw("invoke", *arguments, "-", stdin=text, **env)


def test_invoke_prints_the_report():
    done = invoke(GOOD)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"accepted": 1, "rejected_count": 0, "rejected": [], "samples": 2, "series": 2,
                                       "requests": 1, "inexact": 0, "null_values": 0}


def test_invoke_reads_a_file(tmp_path):
    path = tmp_path / "event.json"
    path.write_text(GOOD)
    done = pushgw("invoke", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] == 1


def test_invoke_prints_a_function_error_as_lambda_returns_it_and_fails():
    done = invoke(BAD)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["errorType"] == "invalid_value"
    assert answer["errorMessage"] == 'metrics.ph: "abc" is not a number'


def test_invoke_lists_the_rejected_events_of_an_array():
    report = json.loads(invoke(f"[{GOOD}, {BAD}]").stdout)
    assert (report["accepted"], report["rejected_count"]) == (1, 1)
    assert report["rejected"][0]["reason"] == "invalid_value"


def test_invoke_answers_sqs_records_with_the_batch_item_failures():
    done = invoke(json.dumps(sqs_event(record(GOOD, message_id="good"), record(BAD, message_id="bad"))))
    assert json.loads(done.stdout) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}


def test_invoke_reports_invalid_json_as_a_function_error():
    done = invoke("{")
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorType"] == "invalid_json"


def test_writes_to_the_receiver_of_the_option(receiver):
    done = invoke(GOOD, "--remote-write-url", receiver.remote_write_url)
    assert done.returncode == 0, done.stderr
    assert {name for name, _ in receiver.samples()} == {"temperature", "ph"}


@pytest.mark.parametrize("missing", ["missing.json", "."])
def test_exits_with_2_if_a_file_cannot_be_read(tmp_path, missing):
    done = pushgw("invoke", tmp_path / missing)
    assert done.returncode == 2
    assert done.stderr
