"""`pushgw serve` as a process, and its clients."""
import contextlib
import http.client
import json
import os
import re
import subprocess
import tempfile
import time

import boto3
from botocore.config import Config

from . import components
from .command_line import environment
from .runtime_api import CREDENTIALS
from .sqs import REGION


def request(port, method, path, body=None, headers=None):
    """Sends a bare request to a port of this machine and returns (status, headers, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    result = answer.status, answer.headers, answer.read()
    connection.close()
    return result


class Server:
    """One `pushgw serve` on a port that the system chooses."""

    def __init__(self, *arguments, **env):
        self._streams = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = subprocess.Popen([components.pushgw(), "serve", "--listen", "127.0.0.1:0", *arguments],
                                        stdin=subprocess.DEVNULL, stdout=self._streams[0], stderr=self._streams[1],
                                        env=environment(**env))
        end = time.monotonic() + 20
        # The door is named last.
        while not (found := re.search(r'(?:listening on |"url":")(http://127\.0\.0\.1:(\d+))', self.output())) or ("--http" in arguments and not self._door()):
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.output()
                self.close()
                raise AssertionError(f"pushgw serve did not say where it listens:\n{text}")
            time.sleep(0.01)
        self.port = int(found[2])
        self.url = found[1]
        #: The URL of the HTTP door, with `--http`.
        self.door = self._door()

    def _door(self):
        found = re.search(r'(?:HTTP at +|"http":")(http://127\.0\.0\.1:\d+)', self.output())
        return found and found[1]

    @staticmethod
    def _read(stream):
        """Returns the whole file. Does not move the position at which the process writes: it shares this file's."""
        return os.pread(stream.fileno(), os.fstat(stream.fileno()).st_size, 0).decode(errors="replace")

    def printed(self):
        """Returns all standard output so far."""
        return self._read(self._streams[0])

    def output(self):
        """Returns all output so far, standard error last."""
        return self.printed() + self._read(self._streams[1])

    def client(self, **options):
        """Returns a Lambda client as a user makes it; only the endpoint differs."""
        return boto3.client("lambda", endpoint_url=self.url, region_name=REGION,
                            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                            config=Config(retries={"total_max_attempts": 1}, **options))

    def request(self, method, path, body=None, headers=None):
        """Sends a bare request and returns (status, headers, body)."""
        return request(self.port, method, path, body, headers)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in self._streams:
            stream.close()


@contextlib.contextmanager
def serving(*arguments, **env):
    server = Server(*arguments, **env)
    try:
        yield server
    finally:
        server.close()


def invoke(server, payload, **options):
    payload = payload if isinstance(payload, (bytes, str)) else json.dumps(payload)
    answer = server.client().invoke(FunctionName="amp-push-gateway", Payload=payload, **options)
    return answer, answer["Payload"].read()
