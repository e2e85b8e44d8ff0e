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

# SQS takes ten messages a call, and 1 MiB in all. Small readings are cheaper to send as arrays: a message may hold
# one event or a JSON array of events, but it is put aside as a whole if one of them is refused.
BATCH = 10
ATTEMPTS = 5


def readings(count):
    """Events as a small fleet of water sensors would send them."""
    for number in range(count):
        yield {
            # Each combination of dimensions is a time series of its own: keep the values few. No request ids here.
            "dimensions": {"customerId": f"customer{number % 3 + 1}", "deviceId": f"tank-{number + 1}"},
            # Milliseconds. Without a timestamp the time at which SQS received the message counts.
            "timestamp": time.time_ns() // 1_000_000,
            "metrics": {"temperature": round(random.uniform(12, 16), 1), "ph": round(random.uniform(6.5, 7.5), 1)},
        }


def push(sqs, queue_url, events):
    """Sends all events; returns how many SQS took, and the ones that it did not take, each with the reason."""
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
            refused = {entry["Id"]: entry for entry in answer.get("Failed", [])}
            # SenderFault: the entry itself is wrong, and sending it again cannot help.
            for id in [id for id, entry in refused.items() if entry["SenderFault"]]:
                failed.append((waiting.pop(id), refused[id].get("Message") or refused[id]["Code"]))
            if not waiting:
                break
        failed += [(event, f"not taken after {ATTEMPTS} attempts") for event in waiting.values()]
    return sent, failed


def main():
    parser = argparse.ArgumentParser(description="puts sample readings on the gateway's SQS queue")
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--count", type=int, default=25, help="number of events (default: 25)")
    arguments = parser.parse_args()

    # boto3 itself knows AWS_DEFAULT_REGION and profiles, but not AWS_REGION, the variable of the other SDKs.
    sqs = boto3.client("sqs", region_name=os.environ.get("AWS_REGION"))
    sent, failed = push(sqs, arguments.queue_url, readings(arguments.count))
    print(f"{sent} events sent")
    for event, reason in failed:
        print(f"not sent: {reason}: {json.dumps(event)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
