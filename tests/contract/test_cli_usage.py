"""The program `pushgw` as a whole: its commands and wrong usage. All its tests start it through `run`."""
import os
import pty
import re
import subprocess

import pytest

from support import components
from support.components import ROOT
from support.runtime_api import CREDENTIALS
from support.sqs import REGION

COMMANDS = ["demo", "serve", "invoke", "check", "ping", "send", "redrive", "load"]


def environment(**env):
    """Returns an environment for programs: settings of the tests and these variables; one that is None is left out. It takes
    nothing from the caller but the variables that are needed to find programs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ}
    full = {**kept, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", **CREDENTIALS, **env}
    return {name: str(value) for name, value in full.items() if value is not None}


def run(*command, stdin="", timeout=120, cwd=ROOT, **env):
    """Runs a command to its end. `stdin` is text or bytes."""
    binary = isinstance(stdin, bytes)
    done = subprocess.run([str(part) for part in command], input=stdin if binary else (stdin or "").encode(),
                          capture_output=True, timeout=timeout, cwd=cwd, env=environment(**env))
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return done


def pushgw(*arguments, **more):
    """Runs `pushgw`. It must write no colours to a pipe, and must never panic."""
    done = run(components.pushgw(), *arguments, **more)
    assert "\x1b" not in done.stdout + done.stderr, "colour codes, although this is no terminal"
    assert "panicked" not in done.stderr, done.stderr
    return done


def test_help_names_every_command():
    done = pushgw("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^\s+{command}\b", done.stdout, re.M), done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_its_help(command):
    done = pushgw(command, "--help")
    assert done.returncode == 0
    assert f"pushgw {command}" in done.stdout


def test_prints_the_version_of_the_package():
    (version,) = re.findall(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)
    done = pushgw("--version")
    assert done.returncode == 0
    assert version in done.stdout


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"], ["check"], ["invoke"],
                                       ["check", "--no-such-option", "-"], ["demo", "extra"], ["ping", "extra"]],
                         ids=" ".join)
def test_exits_with_2_for_wrong_usage(arguments):
    done = pushgw(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert done.stdout == ""


def on_a_terminal(*arguments, **env):
    """Returns what `pushgw` writes to a terminal (standard output and error)."""
    main, terminal = pty.openpty()
    process = subprocess.Popen([components.pushgw(), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=terminal,
                               stderr=terminal, cwd=ROOT, env=environment(TERM="xterm-256color", **env))
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(main, 65536):
            shown += piece
    except OSError:  # Linux reports a closed terminal like this
        pass
    os.close(main)
    return process.wait(60), shown.decode()


@pytest.mark.parametrize("arguments", [["check", "examples/events/event.json"], ["demo"]], ids=lambda one: one[0])
def test_prints_colours_on_a_terminal_unless_no_color_is_set(arguments):
    status, shown = on_a_terminal(*arguments)
    assert status == 0 and "\x1b[" in shown
    status, shown = on_a_terminal(*arguments, NO_COLOR="1")
    assert status == 0 and not re.search("\x1b\\[[0-9;]*m", shown)


@pytest.mark.parametrize("arguments", [["check"], ["check", "--json"]], ids=" ".join)
@pytest.mark.parametrize("event, status", [('{"metrics":{"v":1}}', 0), ('{"metrics":{"v":"abc"}}', 1)], ids=["good", "bad"])
def test_closed_output_causes_no_crash_and_hides_no_rejection(tmp_path, arguments, event, status):
    path = tmp_path / "events.jsonl"
    path.write_text(f"{event}\n" * 50_000)
    process = subprocess.Popen([components.pushgw(), *arguments, path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment())
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert "panicked" not in said
    ended = process.wait(60)
    assert ended == status
