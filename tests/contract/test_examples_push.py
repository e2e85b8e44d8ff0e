"""The pushes of examples/push reach the door, carry credentials if they have any, and fail if the door rejects them."""
import base64
import struct
import sys
import time

import pytest

from support.clients import BUILT, needed, node
from support.command_line import run
from support.components import EXAMPLES
from support.door import PUSH_TIME, door
from support.http_server import HttpServer

PUSH = EXAMPLES / "push"
PASSWORD = 'pass "word" \\ and a long end, because base64 has lines'
LABELS = (("instance", "db-1"), ("job", "backup"))


def program(name):
    """Returns the command of an example."""
    path = PUSH / name
    return {".py": [sys.executable, path], ".js": [node(), path], ".sh": [path], ".go": [BUILT / "go/example"]}[path.suffix]


def push(name, url, **env):
    if name.endswith(".go"):
        needed(BUILT / "go/example")
    return run(*program(name), GATEWAY_URL=url, NODE_PATH=needed(BUILT / "node/node_modules"), **env)


@pytest.fixture(params=["push.py", "push.js", "push.sh", "push.go"])
def name(request):
    return request.param


def number(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def test_the_example_reaches_the_door(name):
    with door() as one:
        done = push(name, one.url)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        [write] = [write for write in one.receiver.writes if write.samples]
    found = {}
    for labels, _, bits in write.samples:
        assert tuple(pair for pair in labels if pair[0] != "__name__") == LABELS
        found[dict(labels)["__name__"]] = number(bits)
    assert set(found) == {"backup_size_bytes", "backup_duration_seconds", "backup_last_success_timestamp_seconds", PUSH_TIME}
    assert found["backup_size_bytes"] == 4096
    assert 0 <= found["backup_duration_seconds"] < 10
    assert abs(found["backup_last_success_timestamp_seconds"] - time.time()) < 60


class Closed(HttpServer):
    """A door that lets one user in, with HTTP basic authentication."""

    def __init__(self):
        self.requests = []
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        wanted = "Basic " + base64.b64encode(f"job:{PASSWORD}".encode()).decode()
        if request.header("Authorization") == wanted:
            return 202, {}, b""
        return 401, {}, b"no credentials\n"


def test_the_example_sends_its_credentials(name):
    with Closed() as one:
        done = push(name, one.url, GATEWAY_USER="job", GATEWAY_PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stderr
        [request] = one.requests
    assert (request.method, request.path) == ("PUT", "/metrics/job/backup/instance/db-1")


def test_the_example_fails_if_the_door_rejects_it(name):
    with Closed() as one:
        done = push(name, one.url)
    assert done.returncode != 0
    assert "401" in done.stdout + done.stderr


def test_the_shell_example_shows_no_password_to_other_users():
    assert "GATEWAY_PASSWORD" not in (PUSH / "push.sh").read_text().split("curl --fail")[1]
