# Chromium, from PATH or from Debian's packages with all that it needs: tests/contract opens the page of the door in it. For tests/run.

need_chromium() {
    local folder=$env_dir/chromium stamp=$env_dir/stamps/chromium suite packages
    if have chromium; then
        CHROMIUM_BIN=$(command -v chromium)
        export CHROMIUM_BIN
        return 0
    fi
    CHROMIUM_BIN=$folder/run
    export CHROMIUM_BIN
    [ -e "$stamp" ] && [ -x "$CHROMIUM_BIN" ] && return 0
    # From the machine's own suite, because it has to know the machine's C library.
    suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    say "unpacking Chromium from Debian's packages (suite $suite) into tests/.env/chromium"
    rm -rf "$folder" "$stamp"
    have apt-get || return 1
    # The packages that an installation would add to this machine. Nothing is installed.
    packages=$(apt-get install --simulate --no-install-recommends chromium fonts-dejavu-core 2> /dev/null | awk '/^Inst/ { print $2 }')
    [ -n "$packages" ] || return 1
    # shellcheck disable=SC2086
    debian_packages "$suite" "$folder" $packages || return 1
    cat > "$folder/run" << 'RUN'
#!/usr/bin/env bash
here=$(cd "$(dirname "$0")" && pwd)
libraries=$(echo "$here"/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=$libraries:$libraries/pulseaudio${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export FONTCONFIG_FILE=$here/fonts.conf XDG_DATA_DIRS=$here/usr/share
exec "$here/usr/lib/chromium/chromium" "$@"
RUN
    cat > "$folder/fonts.conf" << FONTS
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>$folder/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>$folder/cache</cachedir></fontconfig>
FONTS
    chmod +x "$folder/run"
    "$folder/run" --version > /dev/null 2>&1 || return 1
    : > "$stamp"
}
