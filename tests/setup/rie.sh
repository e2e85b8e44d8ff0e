# AWS's own emulator of Lambda, the Runtime Interface Emulator: tests/contract runs the extension in it. For tests/run.

# need_rie: builds it from its Go module; half a minute of CPU.
need_rie() {
    local folder=$env_dir/rie stamp=$env_dir/stamps/rie
    local wanted=github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie@v0.0.0-20261030222936-bef5c4ba774d
    need_go || return 1
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$folder/aws-lambda-rie" ] && return 0
    say "building AWS's emulator of Lambda into tests/.env/rie"
    rm -f "$stamp"
    mkdir -p "$folder"
    GOBIN=$folder go install -trimpath -ldflags='-s -w' "$wanted" < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}
