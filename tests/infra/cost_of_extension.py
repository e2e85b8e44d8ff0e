"""Calculates what the telemetry of a function costs, and what CloudWatch takes for the same.

`cost.py` prints the table, and writes it into infra/extension.md. Prices and assumptions stand here and on that page.
"""
import math

import cost
import cost_of_state

# --- the design ---------------------------------------------------------------------------------------------------------------
DISPATCH_SECONDS = 10  # DISPATCH_MAX_AGE [test]
SERIES_OF_A_FUNCTION = 30  # one for each value of a label
BATCH = 50  # messages

# --- assumed, not measured ----------------------------------------------------------------------------------------------------
EVENTS_OF_A_DISPATCH = 20  # series that changed
ENVIRONMENT_MINUTES = 45  # until Lambda ends an environment that is in use

# --- CloudWatch: what Lambda Insights and metrics of the function's own make -------------------------------------------------
INSIGHTS_METRICS = 8
INSIGHTS_LINE_BYTES = 1_100
OWN_METRICS = 4


def dispatches(invocations_a_second, environments):
    """Returns the messages of a second. A dispatch begins with an invocation, and when an environment ends."""
    of_one = min(invocations_a_second / environments, 1 / DISPATCH_SECONDS)
    return environments * (of_one + 1 / (ENVIRONMENT_MINUTES * 60))


def month(invocations_a_second, environments):
    """Returns USD by service that one more function adds to a gateway with state."""
    messages = dispatches(invocations_a_second, environments)
    load = cost.Load(messages * EVENTS_OF_A_DISPATCH, BATCH, EVENTS_OF_A_DISPATCH)
    item_bytes = (cost_of_state.JOURNAL_ITEM_BYTES + load.batch * EVENTS_OF_A_DISPATCH * cost_of_state.JOURNAL_EVENT_BYTES
                  + SERIES_OF_A_FUNCTION * cost_of_state.JOURNAL_SERIES_BYTES)
    identity_bytes = load.events * cost_of_state.IDENTITY_BYTES
    units = (load.invocations * math.ceil(item_bytes / 1_024) + identity_bytes / 1_024) * cost.SECONDS
    gb_seconds = load.concurrency * load.memory_mb / 1_024 * cost.SECONDS
    logs = load.invocations * cost.SECONDS * (cost.METRIC_LINE_BYTES + cost.PLATFORM_LINE_BYTES) / 1e9
    return {
        "SQS": load.sqs_requests * cost.SECONDS * cost.SQS_REQUEST["standard"],
        "Lambda": load.invocations * cost.SECONDS * cost.LAMBDA_REQUEST + gb_seconds * cost.LAMBDA_GB_SECOND,
        "DynamoDB": units * cost_of_state.TABLE_WRITE,
        "AMP": cost_of_state.samples(SERIES_OF_A_FUNCTION),
        "CloudWatch": cost.tiered(logs, cost.LOG_GB),
    }


def insights(invocations_a_second):
    """Returns what Lambda Insights takes: metrics, and a log line of each invocation."""
    gigabytes = invocations_a_second * 60 * cost.MINUTES * INSIGHTS_LINE_BYTES / 1e9
    return INSIGHTS_METRICS * cost.METRIC + cost.tiered(gigabytes, cost.LOG_GB)


def table():
    """Returns the table of USD a month."""
    rows = []
    for a_second, environments in [(1 / 60, 1), (1, 1), (10, 5), (100, 30), (1_000, 200)]:
        by_service = month(a_second, environments)
        rows.append([cost.number(a_second * 60), environments, cost.number(dispatches(a_second, environments) * 60),
                     *(cost.usd(one) for one in by_service.values()), f"**{cost.usd(sum(by_service.values()))}**",
                     cost.usd(insights(a_second)), cost.usd(OWN_METRICS * cost.METRIC)])
    return cost.table(["invocations a minute", "environments", "messages a minute", "SQS", "Lambda", "DynamoDB", "AMP", "CloudWatch", "USD a month",
                       "Lambda Insights", "four metrics in CloudWatch"], rows)
