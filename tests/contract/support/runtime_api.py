"""The Lambda Runtime API as a local server, and `Ingest`: the real binary, started, invoked and watched.

    with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url}) as ingest:
        result = ingest.invoke({"metrics": {"ph": 6.7}})
        assert result.ok and result.json["accepted"] == 1
        assert result.metrics["delivered"] == 1

The process gets the variables that Lambda sets plus those given, and nothing of the caller's but PATH.
`invoke` returns when the process asks for its next invocation: by then everything it logs about this one is written.
"""
import itertools
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import uuid

from . import components
from .http_server import HttpServer

FUNCTION_NAME = "water-metrics"
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE/session+token=="

#: The variables that Lambda itself sets for a function.
LAMBDA_ENV = {
    "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{FUNCTION_NAME}",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
    "TZ": ":UTC",
    "_HANDLER": "bootstrap",
}

#: The credentials of the function's role, as Lambda sets them: with a session token.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_SESSION_TOKEN": SESSION_TOKEN,
}


class IngestExited(Exception):
    """The process ended although it should have continued."""


class RuntimeApi(HttpServer):
    """A server with the four calls of the Runtime API. `next` waits until there is an invocation."""

    def __init__(self):
        self._todo = queue.Queue()
        self._changed = threading.Condition()
        self._closing = False
        self.polls = 0
        self.answers = {}
        self.init_error = None
        super().__init__()

    def put(self, request_id, payload, headers):
        self._todo.put((request_id, payload, headers))

    def wait(self, condition, timeout):
        """Waits until `condition()` is true. Returns false if the time ran out first."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def notify(self):
        with self._changed:
            self._changed.notify_all()

    def respond(self, request):
        path = request.path.split("?")[0]
        if request.method == "GET" and path.endswith("/runtime/invocation/next"):
            with self._changed:
                self.polls += 1
                self._changed.notify_all()
            while not self._closing:
                try:
                    _, payload, headers = self._todo.get(timeout=0.5)
                except queue.Empty:
                    continue
                return 200, headers, payload
            return 500, {}, b""
        if path.endswith("/runtime/init/error"):
            self.init_error = request
            self.notify()
            return 202, {}, b"{}"
        if "/runtime/invocation/" in path:
            request_id, kind = path.rsplit("/", 2)[-2:]
            with self._changed:
                self.answers.setdefault(request_id, []).append((kind, request))
                self._changed.notify_all()
            return 202, {"Content-Type": "application/json"}, b'{"status":"OK"}'
        return 404, {}, b""

    def close(self):
        self._closing = True
        super().close()


class Result:
    """The result of one invocation."""

    def __init__(self, request_id, kind, request, seconds, logs, raw_log):
        #: Lambda's request id.
        self.request_id = request_id
        #: False if the process reported a function error.
        self.ok = kind == "response"
        #: The answer as bytes.
        self.body = request.body
        #: The parsed answer; None if it is not JSON.
        self.json = _json(request.body)
        #: Type and message of the function error; None if there was none.
        self.error_type = self.error_message = None
        if not self.ok:
            self.error_type = (self.json or {}).get("errorType") or request.header("Lambda-Runtime-Function-Error-Type")
            self.error_message = (self.json or {}).get("errorMessage")
        #: Seconds from the delivery of the payload to the answer.
        self.seconds = seconds
        #: The JSON lines that the process wrote during this invocation, in the order of each stream.
        self.logs = logs
        #: The same as text, with the lines that are not JSON.
        self.raw_log = raw_log

    @property
    def failures(self):
        """Returns the message ids in `batchItemFailures`, in their order."""
        assert self.ok, f"function error {self.error_type}: {self.error_message}"
        return [item["itemIdentifier"] for item in self.json["batchItemFailures"]]

    @property
    def metric_lines(self):
        """Returns the metric lines of this invocation."""
        return [line for line in self.logs if "_aws" in line]

    @property
    def metrics(self):
        """Returns the one metric line of this invocation."""
        lines = self.metric_lines
        assert len(lines) == 1, f"{len(lines)} metric lines, not 1, in:\n{self.raw_log}"
        return lines[0]

    def lines(self, level, **fields):
        """Returns log lines of one level (`WARN`), optionally with these fields."""
        return [line for line in self.logs if str(line.get("level", "")).upper() == level.upper()
                and all(field(line, name) == value for name, value in fields.items())]

    def warnings(self, **fields):
        """Returns warn lines, optionally with these fields: `result.warnings(message_id="m-1")`."""
        return self.lines("WARN", **fields)

    def __repr__(self):
        what = "response" if self.ok else f"function error {self.error_type}"
        return f"<{what}: {self.body[:2000]!r}>\n{self.raw_log[-4000:]}"


def peak_memory(pid):
    """Returns VmHWM of a process, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


class Ingest:
    """One real `ingest` process with a Runtime API of its own.

    `env` are the settings; an entry whose value is None removes that variable. `credentials=False` leaves out the role's
    credentials. `wait=False` does not wait for the process to ask for work (see `exit_of`).
    """

    _numbers = itertools.count(1)

    def __init__(self, env=None, credentials=True, wait=True, binary=None, start_timeout=10):
        self.api = RuntimeApi()
        self.directory = tempfile.mkdtemp(prefix="ingest-")
        full = dict(LAMBDA_ENV)
        full.update(CREDENTIALS if credentials else {})
        full["PATH"] = os.environ.get("PATH", "")
        full["AWS_LAMBDA_RUNTIME_API"] = self.api.address
        full.update(env or {})
        full = {name: str(value) for name, value in full.items() if value is not None}
        self._streams = [os.path.join(self.directory, name) for name in ("stdout", "stderr")]
        self._offsets = [0, 0]
        with open(self._streams[0], "wb") as out, open(self._streams[1], "wb") as err:
            self.process = subprocess.Popen([binary or components.ingest()], env=full, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, cwd=self.directory)
        self._reaper = threading.Thread(target=self._reap, daemon=True)
        self._reaper.start()
        #: The text that the process wrote before it asked for work.
        self.start_log = ""
        if wait:
            ready = self.api.wait(lambda: self.api.polls > 0 or self.exited, start_timeout)
            if not ready or self.api.polls == 0:
                text = self.log_text()
                self.close()
                raise IngestExited(f"ingest did not ask for work (exit status {self.status}):\n{text}")
            self.start_log = self._new_text()

    def _reap(self):
        self.process.wait()
        self.api.notify()

    @property
    def exited(self):
        return self.process.poll() is not None

    @property
    def status(self):
        """Returns the exit status, or None while the process runs."""
        return self.process.poll()

    @property
    def pid(self):
        return self.process.pid

    def begin(self, payload=b"", deadline_s=30.0, request_id=None, encode=True):
        """Begins an invocation and does not wait for its end. Returns the request id, for `finish`."""
        if not isinstance(payload, (bytes, bytearray)):
            payload = json.dumps(payload).encode()
        request_id = request_id or str(uuid.uuid4())
        region = LAMBDA_ENV["AWS_REGION"]
        self._started = time.monotonic()
        self._polls_before = self.api.polls
        self._answers_before = len(self.api.answers.get(request_id, []))
        self.api.put(request_id, bytes(payload), {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + deadline_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{region}:123456789012:function:{FUNCTION_NAME}",
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        })
        return request_id

    def finish(self, request_id, timeout=60.0):
        """Waits for the end of an invocation that `begin` started."""
        before, polls = self._answers_before, self._polls_before
        self.api.wait(lambda: len(self.api.answers.get(request_id, [])) > before or self.exited, timeout)
        answers = self.api.answers.get(request_id, [])[before:]
        seconds = time.monotonic() - self._started
        if not answers:
            state = f"ended with exit status {self.status}" if self.exited else f"gave no answer in {timeout} s"
            raise IngestExited(f"ingest {state}:\n{self.log_text()[-4000:]}")
        self.api.wait(lambda: self.api.polls > polls or self.exited, 10)
        text = self._new_text()
        logs = [line for line in map(_json, text.splitlines()) if isinstance(line, dict)]
        kind, request = answers[-1]
        assert len(answers) == 1, f"{len(answers)} answers to one invocation"
        return Result(request_id, kind, request, seconds, logs, text)

    def invoke(self, payload=b"", deadline_s=30.0, request_id=None, timeout=60.0):
        """Invokes the function with bytes, or with an object as JSON; returns a `Result`."""
        return self.finish(self.begin(payload, deadline_s, request_id), timeout)

    def _new_text(self):
        parts = []
        for index, path in enumerate(self._streams):
            with open(path, "rb") as stream:
                stream.seek(self._offsets[index])
                data = stream.read()
            self._offsets[index] += len(data)
            parts.append(data.decode("utf-8", "replace"))
        return "".join(part if not part or part.endswith("\n") else part + "\n" for part in parts)

    def log_text(self):
        """Returns all output of the process so far, of both streams."""
        parts = []
        for path in self._streams:
            with open(path, "rb") as stream:
                parts.append(stream.read().decode("utf-8", "replace"))
        return "".join(parts)

    def peak_memory(self):
        """Returns VmHWM of the process, in bytes."""
        return peak_memory(self.pid)

    def kill(self):
        """Kills the process with SIGKILL and waits for its end."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if not self.exited:
            self.kill()
        self.api.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Exit:
    """The end of a process that never asked for work."""

    def __init__(self, status, text, asked_for_work):
        self.status, self.text, self.asked_for_work = status, text, asked_for_work


def exit_of(env, credentials=True, timeout=10):
    """Starts `ingest` with wrong settings. Returns its exit and all its output (logs and init error)."""
    ingest = Ingest(env, credentials, wait=False)
    try:
        ingest.api.wait(lambda: ingest.api.polls > 0 or ingest.exited, timeout)
        text = ingest.log_text()
        if ingest.api.init_error is not None:
            text += ingest.api.init_error.body.decode("utf-8", "replace")
        return Exit(ingest.status, text, ingest.api.polls > 0)
    finally:
        ingest.close()


def field(line, name):
    """Returns a field of a log line, from the top level or from `fields`."""
    return line[name] if name in line else line.get("fields", {}).get(name)


def _json(text):
    try:
        return json.loads(text)
    except ValueError:
        return None
