//! Measures the whole way in process, from the bytes of a payload to the signed request, and each stage of it.
//!
//! The same run measures two floors: a bare `serde_json` parse of the same payload into borrowed structs, and snappy on the
//! same bytes. `cargo bench --bench ingest`. Machines differ and are shared: compare the ratios of one run, printed at the
//! end, not the times.

mod workload;

use amp_push_gateway::aws::{BodyPolicy, Transport as _};
use amp_push_gateway::event::{Event, EventTimes, PlainEvent, Rules, read_message};
use amp_push_gateway::model::{ItemId, Timestamp};
use amp_push_gateway::series::{SampleTable, SampleTableBuilder};
use amp_push_gateway::wire::{Encoder, Form, Limits, encode};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::sync::LazyLock;
use std::time::Duration;
use workload::{Accepts, Function, NOW, Snappy, costs, floor, payload, requests, runtime, signed};

const SIZES: [u32; 4] = [1, 50, 1_000, 10_000];
static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

fn bodies(payload: &Bytes) -> Vec<String> {
    let payload: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
    let records = payload["Records"].as_array().expect("records");
    records.iter().map(|record| record["body"].as_str().expect("a body").to_owned()).collect()
}

fn events(bodies: &[String]) -> Vec<(ItemId, PlainEvent<'_>)> {
    let clock = EventTimes { now: Timestamp(NOW), sent: Some(Timestamp(NOW)) };
    let mut events = Vec::new();
    for (number, body) in (0..).map(ItemId).zip(bodies) {
        read_message(body, &clock, &RULES, &mut |found| {
            events.push((number, found.event.ok().and_then(Event::plain).expect("a good event")));
        });
    }
    events
}

fn table(events: Vec<(ItemId, PlainEvent<'_>)>) -> SampleTable<'_> {
    let mut table = SampleTableBuilder::default();
    for (item, event) in events {
        let samples = event.metrics.into_iter().map(|(name, value)| (name, event.timestamp, value));
        table.add(item, event.labels, samples);
    }
    table.finish(&mut |contradiction| panic!("{contradiction:?}"))
}

fn stages(criterion: &mut Criterion) {
    let runtime = runtime();
    let function = Function::new(Accepts);
    for size in SIZES {
        let payload = payload(size, NOW);
        let bodies = bodies(&payload);
        let all = table(events(&bodies));
        let limits = Limits::default();
        let mut encoder = Encoder::default();
        let requests = requests(&payload);

        let mut group = criterion.benchmark_group(size.to_string());
        group.throughput(Throughput::Elements(size.into()));
        group.bench_function("floor", |b| b.iter(|| floor(&payload)));
        group.bench_function("whole", |b| {
            b.iter_batched(|| payload.clone(), |payload| function.whole(payload), BatchSize::SmallInput);
        });
        group.bench_function("bodies to events", |b| b.iter_with_large_drop(|| events(&bodies)));
        group.bench_function("events to series", |b| {
            b.iter_batched(|| events(&bodies), table, BatchSize::LargeInput);
        });
        group
            .bench_function("series to requests", |b| b.iter(|| encode(&all, &limits, Form::V1, &mut encoder).count()));
        let mut snappy = Snappy::new();
        group.bench_function("snappy alone", |b| b.iter(|| snappy.compress(&requests)));
        group.bench_function("signatures", |b| {
            let signed = signed(Accepts);
            let request = |block: &Bytes| {
                let request = http::Request::post(
                    "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
                );
                let request =
                    request.header("content-encoding", "snappy").header("content-type", "application/x-protobuf");
                let request = request.header("x-prometheus-remote-write-version", "0.1.0");
                request.body(block.clone()).expect("a request")
            };
            b.iter(|| {
                for (block, _) in &requests {
                    runtime
                        .block_on(signed.send(request(block), |_| BodyPolicy::Skip, Duration::from_secs(1)))
                        .expect("an answer");
                }
            });
        });
        group.finish();
    }
}

fn ratios(_: &mut Criterion) {
    println!("events: nanoseconds an event (times the floor)");
    for size in SIZES {
        let rounds = (400_000 / size).clamp(100, 2_000) as usize;
        let costs = costs(size, rounds);
        let (_, floor) = costs[0];
        let shown = |(part, cost): (&str, f64)| format!("{part} {cost:.0} ({:.2})", cost / floor);
        let shown: Vec<String> = costs.into_iter().filter(|(part, _)| *part != "ratio").map(shown).collect();
        println!("{size}: {}; whole / floor = {:.2}", shown.join(", "), costs[2].1);
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = stages, ratios
}
criterion_main!(all);
