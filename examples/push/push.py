#!/usr/bin/env python3
"""Pushes what a job did, with prometheus_client: GATEWAY_URL=https://... [GATEWAY_USER=... GATEWAY_PASSWORD=...] ./push.py"""
import functools
import os
import time

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway
from prometheus_client.exposition import basic_auth_handler, default_handler

registry = CollectorRegistry()
started = time.monotonic()
# The job does its work here.
Gauge("backup_size_bytes", "Size of the backup.", registry=registry).set(4096)
Gauge("backup_duration_seconds", "Duration of the backup.", registry=registry).set(time.monotonic() - started)
Gauge("backup_last_success_timestamp_seconds", "When the backup succeeded.", registry=registry).set_to_current_time()

user = os.environ.get("GATEWAY_USER")
handler = functools.partial(basic_auth_handler, username=user, password=os.environ["GATEWAY_PASSWORD"]) if user else default_handler
push_to_gateway(os.environ["GATEWAY_URL"], "backup", registry, {"instance": "db-1"}, handler=handler)
