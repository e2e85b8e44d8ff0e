"""Finds the packaged function and the packaged extension in `target/lambda`, and runs them, in an emulator if for another processor."""
import os
import zipfile

from support.components import ARCH, ENV, HOW, ROOT, MissingComponent, _found

LAMBDA = ROOT / "target/lambda"
#: The processors that `tests/run` packaged the function for.
ARCHITECTURES = os.environ.get("PACKAGED", "x86_64 arm64").split()
EMULATOR = ENV / "qemu/usr/bin/qemu-aarch64-static"
EMULATED_LIBC = ENV / "qemu/usr/aarch64-linux-gnu"


#: The zips, and the path of the program in each.
PROGRAMS = {"ingest": "bootstrap", "extension": "extensions/amp-push-extension"}


def zip_of(arch, name="ingest"):
    """Returns the path of a zip that `infra/package` made: of the function, or of the extension's layer."""
    path = LAMBDA / f"{name}-{arch}.zip"
    if not path.exists():
        raise MissingComponent(f"{path.relative_to(ROOT)} is missing: infra/package")
    return path


def unpacked(arch, folder, name="ingest"):
    """Unpacks the program of a zip into `folder`, as Lambda does, and returns a command that runs it on this machine."""
    path = PROGRAMS[name]
    program = folder / path
    program.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(zip_of(arch, name)) as archive:
        program.write_bytes(archive.read(path))
        program.chmod(archive.getinfo(path).external_attr >> 16 & 0o777)
    if arch == ARCH:
        return program
    if arch != "arm64":
        raise MissingComponent(f"a program for {arch} does not run here: use an x86_64 machine")
    emulator = _found(EMULATOR, "qemu's user-mode emulator for arm64", HOW)
    if not EMULATED_LIBC.is_dir():
        raise MissingComponent(f"a C library for arm64 is missing ({EMULATED_LIBC}): {HOW}")
    run = folder / "run"
    run.write_text(f'#!/bin/sh\nexec "{emulator}" -L "{EMULATED_LIBC}" "{program}" "$@"\n')
    os.chmod(run, 0o755)
    return run
