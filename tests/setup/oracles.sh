# The programs of Prometheus that tests/exposition.rs and tests/otlp.rs compare with. For tests/run.

# need_textparse: builds the oracle, and collects the bodies that the tests of Prometheus and of its text format parse.
need_textparse() {
    local source=tests/contract/oracles/textparse folder=$env_dir/oracles stamp=$env_dir/stamps/textparse wanted prometheus common
    need_go || return 1
    wanted=$(cat "$source"/{main.go,go.mod,go.sum} tests/setup/oracles.sh | cksum)
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/textparse" ] && return 0
    say "building the parser of Prometheus into tests/.env/oracles"
    mkdir -p "$folder"
    (cd "$source" && go build -trimpath -o "$folder/textparse" .) < /dev/null || return 1
    prometheus=$(cd "$source" && go list -m -f '{{.Dir}}' github.com/prometheus/prometheus) || return 1
    common=$(cd "$source" && go list -m -f '{{.Dir}}' github.com/prometheus/common) || return 1
    "$folder/textparse" texts "$prometheus"/model/textparse/{promparse,openmetricsparse}_test.go \
        "$prometheus"/model/textparse/testdata/*.txt "$common"/expfmt/{text_parse,text_create,openmetrics_create}_test.go \
        "$common"/expfmt/fuzz/corpus/* "$common"/expfmt/testdata/text > "$folder/bodies.jsonl" || return 1
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
