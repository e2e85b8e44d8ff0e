#!/usr/bin/env python3
"""Moves the metrics of prom-stream-gateway from its Redis list to the gateway's SQS queue. Each counts exactly once.

    pip install boto3 redis
    python examples/redis/bridge.py --queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/amp-push-events

Region, credentials and AWS_ENDPOINT_URL_SQS come from the environment, as with every AWS SDK. README.md beside this file says how it works.

The invariants, whenever the program is killed:

- A metric is in the list of the producers, in the list of this bridge, or on the queue. LMOVE takes it from the first to the second in one
  step. The second is deleted only after SQS has accepted all of it, and only if it has not changed since it was read.
- The `id` of a metric is the id of its batch, which Redis keeps, and its position in the list of the bridge. Neither changes until the
  list is deleted. So a metric that is sent again has the same `id`, and the gateway counts it once.
- Its `timestamp` is the time of the first attempt to send the batch. The gateway forgets an `id` after an hour, but dead-letters as
  `too_old` what comes later than that.
"""

import argparse
import itertools
import json
import os
import random
import socket
import sys
import time
import uuid

import boto3
import redis

# The most metrics of a batch. A killed bridge sends at most so many again.
BATCH = 1_000
# SQS takes 1 MiB and bills each 64 KiB as a request.
MESSAGE_BYTES = 60_000
LARGEST_BYTES = 1_000_000
# The key of prom-stream-gateway's setting Redis.MetricQueueKey.
LIST = "prom-stream-gateway:metric-queue"
WAIT_S = 1


class Bridge:
    """One bridge. `name` must be the same after a restart, because it names the bridge's own list."""

    def __init__(self, server, sqs, queue_url, source, name):
        self._redis, self._sqs, self._queue_url, self._source = server, sqs, queue_url, source
        # The braces keep all keys in one slot of a Redis cluster.
        self._taken = f"{{{source}}}:bridge:{name}"
        self._batch = f"{self._taken}:batch"

    def step(self):
        """Moves a batch. Returns how many metrics it sent; None if the producers' list stayed empty for a second."""
        waiting = self._redis.llen(self._taken)
        # Producers LPUSH, so the oldest metric is at the right.
        if waiting == 0 and self._redis.blmove(self._source, self._taken, WAIT_S, "RIGHT", "RIGHT") is None:
            return None
        with self._redis.pipeline(transaction=False) as pipeline:
            for _ in range(BATCH - max(waiting, 1)):
                pipeline.lmove(self._source, self._taken, "RIGHT", "RIGHT")
            pipeline.hsetnx(self._batch, "id", uuid.uuid4().hex)
            pipeline.hsetnx(self._batch, "sent_ms", time.time_ns() // 1_000_000)
            pipeline.execute()
        with self._redis.pipeline() as pipeline:
            pipeline.watch(self._taken, self._batch)
            metrics, batch = pipeline.lrange(self._taken, 0, -1), pipeline.hgetall(self._batch)
            if not metrics or not batch:
                return 0  # another bridge has this name, and was faster
            too_large = [metric for metric in metrics if len(metric) > LARGEST_BYTES]
            for body in messages(metrics, batch[b"id"].decode(), int(batch[b"sent_ms"])):
                self._send(body)
            pipeline.multi()
            if too_large:
                print(f"{len(too_large)} metrics are too large for SQS: see {self._taken}:too_large", file=sys.stderr, flush=True)
                pipeline.rpush(f"{self._taken}:too_large", *too_large)
            pipeline.delete(self._taken, self._batch)
            try:
                pipeline.execute()
            except redis.WatchError:
                return 0  # another bridge has this name: the next step sends the list again, with the same ids
        return len(metrics)

    def _send(self, body):
        """Sends until SQS accepts it."""
        for attempt in itertools.count():
            try:
                self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)
                return
            except Exception as error:  # the network, a throttle, credentials that expired: all may work later
                print(f"not sent, will try again: {error}", file=sys.stderr, flush=True)
                time.sleep(random.uniform(0, min(10, 0.1 * 2**min(attempt, 10))))


def messages(metrics, batch, sent_ms):
    """Yields message bodies: arrays of metrics, each with `id` and `timestamp`. An element that is no JSON object is wrapped in a message of
    its own. The gateway dead-letters that as `invalid_event`, and nothing else with it."""
    array, size = [], 2
    for position, text in enumerate(metrics):
        if len(text) > LARGEST_BYTES:
            continue
        try:
            metric = json.loads(text)
        except ValueError:
            metric = None
        if not isinstance(metric, dict):
            yield json.dumps({"not_a_metric": text.decode(errors="replace")[:100_000]})
            continue
        # A producer's own id and time win.
        metric = {"id": f"{batch}:{position}", "timestamp": sent_ms, **metric}
        one = json.dumps(metric, separators=(",", ":"))
        if array and size + len(one) > MESSAGE_BYTES:
            yield f"[{','.join(array)}]"
            array, size = [], 2
        array.append(one)
        size += len(one) + 1
    if array:
        yield f"[{','.join(array)}]"


def main():
    parser = argparse.ArgumentParser(description="moves metrics from prom-stream-gateway's Redis list to the gateway's SQS queue")
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0", help="URL of the server and database (default: %(default)s)")
    parser.add_argument("--list", default=LIST, help="key of the producers' list (default: %(default)s)")
    parser.add_argument("--name", default=socket.gethostname(), help="name of this bridge, the same after a restart (default: the host's)")
    parser.add_argument("--until-empty", action="store_true", help="end when the list is empty")
    arguments = parser.parse_args()

    # boto3 reads AWS_DEFAULT_REGION and profiles, but not AWS_REGION, the variable of the other SDKs.
    sqs = boto3.client("sqs", region_name=os.environ.get("AWS_REGION"))
    bridge = Bridge(redis.Redis.from_url(arguments.redis), sqs, arguments.queue_url, arguments.list, arguments.name)
    moved = 0
    while True:
        count = bridge.step()
        if count is None and arguments.until_empty:
            print(f"{moved} metrics sent")
            return
        moved += count or 0


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
