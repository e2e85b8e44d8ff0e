//! The whole way in process, from the bytes of a payload to the signed request, and each stage of it by itself, against
//! two floors in the same run: a bare `serde_json` parse of the same payload, envelope and bodies, into borrowed structs;
//! and snappy on the same bytes.
//!
//! `cargo bench --bench ingest`. Machines differ and are shared: read the ratios of one run, printed at the end, not the
//! times.

mod workload;

use amp_push_gateway::event::{Clock, Event, Rules, read_message};
use amp_push_gateway::model::{ItemId, Timestamp};
use amp_push_gateway::remote_write::{Answer, Transport, TransportError};
use amp_push_gateway::series::{Merged, merge};
use amp_push_gateway::wire::{Limits, encode};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use workload::{Accepts, Function, NOW, floor, payload, runtime, signed};

const SIZES: [u32; 4] = [1, 50, 1_000, 10_000];

/// Remembers the bodies of the requests, which are snappy blocks.
#[derive(Clone, Default, Debug)]
struct Keeps(Arc<Mutex<Vec<Bytes>>>);

impl Transport for Keeps {
    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<Answer, TransportError> {
        self.0.lock().expect("no panic before").push(request.body().clone());
        Accepts.send(request, timeout).await
    }
}

/// The requests that `payload` becomes: each as snappy block and as protobuf.
fn requests(payload: &Bytes) -> Vec<(Bytes, Vec<u8>)> {
    let keeps = Keeps::default();
    Function::new(keeps.clone()).whole(payload.clone());
    let blocks = keeps.0.lock().expect("no panic before").clone();
    let decoded = |block: Bytes| {
        let protobuf = snap::raw::Decoder::new().decompress_vec(&block).expect("a snappy block");
        (block, protobuf)
    };
    blocks.into_iter().map(decoded).collect()
}

fn bodies(payload: &Bytes) -> Vec<String> {
    let payload: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
    let records = payload["Records"].as_array().expect("records");
    records.iter().map(|record| record["body"].as_str().expect("a body").to_owned()).collect()
}

fn events(bodies: &[String]) -> Vec<(ItemId, Event<'_>)> {
    let clock = Clock { now: Timestamp(NOW), sent: Some(Timestamp(NOW)) };
    let rules = Rules::default();
    let mut events = Vec::new();
    for (message, body) in (0..).zip(bodies) {
        read_message(body, &clock, &rules, &mut |found| {
            events.push((ItemId { message, event: 0 }, found.event.expect("a good event")));
        });
    }
    events
}

fn merged(events: Vec<(ItemId, Event<'_>)>) -> Merged<'_> {
    merge(events, &mut |item, refusal| panic!("{item:?} is refused: {refusal:?}"))
}

fn compress(snappy: &mut snap::raw::Encoder, protobuf: &[u8], block: &mut [u8]) -> usize {
    snappy.compress(protobuf, block).expect("less than 4 GiB")
}

fn stages(criterion: &mut Criterion) {
    let runtime = runtime();
    let function = Function::new(Accepts);
    for size in SIZES {
        let payload = payload(size, NOW);
        let bodies = bodies(&payload);
        let all = merged(events(&bodies));
        let limits = Limits::default();
        let requests = requests(&payload);

        let mut group = criterion.benchmark_group(size.to_string());
        group.throughput(Throughput::Elements(size.into()));
        group.bench_function("floor", |b| b.iter(|| floor(&payload)));
        group.bench_function("whole", |b| {
            b.iter_batched(|| payload.clone(), |payload| function.whole(payload), BatchSize::SmallInput);
        });
        group.bench_function("bodies to events", |b| b.iter_with_large_drop(|| events(&bodies)));
        group.bench_function("events to series", |b| {
            b.iter_batched(|| events(&bodies), merged, BatchSize::LargeInput);
        });
        group.bench_function("series to requests", |b| b.iter(|| encode(&all, &limits).count()));
        group.bench_function("snappy alone", |b| {
            let mut snappy = snap::raw::Encoder::new();
            let longest = requests.iter().map(|(_, protobuf)| protobuf.len()).max().expect("a request");
            let mut block = vec![0; snap::raw::max_compress_len(longest)];
            b.iter(|| {
                for (_, protobuf) in &requests {
                    black_box(compress(&mut snappy, protobuf, &mut block));
                }
            });
        });
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
                    runtime.block_on(signed.send(request(block), Duration::from_secs(1))).expect("an answer");
                }
            });
        });
        group.finish();
    }
}

/// What is compared takes turns, so that all meet the same noise; medians.
fn ratios(_: &mut Criterion) {
    let function = Function::new(Accepts);
    println!(
        "events | floor ns/event | whole ns/event | whole / floor | read, merge, encode, send / floor | snappy / floor"
    );
    for size in SIZES {
        let payload = payload(size, NOW);
        let requests = requests(&payload);
        let mut snappy = snap::raw::Encoder::new();
        let mut block = vec![0; snap::raw::max_compress_len(3_000_000)];
        let mut rounds: [Vec<f64>; 8] = Default::default();
        for _ in 0..=(400_000 / size).clamp(100, 2_000) {
            let start = Instant::now();
            black_box(floor(&payload));
            let floor = start.elapsed();
            // A buffer of its own, as each invocation has it.
            let payload = payload.to_vec().into();
            let start = Instant::now();
            let stages = black_box(function.whole(payload)).metrics.stages;
            let whole = start.elapsed();
            let start = Instant::now();
            for (_, protobuf) in &requests {
                black_box(compress(&mut snappy, protobuf, &mut block));
            }
            let snappy = start.elapsed();
            let parts = [whole, stages.read, stages.merge, stages.encode, stages.send, snappy];
            rounds[0].push(nanoseconds(floor, size));
            rounds[1].push(nanoseconds(whole, size));
            for (ratios, part) in rounds[2..].iter_mut().zip(parts) {
                ratios.push(part.as_secs_f64() / floor.as_secs_f64());
            }
        }
        let [floor, whole, ratio, read, merge, encode, send, snappy] = rounds.map(median);
        println!(
            "{size} of {} bytes | {floor:.0} | {whole:.0} | {ratio:.2} | {read:.2}, {merge:.2}, {encode:.2}, {send:.2} | {snappy:.2}",
            payload.len() / size as usize,
        );
    }
}

fn nanoseconds(time: Duration, events: u32) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(events)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = stages, ratios
}
criterion_main!(all);
