"""A Lambda function URL around a real `ingest`: HTTP becomes the event of AWS's documents, and the answer becomes HTTP again.

<https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>
"""
import base64
import json
import threading
import urllib.parse

from .events import now_ms
from .http_server import HttpServer

HOST = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws"
#: The event is JSON of at most 6 MB.
MAX_EVENT_BYTES = 6_291_456


def event(method, path, headers=(), body=b"", authorizer=None):
    """Returns the event of one request. Repeated headers are joined; text stays text, and other bodies are base64."""
    raw_path, _, query = path.partition("?")
    joined = {}
    for name, value in headers:
        name = name.lower()
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    joined.pop("transfer-encoding", None)
    joined["host"] = HOST
    kind = joined.get("content-type", "").split(";")[0].strip().lower()
    is_text = kind.startswith("text/") or kind == "application/json"
    try:
        text = body.decode() if is_text else None
    except UnicodeDecodeError:
        text = None
    made = {
        "version": "2.0", "routeKey": "$default", "rawPath": raw_path, "rawQueryString": query, "headers": joined,
        "requestContext": {
            "accountId": "anonymous", "apiId": HOST.split(".")[0], "domainName": HOST, "domainPrefix": HOST.split(".")[0],
            "http": {"method": method, "path": urllib.parse.unquote(raw_path), "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1",
                     "userAgent": joined.get("user-agent", "")},
            "requestId": "5d28f88a-1a6a-4d4a-8e5c-c46e2d2b9d6a", "routeKey": "$default", "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": now_ms(),
        },
        "isBase64Encoded": text is None and bool(body),
    }
    if authorizer:
        made["requestContext"]["authorizer"] = authorizer
    if body:
        made["body"] = text if text is not None else base64.b64encode(body).decode()
    return made


class Response:
    """An answer as the client of the URL gets it, with the `result` of the invocation."""

    def __init__(self, result):
        assert result.ok, f"a function error, which a client sees as 502: {result}"
        answer = result.json
        assert set(answer) <= {"statusCode", "headers", "cookies", "body", "isBase64Encoded"}, answer
        self.status, self.headers, self.result = answer["statusCode"], answer.get("headers", {}), result
        body = answer.get("body", "")
        self.body = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()

    @property
    def text(self):
        return self.body.decode()


def call(ingest, method, path, body=b"", headers=(), **options):
    """Invokes `ingest` with the event of a request."""
    return Response(ingest.invoke(event(method, path, headers, body, **options)))


class FunctionUrl(HttpServer):
    """An HTTP server whose every request invokes `ingest`, one at a time."""

    def __init__(self, ingest):
        self._ingest, self._lock = ingest, threading.Lock()
        #: The requests and the responses so far, which have the results of their invocations.
        self.requests, self.responses = [], []
        super().__init__()

    def respond(self, request):
        made = json.dumps(event(request.method, request.path, request.headers, request.body)).encode()
        if len(made) > MAX_EVENT_BYTES:
            return 413, {}, b'{"message":"Request Entity Too Large"}'
        with self._lock:
            response = Response(self._ingest.invoke(made))
        self.requests.append(request)
        self.responses.append(response)
        return response.status, response.headers, response.body
