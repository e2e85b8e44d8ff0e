"""The programs of examples/otlp send to the door with the variables that every OpenTelemetry SDK reads."""
import sys

import pytest

from support.clients import BUILT, needed, node
from support.command_line import run
from support.components import EXAMPLES
from support.door import door
from support.remote_write import bits

OTLP = EXAMPLES / "otlp"


@pytest.mark.parametrize("name", ["metrics.py", "metrics.js", "metrics.go"])
def test_sends_a_counter_and_a_gauge(name):
    command = {"metrics.py": [sys.executable, OTLP / name], "metrics.js": [node(), OTLP / name],
               "metrics.go": [BUILT / "otlp/go/example"]}[name]
    needed(BUILT / "otlp/go/example")
    with door() as gateway:
        done = run(*command, OTEL_EXPORTER_OTLP_ENDPOINT=gateway.url, OTEL_SERVICE_NAME="backup", NODE_PATH=BUILT / "otlp/node/node_modules")
        assert done.returncode == 0, done.stderr
        assert gateway.receiver.metric("backup_files_total") and gateway.receiver.metric("backup_duration_seconds")
        samples = {dict(labels)["__name__"]: (dict(labels), value) for write in gateway.receiver.writes for labels, _, value in write.samples}
        labels, value = samples["backup_files_total"]
        assert (labels["job"], labels["disk"], value) == ("backup", "data", bits(1200.0))


def test_every_example_is_tried():
    assert sorted(path.name for path in OTLP.iterdir()) == ["metrics.go", "metrics.js", "metrics.py"]
