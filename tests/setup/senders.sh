# Agents that are built from Go modules: tests/contract/senders. For tests/run.

# need_sender NAME: builds tests/contract/senders/NAME; two minutes of CPU.
need_sender() {
    local source=tests/contract/senders/$1 program=$env_dir/senders/$1 stamp=$env_dir/stamps/sender-$1 wanted
    need_go || return 1
    wanted="$(go env GOVERSION) $(cat "$source"/{main.go,go.mod,go.sum} | cksum)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$program" ] && return 0
    say "building $source into tests/.env/senders"
    rm -f "$stamp"
    (cd "$source" && go build -trimpath -ldflags='-s -w' -o "$program" .) < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}
