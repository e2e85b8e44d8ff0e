"""Limits the number of instructions, because times vary on a machine that others use too."""
import pytest

from instructions import COUNTS, WITH_FUNCTIONS, Count, baseline, count, exclusive, compare


@pytest.mark.parametrize("name", COUNTS)
def test_takes_at_most_5_percent_more_than_the_baseline(name):
    fine, sentence = compare(name, COUNTS[name](), baseline())
    assert fine, sentence


def test_an_increment_of_a_counter_takes_at_most_1_000_instructions():
    # The goal is a microsecond. An increment takes 30 ns where it was measured.
    assert count("aggregate", 1_000).total <= 1_000


def test_the_whole_takes_at_most_twice_the_instructions_of_a_bare_parse():
    # Under valgrind SHA-256 runs without the processor's instructions for it. Without valgrind the whole is nearer to the floor.
    assert count("whole", 1_000).total <= 2 * count("floor", 1_000).total


def test_an_event_of_ten_thousand_costs_at_most_15_percent_more_than_of_one_thousand():
    assert count("whole", 10_000, rounds=2).total <= 1.15 * count("whole", 1_000).total


# --- of the comparison itself ----------------------------------------------------------------------------------------

def of(**functions):
    return Count(functions)


BASE = {"surroundings": {"rustc": "rustc 1.0.0"}, "instructions": {WITH_FUNCTIONS: 1_000},
        f"functions {WITH_FUNCTIONS}": {"parse": 600, "encode": 400}}


@pytest.mark.parametrize("now, fine", [
    (of(parse=600, encode=400), True),
    (of(parse=300, encode=400), True),
    (of(parse=600, encode=449), True),
    (of(parse=600, encode=451), False),
], ids=["the same", "better", "4.9 percent worse", "5.1 percent worse"])
def test_fails_above_the_tolerance(now, fine):
    assert compare(WITH_FUNCTIONS, now, BASE)[0] is fine


def test_a_failure_names_the_functions_that_changed_and_the_other_compiler():
    _, sentence = compare(WITH_FUNCTIONS, of(parse=500, sort=300, encode=400), BASE)
    grown, shrunk = sentence.split("shrunk most:")
    assert "+300.0  sort" in grown
    assert "-100.0  parse" in shrunk
    assert "rustc was 'rustc 1.0.0', here it is 'rustc " in sentence


def test_counts_each_function_of_callgrinds_output_once():
    text = """events: Ir
fl=(1) a.c
fn=(1) caller
10 5
+2 7
cfn=(2) callee
calls=3 20
* 300
-1 1

fn=(2)
20 290
fn=(3) callee'2
+1 10
"""
    assert exclusive(text) == {"caller": 13, "callee": 300}
