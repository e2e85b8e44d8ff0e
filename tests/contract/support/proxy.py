"""A proxy on loopback in front of a receiver, which injects the faults of networks and servers into requests.

    with FaultProxy(receiver.address) as proxy:
        proxy.faults(answer(503), reset_in_body())    # for the next two requests; those after them pass
        proxy.fault_with(lambda exchange: hang())     # or: a function of the exchange (None: pass), for all from now on
        ... proxy.remote_write_url(receiver.path) ...
        proxy.exchanges                               # every request, with the answer that the sender got

It works on sockets, not on an HTTP library: it can stop at any byte. It forwards requests byte for byte (a signature over the
proxy's own Host stays right), and passes on the receiver's answers. `down()` and `up()` close and open the port. `cut_idle()`
hangs up on every connection, as a receiver does that restarts between two invocations.
"""
import http.client
import socket
import struct
import threading
import time

from . import remote_write
from .http_server import held_port


class Fault:
    """A fault of one request. The functions below make them."""

    def __init__(self, name, stop=None, stored=False, say=None, drip=None, hang=False, wait=0.0, sip=None,
                 hang_up=False):
        #: For the log of the tests.
        self.name = name
        #: "head" or "body": stops after the head, or after half of the body, and resets or sends `say`.
        self.stop = stop
        #: True if the receiver gets the request all the same.
        self.stored = stored
        #: Bytes of the answer. b"" hangs up without one; None passes on the receiver's own answer (if stored).
        self.say = say
        #: Seconds between two bytes of the answer.
        self.drip = drip
        #: True if nothing ever answers.
        self.hang = hang
        #: Seconds to wait before the answer.
        self.wait = wait
        #: Bytes of the body that the proxy reads in a second.
        self.sip = sip
        #: True if the connection ends after the answer.
        self.hang_up = hang_up

    def __repr__(self):
        return self.name


_RESET = object()


def answer(status, body=b"", headers=None, stored=False, wait=0.0, early=False):
    """Answers with its own status; the receiver gets the request only if `stored`. If `early`, it answers before the body of the
    request and reads nothing of it."""
    body = b"" if status in (204, 304) else body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    head += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if status not in (204, 304):
        head.append(f"Content-Length: {len(body)}")
    name = f"{status}{' but stored' if stored else ''}{' ' + str(headers) if headers else ''}"
    return Fault(name, "head" if early else None, stored, "\r\n".join(head).encode() + b"\r\n\r\n" + body, wait=wait)


def raw(data, name="not HTTP", hold=False):
    """Sends these bytes and hangs up (not if `hold`). The receiver gets nothing."""
    return Fault(name, say=data, hang_up=not hold)


def reset_before_body():
    """Cuts the connection when the head of the request has come."""
    return Fault("reset before the body", stop="head")


def reset_in_body():
    """Cuts the connection when half of the body has come."""
    return Fault("reset in the body", stop="body")


def reset_after_body(stored=False):
    """Cuts the connection when the whole request has come: the receiver may have it."""
    return Fault(f"reset after the body{', stored' if stored else ''}", stored=stored, say=_RESET)


def hang(stored=False):
    """Reads the request and never answers."""
    return Fault(f"hang{', stored' if stored else ''}", stored=stored, hang=True)


def drip(seconds, stored=True):
    """Passes on the receiver's answer one byte at a time, with so many seconds between them."""
    return Fault(f"an answer at {seconds} s a byte", stored=stored, drip=seconds)


def sip(rate):
    """Reads the request at so many bytes a second, then passes it on."""
    return Fault(f"a request read at {rate} bytes a second", stored=True, sip=rate)


def late(seconds):
    """Passes on the receiver's answer late."""
    return Fault(f"an answer after {seconds} s", stored=True, wait=seconds)


class Exchange:
    """One request that came through, and the answer that its sender got."""

    def __init__(self, number, reused):
        self.number = number
        #: True if its connection had carried a request before.
        self.reused = reused
        self.started = time.monotonic()
        #: The request's head and body, as far as they were read.
        self.head, self.body = b"", b""
        self.fault = None
        #: True if the receiver got it; and the receiver's status.
        self.forwarded, self.receiver_status = False, None
        #: The sender's answer: a status and a text, or None if there was no answer.
        self.status, self.text = None, ""
        self._samples = None

    @property
    def samples(self):
        """The samples of the request: [(labels, timestamp, bits)]; none where it did not come whole."""
        if self._samples is None:
            try:
                decoded = remote_write.decode(remote_write.snappy_block_decode(self.body)) if self.body else None
            except remote_write.Malformed:
                decoded = None
            self._samples = [(tuple(series.labels), when, value) for series in (decoded.series if decoded else [])
                             for when, value in series.samples]
        return self._samples

    def __repr__(self):
        return f"<{self.number}: {self.fault or 'passed'}, {self.status} {self.text[:80]!r}>"


class FaultProxy:
    """The proxy: see the module. `upstream` is the receiver's (host, port) or "host:port"."""

    def __init__(self, upstream):
        if isinstance(upstream, str):
            host, _, port = upstream.rpartition(":")
            upstream = (host, int(port))
        self._upstream = upstream
        self._lock = threading.Lock()
        self._queued, self._function, self._refused = [], None, 0
        self._closing = threading.Event()
        self._connections = set()
        self._numbers = 0
        #: Every request whose head arrived, in order of arrival.
        self.exchanges = []
        #: The number of accepted connections.
        self.connections = 0
        # While the proxy is down, nobody else gets its port.
        self._held = held_port()
        self.port = self._held.getsockname()[1]
        self._listener = None
        self.up()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"

    def remote_write_url(self, path):
        """Returns the URL of a receiver that accepts writes at `path`."""
        return self.url + path

    def faults(self, *faults):
        """Queues faults for the next requests; None lets one pass."""
        with self._lock:
            self._queued.extend(faults)

    def fault_with(self, function):
        """Takes the fault of each request without a queued one from `function(exchange)`, after its head was read. None: no faults
        from now on."""
        self._function = function

    def cut_connections(self, count):
        """Resets the next so many connections as soon as they are made."""
        with self._lock:
            self._refused = count

    def down(self):
        """Closes the port and all connections, so that new connections are refused."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut_idle()

    def up(self):
        """Opens the same port again."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut_idle(self):
        """Hangs up on every connection."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._closing.set()
        self.down()
        self._held.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                cut, self._refused = self._refused > 0, max(0, self._refused - 1)
                if not cut:
                    self._connections.add(connection)
            if cut:
                _reset(connection)
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            reused = False
            while self._one(connection, reused):
                reused = True
        except OSError:
            pass  # the sender hung up, or was killed, or `down` cut it
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _one(self, connection, reused):
        """Serves one request. Returns true if the connection stays open."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return False
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if head.startswith(b"GET / HTTP/1.1\r\n"):
            # A process opens its connection with this request at its start. It gets no fault, and the receiver need not see it.
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        with self._lock:
            self._numbers += 1
            exchange = Exchange(self._numbers, reused)
            exchange.head = head
            self.exchanges.append(exchange)
            if self._queued:
                fault, asked = self._queued.pop(0), False
            else:
                fault, asked = None, True
        if asked and self._function:
            fault = self._function(exchange)
        exchange.fault = fault
        if fault and fault.stop == "head":
            if fault.say is None:
                _reset(connection)
            else:
                exchange.status, exchange.text = _read(fault.say)
                connection.sendall(fault.say)
                self._closing.wait(0.3)  # hanging up at once would reset the connection before the sender reads the answer
            return False
        wanted = length // 2 if fault and fault.stop == "body" else length
        while len(body) < wanted:
            part = connection.recv(min(fault.sip // 10 if fault and fault.sip else 65536, wanted - len(body)))
            if not part or (fault and fault.sip and self._closing.wait(0.1)):
                return False
            body += part
        if fault and fault.stop == "body":
            _reset(connection)
            return False
        exchange.body = body
        if fault is None or fault.stored:
            status, text, said = self._forward(exchange)
        if fault is None:
            exchange.status, exchange.text = status, text
            connection.sendall(said)
            return True
        if fault.hang:
            return self._hang(connection)
        if fault.wait:
            self._closing.wait(fault.wait)
        if fault.say is _RESET:
            _reset(connection)
            return False
        if fault.say is not None:
            said = fault.say
            status, text = _read(said)
        exchange.status, exchange.text = status, text
        if fault.drip is not None:
            for byte in said:
                connection.sendall(bytes([byte]))
                if self._closing.wait(fault.drip):
                    return False
        else:
            connection.sendall(said)
        return status is not None and not fault.hang_up

    def _hang(self, connection):
        connection.settimeout(0.25)
        while not self._closing.is_set():
            try:
                if not connection.recv(65536):
                    return False
            except TimeoutError:
                continue
        return False

    def _forward(self, exchange):
        """Passes the request to the receiver. Returns its status, its text, and its answer as bytes for the sender."""
        with socket.create_connection(self._upstream, timeout=30) as upstream:
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream.sendall(exchange.head + b"\r\n\r\n" + exchange.body)
            exchange.forwarded = True
            answered = http.client.HTTPResponse(upstream, method="POST")
            answered.begin()
            text = answered.read()
        exchange.receiver_status = answered.status
        head = [f"HTTP/1.1 {answered.status} {answered.reason}"]
        head += [f"{name}: {value}" for name, value in answered.getheaders()
                 if name.lower() not in ("content-length", "connection", "transfer-encoding")]
        if answered.status not in (204, 304):
            head.append(f"Content-Length: {len(text)}")
        return answered.status, text.decode("utf-8", "replace"), "\r\n".join(head).encode() + b"\r\n\r\n" + text


def _read(said):
    """Returns status and text of an answer in bytes; None if it is not HTTP."""
    try:
        return int(said[9:12]) if said.startswith(b"HTTP/1.1 ") and said[12:13] == b" " and b"\r\n\r\n" in said else None, \
            said.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
    except ValueError:
        return None, ""


def _reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
