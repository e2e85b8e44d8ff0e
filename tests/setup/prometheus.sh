# Prometheus 3.5 and promtool, from PATH or from Debian's packages. For tests/run.

prometheus_version() { "$1" --version 2> /dev/null | sed -n 's/^prometheus, version \([0-9.]*\).*/\1/p'; }

need_prometheus() {
    local found
    if have prometheus && have promtool; then
        found=$(prometheus_version prometheus)
        if [ -n "$found" ] && version_at_least 3.5 "$found"; then
            PROMETHEUS_BIN=$(command -v prometheus)
            export PROMETHEUS_BIN
            return 0
        fi
    fi
    PROMETHEUS_BIN=$env_dir/prometheus/usr/bin/prometheus
    export PROMETHEUS_BIN
    found=$([ -x "$PROMETHEUS_BIN" ] && prometheus_version "$PROMETHEUS_BIN")
    [ -n "$found" ] && [ -x "$env_dir/prometheus/usr/bin/promtool" ] && return 0
    say "unpacking Prometheus from Debian's packages (suite forky) into tests/.env/prometheus"
    rm -rf "$env_dir/prometheus"
    debian_packages forky "$env_dir/prometheus" prometheus promtool || return 1
    found=$(prometheus_version "$PROMETHEUS_BIN")
    [ -n "$found" ] && version_at_least 3.5 "$found"
}
