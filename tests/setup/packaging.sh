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

# stand_in_for ARCH: the CDK construct ships zips for each processor. If those of one were not built, this writes zips that cannot run,
# for the construct's tests. `remove_stand_in` must run at the end of them.
stand_in_for() {
    local name
    for name in "ingest-$1.zip" "extension-$1.zip"; do
        [ -e "target/lambda/$name" ] || write_stand_in "$name" "$1"
    done
}

write_stand_in() {
    stand_in+=("$1")
    trap remove_stand_in EXIT
    python3 - "$1" << 'PYTHON' || stop "no stand-in for $2 could be written" "infra/package"
import hashlib
import pathlib
import sys
import zipfile

out, name = pathlib.Path("target/lambda"), sys.argv[1]
with zipfile.ZipFile(out / name, "w") as archive:
    archive.writestr("bootstrap", f"#!/bin/sh\necho 'a stand-in for {name} of tests/run: build it with infra/package' >&2\nexit 1\n")
with open(out / "SHA256SUMS", "a") as sums:
    sums.write(f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n")
PYTHON
}

stand_in=()
remove_stand_in() {
    local name
    for name in ${stand_in[@]+"${stand_in[@]}"}; do
        rm -f "target/lambda/$name" "infra/cdk/lambda/$name"
        sed -i "/ $name\$/d" target/lambda/SHA256SUMS
    done
    stand_in=()
}
