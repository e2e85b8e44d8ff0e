//! Measures the parser of the text format on the file of Prometheus' own benches. The floor is a check of UTF-8 and a scan for
//! the ends of lines.
//!
//! `tests/speed/exposition` fetches the file, runs this and Prometheus' parser, and prints the ratios.

use amp_push_gateway::exposition::{Family, SampleValue, parse_text};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn exposition(criterion: &mut Criterion) {
    let path = std::env::var("EXPOSITION_FILE").expect("EXPOSITION_FILE, which tests/speed/exposition sets");
    let body = std::fs::read(&path).expect("the file");
    let mut group = criterion.benchmark_group("exposition");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            let text = std::str::from_utf8(black_box(&body)).expect("UTF-8");
            memchr::memchr_iter(b'\n', text.as_bytes()).count()
        });
    });
    group.bench_function("parse", |bencher| bencher.iter(|| parse(black_box(&body))));
    group.finish();
}

/// Parses, and looks at every label, as Prometheus' parser is asked to.
fn parse(body: &[u8]) -> (usize, f64) {
    let exposition = parse_text(body).expect("an exposition");
    let (mut bytes, mut sum) = (0, 0.0);
    for series in exposition.families().flat_map(Family::series) {
        bytes += series.name().len() + series.labels().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if let SampleValue::Float(value) = series.value() {
            sum += value;
        }
    }
    (bytes, sum)
}

criterion_group!(benches, exposition);
criterion_main!(benches);
