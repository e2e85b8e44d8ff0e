"""The extension with the settings of AWS's Python sample: a Pushgateway, real or ours, gets the totals of each environment."""
import base64
import json
import re
from datetime import datetime, timedelta

import pytest

from support.command_line import pushgw
from support.http_server import HttpServer
from support.pushgateway import Pushgateway
from support.serve import request, serving

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:push-AbCdEf"


@pytest.fixture(scope="module")
def real():
    with Pushgateway() as server:
        yield server


@pytest.fixture
def start(start_environment):
    """Starts an environment that pushes to a gateway: `start(server.url)`."""
    return lambda gateway, **settings: start_environment(GATEWAY=gateway, **settings)


def _shown(port, name):
    """Returns {labels: value} of the series of this name that a gateway shows."""
    status, _, body = request(port, "GET", "/metrics")
    assert status == 200, body
    found = {}
    for line in body.decode().splitlines():
        if match := re.fullmatch(re.escape(name) + r"\{(.*)\} (\S+)", line):
            found[match[1]] = float(match[2])
    return found


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_real_pushgateway_shows_the_totals_of_each_environment_until_its_end(real, start, scheme):
    port = int(real.address.rsplit(":", 1)[1])
    environments = [start(scheme + real.address, HISTOGRAM_BUCKETS="0.01,0.1") for _ in range(2)]
    for environment in environments:
        for _ in range(4):
            environment.invoke()
    shown = _shown(port, "lambda_invocations_total")
    # The dispatch of an invocation has the records of those before it.
    assert list(shown.values()) == [3, 3], shown
    for labels in shown:
        assert re.search(r'function_name="water-metrics",instance="[0-9a-f]{32}",job="water-metrics",status="success"', labels), labels
    assert list(_shown(port, "lambda_duration_seconds_count").values()) == [3, 3]
    assert sum('le="0.1"' in labels for labels in _shown(port, "lambda_duration_seconds_bucket")) == 2
    environments[0].shut_down()
    assert len(_shown(port, "lambda_invocations_total")) == 1
    environments[1].shut_down()
    assert _shown(port, "lambda_invocations_total") == {}
    assert not environments[0].lines("WARN") and not environments[1].lines("WARN")


def test_our_gateway_shows_them_too_and_forgets_a_killed_environment_after_an_hour(start, tmp_path):
    state = str(tmp_path / "state")
    with serving("--http", "127.0.0.1:0", "--state", state, "--tick", "60s",
                 "--remote-write-url", "http://127.0.0.1:9/api/v1/write") as server:
        port = int(server.door.rsplit(":", 1)[1])
        killed, ended = start(server.door), start(server.door)
        for environment in (killed, ended):
            for _ in range(3):
                environment.invoke()
        assert list(_shown(port, "lambda_invocations_total").values()) == [2, 2]
        killed.kill()
        ended.shut_down()
        assert list(_shown(port, "lambda_invocations_total").values()) == [2]
        server.process.terminate()
        server.process.wait(20)
    (group,) = json.loads(pushgw("state", "list", "--json", "--state", state).stdout)["groups"]
    assert re.fullmatch(r"[0-9a-f]{32}", group["labels"].pop("instance")) and group["labels"] == {"job": "water-metrics"}
    pushed, expires = (datetime.fromisoformat(group[key]) for key in ("pushed", "expires"))
    assert expires - pushed == timedelta(hours=1)


class Recording(HttpServer):
    """A gateway that knows no `/ttl`, wants credentials, and keeps every request."""

    def __init__(self, password="geheim"):
        self.requests, self.password = [], password
        super().__init__()

    def respond(self, one):
        self.requests.append(one)
        wanted = "Basic " + base64.b64encode(f"pushy:{self.password}".encode()).decode()
        if one.header("Authorization") != wanted:
            return 401, {}, b"Unauthorized"
        return (404 if one.path.startswith("/ttl/") else 202), {}, b""


class Secrets(HttpServer):
    """Secrets Manager with one secret."""

    def __init__(self):
        self.calls, self.password = [], "geheim"
        super().__init__()

    def respond(self, one):
        self.calls.append((one.header("X-Amz-Target"), json.loads(one.body)))
        secret = json.dumps({"username": "pushy", "password": self.password})
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps({"ARN": ARN, "SecretString": secret}).encode()


def test_the_secret_of_the_sample_is_fetched_with_the_first_dispatch_and_kept(start):
    with Recording() as gateway, Secrets() as secrets:
        environment = start(gateway.url, AUTH_SECRET=ARN, AWS_ENDPOINT_URL_SECRETS_MANAGER=secrets.url)
        assert secrets.calls == [], "nothing is fetched before a dispatch"
        for _ in range(4):
            environment.invoke()
        assert secrets.calls == [("secretsmanager.GetSecretValue", {"SecretId": ARN})]
        environment.shut_down()
        assert len(secrets.calls) == 1
        paths = [(one.method, one.path) for one in gateway.requests]
        group = re.fullmatch(r"/ttl/1h(/metrics/job/water-metrics/instance/[0-9a-f]{32})", paths[0][1])[1]
        # It knows no times to live, and is asked only once.
        assert paths == [("PUT", f"/ttl/1h{group}")] + [("PUT", group)] * (len(paths) - 2) + [("DELETE", group)]
        assert "geheim" not in environment.log()


def test_a_changed_password_is_fetched_after_a_401(start):
    with Recording() as gateway, Secrets() as secrets:
        environment = start(gateway.url, AUTH_SECRET=ARN, AWS_ENDPOINT_URL_SECRETS_MANAGER=secrets.url)
        environment.invoke()
        gateway.password = secrets.password = "neu"
        environment.invoke()
        (line,) = environment.lines("WARN")
        assert "the gateway answered 401" in line["error"]
        environment.shut_down()
        assert gateway.requests[-1].method == "DELETE" and len(secrets.calls) == 2
        assert len(environment.lines("WARN")) == 1


class Faulty(HttpServer):
    """A gateway that answers nothing until the test lets it."""

    def __init__(self):
        self.is_broken, self.requests = True, []
        super().__init__()

    def respond(self, one):
        if self.is_broken:
            self.closed.wait()
        self.requests.append(one)
        return 202, {}, b""


def test_totals_are_pushed_once_a_hanging_gateway_answers_again(start):
    with Faulty() as gateway:
        environment = start(gateway.url, DISPATCH_TIMEOUT="200ms")
        took = [environment.invoke() for _ in range(3)]
        assert max(one.extension_s for one in took) < 0.6
        gateway.is_broken = False
        assert environment.shut_down() < 2
        assert [one.method for one in gateway.requests] == ["PUT", "DELETE"]
        assert b"lambda_invocations_total" in gateway.requests[0].body
