//! Handles any bytes as the payload of an invocation, or as the bodies of an SQS batch, against receivers of every kind. Each
//! event has one outcome, each message one action, and AMP can take every request.
//!
//! Up to two first bytes of 0x80 or more are flags, the rest is the payload; see [`Flags`].

#![no_main]

use amp_push_gateway::aws::{Answer, ReadBody, Transport, TransportError};
use amp_push_gateway::config::Settings;
use amp_push_gateway::dead_letter::{DeadLetter, DeadLetterError, DeadLetterQueue};
use amp_push_gateway::gateway::Gateway;
use amp_push_gateway::gateway::Summary;
use amp_push_gateway::lambda::{Handled, Invocation, handle_messages};
use amp_push_gateway::limits::MAX_ERROR_BODY_BYTES;
use amp_push_gateway::local::tsdb::{Flavour, Labels, Rules, Tsdb};
use amp_push_gateway::model::{Reason, Timestamp};
use amp_push_gateway::wire::messages::{Label, WriteRequest};
use amp_push_gateway_fuzz::{NOW, check_detail, check_request};
use bytes::Bytes;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Its clock stands still and jumps over every wait.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime"));

/// With and without `LATE_SAMPLES=drop`.
static SETTINGS: LazyLock<[Settings; 2]> = LazyLock::new(|| [false, true].map(settings));

fn settings(drop: bool) -> Settings {
    let mut vars = BTreeMap::from(
        [
            ("REMOTE_WRITE_URL", "http://receiver/write"),
            ("REMOTE_WRITE_AUTH", "none"),
            ("EXTERNAL_LABELS", "env=prod,team=water"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if drop {
        vars.insert("LATE_SAMPLES".to_owned(), "drop".to_owned());
    }
    Settings::from_vars(&vars).expect("valid settings")
}

#[derive(Clone, Copy)]
struct Flags(u16);

impl Flags {
    fn split(input: &[u8]) -> (Self, &[u8]) {
        match input {
            [low @ 0x80..=0xff, high @ 0x80..=0xff, rest @ ..] => {
                (Self(u16::from(low & 0x7f) | (u16::from(high & 0x7f) << 7)), rest)
            }
            [low @ 0x80..=0xff, rest @ ..] => (Self(u16::from(low & 0x7f)), rest),
            rest => (Self(0), rest),
        }
    }

    fn has(self, bit: u16) -> bool {
        self.0 & (1 << bit) != 0
    }

    fn drops_late_samples(self) -> bool {
        self.has(3)
    }

    fn has_queue(self) -> bool {
        !self.has(4)
    }

    /// The payload is an SQS batch, its bodies the bytes, cut at 0xFF.
    fn is_batch(self) -> bool {
        self.has(5)
    }

    fn is_fifo(self) -> bool {
        self.has(6)
    }

    /// The dead-letter queue takes only every other dead letter.
    fn has_full_queue(self) -> bool {
        self.has(7)
    }

    fn seconds(self) -> u64 {
        if self.has(8) { 1 } else { 30 }
    }

    fn behaviour(self) -> Behaviour {
        let tsdb = |flavour, window| Behaviour::Tsdb(Box::new(tsdb(flavour, window)));
        match self.0 & 7 {
            0 => Behaviour::Everything,
            1 => tsdb(Flavour::StoresTheValidRest, 0),
            2 => tsdb(Flavour::AllOrNothing, 60_000),
            3 => Behaviour::ErrorText,
            4 => Behaviour::FewSamples,
            5 => Behaviour::EveryOther,
            6 => Behaviour::Nothing,
            _ => Behaviour::Unreachable,
        }
    }
}

/// Takes less than the gateway sends, so that it refuses some.
fn tsdb(flavour: Flavour, out_of_order_window_ms: i64) -> Tsdb {
    Tsdb::new(Rules { flavour, out_of_order_window_ms, max_labels: 10, max_sample_lead_ms: 5_000, ..Rules::default() })
}

/// How a receiver answers.
enum Behaviour {
    /// Stores whatever comes.
    Everything,
    /// As a workspace does.
    Tsdb(Box<Tsdb>),
    /// Refuses all, with the payload as error text.
    ErrorText,
    /// Stores up to three samples of a request; more are too large.
    FewSamples,
    /// Stores a request at the second try.
    EveryOther,
    /// Is down.
    Nothing,
    /// Is not there.
    Unreachable,
}

struct Receiver {
    error_text: String,
    state: Arc<Mutex<State>>,
}

struct State {
    behaviour: Behaviour,
    requests: u64,
    /// The acknowledged samples, by labels and time.
    stored: BTreeMap<Labels, BTreeMap<i64, u64>>,
}

impl Transport for Receiver {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: ReadBody,
        timeout: Duration,
    ) -> Result<Answer, TransportError> {
        assert!(!timeout.is_zero(), "a request without time");
        assert!(request.body().len() <= 1_000_000, "{} bytes", request.body().len());
        let protobuf = snap::raw::Decoder::new().decompress_vec(request.body()).expect("a snappy block");
        let request = WriteRequest::decode(protobuf.as_slice()).expect("a write request");
        check_request(&request);
        self.state.lock().expect("no panic").answer(request, &self.error_text)
    }
}

impl State {
    fn answer(&mut self, request: WriteRequest, error_text: &str) -> Result<Answer, TransportError> {
        self.requests += 1;
        let samples: usize = request.timeseries.iter().map(|series| series.samples.len()).sum();
        let (status, error_text) = match &mut self.behaviour {
            Behaviour::Everything => (204, String::new()),
            Behaviour::Tsdb(tsdb) => match tsdb.append(request.clone(), Timestamp(NOW)).first {
                None => (200, String::new()),
                Some(refused) => (400, cut(&refused.to_string())),
            },
            Behaviour::ErrorText => (400, error_text.to_owned()),
            Behaviour::FewSamples if samples > 3 => (413, error_text.to_owned()),
            Behaviour::EveryOther if self.requests % 2 == 1 => (429, error_text.to_owned()),
            Behaviour::FewSamples | Behaviour::EveryOther => (200, String::new()),
            Behaviour::Nothing => (503, error_text.to_owned()),
            Behaviour::Unreachable => return Err(TransportError::Network(error_text.to_owned())),
        };
        if status < 300 {
            self.store(request);
        }
        let header = HeaderValue::from_str(&error_text).ok().filter(|_| status == 429);
        let headers = header.map(|value| (RETRY_AFTER, value)).into_iter().collect();
        Ok(Answer { status, headers, body: error_text.into() })
    }

    fn store(&mut self, request: WriteRequest) {
        let is_whole = matches!(self.behaviour, Behaviour::Everything | Behaviour::EveryOther);
        for series in request.timeseries {
            let labels = series.labels.into_iter().map(|Label { name, value }| (name, value)).collect();
            let stored = self.stored.entry(labels).or_default();
            for sample in series.samples {
                let newest = stored.last_key_value().map(|(time, _)| *time);
                assert!(!is_whole || newest < Some(sample.timestamp), "an earlier sample after a later one");
                stored.insert(sample.timestamp, sample.value.to_bits());
            }
        }
    }
}

/// Cuts an error text as the transport over HTTP does.
fn cut(error_text: &str) -> String {
    error_text[..error_text.floor_char_boundary(MAX_ERROR_BODY_BYTES)].to_owned()
}

#[derive(Clone, Default)]
struct Queue {
    is_full: bool,
    taken: Arc<Mutex<Vec<DeadLetter>>>,
}

impl DeadLetterQueue for Queue {
    async fn put(&self, dead_letters: Vec<DeadLetter>, _: Instant) -> Vec<Result<(), DeadLetterError>> {
        let mut taken = self.taken.lock().expect("no panic");
        let take = |(number, dead_letter): (usize, DeadLetter)| {
            if self.is_full && number % 2 == 1 {
                return Err(DeadLetterError::Full { bytes: 0 });
            }
            let attributes = dead_letter.attributes();
            assert!(attributes.iter().all(|(_, value)| !value.is_empty()), "SQS refuses this: {attributes:?}");
            check_detail(&dead_letter.detail);
            taken.push(dead_letter);
            Ok(())
        };
        dead_letters.into_iter().enumerate().map(take).collect()
    }
}

fuzz_target!(|input: &[u8]| {
    fastrand::seed(0);
    let (flags, bytes) = Flags::split(input);
    let bodies = flags.is_batch().then(|| bodies(bytes));
    let payload = bodies.as_ref().map_or_else(|| Bytes::copy_from_slice(bytes), |bodies| batch(bodies, flags));
    let error_text = cut(&String::from_utf8_lossy(bytes));
    let state = State { behaviour: flags.behaviour(), requests: 0, stored: BTreeMap::new() };
    let state = Arc::new(Mutex::new(state));
    let dead_letters = Queue { is_full: flags.has_full_queue(), ..Queue::default() };

    let receiver = Receiver { error_text, state: Arc::clone(&state) };
    let queue = flags.has_queue().then(|| dead_letters.clone());
    let settings = &SETTINGS[usize::from(flags.drops_late_samples())];
    let gateway = Gateway::new(settings, receiver, queue).expect("a URL");
    let handled = RUNTIME.block_on(async {
        let deadline = Instant::now() + Duration::from_secs(flags.seconds());
        let invocation = Invocation { request_id: "request-1".to_owned(), started: Timestamp(NOW), deadline };
        let handled = handle_messages(&gateway, payload, &invocation).await;
        assert!(Instant::now() <= deadline, "answered too late");
        handled
    });

    let state = state.lock().expect("no panic");
    let dead_letters = dead_letters.taken.lock().expect("no panic");
    check_metrics(&handled.summary, flags, &state);
    match handled.trigger {
        "direct" => check_report(&handled, flags, &dead_letters),
        _ => check_partial_batch(&handled, flags, &dead_letters),
    }
    if let Some(bodies) = bodies {
        assert_eq!(handled.trigger, if flags.is_fifo() { "sqs_fifo" } else { "sqs" });
        assert_eq!(handled.summary.messages, bodies.len() as u64);
        for dead_letter in &*dead_letters {
            assert!(bodies.contains(&dead_letter.body), "a body that was altered: {}", dead_letter.body);
        }
    }
});

fn bodies(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == 0xff).map(|body| String::from_utf8_lossy(body).into_owned()).collect()
}

fn batch(bodies: &[String], flags: Flags) -> Bytes {
    let arn = if flags.is_fifo() { "arn:aws:sqs:eu-west-1:1:q.fifo" } else { "arn:aws:sqs:eu-west-1:1:q" };
    let record = |(number, body): (usize, &String)| {
        let group = if number % 3 == 0 { "a" } else { "b" };
        json!({
            "messageId": format!("m-{number}"), "receiptHandle": "r", "body": body, "eventSource": "aws:sqs", "eventSourceARN": arn,
            "attributes": {"SentTimestamp": (NOW - 1_000).to_string(), "MessageGroupId": group},
        })
    };
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    Bytes::from(json!({ "Records": records }).to_string())
}

fn check_metrics(metrics: &Summary, flags: Flags, state: &State) {
    let outcomes = metrics.delivered + metrics.errored + metrics.rejected + metrics.dropped;
    assert_eq!(metrics.received, outcomes, "{metrics:?}");
    let actions = metrics.acknowledged + metrics.dead_lettered + metrics.returned;
    assert_eq!(metrics.messages, actions, "{metrics:?}");
    assert_eq!(metrics.rejected, metrics.rejected_by.iter().sum::<u64>(), "{metrics:?}");
    assert_eq!(metrics.dropped, metrics.dropped_by.iter().sum::<u64>(), "{metrics:?}");
    assert_eq!(metrics.sent.requests, state.requests, "{metrics:?}");
    assert!(metrics.maybe_stored <= metrics.rejected && metrics.sent.retries <= metrics.sent.requests, "{metrics:?}");
    assert!(flags.drops_late_samples() || metrics.dropped == 0, "{metrics:?}");
    let samples: u64 = state.stored.values().map(|samples| samples.len() as u64).sum();
    assert_eq!((metrics.samples, metrics.series), (samples, state.stored.len() as u64), "{metrics:?}");
    match state.behaviour {
        Behaviour::Everything => assert_eq!((metrics.errored, metrics.sent.retries), (0, 0), "{metrics:?}"),
        Behaviour::Nothing | Behaviour::Unreachable => {
            assert_eq!((metrics.delivered, metrics.samples), (0, 0), "{metrics:?}")
        }
        Behaviour::ErrorText => assert_eq!(metrics.delivered, 0, "{metrics:?}"),
        Behaviour::Tsdb(_) | Behaviour::FewSamples | Behaviour::EveryOther => {}
    }
}

/// The answer to SQS names the messages that come again; the others are stored or dead letters.
fn check_partial_batch(handled: &Handled, flags: Flags, dead_letters: &[DeadLetter]) {
    let metrics = &handled.summary;
    let answer: Value = serde_json::from_str(handled.answer.as_ref().expect("an answer")).expect("JSON");
    let failures = answer["batchItemFailures"].as_array().expect("a list");
    assert_eq!(failures.len() as u64, metrics.returned, "{answer}");
    assert!(failures.iter().all(|failure| failure["itemIdentifier"].is_string()), "{answer}");
    assert_eq!(dead_letters.len() as u64, metrics.dead_lettered, "{metrics:?}");
    assert!(flags.has_queue() || metrics.dead_lettered == 0, "{metrics:?}");
    assert!(metrics.errored == 0 || metrics.returned > 0, "{metrics:?}");
    assert!(metrics.rejected == 0 || metrics.dead_lettered + metrics.returned > 0, "{metrics:?}");
}

/// The answer to a direct caller is a report or a function error.
fn check_report(handled: &Handled, flags: Flags, dead_letters: &[DeadLetter]) {
    let metrics = &handled.summary;
    assert_eq!((metrics.messages, metrics.dead_lettered), (1, 0), "{metrics:?}");
    let report = match &handled.answer {
        Ok(report) => report,
        Err(error) if error.error_type == "dead_letter_failed" => {
            assert!(flags.has_queue() && flags.has_full_queue(), "{error:?}");
            &error.error_message
        }
        Err(error) => {
            check_detail(&error.error_message);
            let is_reason = Reason::ALL.iter().any(|reason| reason.as_str() == error.error_type);
            assert!(is_reason || error.error_type == "delivery_failed", "{error:?}");
            assert_eq!(is_reason, metrics.errored == 0, "{error:?} {metrics:?}");
            return;
        }
    };
    let report: Value = serde_json::from_str(report).expect("JSON");
    let count = |key: &str| report[key].as_u64().unwrap_or_default();
    assert_eq!(metrics.errored, 0, "{report}");
    assert_eq!((count("accepted"), count("rejected_count")), (metrics.delivered, metrics.rejected), "{report}");
    assert_eq!(count("dropped_count"), metrics.dropped, "{report}");
    let listed = report["rejected"].as_array().expect("a list");
    assert_eq!(listed.len() as u64, metrics.rejected.min(1_000), "{report}");
    listed.iter().for_each(|rejected| check_detail(rejected["detail"].as_str().expect("a detail")));
    if flags.has_queue() && handled.answer.is_ok() {
        assert_eq!(dead_letters.len() as u64, metrics.rejected, "{report}");
    }
}
