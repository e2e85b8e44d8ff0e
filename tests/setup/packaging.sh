# The inputs that decide how the function is packaged, and their record. For tests/run.

# These decide which packages are compiled, how, and for which processor. Everything else is tested on this machine's processor.
packaging_inputs=(infra/package infra/tools.txt Cargo.toml Cargo.lock)
packaging_record=tests/infra/packaging-inputs.sha256

# The record has the inputs of the last `tests/run --long` that passed.
packaging_inputs_changed() {
    sha256sum --check --status "$packaging_record" 2> /dev/null && return 1
    printf '\nThe packaging inputs (%s) are not those of %s: this run tests both processors.\n' "${packaging_inputs[*]}" "$packaging_record"
}

record_packaging_inputs() {
    sha256sum "${packaging_inputs[@]}" > "$packaging_record.new"
    if cmp -s "$packaging_record.new" "$packaging_record"; then
        rm "$packaging_record.new"
    else
        mv "$packaging_record.new" "$packaging_record"
        printf 'recorded the packaging inputs in %s: commit it\n' "$packaging_record"
    fi
}

# stand_in_for ARCH: the CDK construct ships a zip for each processor. If one was not built, this writes a zip that cannot run, for
# the construct's tests. `remove_stand_in` must run at the end of them.
stand_in_for() {
    stand_in=ingest-$1.zip
    [ -e "target/lambda/$stand_in" ] && { stand_in=; return; }
    python3 - "$stand_in" << 'PYTHON' || stop "no stand-in for the function for $1 could be written" "infra/package"
import hashlib
import pathlib
import sys
import zipfile

out, name = pathlib.Path("target/lambda"), sys.argv[1]
with zipfile.ZipFile(out / name, "w") as archive:
    archive.writestr("bootstrap", "#!/bin/sh\necho 'a stand-in of tests/run: build the function with infra/package' >&2\nexit 1\n")
with open(out / "SHA256SUMS", "a") as sums:
    sums.write(f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n")
PYTHON
    trap remove_stand_in EXIT
}

remove_stand_in() {
    [ -n "${stand_in:-}" ] || return 0
    rm -f "target/lambda/$stand_in" "infra/cdk/lambda/$stand_in"
    sed -i "/ $stand_in\$/d" target/lambda/SHA256SUMS
    stand_in=
}
