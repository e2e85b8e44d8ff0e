# Redis 6.2 or later, from PATH or from Debian's packages: the bridge of examples/redis takes metrics from it. For tests/run.

need_redis() {
    local folder=$env_dir/redis stamp=$env_dir/stamps/redis suite
    have redis-server && return 0
    [ -e "$stamp" ] && [ -x "$folder/usr/bin/redis-server" ] && return 0
    # From the machine's own suite, because it has to know the machine's C library.
    suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    say "unpacking Redis from Debian's packages (suite $suite) into tests/.env/redis"
    rm -rf "$folder" "$stamp"
    debian_packages "$suite" "$folder" redis-tools libhiredis0.14 libjemalloc2 liblua5.1-0 liblzf1 lua-bitop lua-cjson redis-server || return 1
    : > "$stamp"
}
