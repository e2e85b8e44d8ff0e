//! The counts of schedules, for the output.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Point {
    pub(super) passed: u64,
    pub(super) died: u64,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Numbers {
    pub(super) schedules: u64,
    pub(super) messages: u64,
    pub(super) events: u64,
    /// Increments and observations that were counted.
    pub(super) increments: u64,
    /// Times that a tick met an event that was counted before.
    pub(super) duplicates: u64,
    pub(super) invocations: u64,
    pub(super) ticks: u64,
    pub(super) failed_ticks: u64,
    pub(super) commits: u64,
    pub(super) requests: u64,
    pub(super) births: u64,
    pub(super) expired: u64,
    /// Series whose `increase()` was compared, and those that lost a value in a long outage.
    pub(super) compared: u64,
    pub(super) dark: u64,
    pub(super) redriven: u64,
    pub(super) letters: BTreeMap<&'static str, u64>,
    /// The points that processes passed.
    pub(super) points: BTreeMap<String, Point>,
}

impl Numbers {
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, number) in [
            (&mut self.schedules, other.schedules),
            (&mut self.messages, other.messages),
            (&mut self.events, other.events),
            (&mut self.increments, other.increments),
            (&mut self.duplicates, other.duplicates),
            (&mut self.invocations, other.invocations),
            (&mut self.ticks, other.ticks),
            (&mut self.failed_ticks, other.failed_ticks),
            (&mut self.commits, other.commits),
            (&mut self.requests, other.requests),
            (&mut self.births, other.births),
            (&mut self.expired, other.expired),
            (&mut self.compared, other.compared),
            (&mut self.dark, other.dark),
            (&mut self.redriven, other.redriven),
        ] {
            *sum += number;
        }
        for (reason, count) in &other.letters {
            *self.letters.entry(reason).or_default() += count;
        }
        for (name, point) in &other.points {
            let sum = self.points.entry(name.clone()).or_default();
            sum.passed += point.passed;
            sum.died += point.died;
        }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, messages, events, increments, duplicates, .. } = self;
        writeln!(
            f,
            "{schedules} schedules: {messages} messages, {events} typed events, {increments} increments counted"
        )?;
        let Self { invocations, ticks, failed_ticks, commits, requests, .. } = self;
        writeln!(
            f,
            "{duplicates} repetitions dropped; {invocations} invocations; {requests} requests to the receiver"
        )?;
        writeln!(f, "{ticks} ticks of a shard: {commits} commits, {failed_ticks} failed")?;
        let Self { births, expired, compared, dark, redriven, letters, .. } = self;
        writeln!(f, "{births} series born, {expired} expired; increase() compared for {compared}, in the dark {dark}")?;
        writeln!(f, "dead letters: {letters:?}, {redriven} sent again")?;
        for (name, point) in &self.points {
            writeln!(f, "  {:8} passed, {:6} died: {name}", point.passed, point.died)?;
        }
        Ok(())
    }
}
