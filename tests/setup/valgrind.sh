# valgrind, from PATH or from Debian's packages: tests/speed counts instructions with it. For tests/run.

need_valgrind() {
    local folder=$env_dir/valgrind stamp=$env_dir/stamps/valgrind suite
    have valgrind && return 0
    [ -e "$stamp" ] && return 0
    # From the machine's own suite, because valgrind has to know the machine's C library.
    suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    say "unpacking valgrind from Debian's packages (suite $suite) into tests/.env/valgrind"
    rm -rf "$folder" "$stamp"
    debian_packages "$suite" "$folder" valgrind || return 1
    : > "$stamp"
}
