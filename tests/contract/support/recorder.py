"""An HTTP server in front of another one: it passes requests on, and keeps them with their answers."""
import http.client
import threading
import urllib.parse

from .http_server import HttpServer

#: They belong to one connection (RFC 9110, section 7.6.1), or are made again.
_OF_THE_CONNECTION = {"connection", "host", "content-length", "transfer-encoding", "keep-alive"}


class Recorder(HttpServer):
    """Passes requests on to the server at `url`. `exchanges` are (request, status, headers, body)."""

    def __init__(self, url):
        self._address = urllib.parse.urlsplit(url).netloc
        self._lock = threading.Lock()
        self.exchanges = []
        super().__init__()

    def respond(self, request):
        connection = http.client.HTTPConnection(self._address, timeout=60)
        headers = {name: value for name, value in request.headers if name.lower() not in _OF_THE_CONNECTION}
        connection.request(request.method, request.path, request.body, headers)
        answer = connection.getresponse()
        status, body = answer.status, answer.read()
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        connection.close()
        with self._lock:
            self.exchanges.append((request, status, headers, body))
        return status, headers, body
