"""`pushgw serve --state FILE --tick`: what was answered is kept, also when the process is killed."""
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from support import components
from support.command_line import environment
from support.serve import invoke, serving

COUNTER = {"type": "counter", "name": "orders_total", "value": 1, "labels": {"shop": "a"}}


def _arguments(path):
    return "--state", str(path), "--tick", "1s", "--json"


def _reports(server, event):
    lines = (line for line in server.printed().splitlines() if line.startswith("{"))
    return [report for report in map(json.loads, lines) if report["event"] == event]


def _sum_at_the_end(server):
    """Waits for a tick that begins after this call, stops the server and returns the last value of the counter."""
    begun, end = len(_reports(server, "tick")), time.monotonic() + 30
    while len(_reports(server, "tick")) < begun + 2:
        assert time.monotonic() < end and server.process.poll() is None, server.output()
        time.sleep(0.05)
    server.process.terminate()
    assert server.process.wait(20) == 0, server.output()
    (stopped,) = _reports(server, "stopped")
    values = [series["last"]["value"] for series in stopped["series"] if series["labels"]["__name__"] == "orders_total"]
    return float(values[0]) if values else 0


def test_keeps_every_answered_increment_when_it_is_killed(tmp_path):
    path, answered, sent = tmp_path / "state", [], []

    def send(server):
        for _ in range(200):
            sent.append(1)
            try:
                result, body = invoke(server, COUNTER)
            except Exception:  # the process was killed
                return
            if "FunctionError" not in result and json.loads(body)["accepted"] == 1:
                answered.append(1)

    for round_s in (0.3, 1.6):
        with serving(*_arguments(path)) as server, ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(send, server)
            time.sleep(round_s)
            server.process.kill()
            server.process.wait()
    assert answered
    with serving(*_arguments(path)) as server:
        assert len(answered) <= _sum_at_the_end(server) <= len(sent)


def test_refuses_a_file_that_another_process_uses_and_one_that_is_none(tmp_path):
    path, other = tmp_path / "state", tmp_path / "other"
    other.write_text("not a state")

    def refused(file):
        command = [components.pushgw(), "serve", "--listen", "127.0.0.1:0", "--state", str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment(), check=False)
        assert ended.returncode != 0
        return ended.stderr

    with serving(*_arguments(path)):
        assert f"another process uses the state in {path}" in refused(path)
    assert f"{other} is not a file of the state" in refused(other)
    assert other.read_text() == "not a state"
