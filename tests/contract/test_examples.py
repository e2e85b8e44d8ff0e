"""Every example works: each event file passes `pushgw check`, and each producer's events reach a receiver.

The AWS IoT rules and the pushes have files of their own, test_examples_iot.py and test_examples_push.py.
"""
import json
import os
import re
import sys

import pytest

from support import components
from support.command_line import eventually, run
from support.components import ROOT
from support.receiver import bits
from support.serve import request, serving
from support.sqs import SqsFront, throttled

EXAMPLES = ROOT / "examples"
EVENTS = EXAMPLES / "events"

REASONS = ["invalid_json", "invalid_event", "invalid_value", "invalid_metric_name", "invalid_label_name", "label_collision",
           "metric_collision", "too_many_labels", "too_large", "too_old", "in_future"]

GOOD = sorted(path for path in EVENTS.rglob("*.json*") if path.parent.name != "broken")
BROKEN = sorted((EVENTS / "broken").iterdir())
TYPED = sorted((EVENTS / "typed").iterdir())


def name_of(path):
    return str(path.relative_to(EVENTS))


# --- events ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", GOOD, ids=name_of)
def test_check_accepts_the_example(path):
    done = run(components.pushgw(), "check", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", BROKEN, ids=name_of)
def test_check_rejects_the_broken_example_for_the_reason_in_its_name(path):
    done = run(components.pushgw(), "check", path)
    assert done.returncode == 1, done.stdout + done.stderr
    reason = path.name.split(".")[0]
    shown = done.stdout + done.stderr
    assert reason in shown
    assert not [other for other in REASONS if other != reason and re.search(rf"\b{other}\b", shown.replace(path.name, ""))]


def test_there_is_an_example_of_every_reason_that_an_event_can_have():
    assert {path.name.split(".")[0] for path in BROKEN} == set(REASONS)


@pytest.mark.parametrize("path", [path for path in GOOD if path.suffix == ".json" and path not in TYPED], ids=name_of)
def test_function_accepts_the_example(ingest, receiver, path):
    result = ingest.invoke(path.read_bytes())
    assert result.ok, result
    if "batchItemFailures" in result.json:
        assert result.failures == []
    else:
        assert result.json["rejected_count"] == 0 and result.json["accepted"] > 0
    assert receiver.samples()


@pytest.mark.parametrize("path", [path for path in BROKEN if path.suffix == ".json"], ids=name_of)
def test_function_rejects_the_broken_example(ingest, receiver, path):
    result = ingest.invoke(path.read_bytes())
    reason = path.name.split(".")[0]
    if result.ok:
        assert {one["reason"] for one in result.json["rejected"]} == {reason}
    else:
        assert result.error_type == reason
        assert receiver.writes == []


def test_the_typed_examples_add_up():
    """Each comes twice, as two requests of stateless senders; the one with an `id` counts once."""
    with serving("--http", "127.0.0.1:0", "--tick", "1s") as server:
        port = int(server.door.rsplit(":", 1)[1])
        for path in TYPED * 2:
            status, _, report = request(port, "POST", "/events", path.read_bytes())
            assert status == 200 and json.loads(report)["rejected_count"] == 0, (path, report)

        def shown():
            text = request(port, "GET", "/metrics")[2].decode()
            return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

        eventually(lambda: shown().get('order_seconds_count{instance="",shop="north"}') == "26")
        found = shown()
    data, upload = 'endpoint="/api/data",instance=""', 'endpoint="/upload",instance="",method="POST"'
    quantiles = [float(found.pop(f'http_request_size_bytes{{{upload},quantile="{quantile}"}}')) for quantile in ("0.5", "0.9", "0.99")]
    assert quantiles == [pytest.approx(512, rel=0.01)] * 3
    bounds = {"0.1": "0", "0.5": "0", "1.0": "2", "5.0": "2", "10.0": "2", "+Inf": "2"}
    assert found == {
        'http_requests_total{instance="",method="GET",service="web-app",status="200"}': "2",
        'temperature_celsius{instance="",sensor="room-1"}': "22.5",
        **{f'request_duration_seconds_bucket{{{data},method="GET",le="{bound}"}}': count for bound, count in bounds.items()},
        f'request_duration_seconds_sum{{{data},method="GET"}}': "1.5", f'request_duration_seconds_count{{{data},method="GET"}}': "2",
        f'http_request_size_bytes_sum{{{upload}}}': "1024", f'http_request_size_bytes_count{{{upload}}}': "2",
        'orders_total{instance="",shop="north"}': "2",
        'order_seconds_bucket{instance="",shop="north",le="+Inf"}': "26",
        'order_seconds_sum{instance="",shop="north"}': "15", 'order_seconds_count{instance="",shop="north"}': "26",
    }


def test_the_examples_of_typed_values_and_names_match_their_description(ingest, receiver):
    assert ingest.invoke((EVENTS / "typed-values.json").read_bytes()).ok
    sent = {name: (dict(labels), samples[0][1]) for (name, labels), samples in receiver.samples().items()}
    labels = {"customerId": "customer1", "deviceId": "tank-7", "firmware": "1.50", "indoor": "true"}
    assert sent == {name: (labels, raw) for name, raw in {
        "level_millimetres": bits(1200.0), "valve_turns": bits(1200.0), "temperature_celsius": bits(14.0),
        "flow_litres": bits(1000.0), "conductivity": bits(0.5), "drift": 1 << 63, "turbidity": 0x7FF8000000000001,
        "pressure_limit": bits(float("inf")), "lid_open": bits(1.0)}.items()}


def test_the_example_of_names_shows_their_translation(ingest, receiver):
    assert ingest.invoke((EVENTS / "any-names.json").read_bytes()).ok
    assert {name for name, _ in receiver.samples()} == {"battery_level", "U__water_2e_temperature_20__28__b0_C_29_", "_2nd_pump_rpm"}
    assert {labels for _, labels in receiver.samples()} == {(("customer_id", "customer1"), ("key_1st_floor", "yes"))}


# --- the producers ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def push_sqs_rs():
    """Returns the Rust example. tests/run has already built it, with the features of the workspace."""
    built = run("cargo", "build", "--workspace", "--example", "push_sqs", timeout=1200)
    assert built.returncode == 0, built.stderr[-4000:]
    return [ROOT / "target/debug/examples/push_sqs"]


@pytest.fixture(params=["Python", "Rust"])
def push_sqs(request):
    if request.param == "Python":
        return [sys.executable, EXAMPLES / "push_sqs.py"]
    return request.getfixturevalue("push_sqs_rs")


def test_the_producers_messages_arrive(push_sqs, sqs, start, receiver):
    queue = sqs.queue()
    done = run(*push_sqs, "--queue-url", queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "25 events sent\n"
    event = queue.lambda_event()
    assert len(event["Records"]) == 25
    result = start().invoke(event)
    assert result.failures == []
    queue.settle(event, result)
    assert queue.letters() == []
    assert len(receiver.samples()) == 50
    assert {name for name, _ in receiver.samples()} == {"temperature", "ph"}
    assert len({labels for _, labels in receiver.samples()}) == 25


def test_the_producer_sends_as_many_events_as_requested(push_sqs, sqs):
    queue = sqs.queue()
    done = run(*push_sqs, "--queue-url", queue.url, "--count", 3, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    assert done.stdout == "3 events sent\n"
    assert len(queue.letters()) == 3


def test_the_producer_sends_again_the_entries_that_a_batch_call_refused(push_sqs, sqs):
    """The first call takes all entries but the first. (moto does take it, so it lies on the queue twice in the end.)"""
    queue = sqs.queue()

    def spoil(call, answer):
        if call.number == 1:
            entry = answer["Successful"].pop(0)
            answer["Failed"] = [{"Id": entry["Id"], "Code": "InternalError", "Message": "try later", "SenderFault": False}]
        return answer

    with SqsFront(sqs, spoil=spoil) as front:
        done = run(*push_sqs, "--queue-url", queue.url, "--count", 12, AWS_ENDPOINT_URL_SQS=front.url)
        assert [len(call.request["Entries"]) for call in front.calls] == [10, 1, 2]
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "12 events sent\n"
    assert len(queue.letters()) == 13


def test_the_producer_reports_its_own_errors_and_does_not_retry_them(push_sqs, sqs):
    queue = sqs.queue()

    def spoil(call, answer):
        entry = answer["Successful"].pop(0)
        answer["Failed"] = [{"Id": entry["Id"], "Code": "InvalidMessageContents", "Message": "bad character",
                             "SenderFault": True}]
        return answer

    with SqsFront(sqs, spoil=spoil) as front:
        done = run(*push_sqs, "--queue-url", queue.url, "--count", 10, AWS_ENDPOINT_URL_SQS=front.url)
        assert [call.action for call in front.calls] == ["SendMessageBatch"]
    assert done.returncode == 1
    assert done.stdout == "9 events sent\n"
    assert "bad character" in done.stderr and "tank-1" in done.stderr


def test_the_producer_retries_when_it_is_throttled(push_sqs, sqs):
    queue = sqs.queue()
    with SqsFront(sqs, hook=lambda call: throttled() if call.number == 1 else None) as front:
        done = run(*push_sqs, "--queue-url", queue.url, "--count", 2, AWS_ENDPOINT_URL_SQS=front.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(queue.letters()) == 2


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_producer_takes_the_region_from_either_variable(push_sqs, sqs, variable):
    queue = sqs.queue()
    env = {"AWS_REGION": None, "AWS_DEFAULT_REGION": None, variable: "us-east-1"}
    done = run(*push_sqs, "--queue-url", queue.url, "--count", 1, AWS_ENDPOINT_URL_SQS=sqs.endpoint, **env)
    assert done.stdout == "1 events sent\n", done.stderr
    assert len(queue.letters()) == 1


@pytest.mark.parametrize("arguments", [[], ["--queue-url"], ["--unknown", "x"], ["--queue-url", "u", "--count", "many"]])
def test_the_producer_prints_its_usage(push_sqs, arguments):
    done = run(*push_sqs, *arguments)
    assert done.returncode == 2
    assert "usage" in done.stderr


# --- invoke.sh -------------------------------------------------------------------------------------------------------

INVOKE = EXAMPLES / "invoke.sh"


def path_with_aws():
    """Returns PATH with the AWS CLI of the test environment first."""
    return f"{os.path.dirname(components.tool('aws'))}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


def invoke(*arguments, stdin=None, **env):
    return run(INVOKE, *arguments, stdin=stdin, PATH=path_with_aws(), **env)


def test_invoke_shows_the_report(server):
    done = invoke("--endpoint-url", server.url, "amp-push-gateway", EVENTS / "event.json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["accepted"], report["samples"]) == (1, 2)


def test_invoke_takes_endpoint_and_events_from_environment_and_standard_input(server):
    for more in ["-"], []:
        done = invoke("amp-push-gateway", *more, stdin='{"metrics": {"ph": 6.7}}', AWS_ENDPOINT_URL_LAMBDA=server.url)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["accepted"] == 1


@pytest.mark.parametrize("path", [path for path in BROKEN if path.name.count(".") == 1 and path.stem != "invalid_json"],
                         ids=name_of)
def test_invoke_fails_with_the_error_of_a_broken_event(server, path):
    done = invoke("--endpoint-url", server.url, "amp-push-gateway", path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert path.stem in done.stderr and "Unhandled" in done.stderr


def test_invoke_fails_if_lambda_itself_rejects_the_payload(server):
    done = invoke("--endpoint-url", server.url, "amp-push-gateway", EVENTS / "broken" / "invalid_json.json")
    assert done.returncode not in (0, 1, 2)
    assert done.stdout == ""
    assert "InvalidRequestContent" in done.stderr


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_invoke_takes_the_region_from_either_variable(server, variable):
    env = {"AWS_REGION": None, "AWS_DEFAULT_REGION": None, variable: "us-east-1"}
    done = invoke("--endpoint-url", server.url, "amp-push-gateway", EVENTS / "event.json", **env)
    assert done.returncode == 0, done.stderr


def test_invoke_fails_if_nobody_answers(server):
    done = invoke("--endpoint-url", "http://127.0.0.1:1", "amp-push-gateway", EVENTS / "event.json", AWS_MAX_ATTEMPTS=1)
    assert done.returncode not in (0, 1, 2)
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c"], ["--endpoint-url"], ["f", "no-such-file.json"]])
def test_invoke_prints_its_usage(arguments):
    done = invoke(*arguments)
    assert done.returncode == 2
    assert done.stderr


def test_invoke_needs_no_option_that_only_one_version_of_the_cli_knows(tmp_path):
    """Runs a replacement for the CLI that knows only the options common to versions 1 and 2, and fails for any other."""
    fake = tmp_path / "aws"
    fake.write_text('''#!/bin/sh
set -eu
[ "$1 $2" = "lambda invoke" ]
shift 2
while [ $# -gt 1 ]; do
    case $1 in
        --function-name | --query | --output) ;;
        --payload) case $2 in fileb://*) cp "${2#fileb://}" "$SEEN" ;; *) exit 9 ;; esac ;;
        *) exit 8 ;;
    esac
    shift 2
done
echo '{"accepted":1}' > "$1"
echo None
''')
    fake.chmod(0o755)
    payload = '{"metrics": {"température": 1}}\n'
    seen = tmp_path / "seen"
    done = run(INVOKE, "amp-push-gateway", stdin=payload, PATH=f"{tmp_path}:{os.environ['PATH']}", SEEN=str(seen))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"accepted": 1}
    assert seen.read_text() == payload


# --- the index -------------------------------------------------------------------------------------------------------

def test_the_readme_names_every_file_and_no_other():
    text = (EXAMPLES / "README.md").read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (EXAMPLES / target).exists(), target
    for path in EVENTS.glob("*.json*"):
        assert f"`{path.name}`" in text, path
    for path in [*EXAMPLES.glob("*.sh"), *EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.rs"), *(EXAMPLES / "iot").glob("*.*"),
                 *(EXAMPLES / "push").iterdir()]:
        assert path.name in text, path
