"""A real Redis in a process of its own, without persistence."""
import os
import shutil
import socket
import subprocess
import time

import redis

from .components import ENV, HOW, _found

_UNPACKED = ENV / "redis/usr/bin/redis-server"


class RedisServer:
    """A server on a free port. `client` is connected to it."""

    def __init__(self):
        program = _found(_UNPACKED if _UNPACKED.exists() else shutil.which("redis-server"), "Redis", HOW)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        libraries = ":".join(str(folder) for folder in (ENV / "redis/usr/lib").glob("*-linux-gnu"))
        self._process = subprocess.Popen([program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
                                         env={**os.environ, "LD_LIBRARY_PATH": libraries}, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client = redis.Redis.from_url(self.url)
        for _ in range(100):
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.05)
        self._process.kill()
        raise AssertionError(f"Redis did not start: {self._process.communicate()[0]}")

    def close(self):
        self.client.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
