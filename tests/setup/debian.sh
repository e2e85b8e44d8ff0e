# Unpacks packages of Debian without an installation. For tests/run.

# debian_packages SUITE FOLDER PACKAGE...: unpacks packages of any Debian suite under a folder. It changes and installs nothing in the
# system. It takes the mirror and the key from this machine's own package sources.
debian_packages() {
    local suite=$1 into=$2 name mirror key apt status
    shift 2
    have apt-get && have dpkg-deb || { echo "this is no Debian" >&2; return 1; }
    mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null | awk '
        /^URIs:/ { for (i = 2; i <= NF; i++) if ($i ~ /\/debian\/?$/) { print $i; exit } }
        /^deb /  { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:.*\/debian\/?$/) { print $i; exit } }')
    [ -n "$mirror" ] || { echo "no Debian mirror in this machine's package sources" >&2; return 1; }
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$key" ] || { echo "no $key: apt-get install debian-archive-keyring" >&2; return 1; }
    apt=$(mktemp -d) || return 1
    mkdir -p "$apt"/{parts,preferences,lists/partial,cache/archives/partial,debs} "$into"
    printf 'deb [signed-by=%s] %s %s main\n' "$key" "$mirror" "$suite" > "$apt/sources.list"
    {
        # Settings with which this machine reaches its mirror (proxies and the like); an old snapshot of a mirror is allowed.
        apt-config dump | grep '^Acquire::'
        cat << CONFIG
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Sandbox::User "$(id -un)";
Dir::Etc::Main "$apt/none";
Dir::Etc::Parts "$apt/parts";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/parts";
Dir::Etc::Preferences "$apt/none";
Dir::Etc::PreferencesParts "$apt/preferences";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
CONFIG
    } > "$apt/apt.conf"
    (
        export APT_CONFIG=$apt/apt.conf
        apt-get update -qq || exit 1
        cd "$apt/debs" || exit 1
        for name in "$@"; do
            apt-get download -qq "$name" || exit 1
        done
        for name in *.deb; do
            dpkg-deb --extract "$name" "$into" || exit 1
        done
    )
    status=$?
    rm -rf "$apt"
    return $status
}
