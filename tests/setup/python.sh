# Python packages: a virtual environment for each list. For tests/run.

# need_python NAME REQUIREMENTS: installs them into tests/.env/NAME, and again if the list or Python changed.
need_python() {
    local folder=$env_dir/$1 requirements=$2 stamp=$env_dir/stamps/$1 wanted
    wanted="$(python3 --version) $(cksum < "$requirements")"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/bin/python" ] && return 0
    say "installing the Python packages of $requirements into tests/.env/$1"
    rm -rf "$folder" "$stamp"
    python3 -m venv "$folder" || return 1
    # The lists are complete, and have the hash of each file: nothing else can be installed.
    # Python compiles what is imported; to compile all of it takes longer than to unpack it.
    "$folder/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes --no-deps --requirement "$requirements" || return 1
    printf '%s' "$wanted" > "$stamp"
}
