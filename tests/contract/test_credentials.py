"""The gateway finds credentials and endpoints as every AWS SDK does. Credentials may come late."""
import datetime
import json

import pytest

from support.events import BROKEN_TEXT, event
from support.http_server import HttpServer
from support.receiver import Receiver
from support.runtime_api import Ingest
from support.sqs import record
from support.sqs import event as batch

KEY, SECRET, TOKEN = "ASIALATEKEY", "late/secret+key", "late//token=="


class CredentialsEndpoint(HttpServer):
    """The endpoint that Lambda offers in some environments instead of variables. Tests may change `working`."""

    def __init__(self, lives=datetime.timedelta(hours=1)):
        self.working = True
        self.lives = lives
        self.asked = 0
        super().__init__()

    def respond(self, request):
        if not self.working:
            return 500, {}, b"not yet"
        self.asked += 1
        expiry = datetime.datetime.now(datetime.timezone.utc) + self.lives
        return 200, {"Content-Type": "application/json"}, json.dumps({
            "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN,
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
