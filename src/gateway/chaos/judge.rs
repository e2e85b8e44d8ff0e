//! The judge accounts for every event. It compares what was sent with the table and the receiver.

use super::events::{self, EventId, Sent};
use super::numbers::Numbers;
use super::{BEGIN, Fault, MINUTE, SECOND, World};
use crate::aggregate::{Aggregate, ExposedValue, Identity, SeriesKey, SummaryWindow, TypedState, shard_of};
use crate::model::{Counts, MetricType, STALE_MARKER, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// The series of two groups.
const PUSHED: &str = r#"__name__="pushed", job="a", k="v""#;

/// A commit of a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commit {
    pub(super) at: i64,
    pub(super) shard: u16,
    pub(super) tick: i64,
}

/// A series from its birth to its end.
struct Life {
    aggregate: Aggregate,
    updated: i64,
}

/// The record of a schedule.
#[derive(Default)]
pub(super) struct Record {
    pub(super) events: Vec<Sent>,
    identities: HashMap<Identity, EventId>,
    /// How often each identity was committed.
    committed: HashMap<Identity, u32>,
    owed: BTreeMap<(u16, u64), Identity>,
    /// The owed events of which a dead letter was sent.
    sent_letters: BTreeSet<(u16, u64)>,
    /// The source and the index of each of them. Another one would count it again.
    places: HashMap<(u16, u64), (String, usize)>,
    /// The first start of a tick of a shard.
    pub(super) started: HashMap<(u16, i64), i64>,
    /// By the key of the series, and the tick of its birth.
    lives: BTreeMap<(Vec<u8>, i64), Life>,
    /// The series of each shard after its last commit.
    held: HashMap<u16, BTreeSet<Vec<u8>>>,
    pub(super) commits: Vec<Commit>,
    /// When a number of the gauge was confirmed.
    pub(super) confirmed: Vec<(i64, i64)>,
    /// When a number was pushed to one of the groups.
    pub(super) pushed: Vec<(i64, i64)>,
    faults: BTreeMap<Fault, String>,
    pub(super) numbers: Numbers,
}

impl Record {
    pub(super) fn note(&mut self, fault: Fault, detail: impl FnOnce() -> String) {
        self.faults.entry(fault).or_insert_with(detail);
    }

    /// Notes the identities of the typed events of a message.
    pub(super) fn register(&mut self, message: &str, events: &[Option<EventId>], has_ids: bool) {
        for (index, event) in events.iter().enumerate() {
            let Some(event) = *event else { continue };
            let identity = self.events[event].identity.filter(|_| has_ids);
            let identity = identity.unwrap_or_else(|| Identity::of_event(message, index as u64));
            self.identities.insert(identity, event);
        }
    }

    /// Returns the events of a dead letter that a tick owed.
    pub(super) fn owed_events(&mut self, source: &str, count: usize) -> Vec<Option<EventId>> {
        let (identity, _) = source.split_once(':').unwrap();
        let is_first = |entry: &(&(u16, u64), &Identity)| entry.1.to_string() == identity;
        let Some((&(shard, number), _)) = self.owed.iter().find(is_first) else { return vec![None; count] };
        let numbers = number..number + count as u64;
        for (index, number) in numbers.clone().enumerate() {
            let place = (source.to_owned(), index);
            let known = self.places.entry((shard, number)).or_insert_with(|| place.clone()).clone();
            if known != place {
                self.note(Fault::CountedTwice, || format!("an owed event is at {place:?}, and was at {known:?}"));
            }
            self.sent_letters.insert((shard, number));
        }
        numbers.map(|number| self.identities.get(self.owed.get(&(shard, number))?).copied()).collect()
    }

    /// Notes a new head.
    pub(super) fn commit(&mut self, at: i64, shard: u16, tick: i64, identities: &[Identity], state: &TypedState) {
        self.numbers.commits += 1;
        self.commits.push(Commit { at, shard, tick });
        for identity in identities {
            *self.committed.entry(*identity).or_default() += 1;
        }
        for owed in state.owed() {
            self.owed.insert((shard, owed.number), owed.identity);
        }
        let mut held = BTreeSet::new();
        for series in state.series() {
            let key = series.key().as_bytes().to_vec();
            held.insert(key.clone());
            let life = Life { aggregate: series.aggregate.clone(), updated: series.updated.0 };
            self.lives.insert((key, series.born.0), life);
        }
        self.held.insert(shard, held);
    }
}

/// Returns the value of a counter or the sum of observations, and their count.
fn totals(aggregate: &Aggregate) -> (f64, f64) {
    let (mut sum, mut count) = (0.0, 0.0);
    aggregate.expose(Timestamp(0), SummaryWindow::default(), &mut |exposed| match exposed.value {
        ExposedValue::Histogram(histogram) => {
            sum = histogram.sum;
            if let Counts::Integer { count: counted, .. } = histogram.counts {
                count = float(counted);
            }
        }
        ExposedValue::Number(value) => match exposed.suffix {
            "_count" => count = f64::from_bits(value.wire_bits()),
            "_sum" => sum = f64::from_bits(value.wire_bits()),
            "" if exposed.bound.is_none() => sum = f64::from_bits(value.wire_bits()),
            _ => {}
        },
    });
    (sum, count)
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Returns the name of an exposed series in the receiver.
fn series_name(key: SeriesKey<'_>, suffix: &str, bound: Option<(&str, String)>) -> String {
    let mut labels: Vec<(String, String)> =
        key.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    labels.extend(bound.map(|(name, value)| (name.to_owned(), value)));
    labels.push(("__name__".to_owned(), format!("{}{suffix}", key.name())));
    labels.sort();
    labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(", ")
}

/// Returns what `increase()` over all samples is at the time of the last one: differences, and values behind a reset.
fn increase(samples: &[(i64, u64)]) -> f64 {
    let values = samples.iter().filter(|(_, bits)| *bits != STALE_MARKER).map(|(_, bits)| f64::from_bits(*bits));
    let mut last = None;
    values.fold(0.0, |sum, value| match last.replace(value) {
        None => sum,
        Some(before) if value < before => sum + value,
        Some(before) => sum + value - before,
    })
}

/// Returns what went wrong, each with its first sentence, and the numbers.
pub(super) fn judge(world: &World) -> (BTreeMap<Fault, String>, Numbers) {
    let mut record = std::mem::take(&mut *world.record.lock().unwrap());
    let counted = account(world, &mut record);
    compare_totals(&mut record, &counted);
    compare_receiver(world, &mut record);
    check_gauges(world, &mut record);
    record.numbers.schedules = 1;
    record.numbers.messages = world.queue.lock().unwrap().messages.len() as u64;
    record.numbers.events = record.events.len() as u64;
    record.numbers.requests = world.database.lock().unwrap().requests;
    record.numbers.increments = counted.iter().map(|&event| record.events[event].increments).sum();
    (record.faults, record.numbers)
}

/// Accounts for every event. Returns those that are counted.
fn account(world: &World, record: &mut Record) -> BTreeSet<EventId> {
    let queue = world.queue.lock().unwrap();
    let owed: HashSet<Identity> = record.owed.values().copied().collect();
    let mut faults = Vec::new();
    if owed.len() < record.owed.len() {
        faults.push((Fault::CountedTwice, "an event is owed twice".to_owned()));
    }
    let mut times: HashMap<EventId, u32> = HashMap::new();
    for (identity, &count) in &record.committed {
        let Some(&event) = record.identities.get(identity) else { continue };
        *times.entry(event).or_default() += if owed.contains(identity) { 0 } else { count };
        if count > 1 {
            faults.push((Fault::CountedTwice, format!("{:?} was committed {count} times", record.events[event])));
        }
    }
    // A dead letter that was sent several times was sent back once.
    let sent_back = queue.letters.iter().filter(|letter| letter.is_redriven);
    let redriven: HashSet<(&str, EventId)> =
        sent_back.flat_map(|letter| letter.events.iter().flatten().map(|&event| (letter.group(), event))).collect();
    let sent_back_events: HashSet<EventId> = redriven.iter().map(|(_, event)| *event).collect();
    let (mut explained, mut uncounted) = (HashSet::new(), HashMap::new());
    for letter in &queue.letters {
        for &event in letter.events.iter().flatten().filter(|event| !redriven.contains(&(letter.group(), **event))) {
            let is_sent_back = sent_back_events.contains(&event);
            if letter.explains_all() || record.events[event].is_dated {
                explained.insert(event);
            }
            if !is_sent_back
                && letter.is_uncounted()
                && record.events[event].identity.is_none()
                && !record.events[event].is_dated
            {
                uncounted.insert(event, letter.reason());
            }
        }
    }
    let waiting: HashSet<EventId> =
        queue.live.iter().flat_map(|&message| queue.messages[message].events.iter().flatten().copied()).collect();
    // A dead letter that is owed still is not on the queue yet.
    for (number, identity) in &record.owed {
        if !record.sent_letters.contains(number) {
            explained.extend(record.identities.get(identity));
        }
    }
    if let Some(event) = waiting.iter().next() {
        faults.push((Fault::Lost, format!("{:?} never leaves the queue", record.events[*event])));
    }
    let mut counted = BTreeSet::new();
    let of_messages: HashSet<EventId> = record.identities.values().copied().collect();
    for event in of_messages {
        let sent = &record.events[event];
        match times.get(&event).copied().unwrap_or(0) {
            0 if !explained.contains(&event) => faults.push((Fault::Lost, format!("{sent:?}"))),
            0 => {}
            1 => {
                counted.insert(event);
                if let Some(reason) = uncounted.get(&event) {
                    faults
                        .push((Fault::CountedTwice, format!("{sent:?} is counted, and a dead letter {reason} has it")));
                }
            }
            _ => {
                counted.insert(event);
                faults.push((Fault::CountedTwice, format!("{sent:?}")));
            }
        }
    }
    for (fault, detail) in faults {
        record.note(fault, || detail);
    }
    counted
}

/// Compares the lives of each series with its counted events, to the unit.
fn compare_totals(record: &mut Record, counted: &BTreeSet<EventId>) {
    let mut expected: BTreeMap<Vec<u8>, (f64, f64)> = BTreeMap::new();
    for sent in counted.iter().map(|&event| &record.events[event]) {
        if sent.metric_type != MetricType::Gauge {
            let sums = expected.entry(sent.key.clone()).or_default();
            *sums = (sums.0 + sent.sum, sums.1 + sent.count);
        }
    }
    let mut held: BTreeMap<Vec<u8>, (f64, f64)> = BTreeMap::new();
    for ((key, _), life) in &record.lives {
        if life.aggregate.metric_type() != MetricType::Gauge {
            let (sum, count) = totals(&life.aggregate);
            let sums = held.entry(key.clone()).or_default();
            *sums = (sums.0 + sum, sums.1 + count);
        }
    }
    if expected != held {
        let keys: BTreeSet<_> = expected.keys().chain(held.keys()).cloned().collect();
        let differs = keys.iter().find(|key| expected.get(*key) != held.get(*key)).unwrap();
        let name = SeriesKey::of_written(differs).name().to_owned();
        let (expected, held) = (expected.get(differs).copied(), held.get(differs).copied());
        record.note(Fault::WrongTotal, || format!("{name}: {held:?}, expected {expected:?}"));
    }
}

fn is_within(times: &[Range<i64>], time: i64) -> bool {
    times.iter().any(|when| when.contains(&time))
}

/// Compares what the receiver holds of each series with its lives.
fn compare_receiver(world: &World, record: &mut Record) {
    let database = world.database.lock().unwrap();
    if let Some(contradiction) = database.contradictions.first() {
        record.note(Fault::TwoValues, || contradiction.clone());
    }
    let held: HashSet<&Vec<u8>> = record.held.values().flatten().collect();
    let (births, ends) = world.plan.dark_times();
    let mut expected: BTreeMap<(&Vec<u8>, String), f64> = BTreeMap::new();
    let mut dark: HashSet<&Vec<u8>> = HashSet::new();
    let now = world.now();
    for ((key, born), life) in &record.lives {
        let end = life.updated + world.plan.series_ttl_ms;
        if is_within(&births, *born) || end < now && is_within(&ends, end) {
            dark.insert(key);
        }
        life.aggregate.expose(Timestamp(0), SummaryWindow::default(), &mut |exposed| {
            let ExposedValue::Number(value) = exposed.value else { return };
            if exposed.bound.is_some_and(|bound| bound.name == "quantile") {
                return;
            }
            let bound = exposed.bound.map(|bound| (bound.name, bound.to_string()));
            let name = series_name(SeriesKey::of_written(key), exposed.suffix, bound);
            let sum = expected.entry((key, name)).or_default();
            if life.aggregate.metric_type() != MetricType::Gauge {
                *sum += f64::from_bits(value.wire_bits());
            }
        });
    }
    let mut faults = Vec::new();
    let gauges: HashSet<&Vec<u8>> = record
        .lives
        .iter()
        .filter(|(_, life)| life.aggregate.metric_type() == MetricType::Gauge)
        .map(|((key, _), _)| key)
        .collect();
    let (mut compared, mut in_the_dark) = (0, 0);
    for ((key, name), expected) in expected {
        if dark.contains(key) {
            in_the_dark += 1;
            continue;
        }
        let samples = database.series.get(&name).map_or(&[][..], Vec::as_slice);
        compared += 1;
        let found = increase(samples);
        if found.to_bits() != expected.to_bits() && !gauges.contains(key) {
            faults.push((Fault::WrongIncrease, format!("{name}: {found}, expected {expected}; {}", shown(samples))));
        }
        let is_stale = samples.last().is_some_and(|(_, bits)| *bits == STALE_MARKER);
        if is_stale == held.contains(key) && !samples.is_empty() {
            faults.push((Fault::NoMarker, format!("{name}: held: {}; {}", held.contains(key), shown(samples))));
        }
    }
    (record.numbers.compared, record.numbers.dark) = (compared, in_the_dark);
    for (fault, detail) in faults {
        record.note(fault, || detail);
    }
}

/// Returns samples without repetitions of a value.
fn shown(samples: &[(i64, u64)]) -> String {
    let show = |(time, bits): &(i64, u64)| {
        let value = if *bits == STALE_MARKER { "stale".to_owned() } else { f64::from_bits(*bits).to_string() };
        format!("{}: {value}", time - BEGIN)
    };
    let runs = samples.chunk_by(|a, b| a.1 == b.1).map(|run| show(&run[0]));
    runs.collect::<Vec<_>>().join(", ")
}

/// A tick shows at least the newest number that was confirmed before it began, and that no read was too old to see.
fn check_gauges(world: &World, record: &mut Record) {
    let key = events::key("g");
    let key = SeriesKey::of_written(&key);
    let shard = shard_of(&key.metric_name().unwrap(), &key.label_set(), world.plan.shards);
    let gauge = (series_name(key, "", None), shard, record.confirmed.clone());
    let pushed = (PUSHED.to_owned(), 0, record.pushed.clone());
    let database = world.database.lock().unwrap();
    for (name, shard, confirmed) in [gauge, pushed] {
        let samples = database.series.get(&name).map_or(&[][..], Vec::as_slice);
        for &(tick, bits) in samples.iter().filter(|(_, bits)| *bits != STALE_MARKER) {
            let Some(&started) = record.started.get(&(shard, tick)) else { continue };
            let before = confirmed.iter().filter(|(at, _)| *at < started - 25 * SECOND);
            let newest = before.map(|(_, number)| *number).max().unwrap_or(0);
            if f64::from_bits(bits) < f64::from(i32::try_from(newest).unwrap()) {
                let (found, minute) = (f64::from_bits(bits), (tick - BEGIN) / MINUTE);
                record.note(Fault::OldGauge, || format!("{name}: {found} instead of {newest} in minute {minute}"));
                break;
            }
        }
    }
}
