"""The Lambda extension against the Extensions and Telemetry APIs: its life, what it counts, and that it harms no invocation."""
import json
import socket
import threading
import time

import pytest

from support.command_line import eventually
from support.dispatched import Dispatched, events
from support.environment import EXTENSION_NAME, record
from support.http_server import HttpServer, closed_port
from support.sqs import SqsFront


def test_registers_listens_subscribes_and_asks_for_events_in_this_order(start_environment, queue):
    environment = start_environment(queue)
    assert environment.api.calls == ["/2020-01-01/extension/register", "/2022-07-01/telemetry", "/2020-01-01/extension/event/next"]
    assert environment.api.registered == (EXTENSION_NAME, ["INVOKE", "SHUTDOWN"])
    subscription = environment.api.subscription
    assert subscription["schemaVersion"] == "2025-01-29" and subscription["types"] == ["platform"]
    assert subscription["buffering"] == {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25}
    assert subscription["destination"]["protocol"] == "HTTP"
    assert subscription["destination"]["URI"].startswith("http://sandbox.localdomain:")
    assert environment.shut_down() < 1
    assert environment.extension.returncode == 0


@pytest.mark.parametrize("freeze", [False, True], ids=["warm", "frozen"])
def test_every_record_of_the_platform_is_counted_once_by_the_end(start_environment, queue, freeze):
    environment = start_environment(queue, freeze=freeze)
    statuses = ["success"] * 4 + ["error", "failure", "timeout"]
    request_ids = []
    for status in statuses:
        request_ids.append(environment.invoke(status=status).request_id)
        if freeze:
            time.sleep(0.05)
    assert environment.shut_down() < 2
    all_events = events(queue)
    assert not any(request_id in json.dumps(all_events) for request_id in request_ids), "no label tells invocations apart"
    sent = Dispatched(all_events)
    assert len(sent.environments) == 1 and sent.duplicates == 0
    for status in ("error", "failure", "timeout"):
        assert sent("lambda_invocations_total", status=status) == 1
    assert sent("lambda_invocations_total", status="success") == 4
    assert sent("lambda_duration_seconds") == [0.0405] * 7
    assert sent("lambda_billed_duration_seconds") == [0.041] * 7
    assert sent("lambda_response_latency_seconds") == [0.0125] * 7
    assert sent("lambda_response_duration_seconds") == [0.0005] * 7
    assert sent("lambda_runtime_overhead_seconds") == [0.0015] * 7
    assert sent("lambda_produced_bytes") == [16] * 7
    assert sent("lambda_max_memory_used_bytes") == [90 << 20] * 7
    assert sent("lambda_memory_size_bytes") == 128 << 20
    assert sent("lambda_cold_starts_total", type="on-demand") == 1
    assert sent("lambda_init_duration_seconds", phase="init") == [0.1255]
    assert sent("lambda_telemetry_events_total", type="platform.report") == 7
    assert sent("lambda_extension_dispatches_total", outcome="success") >= 6
    assert environment.api.undelivered == 0


def test_a_killed_environment_loses_only_what_it_had_not_dispatched(start_environment, queue):
    environment = start_environment(queue, freeze=True)
    for _ in range(5):
        environment.invoke()
    environment.kill()
    sent = Dispatched(events(queue))
    # The dispatch of an invocation has the records of those before it.
    assert sent("lambda_invocations_total", status="success") == 4
    assert len(sent("lambda_duration_seconds")) == 4


def test_records_wait_until_there_are_enough_or_one_is_old(start_environment, queue):
    environment = start_environment(queue, DISPATCH_MIN_BATCH_SIZE="12", DISPATCH_MAX_AGE="2s")
    environment.invoke()
    environment.invoke()
    assert events(queue) == []
    for _ in range(4):
        environment.invoke()
    assert 3 <= Dispatched(events(queue))("lambda_invocations_total", status="success") <= 5
    environment.invoke()
    assert events(queue) == []
    time.sleep(2.1)
    environment.invoke()
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") >= 1


def test_labels_and_buckets_are_those_of_the_settings(start_environment, queue):
    environment = start_environment(queue, VERSION_LABEL="on", HISTOGRAM_BUCKETS="0.01,0.1,+Inf", LOGS="on")
    assert environment.api.subscription["types"] == ["platform", "function"]
    environment.api.deliver({"time": "x", "type": "function", "record": {"level": "ERROR", "message": "x"}},
                            {"time": "x", "type": "function", "record": "text"})
    environment.invoke()
    environment.shut_down()
    all_events = events(queue)
    assert all(event["labels"]["function_version"] == "$LATEST" for event in all_events)
    (duration,) = [event for event in all_events if event["name"] == "lambda_duration_seconds"]
    assert duration["buckets"] == [0.01, 0.1]
    sent = Dispatched(all_events)
    assert sent("lambda_log_records_total", type="function", level="error", function_version="$LATEST") == 1
    assert sent("lambda_log_records_total", type="function", function_version="$LATEST") == 1


def test_a_managed_instance_gives_no_invocations_and_is_dispatched_by_age(start_environment, queue):
    environment = start_environment(queue, kind="lambda-managed-instances", DISPATCH_MAX_AGE="1s")
    assert environment.api.registered == (EXTENSION_NAME, ["SHUTDOWN"])
    for _ in range(3):
        environment.invoke()
    found = []
    eventually(lambda: found.extend(events(queue)) or Dispatched(found)("lambda_invocations_total", status="success") == 3)
    environment.invoke()
    assert environment.shut_down() < 1
    sent = Dispatched(found + events(queue))
    assert sent("lambda_invocations_total", status="success") == 4
    assert sent("lambda_cold_starts_total", type="lambda-managed-instances") == 1
    assert len(sent("lambda_response_latency_seconds")) == 4


def test_an_environment_that_refuses_invoke_events_is_served_as_a_managed_instance(start_environment, queue):
    environment = start_environment(queue, kind="lambda-managed-instances", AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")
    assert environment.api.registered == (EXTENSION_NAME, ["SHUTDOWN"])
    assert environment.shut_down() < 1


def test_restores_of_one_snapshot_count_their_own_start_and_not_that_of_the_snapshot(start_environment, queue):
    environment = start_environment(queue, kind="snap-start")
    environment.api.deliver(record("restoreStart", functionName="f"),
                            record("restoreReport", status="success", metrics={"durationMs": 50}))
    environment.invoke()
    environment.shut_down()
    sent = Dispatched(events(queue))
    assert sent("lambda_cold_starts_total", type="snap-start") == 1
    assert sent("lambda_restore_duration_seconds") == [0.05]
    assert sent("lambda_init_duration_seconds", phase="init") is None


def test_a_sandbox_without_telemetry_still_gets_every_event(start_environment, queue):
    environment = start_environment(queue, telemetry=202)
    environment.invoke()
    assert any("no Telemetry API" in line["message"] for line in environment.lines("WARN"))
    assert environment.shut_down() < 1


def test_unreadable_and_unknown_deliveries_are_answered_and_logged_or_counted(start_environment, queue):
    environment = start_environment(queue)
    port = environment.api.port_of_telemetry
    for body in (b"nonsense", b"{}", b"[" * 100_000):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: sandbox.localdomain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    environment.api.deliver(record("brandNew", x=[1, {"y": None}]), record("logsDropped", droppedRecords=3, droppedBytes=99))
    environment.invoke()
    environment.shut_down()
    assert len(environment.lines("WARN")) == 3
    sent = Dispatched(events(queue))
    assert sent("lambda_telemetry_events_total", type="platform.brandNew") == 1
    assert sent("lambda_telemetry_dropped_records_total") == 3
    assert sent("lambda_telemetry_dropped_bytes_total") == 99


# --- destinations that fail ------------------------------------------------------------------------------------------

class Hanging(HttpServer):
    """A destination that takes requests and never answers."""

    def respond(self, request):
        self.closed.wait()
        return 500, {}, b""


@pytest.fixture
def hanging():
    with Hanging() as server:
        yield server


#: A test network (RFC 5737): nobody answers there, and here it is not even routed.
UNREACHABLE = "http://192.0.2.1:9324"


def _destination(name, hanging):
    return {"hanging": hanging.url, "refusing": f"http://127.0.0.1:{closed_port()}", "unreachable": UNREACHABLE}[name]


@pytest.mark.parametrize("name", ["hanging", "refusing", "unreachable"])
def test_a_destination_that_fails_delays_no_answer_and_the_extension_at_most_its_timeout(start_environment, hanging, name):
    endpoint = _destination(name, hanging)
    environment = start_environment(f"{endpoint}/123456789012/q", AWS_ENDPOINT_URL_SQS=endpoint, DISPATCH_TIMEOUT="300ms")
    took = [environment.invoke(seconds=0.05) for _ in range(4)]
    assert max(one.response_s for one in took) < 0.25
    assert max(one.extension_s for one in took) < 0.9
    # Pauses of 1 and 2 s: the third and fourth invocation begin no dispatch.
    failures = [line for line in environment.lines("WARN") if line["message"] == "a dispatch failed"]
    assert 1 <= len(failures) <= 2
    assert environment.shut_down() < 2
    assert environment.extension.returncode == 0


def test_a_dispatch_ends_although_nobody_tells_that_the_function_has_answered(start_environment, hanging):
    environment = start_environment(f"{hanging.url}/123456789012/q", AWS_ENDPOINT_URL_SQS=hanging.url, DISPATCH_TIMEOUT="100ms")
    environment.api.hold_back = "platform.runtimeDone"
    begun = time.monotonic()
    environment.invoke()
    assert 2.5 < time.monotonic() - begun < 4


def test_a_dispatch_ends_before_the_deadline_of_the_invocation(start_environment, hanging):
    environment = start_environment(f"{hanging.url}/123456789012/q", AWS_ENDPOINT_URL_SQS=hanging.url, DISPATCH_TIMEOUT="10s")
    begun = time.monotonic()
    environment.invoke(deadline_s=1.0)
    assert time.monotonic() - begun < 1.0


def test_the_extension_sends_again_what_the_queue_did_not_confirm_and_it_counts_once(start_environment, sqs, queue):
    broken = threading.Event()
    bodies = []

    def hook(call):
        bodies.append(call.request["MessageBody"])
        return (500, {}, b"") if broken.is_set() else None

    with SqsFront(sqs, hook) as front:
        environment = start_environment(queue, AWS_ENDPOINT_URL_SQS=front.url)
        broken.set()
        environment.invoke()
        broken.clear()
        for _ in range(3):
            environment.invoke()
        time.sleep(1.1)
        environment.invoke()
        environment.shut_down()
    first = json.loads(bodies[0])
    assert [json.loads(body) for body in bodies].count(first) == 2, "the queue may have had it, so it must not change"
    sent = Dispatched(events(queue))
    assert sent("lambda_invocations_total", status="success") == 5
    assert sent("lambda_extension_dispatches_total", outcome="failure") == 1


def test_an_answer_that_is_lost_makes_a_repetition_that_is_recognised(start_environment, sqs, queue):
    lost = [True]

    def spoil(call, answer):
        if lost:
            answer["MD5OfMessageBody"] = "0" * 32
            lost.clear()
        return answer

    with SqsFront(sqs, spoil=spoil) as front:
        environment = start_environment(queue, AWS_ENDPOINT_URL_SQS=front.url)
        environment.invoke()
        environment.shut_down()
    sent = Dispatched(events(queue))
    assert sent.duplicates > 0
    assert sent("lambda_invocations_total", status="success") == 1


def test_a_connection_that_was_reset_while_frozen_costs_one_more_try(start_environment, sqs, queue):
    resets = [False, True]

    def hook(call):
        return "reset" if resets and resets.pop(0) else None

    with SqsFront(sqs, hook) as front:
        environment = start_environment(queue, freeze=True, AWS_ENDPOINT_URL_SQS=front.url)
        for _ in range(3):
            environment.invoke()
        environment.shut_down()
        assert not [line for line in environment.lines("WARN") if line["message"] == "a dispatch failed"]
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 3


def test_no_queue_is_logged_once_a_try_and_everything_is_kept(start_environment, sqs, queue):
    environment = start_environment(sqs.missing_queue_url())
    for _ in range(3):
        environment.invoke()
    (line,) = [line for line in environment.lines("WARN") if line["message"] == "a dispatch failed"]
    assert "QueueDoesNotExist" in line["error"]
    assert environment.shut_down() < 2


def test_without_credentials_the_extension_goes_on_and_says_so(start_environment, queue):
    environment = start_environment(queue, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_SESSION_TOKEN=None)
    environment.invoke()
    (line,) = [line for line in environment.lines("WARN") if line["message"] == "a dispatch failed"]
    assert "neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set" in line["error"]
    assert environment.shut_down() < 2


class ContainerCredentials(HttpServer):
    """The endpoint that gives credentials to restored environments."""

    def __init__(self):
        self.tokens = []
        super().__init__()

    def respond(self, request):
        self.tokens.append(request.header("Authorization"))
        return 200, {}, json.dumps({"AccessKeyId": "AKIDRESTORED", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}).encode()


def test_a_restored_environment_takes_its_credentials_from_the_endpoint_that_lambda_names(start_environment, sqs, queue):
    signed = []
    with ContainerCredentials() as container, SqsFront(sqs) as front:
        answer = front.respond
        front.respond = lambda request: signed.append(request.header("Authorization")) or answer(request)
        environment = start_environment(queue, kind="snap-start", AWS_ENDPOINT_URL_SQS=front.url, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None,
                            AWS_SESSION_TOKEN=None, AWS_CONTAINER_CREDENTIALS_FULL_URI=container.url + "/2021-04-23/credentials",
                            AWS_CONTAINER_AUTHORIZATION_TOKEN="token")
        for _ in range(3):
            environment.invoke()
        environment.shut_down()
        assert container.tokens == ["token"], "they are fetched once"
    assert signed and all("AKIDRESTORED" in one for one in signed)
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 3


# --- settings --------------------------------------------------------------------------------------------------------

def test_wrong_settings_are_one_line_and_the_extension_stays_harmless(start_environment):
    environment = start_environment("not a url", LOGS="maybe", DISPATCH_MAX_AGE="10")
    took = environment.invoke()
    assert took.extension_s < 0.2
    assert environment.api.subscription is None
    (line,) = map(json.loads, environment.log().splitlines())
    assert line["level"] == "ERROR"
    for part in ("PUSH_QUEUE_URL=not a url: ", "LOGS=maybe: expected on or off", "DISPATCH_MAX_AGE=10: expected a whole number and one unit"):
        assert part in line["errors"]
    assert environment.shut_down() < 1
    assert environment.extension.returncode == 0


def test_a_failed_registration_is_tried_again(start_environment, queue):
    environment = start_environment(queue, register=[500, 429])
    assert environment.api.calls[:3] == ["/2020-01-01/extension/register"] * 3
    environment.invoke()
    assert environment.shut_down() < 1


def test_no_secret_is_in_the_log(start_environment, hanging, queue):
    environment = start_environment(queue, EXTENSION_LOG="trace")
    environment.invoke()
    environment.invoke()
    environment.shut_down()
    log = environment.log()
    for secret in (environment.env["AWS_SECRET_ACCESS_KEY"], environment.env["AWS_SESSION_TOKEN"]):
        assert secret not in log
