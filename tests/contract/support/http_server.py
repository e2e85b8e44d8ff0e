"""A small threaded HTTP/1.1 server on an ephemeral loopback port, which all fakes share."""
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Reset(Exception):
    """`respond` raises this to cut the connection with a TCP reset instead of an answer."""


class Raw(Exception):
    """`respond` raises this to send any bytes and hang up. With `hold` the connection stays open until the server is closed."""

    def __init__(self, text, hold=False):
        super().__init__(text)
        self.hold = hold


class HttpServer:
    """Calls `self.respond(request)` for each request, in a thread of its own, and sends the answer that it returns.

    `request` has `method`, `path` (with the query), `version`, `headers` (list of pairs as they came) and `body`.
    `respond` returns `(status, headers, body)`.
    """

    def __init__(self):
        owner = self
        self.closed = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1
            timeout = None

            def whole_body(self):
                if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass  # trailers
                return body

            def answer(self):
                self.body = self.whole_body()
                request = Request(self.command, self.path, self.request_version, list(self.headers.items()), self.body)
                try:
                    status, headers, body = owner.respond(request)
                except Reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                except Raw as raw:
                    self.wfile.write(raw.args[0])
                    self.wfile.flush()
                    if raw.hold:
                        owner.closed.wait()
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status >= 200 and status not in (204, 304):
                    self.send_header("Content-Length", str(len(body)))
                else:
                    body = b""
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = answer

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # tests let peers hang up and kill them

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def respond(self, request):
        raise NotImplementedError

    def close(self):
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Request:
    """One received request."""

    def __init__(self, method, path, version, headers, body):
        self.method, self.path, self.version, self.headers, self.body = method, path, version, headers, body

    def header(self, name, default=None):
        """Returns the value of a header in any case; the first if it came several times."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default


class Accepting(HttpServer):
    """A server that keeps each request and answers 202."""

    def __init__(self):
        self.requests = []
        super().__init__()

    def respond(self, request):
        self.requests.append(request)
        return 202, {}, b""


#: Sockets that are held until this process ends, so that the system gives their ports to nobody who asks for any port.
_held = []


def held_port():
    """Returns a socket that is bound to a loopback port and never listens. Until it is closed, only a caller that names the port and
    sets SO_REUSEADDR can bind it."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


def closed_port():
    """Returns a loopback port on which nobody listens."""
    _held.append(held_port())
    return _held[-1].getsockname()[1]
