# Counts results and reports what is missing. For tests/run.

passed=0
failed=0
not_run=()
left_out=()
costs=()
part_name='' part_cpu=0 part_began=0

# say PART: begins a part of the run, and notes what the one before it cost.
say() {
    local cpu
    # The second line has the CPU time of all ended children: user and system, as 1m2.345s. No pipe: a subshell has other children.
    times > "$env_dir/times"
    cpu=$(awk -F '[ms ]+' 'NR == 2 { printf "%d", ($1 + $3) * 60 + $2 + $4 }' "$env_dir/times")
    [ -z "$part_name" ] || costs+=("$(printf '%5d s CPU %5d s  %s' $((cpu - part_cpu)) $((SECONDS - part_began)) "$part_name")")
    part_name=$* part_cpu=$cpu part_began=$SECONDS
    printf '\n== %s\n' "$*"
}
have() { command -v "$1" > /dev/null 2>&1; }
# version_at_least WANTED GIVEN
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Reports what was left out, then the counts in the last line. Ends the run with its exit code.
finish() {
    local part
    say "done"
    # Besides the output, for a look at it later.
    [ "${#costs[@]}" -eq 0 ] || printf '%s\n' "${costs[@]}" "$(printf '%5d s CPU %5d s  in all' "$part_cpu" "$SECONDS")" | tee "$env_dir/summary"
    for part in "${left_out[@]}"; do printf 'left out: %s\n' "$part"; done
    for part in "${not_run[@]}"; do printf 'could not run: %s\n' "$part"; done
    failed=$((failed + ${#not_run[@]}))
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}
# lacking WHAT HOW: reports that some tests cannot run before HOW is done. The others go on.
lacking() {
    printf '%s\n  mend it with: %s\n' "$1" "$2" >&2
    not_run+=("$1")
}
# stop WHAT HOW: reports that no test can run before HOW is done, and ends the run.
stop() {
    lacking "$1" "$2"
    finish
}

# count PART STATUS PASSED FAILED SKIPPED: adds the counts of a part. Its exit code STATUS must be 0 if all passed and 1 if some
# failed. Any other exit code, or a failure that was not counted, means that the part did not finish.
count() {
    local part=$1 status=$2
    passed=$((passed + $3))
    failed=$((failed + $4))
    if [ "$status" -gt 1 ] || { [ "$status" -ne 0 ] && [ "$4" -eq 0 ]; } || [ $(($3 + $4)) -eq 0 ]; then
        not_run+=("$part (exit code $status; see the errors above)")
    fi
    [ "$5" -eq 0 ] || not_run+=("$part: $5 skipped tests")
}
