"""The gateway finds credentials and endpoints as every AWS SDK does. Credentials may come late."""
import datetime
import hashlib
import json
import re
import time

import pytest

from support.command_line import pushgw
from support.events import BROKEN_TEXT, event
from support.http_server import HttpServer
from support.receiver import Receiver
from support.runtime_api import CREDENTIALS, Ingest, exit_of
from support.sqs import record
from support.sqs import event as batch

KEY, SECRET, TOKEN = "ASIALATEKEY", "late/secret+key", "late//token=="


class CredentialsEndpoint(HttpServer):
    """The endpoint that Lambda offers in some environments instead of variables. Tests may change `working`."""

    def __init__(self, lives=datetime.timedelta(hours=1), token=TOKEN):
        self.working = True
        self.token = token
        self.lives = lives
        self.asked = 0
        super().__init__()

    def respond(self, request):
        if not self.working:
            return 500, {}, b"not yet"
        self.asked += 1
        expiry = datetime.datetime.now(datetime.timezone.utc) + self.lives
        return 200, {"Content-Type": "application/json"}, json.dumps({
            "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": self.token,
            "Expiration": expiry.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()


@pytest.fixture
def late_receiver():
    with Receiver(access_key=KEY, secret_key=SECRET, session_token=TOKEN) as one:
        yield one
        one.check()


def test_takes_credentials_from_the_endpoint_that_the_environment_names(late_receiver):
    with CredentialsEndpoint() as endpoint, \
            Ingest({"REMOTE_WRITE_URL": late_receiver.remote_write_url,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url + "/credentials"}, credentials=False) as ingest:
        assert ingest.invoke(event()).ok


def test_takes_credentials_that_come_later(late_receiver):
    with CredentialsEndpoint() as endpoint:
        endpoint.working = False
        with Ingest({"REMOTE_WRITE_URL": late_receiver.remote_write_url, "AWS_EC2_METADATA_DISABLED": "true",
                     "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url + "/credentials"}, credentials=False) as ingest:
            assert ingest.invoke(batch(record(event(), "m-1")), deadline_s=4).failures == ["m-1"]
            endpoint.working = True
            assert ingest.invoke(batch(record(event(), "m-1")), deadline_s=10).failures == []
    assert len(late_receiver.writes) == 1


def test_answers_in_time_without_any_source_of_credentials(start, receiver):
    ingest = start(credentials=False)
    result = ingest.invoke(batch(record(event(), "m-1")), deadline_s=3)
    assert result.failures == ["m-1"]
    assert result.seconds < 3


def test_uses_the_general_endpoint_of_the_sdks_for_the_queue(start, sqs, dead_letters):
    ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL=sqs.endpoint)
    assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1"))).failures == []
    assert dead_letters.letter().body == BROKEN_TEXT


def test_prefers_the_endpoint_of_sqs_to_the_general_one(start, sqs, dead_letters):
    ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL="http://127.0.0.1:9",
                   AWS_ENDPOINT_URL_SQS=sqs.endpoint)
    assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1"))).failures == []


def test_signs_calls_of_sqs_if_requests_to_the_receiver_are_not_signed(sqs, dead_letters):
    with Receiver(auth="none") as receiver, \
            Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "REMOTE_WRITE_AUTH": "none",
                    "DEAD_LETTER_QUEUE_URL": dead_letters.url, "AWS_ENDPOINT_URL_SQS": sqs.endpoint}) as ingest:
        assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2"))).failures == []
        receiver.check()
    assert dead_letters.letter().body == BROKEN_TEXT


@pytest.mark.parametrize("seconds, asked", [(3600, 1), (30, 2)])
def test_keeps_credentials_until_shortly_before_they_expire(late_receiver, seconds, asked):
    with CredentialsEndpoint(lives=datetime.timedelta(seconds=seconds)) as endpoint, \
            Ingest({"REMOTE_WRITE_URL": late_receiver.remote_write_url,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url + "/credentials"}, credentials=False) as ingest:
        assert ingest.invoke(event()).ok
        assert ingest.invoke(event()).ok
        assert endpoint.asked == asked


# --- values that a header cannot carry --------------------------------------------------------------------------------

def test_trims_line_ends_around_credentials(start, receiver, sqs, dead_letters):
    late = {name: f" {value}\r\n" for name, value in CREDENTIALS.items()}
    ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint, **late)
    assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2"))).failures == []
    assert len(receiver.writes) == 1 and dead_letters.letter().body == BROKEN_TEXT


@pytest.mark.parametrize("variable", list(CREDENTIALS))
@pytest.mark.parametrize("inner", ["\n", " ", "\t", "\x7f", "é", "\udcff"], ids=repr)
def test_names_a_variable_of_credentials_that_no_header_can_carry(variable, inner):
    end = exit_of({"REMOTE_WRITE_URL": "http://127.0.0.1:9/", **CREDENTIALS, variable: f"s3cr3t{inner}part"})
    assert end.status not in (None, 0) and "panic" not in end.text
    assert f"{variable}: it has characters that no header can carry" in end.text
    assert "s3cr3t" not in end.text


@pytest.mark.parametrize("token", ["t\nx", "é", "\u0000"])
def test_a_source_that_gives_an_unusable_token_errors_the_event(start, receiver, sqs, dead_letters, token):
    with CredentialsEndpoint(token=token) as endpoint:
        ingest = start(credentials=False, AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint.url + "/credentials",
                       DEAD_LETTER_QUEUE_URL=dead_letters.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
        result = ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2")), deadline_s=6)
    assert result.failures == ["m-1", "m-2"] and "panic" not in result.raw_log
    assert "no header can carry" in result.raw_log


NONSENSE = {
    "AWS_PROFILE": ["nonsense", "a\nb", "\udcff"],
    "AWS_CONFIG_FILE": ["/no/such/file", "\udcff"],
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": ["nowhere", "http://[", "ftp://x/", "http://127.0.0.1:9/\n", "http://example.com/x"],
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ["nowhere", "//", "a b"],
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": ["a\nb"],
    "AWS_WEB_IDENTITY_TOKEN_FILE": ["/no/such/file"],
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": ["nowhere", "http://["],
    "AWS_ENDPOINT_URL": ["nowhere", "http://[", "http://127.0.0.1:9/a b"],
    "AWS_ENDPOINT_URL_SQS": ["nowhere", "\udcff"],
    "AWS_MAX_ATTEMPTS": ["0", "many", "-1"],
    "AWS_RETRY_MODE": ["never"],
    "AWS_USE_FIPS_ENDPOINT": ["maybe"],
    "AWS_DEFAULT_REGION": ["EU WEST", "\udcff"],
    "HTTP_PROXY": ["nonsense", "http://[", "\udcff"],
    "all_proxy": ["socks5://127.0.0.1:9", "x y"],
    "NO_PROXY": ["*", ",,", "\udcff"],
    "HOME": ["\udcff", ""],
    "TZ": ["nowhere"],
}


@pytest.mark.parametrize("credentials", [True, False], ids=["with credentials", "without credentials"])
@pytest.mark.parametrize("variable", NONSENSE)
def test_no_value_of_the_environment_stops_an_invocation(start, dead_letters, variable, credentials):
    for value in NONSENSE[variable]:
        env = {"AWS_EC2_METADATA_DISABLED": "true" if variable != "AWS_EC2_METADATA_SERVICE_ENDPOINT" else "false",
               "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "DEAD_LETTER_QUEUE_URL": dead_letters.url, variable: value}
        ingest = start(credentials=credentials, **env)
        result = ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2")), deadline_s=2.0)
        assert set(result.failures) <= {"m-1", "m-2"} and "panic" not in result.raw_log, (variable, value, result)
        assert result.seconds < 2.0
        assert ("m-2" in result.failures) is not credentials


# --- the sources of `pushgw` ------------------------------------------------------------------------------------------

class Services(HttpServer):
    """STS, the portal of SSO, instance metadata (only with a session token) and a container's endpoint, by the path."""

    def __init__(self):
        self.seen = []
        super().__init__()

    def respond(self, request):
        expiry = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": expiry, "Code": "Success"}
        self.seen.append(f"{request.method} {request.path.split('?')[0]} {request.body.decode()}")
        path, kind = request.path, {"Content-Type": "application/json"}
        if path.startswith("/container"):
            return 200, kind, json.dumps(found).encode()
        if path.startswith("/federation/credentials"):
            if request.header("x-amz-sso_bearer_token") != "sso-token":
                return 401, kind, b'{"message":"Session token not found or invalid"}'
            role = {"accessKeyId": KEY, "secretAccessKey": SECRET, "sessionToken": TOKEN, "expiration": int(time.time() + 3600) * 1000}
            return 200, kind, json.dumps({"roleCredentials": role}).encode()
        if path == "/latest/api/token":
            return 200, {"x-aws-ec2-metadata-token-ttl-seconds": "21600"}, b"metadata-token"
        if path.startswith("/latest/"):
            if request.header("x-aws-ec2-metadata-token") != "metadata-token":
                return 401, {}, b""
            named = path.rstrip("/").endswith("writer")
            return 200, kind, json.dumps(found).encode() if named else b"writer"
        action = re.search(r"Action=(\w+)", request.body.decode())
        if request.method == "POST" and action:
            name = action.group(1)
            xml = (f"<{name}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><{name}Result><Credentials>"
                   f"<AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>"
                   f"<Expiration>{expiry}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>"
                   f"<AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser></{name}Result></{name}Response>")
            return 200, {"Content-Type": "text/xml"}, xml.encode()
        return 404, {}, b""


@pytest.fixture
def services():
    with Services() as one:
        yield one


PROFILES = f"""
[profile sso-dev]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Dev
region = us-east-1
[sso-session corp]
sso_start_url = https://example.awsapps.com/start
sso_region = us-east-1
sso_registration_scopes = sso:account:access
[profile amp-writer]
role_arn = arn:aws:iam::444455556666:role/amp-writer
source_profile = base
region = us-east-1
[profile base]
aws_access_key_id = AKIDBASE
aws_secret_access_key = basesecret
region = us-east-1
[profile static]
aws_access_key_id = {KEY}
aws_secret_access_key = {SECRET}
aws_session_token = {TOKEN}
region = us-east-1
[profile proc]
credential_process = cat {{home}}/found.json
region = us-east-1
[profile chained]
role_arn = arn:aws:iam::444455556666:role/amp-writer
credential_source = EcsContainer
region = us-east-1
"""


def ping(receiver, services, home, profile=None, **env):
    (home / "config").write_text(PROFILES.replace("{home}", str(home)))
    found = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET, "SessionToken": TOKEN}
    (home / "found.json").write_text(json.dumps(found))
    absent = dict.fromkeys([*CREDENTIALS, "AWS_REGION", "AWS_DEFAULT_REGION"])
    return pushgw("ping", timeout=60, REMOTE_WRITE_URL=receiver.remote_write_url, AWS_CONFIG_FILE=home / "config",
                  HOME=home, **{**absent, "AWS_ENDPOINT_URL": services.url, "AWS_PROFILE": profile, **env})


def signed_with(receiver):
    (write,) = receiver.writes
    assert not [fault for fault in write.faults if "without series" not in fault], write.faults
    return write.access_key


def sign_in(home):
    """Writes the token that `aws sso login` keeps."""
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (cache / (hashlib.sha1(b"corp").hexdigest() + ".json")).write_text(json.dumps(
        {"accessToken": "sso-token", "expiresAt": until, "region": "us-east-1", "startUrl": "https://example.awsapps.com/start"}))


SOURCES = {
    # Source: (profile, variables, what one of the services must see).
    "profile": ("static", {}, None),
    "credential_process": ("proc", {}, None),
    "SSO": ("sso-dev", {}, "GET /federation/credentials"),
    "assumed role": ("amp-writer", {}, "Action=AssumeRole&"),
    "role from a container": ("chained", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/container"}, "Action=AssumeRole&"),
    "web identity": (None, {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
                            "AWS_REGION": "us-east-1"}, "Action=AssumeRoleWithWebIdentity"),
    "container": (None, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/container", "AWS_REGION": "us-east-1"}, "GET /container"),
    "instance metadata": (None, {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{url}",
                                 "AWS_DEFAULT_REGION": "us-east-1"}, "PUT /latest/api/token"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_pushgw_takes_credentials_from_every_usual_source(late_receiver_of_ping, services, tmp_path, source):
    profile, env, asked = SOURCES[source]
    (tmp_path / "token").write_text("web-identity-token")
    sign_in(tmp_path)
    env = {name: value.format(url=services.url, home=tmp_path) for name, value in env.items()}
    done = ping(late_receiver_of_ping, services, tmp_path, profile, **env)
    assert done.returncode == 0, done.stderr + str(services.seen)
    assert signed_with(late_receiver_of_ping) == KEY
    assert asked is None or any(asked in seen for seen in services.seen), services.seen


@pytest.fixture
def late_receiver_of_ping():
    """A receiver of one empty write, which is no fault of a ping."""
    with Receiver(access_key=KEY, secret_key=SECRET, session_token=TOKEN) as one:
        yield one


def test_pushgw_says_that_there_is_no_session_of_sso(late_receiver_of_ping, services, tmp_path):
    done = ping(late_receiver_of_ping, services, tmp_path, "sso-dev")
    assert done.returncode == 1
    assert "sso" in done.stderr.lower() or "sso" in done.stdout.lower(), done.stderr + done.stdout
    assert late_receiver_of_ping.writes == []


def test_pushgw_shows_no_token_that_the_portal_of_sso_repeats(late_receiver_of_ping, services, tmp_path):
    sign_in(tmp_path)
    services.respond = lambda request: (401, {"Content-Type": "application/json"},
                                        b'{"message":"invalid token sso-token"}')
    done = ping(late_receiver_of_ping, services, tmp_path, "sso-dev")
    assert done.returncode == 1 and "sso-token" not in done.stderr + done.stdout


def test_pushgw_reports_a_profile_that_does_not_exist(late_receiver_of_ping, services, tmp_path):
    done = ping(late_receiver_of_ping, services, tmp_path, "nonsense", AWS_REGION="us-east-1")
    assert done.returncode == 1
    assert "nonsense" in done.stderr + done.stdout


# --- proxies ----------------------------------------------------------------------------------------------------------

PROXIES = [dict.fromkeys(names, "http://127.0.0.1:9") for names in (["http_proxy"], ["HTTP_PROXY"], ["all_proxy"], ["ALL_PROXY", "HTTPS_PROXY"])]


@pytest.mark.parametrize("proxies", PROXIES, ids=" ".join)
def test_uses_no_proxy_for_this_machine(start, receiver, sqs, dead_letters, proxies):
    ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url, **proxies)
    assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1"), record(event(), "m-2"))).failures == []
    assert len(receiver.writes) == 1 and dead_letters.letter().body == BROKEN_TEXT


def test_uses_the_proxy_of_the_environment_for_other_hosts(start):
    with HttpServer() as proxy:
        seen = []
        proxy.respond = lambda request: (seen.append(request.path), (204, {}, b""))[1]
        url = "http://receiver.example.com/api/v1/write"
        assert start(REMOTE_WRITE_URL=url, http_proxy=proxy.url).invoke(event()).ok
        assert url in seen
        assert not start(REMOTE_WRITE_URL=url, http_proxy=proxy.url, no_proxy="example.com").invoke(event(), deadline_s=3).ok


def test_pushgw_demo_works_with_a_proxy():
    done = pushgw("demo", "--json", http_proxy="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9", timeout=120)
    assert done.returncode == 0, done.stderr


# --- a queue that is not at AWS ---------------------------------------------------------------------------------------

def test_asks_a_queue_that_is_not_at_aws_at_the_host_in_its_url(start, dead_letters):
    ingest = start(DEAD_LETTER_QUEUE_URL=dead_letters.url)
    assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1"))).failures == []
    assert dead_letters.letter().body == BROKEN_TEXT


def test_asks_a_local_queue_without_any_region(dead_letters):
    with Receiver(auth="none") as receiver, \
            Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "REMOTE_WRITE_AUTH": "none", "AWS_REGION": None,
                    "AWS_DEFAULT_REGION": None, "DEAD_LETTER_QUEUE_URL": dead_letters.url}) as ingest:
        assert ingest.invoke(batch(record(BROKEN_TEXT, "m-1"))).failures == []
    assert dead_letters.letter().body == BROKEN_TEXT


def test_takes_the_default_region_of_other_sdks(receiver):
    with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "AWS_REGION": None, "AWS_DEFAULT_REGION": "us-east-1"}) as ingest:
        assert ingest.invoke(event()).ok
    assert len(receiver.writes) == 1
