"""Calculates what OTLP through the HTTP door costs, with cumulative and with delta temporality.

`cost.py` prints and writes the table. A sample of a request is assumed to take the CPU time of an event, and the table to answer as
fast as the workspace.
"""
import math

import cost
import cost_of_state as state

SERIES_OF_A_PROCESS = 200  # samples of an export, which a process sends once a minute


def journal_bytes():
    """Returns the size of the journal item of an export."""
    return state.JOURNAL_ITEM_BYTES + SERIES_OF_A_PROCESS * (state.JOURNAL_EVENT_BYTES + state.JOURNAL_SERIES_BYTES)


def with_deltas(processes):
    """Returns USD a month of DynamoDB and of the tick, if all processes share their series."""
    events = processes * SERIES_OF_A_PROCESS
    of_shard = state.State(events / 60, SERIES_OF_A_PROCESS)
    identities = events * state.IDENTITY_BYTES
    writes = processes * math.ceil(journal_bytes() / 1_024) + math.ceil(identities / 1_024) + state.ITEMS_OF_A_TICK
    read = processes * journal_bytes() * (1 + state.READ_AGAIN_MINUTES) + identities * state.REMEMBERED_MINUTES
    stored = (processes * journal_bytes() + identities) * 1_440 * state.KEPT_DAYS
    tables = (writes * state.TABLE_WRITE + (read / 4_096 + state.ITEMS_OF_A_TICK) * state.TABLE_READ) * cost.MINUTES
    tick = cost.LAMBDA_REQUEST + state.tick_seconds(of_shard) * state.TICK_MEMORY_MB / 1_024 * cost.LAMBDA_GB_SECOND
    return tables + stored / 2**30 * state.TABLE_GB_MONTH, tick * cost.MINUTES


def table():
    """Returns the table of USD a month."""
    rows = []
    for processes in (10, 100, 1_000):
        requests = processes * cost.MINUTES
        lambda_ = (cost.LAMBDA_REQUEST + cost.duration_ms(SERIES_OF_A_PROCESS) / 1_000 * cost.MEMORY_MB / 1_024 * cost.LAMBDA_GB_SECOND) * requests
        logs = cost.tiered((cost.METRIC_LINE_BYTES + cost.PLATFORM_LINE_BYTES) / 1e9 * requests, cost.LOG_GB)
        own, shared = state.samples(processes * SERIES_OF_A_PROCESS), state.samples(SERIES_OF_A_PROCESS)
        tables, tick = with_deltas(processes)
        rows.append([f"{processes:,}", cost.number(requests), cost.usd(lambda_), cost.usd(logs), cost.usd(own), f"**{cost.usd(lambda_ + logs + own)}**",
                     cost.usd(tables), cost.usd(tick), cost.usd(shared), f"**{cost.usd(lambda_ + logs + tables + tick + shared)}**"])
    return cost.table(["processes", "requests a month", "Lambda", "CloudWatch", "AMP, cumulative", "USD a month, cumulative", "DynamoDB, deltas",
                       "tick, deltas", "AMP, deltas", "USD a month, deltas"], rows)
