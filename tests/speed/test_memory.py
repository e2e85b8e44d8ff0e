"""Limits the peak memory of the process (VmHWM) for each payload, each in a process of its own."""
import os

import pytest

from measure import PAYLOADS, growth, memory

SMALL, LARGE = 10_000_000, 40_000_000
CEILINGS = {name: SMALL if name in ("nothing (at rest)", "SQS batches of 50 events") else LARGE for name in PAYLOADS}


@pytest.mark.parametrize("name", CEILINGS)
def test_memory_stays_below_its_ceiling(name):
    assert memory(name).peak <= CEILINGS[name]


def test_full_batches_do_not_make_the_process_grow():
    # The longer run: SPEED_ROUNDS=1000. Fragmentation adds 2 MB in the first thousand rounds, and nothing in the next 1,500.
    first, last = growth(int(os.environ.get("SPEED_ROUNDS", "50")))
    assert last <= first + 4_000_000
