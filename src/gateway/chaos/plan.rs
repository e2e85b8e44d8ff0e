//! The plan of a schedule: its size, its outages, and how often calls fail.

use super::{BEGIN, HOUR, MINUTE, SECOND};
use crate::store::faulty::Faults;
use fastrand::Rng;
use std::ops::Range;
use std::time::Duration;

/// A part that can be down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Table,
    Receiver,
    Queue,
    /// Nothing asks for ticks.
    Ticks,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Twenty minutes, with everything close together.
    Short,
    /// Hours, with outages that are longer than an hour.
    Long,
    /// Ticks each ten seconds, which overlap because the receiver fails often and takes long. Series end soon and come again.
    Fast,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// When senders stop.
    pub(super) end: i64,
    pub(super) shards: u16,
    pub(super) series_ttl_ms: i64,
    pub(super) max_series: u32,
    /// A message that was received comes again after this.
    pub(super) visibility_ms: i64,
    /// Between two messages, on average.
    pub(super) pause_ms: i64,
    /// The most typed events of a message.
    pub(super) events: i64,
    pub(super) functions: usize,
    pub(super) outages: Vec<(Part, Range<i64>)>,
    pub(super) faults: Faults,
    /// How often a process dies.
    pub(super) kill: f64,
    /// How often a write takes effect much later.
    pub(super) late: f64,
    /// The timeout of a function.
    pub(super) function: Duration,
    /// How often a function stands still behind a put that failed, longer than the reading margin.
    pub(super) stands_still: f64,
    /// How often a message comes again after it was deleted.
    pub(super) again: f64,
    /// How often a tick comes twice.
    pub(super) twice: f64,
    /// From one tick to the next.
    pub(super) period_ms: i64,
    /// The longest time between the time of a tick and its start.
    pub(super) tick_delay_ms: i64,
    /// The receiver stores all of a request or nothing, and names no sample. Else it stores what it can, and names one.
    pub(super) is_atomic: bool,
    /// How often the receiver refuses a request for now; one with zeros; and how often it does not answer.
    pub(super) fails: f64,
    pub(super) zeros_fail: f64,
    pub(super) hangs: f64,
    /// Two groups push one series.
    pub(super) has_groups: bool,
    /// How often a dead letter is sent back, and the longest time between two looks at them.
    pub(super) redriven: f64,
    pub(super) operator_ms: i64,
}

impl Plan {
    pub(super) fn draw(kind: Kind, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x9e37_79b9_7f4a_7c15);
        let (length, pause, ttls) = match kind {
            Kind::Short => (20 * MINUTE, 5 * SECOND, [8 * MINUTE, 24 * HOUR]),
            Kind::Long => (6 * HOUR, MINUTE, [20 * MINUTE, 24 * HOUR]),
            Kind::Fast => (15 * MINUTE, 5 * SECOND, [2 * MINUTE, 3 * MINUTE]),
        };
        let has_groups = seed % 3 == 1 && kind != Kind::Fast;
        let mut plan = Self {
            end: BEGIN + length,
            shards: random.u16(1..=3),
            // A push between two equal ticks changes the value.
            twice: if has_groups { 0.0 } else { 0.2 },
            series_ttl_ms: random.choice(ttls).unwrap(),
            max_series: if random.f64() < 0.2 { 6 } else { 100_000 },
            visibility_ms: random.choice([10 * SECOND, 40 * SECOND, 6 * MINUTE]).unwrap(),
            pause_ms: pause,
            events: 6,
            functions: random.usize(1..=4),
            outages: Vec::new(),
            faults: Faults {
                without_effect: 0.005,
                with_effect: 0.005,
                throttled: 0.005,
                delayed: 0.05,
                longest_delay: Duration::from_secs(2),
                stale_page: 0.0,
            },
            kill: 0.08,
            late: 0.01,
            again: 0.03,
            function: Duration::from_secs(30),
            stands_still: 0.0,
            period_ms: if kind == Kind::Fast { 10 * SECOND } else { MINUTE },
            tick_delay_ms: random.choice([5 * SECOND, 30 * SECOND, 58 * SECOND]).unwrap(),
            is_atomic: random.bool(),
            fails: 0.02,
            zeros_fail: 0.02,
            hangs: 0.002,
            has_groups,
            redriven: 0.3,
            operator_ms: 15 * MINUTE,
        };
        let (count, longest) = match kind {
            Kind::Short => (3, 6 * MINUTE),
            Kind::Long => (5, 150 * MINUTE),
            Kind::Fast => {
                (plan.fails, plan.zeros_fail, plan.hangs, plan.tick_delay_ms) = (0.3, 0.7, 0.05, 5 * SECOND);
                (0, 2 * MINUTE)
            }
        };
        for _ in 0..random.i64(0..=count) {
            let part = random.choice([Part::Table, Part::Receiver, Part::Queue, Part::Ticks]).unwrap();
            let from = BEGIN + random.i64(0..length);
            plan.outages.push((part, from..from + random.i64(MINUTE..longest)));
        }
        plan
    }

    pub(super) fn is_down(&self, part: Part, now: i64) -> bool {
        self.outages.iter().any(|(down, when)| *down == part && when.contains(&now))
    }

    /// Returns the times in which nothing reached the receiver for long. Series that are born in the first ones lose their zeros, which
    /// are owed for an hour. Series that end in the second ones lose their last values.
    pub(super) fn dark_times(&self) -> (Vec<Range<i64>>, Vec<Range<i64>>) {
        let mut times: Vec<_> =
            self.outages.iter().filter(|(part, _)| *part != Part::Queue).map(|(_, when)| when.clone()).collect();
        times.sort_by_key(|when| when.start);
        let mut merged: Vec<Range<i64>> = Vec::new();
        for when in times {
            match merged.last_mut() {
                Some(last) if when.start <= last.end + 5 * MINUTE => last.end = last.end.max(when.end),
                _ => merged.push(when),
            }
        }
        let longer = |shortest: i64| {
            let long = merged.iter().filter(|when| when.end - when.start >= shortest);
            long.map(|when| when.start - 4 * MINUTE..when.end + 4 * MINUTE).collect()
        };
        (longer(50 * MINUTE), longer(self.series_ttl_ms - 5 * MINUTE))
    }
}
