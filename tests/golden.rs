//! `tests/golden` has one folder a case and one file a stage: the message, its events, the sample table, the request, and its bytes.
//! `prost` reads the request. A case that fails shows its first wrong stage. `tests/golden/README.md` says how to make the files
//! again.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only the tests themselves")]

use amp_push_gateway::event::{Event, EventTimes, Rules, read_message};
use amp_push_gateway::model::{ItemId, Timestamp};
use amp_push_gateway::series::{Contradiction, SampleTableBuilder};
use amp_push_gateway::wire::messages::WriteRequest;
use amp_push_gateway::wire::{Encoder, Limits, encode};
use prost::Message as _;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

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
    for request in encode(&table, &Limits::default(), &mut Encoder::default()) {
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
