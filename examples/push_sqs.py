#!/usr/bin/env python3
"""Puts metrics on the gateway's SQS queue.

    pip install boto3
    python examples/push_sqs.py --queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/amp-push-events

Region, credentials and AWS_ENDPOINT_URL_SQS come from the environment, as with every AWS SDK.
"""

import argparse
import json
import os
import random
import sys
import time

import boto3

# SQS accepts ten messages a call, and 1 MiB in all. A message may be one event or a JSON array of events. Arrays of small
# events cost less, but if the gateway rejects one event, it dead-letters the whole message.
BATCH = 10
ATTEMPTS = 5


def readings(count):
    """Yields events as a small fleet of water sensors would send them."""
    for number in range(count):
        yield {
            # Each combination of dimensions is a time series of its own: use few values, and no request ids.
            "dimensions": {"customerId": f"customer{number % 3 + 1}", "deviceId": f"tank-{number + 1}"},
            # Milliseconds. An event without a timestamp gets the time at which SQS received the message.
            "timestamp": time.time_ns() // 1_000_000,
            "metrics": {"temperature": round(random.uniform(12, 16), 1), "ph": round(random.uniform(6.5, 7.5), 1)},
        }


def push(sqs, queue_url, events):
    """Sends all events. Returns how many SQS accepted, and the other events, each with the reason."""
    events = list(events)
    sent, failed = 0, []
    for start in range(0, len(events), BATCH):
        waiting = {str(start + i): event for i, event in enumerate(events[start : start + BATCH])}
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, 0.1 * 2**attempt))
            entries = [{"Id": id, "MessageBody": json.dumps(event)} for id, event in waiting.items()]
            # The call succeeds although single entries fail, so boto3's own retry does not see them.
            answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
            for entry in answer.get("Successful", []):
                del waiting[entry["Id"]]
                sent += 1
            failures = {entry["Id"]: entry for entry in answer.get("Failed", [])}
            # SenderFault: the entry itself is wrong, so another attempt would fail too.
            for id in [id for id, entry in failures.items() if entry["SenderFault"]]:
                failed.append((waiting.pop(id), failures[id].get("Message") or failures[id]["Code"]))
            if not waiting:
                break
        failed += [(event, f"not accepted after {ATTEMPTS} attempts") for event in waiting.values()]
    return sent, failed


def main():
    parser = argparse.ArgumentParser(description="puts sample readings on the gateway's SQS queue")
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--count", type=int, default=25, help="number of events (default: 25)")
    arguments = parser.parse_args()

    # boto3 reads AWS_DEFAULT_REGION and profiles, but not AWS_REGION, the variable of the other SDKs.
    sqs = boto3.client("sqs", region_name=os.environ.get("AWS_REGION"))
    sent, failed = push(sqs, arguments.queue_url, readings(arguments.count))
    print(f"{sent} events sent")
    for event, reason in failed:
        print(f"not sent: {reason}: {json.dumps(event)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
