"""Pushes with prometheus_client. README.md has the arguments."""
import functools
import os
import sys

import prometheus_client as client
from prometheus_client import exposition

verb, url, job, orders, *pairs = sys.argv[1:]
group = dict(pair.split("=", 1) for pair in pairs)
options = {}
if user := os.environ.get("PUSH_USER"):
    options["handler"] = functools.partial(exposition.basic_auth_handler, username=user, password=os.environ["PUSH_PASSWORD"])
if verb == "delete":
    client.delete_from_gateway(url, job, group, **options)
    sys.exit()

registry = client.CollectorRegistry()
client.Counter("client_orders", "Orders taken.", ["kind"], registry=registry).labels("new").inc(float(orders))
client.Gauge("client_temperature_celsius", "Where the clients are.", registry=registry).set(-12.5)
latency = client.Histogram("client_latency_seconds", "Time to an answer.", buckets=[0.1, 1, 5], registry=registry)
for seconds in 0.0625, 0.5, 0.5, 7:
    latency.observe(seconds)
size = client.Summary("client_size_bytes", "Size of an order.", registry=registry)
for size_bytes in 10, 20, 30:
    size.observe(size_bytes)
push = {"push": client.push_to_gateway, "pushadd": client.pushadd_to_gateway}[verb]
push(url, job, registry, group, compression=os.environ.get("PUSH_COMPRESSION"), **options)
