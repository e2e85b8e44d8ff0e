# Go, from PATH or from Debian's packages. For tests/run.

# Any Go of the last years fetches the version that go.mod names.
go_fits() { have go && version_at_least go1.21 "$(go env GOVERSION 2> /dev/null)"; }

need_go() {
    local folder=$env_dir/go stamp=$env_dir/stamps/go
    go_fits && return 0
    if [ ! -e "$stamp" ]; then
        say "unpacking Go from Debian's packages (suite forky) into tests/.env/go"
        rm -rf "$folder"
        debian_packages forky "$folder" golang-1.26-go golang-1.26-src || return 1
        : > "$stamp"
    fi
    PATH=$folder/usr/lib/go-1.26/bin:$PATH
    go_fits
}
