//! `tests/golden` has one folder a case and one file a stage: the message, its events, the sample table, the request, and its bytes.
//! `prost` reads the request. A case that fails shows its first wrong stage. `tests/golden/README.md` says how to make the files
//! again. `tick.txt` is what ticks over the typed examples write.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only the tests themselves")]

use amp_push_gateway::aws::{Answer, ReadBody, Transport, TransportError};
use amp_push_gateway::config::{Settings, StateSettings};
use amp_push_gateway::event::{Event, EventTimes, Rules, read_message};
use amp_push_gateway::gateway::{Gateway, State, TickCall};
use amp_push_gateway::lambda::{Invocation, handle_messages};
use amp_push_gateway::local::dead_letters::InMemoryDeadLetters;
use amp_push_gateway::model::{ItemId, MetricType, STALE_MARKER, Timestamp};
use amp_push_gateway::series::{Contradiction, SampleTableBuilder};
use amp_push_gateway::store::MemoryStore;
use amp_push_gateway::wire::messages::{TimeSeries, WriteRequest};
use amp_push_gateway::wire::{Encoder, Form, Limits, encode};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

const NOW: i64 = 1_676_398_020_000;
const SENT: i64 = 1_676_398_019_000;

struct Stages {
    events: String,
    series: String,
    write_request: String,
    body: String,
}

fn run(message: &str) -> Stages {
    let clock = EventTimes { now: Timestamp(NOW), sent: Some(Timestamp(SENT)) };
    let mut stages =
        Stages { events: String::new(), series: String::new(), write_request: String::new(), body: String::new() };
    let rules = Rules::default();
    let mut table = SampleTableBuilder::default();
    let mut number = 0;
    read_message(message, &clock, &rules, &mut |found| {
        match found.event {
            Ok(Event::Typed(metric)) => writeln!(stages.events, "{number}: {metric:?}").unwrap(),
            Ok(Event::Plain(event)) => {
                let labels =
                    event.labels.as_slice().iter().map(|label| format!("{}={:?}", label.name.as_str(), label.value));
                let labels = labels.collect::<Vec<_>>().join(",");
                for (name, value) in &event.metrics {
                    writeln!(stages.events, "{number}: {}{{{labels}}} {value} @{}", name.as_str(), event.timestamp)
                        .unwrap();
                }
                let samples = event.metrics.into_iter().map(|(name, value)| (name, event.timestamp, value));
                table.add(ItemId(number), event.labels, samples);
            }
            Err(refusal) => writeln!(stages.events, "{number}: {refusal}").unwrap(),
        }
        number += 1;
    });
    let mut contradictions = String::new();
    let table = table.finish(&mut |Contradiction { item, name, timestamp, value, earlier }| {
        writeln!(contradictions, "{}: {}: {value} at {timestamp} contradicts {earlier}", item.0, name.as_str())
            .unwrap();
    });
    for sample in table.samples() {
        let (name, labels) = table.series(sample.series);
        let labels = labels.iter().map(|label| format!("{}={:?}", label.name.as_str(), label.value));
        let labels = labels.collect::<Vec<_>>().join(",");
        writeln!(
            stages.series,
            "{}{{{labels}}} {} @{} of event {}",
            name.as_str(),
            table.value(sample),
            sample.timestamp,
            sample.item.0
        )
        .unwrap();
    }
    stages.series.push_str(&contradictions);
    for request in encode(&table, &Limits::default(), Form::V1, &mut Encoder::default()) {
        let protobuf = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
        writeln!(stages.write_request, "{:#?}", WriteRequest::decode(protobuf.as_slice()).unwrap()).unwrap();
        for line in request.body.chunks(32) {
            for byte in line {
                write!(stages.body, "{byte:02x}").unwrap();
            }
            stages.body.push('\n');
        }
        stages.body.push('\n');
    }
    stages
}

#[test]
fn every_stage_of_every_case_is_as_it_was() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 6, "only {} cases in {}", cases.len(), root.display());
    for case in cases {
        let stages = run(&fs::read_to_string(case.join("message.json")).unwrap());
        let files = [
            ("events.txt", stages.events),
            ("series.txt", stages.series),
            ("write_request.txt", stages.write_request),
            ("body.snappy.hex", stages.body),
        ];
        for (name, actual) in files {
            let file = case.join(name);
            if update {
                fs::write(&file, &actual).unwrap();
            }
            assert_eq!(fs::read_to_string(&file).unwrap_or_default(), actual, "{}", file.display());
        }
    }
}

/// Stores nothing, and keeps every request.
#[derive(Clone, Default, Debug)]
struct Recorder(Arc<Mutex<Vec<WriteRequest>>>);

impl Transport for Recorder {
    async fn send(&self, request: http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        let protobuf = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
        self.0.lock().unwrap().push(WriteRequest::decode(protobuf.as_slice()).unwrap());
        Ok(Answer { status: 200, ..Answer::default() })
    }
}

/// Returns a line for each sample and each metadata of a request. Times are relative to `start`.
fn request_text(request: &WriteRequest, start: i64) -> String {
    let mut text = String::from("request\n");
    let time = |timestamp: i64| timestamp - start;
    for series in &request.timeseries {
        let TimeSeries { labels, samples, histograms, .. } = series;
        let (name, labels): (Vec<_>, Vec<_>) = labels.iter().partition(|label| label.name == "__name__");
        let labels =
            labels.iter().map(|label| format!("{}={:?}", label.name, label.value)).collect::<Vec<_>>().join(",");
        let key = format!("{}{{{labels}}}", name[0].value);
        for sample in samples {
            let is_stale = sample.value.to_bits() == STALE_MARKER;
            let value = if is_stale { "stale".to_owned() } else { sample.value.to_string() };
            writeln!(text, "  {} ms  {key} {value}", time(sample.timestamp)).unwrap();
        }
        for histogram in histograms {
            let is_stale = histogram.sum.to_bits() == STALE_MARKER;
            let spans: Vec<_> = histogram.positive_spans.iter().map(|span| (span.offset, span.length)).collect();
            let (count, sum, schema) = (&histogram.count, histogram.sum, histogram.schema);
            let buckets = format!("spans {spans:?} deltas {:?}", histogram.positive_deltas);
            let value =
                if is_stale { "stale".to_owned() } else { format!("{count:?} sum {sum} schema {schema} {buckets}") };
            writeln!(text, "  {} ms  {key} {value}", time(histogram.timestamp)).unwrap();
        }
    }
    for metadata in &request.metadata {
        let metric_type = MetricType::from_number(metadata.metric_type.unsigned_abs());
        writeln!(text, "  {} is a {metric_type}: {:?}", metadata.metric_family_name, metadata.help).unwrap();
    }
    text
}

/// The typed examples come before the first tick, all but the summary again before the second, and nothing later: in the fourth tick
/// they expire.
#[tokio::test]
async fn ticks_over_the_typed_examples_write_what_they_wrote() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vars: BTreeMap<String, String> = [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let recorder = Recorder::default();
    let gateway = Gateway::new(&Settings::from_vars(&vars).unwrap(), recorder.clone(), None::<InMemoryDeadLetters>);
    let settings = StateSettings { series_ttl_ms: Some(120_000), ..StateSettings::default() };
    let gateway = gateway.unwrap().with_state(Some(State::new(Arc::new(MemoryStore::new()), settings)));
    // The journal has the time of the clock, and a tick reads no item that is newer than the tick.
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let start = i64::try_from(clock).unwrap() + 60_000;
    let mut text = String::new();
    let typed = ["counter.json", "gauge.json", "histogram.json", "all-keys.jsonl", "summary.json"];
    for (minute, examples) in [&typed[..], &typed[..4], &[], &[]].into_iter().enumerate() {
        let tick = Timestamp(start + i64::try_from(minute).unwrap() * 60_000);
        let deadline = Instant::now() + Duration::from_mins(1);
        for example in examples {
            // Items of one millisecond have no order among themselves.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let payload = fs::read(root.join("examples/events/typed").join(example)).unwrap();
            let invocation =
                Invocation { request_id: format!("{minute}-{example}"), started: Timestamp(tick.0 - 1_000), deadline };
            let handled = handle_messages(&gateway, payload.into(), &invocation).await;
            assert!(handled.answer.is_ok() && handled.summary.typed > 0, "{example}: {:?}", handled.answer);
        }
        let call = TickCall { tick, shard: None, started: tick, request_id: "tick", deadline };
        let summary = gateway.tick(&call).await.unwrap();
        assert!(summary.sum.acknowledged, "{summary:?}");
        writeln!(text, "tick {minute}").unwrap();
        for request in recorder.0.lock().unwrap().drain(..) {
            text.push_str(&request_text(&request, start));
        }
    }
    let file = root.join("tests/golden/tick.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), text, "{}", file.display());
}
