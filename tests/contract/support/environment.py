"""A Lambda execution environment with the real extension in it: the Extensions, Telemetry and Runtime APIs as a local server.

    with Environment(PUSH_QUEUE_URL=queue.url) as environment:
        environment.invoke()                       # the function answers at once
        environment.invoke(status="error")
        assert environment.shut_down() < 2         # seconds

It does what Lambda does. The report of an invocation is made after the extension has asked for the next event; it arrives with the next invocation
or with SHUTDOWN. With `freeze` the processes are stopped (SIGSTOP) between invocations. A function as a process is optional.
"""
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

from . import components
from .http_server import HttpServer
from .runtime_api import CREDENTIALS, FUNCTION_NAME, LAMBDA_ENV, peak_memory

#: The variables of Lambda that an extension does not get.
#: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
NOT_FOR_EXTENSIONS = ("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_EXECUTION_ENV", "_HANDLER")

EXTENSION_NAME = "amp-push-extension"


class LambdaApi(HttpServer):
    """The three APIs. `calls` has the path of each call of the extension in order."""

    def __init__(self, managed=False, telemetry=200, register=None):
        self.changed = threading.Condition()
        self.events, self.work = queue.Queue(), queue.Queue()
        self.managed, self.telemetry = managed, telemetry
        #: The answers to the first calls of `register`: statuses instead of 200.
        self.register = list(register or [])
        self.calls, self.registered, self.subscription = [], None, None
        #: When the extension asked for its first event.
        self.first_asked = None
        #: Calls of `event/next` by the extension, and of `invocation/next` by the function.
        self.asked = {"extension": 0, "function": 0}
        #: {request id: (status, body, monotonic time)} of the function's answers.
        self.answers = {}
        #: Deliveries that failed, and a type of records that is not delivered.
        self.undelivered, self.hold_back, self._delivery = 0, None, None
        super().__init__()

    def wait(self, condition, timeout=10):
        with self.changed:
            return self.changed.wait_for(condition, timeout)

    def _note(self, change):
        with self.changed:
            change()
            self.changed.notify_all()

    def respond(self, request):
        path = request.path
        if path.startswith("/2018-06-01/runtime"):
            return self._runtime(request, path)
        self._note(lambda: self.calls.append(path))
        if path == "/2020-01-01/extension/register":
            return self._register(request)
        if request.header("Lambda-Extension-Identifier") != self.identifier:
            return 403, {}, b'{"errorType":"Extension.UnknownExtensionIdentifier","errorMessage":"unknown"}'
        if path == "/2022-07-01/telemetry":
            self._note(lambda: setattr(self, "subscription", json.loads(request.body)))
            # The first delivery may come at once.
            socket.create_connection(("127.0.0.1", self.port_of_telemetry), timeout=5).close()
            return self.telemetry, {}, b'"OK"'
        if path == "/2020-01-01/extension/event/next":
            self.first_asked = self.first_asked or time.monotonic()
            self._note(lambda: self.asked.update(extension=self.asked["extension"] + 1))
            return self._next(self.events)
        return 404, {}, b""

    def _register(self, request):
        if self.register:
            return self.register.pop(0), {}, b'{"errorType":"Extension.Other"}'
        events = json.loads(request.body)["events"]
        if self.managed and "INVOKE" in events:
            return 403, {}, b'{"errorType":"Extension.InvalidEventType","errorMessage":"INVOKE"}'
        self.identifier = str(uuid.uuid4())
        self._note(lambda: setattr(self, "registered", (request.header("Lambda-Extension-Name"), events)))
        body = {"functionName": FUNCTION_NAME, "functionVersion": "$LATEST", "handler": "bootstrap"}
        return 200, {"Lambda-Extension-Identifier": self.identifier}, json.dumps(body).encode()

    def _runtime(self, request, path):
        if path.endswith("/invocation/next"):
            self._note(lambda: self.asked.update(function=self.asked["function"] + 1))
            return self._next(self.work)
        request_id, kind = path.rsplit("/", 2)[-2:]
        status = "success" if kind == "response" else "error"
        self._note(lambda: self.answers.update({request_id: (status, request.body, time.monotonic())}))
        return 202, {}, b"{}"

    def _next(self, source):
        while not self.closed.is_set():
            try:
                headers, body = source.get(timeout=0.2)
                return 200, headers, body
            except queue.Empty:
                pass
        return 500, {}, b""

    def deliver(self, *records):
        """Delivers records to the extension, as the Telemetry API does: once."""
        records = [one for one in records if one["type"] != self.hold_back]
        if self.subscription is None or self.telemetry != 200 or not records:
            return
        body = json.dumps(records).encode()
        head = f"POST / HTTP/1.1\r\nHost: sandbox.localdomain:{self.port_of_telemetry}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            # The Telemetry API keeps its connection. A client in Go writes a small request at once; `http.client` writes its head first.
            self._delivery = self._delivery or socket.create_connection(("127.0.0.1", self.port_of_telemetry), timeout=5)
            self._delivery.sendall(head.encode() + body)
            answer = http.client.HTTPResponse(self._delivery, method="POST")
            answer.begin()
            answer.read()
        except (http.client.HTTPException, OSError):
            self.undelivered += 1
            if self._delivery:
                self._delivery.close()
            self._delivery = None

    @property
    def port_of_telemetry(self):
        """Returns the port to which the extension wants deliveries."""
        return int(self.subscription["destination"]["URI"].rstrip("/").rsplit(":", 1)[1])


def record(kind, **content):
    """Returns a record of the platform, or of the function if the kind is `function`."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return {"time": now, "type": kind if kind == "function" else f"platform.{kind}", "record": content}


class Invoked:
    """The result of one invocation: the seconds until the function's answer, and then until the extension was done with it."""

    def __init__(self, request_id, body, response_s, extension_s):
        self.request_id, self.body, self.response_s, self.extension_s = request_id, body, response_s, extension_s


class Environment:
    """One environment. `settings` are variables of the function; one that is None is left out. `function` is the command of a function
    that speaks the Runtime API; without it every invocation is answered here. `binary` is another extension, and False is none."""

    def __init__(self, function=None, freeze=False, kind="on-demand", telemetry=200, register=None, binary=None, wait=True, **settings):
        self.kind, self.freeze = kind, freeze
        self.api = LambdaApi(managed=kind == "lambda-managed-instances", telemetry=telemetry, register=register)
        self.directory = tempfile.mkdtemp(prefix="environment-")
        env = {**LAMBDA_ENV, **CREDENTIALS, "PATH": os.environ.get("PATH", ""), "AWS_LAMBDA_RUNTIME_API": self.api.address,
               "AWS_LAMBDA_INITIALIZATION_TYPE": kind, "STATSD": "off", "EVENTS": "off", **settings}
        self.env = {name: str(value) for name, value in env.items() if value is not None}
        self.invocations, self._report, self.frozen = 0, None, False
        self.function = self.extension = None
        #: When the extension was started.
        self.spawned = time.monotonic()
        if binary is not False:
            self.extension = self._start([binary or components.extension()], "extension",
                                         {name: value for name, value in self.env.items() if name not in NOT_FOR_EXTENSIONS})
        if wait and self.extension:
            assert self.api.wait(lambda: self.api.asked["extension"] or self.exited), "the extension asks for no event"
            assert not self.exited, self.log()
            self.api.deliver(record("initStart", initializationType=kind, phase="init", functionName=FUNCTION_NAME),
                             record("initRuntimeDone", initializationType=kind, phase="init", status="success"),
                             record("initReport", initializationType=kind, phase="init", status="success", metrics={"durationMs": 125.5}))
        if function:
            self.function = self._start(function, "function", self.env)
            assert self.api.wait(lambda: self.api.asked["function"]), self.log("function")
        self._freeze()

    def _start(self, command, name, env):
        with open(os.path.join(self.directory, name), "wb") as log:
            return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)

    @property
    def exited(self):
        return self.extension is not None and self.extension.poll() is not None

    def log(self, of="extension"):
        """Returns everything that a process has written."""
        with open(os.path.join(self.directory, of), errors="replace") as log:
            return log.read()

    def lines(self, level):
        """Returns the extension's log lines of a level."""
        return [line for line in map(json.loads, self.log().splitlines()) if line["level"] == level]

    def _signal(self, number):
        for process in (self.extension, self.function):
            if process and process.poll() is None:
                os.kill(process.pid, number)

    def _freeze(self):
        if self.freeze:
            self._signal(signal.SIGSTOP)
            self.frozen = True

    def _thaw(self):
        if self.frozen:
            self._signal(signal.SIGCONT)
            self.frozen = False

    def begin(self, payload=None, deadline_s=30):
        """Begins an invocation. Returns its request id."""
        self._thaw()
        request_id, deadline = str(uuid.uuid4()), int((time.time() + deadline_s) * 1000)
        self.invocations += 1
        start = record("start", requestId=request_id, version="$LATEST")
        self.api.deliver(*[one for one in (self._report, start) if one])
        self._report = None
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION_NAME}"
        self._asked = self.api.asked["extension"]
        self._begun = time.monotonic()
        if self.kind != "lambda-managed-instances":
            self.api.events.put(({}, json.dumps({"eventType": "INVOKE", "requestId": request_id, "deadlineMs": deadline,
                                                 "invokedFunctionArn": arn}).encode()))
        if self.function:
            self.api.work.put(({"Lambda-Runtime-Aws-Request-Id": request_id, "Lambda-Runtime-Deadline-Ms": str(deadline),
                                "Lambda-Runtime-Invoked-Function-Arn": arn, "Content-Type": "application/json"},
                               json.dumps(payload).encode()))
        return request_id

    def finish(self, request_id, status="success", metrics=None, timeout=30):
        """Answers the invocation, or waits for the function's answer, and ends it when the extension has asked for the next event."""
        body = b""
        if self.function:
            assert self.api.wait(lambda: request_id in self.api.answers, timeout), self.log("function")
            status, body, answered = self.api.answers[request_id]
        else:
            answered = time.monotonic()
        managed = self.kind == "lambda-managed-instances"
        spans = [{"name": name, "start": "x", "durationMs": duration}
                 for name, duration in (("responseLatency", 12.5), ("responseDuration", 0.5), ("runtimeOverhead", 1.5))]
        if managed:
            self.api.deliver(record("report", requestId=request_id, status=status, metrics={"durationMs": 40.0}, spans=spans))
            return Invoked(request_id, body, answered - self._begun, 0.0)
        time.sleep(0.005)  # the Telemetry API buffers records
        self.api.deliver(record("runtimeDone", requestId=request_id, status=status, spans=spans,
                                metrics={"durationMs": 40.0, "producedBytes": 16}))
        if self.extension:
            assert self.api.wait(lambda: self.api.asked["extension"] > self._asked or self.exited, timeout), "the extension is not done"
        done = time.monotonic()
        self._report = record("report", requestId=request_id, status=status, metrics={
            "durationMs": 40.5, "billedDurationMs": 41, "memorySizeMB": 128, "maxMemoryUsedMB": 90, **(metrics or {})})
        self._freeze()
        return Invoked(request_id, body, answered - self._begun, max(0.0, done - answered))

    def invoke(self, payload=None, status="success", deadline_s=30, metrics=None, seconds=0.0):
        """Runs one invocation. `seconds`: how long a function that is no process takes."""
        request_id = self.begin(payload, deadline_s)
        time.sleep(seconds)
        return self.finish(request_id, status, metrics)

    def shut_down(self, budget_s=2.0, reason="spindown"):
        """Ends the environment in order. Returns the seconds that the extension took; one that takes longer is killed."""
        self._thaw()
        self.peak_before_end = None if self.exited else self.peak_memory()
        begun = time.monotonic()
        if self.function:
            self.function.kill()
        self.api.events.put(({}, json.dumps({"eventType": "SHUTDOWN", "shutdownReason": reason,
                                             "deadlineMs": int((time.time() + budget_s) * 1000)}).encode()))
        if self._report:
            self.api.deliver(self._report)
        self._report = None
        return self._ended(begun, budget_s)

    def terminate(self):
        """Sends SIGTERM to the extension. Returns the seconds until it ended; one that takes longer is killed."""
        begun = time.monotonic()
        self.extension.terminate()
        return self._ended(begun, 2.0)

    def _ended(self, begun, budget_s):
        try:
            self.extension.wait(budget_s + 5)
        except subprocess.TimeoutExpired:
            self.extension.kill()
            self.extension.wait()
        return time.monotonic() - begun

    def kill(self):
        """Kills the environment, as Lambda does when it reclaims a frozen one."""
        for process in (self.extension, self.function):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def peak_memory(self):
        """Returns VmHWM of the extension, in bytes."""
        return peak_memory(self.extension.pid)

    def close(self):
        self.kill()
        self.api.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
