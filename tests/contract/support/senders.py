"""Agents that send remote write, as processes: they get samples over HTTP and relay them.

    with Vmagent(door_url) as sender:
        sender.feed([Sample("load", (("series", "1"),), 1676398017000, 6.5)])
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import namedtuple

from .clients import ENV, needed
from .command_line import environment
from .http_server import closed_port
from .recorder import Recorder

Sample = namedtuple("Sample", "name labels time value")

VMAGENT = ENV / "vmagent/usr/bin/vmagent"


class Outage(Recorder):
    """A receiver that passes requests on, or answers 503 while it is `away`."""

    def __init__(self, url):
        self.away = False
        super().__init__(url)

    def respond(self, request):
        if self.away:
            return 503, {"Retry-After": "1"}, b"try later"
        return super().respond(request)


class Sender:
    """A process that listens on `self.port` and writes to the door at `url`."""

    #: False if the agent keeps only the last sample of a series that it sends at once.
    several_samples_of_a_series = True

    def __init__(self, url):
        self.port = closed_port()
        self.directory = tempfile.mkdtemp(prefix="sender-")
        with open(self._path("log"), "wb") as log:
            self.process = subprocess.Popen([str(part) for part in self.command(url)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, env=environment())

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _write(self, name, text):
        with open(self._path(name), "w") as file:
            file.write(text)
        return self._path(name)

    def log(self):
        with open(self._path("log"), errors="replace") as log:
            return log.read()

    def post(self, path, body, content_type="text/plain"):
        """Posts to the agent, which may still be starting."""
        end = time.monotonic() + 20
        while True:
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body.encode(), {"Content-Type": content_type})
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{error}: {error.read()}") from None
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self.log()
                time.sleep(0.05)

    def stop(self):
        """Ends the agent as its user does. It sends first what it holds."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Vmagent(Sender):
    """vmagent, with the requests that it sends by default: zstd first."""

    def command(self, url):
        return (needed(VMAGENT), f"-httpListenAddr=127.0.0.1:{self.port}", f"-remoteWrite.url={url}/api/v1/write",
                f"-remoteWrite.tmpDataPath={self.directory}/data", "-remoteWrite.flushInterval=200ms",
                "-remoteWrite.retryMinInterval=100ms", "-remoteWrite.retryMaxTime=1s", "-loggerLevel=WARN")

    def feed(self, samples):
        lines = (f"{one.name}{{{','.join(f'{name}={json.dumps(value)}' for name, value in one.labels)}}} {one.value!r} {one.time}\n"
                 for one in samples)
        self.post("/api/v1/import/prometheus", "".join(lines))
