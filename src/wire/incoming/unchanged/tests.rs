use super::*;
use crate::wire::messages::{BucketSpan, Count, Exemplar, Histogram, Label, MetricMetadata, Sample, TimeSeries};
use crate::wire::messages::{WriteRequest, ZeroCount};
use proptest::prelude::*;
use prost::Message as _;
use std::collections::HashSet;

fn series(labels: &[(&str, &str)], times: &[i64]) -> TimeSeries {
    let label = |&(name, value): &(&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
    TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: times.iter().map(|&timestamp| Sample { value: 1.5, timestamp }).collect(),
        ..TimeSeries::default()
    }
}

fn bytes(series: &[TimeSeries]) -> Vec<u8> {
    WriteRequest { timeseries: series.to_vec(), metadata: Vec::new() }.encode_to_vec()
}

fn histogram(timestamp: i64) -> Histogram {
    Histogram {
        count: Some(Count::Int(3)),
        zero_count: Some(ZeroCount::Int(1)),
        positive_spans: vec![BucketSpan { offset: 0, length: 1 }],
        positive_deltas: vec![2],
        timestamp,
        ..Histogram::default()
    }
}

#[test]
fn a_request_stays_as_it_is_if_all_its_series_may() {
    let long = "v".repeat(2_048);
    let requests = [
        vec![series(&[("__name__", "up"), ("job", "x")], &[1, 2])],
        vec![series(&[("A", "1"), ("__name__", "a:b"), ("__replica__", "r"), ("z", "é\u{10FFFF}")], &[-5])],
        vec![series(&[("__name__", "up"), ("a", &long), ("b", &long[..200])], &[1])],
        vec![series(&[("__name__", "a")], &[1]), series(&[("__name__", "b")], &[1])],
        vec![TimeSeries { histograms: vec![histogram(1), histogram(2)], ..series(&[("__name__", "h")], &[]) }],
    ];
    for request in requests {
        let samples = request.iter().map(|series| series.samples.len() as u64).sum();
        let histograms = request.iter().map(|series| series.histograms.len() as u64).sum();
        let expected = Unchanged { series: request.len() as u64, samples, histograms };
        assert_eq!(unchanged(&bytes(&request)), Some(expected), "{request:?}");
    }
}

#[test]
fn a_request_is_read_in_full_if_something_of_it_would_change_or_be_rejected() {
    let long = "v".repeat(2_049);
    let many: Vec<_> = (0..150).map(|i| format!("l{i:03}")).collect();
    let mut labels = vec![("__name__", "up")];
    labels.extend(many.iter().map(|name| (name.as_str(), "v")));
    let up = &[("__name__", "up"), ("job", "x")];
    let contradiction = Histogram { count: Some(Count::Int(4)), ..histogram(1) };
    let requests = [
        vec![],
        vec![series(up, &[])],
        vec![series(up, &[1]), series(&[("__name__", "a")], &[1]), series(up, &[2])],
        vec![series(up, &[1, 1])],
        vec![series(up, &[2, 1])],
        vec![series(&[("job", "x")], &[1])],
        vec![series(&[("job", "x"), ("__name__", "up")], &[1])],
        vec![series(&[("__name__", "up"), ("__name__", "up")], &[1])],
        vec![series(&[("__name__", "up"), ("job", "")], &[1])],
        vec![series(&[("", "x"), ("__name__", "up")], &[1])],
        vec![series(&[("__name__", "a.b")], &[1])],
        vec![series(&[("__name__", "")], &[1])],
        vec![series(&[("__name__", "up"), ("a:b", "x")], &[1])],
        vec![series(&[("__name__", "up"), ("é", "x")], &[1])],
        vec![series(&[("1", "x"), ("__name__", "up")], &[1])],
        vec![series(&[("__name__", "up"), ("a", &long)], &[1])],
        vec![series(&labels, &[1])],
        vec![TimeSeries { exemplars: vec![Exemplar::default()], ..series(up, &[1]) }],
        vec![TimeSeries { histograms: vec![contradiction], ..series(up, &[]) }],
        vec![TimeSeries { histograms: vec![histogram(1)], ..series(up, &[1]) }],
    ];
    for request in requests {
        assert_eq!(unchanged(&bytes(&request)), None, "{request:?}");
    }
    let metadata = vec![MetricMetadata::default()];
    let request = WriteRequest { timeseries: vec![series(up, &[1])], metadata }.encode_to_vec();
    assert_eq!(unchanged(&request), None);
}

/// Senders write none of these, and a decoder takes them all.
#[test]
fn another_encoding_of_the_same_series_is_read_in_full() {
    let usual = b"\x0a\x22\x0a\x0e\x0a\x08__name__\x12\x02up\x12\x10\x09\0\0\0\0\0\0\xf8\x3f\x10\x01";
    assert!(unchanged(&usual[..usual.len() - 4]).is_none());
    let label = |name: &[u8]| [b"\x0a\x0e", name, b"\x12\x02up"].concat();
    let request = |labels: &[u8]| {
        let sample = b"\x12\x0b\x09\0\0\0\0\0\0\xf8\x3f\x10\x01";
        let contents = [labels, sample].concat();
        [&[0x0a, u8::try_from(contents.len()).unwrap()], contents.as_slice()].concat()
    };
    assert!(unchanged(&request(&label(b"\x0a\x08__name__"))).is_some());
    let others: [&[u8]; 5] = [
        b"\x0a\x0e\x12\x02up\x0a\x08__name__",
        b"\x0a\x8e\x00\x0a\x08__name__\x12\x02up",
        b"\x0a\x0f\x0a\x88\x00__name__\x12\x02up",
        b"\x0a\x10\x0a\x08__name__\x12\x02up\x18\x01",
        b"\x0a\x12\x0a\x02xx\x0a\x08__name__\x12\x02up",
    ];
    for labels in others {
        assert!(WriteRequest::decode(request(labels).as_slice()).is_ok(), "{labels:x?}");
        assert_eq!(unchanged(&request(labels)), None, "{labels:x?}");
    }
    // The label stands behind the sample.
    let behind = [request(&label(b"\x0a\x08__name__")), b"\x0a\x06\x0a\x01b\x12\x01c".to_vec()].concat();
    let mut merged = behind[2..].to_vec();
    merged.drain(merged.len() - 10..merged.len() - 8);
    let merged = [&[0x0a, u8::try_from(merged.len()).unwrap()], merged.as_slice()].concat();
    assert_eq!(unchanged(&merged), None);
}

/// The rules once more, over the decoded message.
fn may_stay(request: &WriteRequest) -> bool {
    let mut seen = HashSet::new();
    let is_valid = |series: &TimeSeries| {
        let names: Vec<_> = series.labels.iter().map(|label| label.name.as_str()).collect();
        let is_classic = |label: &Label| {
            if label.name == METRIC_NAME_LABEL {
                MetricName::classic(&label.value).is_ok_and(|name| !name.as_str().is_empty())
            } else {
                LabelName::classic(&label.name).is_ok()
            }
        };
        names.is_sorted_by(|a, b| a < b)
            && names.contains(&METRIC_NAME_LABEL)
            && series.labels.iter().all(|label| is_classic(label) && !label.value.is_empty())
            && series.samples.is_sorted_by(|a, b| a.timestamp < b.timestamp)
            && !series.samples.is_empty()
            && series.exemplars.is_empty()
    };
    !request.timeseries.is_empty()
        && request.timeseries.iter().all(|series| is_valid(series) && seen.insert(format!("{:?}", series.labels)))
}

fn any_series() -> impl Strategy<Value = TimeSeries> {
    let name = prop_oneof![8 => "[a-c]", 1 => "[A-Z_a-z:.1é]{0,2}", 1 => Just("__name__".to_owned())];
    let value = prop_oneof![8 => "[x-z]", 1 => "\\PC{0,140}"];
    let labels = proptest::collection::btree_map(name, value, 0..3);
    let metric = prop_oneof![9 => "[ab]", 1 => "[a.:é1]{0,2}"];
    let samples = proptest::collection::btree_set(-2..9_i64, 0..4);
    (labels, metric, samples, 0..20_u8).prop_map(|(mut labels, metric, times, fault)| {
        labels.entry(METRIC_NAME_LABEL.to_owned()).or_insert(metric);
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut series = series(&labels, &times.into_iter().collect::<Vec<_>>());
        match fault {
            0 => series.labels.reverse(),
            1 => series.samples.reverse(),
            2 => series.exemplars.push(Exemplar::default()),
            3 => series.samples.extend(series.samples.clone()),
            _ => {}
        }
        series
    })
}

proptest! {
    /// A request stays as it is exactly if the decoded message may.
    #[test]
    fn property_test_judges_as_the_rules_do(timeseries in proptest::collection::vec(any_series(), 0..4)) {
        let request = WriteRequest { timeseries, metadata: Vec::new() };
        prop_assert_eq!(unchanged(&request.encode_to_vec()).is_some(), may_stay(&request));
    }

    /// Whatever the bytes are: a request that stays as it is can be decoded, and the decoded message may stay.
    #[test]
    fn property_test_a_damaged_request_that_stays_is_a_request(
        series in any_series(), position: proptest::sample::Index, byte: u8, cut: bool,
    ) {
        let mut bytes = bytes(&[series]);
        let position = position.index(bytes.len());
        if cut { bytes.truncate(position) } else { bytes[position] = byte }
        if unchanged(&bytes).is_some() {
            let request = WriteRequest::decode(bytes.as_slice());
            prop_assert!(request.as_ref().is_ok_and(may_stay), "{:?}", request);
        }
    }
}
