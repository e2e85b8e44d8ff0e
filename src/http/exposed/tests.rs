use super::super::page::typed_section;
use super::*;
use crate::aggregate::Identity;
use crate::aggregate::journal::JournalBuilder;
use crate::aws::{Answer, ReadBody, Transport, TransportError};
use crate::config::{Settings, StateSettings};
use crate::dead_letter::{DeadLetter, DeadLetterError, DeadLetterQueue};
use crate::gateway::{State, TickCall};
use crate::model::{LabelSet, Layout, MetricName, Observation, Timestamp, TypedMetric, Update, Value};
use crate::store::{Item, Key, MemoryStore, Range, Store};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const NOW: i64 = 1_796_000_000_000;

/// A receiver that takes everything.
struct Receiver;

impl Transport for Receiver {
    async fn send(&self, _: http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        Ok(Answer { status: 200, ..Answer::default() })
    }
}

struct Letters;

impl DeadLetterQueue for Letters {
    async fn put(&self, letters: Vec<DeadLetter>, _: Instant) -> Vec<Result<(), DeadLetterError>> {
        letters.iter().map(|_| Ok(())).collect()
    }
}

fn gateway(store: &Arc<MemoryStore>) -> Gateway<Receiver, Letters> {
    let vars: BTreeMap<String, String> = [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let state = State::new(store.clone(), StateSettings::default());
    Gateway::new(&Settings::from_vars(&vars).unwrap(), Receiver, None).unwrap().with_state(Some(state))
}

fn metric(name: &str, update: Update) -> TypedMetric<'static> {
    let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
    TypedMetric { name, labels: LabelSet::default(), update, help: None, time: Timestamp(NOW), id: None }
}

/// Returns a table in which a tick has counted the updates.
async fn ticked(metrics: &[TypedMetric<'_>]) -> (Arc<MemoryStore>, Gateway<Receiver, Letters>) {
    let store = Arc::new(MemoryStore::new());
    let gateway = gateway(&store);
    let mut builder = JournalBuilder::default();
    for (i, metric) in metrics.iter().enumerate() {
        builder.add(0, Identity::of_event("m", i as u64), metric, Timestamp(NOW - 5)).unwrap();
    }
    for (i, item) in builder.finish().unwrap().into_iter().enumerate() {
        put(&store, Key::new("j#0", format!("{:013}#{i:016x}", NOW - 5)), item.blob).await;
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    let tick = Timestamp(NOW);
    let call = TickCall { tick, shard: None, started: tick, request_id: "r", deadline };
    assert_eq!(gateway.tick(&call).await.unwrap().sum.error, None);
    (store, gateway)
}

async fn put(store: &MemoryStore, key: Key, body: Bytes) {
    store.put(Item { key, version: 1, expires: None, body }, Duration::from_secs(5)).await.unwrap();
}

async fn get(gateway: &Gateway<Receiver, Letters>, accept: &str) -> Response {
    let request = Request {
        method: "GET".into(),
        path: Ok("/metrics".into()),
        query: "".into(),
        headers: vec![("accept".into(), accept.into())],
        body: Cow::Borrowed(b""),
        authorised_by_aws: false,
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    scrape(gateway, &request, Call { request_id: "r", started: Timestamp(NOW + 1), deadline }).await.response
}

#[tokio::test]
async fn a_scrape_shows_what_the_last_tick_counted_as_text_and_as_protobuf() {
    let observations = vec![Observation { value: 0.5, count: 2 }];
    let histogram = Update::Histogram { layout: Layout::Classic(vec![1.0]), observations };
    let counter = Update::Counter(Value::Integer(3));
    let (_, gateway) = ticked(&[metric("latency", histogram), metric("orders_total", counter)]).await;
    let answer = get(&gateway, "").await;
    let expected = "# TYPE latency histogram\nlatency_bucket{instance=\"\",le=\"1.0\"} 2\n\
                    latency_bucket{instance=\"\",le=\"+Inf\"} 2\nlatency_sum{instance=\"\"} 1\n\
                    latency_count{instance=\"\"} 2\n# TYPE orders_total counter\norders_total{instance=\"\"} 3\n";
    assert_eq!((answer.status, std::str::from_utf8(&answer.body).unwrap()), (200, expected));
    let answer = get(&gateway, PROTOBUF).await;
    let parsed = crate::exposition::parse_protobuf(&answer.body).unwrap();
    assert_eq!(
        parsed.families().map(|family| family.name().to_owned()).collect::<Vec<_>>(),
        ["latency", "orders_total"]
    );
    let typed = gateway.typed(Timestamp(NOW), Instant::now() + Duration::from_secs(5)).await.unwrap().unwrap();
    let section = typed_section(&typed, Timestamp(NOW + 200_000));
    for part in ["<b>2</b> series", "3 min 20 s ago</time>", "orders_total", "<span class=number>3</span>", "count"] {
        assert!(section.contains(part), "{part} is missing:\n{section}");
    }
}

#[tokio::test]
async fn the_page_shows_the_first_series_and_says_how_many_more_there_are() {
    let metrics: Vec<_> = (0..250).map(|i| metric(&format!("m{i:03}"), Update::Gauge(Value::Integer(i)))).collect();
    let (_, gateway) = ticked(&metrics).await;
    let typed = gateway.typed(Timestamp(NOW), Instant::now() + Duration::from_secs(5)).await.unwrap().unwrap();
    let section = typed_section(&typed, Timestamp(NOW));
    assert!(section.contains("m199") && !section.contains("m200") && section.contains("and 50 more"), "{section}");
}

#[tokio::test]
async fn a_damaged_snapshot_is_503_with_a_sentence_that_names_it() {
    let (store, gateway) = ticked(&[metric("a", Update::Gauge(Value::Integer(1)))]).await;
    let blobs = store.query(&Range::all("s#0".to_owned()), None).await.unwrap().items;
    let snapshot = blobs.iter().find(|item| item.key.sort.starts_with("b#")).unwrap();
    put(&store, snapshot.key.clone(), Bytes::from_static(b"\x01damaged")).await;
    let answer = get(&gateway, "").await;
    let expected = "the typed series of shard 0 cannot be shown: a snapshot in the table: the blob is damaged";
    assert_eq!(answer.status, 503);
    assert!(answer.sentence().unwrap().starts_with(expected), "{answer:?}");
}
