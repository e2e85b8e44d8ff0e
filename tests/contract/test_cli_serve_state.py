"""The state of `pushgw serve`: in memory without an option, or in a file, where what was answered is kept also when the process is killed."""
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from support import components
from support.command_line import environment, eventually
from support.door import door
from support.serve import invoke, request, serving

COUNTER = {"type": "counter", "name": "orders_total", "value": 1, "labels": {"shop": "a"}}


def _arguments(path):
    return "--state", str(path), "--tick", "1s", "--json"


def _reports(server, event):
    lines = (line for line in server.printed().splitlines() if line.startswith("{"))
    return [report for report in map(json.loads, lines) if report["event"] == event]


def _ticked(server, count):
    """Waits for so many ticks."""
    begun, end = len(_reports(server, "tick")), time.monotonic() + 30
    while len(_reports(server, "tick")) < begun + count:
        assert time.monotonic() < end and server.process.poll() is None, server.output()
        time.sleep(0.05)


def _sum_at_the_end(server):
    """Waits for a tick that begins after this call, stops the server and returns the last value of the counter."""
    _ticked(server, 2)
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


def test_keeps_every_answered_push_and_deletion_when_it_is_killed(tmp_path):
    path, sent = tmp_path / "state", {}
    for turn in range(3):
        with serving("--http", "127.0.0.1:0", *_arguments(path)) as server:
            shown = _door(server, "GET", "/metrics")[1]
            assert {line for line in shown.splitlines() if line.startswith("rows{")} == set(sent.values())
            for job in range(40):
                key = f"job-{job}"
                if turn and job % 5 == turn:
                    assert _door(server, "DELETE", f"/metrics/job/{key}")[0] == 202
                    sent.pop(key, None)
                elif turn == 0 or job % 2:
                    assert _door(server, "PUT", f"/metrics/job/{key}", f"rows {turn}\n")[0] == 202
                    sent[key] = f'rows{{instance="",job="{key}"}} {turn}'
            server.process.kill()
            server.process.wait()


def test_ticks_at_multiples_of_its_period_on_the_wall_clock(tmp_path):
    with door("--state", str(tmp_path / "state"), "--tick", "2s") as one:
        assert one.put("/metrics/job/backup", "rows 7\n").status == 202
        rows = ("rows", (("job", "backup"),))
        eventually(lambda: len(one.receiver.samples().get(rows, [])) >= 2)
        times = [when for when, _ in one.receiver.samples()[rows]]
    assert [when % 2_000 for when in times] == [0] * len(times) and times == list(range(times[0], times[-1] + 1, 2_000))


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


def _door(server, method, path, body=None):
    """Sends a request to the HTTP door of a server and returns (status, text)."""
    status, _, text = request(int(server.door.rsplit(":", 1)[1]), method, path, body)
    return status, text.decode()


def _stopped(server):
    """Stops a server and returns {name: samples} of its workspace."""
    server.process.terminate()
    assert server.process.wait(20) == 0, server.output()
    (stopped,) = _reports(server, "stopped")
    return {series["labels"]["__name__"]: series for series in stopped["series"]}


def test_keeps_state_in_memory_and_writes_it_once_more_at_the_end():
    with serving("--http", "127.0.0.1:0", "--tick", "1h", "--json") as server:
        assert _reports(server, "started")[0]["state"] == "in memory; written every 3600 s"
        assert _door(server, "PUT", "/metrics/job/backup", "rows 7\n") == (202, "")
        for _ in range(2):
            assert json.loads(invoke(server, COUNTER)[1])["accepted"] == 1
        status, text = _door(server, "GET", "/metrics")
        assert status == 200 and 'rows{instance="",job="backup"} 7\n' in text
        stored = _stopped(server)
    assert stored["rows"]["last"]["value"] == "7" and "push_time_seconds" in stored
    assert (stored["orders_total"]["last"]["value"], stored["orders_total"]["samples"]) == ("2", 2), "a zero, and the sum"


def test_the_scrape_shows_the_typed_series_of_the_last_tick_of_a_state_in_memory():
    with serving("--http", "127.0.0.1:0", "--tick", "1s") as server:
        assert _door(server, "POST", "/events", json.dumps([COUNTER, COUNTER]))[0] == 200
        eventually(lambda: 'orders_total{instance="",shop="a"} 2\n' in _door(server, "GET", "/metrics")[1])


def test_with_state_none_pushes_are_written_through_and_typed_metrics_rejected():
    with serving("--http", "127.0.0.1:0", "--state", "none", "--json") as server:
        assert _door(server, "PUT", "/metrics/job/backup", "rows 7\n") == (202, "")
        assert _door(server, "GET", "/metrics")[0] == 404
        assert json.loads(invoke(server, COUNTER)[1])["errorType"] == "needs_state"
        assert set(_stopped(server)) == {"rows", "push_time_seconds"}
    ended = subprocess.run([components.pushgw(), "serve", "--state", "none", "--tick", "5s", "--listen", "127.0.0.1:0"], capture_output=True, text=True,
                           timeout=20, env=environment(), check=False)
    assert ended.returncode == 2 and "--tick needs a state" in ended.stderr
