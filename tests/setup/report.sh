# Counts tests, and reports what is missing. For tests/run.

passed=0
failed=0
not_run=()

say() { printf '\n== %s\n' "$*"; }
have() { command -v "$1" > /dev/null 2>&1; }
# version_at_least WANTED GIVEN
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# The last line and the exit code.
finish() {
    local part
    for part in "${not_run[@]}"; do printf 'could not run: %s\n' "$part"; done
    failed=$((failed + ${#not_run[@]}))
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}
# lacking WHAT HOW: a part of the tests cannot run before HOW is done. The other parts go on.
lacking() {
    printf '%s\n  mend it with: %s\n' "$1" "$2" >&2
    not_run+=("$1")
}
# stop WHAT HOW: no test can run before HOW is done.
stop() {
    lacking "$1" "$2"
    finish
}

# count PART STATUS PASSED FAILED SKIPPED: adds the counts of a part. STATUS is 0 if all passed and 1 if some failed. Any other
# status, or a failure without a count, means that the part could not do its work.
count() {
    local part=$1 status=$2
    passed=$((passed + $3))
    failed=$((failed + $4))
    if [ "$status" -gt 1 ] || { [ "$status" -ne 0 ] && [ "$4" -eq 0 ]; } || [ $(($3 + $4)) -eq 0 ]; then
        not_run+=("$part (exit code $status; mend what it says above)")
    fi
    [ "$5" -eq 0 ] || not_run+=("$part: $5 skipped tests")
}
