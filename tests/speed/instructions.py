"""Counts instructions with callgrind and compares them with those of `baseline.json`.

    instructions.py            compares; the exit code is 1 if any count is more than 5 percent worse
    instructions.py --record   measures and writes the baseline

Unlike a time, a count is the same to within 0.1 percent from run to run (hash seeds differ) and on a busy machine. It depends on
the compiler, the C library and the features of the processor. The baseline names those of its recording.
"""
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from measure import ROOT, Sink, components, environment, hand_over, read_request, sqs_batch, yardstick

BASELINE = Path(__file__).with_name("baseline.json")
#: A count fails if it is worse than the baseline by more than this.
TOLERANCE = 0.05
#: The baseline keeps this many functions. Each of the others costs less than 0.1 percent.
FUNCTIONS = 150


class Count:
    """Instructions: all, and by function."""

    def __init__(self, functions, share=1):
        self.functions = {name: cost / share for name, cost in functions.items()}
        self.total = sum(self.functions.values())


def count(what, events, rounds=10):
    """Returns the count for one event in the `floor` or the `whole`, without the first round, which has work that is done once."""
    functions = callgrind([yardstick(), what, str(events), str(rounds)],
                          options=["--collect-atstart=no", "--toggle-collect=yardstick::measured*"])
    return Count(functions, events * rounds)


def of_process(payloads=()):
    """Returns the count of the packaged function from its start until it asks for work after the last payload. This includes the
    linker and the C library, but not the kernel."""
    with socket.create_server(("127.0.0.1", 0)) as api, Sink() as sink:
        api.settimeout(60)

        def until_done(process):
            with api.accept()[0] as connection:
                connection.settimeout(60)
                assert b"/invocation/next" in read_request(connection)
                for number, payload in enumerate(payloads):
                    hand_over(connection, number, payload)
                    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                    assert b"/invocation/next" in read_request(connection)
                process.terminate()

        return Count(callgrind([components.ingest()], environment(api, sink.url), meanwhile=until_done))


def of_invocations(events, rounds=5):
    """Returns the count for one event, without the first invocation."""
    payload = sqs_batch(events)
    first, all_of_them = of_process([payload]), of_process([payload] * (1 + rounds))
    return Count({"": all_of_them.total - first.total}, events * rounds)


#: The compared counts. The baseline keeps the functions of the last, too.
COUNTS = {
    "from start to the first request for work": of_process,
    "for an event in a batch of 50, whole process": partial(of_invocations, 50, 40),
    "for an event in a batch of 1,000, whole process": partial(of_invocations, 1_000),
    "for an event in a batch of 1": partial(count, "whole", 1),
    "for an event in a batch of 50": partial(count, "whole", 50),
    "for an event in a batch of 1,000": partial(count, "whole", 1_000),
}
WITH_FUNCTIONS = "for an event in a batch of 1,000"


def valgrind():
    """Returns the command of valgrind and its variables: `VALGRIND_BIN`, the one on PATH, or the one in tests/.env/valgrind."""
    found = os.environ.get("VALGRIND_BIN") or shutil.which("valgrind")
    unpacked = components.ENV / "valgrind/usr"
    if found or not (unpacked / "bin/valgrind").exists():
        return components._found(found, "valgrind", "apt-get install valgrind"), {}
    return str(unpacked / "bin/valgrind"), {"VALGRIND_LIB": str(unpacked / "libexec/valgrind")}


def callgrind(command, env=None, options=(), meanwhile=lambda process: None):
    """Runs a command to its end. Returns instructions by function."""
    program, variables = valgrind()
    with tempfile.TemporaryDirectory() as folder:
        out, said = Path(folder) / "callgrind", Path(folder) / "said"
        with open(said, "wb") as stream:
            process = subprocess.Popen(
                [program, "--tool=callgrind", f"--callgrind-out-file={out}", *options, *command],
                env={"PATH": os.environ.get("PATH", ""), **variables, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)
            try:
                meanwhile(process)
                process.wait(600)
            finally:
                process.kill()
        functions = exclusive(out.read_text()) if out.exists() else None
        if not functions:
            raise RuntimeError(f"callgrind counted nothing (exit status {process.returncode}):\n{said.read_text()}")
    return functions


def exclusive(text):
    """Parses callgrind's output to instructions by function, without those of the functions it calls
    (https://valgrind.org/docs/manual/cl-format.html)."""
    names, costs = {}, Counter()
    function, of_callee = None, False
    for line in text.splitlines():
        if named := re.match(r"c?fn=(\(\d+\))(?: (.*))?", line):
            number, name = named.groups()
            if name:
                names[number] = name
            if not line.startswith("c"):
                function = re.sub(r"'\d+$", "", names[number])  # '2 marks a recursion
        elif line.startswith("calls="):
            of_callee = True
        elif function and re.match(r"[0-9+*-]", line):
            # A position and a cost. The line after `calls=` has the cost of the callee, which has lines of its own.
            if not of_callee:
                costs[function] += int(line.split()[1])
            of_callee = False
    return costs


def surroundings():
    """Returns all that decides on the number of instructions besides the code."""
    def first_line(*command):
        return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[0]

    flags = re.search(r"(?m)^(?:flags|Features).*", Path("/proc/cpuinfo").read_text())
    return {"rustc": first_line("rustc", "--version"), "machine": platform.machine(),
            "avx2": bool(flags and " avx2" in flags[0]), "libc": " ".join(platform.libc_ver()),
            "valgrind": first_line(valgrind()[0], "--version")}


def record():
    counts = {name: make() for name, make in COUNTS.items()}
    functions = Counter(counts[WITH_FUNCTIONS].functions).most_common(FUNCTIONS)
    BASELINE.write_text(json.dumps({
        "surroundings": surroundings(),
        "instructions": {name: round(one.total) for name, one in counts.items()},
        f"functions {WITH_FUNCTIONS}": {name: round(cost, 1) for name, cost in functions},
    }, indent=1) + "\n")


def baseline():
    return json.loads(BASELINE.read_text())


def compare(name, now, base):
    """Returns true if a count is within the tolerance, and a sentence on the change. If it is worse, this names the functions."""
    before = base["instructions"][name]
    change = now.total / before - 1
    sentence = f"{now.total:,.0f} instructions {name}, {change:+.1%} against the {before:,} of the baseline"
    if change <= TOLERANCE:
        return True, sentence
    if name == WITH_FUNCTIONS:
        sentence += _where(now.functions, base[f"functions {WITH_FUNCTIONS}"])
    return False, sentence + _elsewhere(base["surroundings"], surroundings())


def _where(now, before):
    # A function that was too cheap for the baseline's list counts as new.
    change = sorted(((now.get(name, 0) - before.get(name, 0), name) for name in {*now, *before}), reverse=True)
    lines = ["", "grown most (inlining also moves instructions from one function to another):"]
    lines += [f"  {more:+9.1f}  {name}" for more, name in change[:15] if more > 1]
    lines += ["shrunk most:"]
    lines += [f"  {less:+9.1f}  {name}" for less, name in change[:-9:-1] if less < -1]
    return "\n".join(lines)


def _elsewhere(then, now):
    differ = [f"{key} was {then.get(key)!r}, here it is {value!r}" for key, value in now.items() if then.get(key) != value]
    if not differ:
        return ""
    return ("\nThe baseline was recorded elsewhere (" + "; ".join(differ) + "), which alone can make the difference. To tell: "
            "check out the commit that last changed tests/speed/baseline.json, record a baseline there "
            "(tests/speed/run --record), come back with it and run this again. If the code is not at fault, commit that one.")


def main(arguments):
    if arguments == ["--record"]:
        record()
    fine = True
    for name, make in COUNTS.items():
        good, sentence = compare(name, make(), baseline())
        fine = fine and good
        print(sentence, flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
