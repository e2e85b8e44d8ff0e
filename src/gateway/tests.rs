use super::*;
use crate::aws::{Answer, ReadBody, TransportError};
use crate::dead_letter::DeadLetter;
use crate::lambda::{FunctionError, Handled, Invocation, handle};
use crate::model::Reason;
use crate::wire::messages::WriteRequest;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(super) const NOW: i64 = 1_676_398_020_000;

type Answered = Result<Answer, TransportError>;

/// Answers by what is in the request; keeps what it was sent.
pub(super) struct Receiver<F> {
    answer: F,
    requests: Arc<Mutex<Vec<WriteRequest>>>,
}

/// A queue that takes all letters but those whose body holds `refuse`.
#[derive(Clone, Default)]
pub(super) struct Letters {
    refuse: &'static str,
    pub(super) taken: Arc<Mutex<Vec<DeadLetter>>>,
}

impl<F: Fn(&WriteRequest) -> Answered + Send + Sync> Transport for Receiver<F> {
    async fn send(&self, request: http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        let protobuf = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
        let decoded = WriteRequest::decode(protobuf.as_slice()).unwrap();
        let answer = (self.answer)(&decoded);
        self.requests.lock().unwrap().push(decoded);
        answer
    }
}

impl DeadLetterQueue for Letters {
    async fn put(&self, letters: Vec<DeadLetter>, _: Instant) -> Vec<Result<(), String>> {
        let mut taken = self.taken.lock().unwrap();
        let take = |letter: DeadLetter| {
            if !self.refuse.is_empty() && letter.body.contains(self.refuse) {
                return Err("refused".to_owned());
            }
            taken.push(letter);
            Ok(())
        };
        letters.into_iter().map(take).collect()
    }
}

pub(super) struct Rig {
    pub(super) requests: Arc<Mutex<Vec<WriteRequest>>>,
    pub(super) letters: Letters,
    pub(super) limits: wire::Limits,
    pub(super) seconds: u64,
    pub(super) vars: Vec<(&'static str, &'static str)>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self {
            requests: Arc::default(),
            letters: Letters::default(),
            limits: wire::Limits::default(),
            seconds: 30,
            vars: Vec::new(),
        }
    }

    pub(super) fn gateway<F>(&self, answer: F) -> Gateway<Receiver<F>, Letters>
    where
        F: Fn(&WriteRequest) -> Answered + Send + Sync,
    {
        let mut vars: BTreeMap<String, String> =
            self.vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        vars.insert("REMOTE_WRITE_URL".to_owned(), "http://receiver/write".to_owned());
        vars.insert("REMOTE_WRITE_AUTH".to_owned(), "none".to_owned());
        let settings = Settings::from_vars(&vars).unwrap();
        let receiver = Receiver { answer, requests: Arc::clone(&self.requests) };
        let mut gateway = Gateway::new(&settings, receiver, Some(self.letters.clone())).unwrap();
        gateway.limits = self.limits;
        gateway
    }

    pub(super) async fn handle<F>(&self, gateway: &Gateway<Receiver<F>, Letters>, payload: &str) -> Handled
    where
        F: Fn(&WriteRequest) -> Answered + Send + Sync,
    {
        let invocation = Invocation {
            request_id: "request-1".to_owned(),
            started: Timestamp(NOW),
            deadline: Instant::now() + Duration::from_secs(self.seconds),
        };
        let handled = handle(gateway, Bytes::copy_from_slice(payload.as_bytes()), &invocation).await;
        adds_up(&handled.metrics);
        handled
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn adds_up(metrics: &MetricLine) {
    assert_eq!(
        metrics.received,
        metrics.delivered + metrics.errored + metrics.rejected + metrics.dropped,
        "{metrics:?}"
    );
    assert_eq!(metrics.messages, metrics.acknowledged + metrics.dead_lettered + metrics.handed_back, "{metrics:?}");
    assert_eq!(metrics.rejected, metrics.rejected_by.iter().sum::<u64>());
}

/// An SQS event of these bodies; each body's group goes with it where the queue is a FIFO.
pub(super) fn sqs(fifo: bool, bodies: &[(&str, &str)]) -> String {
    let arn = if fifo { "arn:aws:sqs:eu-west-1:1:q.fifo" } else { "arn:aws:sqs:eu-west-1:1:q" };
    let record = |(number, (group, body)): (usize, &(&str, &str))| {
        serde_json::json!({
            "messageId": number.to_string(), "body": body, "eventSource": "aws:sqs", "eventSourceARN": arn,
            "attributes": {"SentTimestamp": NOW.to_string(), "ApproximateReceiveCount": "1", "MessageGroupId": group},
            "messageAttributes": {},
        })
    };
    serde_json::json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() }).to_string()
}

pub(super) fn events(metrics: &[&str]) -> String {
    let bodies: Vec<_> = metrics.iter().map(|metric| ("", format!(r#"{{"metrics":{{"{metric}":1}}}}"#))).collect();
    sqs(false, &bodies.iter().map(|(group, body)| (*group, body.as_str())).collect::<Vec<_>>())
}

pub(super) fn failures(handled: &Handled) -> Vec<String> {
    let answer: serde_json::Value = serde_json::from_str(handled.answer.as_ref().unwrap()).unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

pub(super) fn has(request: &WriteRequest, metric: &str) -> bool {
    let labels = request.timeseries.iter().flat_map(|series| &series.labels);
    labels.into_iter().any(|label| label.name == "__name__" && label.value == metric)
}

pub(super) fn stored(_: &WriteRequest) -> Answered {
    says(204, "")
}

#[expect(clippy::unnecessary_wraps, reason = "other receivers do not answer")]
pub(super) fn says(status: u16, words: &str) -> Answered {
    Ok(Answer { status, body: words.to_owned().into(), ..Answer::default() })
}

#[tokio::test]
async fn a_fifo_group_stops_at_its_first_errored_message_and_no_other_group_does() {
    let rig = Rig { limits: wire::Limits { decoded: 1, compressed: 900_000 }, ..Rig::new() };
    let gateway = rig.gateway(|request| says(if has(request, "bad") { 404 } else { 200 }, "words"));
    let bodies = [
        ("a", r#"{"metrics":{"a1":1}}"#),
        ("b", r#"{"nonsense":1}"#),
        ("a", r#"{"metrics":{"bad":1}}"#),
        ("b", r#"{"metrics":{"b1":1}}"#),
        ("a", r#"{"nonsense":2}"#),
        ("a", r#"{"metrics":{"a2":1}}"#),
    ];
    let handled = rig.handle(&gateway, &sqs(true, &bodies)).await;
    assert_eq!(failures(&handled), ["2", "4", "5"]);
    let letters = rig.letters.taken.lock().unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].body.as_str(), letters[0].group_id.as_deref()), (bodies[1].1, Some("b")));
}

#[tokio::test]
async fn an_event_that_meets_a_defect_is_put_aside_and_the_rest_of_its_batch_goes_on() {
    let rig = Rig::new();
    let gateway = rig.gateway(stored);
    let bodies =
        [("", r#"{"metrics":{"a":1}}"#), ("", r#"{"metrics":{"panic":"test"}}"#), ("", r#"{"metrics":{"c":1}}"#)];
    let handled = rig.handle(&gateway, &sqs(false, &bodies)).await;
    assert!(failures(&handled).is_empty());
    assert_eq!((handled.metrics.delivered, handled.metrics.dead_lettered), (2, 1));
    assert_eq!(rig.letters.taken.lock().unwrap()[0].reason, Reason::InvalidEvent);
    let handled = rig.handle(&gateway, bodies[0].1).await;
    assert!(handled.answer.is_ok());
}

#[tokio::test]
async fn without_time_nothing_is_sent_and_everything_is_to_be_tried_again() {
    let rig = Rig { seconds: 0, ..Rig::new() };
    let gateway = rig.gateway(stored);
    let handled = rig.handle(&gateway, r#"[{"metrics":{"a":1}},{"metrics":{}}]"#).await;
    assert_eq!(handled.answer.unwrap_err().error_type, "delivery_failed");
    assert_eq!((rig.requests(), handled.metrics.errored, handled.metrics.rejected), (0, 1, 1));
    assert!(rig.letters.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn letters_of_an_array_are_made_in_chunks_and_in_the_events_own_text() {
    let events: Vec<_> = (0..2_500).map(|i| format!("{{\"x\" : {i}}}")).collect();
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), &format!("[{}]", events.join(" ,\n"))).await;
    assert!(handled.answer.is_ok());
    let letters = rig.letters.taken.lock().unwrap();
    assert!(letters.iter().map(|letter| &letter.body).eq(&events));
    assert_eq!(letters[2_499].deduplication_id, "request-1-2499");
    assert!(letters[2_499].detail.starts_with("[2499].x: unknown key"), "{}", letters[2_499].detail);
}

#[tokio::test]
async fn a_letter_that_is_not_taken_is_told_to_the_caller() {
    let rig = Rig { letters: Letters { refuse: "\"y\"", ..Letters::default() }, ..Rig::new() };
    let handled = rig.handle(&rig.gateway(stored), r#"[{"x":1},{"y":1},{"metrics":{"a":1}}]"#).await;
    let FunctionError { error_type, error_message } = handled.answer.unwrap_err();
    assert_eq!(error_type, "dead_letter_failed");
    let report: serde_json::Value = serde_json::from_str(&error_message).unwrap();
    assert_eq!((&report["accepted"], &report["rejected_count"]), (&1.into(), &2.into()));
}

#[tokio::test]
async fn late_samples_are_dropped_where_the_operator_wants_it() {
    let rig = Rig { vars: vec![("LATE_SAMPLES", "drop")], ..Rig::new() };
    let late = format!(r#"{{"timestamp":{},"metrics":{{"a":1}}}}"#, NOW - 3_600_001);
    let handled = rig.handle(&rig.gateway(stored), &late).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert_eq!((&report["rejected_count"], &report["dropped"][0]["reason"]), (&0.into(), &"too_old".into()));
    assert_eq!(handled.metrics.dropped_by[Reason::TooOld as usize], 1);
    let handled = rig.handle(&rig.gateway(stored), &sqs(false, &[("", &late)])).await;
    assert!(failures(&handled).is_empty() && rig.letters.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_contradiction_in_an_array_is_named_with_its_index() {
    let payload = r#"[{"metrics":{"a":1}},{"metrics":{"a":1.0}},{"metrics":{"a":2}}]"#;
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), payload).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert_eq!((&report["accepted"], &report["samples"]), (&2.into(), &1.into()));
    assert_eq!(report["rejected"][0]["reason"], "duplicate_timestamp");
    let detail = report["rejected"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("[2].metrics.a: 2 at "), "{detail}");
}

/// Panics where another would send.
struct Broken;

impl Transport for Broken {
    async fn send(&self, _: http::Request<Bytes>, _: ReadBody, _: Duration) -> Answered {
        panic!("a defect, for the test of it")
    }
}

#[tokio::test]
async fn a_defect_hands_everything_back_and_is_counted() {
    let vars = [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none")];
    let vars: BTreeMap<_, _> = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let gateway = Gateway::new(&Settings::from_vars(&vars).unwrap(), Broken, None::<Letters>).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let invocation = Invocation { request_id: "r".to_owned(), started: Timestamp(NOW), deadline };
    for _ in 0..2 {
        let handled = handle(&gateway, Bytes::from(events(&["a", "b"])), &invocation).await;
        assert_eq!(handled.answer.unwrap_err().error_type, "delivery_failed");
        adds_up(&handled.metrics);
        assert_eq!(handled.metrics.handed_back, 2);
    }
}

#[tokio::test]
async fn each_letter_has_its_detail_whatever_else_is_refused() {
    let rig = Rig::new();
    let flood = format!("[{}]", vec!["{}"; 12_000].join(","));
    let handled =
        rig.handle(&rig.gateway(stored), &sqs(false, &[("", &flood), ("", r#"{"metrics":{"ph":"abc"}}"#)])).await;
    assert_eq!(handled.metrics.dead_lettered, 2);
    assert_eq!(rig.letters.taken.lock().unwrap()[1].detail, r#"metrics.ph: "abc" is not a number"#);
    let contradiction =
        format!(r#"[{{"metrics":{{"a":1}}}},{{"metrics":{{"a":2}}}},{}]"#, vec!["{}"; 12_000].join(","));
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), &contradiction).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert!(report["rejected"][0]["detail"].as_str().unwrap().starts_with("[1].metrics.a: 2 at "));
}

/// One of a few bodies, good, refused, or with several events.
fn body() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(r#"{"metrics":{"a":1}}"#),
        Just(r#"{"metrics":{"a":2}}"#),
        Just(r#"{"metrics":{"b":1,"bad":2}}"#),
        Just(r#"[{"metrics":{"c":1}},{"metrics":{}}]"#),
        Just(r#"[{"metrics":{"c":2}},{"metrics":{"bad":1}}]"#),
        Just("[]"),
        Just("nonsense"),
        Just(r#"{"metrics":{"panic":"test"}}"#),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in and whatever is answered: every event gets exactly one outcome and every message one action;
    /// a message is handed back, put aside or acknowledged, and it is never two of them.
    #[test]
    fn property_test_every_item_gets_exactly_one_outcome(
        messages in proptest::collection::vec((prop_oneof![Just("a"), Just("b")], body()), 0..12),
        fifo: bool, status in prop_oneof![Just(200_u16), Just(404), Just(400), Just(413)], split: bool,
    ) {
        let decoded = if split { 1 } else { 3_000_000 };
        let rig = Rig { limits: wire::Limits { decoded, compressed: 900_000 }, ..Rig::new() };
        let gateway = rig.gateway(move |request| says(if has(request, "bad") { status } else { 200 }, ""));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let handled = runtime.block_on(rig.handle(&gateway, &sqs(fifo, &messages)));
        let failures = failures(&handled);
        let letters = rig.letters.taken.lock().unwrap();
        prop_assert_eq!(handled.metrics.messages, messages.len() as u64);
        prop_assert_eq!(handled.metrics.handed_back, failures.len() as u64);
        prop_assert_eq!(handled.metrics.dead_lettered, letters.len() as u64);
        prop_assert!(letters.iter().all(|letter| !failures.contains(&letter.source_message_id)));
        if status != 404 {
            prop_assert!(failures.is_empty());
        }
        if matches!(status, 400 | 413) {
            // Only whole messages with such an event are put aside for it.
            let of_receiver = letters.iter().filter(|letter| letter.detail.contains("the receiver answered"));
            prop_assert!(of_receiver.into_iter().all(|letter| letter.body.contains("\"bad\"")));
        }
    }
}
