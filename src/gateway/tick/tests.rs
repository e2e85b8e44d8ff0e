//! Ticks over a table in memory, and a receiver that keeps the rules of Prometheus.

use super::*;
use crate::aggregate::Identity;
use crate::aggregate::head::Settled;
use crate::aggregate::journal::JournalBuilder;
use crate::aws::{Answer, ReadBody, TransportError};
use crate::config::Settings;
use crate::dead_letter::{DeadLetter, DeadLetterError};
use crate::model::{
    FamilySeries, FamilyValue, Layout, MetricFamily, MetricName, MetricType, Observation, STALE_MARKER, TypedMetric,
    Update, Value,
};
use crate::push_group::{Group, GroupingKey, PushMode};
use crate::store::{Item, Key, MemoryStore, Range};
use crate::wire::messages::WriteRequest;
use bytes::Bytes;
use prost::Message as _;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;

mod dynamodb;
#[cfg(feature = "cli")]
mod ended;
mod hanging;
mod model;
mod order;
mod owed;
mod sends;
mod shown;
mod writers;

const MINUTE: i64 = 60_000;
/// A multiple of an hour.
const NOW: i64 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000;

/// A receiver's times and values, by series. It keeps the rules of Prometheus.
#[derive(Default, Debug)]
struct Database {
    series: BTreeMap<String, Vec<(i64, u64)>>,
    requests: Vec<WriteRequest>,
    /// The statuses of the next answers. For 0 the database judges the request itself.
    answers: Vec<u16>,
    refused: u64,
    /// The answer to metadata.
    of_metadata: Option<u16>,
    /// Samples of one series and time with different values.
    contradictions: u64,
}

#[derive(Clone, Default, Debug)]
struct Receiver(Arc<Mutex<Database>>);

#[derive(Clone, Default, Debug)]
struct Letters(Arc<Mutex<Vec<DeadLetter>>>);

impl Database {
    /// Stores what can be stored, and returns the first error text.
    fn write(&mut self, request: &WriteRequest) -> Result<(), String> {
        let mut first = Ok(());
        for series in &request.timeseries {
            let labels = series.labels.iter().map(|label| format!("{}={:?}", label.name, label.value));
            let name = labels.collect::<Vec<_>>().join(", ");
            let samples = series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits()));
            let histograms = series.histograms.iter().map(|h| (h.timestamp, h.sum.to_bits()));
            for (time, bits) in samples.chain(histograms) {
                let held = self.series.entry(name.clone()).or_default();
                let problem = match held.last() {
                    Some(&(last, old)) if last == time && old != bits => {
                        self.contradictions += 1;
                        format!("duplicate sample for timestamp {time}; overrides not allowed")
                    }
                    Some(&(last, _)) if last == time => continue,
                    Some(&(last, _)) if last > time => "out of order sample".to_owned(),
                    _ => {
                        held.push((time, bits));
                        continue;
                    }
                };
                self.refused += 1;
                first = first.and(Err(format!("{problem}. timestamp={time}, series={{{name}}}")));
            }
        }
        first
    }
}

impl Transport for Receiver {
    async fn send(&self, request: http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        let protobuf = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
        let decoded = WriteRequest::decode(protobuf.as_slice()).unwrap();
        let mut database = self.0.lock().unwrap();
        let status = database
            .of_metadata
            .filter(|_| !decoded.metadata.is_empty())
            .or_else(|| database.answers.pop())
            .filter(|status| *status > 0);
        let result = if status.is_none() { database.write(&decoded) } else { Ok(()) };
        database.requests.push(decoded);
        let (status, body) = match (status, result) {
            (Some(status), _) => (status, String::new()),
            (None, Ok(())) => (200, String::new()),
            (None, Err(text)) => (400, text),
        };
        Ok(Answer { status, body: body.into(), ..Answer::default() })
    }
}

impl DeadLetterQueue for Letters {
    async fn put(&self, letters: Vec<DeadLetter>, _: Instant) -> Vec<Result<(), DeadLetterError>> {
        let results = letters.iter().map(|_| Ok(())).collect();
        self.0.lock().unwrap().extend(letters);
        results
    }
}

fn gateway(receiver: &Receiver, letters: Option<Letters>) -> Gateway<Receiver, Letters> {
    let vars: BTreeMap<String, String> = [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Gateway::new(&Settings::from_vars(&vars).unwrap(), receiver.clone(), letters).unwrap()
}

struct Rig {
    store: Arc<dyn Store>,
    receiver: Receiver,
    letters: Letters,
    gateway: Gateway<Receiver, Letters>,
    rules: TickRules,
    events: u64,
}

impl Rig {
    fn new() -> Self {
        let (receiver, letters) = (Receiver::default(), Letters::default());
        Self {
            store: Arc::new(MemoryStore::new()),
            gateway: gateway(&receiver, Some(letters.clone())),
            receiver,
            letters,
            rules: TickRules::default(),
            events: 0,
        }
    }

    /// Journals an event at a time.
    async fn event(&mut self, at: i64, metric: TypedMetric<'_>) {
        self.event_in(0, at, metric).await;
    }

    async fn event_in(&mut self, shard: u16, at: i64, metric: TypedMetric<'_>) {
        self.events += 1;
        let identity = Identity::of_event("m", self.events);
        self.journal_in(shard, at, identity, metric).await;
    }

    async fn journal(&mut self, at: i64, identity: Identity, metric: TypedMetric<'_>) {
        self.journal_in(0, at, identity, metric).await;
    }

    async fn journal_in(&mut self, shard: u16, at: i64, identity: Identity, metric: TypedMetric<'_>) {
        let mut builder = JournalBuilder::default();
        builder.add(shard, identity, &metric, Timestamp(at)).unwrap();
        for item in builder.finish().unwrap() {
            let key = Key::new(format!("j#{shard}"), format!("{at:013}#{:016x}", self.events));
            self.put(key, item.blob).await;
        }
    }

    async fn put(&self, key: Key, body: Bytes) {
        let item = Item { key, version: 1, expires: None, body };
        self.store.put(item, Duration::from_secs(5)).await.unwrap();
    }

    async fn group(&self, group: &mut Group<'_>) {
        self.group_in(0, group).await;
    }

    async fn group_in(&self, shard: u16, group: &mut Group<'_>) {
        let sort = format!("{:?}", group.key().digest());
        self.put(Key::new(format!("g#{shard}"), sort), group.encode().unwrap()).await;
    }

    /// Runs a tick at its own time.
    async fn tick(&self, tick: i64) -> TickSummary {
        let call = TickCall {
            tick: Timestamp(tick),
            shard: None,
            started: Timestamp(tick),
            request_id: "r",
            deadline: Instant::now() + Duration::from_mins(1),
        };
        self.gateway.tick_in(&self.store, &self.rules, &call).await.unwrap()
    }

    /// Returns the samples of a series, as `time relative to NOW: value`.
    fn samples(&self, series: &str) -> Vec<String> {
        let database = self.receiver.0.lock().unwrap();
        let held = database.series.iter().filter(|(name, _)| name.contains(series));
        held.flat_map(|(_, samples)| samples).map(|(time, bits)| shown(*time, *bits)).collect()
    }

    fn requests(&self) -> usize {
        self.receiver.0.lock().unwrap().requests.len()
    }

    /// Requests with metadata get this answer.
    fn fail_metadata(&self, status: u16) {
        self.receiver.0.lock().unwrap().of_metadata = Some(status);
    }

    /// The next requests get these answers, and nothing of them is stored.
    fn answer(&self, statuses: &[u16]) {
        self.receiver.0.lock().unwrap().answers = statuses.iter().rev().copied().collect();
    }
}

fn shown(time: i64, bits: u64) -> String {
    let value = if bits == STALE_MARKER { "stale".to_owned() } else { f64::from_bits(bits).to_string() };
    format!("{}: {value}", time - NOW)
}

fn metric(name: &str, update: Update) -> TypedMetric<'static> {
    let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
    TypedMetric { name, labels: LabelSet::default(), update, help: None, time: Timestamp(NOW), id: None }
}

fn count(name: &str, value: i64) -> TypedMetric<'static> {
    metric(name, Update::Counter(Value::Integer(value)))
}

fn gauge(name: &str, value: i64) -> TypedMetric<'static> {
    metric(name, Update::Gauge(Value::Integer(value)))
}

fn group(job: &str, series: &[(&str, f64)], pushed: i64, ttl: Option<i64>) -> Group<'static> {
    let key = GroupingKey::parse(&format!("job/{job}")).unwrap();
    let mut group = Group::new(key);
    push(&mut group, series, pushed, ttl);
    group
}

fn push(group: &mut Group<'static>, series: &[(&str, f64)], pushed: i64, ttl: Option<i64>) {
    let family = |&(name, value): &(&str, f64)| {
        let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
        let series = FamilySeries { name: name.clone(), labels: LabelSet::default(), value: FamilyValue::Float(value) };
        MetricFamily { name, metric_type: MetricType::Gauge, help: None, unit: None, series: vec![series] }
    };
    group.push(PushMode::Replace, series.iter().map(family).collect(), Timestamp(pushed), ttl);
}

#[tokio::test(start_paused = true)]
async fn a_newborn_counter_has_its_zero_one_millisecond_behind_the_tick_before() {
    let mut rig = Rig::new();
    rig.event(NOW - 5_000, count("a", 3)).await;
    let summary = rig.tick(NOW).await;
    assert!(summary.sum.acknowledged && summary.sum.error.is_none(), "{summary:?}");
    assert_eq!((summary.sum.series, summary.sum.folded.births, summary.sum.samples), (1, 1, 2));
    rig.event(NOW + 5_000, count("a", 4)).await;
    rig.tick(NOW + MINUTE).await;
    rig.tick(NOW + 2 * MINUTE).await;
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3", "60000: 7", "120000: 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_changes_its_series_once() {
    let mut rig = Rig::new();
    let identity = Identity::of_event("m", 1);
    let times = [-5_000, -4_000, 30_000, 50 * MINUTE - 1_000, 59 * MINUTE - 1_000];
    let mut duplicates = BTreeMap::new();
    for minute in 0..61 {
        let tick = minute * MINUTE;
        for at in times.into_iter().filter(|at| (tick - MINUTE..tick).contains(at)) {
            rig.journal(NOW + at, identity, count("a", 3)).await;
            rig.events += 1;
        }
        duplicates.insert(minute, rig.tick(NOW + tick).await.sum.folded.duplicates);
    }
    assert_eq!(rig.samples("a").last().unwrap(), "3600000: 3");
    // Each repetition is one duplicate, although the ticks behind it read it again.
    duplicates.retain(|_, duplicates| *duplicates > 0);
    assert_eq!(duplicates, [(0, 1), (1, 1), (50, 1), (59, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_tick_sends_nothing_if_it_was_acknowledged_and_else_the_same() {
    let mut rig = Rig::new();
    rig.event(NOW - 5_000, count("a", 3)).await;
    rig.answer(&[503; 5]);
    let summary = rig.tick(NOW).await;
    assert!(!summary.sum.acknowledged && matches!(summary.sum.error, Some(TickError::NotSent(_))), "{summary:?}");
    rig.answer(&[]);
    let summary = rig.tick(NOW).await;
    assert!(summary.sum.repeated && summary.sum.acknowledged);
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3"]);
    let requests = rig.requests();
    assert!(rig.tick(NOW).await.sum.repeated);
    assert!(rig.tick(NOW - MINUTE).await.sum.overtaken);
    assert_eq!(rig.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn values_of_newborn_series_wait_for_their_zeros_and_others_do_not() {
    let mut rig = Rig::new();
    rig.event(NOW - 5_000, count("old", 1)).await;
    rig.tick(NOW).await;
    rig.event(NOW + 1, count("new", 2)).await;
    // Every try to send the zeros fails.
    rig.answer(&[503, 503, 503, 503, 503]);
    let summary = rig.tick(NOW + MINUTE).await;
    assert!(summary.sum.error.is_some(), "{summary:?}");
    assert!(rig.samples("new").is_empty());
    assert_eq!(rig.samples("old"), ["-59999: 0", "0: 1", "60000: 1"]);
    rig.answer(&[]);
    rig.tick(NOW + 2 * MINUTE).await;
    assert_eq!(rig.samples("new"), ["1: 0", "120000: 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_series_that_expires_gets_one_marker_and_begins_at_zero_again() {
    let mut rig = Rig::new();
    rig.rules.series_ttl_ms = Some(2 * MINUTE);
    rig.event(NOW - 5_000, count("a", 3)).await;
    let expired: Vec<u64> = {
        let mut expired = Vec::new();
        for minute in 0..4 {
            expired.push(rig.tick(NOW + minute * MINUTE).await.sum.expired);
        }
        expired
    };
    assert_eq!(expired, [0, 0, 1, 0]);
    rig.event(NOW + 3 * MINUTE + 1, count("a", 7)).await;
    rig.tick(NOW + 4 * MINUTE).await;
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3", "60000: 3", "120000: stale", "180001: 0", "240000: 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_series_reborn_before_its_marker_is_settled_gets_marker_zero_and_value_in_this_order() {
    let mut rig = Rig::new();
    rig.rules.series_ttl_ms = Some(MINUTE);
    rig.event(NOW - 5_000, count("a", 3)).await;
    rig.tick(NOW).await;
    rig.answer(&[503; 5]);
    assert_eq!(rig.tick(NOW + MINUTE).await.sum.expired, 1);
    rig.event(NOW + MINUTE + 1, count("a", 7)).await;
    rig.answer(&[503; 5]);
    rig.tick(NOW + 2 * MINUTE).await;
    rig.answer(&[]);
    rig.event(NOW + 2 * MINUTE + 1, count("a", 1)).await;
    let summary = rig.tick(NOW + 3 * MINUTE).await;
    assert!(summary.sum.acknowledged, "{summary:?}");
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3", "60000: stale", "60001: 0", "180000: 8"]);
}

#[tokio::test(start_paused = true)]
async fn each_type_has_its_zeros_and_markers() {
    let mut rig = Rig::new();
    rig.rules.series_ttl_ms = Some(11 * MINUTE);
    let observations = vec![Observation { value: 0.5, count: 2 }];
    let histogram = |layout| Update::Histogram { layout, observations: observations.clone() };
    rig.event(NOW - 5, metric("c", histogram(Layout::Classic(vec![1.0])))).await;
    rig.event(NOW - 5, metric("n", histogram(Layout::Native))).await;
    rig.event(NOW - 5, metric("s", Update::Summary { quantiles: vec![0.5], observations })).await;
    rig.event(NOW - 5, gauge("g", 4)).await;
    for minute in 0..12 {
        let summary = rig.tick(NOW + minute * MINUTE).await;
        assert!(summary.sum.acknowledged, "{summary:?}");
    }
    let first_and_last = |series: &str| {
        let samples = rig.samples(series);
        [samples[0].clone(), samples[samples.len() - 1].clone()]
    };
    for series in ["c_bucket\", le=\"1.0", "c_bucket\", le=\"+Inf", "c_sum", "c_count", "\"n\"", "s_sum", "s_count"] {
        assert_eq!(first_and_last(series), ["-59999: 0", "660000: stale"], "{series}");
    }
    assert_eq!(first_and_last("\"g\""), ["0: 4", "660000: stale"]);
    // Its window is empty before the series ends.
    assert_eq!(first_and_last("quantile"), ["0: 0.5", "600000: stale"]);
    let database = rig.receiver.0.lock().unwrap();
    assert_eq!(database.refused, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_is_too_early_or_too_late_is_refused_before_anything_is_read() {
    let rig = Rig::new();
    let call = |ahead: i64, shard| TickCall {
        tick: Timestamp(NOW + ahead),
        shard,
        started: Timestamp(NOW),
        request_id: "r",
        deadline: Instant::now() + Duration::from_mins(1),
    };
    for (ahead, shard, expected) in [
        (10_001, None, TickError::Ahead(10_001)),
        (-600_001, None, TickError::Behind(600_001)),
        (0, Some(1), TickError::NoShard { shard: 1, shards: 1 }),
    ] {
        let error = rig.gateway.tick_in(&rig.store, &rig.rules, &call(ahead, shard)).await.unwrap_err();
        assert_eq!(error, expected);
    }
    for ahead in [10_000, -600_000] {
        // The second one is overtaken by the first.
        rig.gateway.tick_in(&rig.store, &rig.rules, &call(ahead, Some(0))).await.unwrap();
    }
    assert_eq!(rig.requests(), 0, "nothing is exposed");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_becomes_a_dead_letter_after_the_commit_and_only_once() {
    let mut rig = Rig::new();
    rig.event(NOW - 9, count("a", 3)).await;
    rig.event(NOW - 8, gauge("a", 1)).await;
    rig.event(NOW - 7, gauge("a", 2)).await;
    let summary = rig.tick(NOW).await;
    assert_eq!((summary.sum.folded.type_conflicts, summary.sum.dead_lettered, summary.sum.owed), (2, 2, 0));
    rig.tick(NOW + MINUTE).await;
    let letters = rig.letters.0.lock().unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].body.starts_with('[') && letters[0].body.contains(r#""value":2"#));
    let source = format!("{}:type_conflict", Identity::of_event("m", 2));
    assert_eq!((letters[0].reason.as_str(), letters[0].source_message_id.as_str()), ("type_conflict", source.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_journal_item_is_skipped_and_a_newer_one_stops_the_tick() {
    let mut rig = Rig::new();
    rig.put(Key::new("j#0", format!("{:013}#0", NOW - 9)), Bytes::from_static(b"\x01damaged")).await;
    rig.event(NOW - 8, count("a", 3)).await;
    let summary = rig.tick(NOW).await;
    assert_eq!((summary.sum.damaged, summary.sum.folded.entries), (1, 1));
    rig.put(Key::new("j#0", format!("{:013}#0", NOW + 9)), Bytes::from_static(b"\x09newer")).await;
    let error = rig.tick(NOW + MINUTE).await.sum.error.unwrap();
    assert!(matches!(error, TickError::Blob { what: "a journal item", error: BlobError::NewerVersion { .. } }));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_or_missing_snapshot_stops_the_tick() {
    for is_missing in [false, true] {
        let mut rig = Rig::new();
        rig.event(NOW - 8, count("a", 3)).await;
        rig.tick(NOW).await;
        let page = rig.store.query(&Range::prefix("s#0", "b#"), None).await.unwrap();
        let key = page.items[0].key.clone();
        if is_missing {
            rig.store.delete(&key, None).await.unwrap();
        } else {
            rig.put(key, Bytes::from_static(b"\x01damaged")).await;
        }
        let error = rig.tick(NOW + MINUTE).await.sum.error.unwrap();
        match error {
            TickError::Missing(_) => assert!(is_missing),
            TickError::Blob { error: BlobError::Damaged(_), .. } => assert!(!is_missing),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_exposed_as_pushed_and_get_a_marker_when_they_expire() {
    let rig = Rig::new();
    rig.group(&mut group("j", &[("x", 2.5)], NOW - 5_000, Some(MINUTE + 10_000))).await;
    for minute in 0..4 {
        rig.tick(NOW + minute * MINUTE).await;
    }
    assert_eq!(rig.samples("\"x\""), ["0: 2.5", "60000: 2.5", "65000: stale"]);
    assert_eq!(rig.samples("push_time_seconds").len(), 3);
    // Its markers are settled: nothing is left of it.
    let page = rig.store.query(&Range::all("g#0"), None).await.unwrap();
    assert!(page.items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_series_that_is_refused_in_three_ticks_is_tried_alone_once_an_hour() {
    let mut rig = Rig::new();
    rig.event(NOW - 9, gauge("good", 1)).await;
    rig.event(NOW - 9, gauge("bad", 1)).await;
    // Somebody else writes the series, far ahead.
    let series = r#"__name__="bad""#.to_owned();
    rig.receiver.0.lock().unwrap().series.insert(series, vec![(NOW + 1_000 * MINUTE, 0)]);
    let mut refused = Vec::new();
    for minute in 0..70 {
        let summary = rig.tick(NOW + minute * MINUTE).await;
        assert!(summary.sum.acknowledged, "{minute} {summary:?}");
        if summary.sum.refused > 0 {
            refused.push(minute);
        }
    }
    assert_eq!(refused, [0, 1, 2, 62]);
    assert_eq!(rig.samples("good").len(), 70);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_exposed_no_request_is_made() {
    let rig = Rig::new();
    let summary = rig.tick(NOW).await;
    assert!(summary.sum.acknowledged && rig.requests() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_large_journal_is_read_by_several_ticks_and_nothing_is_read_for_ever() {
    let mut rig = Rig::new();
    // A backlog, and then events at one time: more than one tick reads, all within the margin.
    for i in 0..40 {
        rig.event(NOW - 100 * MINUTE + i, count("a", 1)).await;
    }
    for i in 0..40 {
        rig.event(NOW + i, count("a", 1)).await;
    }
    let store = &rig.store;
    let (writer, letters) = (&rig.gateway.writer, Some(&rig.letters));
    let ticker = Ticker { store, writer, dead_letters: letters, rules: &rig.rules };
    let mut head = None;
    let mut entries = Vec::new();
    for minute in 0..16 {
        let begun = Instant::now();
        let tick = Timestamp(NOW + minute * MINUTE);
        let deadline = begun + LONGEST;
        let turn = Turn { tick, shard: 0, started: tick, begun, deadline, request_id: "r" };
        let mut summary = ShardSummary::default();
        let mut state = snapshot(store.as_ref(), 0, head.as_ref().map(|(head, _)| head), tick).await.unwrap();
        let limits = (usize::MAX, 10);
        ticker
            .fold_and_commit_within(limits, &turn, head, &Settled::default(), &mut state, &mut summary)
            .await
            .unwrap();
        head = super::head(store.as_ref(), 0).await.unwrap();
        entries.push(summary.folded.increments);
    }
    assert_eq!(entries.iter().sum::<u64>(), 80);
    assert_eq!(entries[..4], [10, 9, 9, 9]);
}
