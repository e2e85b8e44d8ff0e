"""The programs of examples/otlp send to the door with the variables that every OpenTelemetry SDK reads."""
import shutil
import sys

import pytest

from support.clients import BUILT, needed, node
from support.command_line import run
from support.components import EXAMPLES
from support.door import door
from support.remote_write import bits

OTLP = EXAMPLES / "otlp"


#: The command of each program.
COMMANDS = {
    "metrics.py": lambda: [sys.executable, OTLP / "metrics.py"],
    "metrics.js": lambda: [node(), OTLP / "metrics.js"],
    "metrics.go": lambda: [needed(BUILT / "otlp/go/example")],
    "Metrics.java": lambda: [needed(shutil.which("java")), "-XX:TieredStopAtLevel=1", "-cp",
                             f"{needed(BUILT / 'otlp/java/jars')}/*:{needed(BUILT / 'otlp/java/classes')}", "Metrics"],
    "metrics.rs": lambda: [needed(BUILT / "otlp/rust/debug/example")],
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.peers] if name == "metrics.rs" else []) for name in COMMANDS])
def test_sends_a_counter_and_a_gauge(name):
    with door() as gateway:
        done = run(*COMMANDS[name](), OTEL_EXPORTER_OTLP_ENDPOINT=gateway.url, OTEL_SERVICE_NAME="backup", NODE_PATH=BUILT / "otlp/node/node_modules")
        assert done.returncode == 0, done.stderr
        assert gateway.receiver.metric("backup_files_total") and gateway.receiver.metric("backup_duration_seconds")
        samples = {dict(labels)["__name__"]: (dict(labels), value) for write in gateway.receiver.writes for labels, _, value in write.samples}
        labels, value = samples["backup_files_total"]
        assert (labels["job"], labels["disk"], value) == ("backup", "data", bits(1200.0))


def test_every_example_is_tried():
    assert sorted(path.name for path in OTLP.iterdir()) == sorted(COMMANDS)
