# The client libraries that tests/contract/clients pushes with. For tests/run.

# need_node_client: its packages, outside of the source folder.
need_node_client() {
    local source=tests/contract/clients/node folder=$env_dir/clients/node stamp=$env_dir/stamps/client-node wanted
    node_fits || return 1
    wanted="$(node --version) $(cksum < "$source/package-lock.json")"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -d "$folder/node_modules" ] && return 0
    say "installing the packages of $source/package-lock.json into tests/.env/clients/node"
    rm -rf "$folder" "$stamp"
    mkdir -p "$folder"
    cp "$source"/package{,-lock}.json "$folder" || return 1
    (cd "$folder" && npm ci --no-fund --no-audit --loglevel=error) < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_go_client: the program, and the example that uses the same library.
need_go_client() {
    local source=tests/contract/clients/go folder=$env_dir/clients/go stamp=$env_dir/stamps/client-go wanted
    local example=$PWD/examples/push/push.go
    need_go || return 1
    wanted="$(go env GOVERSION) $(cat "$source"/{main.go,go.mod,go.sum} "$example" | cksum)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/push" ] && return 0
    say "building $source into tests/.env/clients/go"
    rm -f "$stamp"
    mkdir -p "$folder"
    (cd "$source" && go build -trimpath -o "$folder/push" . && go build -trimpath -o "$folder/example" "$example") < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_debian_clients: libraries for Ruby, Perl and C++, of the machine's own suite, and the C++ program.
need_debian_clients() {
    local folder=$env_dir/clients/debian stamp=$env_dir/stamps/client-debian source=tests/contract/clients/push.cc suite wanted libraries
    suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    wanted="$suite $(cat "$source" tests/setup/clients.sh | cksum)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/push" ] && return 0
    say "unpacking client libraries for Ruby, Perl and C++ from Debian's packages (suite $suite) into tests/.env/clients/debian"
    rm -rf "$folder" "$stamp"
    debian_packages "$suite" "$folder" ruby3.1 libruby3.1 ruby-rubygems ruby-prometheus-client-mmap libyaml-0-2 libgmp10 \
        libnet-prometheus-perl libprometheus-tiny-perl libref-util-perl libstruct-dumb-perl liburi-perl \
        prometheus-cpp-dev libprometheus-cpp-core1.0 libprometheus-cpp-push1.0 libcurl4 || return 1
    libraries=$folder/usr/lib/$(c++ -print-multiarch)
    # curl has more libraries below it, and every Debian with curl has them.
    c++ -I "$folder/usr/include" "$source" -L "$libraries" -Wl,-rpath,"$libraries" -Wl,--allow-shlib-undefined \
        -lprometheus-cpp-push -lprometheus-cpp-core -o "$folder/push" || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_java_client: the jars of pom.xml, and the program for both libraries.
need_java_client() {
    local source=tests/contract/clients/java folder=$env_dir/clients/java stamp=$env_dir/stamps/client-java wanted
    have javac && have mvn || return 1
    wanted="$(javac -version 2>&1) $(cat "$source"/{pom.xml,Push.java} | cksum)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -d "$folder/classes" ] && return 0
    say "building $source into tests/.env/clients/java"
    rm -rf "$folder" "$stamp"
    mvn -q -B -Dstyle.color=never -f "$source/pom.xml" dependency:copy-dependencies -DoutputDirectory="$folder/jars" < /dev/null || return 1
    javac -cp "$folder/jars/*" -d "$folder/classes" "$source/Push.java" || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_otlp_clients: the OpenTelemetry SDKs for Node.js, Go and Java, a program for each, and the examples in Go and Java.
need_otlp_clients() {
    local source=tests/contract/clients/otlp folder=$env_dir/clients/otlp stamp=$env_dir/stamps/clients-otlp wanted
    local examples=$PWD/examples/otlp
    need_go && node_fits && have javac && have mvn || return 1
    wanted="$(node --version) $(go env GOVERSION) $(javac -version 2>&1) $(cat "$source"/{node/package-lock.json,go/*,java/*} "$examples"/{metrics.go,Metrics.java} | cksum)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -d "$folder/java/classes" ] && return 0
    say "building $source into tests/.env/clients/otlp"
    rm -rf "$folder" "$stamp"
    mkdir -p "$folder"/{node,go}
    cp "$source"/node/package{,-lock}.json "$folder/node" || return 1
    (cd "$folder/node" && npm ci --no-fund --no-audit --loglevel=error) < /dev/null || return 1
    (cd "$source/go" && go build -trimpath -o "$folder/go/push" . && go build -trimpath -o "$folder/go/example" "$examples/metrics.go") < /dev/null || return 1
    mvn -q -B -Dstyle.color=never -f "$source/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$folder/java/jars" < /dev/null || return 1
    javac -cp "$folder/java/jars/*" -d "$folder/java/classes" "$source/java/Push.java" "$examples/Metrics.java" || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_rust_client: the program for both libraries, and those for OpenTelemetry's SDK; three minutes of CPU.
need_rust_client() {
    local source=tests/contract/clients/rust folder=$env_dir/clients/rust
    say "building $source into tests/.env/clients/rust"
    cargo build --quiet --locked --manifest-path "$source/Cargo.toml" --target-dir "$folder" < /dev/null || return 1
    source=tests/contract/clients/otlp/rust folder=$env_dir/clients/otlp/rust
    say "building $source into tests/.env/clients/otlp/rust"
    cargo build --quiet --locked --manifest-path "$source/Cargo.toml" --target-dir "$folder" < /dev/null
}
