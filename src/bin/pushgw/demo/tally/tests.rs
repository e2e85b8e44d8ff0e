//! A fleet whose events all went the right way, and what is noticed when one did not.

use super::*;
use amp_push_gateway::instrumentation::MetricLine;
use amp_push_gateway::lambda::FunctionError;
use amp_push_gateway::local::fleet::{self, Options};
use amp_push_gateway::local::tsdb::Sample;
use amp_push_gateway::model::Timestamp;
use std::collections::BTreeMap;

struct Run {
    sendings: Vec<Sending>,
    ended: Vec<Handled>,
    letters: Vec<DeadLetter>,
    stored: Vec<StoredSeries>,
}

/// What a gateway that does as it should makes of a fleet.
fn good() -> Run {
    let sendings = fleet::plan(Options { devices: 3, seed: 1 }, Timestamp(1_700_000_000_000));
    let (mut letters, mut stored, mut ended) = (Vec::new(), BTreeMap::<Labels, Vec<Sample>>::new(), Vec::new());
    for sending in &sendings {
        let mut answer = Ok("{}".to_owned());
        for event in &sending.events {
            match &event.expected {
                Expected::Stored(samples) => {
                    for sample in samples {
                        let (timestamp, value) = (sample.timestamp.0, f64::from_bits(sample.value.wire_bits()));
                        stored.entry(sample.labels.clone()).or_default().push(Sample { timestamp, value });
                    }
                }
                Expected::PutAside { reason, body } => letters.push(DeadLetter {
                    body: body.clone(),
                    reason: *reason,
                    detail: String::new(),
                    source_message_id: event.message_id.clone().unwrap_or_default(),
                    sent_timestamp: None,
                    maybe_stored: false,
                    group_id: None,
                    deduplication_id: String::new(),
                }),
                Expected::HandedBack { reason } => {
                    answer = Err(FunctionError { error_type: reason.to_string(), error_message: String::new() });
                }
            }
        }
        let metrics = MetricLine { received: sending.events.len() as u64, ..MetricLine::default() };
        ended.push(Handled { answer, metrics, trigger: "direct" });
    }
    let stored = stored.into_iter().map(|(labels, samples)| StoredSeries { labels, samples }).collect();
    Run { sendings, ended, letters, stored }
}

fn tally(run: &Run) -> Tally {
    Tally::new(&run.sendings, &run.ended, &run.letters, Some(&run.stored))
}

#[test]
fn where_every_event_went_the_right_way_the_totals_add_up() {
    let run = good();
    let tally = tally(&run);
    assert!(tally.is_good(), "{tally:?}");
    assert_eq!(tally.sent, tally.stored + tally.put_aside + tally.handed_back);
    assert_eq!((tally.handed_back, tally.samples), (1, 3 * 3 * u64::from(fleet::READINGS)));
}

#[test]
fn each_way_to_go_wrong_is_noticed() {
    type Spoil = fn(&mut Run);
    let table: [(&str, Spoil); 7] = [
        ("a sample is missing", |run| run.stored[0].samples.truncate(1)),
        ("a value is another", |run| run.stored[0].samples[0].value += 1.0),
        ("a sample too many", |run| run.stored[0].samples.push(Sample { timestamp: 1, value: 1.0 })),
        ("a letter is missing", |run| run.letters.truncate(1)),
        ("another reason", |run| run.letters[0].reason = Reason::TooManyLabels),
        ("a letter too many", |run| {
            let letter = DeadLetter { body: "sound".to_owned(), ..run.letters[0].clone() };
            run.letters.push(letter);
        }),
        ("a batch fails", |run| {
            let error_type = "delivery_failed".to_owned();
            run.ended[0].answer = Err(FunctionError { error_type, error_message: String::new() });
        }),
    ];
    for (what, spoil) in table {
        let mut run = good();
        spoil(&mut run);
        let tally = tally(&run);
        assert!(!tally.is_good() && !tally.surprises.is_empty(), "{what}");
    }
}

#[test]
fn a_message_that_its_queue_has_back_is_handed_back() {
    let mut run = good();
    let id = run.sendings[0].events[0].message_id.clone().unwrap();
    run.ended[0].answer = Ok(format!("{{\"batchItemFailures\":[{{\"itemIdentifier\":\"{id}\"}}]}}"));
    assert_eq!(tally(&run).handed_back, 2);
}

#[test]
fn a_receiver_that_cannot_be_looked_into_is_believed() {
    let run = good();
    let tally = Tally::new(&run.sendings, &run.ended, &run.letters, None);
    assert!(tally.is_good(), "{tally:?}");
}
