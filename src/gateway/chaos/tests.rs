//! Schedules in which nothing may go wrong, and schedules in which something must.

use super::numbers::Numbers;
use super::plan::{Kind, Part, Plan};
use super::{BEGIN, Fault, HOUR, MINUTE, run};
use crate::aggregate::{Safeguard, break_safeguard};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// Runs a schedule, and panics if anything goes wrong.
fn run_right(plan: &Plan, seed: u64) -> Numbers {
    let (faults, numbers) = run(plan.clone(), seed);
    assert_eq!(faults, BTreeMap::<Fault, String>::new(), "seed {seed}, {plan:#?}");
    numbers
}

fn run_all(kind: Kind, seeds: Range<u64>) {
    for seed in seeds {
        run_right(&Plan::draw(kind, seed), seed);
    }
}

#[test]
fn every_event_counts_once_in_any_schedule() {
    run_all(Kind::Short, 0..4);
}

#[test]
fn every_event_counts_once_with_outages_of_hours() {
    run_all(Kind::Long, 0..2);
}

#[test]
fn every_event_counts_once_if_functions_stand_still() {
    let mut plan = Plan::draw(Kind::Short, 1);
    still_functions(&mut plan);
    run_right(&plan, 1);
}

#[test]
fn every_event_counts_once_if_ticks_overlap_and_the_receiver_fails() {
    run_all(Kind::Fast, 0..1);
}

#[test]
fn every_event_counts_once_if_copies_of_dead_letters_are_sent_back() {
    let mut plan = Plan::draw(Kind::Fast, 1);
    many_dead_letters(&mut plan);
    run_right(&plan, 1);
}

/// Breaks a safeguard, and expects that one of some schedules goes wrong.
fn finds(without: Safeguard, expected: Fault, kind: Kind, change: fn(&mut Plan), seeds: Range<u64>) {
    break_safeguard(Some(without));
    let mut found = BTreeMap::new();
    for seed in seeds {
        let mut plan = Plan::draw(kind, seed);
        change(&mut plan);
        let faults = run(plan, seed).0;
        if faults.contains_key(&expected) {
            break_safeguard(None);
            return;
        }
        found.extend(faults);
    }
    break_safeguard(None);
    panic!("without {without:?} nobody finds {expected:?}: {found:?}");
}

/// One test for each row: they run side by side.
macro_rules! every_safeguard_matters {
    ($($name:ident: $safeguard:ident, $fault:ident, $kind:ident, $change:expr;)*) => {
        $(#[test] fn $name() { finds(Safeguard::$safeguard, Fault::$fault, Kind::$kind, $change, 0..8); })*
    };
}

fn as_drawn(_: &mut Plan) {}

/// No tick for three hours, and many messages that come again.
fn three_hours_without_ticks(plan: &mut Plan) {
    plan.outages = vec![(Part::Ticks, BEGIN + HOUR..BEGIN + 4 * HOUR)];
    plan.again = 0.4;
}

fn late_writes(plan: &mut Plan) {
    plan.late = 0.3;
}

/// Functions that stand still between two tries of a put, and a queue that waits for them. Most ticks fail, too: a series must live longer
/// than that, so that its values are sent.
fn still_functions(plan: &mut Plan) {
    plan.stands_still = 0.7;
    plan.series_ttl_ms = 24 * HOUR;
    plan.faults.without_effect = 0.2;
    plan.function = Duration::from_mins(15);
    plan.visibility_ms = 20 * MINUTE;
    plan.functions = 8;
}

/// Ticks that overlap, with a table that takes long. All dead letters are sent back soon. There is room for one of the four series that
/// come and go, so that an event of another one is counted later.
fn many_dead_letters(plan: &mut Plan) {
    (plan.shards, plan.max_series, plan.series_ttl_ms, plan.tick_delay_ms) = (1, 10, MINUTE, 9_000);
    (plan.faults.delayed, plan.kill, plan.fails, plan.zeros_fail, plan.hangs) = (0.5, 0.02, 0.05, 0.05, 0.0);
    (plan.redriven, plan.operator_ms, plan.pause_ms) = (1.0, MINUTE, 1_000);
}

fn ticks_twice(plan: &mut Plan) {
    plan.twice = 0.8;
}

every_safeguard_matters! {
    without_the_margin_items_that_are_late_are_lost: Margin, Lost, Short, late_writes;
    without_fresh_keys_retries_are_lost: FreshKeys, Lost, Short, still_functions;
    without_identities_repetitions_count: Identities, CountedTwice, Short, as_drawn;
    with_identities_by_the_clock_repetitions_count_after_an_outage:
        IdentitiesFromCursor, CountedTwice, Long, three_hours_without_ticks;
    if_owed_events_are_forgotten_they_are_owed_or_counted_again: OwedAreRemembered, CountedTwice, Short, as_drawn;
    if_owed_events_are_cut_anew_each_time_copies_count_twice: SameArrays, CountedTwice, Fast, many_dead_letters;
    without_the_order_of_keys_a_gauge_goes_back: KeyOrder, OldGauge, Short, as_drawn;
    if_items_of_a_message_are_put_side_by_side_an_earlier_gauge_wins: PutsInOrder, OldGauge, Short, as_drawn;
    without_compare_and_swap_two_ticks_commit: CompareAndSwap, CountedTwice, Short, ticks_twice;
    without_compare_and_swap_two_ticks_contradict_each_other: CompareAndSwap, TwoValues, Short, ticks_twice;
    without_the_look_for_a_newer_head_a_tick_sends_behind_it: NewerHead, SentBehind, Fast, as_drawn;
    if_zeros_come_with_values_the_receiver_refuses_values: ZerosApart, Refused, Fast, as_drawn;
    if_values_do_not_wait_for_zeros_increases_are_wrong: ValuesWait, WrongIncrease, Fast, as_drawn;
    if_a_zero_lies_before_a_marker_increases_are_wrong: ZeroBehindMarker, WrongIncrease, Fast, as_drawn;
    with_two_writers_an_older_push_wins: OneWriter, OldGauge, Short, as_drawn;
}

/// `CHAOS_INCREMENTS` is how many increments are counted at least, and `CHAOS_SEED` the first seed.
#[test]
#[ignore = "takes minutes: see tests/README.md"]
fn every_event_counts_once_in_many_schedules() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (increments, first) = (number("CHAOS_INCREMENTS", 1_000_000), number("CHAOS_SEED", 1));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let run_share = |thread: u64| {
        let mut numbers = Numbers::default();
        let mut seed = first * 1_000_000 + thread;
        while numbers.increments < increments.div_ceil(threads) {
            let kind = [Kind::Short, Kind::Long, Kind::Fast][usize::try_from(seed / threads % 3).unwrap()];
            let mut plan = Plan::draw(kind, seed);
            (plan.events, plan.kill) = (150, 0.15);
            numbers.add(&run_right(&plan, seed));
            seed += threads;
        }
        numbers
    };
    let mut numbers = Numbers::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run_share(thread))).collect();
        for thread in running {
            numbers.add(&thread.join().unwrap());
        }
    });
    eprintln!("{numbers}");
    for (point, passed) in &numbers.points {
        assert!(passed.died > 0 || passed.passed < 5_000, "no process died at this point: {point}");
    }
}
