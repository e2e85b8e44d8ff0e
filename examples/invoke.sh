#!/bin/sh
# Sends events to the function with the AWS CLI and prints the answer: the report, or the error with exit code 1.
#
#   examples/invoke.sh amp-push-gateway examples/events/event.json
#   some-script | examples/invoke.sh amp-push-gateway
#   examples/invoke.sh --endpoint-url http://127.0.0.1:9001 amp-push-gateway examples/events/event.json   (pushgw serve)
#
# Works with version 1 and 2 of the CLI. The endpoint may also come from AWS_ENDPOINT_URL_LAMBDA. The CLI always needs a region
# and credentials; `pushgw serve` accepts any.
set -eu

usage() {
    echo "usage: $0 [--endpoint-url URL] FUNCTION [FILE|-]" >&2
    exit 2
}

# The CLI itself reads AWS_ENDPOINT_URL_LAMBDA only since 1.29 and 2.13; Debian's is older.
endpoint=${AWS_ENDPOINT_URL_LAMBDA:-}
if [ "${1:-}" = --endpoint-url ]; then
    [ $# -ge 2 ] || usage
    endpoint=$2
    shift 2
fi
# Version 1 of the CLI does not read AWS_REGION, the variable of the SDKs.
[ -z "${AWS_REGION:-}" ] || export AWS_DEFAULT_REGION="$AWS_REGION"
[ $# -eq 1 ] || [ $# -eq 2 ] || usage
function=$1
events=${2:--}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

if [ "$events" = - ]; then
    cat > "$work/payload"
else
    [ -r "$events" ] || { echo "$0: cannot read $events" >&2; exit 2; }
    cat "$events" > "$work/payload"
fi

set -- lambda invoke --function-name "$function"
[ -z "$endpoint" ] || set -- "$@" --endpoint-url "$endpoint"

# Every version of the CLI sends the unchanged bytes of fileb://. Version 2 would decode file:// as base64, unless
# --cli-binary-format is set, which version 1 does not have.
# If the gateway rejects an event, the call itself succeeds: Lambda answers 200 and sets FunctionError.
error=$(AWS_PAGER='' aws "$@" --payload "fileb://$work/payload" \
    --query FunctionError --output text "$work/answer")

case $error in
    None | '')
        cat "$work/answer"
        echo
        ;;
    *)
        # {"errorType": "invalid_value", "errorMessage": "metrics.ph: \"abc\" is not a number"}
        echo "$0: $function answered with an error ($error):" >&2
        cat "$work/answer" >&2
        echo >&2
        exit 1
        ;;
esac
