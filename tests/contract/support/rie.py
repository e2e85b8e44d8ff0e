"""AWS's Runtime Interface Emulator with the extension and a function in Python, in a private /opt.

    with Rie(function, PUSH_QUEUE_URL=queue.url) as rie:
        assert rie.invoke({"orders": [1]}) == {"accepted": 2}
        rie.shut_down()

By default it has no Telemetry API. With `managed` it is the emulator of a Managed Instance, which has AWS's own Telemetry API; it then runs
function and extension as another user. It mounts folders, so it needs to be root with the right to make a mount namespace.
"""
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from . import components
from .http_server import closed_port
from .runtime_api import CREDENTIALS, FUNCTION_NAME


def why_not():
    """Returns why the emulator cannot run here, or None."""
    done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /opt"], capture_output=True, text=True)
    return f"unshare -m does not work here: {done.stderr.strip()}" if done.returncode else None


class Rie:
    """One emulator."""

    def __init__(self, function, managed=False, **settings):
        self.port, api = closed_port(), closed_port()
        self.directory = tempfile.mkdtemp(prefix="rie-")
        bootstrap = os.path.join(self.directory, "bootstrap")
        support = components.ROOT / "tests/contract/support"
        # Another user may be unable to read the checkout, or to run the interpreter of the tests.
        interpreter = shutil.which("python3", path="/usr/bin:/bin") or components.python()
        with open(bootstrap, "w") as file:
            file.write(f"#!/bin/sh\nexec {interpreter} /opt/bootstrap.py /opt/function.py\n")
        parts = ["mount -t tmpfs none /opt", "mkdir /opt/extensions", f"cp {shlex.quote(components.extension())} /opt/extensions/amp-push-extension",
                 f"cp {bootstrap} /opt/bootstrap", f"cp {shlex.quote(str(support / 'bootstrap.py'))} /opt",
                 f"cp {shlex.quote(str(function))} /opt/function.py", "chmod 755 /opt/bootstrap /opt/extensions/amp-push-extension"]
        if managed:
            parts += ["mount -t tmpfs none /var", "mkdir -p /var/task"]
        # The program in /opt is not of this namespace, so the emulator is started by its own path.
        emulator = [components.rie(), "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}", "--runtime-api-address",
                    f"127.0.0.1:{api}", "/opt/bootstrap"]
        env = {**CREDENTIALS, "PATH": os.environ["PATH"], "HOME": "/tmp", "AWS_REGION": "us-east-1", "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
               "AWS_LAMBDA_FUNCTION_TIMEOUT": "10", "STATSD": "off", "EVENTS": "off", "PYTHONDONTWRITEBYTECODE": "1",
               **({"AWS_LAMBDA_MAX_CONCURRENCY": "1"} if managed else {}), **{name: str(value) for name, value in settings.items()}}
        self._log = open(os.path.join(self.directory, "log"), "wb")
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", " && ".join([*parts, f"exec {shlex.join(emulator)}"])], env=env,
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True)

    def log(self):
        with open(self._log.name, errors="replace") as log:
            return log.read()

    def invoke(self, payload, timeout=30):
        """Invokes the function as soon as the emulator takes calls, and returns its answer."""
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        end = time.monotonic() + timeout
        while True:
            try:
                with urllib.request.urlopen(urllib.request.Request(url, json.dumps(payload).encode()), timeout=timeout) as answer:
                    return json.load(answer)
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > end or self.process.poll() is not None:
                    raise AssertionError(self.log()) from None
                time.sleep(0.05)

    def shut_down(self):
        """Ends the environment in order: the emulator sends SHUTDOWN."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
