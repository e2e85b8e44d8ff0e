#!/usr/bin/env python3
"""An extension in Python that `tests/speed/extension` measures ours against. It is not AWS's sample, which is not on a package registry.

It has the sample's parts: boto3 for the secret, `requests` for the APIs, and the HTTP server of the standard library. It has the sample's order of
work, too. After DISPATCH_MIN_BATCH_SIZE records prometheus_client pushes all metrics in the path of the invocation.
"""
import json
import os
import queue
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import requests
from prometheus_client import CollectorRegistry, Counter, Summary, delete_from_gateway, push_to_gateway
from prometheus_client.exposition import basic_auth_handler

FUNCTION, INSTANCE = os.environ["AWS_LAMBDA_FUNCTION_NAME"], str(uuid.uuid4())
GATEWAY, BATCH = os.environ["GATEWAY"], int(os.environ.get("DISPATCH_MIN_BATCH_SIZE", "5"))
API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}"
SECRET = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["AUTH_SECRET"])["SecretString"])

registry = CollectorRegistry()
labels = ["request_id", "instance", "function"]
summaries = {name: Summary(name, name, labels, registry=registry)
             for name in ("durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs")}
total, counters, records = Counter("events", "records", registry=registry), {}, queue.Queue()


class Listener(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        for record in json.loads(body):
            records.put(record)

    def log_message(self, *_):
        pass


def credentials(url, method, timeout, headers, data):
    return basic_auth_handler(url, method, timeout, headers, data, SECRET["username"], SECRET["password"])


def dispatch(everything):
    if records.empty() or not everything and records.qsize() < BATCH:
        return
    while not records.empty():
        record = records.get()
        kind = record["type"].replace(".", "_")
        if kind not in counters:
            counters[kind] = Counter(kind, kind, ["instance", "function"], registry=registry).labels(INSTANCE, FUNCTION)
        total.inc()
        counters[kind].inc()
        if kind == "platform_report":
            for name, summary in summaries.items():
                if name in record["record"]["metrics"]:
                    summary.labels(record["record"]["requestId"], INSTANCE, FUNCTION).observe(record["record"]["metrics"][name])
    push_to_gateway(GATEWAY, job=FUNCTION, registry=registry, grouping_key={"id": INSTANCE}, handler=credentials)


def main():
    answer = requests.post(f"{API}/2020-01-01/extension/register", json={"events": ["INVOKE", "SHUTDOWN"]},
                           headers={"Lambda-Extension-Name": os.path.basename(__file__)})
    identity = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
    server = HTTPServer(("0.0.0.0", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    requests.put(f"{API}/2022-07-01/telemetry", headers=identity, json={
        "schemaVersion": "2022-07-01", "types": ["platform"], "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 100},
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{server.server_port}"}})
    while True:
        event = requests.get(f"{API}/2020-01-01/extension/event/next", headers=identity).json()
        records.put({"type": event["eventType"]})
        if event["eventType"] == "SHUTDOWN":
            dispatch(True)
            delete_from_gateway(GATEWAY, job=FUNCTION, grouping_key={"id": INSTANCE}, handler=credentials)
            sys.exit(0)
        dispatch(False)


main()
