# qemu's user-mode emulator and a C library, from Debian's packages: they run the arm64 function here. For tests/run.

need_qemu() {
    local folder=$env_dir/qemu stamp=$env_dir/stamps/qemu
    [ -e "$stamp" ] && [ -x "$folder/usr/bin/qemu-aarch64-static" ] && return 0
    say "unpacking qemu's emulator of arm64 from Debian's packages (suite bookworm) into tests/.env/qemu"
    rm -rf "$folder" "$stamp"
    debian_packages bookworm "$folder" qemu-user-static libc6-arm64-cross || return 1
    # The package has an emulator for each of thirty processors, some 300 MB in all.
    find "$folder/usr/bin" -type f ! -name qemu-aarch64-static -delete
    : > "$stamp"
}
