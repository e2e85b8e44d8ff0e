"""How an environment ends: SHUTDOWN of every kind, and SIGTERM. The extension dispatches what it has, in its time, and exits with 0."""
import socket
import time

import pytest

from support import components, rie
from support.dispatched import Dispatched, events
from support.environment import EXTENSION_NAME
from support.http_server import Accepting, HttpServer


class Hanging(HttpServer):
    """A destination that never answers."""

    def respond(self, request):
        self.closed.wait()
        return 500, {}, b""


@pytest.mark.parametrize("reason", ["spindown", "timeout", "failure", "new"])
def test_everything_is_dispatched_whatever_the_reason_of_the_shutdown(start_environment, queue, reason):
    environment = start_environment(queue, DISPATCH_MIN_BATCH_SIZE="1000")
    environment.invoke()
    environment.invoke(status="timeout")
    assert events(queue) == []
    assert environment.shut_down(reason=reason) < 1
    assert environment.extension.returncode == 0
    sent = Dispatched(events(queue))
    assert [sent("lambda_invocations_total", status=status) for status in ("success", "timeout")] == [1, 1]
    assert len(sent("lambda_duration_seconds")) == 2


def test_an_environment_that_never_got_an_invocation_counts_its_cold_start(start_environment, queue):
    environment = start_environment(queue, kind="provisioned-concurrency")
    assert environment.shut_down() < 1
    sent = Dispatched(events(queue))
    assert sent("lambda_cold_starts_total", type="provisioned-concurrency") == 1
    assert sent("lambda_init_duration_seconds", phase="init") == [0.1255]


@pytest.mark.parametrize("budget_s", [0.6, 1.2, 2.0])
def test_a_destination_that_hangs_does_not_make_a_shutdown_longer_than_lambda_allows(start_environment, budget_s):
    with Hanging() as hanging:
        environment = start_environment(f"{hanging.url}/123456789012/q", AWS_ENDPOINT_URL_SQS=hanging.url)
        assert environment.shut_down(budget_s) < budget_s
        assert environment.extension.returncode == 0


def test_a_report_that_never_comes_is_waited_for_half_a_second_at_most(start_environment, queue):
    environment = start_environment(queue)
    environment.invoke()
    environment.api.hold_back = "platform.report"
    assert environment.shut_down() < 1
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 1


@pytest.fixture
def silent_dns(tmp_path):
    """An extension for which the server of names never answers. It needs to be root with the right to make a mount namespace."""
    if reason := rie.why_not():
        pytest.fail(reason)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.1.2.3", 53))
        settings, program = tmp_path / "resolv.conf", tmp_path / EXTENSION_NAME
        settings.write_text("nameserver 127.1.2.3\n")
        program.write_text(f"#!/bin/sh\nexec unshare -m sh -c 'mount --bind {settings} /etc/resolv.conf && exec {components.extension()}'\n")
        program.chmod(0o755)
        yield str(program)


def test_a_server_of_names_that_hangs_delays_neither_an_invocation_nor_the_end(start_environment, silent_dns):
    queue = "http://queue.example/123456789012/q"
    environment = start_environment(queue, binary=silent_dns, AWS_ENDPOINT_URL_SQS="http://queue.example", DISPATCH_TIMEOUT="200ms")
    took = environment.invoke()
    assert took.response_s < 0.25 and took.extension_s < 0.6
    assert environment.lines("WARN")[0]["error"] == "no answer in time"
    assert environment.shut_down() < 2
    assert environment.extension.returncode == 0


# --- SIGTERM ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["on-demand", "lambda-managed-instances"])
def test_sigterm_ends_the_extension_as_shutdown_does(start_environment, queue, kind):
    environment = start_environment(queue, kind=kind, DISPATCH_MIN_BATCH_SIZE="1000")
    for _ in range(3):
        environment.invoke()
    assert environment.terminate() < 1
    assert environment.extension.returncode == 0
    assert Dispatched(events(queue))("lambda_invocations_total", status="success") == 3
    assert environment.log() == ""


def test_sigterm_beside_shutdown_and_a_second_sigterm_change_nothing(start_environment, queue):
    environment = start_environment(queue, DISPATCH_MIN_BATCH_SIZE="1000")
    environment.invoke()
    environment.extension.terminate()
    environment.extension.terminate()
    assert environment.shut_down() < 1
    assert environment.extension.returncode == 0
    sent = Dispatched(events(queue))
    assert (sent.duplicates, sent("lambda_invocations_total", status="success")) == (0, 1)


def test_sigterm_in_the_middle_of_a_dispatch_ends_it_in_two_seconds(start_environment):
    with Hanging() as hanging:
        environment = start_environment(f"{hanging.url}/123456789012/q", AWS_ENDPOINT_URL_SQS=hanging.url, DISPATCH_TIMEOUT="10s")
        environment.begin()
        time.sleep(0.1)
        assert environment.terminate() < 2
        assert environment.extension.returncode == 0


def test_after_sigterm_the_group_of_the_environment_is_deleted(start_environment):
    with Accepting() as gateway:
        environment = start_environment(GATEWAY=gateway.url)
        environment.invoke()
        assert environment.terminate() < 1
        assert environment.extension.returncode == 0
        assert [one.method for one in gateway.requests][-2:] == ["PUT", "DELETE"]


def test_sigterm_ends_an_extension_with_wrong_settings(start_environment):
    environment = start_environment("not a url")
    assert environment.terminate() < 1
    assert environment.extension.returncode == 0
