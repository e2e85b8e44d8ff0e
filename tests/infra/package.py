"""Finds the packaged function in `target/lambda`, and runs it, in an emulator if it is for another processor."""
import os
import zipfile

from support.components import ARCH, ENV, HOW, ROOT, MissingComponent, _found

LAMBDA = ROOT / "target/lambda"
#: The processors that `tests/run` packaged the function for.
ARCHITECTURES = os.environ.get("PACKAGED", "x86_64 arm64").split()
EMULATOR = ENV / "qemu/usr/bin/qemu-aarch64-static"
EMULATED_LIBC = ENV / "qemu/usr/aarch64-linux-gnu"


def zip_of(arch):
    """Returns the path of the zip that `infra/package` made."""
    path = LAMBDA / f"ingest-{arch}.zip"
    if not path.exists():
        raise MissingComponent(f"{path.relative_to(ROOT)} is missing: infra/package")
    return path


def unpacked(arch, folder):
    """Unpacks `bootstrap` into `folder`, as Lambda does, and returns a command that runs it on this machine."""
    bootstrap = folder / "bootstrap"
    with zipfile.ZipFile(zip_of(arch)) as archive:
        bootstrap.write_bytes(archive.read("bootstrap"))
        bootstrap.chmod(archive.getinfo("bootstrap").external_attr >> 16 & 0o777)
    if arch == ARCH:
        return bootstrap
    if arch != "arm64":
        raise MissingComponent(f"a bootstrap for {arch} does not run here: use an x86_64 machine")
    emulator = _found(EMULATOR, "qemu's user-mode emulator for arm64", HOW)
    if not EMULATED_LIBC.is_dir():
        raise MissingComponent(f"a C library for arm64 is missing ({EMULATED_LIBC}): {HOW}")
    run = folder / "run"
    run.write_text(f'#!/bin/sh\nexec "{emulator}" -L "{EMULATED_LIBC}" "{bootstrap}" "$@"\n')
    os.chmod(run, 0o755)
    return run
