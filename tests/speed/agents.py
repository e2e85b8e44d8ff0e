"""Measures the CPU of programs that take requests and send others on. Each gets the same requests, in turn.

`relay` and `otlp` have the programs and the requests.
"""
import http.client
import os
import subprocess
import sys
import time

import measure
from support.runtime_api import peak_memory
from support.serve import Server


class Serve(Server):
    """`pushgw serve` that writes to `url`."""

    def __init__(self, url, **env):
        super().__init__("--http", "127.0.0.1:0", "--remote-write-url", url, REMOTE_WRITE_AUTH="none", **env)
        self.port = int(self.door.rsplit(":", 1)[1])


class Used:
    """The cost of one turn: CPU in seconds, requests sent, seconds from the start to the first answer, peak memory in bytes."""

    def __init__(self, cpu, sent, start, memory):
        self.cpu, self.sent, self.start, self.memory = cpu, sent, start, memory


def build():
    """Builds the release build of pushgw, unless the command line has --no-build."""
    if "--no-build" not in sys.argv:
        subprocess.run(["cargo", "build", "--release", "--bin", "pushgw"], cwd=measure.ROOT, check=True, stdout=sys.stderr)
        os.environ.setdefault("PUSHGW_BIN", str(measure.ROOT / "target/release/pushgw"))


def post_all(port, path, headers, bodies, status):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body in bodies:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status, answer.status
    connection.close()


def settled(pid, sink):
    """Waits until the process sends nothing more. Returns its CPU time in seconds."""
    while True:
        before = sink.requests
        time.sleep(1.5)
        if sink.requests == before:
            return measure.cpu_seconds(pid)


def cost(kind, bodies, post):
    """Starts a program of this kind, and returns what it used for the requests that `post(port, bodies)` sends."""
    with measure.Sink() as sink:
        begin = time.monotonic()
        agent = kind(sink.url)
        try:
            while True:
                try:
                    # The first requests of a process are its start.
                    post(agent.port, bodies[:1])
                    break
                except OSError:
                    assert time.monotonic() < begin + 20 and agent.process.poll() is None, "it does not listen"
                    time.sleep(0.005)
            start = time.monotonic() - begin
            post(agent.port, bodies[:4])
            before, sent = settled(agent.process.pid, sink), sink.requests
            post(agent.port, bodies)
            cpu = settled(agent.process.pid, sink) - before
            assert sink.requests > sent
            return Used(cpu, sink.requests - sent, start, peak_memory(agent.process.pid))
        finally:
            agent.close()


def in_turn(kinds, bodies, post, turns):
    """Returns {name: costs of each turn}."""
    costs = {name: [] for name in kinds}
    for _ in range(turns):
        for name, kind in kinds.items():
            costs[name].append(cost(kind, bodies, post))
    return costs


def print_table(costs, units, unit, goal):
    """Prints the CPU for each of `units`, and the ratio of the last program to the first. Returns whether the goal is reached."""
    print(f"| program | CPU a {unit} | requests sent | start to first answer | peak memory |\n| --- | --- | --- | --- | --- |")
    least = {}
    for name, turns in costs.items():
        each = [used.cpu * 1e9 / units for used in turns]
        least[name] = min(each)
        print(f"| {name} | {min(each):.0f} ns (median {measure.median(each):.0f}) | {turns[-1].sent} "
              f"| {min(used.start for used in turns) * 1e3:.0f} ms | {min(used.memory for used in turns) / 1e6:.0f} MB |")
    first, *_, last = least.values()
    print(f"| ratio | **{last / first:.3f}** (goal: {goal}) | | | |")
    return last / first <= goal
