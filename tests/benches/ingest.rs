//! The whole way in process, from the bytes of a payload to the signed request, against a floor: a bare `serde_json`
//! parse of the same payload, envelope and bodies, into borrowed structs.
//!
//! `cargo bench --bench ingest`. Machines differ and are shared: read the ratio of the two in one run, printed at the
//! end, not the times.

use amp_push_gateway::amp::{CredentialsSource, Signed, Signer};
use amp_push_gateway::config::Settings;
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::gateway::Gateway;
use amp_push_gateway::lambda::{Invocation, handle};
use amp_push_gateway::model::Timestamp;
use amp_push_gateway::remote_write::{Answer, Transport, TransportError};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

const NOW: i64 = 1_676_398_020_000;

/// Takes the signed request and is done.
struct Accepts;

impl Transport for Accepts {
    async fn send(&self, request: http::Request<Bytes>, _: Duration) -> Result<Answer, TransportError> {
        assert!(request.headers().contains_key("authorization"));
        black_box(request);
        Ok(Answer { status: 204, retry_after: None, body: String::new() })
    }
}

/// What SQS hands over: `records` messages of about 740 bytes, each with one event of two metrics.
fn payload(records: u32) -> Bytes {
    let record = |i: u32| {
        let (customer, device, time) = (i % 50, i % 500, NOW - 1_000 * i64::from(i / 500));
        let body = format!(
            r#"{{"dimensions": {{"customerId": "customer{customer}", "deviceId": "device-{device:05}"}}, "timestamp": {time}, "metrics": {{"temperature": "{}.{}", "ph": 6.{}}}}}"#,
            10 + i % 20,
            i % 10,
            i % 97,
        );
        serde_json::json!({
            "messageId": format!("059f36b4-87a3-44ab-83d2-{i:012x}"),
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(3),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": NOW.to_string(), "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": NOW.to_string(),
            },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:water-sensors",
            "awsRegion": "eu-west-1",
        })
    };
    Bytes::from(serde_json::json!({ "Records": (0..records).map(record).collect::<Vec<_>>() }).to_string())
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
}

#[derive(Deserialize)]
struct FloorMetrics<'a> {
    temperature: &'a str,
    ph: f64,
}

fn floor(payload: &[u8]) -> u64 {
    let envelope: FloorEnvelope<'_> = serde_json::from_slice(payload).expect("an envelope");
    for record in &envelope.records {
        let event: FloorEvent<'_> = serde_json::from_str(&record.body).expect("an event");
        black_box((&record.message_id, event.dimensions.customer_id, event.dimensions.device_id));
        black_box((event.timestamp, event.metrics.temperature, event.metrics.ph));
    }
    envelope.records.len() as u64
}

fn gateway() -> Gateway<Signed<Accepts>, SqsDeadLetters> {
    let vars = [
        ("REMOTE_WRITE_URL", "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
    ];
    let vars: BTreeMap<_, _> = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let settings = Settings::from_vars(&vars).expect("valid settings");
    let credentials = CredentialsSource::new(settings.credentials().cloned(), "eu-west-1");
    let signer = Signer { region: "eu-west-1".to_owned(), credentials };
    Gateway::new(&settings, Signed::new(Accepts, Some(signer)), None).expect("a gateway")
}

fn whole(runtime: &tokio::runtime::Runtime, gateway: &Gateway<Signed<Accepts>, SqsDeadLetters>, payload: Bytes) -> u64 {
    let invocation = Invocation {
        request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        started: Timestamp(NOW),
        deadline: tokio::time::Instant::now() + Duration::from_secs(30),
    };
    let handled = runtime.block_on(handle(gateway, payload, &invocation));
    assert!(handled.answer.is_ok());
    handled.metrics.delivered
}

fn benches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let gateway = gateway();
    let mut group = criterion.benchmark_group("sqs_batch");
    for records in [50, 1_000, 8_000] {
        let payload = payload(records);
        assert_eq!(
            (floor(&payload), whole(&runtime, &gateway, payload.clone())),
            (u64::from(records), u64::from(records))
        );
        group.throughput(Throughput::Elements(records.into()));
        group.bench_function(format!("floor/{records}"), |b| b.iter(|| floor(&payload)));
        group.bench_function(format!("whole/{records}"), |b| {
            b.iter_batched(|| payload.clone(), |payload| whole(&runtime, &gateway, payload), BatchSize::SmallInput);
        });
    }
    group.finish();
    ratios(&runtime, &gateway);
}

/// The two in turn, so that both meet the same noise.
fn ratios(runtime: &tokio::runtime::Runtime, gateway: &Gateway<Signed<Accepts>, SqsDeadLetters>) {
    for records in [50, 1_000, 8_000] {
        let payload = payload(records);
        let mut ratios: Vec<f64> = (0..201)
            .map(|_| {
                let start = Instant::now();
                black_box(floor(&payload));
                let floor = start.elapsed();
                let start = Instant::now();
                black_box(whole(runtime, gateway, payload.clone()));
                start.elapsed().as_secs_f64() / floor.as_secs_f64()
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let bytes = payload.len() / records as usize;
        println!("{records} records of {bytes} bytes: whole / floor = {:.2} (median of {})", ratios[100], ratios.len());
    }
}

criterion_group!(all, benches);
criterion_main!(all);
