//! The workload of the benches and the yardstick: a batch of SQS records, and its way through the function in process. A
//! floor shows how little any reader of the same records must do.

use amp_push_gateway::amp::SIGNING_NAME;
use amp_push_gateway::aws::{Answer, CredentialsSource, ReadBody, Signed, Signer, Transport, TransportError};
use amp_push_gateway::config::Settings;
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::gateway::{Gateway, Otlp, OtlpEncoding};
use amp_push_gateway::lambda::{Handled, Invocation, handle_messages};
use amp_push_gateway::model::Timestamp;
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// The time of the invocations in process.
pub(crate) const NOW: i64 = 1_676_398_020_000;

/// Returns the payload of one invocation as the event source mapping sends it. Each record takes about 800 bytes: keys in its
/// order, a usual receipt handle, and one event of two metrics. Each device of the fleet sends two events, so that a batch of
/// 1,000 has 1,000 series of two samples.
pub(crate) fn payload(records: u32, now: i64) -> Bytes {
    let mut text = String::from(r#"{"Records":["#);
    for i in 0..records {
        let separator = if i == 0 { "" } else { "," };
        let devices = records.div_ceil(2);
        let (device, customer, sent) = (i % devices, i % devices % 50, now - 1_500 + i64::from(i / devices) * 1_000);
        let (temperature, ph, number) = (10 + i % 20, i % 97, scattered(i));
        write!(
            text,
            r#"{separator}{{"messageId":"059f36b4-87a3-44ab-{:04x}-{:012x}","receiptHandle":"AQEB{:016x}{:016x}JnKyrHigUMZj6rYigCgxlaS3SLy0a{:016x}{:016x}gUMZj6rYigCgxlaS3SLy0aAQEBwJnKyrHigUMZ/6rYigCgxl+S3SLy0a==","body":"{{\"dimensions\": {{\"customerId\": \"customer{customer}\", \"deviceId\": \"device-{device:05}\", \"site\": \"plant-{}\"}}, \"timestamp\": {sent}, \"metrics\": {{\"temperature\": \"{temperature}.{}\", \"ph\": 6.{ph}}}}}","attributes":{{"ApproximateReceiveCount":"1","SentTimestamp":"{sent}","SenderId":"AIDAIENQZJOLO23YVJ4VO","ApproximateFirstReceiveTimestamp":"{now}"}},"messageAttributes":{{}},"md5OfBody":"{:016x}{:016x}","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:123456789012:water-sensors","awsRegion":"eu-west-1"}}"#,
            number >> 48,
            number & 0xffff_ffff_ffff,
            number,
            number.rotate_left(17),
            number.rotate_left(29),
            number.rotate_left(43),
            device % 7,
            i % 10,
            number.rotate_left(7),
            number.rotate_left(11),
        )
        .expect("a string takes everything");
    }
    text.push_str("]}");
    Bytes::from(text)
}

/// Returns bits that look random and are the same in each run.
fn scattered(i: u32) -> u64 {
    (u64::from(i) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FloorRecord<'a> {
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FloorEnvelope<'a> {
    #[serde(borrow)]
    records: Vec<FloorRecord<'a>>,
}

#[derive(Deserialize)]
struct FloorEvent<'a> {
    #[serde(borrow)]
    dimensions: FloorDimensions<'a>,
    timestamp: i64,
    #[serde(borrow)]
    metrics: FloorMetrics<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FloorDimensions<'a> {
    customer_id: &'a str,
    device_id: &'a str,
    site: &'a str,
}

#[derive(Deserialize)]
struct FloorMetrics<'a> {
    temperature: &'a str,
    ph: f64,
}

/// Parses the envelope and the bodies with bare `serde_json` into borrowed structs. Returns the number of events.
#[inline(never)]
pub(crate) fn floor(payload: &[u8]) -> u64 {
    let envelope: FloorEnvelope<'_> = serde_json::from_slice(payload).expect("an envelope");
    for record in &envelope.records {
        let FloorEvent { dimensions, timestamp, metrics } = serde_json::from_str(&record.body).expect("an event");
        black_box((&record.message_id, dimensions.customer_id, dimensions.device_id, dimensions.site));
        black_box((timestamp, metrics.temperature, metrics.ph));
    }
    envelope.records.len() as u64
}

/// Accepts every signed request.
#[derive(Debug)]
pub(crate) struct Accepts;

impl Transport for Accepts {
    async fn send(&self, request: http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        assert!(request.headers().contains_key("authorization"));
        black_box(request);
        Ok(Answer { status: 204, ..Answer::default() })
    }
}

/// Accepts every signed request, and keeps the bodies, which are snappy blocks.
#[derive(Clone, Default, Debug)]
struct Keeps(Arc<Mutex<Vec<Bytes>>>);

impl Transport for Keeps {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        read_body: ReadBody,
        timeout: Duration,
    ) -> Result<Answer, TransportError> {
        self.0.lock().expect("no panic before").push(request.body().clone());
        Accepts.send(request, read_body, timeout).await
    }
}

/// Returns the requests that `payload` becomes, each as a snappy block and as protobuf.
pub(crate) fn requests(payload: &Bytes) -> Vec<(Bytes, Vec<u8>)> {
    let keeps = Keeps::default();
    Function::new(keeps.clone()).whole(payload.clone());
    let blocks = keeps.0.lock().expect("no panic before").clone();
    let decoded = |block: Bytes| {
        let protobuf = snap::raw::Decoder::new().decompress_vec(&block).expect("a snappy block");
        (block, protobuf)
    };
    blocks.into_iter().map(decoded).collect()
}

/// Snappy alone, on the protobuf of the requests.
#[derive(Debug)]
pub(crate) struct Snappy {
    encoder: snap::raw::Encoder,
    block: Vec<u8>,
}

impl Snappy {
    pub(crate) fn new() -> Self {
        Self { encoder: snap::raw::Encoder::new(), block: vec![0; snap::raw::max_compress_len(3_000_000)] }
    }

    pub(crate) fn compress(&mut self, requests: &[(Bytes, Vec<u8>)]) {
        for (_, protobuf) in requests {
            black_box(self.encoder.compress(protobuf, &mut self.block).expect("less than 4 GiB"));
        }
    }
}

/// Returns `transport` with the signature of the function's role.
pub(crate) fn signed<T>(transport: T) -> Signed<T> {
    let credentials = CredentialsSource::new(settings().remote_write.credentials, "eu-west-1");
    Signed::new(transport, Some(Signer { service: SIGNING_NAME, region: "eu-west-1".to_owned(), credentials }))
}

fn settings() -> Settings {
    let vars = [
        ("REMOTE_WRITE_URL", "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2VjEXAMPLE/session+token=="),
    ];
    let vars: BTreeMap<_, _> = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Settings::from_vars(&vars).expect("valid settings")
}

/// The function without Lambda and network: it passes the signed request to `T`.
#[derive(Debug)]
pub(crate) struct Function<T> {
    gateway: Gateway<Signed<T>, SqsDeadLetters>,
    runtime: Runtime,
}

impl<T: Transport> Function<T> {
    pub(crate) fn new(transport: T) -> Self {
        let gateway = Gateway::new(&settings(), signed(transport), None).expect("a gateway");
        Self { gateway, runtime: runtime() }
    }

    /// Runs one invocation.
    #[inline(never)]
    pub(crate) fn whole(&self, payload: Bytes) -> Handled {
        let invocation = Invocation {
            request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
            started: Timestamp(NOW),
            deadline: tokio::time::Instant::now() + Duration::from_secs(30),
        };
        let handled = self.runtime.block_on(handle_messages(&self.gateway, payload, &invocation));
        assert_eq!((handled.answer.is_ok(), handled.summary.errored, handled.summary.rejected), (true, 0, 0));
        handled
    }

    /// Takes an OTLP request in protobuf. Returns how many of its data points are stored.
    #[inline(never)]
    #[allow(dead_code, reason = "the yardstick alone has such requests")]
    pub(crate) fn otlp(&self, body: &[u8]) -> u64 {
        let request = Otlp {
            encoding: OtlpEncoding::Protobuf,
            body,
            promoted: &[],
            scope_labels: false,
            now: Timestamp(NOW),
            request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            deadline: tokio::time::Instant::now() + Duration::from_secs(30),
        };
        let done = self.runtime.block_on(self.gateway.otlp(&request)).expect("a request");
        assert_eq!((done.summary.errored, done.summary.rejected), (0, 0));
        done.summary.delivered
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Returns the cost of a batch, part by part: medians of rounds, in nanoseconds for each event.
///
/// Floor, whole and snappy alone take turns, so that all meet the same noise. They are CPU time, which other processes
/// disturb least. The stages are those that the function itself measures, by the wall clock.
pub(crate) fn costs(events: u32, rounds: usize) -> [(&'static str, f64); 8] {
    let payload = payload(events, NOW);
    let function = Function::new(Accepts);
    let requests = requests(&payload);
    let mut snappy = Snappy::new();
    let mut rounds: Vec<[f64; 8]> = (0..=rounds)
        .map(|_| {
            // In memory of its own, as in an invocation: the largest block that was freed decides how much memory the allocator
            // keeps.
            let payload = Bytes::copy_from_slice(&payload);
            let (parsed, floor) = timed(|| floor(&payload));
            let (summary, whole) = timed(|| function.whole(payload.clone()).summary);
            let ((), snappy) = timed(|| snappy.compress(&requests));
            assert_eq!((parsed, summary.delivered), (u64::from(events), u64::from(events)));
            let stages = summary.stages;
            let [read, merge, encode, send] =
                [stages.read, stages.merge, stages.encode, stages.send].map(|stage| stage.as_secs_f64());
            [floor, whole, whole / floor, read, merge, encode, send, snappy]
        })
        .collect();
    // Its caches were cold.
    rounds.remove(0);
    let mut number = 0..;
    ["floor", "whole", "ratio", "read", "merge", "encode", "send", "snappy"].map(|name| {
        let number = number.next().expect("another number");
        let mut values: Vec<f64> = rounds.iter().map(|round| round[number]).collect();
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).expect("at least one round");
        (name, if name == "ratio" { *median } else { median * 1e9 / f64::from(events) })
    })
}

/// Returns the result of `work`, and its CPU time in seconds.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            u64::try_from(time.tv_sec).expect("not negative"),
            u32::try_from(time.tv_nsec).expect("below 10^9"),
        )
    };
    let start = now();
    let result = work();
    (result, now().saturating_sub(start).as_secs_f64())
}
