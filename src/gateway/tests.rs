//! Remote write 2.0 out: the fallback to 1.0, what the receiver refuses, and metadata beside the samples.

use super::ingest::tests::{Letters, NOW, answers, events, failures, sqs};
use super::{Gateway, Relay, RelayResult, Relayed};
use crate::aws::{Answer, ReadBody, Transport, TransportError};
use crate::config::Settings;
use crate::lambda::{Handled, Invocation, handle_messages};
use crate::model::Timestamp;
use crate::remote_write::Answered;
use crate::wire::Version;
use crate::wire::messages::{self, WriteRequest, v2};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A request: its version, and for each series the metric, the number of samples, and the type of the metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    version: Version,
    series: Vec<(String, usize, Option<i32>)>,
    families: usize,
}

impl Seen {
    fn has(&self, metric: &str) -> bool {
        self.series.iter().any(|(name, ..)| name == metric)
    }

    fn samples(&self) -> usize {
        self.series.iter().map(|(_, samples, _)| samples).sum()
    }
}

type Requests = Arc<Mutex<Vec<Seen>>>;

/// A receiver that answers by what it sees.
struct Peer<F> {
    answer: F,
    requests: Requests,
}

impl<F: Fn(&Seen) -> Answered + Send + Sync> Transport for Peer<F> {
    async fn send(&self, request: http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        let protobuf = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
        let header = |name| request.headers()[name].to_str().unwrap();
        let kind = (header("content-type"), header("x-prometheus-remote-write-version"));
        let seen = match kind {
            ("application/x-protobuf", "0.1.0") => seen_1(&protobuf),
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0") => seen_2(&protobuf),
            other => panic!("{other:?}"),
        };
        let answer = (self.answer)(&seen);
        self.requests.lock().unwrap().push(seen);
        answer
    }
}

fn seen_1(protobuf: &[u8]) -> Seen {
    let request = WriteRequest::decode(protobuf).unwrap();
    let series = request.timeseries.iter().map(|series| {
        let name = series.labels.iter().find(|label| label.name == "__name__").unwrap().value.clone();
        (name, series.samples.len() + series.histograms.len(), None)
    });
    Seen { version: Version::V1, series: series.collect(), families: request.metadata.len() }
}

fn seen_2(protobuf: &[u8]) -> Seen {
    let request = v2::Request::decode(protobuf).unwrap();
    let symbol = |reference: u32| request.symbols[reference as usize].as_str();
    let series = request.timeseries.iter().map(|series| {
        let name = series.labels_refs.chunks(2).find(|pair| symbol(pair[0]) == "__name__").unwrap();
        let metadata = series.metadata.map(|metadata| metadata.metric_type);
        (symbol(name[1]).to_owned(), series.samples.len() + series.histograms.len(), metadata)
    });
    Seen { version: Version::V2, series: series.collect(), families: 0 }
}

/// A success of a receiver of 2.0.
fn counted(status: u16, text: &str, samples: usize) -> Answered {
    let count = http::HeaderValue::from(samples);
    let headers = [("x-prometheus-remote-write-samples-written", count)];
    let headers = headers.map(|(name, value)| (http::HeaderName::from_static(name), value)).into_iter().collect();
    answers(status, text).map(|answer| Answer { headers, ..answer })
}

fn stores(seen: &Seen) -> Answered {
    match seen.version {
        Version::V1 => answers(204, ""),
        Version::V2 => counted(204, "", seen.samples()),
    }
}

fn gateway<F: Fn(&Seen) -> Answered + Send + Sync>(answer: F) -> (Gateway<Peer<F>, Letters>, Requests) {
    let vars =
        [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none"), ("REMOTE_WRITE_VERSION", "2.0")];
    let vars: BTreeMap<_, _> = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let requests = Requests::default();
    let peer = Peer { answer, requests: Arc::clone(&requests) };
    (Gateway::new(&Settings::from_vars(&vars).unwrap(), peer, Some(Letters::default())).unwrap(), requests)
}

async fn ingest<F: Fn(&Seen) -> Answered + Send + Sync>(
    gateway: &Gateway<Peer<F>, Letters>,
    metrics: &[&str],
) -> Handled {
    let deadline = Instant::now() + Duration::from_secs(30);
    let invocation = Invocation { request_id: "r".to_owned(), started: Timestamp(NOW), deadline };
    handle_messages(gateway, Bytes::from(events(metrics)), &invocation).await
}

async fn relay<F: Fn(&Seen) -> Answered + Send + Sync>(
    gateway: &Gateway<Peer<F>, Letters>,
    request: &WriteRequest,
) -> Relayed {
    let protobuf = request.encode_to_vec();
    let block = snap::raw::Encoder::new().compress_vec(&protobuf).unwrap();
    let deadline = Instant::now() + Duration::from_secs(9);
    let (now, request_id) = (Timestamp(NOW), "r");
    let relay = Relay { version: Version::V1, block: &block, protobuf: &protobuf, now, request_id, deadline };
    gateway.relay(&relay).await.unwrap()
}

/// A request with a sample of each metric.
fn write_request(metrics: &[&str]) -> WriteRequest {
    let series = |metric: &&str| messages::TimeSeries {
        labels: vec![messages::Label { name: "__name__".to_owned(), value: (*metric).to_owned() }],
        samples: vec![messages::Sample { value: 1.0, timestamp: NOW }],
        ..messages::TimeSeries::default()
    };
    WriteRequest { timeseries: metrics.iter().map(series).collect(), metadata: Vec::new() }
}

fn versions(requests: &Requests) -> Vec<Version> {
    requests.lock().unwrap().iter().map(|seen| seen.version).collect()
}

use Version::{V1, V2};

#[tokio::test(start_paused = true)]
async fn sends_the_same_samples_as_version_1_to_a_receiver_without_version_2_and_stays_with_it() {
    // Some of them do not look at the type, and find nothing in the body.
    for refusal in [415, 200, 204] {
        let (gateway, requests) = gateway(move |seen| match seen.version {
            V2 => answers(refusal, ""),
            V1 => stores(seen),
        });
        let handled = ingest(&gateway, &["a", "b"]).await;
        assert_eq!((failures(&handled), handled.summary.delivered), (vec![], 2), "{refusal}");
        assert_eq!(handled.summary.sent.requests, 2);
        ingest(&gateway, &["c"]).await;
        assert_eq!(versions(&requests), [V2, V1, V1], "{refusal}");
        let requests = requests.lock().unwrap();
        assert_eq!(requests[0].series, requests[1].series);
    }
}

#[tokio::test(start_paused = true)]
async fn stays_with_version_2_if_the_receiver_counts_and_retries_what_it_can_not_store_now() {
    let failures_left = Mutex::new(2);
    let (gateway, requests) = gateway(move |seen| {
        let mut left = failures_left.lock().unwrap();
        if *left == 0 {
            return stores(seen);
        }
        *left -= 1;
        answers(503, "busy")
    });
    assert_eq!(ingest(&gateway, &["a"]).await.summary.delivered, 1);
    assert_eq!(ingest(&gateway, &["b"]).await.summary.delivered, 1);
    assert_eq!(versions(&requests), [V2; 4]);
}

#[tokio::test(start_paused = true)]
async fn finds_the_events_that_a_receiver_of_version_2_refuses() {
    let (gateway, requests) =
        gateway(|seen| if seen.has("bad") { counted(400, "invalid", seen.samples() - 1) } else { stores(seen) });
    let summary = ingest(&gateway, &["a", "b", "bad", "c", "d"]).await.summary;
    assert_eq!((summary.delivered, summary.rejected, summary.dead_lettered), (4, 1, 1));
    let requests = requests.lock().unwrap();
    assert!(requests.len() > 2 && requests.iter().all(|seen| seen.version == V2), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn finds_a_culprit_among_events_that_fall_back_at_the_same_time() {
    let (gateway, requests) = gateway(|seen| match (seen.version, seen.has("bad")) {
        (V2, _) => answers(415, ""),
        (V1, true) => answers(400, "invalid"),
        (V1, false) => stores(seen),
    });
    let summary = ingest(&gateway, &["a", "b", "bad", "c"]).await.summary;
    assert_eq!((summary.delivered, summary.rejected), (3, 1));
    assert_eq!(versions(&requests).iter().filter(|version| **version == V2).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn passes_on_to_a_sender_what_the_receiver_refuses_and_counts_and_sends_nothing_again() {
    let table = [
        // Status, text, what the receiver counts: delivered, rejected, errored.
        (400, "out of order sample", 2, (2, 1, 0)),
        (400, "Bad request", 0, (0, 3, 0)),
        (400, "Bad request", 99, (3, 0, 0)),
        (413, "too large", 0, (0, 3, 0)),
        (400, "per-user series limit of 1 exceeded", 2, (0, 0, 3)),
        (401, "", 0, (0, 0, 3)),
        (404, "", 0, (0, 0, 3)),
        (503, "busy", 0, (0, 0, 3)),
        (429, "slow down", 0, (0, 0, 3)),
    ];
    for (status, text, count, expected) in table {
        let (gateway, requests) = gateway(move |_| counted(status, text, count));
        let Relayed { result, written, summary } = relay(&gateway, &write_request(&["a", "b", "c"])).await;
        assert_eq!(versions(&requests), [V2], "{status} {text}");
        assert_eq!((summary.delivered, summary.rejected, summary.errored), expected, "{status} {text}");
        assert_eq!(summary.rejected, summary.rejected_by.iter().sum::<u64>());
        assert_eq!(written.samples, expected.0);
        match result {
            RelayResult::Rejected { rejected, of, first } => {
                assert_eq!((rejected, of), (expected.1, 3));
                assert!(first.contains(text) && first.contains(&status.to_string()), "{first}");
            }
            RelayResult::Failed { failure, retry_after } => {
                assert!(expected.2 == 3 && failure.contains(&status.to_string()), "{failure}");
                // An operator must act first.
                let wait = matches!(status, 401 | 404).then_some(Duration::from_secs(30));
                assert_eq!(retry_after, wait, "{failure}");
            }
            RelayResult::Stored => panic!("{status} {text}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn splits_a_long_request_of_a_sender_that_is_too_large() {
    let metrics: Vec<_> = (0..2_000_u32).map(|i| format!("m_{:08x}", i.wrapping_mul(2_654_435_761))).collect();
    let metrics: Vec<_> = metrics.iter().map(String::as_str).collect();
    let (gateway, requests) = gateway(|seen| match seen.series.len() {
        1_001.. => answers(413, ""),
        _ if seen.has(&format!("m_{:08x}", 0)) => counted(400, "invalid", seen.samples() - 1),
        _ => stores(seen),
    });
    let Relayed { result, written, summary } = relay(&gateway, &write_request(&metrics)).await;
    assert_eq!((written.samples, summary.delivered, summary.rejected), (1_999, 1_999, 1), "{result:?}");
    assert_eq!(requests.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn asks_a_receiver_of_version_1_about_each_sample_of_a_sender() {
    let (gateway, requests) = gateway(|seen| match (seen.version, seen.has("bad")) {
        (V2, _) => answers(204, ""),
        (V1, true) => answers(400, "invalid"),
        (V1, false) => stores(seen),
    });
    for _ in 0..2 {
        let Relayed { result, written, .. } = relay(&gateway, &write_request(&["a", "bad", "c"])).await;
        assert_eq!(written.samples, 2);
        assert!(matches!(result, RelayResult::Rejected { rejected: 1, of: 3, .. }), "{result:?}");
    }
    assert_eq!(versions(&requests).iter().filter(|version| **version == V2).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn sends_the_metadata_of_a_sender_of_version_1_beside_its_next_samples() {
    let (gateway, requests) = gateway(stores);
    let family = messages::MetricMetadata {
        metric_type: 1,
        metric_family_name: "requests".to_owned(),
        help: "All requests.".to_owned(),
        unit: String::new(),
    };
    let alone = WriteRequest { timeseries: Vec::new(), metadata: vec![family] };
    assert_eq!(relay(&gateway, &alone).await.result, RelayResult::Stored);
    assert_eq!(versions(&requests), [], "2.0 has no request of metadata alone");
    relay(&gateway, &write_request(&["requests_total", "other"])).await;
    let seen = requests.lock().unwrap().clone();
    let expected = [("requests_total".to_owned(), 1, Some(1)), ("other".to_owned(), 1, None)];
    assert_eq!((seen.len(), seen[0].series.as_slice()), (1, expected.as_slice()));
}

#[tokio::test(start_paused = true)]
async fn sends_metadata_in_a_request_of_its_own_after_the_fallback() {
    let (gateway, requests) = gateway(|seen| match seen.version {
        V2 => answers(415, ""),
        V1 => stores(seen),
    });
    let family = messages::MetricMetadata { metric_type: 2, metric_family_name: "a".to_owned(), ..Default::default() };
    let both = WriteRequest { metadata: vec![family], ..write_request(&["a"]) };
    assert_eq!(relay(&gateway, &both).await.result, RelayResult::Stored);
    let seen = requests.lock().unwrap().clone();
    let found: Vec<_> = seen.iter().map(|seen| (seen.version, seen.series.len(), seen.families)).collect();
    assert_eq!(found, [(V2, 1, 0), (V1, 1, 0), (V1, 0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn pings_with_the_version_that_it_sends() {
    for (status, expected) in [(204, vec![V2]), (415, vec![V2, V1])] {
        let (gateway, requests) = gateway(move |seen| answers(if seen.version == V2 { status } else { 204 }, ""));
        let answer = gateway.ping(Duration::from_secs(1)).await.unwrap();
        assert_eq!((answer.status, versions(&requests)), (204, expected));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_type_has_no_metadata() {
    let (gateway, requests) = gateway(stores);
    let body = sqs(false, &[("", r#"{"metrics":{"a":1}}"#)]);
    let deadline = Instant::now() + Duration::from_secs(30);
    let invocation = Invocation { request_id: "r".to_owned(), started: Timestamp(NOW), deadline };
    handle_messages(&gateway, Bytes::from(body), &invocation).await;
    assert_eq!(requests.lock().unwrap()[0].series, [("a".to_owned(), 1, None)]);
}
