use super::super::super::State;
use super::*;
use crate::aggregate::journal::JournalItem;
use crate::aggregate::{self, Fold, FoldRules, Seen, SummaryWindow, TypedState};
use crate::config::StateSettings;
use crate::model::LabelName;
use crate::otlp::{DeltaRules, Rules, Texts, Translator, read_json};
use crate::store::MemoryStore;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Returns the samples, the rejections and the number of parts, if each part has at most so much memory.
fn parts(body: &str, most: usize) -> (BTreeSet<(String, u64)>, Vec<String>, usize) {
    let (external, texts) = (LabelSet::default(), Texts::default());
    let (mut samples, mut rejections, mut count) = (BTreeSet::new(), Vec::new(), 0);
    let mut next = Some(0);
    while let Some(from) = next {
        let rules = Rules { promoted: &[], scope_labels: false, external: &external, now: Timestamp(1), deltas: None };
        let mut translator = Translator::new(rules, &texts, Part::new(&external, from, most));
        read_json(body.as_bytes(), &mut translator).unwrap();
        let part = translator.into_sink();
        assert!(!part.is_too_large());
        count += 1;
        next = part.end;
        rejections.extend(part.rejected.iter().map(ToString::to_string));
        let kinds = part.kinds.len();
        let table = part.table.finish(&mut |contradiction| panic!("{contradiction}"));
        for sample in table.samples() {
            assert!((sample.item.0 as usize) < kinds);
            let (name, labels) = table.series(sample.series);
            let shown = |label: &Label<'_>| format!("{}={}", label.name.as_str(), label.value);
            let labels: Vec<_> = labels.iter().map(shown).collect();
            let key = (format!("{}{labels:?}", name.as_str()), sample.timestamp.0.unsigned_abs());
            assert!(samples.insert(key), "a sample is in two parts");
        }
    }
    (samples, rejections, count)
}

#[test]
fn every_item_is_in_one_part_however_small_the_parts_are() {
    let attributes = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}},{"key":"os","value":{}},
        {"key":"a","value":{"stringValue":"b"}}]}"#;
    let gauge = |name: &str| {
        format!(
            r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"asInt":1}},{{}},{{"asInt":2,"timeUnixNano":7000000}}]}}}}"#
        )
    };
    let histogram = r#"{"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":3,"sum":1,"bucketCounts":
        [1,1,1],"explicitBounds":[1,2]},{"timeUnixNano":9000000}]}}"#;
    let metrics = format!("{},{histogram},{}", gauge("a"), gauge("b"));
    let resource = format!(r#"{{{attributes},"scopeMetrics":[{{"metrics":[{metrics}]}}]}}"#);
    let body = format!(r#"{{"resourceMetrics":[{resource}]}}"#);
    let (samples, rejections, count) = parts(&body, usize::MAX);
    assert_eq!((samples.len(), rejections.len(), count), (13, 2, 1));
    for most in [0, 100, 400, 600] {
        let (in_parts, rejected, count) = parts(&body, most);
        assert_eq!((&in_parts, &rejected), (&samples, &rejections), "{most}");
        assert!(count > 1, "{most}");
    }
}

// --- deltas ----------------------------------------------------------------------------------------------------------

const NOW: i64 = 1_764_422_400_000;

/// A data point of one of these streams, the interval of which is the same for all streams.
type Point = (usize, u64);

/// Streams of all kinds. The first two are one series from two scopes.
const STREAMS: usize = 6;

/// Returns a metric of a scope. Its counts depend on stream and interval alone.
fn metric((stream, interval): Point) -> (&'static str, String) {
    let start = u64::try_from(NOW).unwrap() * 1_000_000 - 1_000 * (interval + 1);
    let times = format!(r#""startTimeUnixNano":"{start}","timeUnixNano":"{}""#, start + 1_000);
    let n = interval % 7 + 1;
    let data = |kind: &str, more: &str, point: String| {
        format!(r#""{kind}":{{"aggregationTemporality":1{more},"dataPoints":[{{{times},{point}}}]}}"#)
    };
    let sum = |is_monotonic, value: String| data("sum", &format!(r#","isMonotonic":{is_monotonic}"#), value);
    let (scope, name, data) = match stream {
        0 => ("a", "s", sum(true, format!(r#""asInt":"{n}""#))),
        1 => ("b", "s", sum(true, format!(r#""asInt":"{}""#, 100 * n))),
        2 => ("a", "s", sum(true, format!(r#""asInt":1,"attributes":[{{"key":"k","value":{{"intValue":{n}}}}}]"#))),
        3 => ("a", "g", sum(false, format!(r#""asInt":"-{n}""#))),
        4 => {
            let point =
                format!(r#""count":"{}","sum":{n},"explicitBounds":[1,2],"bucketCounts":["{n}","2","3"]"#, n + 5);
            ("a", "h", data("histogram", "", point))
        }
        _ => {
            let buckets = format!(r#"{{"offset":{n},"bucketCounts":["{n}","0","2"]}}"#);
            let point = format!(
                r#""count":"{}","scale":{n},"zeroCount":"1","positive":{buckets},"negative":{buckets}"#,
                2 * n + 5
            );
            ("a", "e", data("exponentialHistogram", "", point))
        }
    };
    (scope, format!(r#"{{"name":"{name}",{data}}}"#))
}

fn request(points: &[Point]) -> String {
    let scope = |(scope, metric): (&str, String)| format!(r#"{{"scope":{{"name":"{scope}"}},"metrics":[{metric}]}}"#);
    let scopes: Vec<_> = points.iter().map(|point| scope(metric(*point))).collect();
    format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{}]}}]}}"#, scopes.join(","))
}

/// Returns the journal items of a request, of which each part has at most so much memory.
fn journalled(state: &State, body: &str, most: usize) -> Vec<JournalItem> {
    let (external, texts) = (LabelSet::default(), Texts::default());
    let deltas = Some(DeltaRules { max_age_ms: 3_600_000, max_lead_ms: 10_000 });
    let (mut items, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let rules = Rules { promoted: &[], scope_labels: false, external: &external, now: Timestamp(NOW), deltas };
        let part = Part::new(&external, from, most).with_journal(Some(Journal::new(state)), Timestamp(NOW), "r");
        let mut translator = Translator::new(rules, &texts, part);
        read_json(body.as_bytes(), &mut translator).unwrap();
        let part = translator.into_sink();
        assert_eq!(part.first, None);
        next = part.end;
        items.extend(part.journal.unwrap().into_items().unwrap());
    }
    items
}

/// Folds ticks of items one after another. Each tick reads the items of the one before, too. Returns what is exposed then.
fn folded(ticks: &[Vec<JournalItem>]) -> Vec<String> {
    let mut state = TypedState::default();
    let mut remembered = Vec::new();
    let mut before: &[JournalItem] = &[];
    for tick in ticks {
        let items: Vec<_> =
            before.iter().chain(tick).map(|item| aggregate::journal::Journal::open(&item.blob).unwrap()).collect();
        before = tick;
        let mut seen = Seen::default();
        for item in &items {
            seen.add(item).unwrap();
        }
        for identity in &remembered {
            seen.remember(*identity);
        }
        let window = SummaryWindow::default();
        let rules = FoldRules { tick: Timestamp(NOW), window, max_series: 1_000 };
        let mut fold = Fold::new(&mut state, &mut seen, rules);
        for item in &items {
            fold.item(item).unwrap();
        }
        let (folded, counted) = fold.finish();
        assert_eq!((folded.type_conflicts, folded.bucket_conflicts), (0, 0));
        remembered.extend(counted);
    }
    let mut lines = Vec::new();
    for series in state.series() {
        series.aggregate.expose(Timestamp(NOW), SummaryWindow::default(), &mut |exposed| {
            lines.push(format!("{:?} {} {:?} {:?}", series.key(), exposed.suffix, exposed.bound, exposed.value));
        });
    }
    lines.sort();
    lines
}

proptest! {
    /// Any splitting into requests and parts, any repetition, any order and any distribution over ticks counts each point once.
    #[test]
    fn property_test_each_point_counts_once_however_it_comes(
        points in proptest::collection::btree_set((0..STREAMS, 0..9_u64), 1..30),
        more in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
        requests in 1..6_usize,
        most in prop_oneof![Just(usize::MAX), 0..2_000_usize],
        seed in any::<u64>(),
    ) {
        let state = State::new(Arc::new(MemoryStore::new()), StateSettings::default());
        let points: Vec<Point> = points.into_iter().collect();
        let expected = folded(&[journalled(&state, &request(&points), usize::MAX)]);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut sent: Vec<Point> = points.clone();
        sent.extend(more.iter().map(|index| points[index.index(points.len())]));
        random.shuffle(&mut sent);
        let mut ticks = vec![Vec::new(); 3];
        for part in sent.chunks(sent.len().div_ceil(requests)) {
            // A request can be repeated as a whole, too.
            for _ in 0..random.usize(1..3) {
                ticks[random.usize(0..3)].extend(journalled(&state, &request(part), most));
            }
        }
        for tick in &mut ticks {
            random.shuffle(tick);
        }
        prop_assert_eq!(folded(&ticks), expected);
    }
}

#[test]
fn two_scopes_with_one_series_count_both_and_points_without_a_time_count_each() {
    let state = State::new(Arc::new(MemoryStore::new()), StateSettings::default());
    let lines = folded(&[journalled(&state, &request(&[(0, 0), (1, 0), (0, 0)]), usize::MAX)]);
    assert!(lines.len() == 1 && lines[0].ends_with("Number(Integer(101))"), "{lines:?}");
    let point = r#"{"asInt":1}"#;
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"s","sum":{{"aggregationTemporality":1,"isMonotonic":true,
            "dataPoints":[{point},{point}]}}}}]}}]}}]}}"#
    );
    let lines = folded(&[journalled(&state, &body, usize::MAX)]);
    assert!(lines.len() == 1 && lines[0].ends_with("Number(Integer(2))"), "{lines:?}");
}

#[test]
fn an_increment_has_the_external_labels_but_no_le() {
    let labels = ["env", "le"].map(|name| Label { name: LabelName::classic(name).unwrap(), value: "x".into() });
    let external = LabelSet::new(labels.to_vec()).unwrap();
    let texts = Texts::default();
    let state = State::new(Arc::new(MemoryStore::new()), StateSettings::default());
    let deltas = Some(DeltaRules { max_age_ms: 3_600_000, max_lead_ms: 10_000 });
    let rules = Rules { promoted: &[], scope_labels: false, external: &external, now: Timestamp(NOW), deltas };
    let part = Part::new(&external, 0, usize::MAX).with_journal(Some(Journal::new(&state)), Timestamp(NOW), "r");
    let mut translator = Translator::new(rules, &texts, part);
    let body = request(&[(0, 0), (4, 0)]);
    read_json(body.as_bytes(), &mut translator).unwrap();
    let items = translator.into_sink().journal.unwrap().into_items().unwrap();
    let journal = aggregate::journal::Journal::open(&items[0].blob).unwrap();
    let mut reader = journal.reader().unwrap();
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(entry.key.labels().map(|(name, _)| name).collect::<Vec<_>>());
    }
    assert_eq!(names, [vec!["env", "le"], vec!["env"]]);
}
