"""Calculates the cost of a month and the load on each quota, from prices, quotas and measured figures.

    python3 tests/infra/cost.py           prints the tables
    python3 tests/infra/cost.py --write   writes them into infra/scale-and-cost.md and infra/extension.md, between their markers

To change a price or a measured figure, change it here, write the page, and look at the difference. A test compares the page
with these tables, and the figures marked [test] with the real binary.
"""
import math
import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "infra/scale-and-cost.md"
EXTENSION_PAGE = PAGE.with_name("extension.md")

# --- prices: USD, us-east-1, without the free tiers. Sources and dates are on the page. -------------------------------------
SQS_REQUEST = {"standard": 0.40e-6, "fifo": 0.50e-6}
LAMBDA_REQUEST = 0.20e-6
LAMBDA_GB_SECOND = 0.0000133334  # arm64; x86_64: 0.0000166667
AMP_SAMPLES = [(2e9, 0.90e-7), (250e9, 0.35e-7), (math.inf, 0.16e-7)]  # (samples a month, price of each); then the next tier
AMP_GB_MONTH = 0.03
AMP_QUERY_SAMPLE = 0.10e-9
METRIC = 0.30
ALARM = 0.10
CLOUDWATCH_DASHBOARD = 3.00
SECRET = 0.40
HTTP_API_REQUEST = 1.00e-6  # a larger one than 512 kB counts as several
LOG_GB = [(10e3, 0.50), (20e3, 0.25), (20e3, 0.10), (math.inf, 0.05)]  # Lambda's logs, since May 2025

# --- measured ---------------------------------------------------------------------------------------------------------------
# tests/speed/figures prints the CPU time of the whole process from outside. An event took 4.28, 1.66 and 1.40 us in batches of 50,
# 1,000 and 10,000. That was in November 2026 on a core of a shared x86-64 server, with plain HTTP. The next two constants give
# these times within 8 %.
CPU_MS_OF_AN_INVOCATION = 0.14
CPU_MS_OF_AN_EVENT = 0.0015
RECORD_BYTES = 780  # an SQS record: an event of two metrics and three dimensions
EVENT_BYTES = 180  # the event in it
WIRE_BYTES_OF_AN_EVENT = 23  # compressed, in large batches
METRIC_LINE_BYTES = 840  # [test]; with all metrics 1,440
EMBEDDED_METRICS = 7  # [test]
ALL_METRICS = 23  # with Metrics=all, in an invocation without rejected events [test]; each reason that occurs adds one

# --- assumed, not measured -------------------------------------------------------------------------------------------------
AMP_WAIT_MS = 50  # from request to answer
PLATFORM_LINE_BYTES = 330  # START, END and REPORT of Lambda
IDLE_POLLS_A_MINUTE = 15  # five pollers, each waiting 20 s
STORED_BYTES_OF_A_SAMPLE = 1.5  # AWS: one or two
MONTHS_STORED = 5  # 150 days

# --- quotas -----------------------------------------------------------------------------------------------------------------
MB_OF_ONE_VCPU = 1_769
LAMBDA_PAYLOAD_BYTES = 6 * 1_048_576
SQS_CALL_MESSAGES = 10
SQS_CHUNK_BYTES = 65_536  # each chunk counts as a request
SQS_IN_FLIGHT = 120_000
LAMBDA_CONCURRENCY = 1_000
AMP_SAMPLES_A_SECOND = 50_000_000 // 30
AMP_REQUESTS_A_SECOND = 3_000
REQUEST_WIRE_BYTES = 900_000

# --- the deployment ---------------------------------------------------------------------------------------------------------
MEMORY_MB = 128
WINDOW_S = 20
MAXIMUM_CONCURRENCY = 2
METRICS_OF_AN_EVENT = 2
ALARMS = 13  # [test]
HTTP_ALARMS = 3  # [test] of an HTTP door
HTTP_SECRETS = 2  # [test] of an HTTP door with HttpAuth=secret that makes its secret
DASHBOARDS = 0  # [test] by default: it is a parameter
MINUTES = 43_800  # in a month
SECONDS = MINUTES * 60


def tiered(amount, tiers):
    """Returns the cost of `amount`, if each tier has its own price."""
    cost = 0
    for size, price in tiers:
        cost += min(amount, size) * price
        amount = max(0, amount - size)
    return cost


def duration_ms(events, memory_mb=MEMORY_MB):
    """Returns the billed duration of an invocation: the wait for AMP, and its CPU time at its share of a vCPU."""
    cpu = CPU_MS_OF_AN_INVOCATION + events * CPU_MS_OF_AN_EVENT
    return math.ceil(AMP_WAIT_MS + cpu * max(1, MB_OF_ONE_VCPU / memory_mb))


class Load:
    """A steady stream of events, and the messages, batches and requests that it makes."""

    def __init__(self, events_a_second, batch, of_a_message=1, memory_mb=MEMORY_MB, pollers=MAXIMUM_CONCURRENCY):
        self.events = events_a_second
        self.messages = events_a_second / of_a_message
        # A batch ends when it is full, at the end of the window, or at the size limit of a payload.
        record = RECORD_BYTES + (of_a_message - 1) * EVENT_BYTES
        self.batch = max(1, min(batch, self.messages * WINDOW_S / pollers, LAMBDA_PAYLOAD_BYTES // record))
        self.memory_mb = memory_mb
        self.invocations = self.messages / self.batch
        self.duration_ms = duration_ms(self.batch * of_a_message, memory_mb)
        self.concurrency = self.invocations * self.duration_ms / 1_000
        self.samples = events_a_second * METRICS_OF_AN_EVENT
        # Producers send one message a call; Lambda receives and deletes ten a call.
        tens = self.invocations * math.ceil(self.batch / SQS_CALL_MESSAGES)
        chunks = math.ceil(min(self.batch, SQS_CALL_MESSAGES) * of_a_message * EVENT_BYTES / SQS_CHUNK_BYTES)
        self.sqs_requests = self.messages + tens * (chunks + 1)
        self.requests = self.invocations * math.ceil(self.batch * of_a_message * WIRE_BYTES_OF_AN_EVENT / REQUEST_WIRE_BYTES)

    def month(self):
        """Returns USD by service."""
        sqs = (self.sqs_requests * SECONDS + IDLE_POLLS_A_MINUTE * MINUTES) * SQS_REQUEST["standard"]
        gb_seconds = self.concurrency * self.memory_mb / 1_024 * SECONDS
        lambda_ = self.invocations * SECONDS * LAMBDA_REQUEST + gb_seconds * LAMBDA_GB_SECOND
        samples = self.samples * SECONDS
        stored_gb = samples * MONTHS_STORED * STORED_BYTES_OF_A_SAMPLE / 2**30
        amp = tiered(samples, AMP_SAMPLES) + stored_gb * AMP_GB_MONTH
        log_gb = self.invocations * SECONDS * (METRIC_LINE_BYTES + PLATFORM_LINE_BYTES) / 1e9
        fixed = EMBEDDED_METRICS * METRIC + ALARMS * ALARM + DASHBOARDS * CLOUDWATCH_DASHBOARD
        return {"SQS": sqs, "Lambda": lambda_, "AMP": amp, "CloudWatch": fixed + tiered(log_gb, LOG_GB)}


def number(value):
    """Formats a large number with three significant digits and a unit, a small one as it is."""
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:,.3g} {unit}" if value < 1e3 * size else f"{value / size:,.0f} {unit}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def usd(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def one_environment():
    """Returns the table of events a second of one environment."""
    batches = (1, 10, 50, 1_000, 8_000)
    rows = []
    for memory in (128, 256, 512, MB_OF_ONE_VCPU):
        cells = (f"{n / duration_ms(n, memory) * 1_000:,.0f} ({duration_ms(n, memory)} ms)" for n in batches)
        rows.append([f"{memory:,} MB", *cells])
    return table(["memory", *(f"batch of {n:,}" for n in batches)], rows)


def walls():
    """Returns the table of the share of each quota that a rate needs."""
    rows = []
    for events, of_a_message, batch, memory, pollers in [
            (1_000, 1, 50, 128, 2), (100_000, 1, 1_000, 128, 16), (100_000, 100, 50, 512, 4), (10_000_000, 100, 50, 512, 250)]:
        load = Load(events, batch, of_a_message, memory, pollers)
        rows.append([
            number(events), of_a_message, f"{batch:,}", f"{memory} MB", number(load.messages), number(load.invocations),
            f"{load.duration_ms} ms", f"{load.concurrency:,.1f}", f"{100 * load.samples / AMP_SAMPLES_A_SECOND:,.0f} %",
            f"{100 * load.requests / AMP_REQUESTS_A_SECOND:,.0f} %"])
    return table(["events/s", "events in a message", "`BatchSize`", "memory", "messages/s", "invocations/s", "duration",
                  "at the same time", "of AMP's samples/s", "of AMP's requests/s"], rows)


def costs():
    """Returns the table of USD a month."""
    rows = []
    for a_minute, of_a_message in [(1, 1), (1_000, 1), (1_000_000, 1), (1_000_000, 100)]:
        for batch in (10, 50, 1_000):
            pollers = max(MAXIMUM_CONCURRENCY, math.ceil(Load(a_minute / 60, batch, of_a_message).concurrency * 1.5))
            load = Load(a_minute / 60, batch, of_a_message, pollers=pollers)
            if batch > 10 and load.batch < batch and load.batch == Load(a_minute / 60, 10, of_a_message).batch:
                continue  # the window ends before the batch is full: the same as above
            month = load.month()
            rows.append([f"{a_minute:,}", of_a_message, f"{batch:,}", number(load.batch), *(usd(v) for v in month.values()),
                         f"**{usd(sum(month.values()))}**", pollers])
    return table(["events a minute", "events in a message", "`BatchSize`", "messages in a batch", "SQS", "Lambda", "AMP",
                  "CloudWatch", "USD a month", "`MaximumConcurrency`"], rows)


def http_door():
    """Returns the table of an HTTP door: USD a month without requests, and USD a million requests by service.

    A sample of a request is assumed to take the CPU time of an event.
    """
    million = 1_000_000
    rows = []
    for front, price in [("function-url", 0), ("http-api", HTTP_API_REQUEST)]:
        for samples in (20, 2_000):
            lambda_ = LAMBDA_REQUEST + duration_ms(samples) / 1_000 * MEMORY_MB / 1_024 * LAMBDA_GB_SECOND
            logs = (METRIC_LINE_BYTES + PLATFORM_LINE_BYTES) / 1e9 * LOG_GB[0][1]
            stored_gb = samples * million * MONTHS_STORED * STORED_BYTES_OF_A_SAMPLE / 2**30
            parts = [price * million, lambda_ * million, logs * million, tiered(samples * million, AMP_SAMPLES) + stored_gb * AMP_GB_MONTH]
            idle = HTTP_ALARMS * ALARM
            rows.append([f"`{front}`", usd(idle + HTTP_SECRETS * SECRET), usd(idle), f"{samples:,}", *map(usd, parts), f"**{usd(sum(parts))}**"])
    return table(["`HttpDoor`", "a month without requests, `secret`", "the same, `iam`", "samples in a request", "front", "Lambda", "CloudWatch",
                  "AMP", "USD a million requests"], rows)


def rules():
    """Returns the cost of the samples that infra/prometheus/rules.yaml reads, at two series a device and a sample a minute."""
    rows = []
    for devices in (100, 10_000, 1_000_000):
        day, hour, quarter = 1_440, 60, 15
        # Ranges that the rules read of each series: two of a day, one of an hour, three of 15 minutes.
        read = devices * METRICS_OF_AN_EVENT * (2 * day + hour + 3 * quarter) * MINUTES / 5
        rows.append([f"{devices:,}", number(read), usd(read * AMP_QUERY_SAMPLE)])
    return table(["devices", "samples read a month", "USD a month"], rows)


def state():
    """Returns the table of the state, and of other ways."""
    import cost_of_state
    return cost_of_state.table()


def otlp():
    """Returns the table of OpenTelemetry's SDKs that send to an HTTP door."""
    import cost_of_otlp
    return cost_of_otlp.table()


def extension():
    """Returns the table of the telemetry of a function."""
    import cost_of_extension
    return cost_of_extension.table()


TABLES = {"one environment": one_environment, "walls": walls, "costs": costs, "http door": http_door, "otlp": otlp, "state": state, "rules": rules}
EXTENSION_TABLES = {"extension": extension}


def written(page, tables=None):
    """Returns the page with the tables of today."""
    for name, make in (tables or TABLES).items():
        between = re.compile(f"(<!-- {name}: .*-->\n).*?(<!-- end of {name} -->)", re.S)
        assert len(between.findall(page)) == 1, f"the page has no one place for {name}"
        page = between.sub(lambda found, text=make(): f"{found[1]}{text}\n{found[2]}", page)
    return page


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(written(PAGE.read_text()))
        EXTENSION_PAGE.write_text(written(EXTENSION_PAGE.read_text(), EXTENSION_TABLES))
    else:
        print("\n\n".join(f"{name}\n\n{make()}" for name, make in {**TABLES, **EXTENSION_TABLES}.items()))
