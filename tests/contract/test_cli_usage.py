"""The program `pushgw` as a whole: its commands and wrong usage. All its tests start it through `run`."""
import re
import subprocess

import pytest

from support import components
from support.command_line import environment, on_a_terminal, pushgw
from support.components import ROOT

COMMANDS = ["demo", "serve", "invoke", "check", "ping", "send", "redrive", "state", "load"]


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
