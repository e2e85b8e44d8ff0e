# Pushgateway, from Debian's packages: the tests push to it and to the gateway. For tests/run.

need_pushgateway() {
    local folder=$env_dir/pushgateway stamp=$env_dir/stamps/pushgateway
    [ -e "$stamp" ] && [ -x "$folder/usr/bin/prometheus-pushgateway" ] && return 0
    say "unpacking Pushgateway from Debian's packages (suite forky) into tests/.env/pushgateway"
    rm -rf "$folder" "$stamp"
    debian_packages forky "$folder" prometheus-pushgateway || return 1
    : > "$stamp"
}
