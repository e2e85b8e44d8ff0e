"""Measures a tick of the packaged function: CPU from the pages of the table to the requests, and memory. The table is the stand-in for
DynamoDB of tests/contract, in a process of its own; the receiver accepts everything.
"""
import json

from measure import Sink, cpu_seconds, now_ms
from support.dynamodb import DynamoDb
from support.function_url import event
from support.runtime_api import Ingest

MINUTE = 60_000


class Tick:
    """A tick: its seconds of CPU, the peak memory of its process in bytes, and its report."""

    def __init__(self, seconds, peak, report):
        self.seconds, self.peak, self.report = seconds, peak, report


def counters(first, count):
    """Returns typed events of `count` series of four labels."""
    return [{"type": "counter", "name": "http_requests_total", "value": 1 + number % 7,
             "labels": {"instance": f"10.24.{number // 256 % 256}.{number % 256}:8080", "method": ("GET", "POST")[number % 2],
                        "path": f"/api/v1/orders/{number // 50}", "status": ("200", "404", "500")[number % 3]}}
            for number in range(first, first + count)]


def run_tick(ingest, time):
    before = cpu_seconds(ingest.pid)
    result = ingest.invoke({"tick": time}, timeout=120)
    assert result.ok, repr(result)
    return Tick(cpu_seconds(ingest.pid) - before, ingest.peak_memory(), result.json)


def ticks(series, updated=1_000, rounds=5):
    """Returns the tick that bears `series` counters, and `rounds` later ones. `updated` of the series have an increment in each of those.
    Each tick is of a process of its own, as after a cold start: its memory is that of one tick."""
    with Sink() as sink, DynamoDb() as dynamodb:
        table = dynamodb.table()
        settings = {"REMOTE_WRITE_URL": sink.url, "STATE_TABLE": table.name, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint}
        time = now_ms() // MINUTE * MINUTE - (rounds + 1) * MINUTE

        def journal(first, count):
            with Ingest(settings) as ingest:
                for begin in range(first, first + count, 20_000):
                    events = counters(begin, min(20_000, first + count - begin))
                    result = ingest.invoke(json.dumps(events).encode())
                    assert result.ok and result.json["typed"] == len(events), repr(result)

        journal(0, series)
        found = []
        for number in range(rounds + 1):
            if number > 0:
                journal(0, updated)
            with Ingest(settings) as ingest:
                # The first invocation of a process is its start.
                ingest.invoke([])
                found.append(run_tick(ingest, time + number * MINUTE))
            if number == 0:
                # All this takes less than two minutes: later ticks would read these events again.
                table.clear("j#0")
        return found[0], found[1:]


def tick_of_groups(groups, series=1_000):
    """Returns a tick over so many groups of so many counters."""
    with Sink() as sink, DynamoDb() as dynamodb:
        settings = {"REMOTE_WRITE_URL": sink.url, "STATE_TABLE": dynamodb.table().name, "HTTP_AUTH": "none",
                    "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.endpoint}
        time = now_ms() // MINUTE * MINUTE
        lines = [f'http_requests_total{{method="{("GET", "POST")[number % 2]}",path="/api/v1/orders/{number}",'
                 f'status="{("200", "404", "500")[number % 3]}"}} {number}\n' for number in range(series)]
        body = "".join(["# TYPE http_requests_total counter\n", *lines]).encode()
        with Ingest(settings) as ingest:
            for number in range(groups):
                path = f"/metrics/job/batch/instance/10.24.{number // 256}.{number % 256}:8080"
                answer = ingest.invoke(event("PUT", path, [], body))
                assert answer.json["statusCode"] == 202, repr(answer)
        with Ingest(settings) as ingest:
            # The first invocation of a process is its start. The groups may have been pushed after `time`.
            ingest.invoke([])
            return run_tick(ingest, time)
