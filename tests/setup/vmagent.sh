# vmagent, from Debian's packages: a sender of remote write. For tests/run.

need_vmagent() {
    local folder=$env_dir/vmagent stamp=$env_dir/stamps/vmagent
    [ -e "$stamp" ] && [ -x "$folder/usr/bin/vmagent" ] && return 0
    say "unpacking vmagent from Debian's packages (suite forky) into tests/.env/vmagent"
    rm -rf "$folder" "$stamp"
    debian_packages forky "$folder" victoria-metrics || return 1
    # The package has the other programs of VictoriaMetrics, too.
    find "$folder/usr/bin" -type f ! -name vmagent -delete
    : > "$stamp"
}
