use super::*;
use crate::aws::{Answer, ReadBody, TransportError};
use crate::dead_letter::DeadLetter;
use crate::lambda::{FunctionError, Handled, Invocation, handle_messages};
use crate::model::Timestamp;
use crate::wire;
use crate::wire::messages::WriteRequest;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(crate) const NOW: i64 = 1_676_398_020_000;

/// Answers by the contents of a request, and keeps all requests.
pub(crate) struct Receiver<F> {
    answer: F,
    requests: Arc<Mutex<Vec<WriteRequest>>>,
}

/// A queue that takes all dead letters, except those whose body contains `refuse`.
#[derive(Clone, Default)]
pub(crate) struct Letters {
    refuse: &'static str,
    pub(crate) taken: Arc<Mutex<Vec<DeadLetter>>>,
}

impl<F: Fn(&WriteRequest) -> Answered + Send + Sync> Transport for Receiver<F> {
    async fn send(&self, request: http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        let protobuf = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
        let decoded = WriteRequest::decode(protobuf.as_slice()).unwrap();
        let answer = (self.answer)(&decoded);
        self.requests.lock().unwrap().push(decoded);
        answer
    }

    fn has_credentials(&self) -> bool {
        true
    }
}

impl DeadLetterQueue for Letters {
    async fn put(&self, dead_letters: Vec<DeadLetter>, _: Instant) -> Vec<Result<(), DeadLetterError>> {
        let mut taken = self.taken.lock().unwrap();
        let take = |dead_letter: DeadLetter| {
            if !self.refuse.is_empty() && dead_letter.body.contains(self.refuse) {
                return Err(DeadLetterError::NotConfigured);
            }
            taken.push(dead_letter);
            Ok(())
        };
        dead_letters.into_iter().map(take).collect()
    }
}

pub(crate) struct Rig {
    pub(crate) requests: Arc<Mutex<Vec<WriteRequest>>>,
    pub(crate) dead_letters: Letters,
    pub(crate) limits: wire::Limits,
    pub(crate) seconds: u64,
    pub(crate) vars: Vec<(&'static str, &'static str)>,
    pub(crate) state: Option<State>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self {
            requests: Arc::default(),
            dead_letters: Letters::default(),
            limits: wire::Limits::default(),
            seconds: 30,
            vars: Vec::new(),
            state: None,
        }
    }

    pub(crate) fn gateway<F>(&self, answer: F) -> Gateway<Receiver<F>, Letters>
    where
        F: Fn(&WriteRequest) -> Answered + Send + Sync,
    {
        let mut vars: BTreeMap<String, String> =
            self.vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        vars.insert("REMOTE_WRITE_URL".to_owned(), "http://receiver/write".to_owned());
        vars.insert("REMOTE_WRITE_AUTH".to_owned(), "none".to_owned());
        let settings = Settings::from_vars(&vars).unwrap();
        let receiver = Receiver { answer, requests: Arc::clone(&self.requests) };
        let mut gateway =
            Gateway::new(&settings, receiver, Some(self.dead_letters.clone())).unwrap().with_state(self.state.clone());
        gateway.writer.limit(self.limits);
        gateway
    }

    pub(crate) async fn handle<F>(&self, gateway: &Gateway<Receiver<F>, Letters>, payload: &str) -> Handled
    where
        F: Fn(&WriteRequest) -> Answered + Send + Sync,
    {
        let invocation = Invocation {
            request_id: "request-1".to_owned(),
            started: Timestamp(NOW),
            deadline: Instant::now() + Duration::from_secs(self.seconds),
        };
        let handled = handle_messages(gateway, Bytes::copy_from_slice(payload.as_bytes()), &invocation).await;
        adds_up(&handled.summary);
        handled
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn adds_up(summary: &Summary) {
    let Summary { delivered, errored, rejected, dropped, acknowledged, dead_lettered, returned, .. } = summary;
    assert_eq!(summary.received, delivered + errored + rejected + dropped, "{summary:?}");
    assert_eq!(summary.messages, acknowledged + dead_lettered + returned, "{summary:?}");
    assert_eq!(summary.rejected, summary.rejected_by.iter().sum::<u64>());
}

/// The payload of an SQS queue with these groups and bodies.
pub(crate) fn sqs(fifo: bool, bodies: &[(&str, &str)]) -> String {
    let arn = if fifo { "arn:aws:sqs:eu-west-1:1:q.fifo" } else { "arn:aws:sqs:eu-west-1:1:q" };
    let record = |(number, (group, body)): (usize, &(&str, &str))| {
        serde_json::json!({
            "messageId": number.to_string(), "receiptHandle": "r", "body": body, "eventSource": "aws:sqs", "eventSourceARN": arn,
            "attributes": {"SentTimestamp": NOW.to_string(), "ApproximateReceiveCount": "1", "MessageGroupId": group},
            "messageAttributes": {},
        })
    };
    serde_json::json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() }).to_string()
}

pub(crate) fn events(metrics: &[&str]) -> String {
    let bodies: Vec<_> = metrics.iter().map(|metric| ("", format!(r#"{{"metrics":{{"{metric}":1}}}}"#))).collect();
    sqs(false, &bodies.iter().map(|(group, body)| (*group, body.as_str())).collect::<Vec<_>>())
}

pub(crate) fn failures(handled: &Handled) -> Vec<String> {
    let answer: serde_json::Value = serde_json::from_str(handled.answer.as_ref().unwrap()).unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn has(request: &WriteRequest, metric: &str) -> bool {
    let labels = request.timeseries.iter().flat_map(|series| &series.labels);
    labels.into_iter().any(|label| label.name == "__name__" && label.value == metric)
}

pub(crate) fn stored(_: &WriteRequest) -> Answered {
    answers(204, "")
}

#[expect(clippy::unnecessary_wraps, reason = "other receivers do not answer")]
pub(crate) fn answers(status: u16, text: &str) -> Answered {
    Ok(Answer { status, body: text.to_owned().into(), ..Answer::default() })
}

#[tokio::test(start_paused = true)]
async fn returns_the_later_messages_of_a_fifo_group_after_an_errored_one_and_no_other_group() {
    let rig = Rig { limits: wire::Limits { decoded: 1, compressed: 900_000 }, ..Rig::new() };
    let gateway = rig.gateway(|request| answers(if has(request, "bad") { 503 } else { 200 }, "words"));
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
    let dead_letters = rig.dead_letters.taken.lock().unwrap();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!((dead_letters[0].body.as_str(), dead_letters[0].group_id.as_deref()), (bodies[1].1, Some("b")));
}

#[tokio::test]
async fn dead_letters_an_event_that_meets_a_defect_and_delivers_the_rest_of_its_batch() {
    let rig = Rig::new();
    let gateway = rig.gateway(stored);
    let bodies =
        [("", r#"{"metrics":{"a":1}}"#), ("", r#"{"metrics":{"panic":"test"}}"#), ("", r#"{"metrics":{"c":1}}"#)];
    let handled = rig.handle(&gateway, &sqs(false, &bodies)).await;
    assert!(failures(&handled).is_empty());
    assert_eq!((handled.summary.delivered, handled.summary.dead_lettered), (2, 1));
    assert_eq!(rig.dead_letters.taken.lock().unwrap()[0].reason, Reason::InvalidEvent);
    let handled = rig.handle(&gateway, bodies[0].1).await;
    assert!(handled.answer.is_ok());
}

#[tokio::test]
async fn sends_nothing_and_returns_everything_when_there_is_no_time() {
    let rig = Rig { seconds: 0, ..Rig::new() };
    let gateway = rig.gateway(stored);
    let handled = rig.handle(&gateway, r#"[{"metrics":{"a":1}},{"metrics":{}}]"#).await;
    assert_eq!(handled.answer.unwrap_err().error_type, "delivery_failed");
    assert_eq!((rig.requests(), handled.summary.errored, handled.summary.rejected), (0, 1, 1));
    assert!(rig.dead_letters.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn makes_dead_letters_of_an_array_from_the_text_of_each_event() {
    let events: Vec<_> = (0..5_000).map(|i| format!("{{\"x\" : {i}}}")).collect();
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), &format!("[{}]", events.join(" ,\n"))).await;
    assert!(handled.answer.is_ok());
    let dead_letters = rig.dead_letters.taken.lock().unwrap();
    assert!(dead_letters.iter().map(|dead_letter| &dead_letter.body).eq(&events));
    assert_eq!(dead_letters[4_999].deduplication_id, "request-1-4999");
    assert!(dead_letters[4_999].detail.starts_with("[4999].x: unknown key"), "{}", dead_letters[4_999].detail);
}

#[tokio::test]
async fn makes_one_dead_letter_of_a_payload_with_more_than_5000_rejected_events() {
    let payload = format!(" [{}]\n", vec!["{}"; 5_001].join(" ,"));
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), &payload).await;
    assert!(handled.answer.is_ok());
    let dead_letters = rig.dead_letters.taken.lock().unwrap();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!((&dead_letters[0].body, dead_letters[0].deduplication_id.as_str()), (&payload, "request-1"));
    assert!(dead_letters[0].detail.ends_with("; and 5000 more"), "{}", dead_letters[0].detail);
}

#[tokio::test]
async fn reports_a_dead_letter_that_the_queue_does_not_take_to_the_caller() {
    let rig = Rig { dead_letters: Letters { refuse: "\"y\"", ..Letters::default() }, ..Rig::new() };
    let handled = rig.handle(&rig.gateway(stored), r#"[{"x":1},{"y":1},{"metrics":{"a":1}}]"#).await;
    let FunctionError { error_type, error_message } = handled.answer.unwrap_err();
    assert_eq!(error_type, "dead_letter_failed");
    let report: serde_json::Value = serde_json::from_str(&error_message).unwrap();
    assert_eq!((&report["accepted"], &report["rejected_count"]), (&1.into(), &2.into()));
}

#[tokio::test]
async fn drops_late_samples_if_the_operator_wants_it() {
    let rig = Rig { vars: vec![("LATE_SAMPLES", "drop")], ..Rig::new() };
    let late = format!(r#"{{"timestamp":{},"metrics":{{"a":1}}}}"#, NOW - 3_600_001);
    let handled = rig.handle(&rig.gateway(stored), &late).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert_eq!((&report["rejected_count"], &report["dropped"][0]["reason"]), (&0.into(), &"too_old".into()));
    assert_eq!(handled.summary.dropped_by[Reason::TooOld as usize], 1);
    let handled = rig.handle(&rig.gateway(stored), &sqs(false, &[("", &late)])).await;
    assert!(failures(&handled).is_empty() && rig.dead_letters.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn names_the_index_of_a_contradiction_in_an_array() {
    let payload = r#"[{"metrics":{"a":1}},{"metrics":{"a":1.0}},{"metrics":{"a":2}}]"#;
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), payload).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert_eq!((&report["accepted"], &report["samples"]), (&2.into(), &1.into()));
    assert_eq!(report["rejected"][0]["reason"], "duplicate_timestamp");
    let detail = report["rejected"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("[2].metrics.a: 2 at "), "{detail}");
}

/// Panics instead of sending.
struct Broken;

impl Transport for Broken {
    async fn send(&self, _: http::Request<Bytes>, _: ReadBody, _: Duration) -> Answered {
        panic!("a defect, for the test of it")
    }
}

#[tokio::test]
async fn returns_and_counts_everything_after_a_defect() {
    let vars = [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none")];
    let vars: BTreeMap<_, _> = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let gateway = Gateway::new(&Settings::from_vars(&vars).unwrap(), Broken, None::<Letters>).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let invocation = Invocation { request_id: "r".to_owned(), started: Timestamp(NOW), deadline };
    for _ in 0..2 {
        let handled = handle_messages(&gateway, Bytes::from(events(&["a", "b"])), &invocation).await;
        assert_eq!(handled.answer.unwrap_err().error_type, "delivery_failed");
        adds_up(&handled.summary);
        assert_eq!(handled.summary.returned, 2);
    }
}

#[tokio::test]
async fn keeps_the_detail_of_each_dead_letter_beside_a_flood_of_rejections() {
    let rig = Rig::new();
    let flood = format!("[{}]", vec!["{}"; 12_000].join(","));
    let handled =
        rig.handle(&rig.gateway(stored), &sqs(false, &[("", &flood), ("", r#"{"metrics":{"ph":"abc"}}"#)])).await;
    assert_eq!(handled.summary.dead_lettered, 2);
    assert_eq!(rig.dead_letters.taken.lock().unwrap()[1].detail, r#"metrics.ph: "abc" is not a number"#);
    let contradiction =
        format!(r#"[{{"metrics":{{"a":1}}}},{{"metrics":{{"a":2}}}},{}]"#, vec!["{}"; 12_000].join(","));
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), &contradiction).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert!(report["rejected"][0]["detail"].as_str().unwrap().starts_with("[1].metrics.a: 2 at "));
}

/// One of a few bodies: good, rejected, or of several events.
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

    /// Whatever comes in and whatever the receiver answers, every event gets one outcome, and every message is acknowledged, returned or
    /// dead-lettered, never two of these.
    #[test]
    fn property_test_every_message_gets_exactly_one_action(
        messages in proptest::collection::vec((prop_oneof![Just("a"), Just("b")], body()), 0..12),
        fifo: bool, status in prop_oneof![Just(200_u16), Just(404), Just(400), Just(413)], split: bool,
    ) {
        let decoded = if split { 1 } else { 3_000_000 };
        let rig = Rig { limits: wire::Limits { decoded, compressed: 900_000 }, ..Rig::new() };
        let gateway = rig.gateway(move |request| answers(if has(request, "bad") { status } else { 200 }, ""));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let handled = runtime.block_on(rig.handle(&gateway, &sqs(fifo, &messages)));
        let failures = failures(&handled);
        let dead_letters = rig.dead_letters.taken.lock().unwrap();
        prop_assert_eq!(handled.summary.messages, messages.len() as u64);
        prop_assert_eq!(handled.summary.returned, failures.len() as u64);
        prop_assert_eq!(handled.summary.dead_lettered, dead_letters.len() as u64);
        prop_assert!(dead_letters.iter().all(|dead_letter| !failures.contains(&dead_letter.source_message_id)));
        if status != 404 {
            prop_assert!(failures.is_empty());
        }
        if matches!(status, 400 | 413) {
            // Only messages with such an event are dead-lettered for it.
            let of_receiver = dead_letters.iter().filter(|dead_letter| dead_letter.detail.contains("the receiver answered"));
            prop_assert!(of_receiver.into_iter().all(|dead_letter| dead_letter.body.contains("\"bad\"")));
        }
    }
}
