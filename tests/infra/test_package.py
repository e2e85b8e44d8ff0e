"""The deployable zips that `infra/package` makes: their contents, that they run, and that a second build has the same bytes."""
import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from package import ARCHITECTURES, LAMBDA, PROGRAMS, unpacked, zip_of
from support.components import ROOT
from support.events import BROKEN_TEXT, event, now_ms
from support.runtime_api import Ingest
from support.sqs import event as batch
from support.sqs import record

_LOADER = SourceFileLoader("notices", str(ROOT / "infra/notices"))
NOTICES = module_from_spec(spec_from_loader("notices", _LOADER))
_LOADER.exec_module(NOTICES)

both = pytest.mark.parametrize("arch", ARCHITECTURES)
programs = pytest.mark.parametrize("name", PROGRAMS)
#: The other file of each zip, and the most bytes of the zip. The goal is 3 MB for the function; Lambda loads it at a cold start.
NOTICES_IN = {"ingest": "THIRD-PARTY-NOTICES", "extension": "amp-push-extension/THIRD-PARTY-NOTICES"}
LARGEST = {"ingest": 4_000_000, "extension": 2_000_000}
#: The name of each program for infra/package and infra/notices.
PART = {"ingest": "function", "extension": "extension"}

#: The C library of provided.al2023, and the path of its loader.
GLIBC = (2, 34)
ELF = {"x86_64": ("Advanced Micro Devices X86-64", "/lib64/ld-linux-x86-64.so.2"),
       "arm64": ("AArch64", "/lib/ld-linux-aarch64.so.1")}
OF_GLIBC = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2",
            "ld-linux-aarch64.so.1"}


@pytest.fixture
def binary(name, arch, tmp_path):
    unpacked(arch, tmp_path, name)
    return tmp_path / PROGRAMS[name]


def readelf(file, *options):
    return subprocess.run(["readelf", "--wide", *options, file], env={**os.environ, "LC_ALL": "C"}, check=True,
                          capture_output=True, text=True).stdout


@both
def test_the_packaged_function_stores_a_batch_and_dead_letters_a_broken_message(arch, tmp_path, receiver, sqs):
    now, dead_letters = now_ms(), sqs.queue()
    with Ingest({"REMOTE_WRITE_URL": receiver.remote_write_url, "DEAD_LETTER_QUEUE_URL": dead_letters.url,
                 "AWS_ENDPOINT_URL_SQS": sqs.endpoint}, binary=unpacked(arch, tmp_path)) as ingest:
        result = ingest.invoke(batch(
            *[event({"temperature": f"{14 + number / 10}", "ph": 7}, {"customerId": f"customer{number}"}, now - number)
              for number in range(10)],
            record(BROKEN_TEXT, "broken")))
    assert result.failures == []
    assert (result.metrics["delivered"], result.metrics["dead_lettered"]) == (10, 1)
    wanted = {(metric, (("customerId", f"customer{number}"),)): [(now - number, value)]
              for number in range(10) for metric, value in (("temperature", 14 + number / 10), ("ph", 7.0))}
    assert receiver.values() == wanted
    letter = dead_letters.letter()
    assert letter.body == BROKEN_TEXT
    assert (letter.attributes["reason"], letter.attributes["source_message_id"]) == ("invalid_value", "broken")


@both
@programs
def test_the_zip_holds_an_executable_program_the_notices_and_nothing_else(name, arch):
    with zipfile.ZipFile(zip_of(arch, name)) as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
        notices = archive.read(NOTICES_IN[name]).decode()
    # Lambda starts every file in the folder extensions, so the notices are elsewhere.
    assert [(one.filename, oct(one.external_attr >> 16)) for one in entries] == \
        [(PROGRAMS[name], oct(0o100755)), (NOTICES_IN[name], oct(0o100644))]
    assert {one.create_system for one in entries} == {3}, "the zip has no Unix modes: Lambda would not see the mode"
    assert notices == NOTICES.notices(PART[name]), "the zip is older than Cargo.lock: infra/package"


@programs
def test_the_notices_have_every_linked_package_and_texts_of_their_licences(name):
    text, linked = NOTICES.notices(PART[name]), NOTICES.linked(PART[name])
    assert len(linked) > 100 and {"ring", "rustls", "serde_json", "tokio"} <= {package for package, _ in linked}
    # Development dependencies and those of the command line are not linked into what Lambda runs.
    assert not {"clap", "criterion", "proptest", "syn"} & {package for package, _ in linked}
    listed, texts = text.split("=" * 100, 1)
    for package, version in linked:
        assert f"- {package} {version}: " in listed
        assert re.search(rf"(^|, ){re.escape(package)} {re.escape(version)}(,|$)", texts, re.M), f"no text for {package}"
    assert "Permission is hereby granted" in texts and "Apache License" in texts
    assert str(ROOT) not in text and str(Path.home()) not in text


def test_a_changed_dependency_changes_the_notices(monkeypatch):
    before, real = NOTICES.notices(), NOTICES.cargo
    monkeypatch.setattr(NOTICES, "cargo", lambda *arguments: re.sub(
        r'(snap v|"name":"snap","version":")[0-9.]+', r"\g<1>99.0.0", real(*arguments)))
    assert "- snap 99.0.0: " in NOTICES.notices() and "- snap 99.0.0: " not in before
    monkeypatch.setattr(NOTICES, "cargo", lambda *arguments: re.sub(r"^snap v.*\n", "", real(*arguments), flags=re.M))
    assert "- snap " in before and "- snap " not in NOTICES.notices()


@both
@programs
def test_the_zip_is_small(name, arch):
    assert zip_of(arch, name).stat().st_size <= LARGEST[name]


@both
@programs
def test_the_binary_needs_nothing_that_al2023_lacks(name, arch, binary):
    machine, loader = ELF[arch]
    assert re.search(rf"Machine: +{machine}", readelf(binary, "--file-header"))
    assert f"program interpreter: {loader}" in readelf(binary, "--program-headers")
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", readelf(binary, "--dynamic")))
    assert "libc.so.6" in needed and needed <= OF_GLIBC
    versions = {tuple(map(int, found.split("."))) for found in
                re.findall(r"Name: GLIBC_([0-9.]+)", readelf(binary, "--version-info"))}
    assert versions, "no version of any symbol found"
    assert max(versions) <= GLIBC


@both
@programs
def test_the_binary_reveals_nothing_of_the_machine_that_built_it(name, arch, binary):
    content = binary.read_bytes()
    for secret in (ROOT, Path.home() / ".cargo", os.environ.get("CARGO_HOME")):
        assert not secret or str(secret).encode() not in content, secret


def test_the_checksums_match():
    sums = {name: digest for digest, name in
            (line.split("  ") for line in (LAMBDA / "SHA256SUMS").read_text().splitlines())}
    assert {f"{name}-{arch}.zip" for name in PROGRAMS for arch in ARCHITECTURES} <= sums.keys()
    assert sums == {name: hashlib.sha256((LAMBDA / name).read_bytes()).hexdigest() for name in sums}


@pytest.mark.second_build
def test_a_second_build_elsewhere_gives_the_same_bytes(tmp_path):
    """Builds everything again in another folder, with packages unpacked into another CARGO_HOME. It takes minutes."""
    first = {name: zip_of("x86_64", name).read_bytes() for name in PROGRAMS}
    clone, home = tmp_path / "clone", tmp_path / "home"
    shutil.copytree(ROOT, clone, symlinks=True,
                    ignore=shutil.ignore_patterns("target", ".env", ".git", "node_modules", "cdk.out", ".aws-sam"))
    (clone / "target/lambda").mkdir(parents=True)
    os.symlink(LAMBDA / "tools", clone / "target/lambda/tools")
    real_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    (home / "registry").mkdir(parents=True)
    for part in ("registry/cache", "registry/index", "config.toml"):  # the downloaded packages and their registry
        if (real_home / part).exists():
            os.symlink(real_home / part, home / part)
    built = subprocess.run([clone / "infra/package", "--arch", "x86_64"], env={**os.environ, "CARGO_HOME": str(home)},
                           stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-4000:]
    for name in PROGRAMS:
        again = (clone / f"target/lambda/{name}-x86_64.zip").read_bytes()
        assert hashlib.sha256(again).digest() == hashlib.sha256(first[name]).digest(), \
            f"two builds of {name} differ (or target/lambda is older than the source: infra/package)"


@pytest.mark.parametrize("arguments, sentence", [
    (["--arch", "mips"], '--arch is arm64 or x86_64, not "mips"'),
    (["--into", "somewhere"], "--into needs one --arch: it writes one program"),
    (["--arch", "arm64", "--into", "somewhere"], "--into needs --only: it writes one program"),
    (["--only", "layer"], '--only is function or extension, not "layer"'),
    (["arm64"], 'unknown argument "arm64"'),
])
def test_reports_wrong_usage_and_builds_nothing(arguments, sentence, tmp_path):
    ended = subprocess.run([ROOT / "infra/package", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    assert sentence in ended.stderr and "mend it with: infra/package [--arch arm64|x86_64] [--only function|extension] [--into DIR]" in ended.stderr


@pytest.mark.parametrize("missing, sentence, mend", [
    ("cargo", "no Rust toolchain", "install Rust with rustup"),
    ("cc", "no C compiler", "apt-get install gcc libc6-dev"),
    ("python3", "no python3 on PATH", "apt-get install python3 python3-venv"),
])
def test_reports_a_missing_tool_and_how_to_install_it(missing, sentence, mend, tmp_path):
    there = {"bash", "dirname", "cargo", "cc", "python3"} - {missing}
    for tool in there:
        os.symlink(shutil.which(tool), tmp_path / tool)
    ended = subprocess.run([ROOT / "infra/package"], env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True)
    assert ended.returncode == 1
    assert sentence in ended.stderr and f"mend it with: {mend}" in ended.stderr
