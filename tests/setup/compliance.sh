# The official suites for receivers and senders of remote write, from prometheus/compliance. For tests/run.

# need_compliance: a program of the suite's tests, which the Go module proxy has; a minute of CPU.
need_compliance() {
    local source=tests/contract/compliance folder=$env_dir/compliance stamp=$env_dir/stamps/compliance wanted module
    need_go || return 1
    wanted="$(go env GOVERSION) $(cat "$source"/go.{mod,sum} | cksum)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/receiver.test" ] && return 0
    say "building the suite of $source into tests/.env/compliance"
    rm -f "$stamp"
    mkdir -p "$folder"
    (cd "$source" && go mod download) < /dev/null || return 1
    module=$(cd "$source" && go list -m -f '{{.Dir}}' github.com/prometheus/complicance/remotewrite2) || return 1
    (cd "$module" && go test -c -trimpath -o "$folder/receiver.test" .) < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_sender_suite: the same of the checkout of `remotewrite/sender` in the folder $SENDER_SUITE; the Go module proxy does not have it.
need_sender_suite() {
    local folder=$env_dir/compliance
    need_go || return 1
    say "building the suite of $SENDER_SUITE into tests/.env/compliance"
    rm -f "$folder/sender.test"
    mkdir -p "$folder"
    (cd "$SENDER_SUITE" && go test -c -trimpath -o "$folder/sender.test" .) < /dev/null
}
