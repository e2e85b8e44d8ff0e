"""Each client library of Prometheus pushes to the door, and a real Prometheus behind it answers queries about what was pushed.

The door is `pushgw serve --http --state none`, or a function URL around the real `ingest` without a table: both write pushes through.
`test_beside_pushgateway.py` has clients and a state.
"""
import json
import random
import subprocess
import time
import uuid

import pytest

from support.clients import CLIENTS, FOLDER, PEERS, OPENMETRICS_OF_GO
from support.command_line import environment
from support.door import PUSH_TIME
from support.function_url import FunctionUrl
from support.http_server import HttpServer
from support.runtime_api import Ingest
from support.serve import serving

#: Pushes and what Prometheus stores are at most this far apart.
SECONDS = 60

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:door-AbCdEf"
USER, PASSWORD = "push", "s3cr3t-and_long.enough"


def ids(client):
    return client.name


def marked(*clients):
    return pytest.mark.parametrize("client", [pytest.param(client, marks=pytest.mark.peers) if client in PEERS else client
                                              for client in clients], ids=ids)


each_client = marked(*CLIENTS, *PEERS)


@pytest.fixture(scope="module")
def function_url(prometheus):
    with Ingest({"REMOTE_WRITE_URL": prometheus.remote_write_url, "HTTP_AUTH": "none"}) as ingest, FunctionUrl(ingest) as url:
        yield url


@pytest.fixture(scope="module")
def served(prometheus):
    with serving("--http", "127.0.0.1:0", "--state", "none", "--remote-write-url", prometheus.remote_write_url, REMOTE_WRITE_AUTH="none") as server:
        yield server


@pytest.fixture(params=["pushgw serve", "function URL"])
def door(request):
    """The URL of a door that writes to Prometheus."""
    return request.getfixturevalue("served").door if request.param == "pushgw serve" else request.getfixturevalue("function_url").url


class Secrets(HttpServer):
    """Secrets Manager with the secret of the door."""

    def respond(self, request):
        return 200, {}, json.dumps({"ARN": ARN, "Name": "door", "SecretString": json.dumps({"username": USER, "password": PASSWORD})}).encode()


@pytest.fixture(scope="module")
def locked_function_url(prometheus):
    with Secrets() as secrets, Ingest({"REMOTE_WRITE_URL": prometheus.remote_write_url, "HTTP_AUTH_SECRET": ARN,
                                       "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets.url}) as ingest, FunctionUrl(ingest) as url:
        yield url


@pytest.fixture(scope="module")
def locked_served(prometheus):
    with serving("--http", "127.0.0.1:0", "--state", "none", "--remote-write-url", prometheus.remote_write_url, REMOTE_WRITE_AUTH="none",
                 HTTP_AUTH="secret", HTTP_AUTH_USERNAME=USER, HTTP_AUTH_PASSWORD=PASSWORD) as server:
        yield server


@pytest.fixture(params=["pushgw serve", "function URL"])
def locked_door(request):
    """The URL of a door that asks for a user and a password."""
    if request.param == "pushgw serve":
        return request.getfixturevalue("locked_served").door
    return request.getfixturevalue("locked_function_url").url


def stored(prometheus, job):
    """Returns {(metric, labels without job): value} of all that Prometheus knows of a job; of a native histogram (count, sum)."""
    found = {}
    for one in prometheus.api("query", query="{job=%s}" % json.dumps(job, ensure_ascii=False))["result"]:
        labels = one["metric"]
        assert labels.pop("job") == job
        native = one["histogram"][1] if "histogram" in one else None
        value = (float(native["count"]), float(native["sum"])) if native else float(one["value"][1])
        found[labels.pop("__name__"), tuple(sorted(labels.items()))] = value
    return found


@each_client
def test_prometheus_answers_what_the_client_pushed(client, door, prometheus):
    job = f"{client.job}-{uuid.uuid4().hex}"
    group = {(name, client.kept(value)) for name, value in client.group.items() if value}

    def expect(orders):
        found = stored(prometheus, client.kept(job))
        for metric in (PUSH_TIME, *client.created):
            [key] = [key for key in found if key[0] == metric]
            assert abs(found.pop(key) - time.time()) < SECONDS
        assert found == {(metric, tuple(sorted({*labels, *group}))): value for (metric, labels), value in client.series(orders).items()}

    client.push("push", door, job, 3)
    expect(3)
    client.push("pushadd", door, job, 4)
    expect(4)
    if "delete" in client.verbs:
        client.push("delete", door, job)


@each_client
def test_the_function_answers_202_to_each_verb_of_the_client(client, function_url):
    before = len(function_url.responses)
    for verb in client.verbs:
        client.push(verb, function_url.url, f"{client.job}-{uuid.uuid4().hex}")
    assert [response.status for response in function_url.responses[before:]] == [202] * len(client.verbs)
    requests = function_url.requests[before:]
    assert tuple(request.method for request in requests) == client.methods
    assert {request.header("Content-Type") for request in requests[:2]} == {client.content_type}


@marked(*(client for client in (*CLIENTS, *PEERS) if client.basic))
def test_the_client_pushes_with_a_user_and_a_password(client, locked_door, prometheus):
    job = f"{client.job}-{uuid.uuid4().hex}"
    client.push("push", locked_door, job, 3, PUSH_USER=USER, PUSH_PASSWORD=PASSWORD)
    assert stored(prometheus, client.kept(job))
    refused = f"{client.job}-{uuid.uuid4().hex}"
    for env in {}, {"PUSH_USER": USER, "PUSH_PASSWORD": "other"}:
        done = client.run("push", locked_door, refused, 3, **env)
        assert done.returncode != 0 or client in PEERS
    assert stored(prometheus, client.kept(refused)) == {}


def test_prom_client_pushes_without_a_job(door, prometheus):
    [client] = [client for client in CLIENTS if client.name == "prom-client"]
    for verb, orders in ("push", random.randrange(1 << 50)), ("pushadd", random.randrange(1 << 50)):
        client.push(verb, door, "", orders, PUSH_WITHOUT_JOB="1")
        found = prometheus.api("query", query='{__name__=~"client_.*|push_time_seconds",job=""}')["result"]
        # The library leaves out the labels of the grouping key, too.
        found = {(one["metric"].pop("__name__"), tuple(sorted(one["metric"].items()))): float(one["value"][1]) for one in found}
        assert abs(found.pop((PUSH_TIME, ())) - time.time()) < SECONDS
        assert found == client.series(orders)


def test_client_golang_learns_that_its_openmetrics_has_no_end(door, prometheus):
    job = uuid.uuid4().hex
    done = OPENMETRICS_OF_GO.run("push", door, job)
    assert done.returncode == 1
    assert "unexpected status code 400" in done.stderr and "expected # EOF at the end" in done.stderr
    assert stored(prometheus, job) == {}


def test_the_table_of_clients_has_a_row_of_each_with_its_version_and_methods():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (FOLDER / "README.md").read_text().splitlines()
            if line.startswith("| `")]
    table = {row[0].strip("`"): row for row in rows if len(row) == 5}
    assert list(table) == [client.name for client in (*CLIENTS, *PEERS)]
    for client in (*CLIENTS, *PEERS):
        _, version, methods, *_ = table[client.name]
        entry = client.pinned[1]
        assert entry in client.pinned_in(), f"{client.pinned[0]} has another version than {entry}"
        assert version in entry
        assert methods == ", ".join(client.methods)


# --- curl, with the command lines and paths of the README of prometheus/pushgateway -----------------------------------

README = {
    "one line": ('echo "some_metric 3.14" | curl --data-binary @- http://pushgateway.example.org:9091/metrics/job/some_job',
                 {("some_metric", ()): 3.14}),
    "more": ("""cat <<EOF | curl --data-binary @- http://pushgateway.example.org:9091/metrics/job/some_job/instance/some_instance
# TYPE some_metric counter
some_metric{label="val1"} 42
# TYPE another_metric gauge
# HELP another_metric Just an example.
another_metric 2398.283
EOF""", {("some_metric", (("instance", "some_instance"), ("label", "val1"))): 42,
         ("another_metric", (("instance", "some_instance"),)): 2398.283}),
    "delete one group": ("curl -X DELETE http://pushgateway.example.org:9091/metrics/job/some_job/instance/some_instance", {}),
    "delete": ("curl -X DELETE http://pushgateway.example.org:9091/metrics/job/some_job", {}),
    "a file": ("""printf 'some_metric 1\\r\\nsome_total{a="b"} 2' > metrics.txt
curl -T metrics.txt http://pushgateway.example.org:9091/metrics/job/some_job""",
               {("some_metric", ()): 1, ("some_total", (("a", "b"),)): 2}),
    "gzip": ("echo 'some_metric 3.14' | gzip | curl -H 'Content-Encoding: gzip' --data-binary @- "
             "http://pushgateway.example.org:9091/metrics/job/some_job", {("some_metric", ()): 3.14}),
    "a slash": ("echo 'some_metric 3.14' | curl --data-binary @- "
                "http://pushgateway.example.org:9091/metrics/job/some_job/path@base64/L3Zhci90bXA",
                {("some_metric", (("path", "/var/tmp"),)): 3.14}),
    "greek": ("echo 'some_metric 3.14' | curl --data-binary @- "
              "http://pushgateway.example.org:9091/metrics/job/some_job/name@base64/zqDPgc6_zrzOt864zrXPjc-C",
              {("some_metric", (("name", "Προμηθεύς"),)): 3.14}),
    "nothing": ("echo 'some_metric 3.14' | curl --data-binary @- "
                "http://pushgateway.example.org:9091/metrics/job/some_job/first_label@base64/=/second_label/foobar",
                {("some_metric", (("second_label", "foobar"),)): 3.14}),
}


@pytest.mark.parametrize("lines, expected", README.values(), ids=README)
def test_curl_pushes(lines, expected, door, prometheus, tmp_path):
    job = f"some_job_{uuid.uuid4().hex}"
    lines = lines.replace("http://pushgateway.example.org:9091", door).replace("/some_job", f"/{job}")
    lines = lines.replace("curl ", "curl --silent --show-error --write-out '%{http_code}' ")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", lines], cwd=tmp_path, env=environment(), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"202", b"")
    found = {key: value for key, value in stored(prometheus, job).items() if key[0] != PUSH_TIME}
    assert found == expected
