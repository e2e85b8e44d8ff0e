# Each kind of test: how to run it and how to count its results. For tests/run.

# The part of tests/contract that `tests/run --quick` runs: each trigger, each outcome of an event, and the command line. It leaves
# out tests that wait long or send much.
quick_contract_tests=(test_direct.py test_sqs.py test_event_values.py test_event_one.py test_late_samples.py test_remote_write.py
    test_credentials.py test_watching.py test_start.py test_cli_usage.py test_cli_check.py test_end_to_end.py test_ancestor.py)

# run_and_keep COMMAND...: shows the output and keeps it in $output; $status is the exit code.
run_and_keep() {
    "$@" < /dev/null 2>&1 | tee "$output"
    status=${PIPESTATUS[0]}
}

in_folder() { (cd "$1" && shift && "$@"); }

# --workspace: the fuzz targets share these dependencies only if both are built with the same features.
build_tests() {
    cargo test --quiet --workspace --no-run < /dev/null \
        || stop "the tests do not build" "cargo test --workspace --no-run"
}

cargo_tests() {
    local yes no
    # The seed makes two runs try the same; PROPTEST_RNG_SEED=2 tries others.
    PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1} run_and_keep cargo test --workspace --no-fail-fast
    read -r yes no < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$output")
    count "cargo test" "$status" "$yes" "$no" 0
}

# oracle_tests TEST: those that compare with a program of tests/contract/oracles.
oracle_tests() {
    local yes no
    run_and_keep cargo test --workspace --test "$1" -- --ignored
    read -r yes no < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$output")
    count "cargo test --test $1" "$status" "$yes" "$no" 0
}

# simulator_tests: those of tests/contract/simulator, a package of its own; two minutes of CPU to build.
simulator_tests() {
    local yes no
    run_and_keep cargo test --locked --manifest-path tests/contract/simulator/Cargo.toml --target-dir "$env_dir/simulator"
    read -r yes no < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$output")
    count "cargo test in tests/contract/simulator" "$status" "$yes" "$no" 0
}

# pytest_in FOLDER ARGUMENT...
pytest_in() {
    local folder=$1 summary
    shift
    run_and_keep in_folder "$folder" "$venv/bin/python" -m pytest -q -n 4 "$@"
    # 5: the arguments choose no test of this folder.
    [ "$status" -eq 5 ] && [ "$#" -gt 0 ] && return
    summary=$(grep -E '^=*[ ]*([0-9]+ [a-z]+,? ?)+ in [0-9.]+s' "$output" | tail -n 1)
    of() { grep -oE "[0-9]+ $1" <<< "$summary" | awk '{ n += $1 } END { print n + 0 }'; }
    count "pytest in $folder" "$status" "$(of passed)" "$(($(of failed) + $(of 'errors?')))" "$(of skipped)"
}

# npm_tests FOLDER SCRIPT: Node's own test runner says "# pass 3", or with another reporter "ℹ pass 3".
npm_tests() {
    run_and_keep in_folder "$1" npm run --silent "$2"
    of() { grep -oE "^(#|ℹ) $1 [0-9]+" "$output" | awk '{ n += $3 } END { print n + 0 }'; }
    count "npm run $2 in $1" "$status" "$(of pass)" "$(($(of fail) + $(of cancelled)))" "$(($(of skipped) + $(of todo)))"
}

# script_of_tests FILE: one that says "3 passed, 0 failed" at its end.
script_of_tests() {
    local yes no
    run_and_keep bash "$1"
    read -r yes no < <(sed -nE '$ s/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$output")
    count "$1" "$status" "${yes:-0}" "${no:-0}" 0
}

# goal FILE ARGUMENT...: a script that compares with another program, and exits with 1 if a goal is missed.
goal() {
    run_and_keep "$@"
    count "$1" "$status" $((status == 0)) $((status == 1)) 0
}
