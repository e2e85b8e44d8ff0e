"""Calculates what the state costs, and what other ways to add up and keep metrics cost.

`cost.py` prints and writes the table. Prices, measured figures and assumptions stand here and on the page infra/scale-and-cost.md, which
says where they come from.
"""
import math

import cost

# --- prices: USD, us-east-1, without the free tiers -------------------------------------------------------------------------
TABLE_WRITE = 0.625e-6  # a unit of 1 KB
TABLE_READ = 0.125e-6  # a unit of 4 KB, strongly consistent
TABLE_GB_MONTH = 0.25 + 0.20  # and its point-in-time recovery
SCHEDULER_INVOCATION = 1.00e-6
EKS_CLUSTER_HOUR = 0.10
NODE_HOUR = {"t3.medium": 0.0416, "t3.large": 0.0832}
DISK_GB_MONTH = 0.08
FARGATE_VCPU_HOUR, FARGATE_GB_HOUR = 0.04048, 0.004445
REDIS_NODE_HOUR = 0.032  # cache.t4g.small
HOURS = cost.MINUTES / 60

# --- measured with synthetic series of seven labels, compressed with snappy, November 2026 ---------------------------------------
JOURNAL_ITEM_BYTES = 300
JOURNAL_EVENT_BYTES = 20  # its identity, which no compression shortens, its time and its value
JOURNAL_SERIES_BYTES = 17  # a series in the dictionary of an item
SERIES_BYTES = 22  # a counter in the state: 13 for its labels, 9 for its value
IDENTITY_BYTES = 16
TICK_CPU_MS = 5
TICK_CPU_MS_OF_A_SERIES = 150 / 100_000  # the design's limit, from pages to requests

# --- assumed, not measured ---------------------------------------------------------------------------------------------------
TABLE_PAGE_MS = 10  # a page of 1 MB, or a small item
PAGE_BYTES = 1_000_000
AMP_BYTES_OF_A_SAMPLE = 12
TICK_LINE_BYTES = 1_000
REDIS_METRICS_OF_A_VCPU = 10_000

# --- the design ------------------------------------------------------------------------------------------------------------------
SHARD_SERIES, SHARD_EVENTS, SHARD_JOURNAL_BYTES = 100_000, 500_000, 24 << 20  # series; events and bytes of journal that a tick reads
TICK_SECONDS = 50
READ_AGAIN_MINUTES = 2  # the journal is read from before the last tick
REMEMBERED_MINUTES = 80  # MAX_SAMPLE_AGE and 20 minutes
KEPT_DAYS = 14  # journal and identities
BASE_MINUTES = 60  # the longest time until all series are written again
ITEMS_OF_A_TICK = 5  # head, sent, and what is read or written beside the blobs
STATE_ALARMS = 6  # [test]
TICK_METRICS = 3  # [test] of the tick, besides those of the function
TICK_MEMORY_MB = 256  # [test]
BATCH = 1_000


class State:
    """A steady stream of increments, evenly over the series."""

    def __init__(self, events_a_second, series, of_a_message=1):
        self.events, self.series, self.of_a_message = events_a_second, series, of_a_message
        self.load = cost.Load(events_a_second, BATCH, of_a_message)
        self.journal_bytes = self.item_bytes()
        self.changed = self.distinct(events_a_second * 60)
        self.shards = math.ceil(max(series / SHARD_SERIES, events_a_second * 60 / SHARD_EVENTS,
                                    self.load.invocations * 60 * self.journal_bytes / SHARD_JOURNAL_BYTES))
        # A tick writes the changed series. When such deltas have half the size of all series, or after an hour, it writes all.
        self.base_minutes = max(1, min(BASE_MINUTES, int(series / 2 / self.changed)))

    def item_bytes(self):
        """Returns the size of the journal item of a batch."""
        events = self.load.batch * self.of_a_message
        return JOURNAL_ITEM_BYTES + events * JOURNAL_EVENT_BYTES + self.distinct(events) * JOURNAL_SERIES_BYTES

    def distinct(self, events):
        """Returns how many series so many random events change."""
        return self.series * (1 - (1 - 1 / self.series) ** events)

    def writes(self):
        """Returns the units written in a month."""
        journal = self.load.invocations * 60 * math.ceil(self.journal_bytes / 1_024)
        every, delta = self.series * SERIES_BYTES / 1_024, self.changed * SERIES_BYTES / 1_024
        blobs = every if self.base_minutes == 1 else delta + every / self.base_minutes
        identities = self.events * 60 * IDENTITY_BYTES / 1_024
        return (journal + math.ceil(blobs) + math.ceil(identities) + ITEMS_OF_A_TICK * self.shards) * cost.MINUTES

    def read_bytes(self):
        """Returns the bytes that a tick reads."""
        journal = self.load.invocations * 60 * (1 + READ_AGAIN_MINUTES) * self.journal_bytes
        identities = self.events * 60 * REMEMBERED_MINUTES * IDENTITY_BYTES
        deltas = 0 if self.base_minutes == 1 else self.base_minutes / 2 * self.changed
        return journal + identities + (self.series + deltas) * SERIES_BYTES

    def month(self):
        """Returns USD by service, the way of an event through queue and function among them."""
        month = self.load.month()
        reads = (self.read_bytes() / 4_096 + ITEMS_OF_A_TICK * self.shards) * cost.MINUTES
        stored = (self.load.invocations * self.journal_bytes + self.events * IDENTITY_BYTES) * 86_400 * KEPT_DAYS
        month["DynamoDB"] = self.writes() * TABLE_WRITE + reads * TABLE_READ + stored / 2**30 * TABLE_GB_MONTH
        month["Lambda"] += (cost.LAMBDA_REQUEST + tick_seconds(self) * TICK_MEMORY_MB / 1_024 * cost.LAMBDA_GB_SECOND) * cost.MINUTES
        month["AMP"] = samples(self.series)
        month["CloudWatch"] += (STATE_ALARMS * cost.ALARM + TICK_METRICS * cost.METRIC
                                + TICK_LINE_BYTES * cost.MINUTES / 1e9 * cost.LOG_GB[0][1] + SCHEDULER_INVOCATION * cost.MINUTES)
        return month


def tick_seconds(state):
    """Returns the duration of a tick, which takes one shard after the other."""
    cpu = TICK_CPU_MS * state.shards + TICK_CPU_MS_OF_A_SERIES * (state.series + state.events * 60)
    pages = ITEMS_OF_A_TICK * state.shards + state.read_bytes() / PAGE_BYTES
    requests = math.ceil(state.series * AMP_BYTES_OF_A_SAMPLE / cost.REQUEST_WIRE_BYTES)
    return (cpu * cost.MB_OF_ONE_VCPU / TICK_MEMORY_MB + pages * TABLE_PAGE_MS + requests * cost.AMP_WAIT_MS) / 1_000


def samples(series):
    """Returns what the workspace costs, with one sample of each series in a minute. It is the same for every way."""
    count = series * cost.MINUTES
    return cost.tiered(count, cost.AMP_SAMPLES) + count * cost.MONTHS_STORED * cost.STORED_BYTES_OF_A_SAMPLE / 2**30 * cost.AMP_GB_MONTH


def in_eks(series):
    """Returns the cost of a Pushgateway and the Prometheus that scrapes it, in a cluster of their own."""
    node = NODE_HOUR["t3.medium" if series <= 10_000 else "t3.large"]
    return (EKS_CLUSTER_HOUR + 2 * node) * HOURS + 2 * 20 * DISK_GB_MONTH + samples(series)


def with_redis(events, series):
    """Returns the cost of a Redis with a replica, prom-stream-gateway, and the Prometheus that scrapes it."""
    vcpu = max(0.25, 2 ** math.ceil(math.log2(events / REDIS_METRICS_OF_A_VCPU)))
    prometheus = (0.25, 1) if series <= 10_000 else (0.5, 2)
    tasks = [(vcpu, 2 * vcpu), prometheus]
    fargate = sum(cpu * FARGATE_VCPU_HOUR + gb * FARGATE_GB_HOUR for cpu, gb in tasks)
    return (2 * REDIS_NODE_HOUR + fargate) * HOURS + samples(series)


def table():
    """Returns the table of USD a month."""
    rows = []
    for events, of_a_message in [(10, 1), (1_000, 1), (1_000, 100), (50_000, 100)]:
        for series in (100, 100_000):
            others = [in_eks(series) if events <= 1_000 else None, with_redis(events, series)]
            state = State(events, series, of_a_message)
            month = state.month()
            rows.append([f"{events:,}", of_a_message, f"{series:,}", state.shards,
                         *(cost.usd(month[name]) for name in ("SQS", "Lambda", "DynamoDB", "AMP", "CloudWatch")),
                         f"{tick_seconds(state):.1f} s", f"**{cost.usd(sum(month.values()))}**" if tick_seconds(state) < TICK_SECONDS else "not served", *("–" if other is None else cost.usd(other) for other in others)])
    return cost.table(["events a second", "events in a message", "series", "`StateShards`", "SQS", "Lambda", "DynamoDB", "AMP", "CloudWatch",
                       "a tick takes", "USD a month with state", "Pushgateway and Prometheus in EKS", "Redis, prom-stream-gateway, Prometheus"], rows)
