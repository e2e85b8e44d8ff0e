"""The HTTP door as bytes on a connection to `pushgw serve --http`, and the order in which it judges a request."""
import json
import socket

import pytest

from support.door import PROTOBUF, door
from support.function_url import call

PUSH = b"PUT /metrics/job/x HTTP/1.1\r\nHost: localhost\r\n"
LARGE = 17 << 20


@pytest.fixture(scope="module")
def gateway():
    with door("--state", "memory") as one:
        yield one


def exchange(gateway, sent, until=b"", seconds=5):
    """Sends bytes and returns what comes until the server closes the connection, or until the bytes `until` are there."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=seconds) as connection:
        connection.sendall(sent)
        received = b""
        while not until or until not in received:
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
        return received


def statuses(received):
    return [int(part.split(b" ")[1]) for part in received.split(b"HTTP/1.")[1:]]


@pytest.mark.parametrize("sent, expected", [
    (b"PUT /metrics/job/x HTTP/1.0\r\nContent-Length: 4\r\n\r\na 1\n", [202]),
    (b"GET /-/healthy HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /-/ready HTTP/1.0\r\n\r\n", [200, 200]),
    ((PUSH + b"Content-Length: 4\r\n\r\na 1\n") * 2 + b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [202, 202, 200]),
    (PUSH + b"Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Push-TTL\r\n\r\n2;a=b\r\na \r\n2\r\n1\n\r\n0\r\nX-Push-TTL: soon\r\n\r\n", [202]),
    (PUSH + b"Connection: close\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\na 1\n", [202]),
    (PUSH + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\na 1\n", [400]),
    (PUSH + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n", [400]),
    (PUSH + b"Content-Length: -4\r\n\r\na 1\n", [400]),
    (b"PUT /metrics/job/x HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\na 1\n", [400]),
    (b"put /metrics/job/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\n\r\na 1\n", [405]),
    (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [404]),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 900_000 + b"\r\n\r\n", [431]),
], ids=range(12))
def test_speaks_http_1_0_and_1_1(gateway, sent, expected):
    received = exchange(gateway, sent)
    assert statuses(received) == expected
    # Every error has a sentence, also that of a head that cannot be read.
    assert expected[-1] < 400 or received.endswith(b"\n") and b"content-length: 0\r\n" not in received.lower(), received


@pytest.mark.parametrize("headers, kind, packed", [
    ([], "text/plain", False), (["Accept: */*", "Accept-Encoding: gzip;q=0"], "text/plain", False), (["Accept: text/html", "Accept: application/openmetrics-text"], "text/plain", False),
    ([f"Accept: {PROTOBUF};q=0.9", "Accept: text/plain;q=0.5"], "application/vnd.google.protobuf", False),
    ([f"Accept: {PROTOBUF};q=0.4,text/plain;q=0.5"], "text/plain", False), (["Accept-Encoding: gzip", "Accept-Encoding: br"], "text/plain", True),
    (["ACCEPT-ENCODING: deflate, GZIP;q=0.1"], "text/plain", True),
])
def test_a_scrape_has_the_format_that_all_its_headers_ask_for(gateway, headers, kind, packed):
    lines = "".join(f"{header}\r\n" for header in headers)
    head = exchange(gateway, f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n".encode()).partition(b"\r\n\r\n")[0].decode().lower()
    assert f"\r\ncontent-type: {kind};" in head
    assert ("\r\ncontent-encoding: gzip" in head) == packed


@pytest.mark.parametrize("method, path", [("PUT", "/metrics/job/x"), ("POST", "/api/v1/write"), ("POST", "/v1/metrics"), ("POST", "/events")])
def test_two_content_encodings_are_415_on_every_front(gateway, start, method, path):
    encodings = [("Content-Encoding", "snappy"), ("Content-Encoding", "gzip")]
    for both in (encodings, encodings[::-1]):
        lines = "".join(f"{name}: {value}\r\n" for name, value in [*both, ("Content-Type", "application/x-protobuf"), ("Content-Length", "0")])
        assert statuses(exchange(gateway, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n".encode())) == [415]
        assert call(start(HTTP_AUTH="none"), method, path, headers=[*both, ("Content-Type", "application/x-protobuf")]).status == 415


def test_asks_for_a_body_that_its_client_announces(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(PUSH + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"a 1\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize("sent, sentence", [
    (b"Transfer-Encoding: chunked\r\n\r\nzz\r\na 1\n\r\n0\r\n\r\n", b"its chunks are damaged"),
    (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n", b"found both"),
    (b"Transfer-Encoding: gzip, chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n", b"the transfer coding is not supported"),
    (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n", b"the transfer coding is not supported"),
    (b"Content-Length: 4\r\nOrigin: https://evil.example\r\n\r\na 1\n", b"Origin"),
])
def test_an_error_of_the_server_itself_has_the_form_of_the_door(gateway, sent, sentence):
    received = exchange(gateway, PUSH + b"Connection: close\r\n" + sent)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ", b"HTTP/1.1 501 "))
    for header in (b"cache-control: no-store", b"x-content-type-options: nosniff", b"content-type: text/plain; charset=utf-8"):
        assert header in head.lower()
    assert sentence in body and body.count(b"\n") == 1 and body.endswith(b"\n")


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/metrics", "/api/v1/status", "/-/healthy", "/nowhere", "/events", "/metrics/job/x"])
def test_head_is_get_without_a_body(gateway, path):
    # So that there is something to show, whichever test comes first.
    assert gateway.request("PUT", "/metrics/job/head", b"a 1\n").status == 202
    found = [gateway.request(method, path) for method in ("GET", "HEAD")]
    get, head = ({name.lower(): value for name, value in answered.headers.items() if name.lower() not in ("date", "content-length")} for answered in found)
    assert (found[0].status, get) == (found[1].status, head)
    assert found[0].body and found[1].body == b""
    if found[1].status >= 400:
        assert 'answer=""' not in gateway.server.output(), "the log has the sentence of both"


@pytest.mark.parametrize("method, path, allow", [
    ("PUT", "/", "GET, HEAD, OPTIONS"), ("DELETE", "/metrics", "GET, HEAD, OPTIONS, POST, PUT"), ("GET", "/metrics/job/x", "DELETE, OPTIONS, POST, PUT"),
    ("PUT", "/api/v1/write", "OPTIONS, POST"), ("GET", "/v1/metrics", "OPTIONS, POST"), ("PUT", "/events", "OPTIONS, POST"),
    ("POST", "/api/v1/metrics", "GET, HEAD, OPTIONS"), ("POST", "/api/v1/status", "GET, HEAD, OPTIONS"), ("TRACE", "/-/ready", "GET, HEAD, OPTIONS"),
])
def test_a_wrong_method_is_405_with_those_that_are_allowed(gateway, method, path, allow):
    answered = gateway.request(method, path)
    assert (answered.status, answered.headers["allow"]) == (405, allow)
    answered = gateway.request("OPTIONS", path)
    assert (answered.status, answered.headers["allow"], answered.body) == (200, allow, b"")


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "OPTIONS"])
def test_a_route_that_is_switched_off_is_404_whatever_the_method(gateway, method):
    assert gateway.request(method, "/api/v1/admin/wipe").status == 404
    if method != "OPTIONS":
        for path in ("/api/v1/read", "/read"):
            answered = gateway.request(method, path)
            assert answered.status == 404 and "HTTP_READ=on" in answered.text


@pytest.mark.parametrize("method, path, headers, status", [
    ("GET", "/-/healthy", {}, 200), ("PUT", "/nowhere", {}, 404), ("PUT", "/metrics/job/%zz", {}, 400), ("PUT", "/events", {}, 405),
    ("PUT", "/metrics/job/x", {"Content-Encoding": "br"}, 415), ("POST", "/events", {"Content-Encoding": "snappy"}, 415),
    ("POST", "/api/v1/write", {"Content-Type": "text/plain"}, 415), ("POST", "/api/v1/write", {}, 400), ("PUT", "/metrics/job/x", {}, 413),
    ("POST", "/metrics", {}, 413), ("POST", "/events", {}, 413), ("DELETE", "/metrics/job/x", {}, 202), ("GET", "/api/v1/status", {}, 200),
])
def test_a_body_that_is_too_large_is_judged_behind_path_method_and_encoding(gateway, method, path, headers, status):
    answered = gateway.request(method, path, b" " * LARGE, headers)
    assert answered.status == status, answered
    if status in (400, 413) and "%" not in path:
        assert "16777216" in answered.text and "request not taken" in gateway.server.output()


def test_the_sentence_about_an_expiry_says_where_it_stands(gateway):
    assert gateway.put("/metrics/job/x", "a 1\n", **{"X-Push-TTL": "soon"}).text.startswith('the header X-Push-TTL: "soon" is not a duration')
    assert gateway.put("/ttl/soon/metrics/job/x", "a 1\n").text.startswith('/ttl/ in front of the path: "soon" is not a duration')


@pytest.mark.parametrize("ttl", ["", "1M", "1.5h", "1h30m", "-1s", "99999999999999999999d", "1 m", "%2015m"])
def test_a_prefix_that_is_no_duration_is_400_and_only_in_front_of_pushes(gateway, ttl):
    ttl = ttl.replace(" ", "%20")
    assert gateway.put(f"/ttl/{ttl}/metrics/job/x", "a 1\n").status == 400
    assert gateway.request("POST", f"/ttl/{ttl}/api/v1/write").status == 404
    assert gateway.request("POST", "/ttl/15m/api/v1/write").status == 404


def test_the_groups_as_json_are_those_of_many_groups_in_order(gateway):
    for job in ("b", "a", "labels"):
        gateway.put(f"/metrics/job/{job}", 'a{q="\\"\\\\\\n"} 1\nlabels 2\n')
    found = json.loads(gateway.request("GET", "/api/v1/metrics").text)
    assert [group["labels"] for group in found["data"] if group["labels"]["job"] in ("a", "b", "labels")] == [{"job": "a"}, {"job": "b"}, {"job": "labels"}]
    for group in found["data"]:
        if group["labels"]["job"] == "a":
            assert group["a"]["metrics"][0]["labels"]["q"] == '"\\\n'
