"""Measures the packaged function from outside: behind the Runtime API, writing to a receiver that accepts everything.

This file checks neither the requests (tests/contract does) nor the figures (test_*.py do).
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "contract"))

from support import components  # noqa: E402
from support.command_line import environment as environment_of_programs  # noqa: E402
from support.runtime_api import CREDENTIALS, LAMBDA_ENV, Ingest, peak_memory  # noqa: E402

#: Built as the function is, from the same dependencies; keeps the names of functions for callgrind.
BUILD_YARDSTICK = ["infra/package", "--arch", components.ARCH, "--yardstick"]
PACKAGES = ROOT / "target/lambda"

#: The largest payload of an invocation.
PAYLOAD_LIMIT = 6 * 1024 * 1024


def yardstick():
    """Returns the program of yardstick.rs: `YARDSTICK_BIN`, or the one that `tests/speed/run` builds."""
    path = os.environ.get("YARDSTICK_BIN") or PACKAGES / components.ARCH / "yardstick"
    return components._found(path, "the program `yardstick`", " ".join(BUILD_YARDSTICK))


def build():
    """Builds the packages and the yardstick. Their output goes to standard error."""
    subprocess.run(["infra/package"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    build_yardstick()


def build_yardstick():
    subprocess.run(BUILD_YARDSTICK, cwd=ROOT, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        components.dynamodb()
    except components.MissingComponent:
        subprocess.run(["cargo", "build", "--quiet", "--example", "dynamodb"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)


# --- the world around one process ------------------------------------------------------------------------------------

class Sink:
    """A receiver that answers every request at once and checks nothing."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/api/v1/write"
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while read_request(connection) is not None:
                    self.requests += 1
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                pass  # the process was killed

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_request(connection):
    """Returns the first line of the next request and reads its body. Returns None if the peer has hung up."""
    text = bytearray()
    while (end := text.find(b"\r\n\r\n")) < 0:
        piece = connection.recv(262_144)
        if not piece:
            return None
        text += piece
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", text[:end])
    missing = end + 4 + (int(length[1]) if length else 0) - len(text)
    while missing > 0:
        piece = connection.recv(min(missing, 262_144))
        if not piece:
            return None
        missing -= len(piece)
    return bytes(text[:text.find(b"\r\n")])


def now_ms():
    return int(time.time() * 1000)


def sqs_batch(events):
    """Returns the same records as in the benches."""
    command = [yardstick(), "payload", str(events), str(now_ms())]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def full_sqs_batch():
    """Returns as many of these records as an invocation can carry."""
    return sqs_batch(PAYLOAD_LIMIT // (len(sqs_batch(1_000)) // 1_000 + 2))


def cpu_seconds(pid):
    """Returns the CPU time of a process with all its threads, also ended ones, in nanoseconds (the clock of
    clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


# --- start -----------------------------------------------------------------------------------------------------------

class Start:
    """One start: milliseconds from before the spawn of the process to its first request for work, and to its first answer."""

    def __init__(self, to_work, to_answer, cpu):
        self.to_work, self.to_answer, self.cpu = to_work, to_answer, cpu


def starts(count, receiver_url=None):
    """Starts `ingest` `count` times and gives it one event each time.

    The Runtime API is a bare socket here; the thread that takes the times reads it. Without a receiver nobody listens at
    `REMOTE_WRITE_URL`, so that the connection of the start fails at once and costs nothing.
    """
    binary = components.ingest()
    event = json.dumps({"dimensions": {"customerId": "customer1"}, "metrics": {"temperature": "14.3", "ph": 6.7}}).encode()
    found = []
    with socket.create_server(("127.0.0.1", 0), backlog=16) as api, socket.socket() as deaf, open(os.devnull, "r+b") as null:
        deaf.bind(("127.0.0.1", 0))
        env = environment(api, receiver_url or "http://127.0.0.1:%d/api/v1/write" % deaf.getsockname()[1])
        redirect = [(os.POSIX_SPAWN_DUP2, null.fileno(), stream) for stream in (0, 1, 2)]
        for number in range(count):
            begun = time.perf_counter_ns()
            pid = os.posix_spawn(binary, [binary], env, file_actions=redirect)
            connection, _ = api.accept()
            with connection:
                connection.settimeout(10)
                asked = read_request(connection)
                to_work = time.perf_counter_ns() - begun
                assert asked and b"/runtime/invocation/next" in asked, asked
                cpu = cpu_seconds(pid)
                to_answer = None
                if receiver_url:
                    to_answer = hand_over(connection, number, event) - begun
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            found.append(Start(to_work / 1e6, to_answer and to_answer / 1e6, cpu * 1e3))
    return found


def environment(api, remote_write_url):
    """Returns the environment of a function whose Runtime API is the socket `api`."""
    return {**LAMBDA_ENV, **CREDENTIALS, "PATH": os.environ.get("PATH", ""),
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % api.getsockname()[1], "REMOTE_WRITE_URL": remote_write_url}


def hand_over(connection, number, payload):
    """Runs one invocation on a connection that has asked for work. Returns the time of its answer."""
    head = (f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-{number:012x}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {now_ms() + 300_000}\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:f\r\n\r\n")
    connection.sendall(head.encode() + payload)
    asked = read_request(connection)
    came = time.perf_counter_ns()
    assert asked and asked.startswith(b"POST") and b"/response " in asked, asked
    return came


# --- CPU -------------------------------------------------------------------------------------------------------------

class Cpu:
    """Medians of nanoseconds an event: of the process from outside, and of the floor and the whole in process. The ratios are to the
    floor that was measured beside them."""

    def __init__(self, outside, times):
        self.outside = median(outside)
        self.floor, self.whole = (median([each[name] for each in times]) for name in ("floor", "whole"))
        self.in_process = median([each["ratio"] for each in times])
        self.ratio = median([cost / each["floor"] for cost, each in zip(outside, times)])


def cpu(events, rounds, turns=5):
    """Measures the process and the yardstick in turn, so that both have the same noise."""
    payload = sqs_batch(events)
    outside, times = [], []
    with Sink() as sink, Ingest({"REMOTE_WRITE_URL": sink.url}) as ingest:
        for _ in range(10):
            deliver(ingest, payload, events)
        for _ in range(turns):
            times.append(in_process(events, rounds))
            costs = []
            for _ in range(rounds):
                before = cpu_seconds(ingest.pid)
                deliver(ingest, payload, events)
                costs.append(cpu_seconds(ingest.pid) - before)
            outside.append(median(costs) * 1e9 / events)
    return Cpu(outside, times)


def in_process(events, rounds):
    """Returns the output of `yardstick costs`: {"floor": nanoseconds an event, ...}."""
    command = [yardstick(), "costs", str(events), str(rounds)]
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return {name: float(value) for name, value in map(str.split, text.splitlines())}


def increment(count=1_000, rounds=500):
    """Returns the CPU time of an increment in nanoseconds: `count` of them are added up in the states of 50 counters."""
    command = [yardstick(), "increments", str(count), str(rounds)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


def deliver(ingest, payload, events):
    """Runs one invocation. It must succeed, and the process must be idle at its end."""
    result = ingest.invoke(payload)
    assert result.ok and result.metrics["delivered"] == events, repr(result)


def median(values):
    return sorted(values)[len(values) // 2]


# --- memory ----------------------------------------------------------------------------------------------------------

def _array(events):
    return b"[" + ",".join(events).encode() + b"]"


def _ten_metrics():
    return _array(f'{{"dimensions":{{"d":"{n}"}},"metrics":{{' + ",".join(f'"m{k}":{n + k}.5' for k in range(10)) + "}}"
                  for n in range(37_000))


def _sqs_message(body):
    return json.dumps({"Records": [{"messageId": "m-1", "receiptHandle": "r", "body": body, "attributes": {}, "messageAttributes": {},
                                    "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:q"}]}).encode()


#: The payloads and how often each is sent, each by a process of its own.
PAYLOADS = {
    "nothing (at rest)": (lambda: b"", 0),
    "SQS batches of 50 events": (lambda: sqs_batch(50), 500),
    "SQS batches of 1,000 events": (lambda: sqs_batch(1_000), 20),
    "a full SQS batch": (full_sqs_batch, 3),
    "2,000,000 times `{}`": (lambda: b"[" + b",".join([b"{}"] * 2_000_000) + b"]", 1),
    "2,000,000 records of nobody": (lambda: b'{"Records":[' + b",".join([b"{}"] * 1_990_000) + b"]}", 2),
    "340,000 records of nobody in a message of SQS": (
        lambda: _sqs_message('{"Records":[' + ",".join(["{}"] * 340_000) + "]}"), 2),
    "84,000 small events": (lambda: _array(f'{{"timestamp":{now_ms() - n},"metrics":{{"temperature":{n},"ph":{n}.5}}}}'
                                           for n in range(84_000)), 2),
    "84,000 devices with ten external labels": (
        lambda: _array(f'{{"dimensions":{{"d":"{n}"}},"metrics":{{"temperature":{n},"ph":{n}.5}}}}' for n in range(84_000)), 2),
    "one event of 100,000 metrics": (lambda: json.dumps({"metrics": {f"m{n}": n for n in range(100_000)}}).encode(), 2),
    "1,200,000 keys that no event has": (lambda: b"[{" + b",".join([b'"":1'] * 1_200_000) + b"}]", 2),
    "one series of 50,000 samples": (lambda: _array(f'{{"timestamp":{now_ms() - n},"metrics":{{"ph":{n}}}}}'
                                                    for n in range(50_000)), 2),
    "37,000 events of ten metrics": (_ten_metrics, 2),
}


#: Settings beside the usual ones.
SETTINGS = {"84,000 devices with ten external labels": {"EXTERNAL_LABELS": ",".join(f"external{n}=value{n}" for n in range(10))}}


class Memory:
    def __init__(self, size, peak, seconds):
        #: Bytes of the payload, and the peak memory of the process in bytes (VmHWM).
        self.size, self.peak = size, peak
        #: CPU time of the last invocation.
        self.seconds = seconds


def memory(name):
    """Measures one of `PAYLOADS`."""
    make, rounds = PAYLOADS[name]
    payload = make()
    assert len(payload) <= PAYLOAD_LIMIT, f"{name}: {len(payload)} bytes are too many for a payload of Lambda"
    seconds = None
    with Sink() as sink, Ingest({"REMOTE_WRITE_URL": sink.url, **SETTINGS.get(name, {})}) as ingest:
        for _ in range(rounds):
            before = cpu_seconds(ingest.pid)
            result = ingest.invoke(payload)
            seconds = cpu_seconds(ingest.pid) - before
            # A message that is no event is rejected: a direct caller gets a function error.
            assert (result.ok or result.metrics["rejected"] == 1) and result.metrics["errored"] == 0, repr(result)
        return Memory(len(payload), ingest.peak_memory(), seconds)


def memory_of_pushgw(arguments, blocks, **env):
    """Returns the peak memory of `pushgw` in bytes (VmHWM), which gets `blocks` through a pipe, and its exit code."""
    peak = 0
    with subprocess.Popen([components.pushgw(), *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          env=environment_of_programs(**env)) as process:
        for block in blocks:
            process.stdin.write(block)
            peak = peak_memory(process.pid)
        process.stdin.close()
        return peak, process.wait(60)


def growth(rounds):
    """Returns the peak after twenty full batches, and the peak after `rounds` more."""
    payload = full_sqs_batch()
    peaks = []
    with Sink() as sink, Ingest({"REMOTE_WRITE_URL": sink.url}) as ingest:
        for count in (20, rounds):
            for _ in range(count):
                assert ingest.invoke(payload).ok
            peaks.append(ingest.peak_memory())
    return peaks


# --- size ------------------------------------------------------------------------------------------------------------

def sizes():
    """Returns the bytes of the binary, and of each zip that `infra/package` has made: {"ingest-arm64.zip": ...}."""
    zips = sorted(PACKAGES.glob("ingest-*.zip"))
    return Path(components.ingest()).stat().st_size, {one.name: one.stat().st_size for one in zips}
