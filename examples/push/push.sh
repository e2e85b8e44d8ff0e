#!/usr/bin/env bash
# Pushes what a job did, with curl: GATEWAY_URL=https://... [GATEWAY_USER=... GATEWAY_PASSWORD=...] ./push.sh
set -euo pipefail

started=$SECONDS
# The job does its work here.
metrics="# TYPE backup_size_bytes gauge
backup_size_bytes 4096
# TYPE backup_duration_seconds gauge
backup_duration_seconds $((SECONDS - started))
# TYPE backup_last_success_timestamp_seconds gauge
backup_last_success_timestamp_seconds $(date +%s)
"
header=
if [ -n "${GATEWAY_USER:-}" ]; then
    header="Authorization: Basic $(printf '%s' "$GATEWAY_USER:$GATEWAY_PASSWORD" | base64 | tr -d '\n')"
fi
# curl reads the header from its input: other users can see its arguments.
curl --fail-with-body --silent --show-error --header @- --request PUT --data-binary "$metrics" \
    "$GATEWAY_URL/metrics/job/backup/instance/db-1" <<< "$header"
