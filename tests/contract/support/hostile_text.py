"""Text that tries to steer a terminal and to make up lines of output, and the check that it did not."""
import json
import re

from .command_line import on_a_terminal, pushgw

#: A title, a cleared screen, hidden text, reversed text, and line breaks of four kinds.
HOSTILE = "a\x1b]0;owned\x07\x1b[2J\u009b8m\u202eb\r\u2028c\x0b\nok event: d"


def assert_harmless(shown):
    """The text holds no character that steers a terminal but for our own colours, and no line that foreign text has made up."""
    ours = re.sub(r"\x1b\[[0-9;]*m", "", shown.replace("\r\n", "\n"))
    found = [c for c in ours if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028\u2029")]
    assert found == [], (found, shown)
    assert "\x1b[8m" not in shown and "\x1b[2J" not in shown
    assert not re.search(r"^\s*ok event", ours, re.M), f"a line that the text has made up: {shown}"


def assert_shows_harmlessly(*arguments, piece="owned", **env):
    """Runs `pushgw` into a pipe, as JSON and on a terminal. Each shows `piece` of the hostile text, and no harm."""
    for options in [], ["--json"]:
        done = pushgw(*arguments, *options, **env)
        assert piece in done.stdout + done.stderr, (done.stdout, done.stderr)
        assert_harmless(done.stdout)
        assert_harmless(done.stderr)
        if options and done.stdout:
            json.loads(done.stdout.splitlines()[0])
    _, shown = on_a_terminal(*arguments, **env)
    # A bar of progress is drawn over itself.
    assert_harmless(shown.replace("\r\x1b[2K", "\n"))
