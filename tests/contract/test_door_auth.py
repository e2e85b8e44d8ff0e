"""Who may use the HTTP door: a secret of Secrets Manager, AWS, or everybody; `pushgw serve` with credentials of its own."""
import base64
import json
import re
import subprocess

import pytest

from support import components
from support.command_line import environment, pushgw
from support.door import door
from support.function_url import call, event
from support.http_server import HttpServer
from support.runtime_api import exit_of
from support.serve import request

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:door-AbCdEf"
CHALLENGE = 'Basic realm="amp-push-gateway", charset="UTF-8"'
IAM = {"iam": {"userArn": "arn:aws:iam::123456789012:user/agent", "accountId": "123456789012"}}


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Secrets(HttpServer):
    """Secrets Manager with one secret, which is None while the service fails."""

    def __init__(self, secret):
        self.secret, self.requests = secret, []
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        if self.secret is None:
            return 503, {}, b"{}"
        return 200, {}, json.dumps({"ARN": ARN, "Name": "door", "SecretString": self.secret}).encode()


@pytest.fixture
def secrets():
    with Secrets(json.dumps({"username": "push", "password": "s3cr3t", "token": "t0k3n"})) as one:
        yield one


@pytest.fixture
def ingest(start, secrets, receiver):
    receiver.takes_metadata = True
    return start(HTTP_AUTH_SECRET=ARN, AWS_ENDPOINT_URL_SECRETS_MANAGER=secrets.url)


def status(ingest, *authorization, method="PUT", path="/metrics/job/x", **options):
    headers = [("Authorization", value) for value in authorization]
    return call(ingest, method, path, b"a 1\n" if method == "PUT" else b"", headers, **options).status


def test_a_client_is_let_in_by_the_user_and_password_or_the_token_of_the_secret(ingest, secrets, receiver):
    for value in [basic("push", "s3cr3t"), basic("push", "s3cr3t").replace("Basic", "bASIC"), "Bearer t0k3n"]:
        assert status(ingest, value) == 202
    for value in [basic("push", "x"), basic("x", "s3cr3t"), basic("push", ""), "Bearer x", "Bearer", basic("push", "t0k3n")]:
        assert status(ingest, value) == 401
    assert len(secrets.requests) == 1
    [request] = secrets.requests
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert "/eu-west-1/secretsmanager/aws4_request" in headers["authorization"]
    assert json.loads(request.body) == {"SecretId": ARN}


@pytest.mark.parametrize("method, path", [("PUT", "/metrics/job/x"), ("GET", "/"), ("GET", "/nowhere"), ("PATCH", "/metrics"), ("PUT", "/metrics/job")])
def test_every_path_but_health_wants_a_credential_before_anything_else_is_judged(ingest, method, path):
    answer = call(ingest, method, path, b"not metrics", [("Content-Encoding", "br")])
    assert (answer.status, answer.headers["www-authenticate"]) == (401, CHALLENGE)
    assert answer.headers["cache-control"] == "no-store" and len(answer.text.strip().splitlines()) == 1
    for health in ("/-/healthy", "/-/ready"):
        assert call(ingest, "GET", health).status == 200


@pytest.mark.parametrize("path, allow", [("/metrics/job/x", "DELETE, OPTIONS, POST, PUT"), ("/", "GET, HEAD, OPTIONS"), ("/api/v1/write", "OPTIONS, POST")])
def test_options_need_no_credential_if_there_is_such_a_path(ingest, path, allow):
    answer = call(ingest, "OPTIONS", path)
    assert (answer.status, answer.headers["allow"], answer.body) == (200, allow, b"")
    for unknown in ("/nowhere", "/metrics/job/%zz", "/api/v1/admin/wipe"):
        assert call(ingest, "OPTIONS", unknown).status == 401


def test_an_event_that_cannot_be_read_is_400_before_anybody_asks_for_a_credential(ingest):
    made = {**event("PUT", "/metrics/job/x", body=b"a 1\n"), "body": "%%%", "isBase64Encoded": True}
    assert ingest.invoke(made).json["statusCode"] == 400


def test_the_secret_is_not_in_the_log_or_in_an_answer(ingest):
    answer = call(ingest, "PUT", "/metrics/job/x", b"", [("Authorization", basic("push", "wr0ng"))])
    shown = answer.text + ingest.log_text()
    for hidden in ("s3cr3t", "t0k3n", "wr0ng", basic("push", "wr0ng")):
        assert hidden not in shown


def test_a_secret_that_cannot_be_fetched_is_503_and_never_401(ingest, secrets):
    secret, secrets.secret = secrets.secret, None
    answer = call(ingest, "PUT", "/metrics/job/x", b"a 1\n", [("Authorization", "Bearer t0k3n")])
    assert answer.status == 503 and 1 <= int(answer.headers["retry-after"]) <= 30
    secrets.secret = secret
    assert status(ingest, "Bearer t0k3n") == 202


@pytest.mark.parametrize("secret", ["", "t0k3n", "{}", '{"username":"push"}', '{"username":"","password":"","token":""}'])
def test_a_secret_without_a_credential_closes_the_door(ingest, secrets, secret):
    secrets.secret = secret
    for value in ["Bearer ", "Bearer t0k3n", basic("push", ""), basic("", "")]:
        assert status(ingest, value) == 401


def test_the_door_is_closed_without_a_secret_and_the_start_says_so(start):
    ingest = start()
    assert status(ingest, "Bearer t0k3n") == 401
    assert call(ingest, "GET", "/-/healthy").status == 200
    assert "closed" in ingest.log_text()


def test_iam_lets_in_only_requests_that_aws_has_authorised(start, receiver):
    receiver.takes_metadata = True
    ingest = start(HTTP_AUTH="iam")
    assert status(ingest, "Bearer t0k3n") == 403
    assert status(ingest, authorizer={"iam": None}) == 403
    assert status(ingest, authorizer=IAM) == 202
    balancer = event("PUT", "/metrics/job/x", body=b"a 1\n", authorizer=IAM)
    balancer = {"httpMethod": "PUT", "path": "/metrics/job/x", "headers": {}, "body": "a 1\n", "isBase64Encoded": False,
                "requestContext": {**balancer["requestContext"], "elb": {"targetGroupArn": "arn:aws:x"}}}
    assert ingest.invoke(balancer).json["statusCode"] == 403


@pytest.mark.parametrize("name", ["HTTP_AUTH_USERNAME", "HTTP_AUTH_PASSWORD", "HTTP_AUTH_TOKEN"])
def test_a_credential_in_the_environment_of_the_function_is_a_wrong_setting(receiver, name):
    ended = exit_of({"REMOTE_WRITE_URL": receiver.remote_write_url, name: "s3cr3t"})
    assert ended.status != 0 and name in ended.text and "s3cr3t" not in ended.text


def test_serve_takes_its_credentials_from_the_environment():
    with door(HTTP_AUTH="secret", HTTP_AUTH_USERNAME="push", HTTP_AUTH_PASSWORD="s3cr3t", HTTP_AUTH_TOKEN="t0k3n") as one:
        for value, expected in [(basic("push", "s3cr3t"), 202), ("Bearer t0k3n", 202), (basic("push", "x"), 401), ("", 401)]:
            assert one.request("PUT", "/metrics/job/x", b"a 1\n", {"Authorization": value}).status == expected
        large = one.request("PUT", "/metrics/job/x", b" " * (17 << 20))
        assert large.status == 401


def test_serve_gets_no_requests_from_aws():
    ended = pushgw("serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", HTTP_AUTH="iam")
    assert ended.returncode == 2 and "HTTP_AUTH=iam" in ended.stderr and "expected secret or none" in ended.stderr


@pytest.mark.parametrize("env, status", [({}, 401), ({"HTTP_AUTH": "none"}, 202)])
def test_serve_is_closed_on_an_address_that_other_machines_reach_unless_it_is_told(env, status):
    settings = environment(REMOTE_WRITE_URL=None, **env)
    with subprocess.Popen([components.pushgw(), "serve", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=settings) as process:
        try:
            port = next(int(found[1]) for line in process.stdout if (found := re.search(r"http://0\.0\.0\.0:(\d+)", line)))
            assert request(port, "PUT", "/metrics/job/x", b"a 1\n")[0] == status
            assert request(port, "GET", "/-/ready")[0] == 200
        finally:
            process.kill()


def test_serve_is_open_on_loopback_and_closed_without_a_credential_if_it_wants_one():
    with door() as one:
        assert one.request("PUT", "/metrics/job/x", b"a 1\n").status == 202
    with door(HTTP_AUTH="secret") as one:
        assert one.request("PUT", "/metrics/job/x", b"a 1\n", {"Authorization": basic("", "")}).status == 401
        assert one.request("GET", "/-/ready").status == 200
