"""Limits the peak memory of the function (VmHWM) for each payload, each in a process of its own; and of `pushgw` for a long pipe."""
import os

import pytest

from door_memory import BODIES, memory_of_groups, memory_of_push
from measure import PAYLOADS, Sink, growth, memory, memory_of_pushgw
from ticks import tick_of_groups, ticks

SMALL, LARGE = 10_000_000, 40_000_000
CEILINGS = {name: SMALL if name in ("nothing (at rest)", "SQS batches of 50 events") else LARGE for name in PAYLOADS}


@pytest.mark.parametrize("name", CEILINGS)
def test_memory_stays_below_its_ceiling(name):
    assert memory(name).peak <= CEILINGS[name]


def test_a_tick_over_100_000_series_stays_below_its_ceiling():
    birth, later = ticks(100_000, rounds=2)
    assert birth.report["births"] == 100_000 and all(tick.report["samples"] == 100_000 for tick in later)
    assert max(tick.peak for tick in (birth, *later)) <= 64_000_000


@pytest.mark.parametrize(("groups", "series"), [(100, 1_000), (5_000, 20)])
def test_a_tick_over_groups_of_100_000_series_stays_below_its_ceiling(groups, series):
    tick = tick_of_groups(groups, series)
    # Each group has two push times of its own.
    assert tick.report["samples"] == groups * (series + 2)
    assert tick.peak <= 64_000_000


#: A function has 128 MB, and Lambda takes some of it for its own runtime.
DOOR = 110_000_000
TABLED = pytest.param(True, id="table")
DIRECT = pytest.param(False, id="direct")


@pytest.mark.parametrize("has_table", [DIRECT, TABLED])
@pytest.mark.parametrize("name", BODIES)
def test_a_push_of_16_mb_stays_below_its_ceiling(name, has_table):
    peak, status = memory_of_push(BODIES[name](), has_table)
    assert status == (413 if has_table else 202)
    assert peak <= DOOR


def test_a_scrape_and_the_groups_as_json_stay_below_their_ceiling():
    """All groups that a scrape may show, and more."""
    for path, status in ("/metrics", 503), ("/api/v1/metrics", 200), ("/", 200):
        peak, found = memory_of_groups(path, groups=300)
        assert (found, peak <= DOOR) == (status, True), (path, peak)


def test_full_batches_do_not_make_the_process_grow():
    # The longer run: SPEED_ROUNDS=1000. Fragmentation adds 2 MB in the first thousand rounds, and nothing in the next 1,500.
    first, last = growth(int(os.environ.get("SPEED_ROUNDS", "50")))
    assert last <= first + 4_000_000


def json_lines():
    """Yields 200 MB: for each megabyte twenty events, and a line that is rejected."""
    events = b'{"dimensions":{"customerId":"customer1"},"metrics":{"temperature":"14.3","ph":6.7}}\n' * 20
    block = events + b'{"metrics":{"ph":"%s"}}\n' % (b"x" * 1_000_000)
    yield from [block] * 200


@pytest.mark.parametrize("command", [["check", "-"], ["check", "-", "--json"], ["send", "-", "--function-name", "f"]], ids=" ".join)
def test_pushgw_holds_no_json_lines(command):
    with Sink() as sink:
        peak, status = memory_of_pushgw(command, json_lines(), AWS_ENDPOINT_URL_LAMBDA=sink.url.removesuffix("/api/v1/write"))
        assert sink.requests == (8 if command[0] == "send" else 0), "4,000 good events in arrays of 500"
    assert status == 1, "a line is rejected"
    assert peak <= 50_000_000
