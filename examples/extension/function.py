"""A Lambda function in Python that gives its own metrics to the extension in the same environment. It needs no package.

A line of StatsD is one datagram: it costs microseconds, and nobody waits for an answer. `POST /events` takes typed metrics with all
their keys, and answers with a report. Other clients of StatsD and DogStatsD work as well.
"""
import json
import os
import socket
import time
import urllib.request

STATSD = "127.0.0.1", int(os.environ.get("STATSD_PORT", "8125"))
EVENTS = f"http://127.0.0.1:{os.environ.get('EVENTS_PORT', '9091')}/events"

statsd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def handler(event, context):
    begun = time.monotonic()
    orders = event["orders"]
    statsd.sendto(f"orders:{len(orders)}|c|#shop:north".encode(), STATSD)
    for order in orders:
        statsd.sendto(f"order.value:{order}|h|#shop:north".encode(), STATSD)
    milliseconds = (time.monotonic() - begun) * 1000
    statsd.sendto(f"order.took:{milliseconds:.3f}|ms".encode(), STATSD)
    report = post([
        {"type": "counter", "name": "order_batches_total", "value": 1, "help": "Batches of orders.", "labels": {"shop": "north"}},
        {"type": "gauge", "name": "last_order_value", "value": orders[-1]},
    ])
    return {"accepted": report["accepted"]}


def post(metrics):
    request = urllib.request.Request(EVENTS, json.dumps(metrics).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=1) as answer:
        return json.load(answer)
