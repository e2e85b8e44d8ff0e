# The client libraries that tests/contract/clients pushes with. For tests/run.

# need_node_client: its packages, outside of the source folder.
need_node_client() {
    local source=tests/contract/clients/node folder=$env_dir/clients/node stamp=$env_dir/stamps/client-node wanted
    node_fits || return 1
    wanted="$(node --version) $(cksum < "$source/package-lock.json")"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -d "$folder/node_modules" ] && return 0
    say "installing the packages of $source/package-lock.json into tests/.env/clients/node"
    rm -rf "$folder" "$stamp"
    mkdir -p "$folder"
    cp "$source"/package{,-lock}.json "$folder" || return 1
    (cd "$folder" && npm ci --no-fund --no-audit --loglevel=error) < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_go_client: the program, and the example that uses the same library.
need_go_client() {
    local source=tests/contract/clients/go folder=$env_dir/clients/go stamp=$env_dir/stamps/client-go wanted
    need_go || return 1
    wanted="$(go env GOVERSION) $(cat "$source"/{main.go,go.mod,go.sum} | cksum)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/push" ] && return 0
    say "building $source into tests/.env/clients/go"
    rm -f "$stamp"
    mkdir -p "$folder"
    (cd "$source" && go build -trimpath -o "$folder/push" .) < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}
