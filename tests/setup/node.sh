# Node.js and the packages of the CDK construct. For tests/run.

# node_fits: true if Node.js is as package.json of infra/cdk requires.
node_fits() { have node && have npm && version_at_least v20.16 "$(node --version 2> /dev/null)"; }

need_node() {
    local stamp=$env_dir/stamps/cdk wanted
    if ! node_fits; then
        need_python node tests/setup/node.txt || return 1
        PATH=$env_dir/node/bin:$PATH
        node_fits || return 1
    fi
    wanted="$(node --version) $(cksum < infra/cdk/package-lock.json)"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && [ -d infra/cdk/node_modules ] && return 0
    say "installing the packages of infra/cdk/package-lock.json into infra/cdk/node_modules"
    rm -f "$stamp"
    (cd infra/cdk && npm ci --no-fund --no-audit --loglevel=error) < /dev/null || return 1
    printf '%s' "$wanted" > "$stamp"
}
