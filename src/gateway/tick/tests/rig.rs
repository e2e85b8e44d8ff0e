//! A gateway with a table in memory, and a receiver that keeps the rules of Prometheus.

use super::*;
use crate::aws::{Answer, ReadBody, TransportError};
use crate::config::Settings;
use crate::dead_letter::DeadLetterError;

pub(super) const MINUTE: i64 = 60_000;
/// A multiple of an hour.
pub(super) const NOW: i64 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000;

/// A receiver's times and values, by series. It keeps the rules of Prometheus.
#[derive(Default, Debug)]
pub(super) struct Database {
    pub(super) series: BTreeMap<String, Vec<(i64, u64)>>,
    pub(super) requests: Vec<WriteRequest>,
    /// The statuses of the next answers. For 0 the database judges the request itself.
    pub(super) answers: Vec<u16>,
    pub(super) refused: u64,
    /// The answer to metadata.
    pub(super) of_metadata: Option<u16>,
    /// Samples of one series and time with different values.
    pub(super) contradictions: u64,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Receiver(pub(super) Arc<Mutex<Database>>);

#[derive(Clone, Default, Debug)]
pub(super) struct Letters(pub(super) Arc<Mutex<Vec<DeadLetter>>>);

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

pub(super) fn gateway(receiver: &Receiver, letters: Option<Letters>) -> Gateway<Receiver, Letters> {
    let vars: BTreeMap<String, String> = [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Gateway::new(&Settings::from_vars(&vars).unwrap(), receiver.clone(), letters).unwrap()
}

pub(super) struct Rig {
    pub(super) store: Arc<dyn Store>,
    pub(super) receiver: Receiver,
    pub(super) letters: Letters,
    pub(super) gateway: Gateway<Receiver, Letters>,
    pub(super) rules: TickRules,
    pub(super) events: u64,
}

impl Rig {
    pub(super) fn new() -> Self {
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
    pub(super) async fn event(&mut self, at: i64, metric: TypedMetric<'_>) {
        self.event_in(0, at, metric).await;
    }

    pub(super) async fn event_in(&mut self, shard: u16, at: i64, metric: TypedMetric<'_>) {
        self.events += 1;
        let identity = Identity::of_event("m", self.events);
        self.journal_in(shard, at, identity, metric).await;
    }

    pub(super) async fn journal(&mut self, at: i64, identity: Identity, metric: TypedMetric<'_>) {
        self.journal_in(0, at, identity, metric).await;
    }

    pub(super) async fn journal_in(&mut self, shard: u16, at: i64, identity: Identity, metric: TypedMetric<'_>) {
        let mut builder = JournalBuilder::default();
        builder.add(shard, identity, &metric, Timestamp(at)).unwrap();
        for item in builder.finish().unwrap() {
            let key = Key::new(format!("j#{shard}"), format!("{at:013}#{:016x}", self.events));
            self.put(key, item.blob).await;
        }
    }

    pub(super) async fn put(&self, key: Key, body: Bytes) {
        let item = Item { key, version: 1, expires: None, body };
        self.store.put(item, Duration::from_secs(5)).await.unwrap();
    }

    pub(super) async fn group(&self, group: &mut Group<'_>) {
        self.group_in(0, group).await;
    }

    pub(super) async fn group_in(&self, shard: u16, group: &mut Group<'_>) {
        let sort = format!("{:?}", group.key().digest());
        self.put(Key::new(format!("g#{shard}"), sort), group.encode().unwrap()).await;
    }

    /// Runs a tick at its own time.
    pub(super) async fn tick(&self, tick: i64) -> TickSummary {
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
    pub(super) fn samples(&self, series: &str) -> Vec<String> {
        let database = self.receiver.0.lock().unwrap();
        let held = database.series.iter().filter(|(name, _)| name.contains(series));
        held.flat_map(|(_, samples)| samples).map(|(time, bits)| shown(*time, *bits)).collect()
    }

    pub(super) fn requests(&self) -> usize {
        self.receiver.0.lock().unwrap().requests.len()
    }

    /// Requests with metadata get this answer.
    pub(super) fn fail_metadata(&self, status: u16) {
        self.receiver.0.lock().unwrap().of_metadata = Some(status);
    }

    /// The next requests get these answers, and nothing of them is stored.
    pub(super) fn answer(&self, statuses: &[u16]) {
        self.receiver.0.lock().unwrap().answers = statuses.iter().rev().copied().collect();
    }
}

pub(super) fn shown(time: i64, bits: u64) -> String {
    let value = if bits == STALE_MARKER { "stale".to_owned() } else { f64::from_bits(bits).to_string() };
    format!("{}: {value}", time - NOW)
}

pub(super) fn metric(name: &str, update: Update) -> TypedMetric<'static> {
    let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
    TypedMetric { name, labels: LabelSet::default(), update, help: None, time: Timestamp(NOW), id: None }
}

pub(super) fn count(name: &str, value: i64) -> TypedMetric<'static> {
    metric(name, Update::Counter(Value::Integer(value)))
}

pub(super) fn gauge(name: &str, value: i64) -> TypedMetric<'static> {
    metric(name, Update::Gauge(Value::Integer(value)))
}

pub(super) fn group(job: &str, series: &[(&str, f64)], pushed: i64, ttl: Option<i64>) -> Group<'static> {
    let key = GroupingKey::parse(&format!("job/{job}")).unwrap();
    let mut group = Group::new(key);
    push(&mut group, series, pushed, ttl);
    group
}

pub(super) fn push(group: &mut Group<'static>, series: &[(&str, f64)], pushed: i64, ttl: Option<i64>) {
    let family = |&(name, value): &(&str, f64)| {
        let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
        let series = FamilySeries { name: name.clone(), labels: LabelSet::default(), value: FamilyValue::Float(value) };
        MetricFamily { name, metric_type: MetricType::Gauge, help: None, unit: None, series: vec![series] }
    };
    group.push(PushMode::Replace, series.iter().map(family).collect(), Timestamp(pushed), ttl);
}
