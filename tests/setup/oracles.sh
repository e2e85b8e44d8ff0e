# The programs of Prometheus that tests/exposition and tests/otlp.rs compare with. For tests/run.

# need_textparse: builds the oracle, and collects the bodies of the tests of Prometheus, of OpenMetrics and of the client library for
# Python.
need_textparse() {
    local source=tests/contract/oracles/textparse folder=$env_dir/oracles stamp=$env_dir/stamps/textparse wanted prometheus common
    local vectors=tests/contract/oracles/vectors openmetrics python
    need_go || return 1
    wanted=$(cat "$source"/{main.go,go.mod,go.sum} "$vectors"/* tests/setup/oracles.sh | cksum)
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/textparse" ] && return 0
    say "building the parser of Prometheus into tests/.env/oracles"
    mkdir -p "$folder"
    (cd "$source" && go build -trimpath -o "$folder/textparse" .) < /dev/null || return 1
    prometheus=$(cd "$source" && go list -m -f '{{.Dir}}' github.com/prometheus/prometheus) || return 1
    common=$(cd "$source" && go list -m -f '{{.Dir}}' github.com/prometheus/common) || return 1
    "$folder/textparse" texts "$prometheus"/model/textparse/{promparse,openmetricsparse}_test.go \
        "$prometheus"/model/textparse/testdata/*.txt "$common"/expfmt/{text_parse,text_create,openmetrics_create}_test.go \
        "$common"/expfmt/fuzz/corpus/* "$common"/expfmt/testdata/text > "$folder/bodies.jsonl" || return 1
    "$folder/textparse" families "$prometheus/model/textparse/protobufparse_test.go" "$common/expfmt/testdata/protobuf" > "$folder/families.jsonl" || return 1
    (cd "$vectors" && go mod download) < /dev/null || return 1
    openmetrics=$(cd "$vectors" && go list -m -f '{{.Dir}}' github.com/prometheus/OpenMetrics) || return 1
    python3 "$vectors/collect.py" openmetrics "$openmetrics/tests/testdata/parsers" > "$folder/openmetrics.jsonl" || return 1
    python=$(mktemp -d) || return 1
    "$venv/bin/python" -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --no-binary :all: --dest "$python" \
        --requirement "$vectors/client_python.txt" && tar -xzf "$python"/*.tar.gz -C "$python" \
        && python3 "$vectors/collect.py" literals "$python"/prometheus_client-*/tests/test_parser.py > "$folder/client_python.jsonl"
    [ -s "$folder/client_python.jsonl" ] && rm -rf "$python" || return 1
    cp -f "$prometheus/model/textparse/testdata/alltypes.237mfs.prom.txt" "$folder/alltypes.txt" || return 1
    printf '%s' "$wanted" > "$stamp"
}

# need_otlp_oracle: builds the translator of OTLP; 40 s of CPU.
need_otlp_oracle() {
    local source=tests/contract/oracles/otlp folder=$env_dir/oracles stamp=$env_dir/stamps/otlp wanted
    need_go || return 1
    wanted=$(cat "$source"/{main.go,go.mod,go.sum} | cksum)
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/otlp" ] && return 0
    say "building the translator of Prometheus into tests/.env/oracles"
    mkdir -p "$folder"
    (cd "$source" && go build -trimpath -o "$folder/otlp" .) < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}
