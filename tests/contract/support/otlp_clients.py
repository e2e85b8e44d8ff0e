"""OpenTelemetry SDKs as programs of tests/contract/clients/otlp, and what a Prometheus must answer after each has sent its metrics."""
import shutil
import sys
from dataclasses import dataclass, field

import pytest

from .clients import BUILT, FOLDER, needed, node
from .command_line import run

OTLP = FOLDER / "otlp"
_BUILT = BUILT / "otlp"
_GZIP = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}


@dataclass(frozen=True)
class Sdk:
    """One SDK with one way to send."""

    name: str
    #: The version: (file under tests/contract, text in it).
    pinned: tuple
    #: Returns the command without its arguments.
    command: object
    content_type: str = "application/x-protobuf"
    env: dict = field(default_factory=dict)

    #: True if the SDK reports a rejection of some data points as an error.
    fails_if_some_are_rejected: bool = False

    def send(self, url, job, status=0, **env):
        """Runs the program, and returns what it printed."""
        done = run(*self.command(), url, job, LC_ALL="C.UTF-8", **{**self.env, **env})
        assert done.returncode == status, f"{self.name}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def _python():
    return sys.executable, OTLP / "push.py"


def _node():
    return node(), OTLP / "node/push.js"


def _go():
    return (needed(_BUILT / "go/push"),)


def _java():
    return (needed(shutil.which("java")), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
            f"{needed(_BUILT / 'java/jars')}/*:{needed(_BUILT / 'java/classes')}", "Push")


def _rust():
    return (needed(_BUILT / "rust/debug/otlp-client"),)


_PYTHON = "requirements.txt", "opentelemetry-sdk==1.45.2"
_NODE = "clients/otlp/node/package.json", '"@opentelemetry/sdk-metrics": "2.12.1"'
_NODE_ENV = {"NODE_PATH": _BUILT / "node/node_modules"}
_GO = "clients/otlp/go/go.mod", "go.opentelemetry.io/otel/sdk/metric v1.47.0"
_JAVA = "clients/otlp/java/pom.xml", "<version>1.55.0</version>"

SDKS = [
    Sdk("Python", _PYTHON, _python),
    Sdk("Python, gzip", _PYTHON, _python, env=_GZIP),
    Sdk("Node.js", _NODE, _node, env=_NODE_ENV),
    Sdk("Node.js, JSON", _NODE, _node, "application/json", env={**_NODE_ENV, "PUSH_FORMAT": "json"}),
    Sdk("Node.js, JSON, gzip", _NODE, _node, "application/json", env={**_NODE_ENV, **_GZIP, "PUSH_FORMAT": "json"}),
    Sdk("Go", _GO, _go, fails_if_some_are_rejected=True),
    Sdk("Go, gzip", _GO, _go, env=_GZIP, fails_if_some_are_rejected=True),
    Sdk("Java", _JAVA, _java),
    Sdk("Java, gzip", _JAVA, _java, env=_GZIP),
]

_RUST = "clients/otlp/rust/Cargo.toml", 'opentelemetry_sdk = { version = "=0.33.1"'

#: The SDKs of `bash tests/run --peers`.
PEERS = [
    Sdk("Rust", _RUST, _rust),
    Sdk("Rust, gzip", _RUST, _rust, env=_GZIP),
    Sdk("Rust, JSON", _RUST, _rust, "application/json", env={"PUSH_FORMAT": "json"}),
    Sdk("Rust, JSON, gzip", _RUST, _rust, "application/json", env={**_GZIP, "PUSH_FORMAT": "json"}),
]

#: The series of each SDK, {(metric, ((label, value), ...)): value}; of a native histogram it is (count, sum). These have no temporality.
GAUGES = {("client_queue_length", ()): 3, ("client_temperature_celsius", ()): -12.5,
          ("target_info", (("deployment_environment_name", "test"),)): 1}
_STATUS = ("http_response_status_code", "200")
COUNTS = {
    ("client_orders_total", (("kind", "new"),)): 3,
    **{("client_latency_seconds_bucket", (_STATUS, ("le", bound))): count for bound, count in {"0.1": 1, "1": 3, "5": 3, "+Inf": 4}.items()},
    ("client_latency_seconds_sum", (_STATUS,)): 8.0625,
    ("client_latency_seconds_count", (_STATUS,)): 4,
    ("client_native_seconds", ()): (4, 8.0625),
}


def each(sdks):
    """Returns SDKs as parameters of tests: those of `bash tests/run --peers` have a mark."""
    return [pytest.param(sdk, id=sdk.name, marks=[pytest.mark.peers] if sdk in PEERS else []) for sdk in sdks]
