"""Finds the programs under test and the servers beside them. A missing one fails the tests and names the command that gets it."""
import os
import platform
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: The files that users copy.
EXAMPLES = ROOT / "examples"
ENV = ROOT / "tests" / ".env"
#: The processor of this machine, by Lambda's name.
ARCH = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
HOW = "run `bash tests/run`, which builds and installs everything the tests need"


class MissingComponent(Exception):
    """The tests need a part that is missing. The message names the command that gets it."""


def _found(path, what, how):
    if not path or not os.access(path, os.X_OK):
        raise MissingComponent(f"{what} is missing ({path}): {how}")
    return str(path)


def ingest():
    """Returns the Lambda binary: `INGEST_BIN`, or the packaged one, as it is deployed."""
    path = os.environ.get("INGEST_BIN") or ROOT / "target/lambda" / ARCH / "bootstrap"
    return _found(path, "the packaged Lambda binary `ingest`", f"infra/package --arch {ARCH}")


def pushgw():
    """Returns the command line: `PUSHGW_BIN`, or the one that `tests/run` builds."""
    path = os.environ.get("PUSHGW_BIN") or ROOT / "target/debug/pushgw"
    return _found(path, "the program `pushgw`", "cargo build")


def extension():
    """Returns the Lambda extension: `EXTENSION_BIN`, or the one that `tests/run` builds."""
    path = os.environ.get("EXTENSION_BIN") or ROOT / "target/debug/amp-push-extension"
    return _found(path, "the extension `amp-push-extension`", "cargo build")


def dynamodb():
    """Returns the stand-in for DynamoDB: `DYNAMODB_BIN`, or the one that `cargo test` builds."""
    path = os.environ.get("DYNAMODB_BIN") or ROOT / "target/debug/examples/dynamodb"
    return _found(path, "the stand-in for DynamoDB", "cargo build --example dynamodb")


def prometheus():
    """Returns Prometheus 3.5 or later, which `tests/run` found or unpacked."""
    path = os.environ.get("PROMETHEUS_BIN")
    if not path:
        unpacked = ENV / "prometheus/usr/bin/prometheus"
        path = unpacked if unpacked.exists() else shutil.which("prometheus")
    return _found(path, "Prometheus", HOW)


def pushgateway():
    """Returns the real Pushgateway, which `tests/run` unpacked."""
    path = os.environ.get("PUSHGATEWAY_BIN") or ENV / "pushgateway/usr/bin/prometheus-pushgateway"
    return _found(path, "Pushgateway", HOW)


def rie():
    """Returns AWS's emulator of Lambda, which `tests/run` built."""
    return _found(os.environ.get("RIE_BIN") or ENV / "rie/aws-lambda-rie", "AWS's Runtime Interface Emulator", HOW)


def chromium():
    """Returns Chromium, which `tests/run` found or unpacked."""
    path = os.environ.get("CHROMIUM_BIN")
    if not path:
        unpacked = ENV / "chromium/run"
        path = unpacked if unpacked.exists() else shutil.which("chromium")
    return _found(path, "Chromium", HOW)


def python():
    """Returns the interpreter of the test environment. It is the running one, which has moto and boto3."""
    import sys
    return sys.executable


def tool(name):
    """Returns a command beside the interpreter of the test environment, such as `aws`."""
    import sys
    return _found(Path(sys.executable).parent / name, f"the command `{name}`", HOW)
