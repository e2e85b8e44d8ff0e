"""Runs `pushgw` and other programs as a user does."""
import os
import pty
import subprocess
import time

from . import components
from .components import ROOT
from .runtime_api import CREDENTIALS
from .sqs import REGION


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


def eventually(condition, seconds=30):
    """Waits until `condition()` is true, and returns what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return found
