"""Where the parts under test and the servers beside them are. A missing part fails the tests and says how to get it."""
import os
import platform
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: What users copy.
EXAMPLES = ROOT / "examples"
ENV = ROOT / "tests" / ".env"
#: This machine's processor, as Lambda calls it.
ARCH = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
HOW = "run `bash tests/run`, which builds and installs everything the tests need"


class MissingComponent(Exception):
    """A part that the tests need is not there; the message carries the command that brings it."""


def _found(path, what, how):
    if not path or not os.access(path, os.X_OK):
        raise MissingComponent(f"{what} is missing ({path}): {how}")
    return str(path)


def ingest():
    """The Lambda binary: `INGEST_BIN`, else the packaged one, as it is deployed."""
    path = os.environ.get("INGEST_BIN") or ROOT / "target/lambda" / ARCH / "bootstrap"
    return _found(path, "the packaged Lambda binary `ingest`", f"infra/package --arch {ARCH}")


def pushgw():
    """The command line: `PUSHGW_BIN`, else the one that `tests/run` builds."""
    path = os.environ.get("PUSHGW_BIN") or ROOT / "target/release/pushgw"
    return _found(path, "the program `pushgw`", "cargo build --release")


def prometheus():
    """Prometheus 3.5 or later: the one that `tests/run` found or unpacked."""
    path = os.environ.get("PROMETHEUS_BIN")
    if not path:
        unpacked = ENV / "prometheus/usr/bin/prometheus"
        path = unpacked if unpacked.exists() else shutil.which("prometheus")
    return _found(path, "Prometheus", HOW)


def python():
    """The interpreter of the test environment (the one that runs now: it has moto and boto3)."""
    import sys
    return sys.executable


def tool(name):
    """A command that lives beside the interpreter in the test environment, such as `aws`."""
    import sys
    return _found(Path(sys.executable).parent / name, f"the command `{name}`", HOW)
