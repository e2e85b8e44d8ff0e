use super::{render_protobuf, render_text};
use crate::exposition::{Exposition, SampleValue, parse_protobuf, parse_text};
use crate::model::{
    Counts, FamilySeries, FamilyValue, Label, LabelName, LabelSet, MetricFamily, MetricName, MetricType,
    NativeHistogram, ResetHint, Span,
};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

fn name(text: &str) -> MetricName<'static> {
    MetricName::as_is(Cow::Owned(text.to_owned())).unwrap()
}

fn series(of: &str, pairs: &[(&str, &str)], value: f64) -> FamilySeries<'static> {
    let label = |(name, value): &(&str, &str)| Label {
        name: LabelName::as_is(Cow::Owned((*name).to_owned())).unwrap(),
        value: Cow::Owned((*value).to_owned()),
    };
    let labels = LabelSet::new(pairs.iter().map(label).collect()).unwrap();
    FamilySeries { name: name(of), labels, value: FamilyValue::Float(value) }
}

fn family(of: &str, metric_type: MetricType, help: &str, series: Vec<FamilySeries<'static>>) -> MetricFamily<'static> {
    let help = Some(Cow::Owned(help.to_owned())).filter(|help: &Cow<'_, str>| !help.is_empty());
    MetricFamily { name: name(of), metric_type, help, unit: None, series }
}

/// Returns the body as families, as a push of it would be kept.
fn families(exposition: &Exposition<'_>) -> Vec<MetricFamily<'static>> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    let all = exposition.families().map(|family| MetricFamily {
        name: name(family.name()),
        metric_type: family.metric_type(),
        help: family.help().map(owned),
        unit: family.unit().map(owned),
        series: family
            .series()
            .map(|series| {
                let labels = series.labels();
                let labels = labels
                    .map(|(name, value)| Label { name: LabelName::as_is(owned(name)).unwrap(), value: owned(value) });
                let value = match series.value() {
                    SampleValue::Float(value) => FamilyValue::Float(value),
                    SampleValue::Histogram(histogram) => FamilyValue::Histogram(Box::new(histogram.clone())),
                };
                FamilySeries { name: name(series.name()), labels: LabelSet::new(labels.collect()).unwrap(), value }
            })
            .collect(),
    });
    all.collect()
}

fn latency(labels: &[(&'static str, &'static str)]) -> Vec<FamilySeries<'static>> {
    let with = |le: &'static str| [labels, &[("le", le)]].concat();
    vec![
        series("latency_count", labels, 3.0),
        series("latency_bucket", &with("+Inf"), 3.0),
        series("latency_bucket", &with("10.0"), 2.0),
        series("latency_sum", labels, 14.5),
        series("latency_bucket", &with("0.5"), 1.0),
    ]
}

#[test]
fn writes_text_as_prometheus_encoder_does() {
    let families = vec![
        family(
            "up",
            MetricType::Gauge,
            "",
            vec![series("up", &[("job", "b")], 1e6), series("up", &[("job", "a")], -0.25)],
        ),
        family("latency", MetricType::Histogram, "Time.", latency(&[("job", "a"), ("instance", "i")])),
        family(
            "http",
            MetricType::Counter,
            "A \\ and\na \" line.",
            vec![series("http_total", &[("p", "\\ \n \"é\"")], 12.0)],
        ),
        family(
            "size",
            MetricType::Summary,
            "",
            vec![
                series("size", &[("quantile", "0.5")], f64::NAN),
                series("size_sum", &[], 2.5),
                series("size_count", &[], 2.0),
            ],
        ),
        family("build", MetricType::Info, "", vec![series("build_info", &[("version", "1")], 1.0)]),
        family("plain", MetricType::Unknown, "", vec![series("plain", &[], f64::INFINITY)]),
    ];
    let expected = "\
# TYPE build_info gauge
build_info{instance=\"\",version=\"1\"} 1
# HELP http_total A \\\\ and\\na \" line.
# TYPE http_total counter
http_total{instance=\"\",p=\"\\\\ \\n \\\"é\\\"\"} 12
# HELP latency Time.
# TYPE latency histogram
latency_bucket{instance=\"i\",job=\"a\",le=\"0.5\"} 1
latency_bucket{instance=\"i\",job=\"a\",le=\"10.0\"} 2
latency_bucket{instance=\"i\",job=\"a\",le=\"+Inf\"} 3
latency_sum{instance=\"i\",job=\"a\"} 14.5
latency_count{instance=\"i\",job=\"a\"} 3
# TYPE plain untyped
plain{instance=\"\"} +Inf
# TYPE size summary
size{instance=\"\",quantile=\"0.5\"} NaN
size_sum{instance=\"\"} 2.5
size_count{instance=\"\"} 2
# TYPE up gauge
up{instance=\"\",job=\"a\"} -0.25
up{instance=\"\",job=\"b\"} 1e+06
";
    assert_eq!(render_text(families), expected);
}

#[test]
fn families_of_one_name_whose_types_disagree_are_untyped() {
    let families = || {
        vec![
            family("latency", MetricType::Histogram, "", latency(&[])),
            family("latency", MetricType::Gauge, "Other.", vec![series("latency", &[("a", "b")], 1.0)]),
        ]
    };
    let text = render_text(families());
    let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let names = ["latency", "latency_bucket", "latency_count", "latency_sum"];
    assert_eq!(types, names.map(|name| format!("# TYPE {name} untyped")), "{text}");
    let body = render_protobuf(families());
    assert_eq!(parse_protobuf(&body).unwrap().series_count(), 6);
}

#[test]
fn a_series_with_the_name_of_a_histogram_breaks_it_up() {
    let families = vec![
        family("latency", MetricType::Histogram, "", latency(&[])),
        family("latency", MetricType::Histogram, "", vec![series("latency", &[], 1.0)]),
        family("latency_sum", MetricType::Gauge, "", vec![series("latency_sum", &[("a", "b")], 1.0)]),
    ];
    let text = render_text(families);
    assert!(!text.contains("histogram") && text.contains("latency_count{instance=\"\"} 3"), "{text}");
    assert!(text.contains("# TYPE latency_sum untyped\n"), "{text}");
}

#[test]
fn parts_that_make_no_histogram_are_untyped_in_protobuf_only() {
    let families = || vec![family("latency", MetricType::Histogram, "", latency(&[])[1..].to_vec())];
    assert!(render_text(families()).contains("# TYPE latency histogram\n"));
    let body = render_protobuf(families());
    let exposition = parse_protobuf(&body).unwrap();
    let types: Vec<_> = exposition.families().map(|family| (family.name().to_owned(), family.metric_type())).collect();
    let untyped = |name: &str| (name.to_owned(), MetricType::Unknown);
    assert_eq!(types, [untyped("latency_bucket"), untyped("latency_sum")]);
}

/// Returns a native histogram.
fn of_native() -> FamilySeries<'static> {
    let histogram = NativeHistogram {
        sum: 4.5,
        schema: 3,
        zero_threshold: 1e-9,
        counts: Counts::Integer { count: 3, zero: 1, negative_deltas: vec![], positive_deltas: vec![2, -2] },
        negative_spans: vec![],
        positive_spans: vec![Span { offset: -4, length: 2 }],
        reset_hint: ResetHint::Unknown,
        custom_values: vec![],
    };
    let mut native = series("latency", &[("job", "x")], 0.0);
    native.value = FamilyValue::Histogram(Box::new(histogram));
    native
}

#[test]
fn text_shows_a_native_histogram_as_one_bucket_and_protobuf_as_it_is() {
    let native = || family("latency", MetricType::Histogram, "", vec![of_native()]);
    let text = render_text(vec![native()]);
    let expected =
        ["latency_bucket{instance=\"\",job=\"x\",le=\"+Inf\"} 3", "latency_sum{instance=\"\",job=\"x\"} 4.5"];
    assert!(expected.iter().all(|line| text.contains(line)), "{text}");
    let read = |body: Vec<u8>| families(&parse_protobuf(&body).unwrap());
    assert_eq!(read(render_protobuf(vec![native()])), [native()]);
    // With a classic one beside it.
    let mut both = native();
    both.series.extend(latency(&[("job", "x")]));
    assert!(render_text(vec![both.clone()]).contains("latency_sum{instance=\"\",job=\"x\"} 14.5"));
    let back = read(render_protobuf(vec![both.clone()]));
    assert_eq!(back[0].series.len(), both.series.len());
    assert!(both.series.iter().all(|series| back[0].series.contains(series)));
}

/// An untyped series has one number.
#[test]
fn a_native_histogram_in_a_family_without_a_common_type_is_a_count_a_sum_and_a_bucket_in_both_formats() {
    let families = || {
        let gauge = family("latency", MetricType::Gauge, "", vec![series("latency", &[("job", "y")], 5.0)]);
        vec![gauge, family("latency", MetricType::Histogram, "", vec![of_native()])]
    };
    let text = "# TYPE latency untyped\nlatency{instance=\"\",job=\"y\"} 5\n\
                # TYPE latency_bucket untyped\nlatency_bucket{instance=\"\",job=\"x\",le=\"+Inf\"} 3\n\
                # TYPE latency_count untyped\nlatency_count{instance=\"\",job=\"x\"} 3\n\
                # TYPE latency_sum untyped\nlatency_sum{instance=\"\",job=\"x\"} 4.5\n";
    assert_eq!(render_text(families()), text);
    let body = render_protobuf(families());
    let [of_text, of_protobuf] =
        [parse_text(text.as_bytes()), parse_protobuf(&body)].map(|read| values(&self::families(&read.unwrap())));
    assert_eq!(of_protobuf, of_text);
}

// --- properties ------------------------------------------------------------------------------------------------------

type Key = (String, Vec<(String, String)>);

/// Returns all series by name and labels, with the bits of their values.
fn values(families: &[MetricFamily<'_>]) -> BTreeMap<Key, String> {
    let all = families.iter().flat_map(|family| &family.series);
    let labels = |series: &FamilySeries<'_>| {
        let all = series.labels.as_slice().iter();
        all.map(|label| (label.name.as_str().to_owned(), label.value.as_ref().to_owned())).collect()
    };
    all.map(|series| ((series.name.as_str().to_owned(), labels(series)), format!("{:?}", series.value))).collect()
}

fn types(families: &[MetricFamily<'_>]) -> BTreeMap<String, (MetricType, Option<String>)> {
    let help = |family: &MetricFamily<'_>| family.help.as_ref().map(|help| help.trim().to_owned());
    families.iter().map(|family| (family.name.as_str().to_owned(), (family.metric_type, help(family)))).collect()
}

/// Whole families: histograms with all parts, as a scrape has them.
fn whole_families() -> impl Strategy<Value = Vec<MetricFamily<'static>>> {
    let types = proptest::sample::select(vec![
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Unknown,
        MetricType::Histogram,
        MetricType::Summary,
    ]);
    let label_sets = proptest::collection::btree_set("[ -~\né]{0,4}", 1..4);
    let parts = (types, "[A-Za-z\\\\\"é]([ -~\né]{0,8}[a-z])?", label_sets, any::<f64>(), 0..4_u32);
    proptest::collection::btree_map("[a-e]{1,2}:x", parts, 0..5).prop_map(|all| {
        all.into_iter()
            .map(|(of, (metric_type, help, labels, value, count))| {
                let mut all = Vec::new();
                for label in &labels {
                    let with = |suffix: &str, more: Option<(&str, String)>, value: f64| {
                        let mut pairs = vec![("instance", "i"), ("l", label.as_str())];
                        let more = more.as_ref().map(|(name, value)| (*name, value.as_str()));
                        pairs.extend(more);
                        series(&format!("{of}{suffix}"), &pairs, value)
                    };
                    match metric_type {
                        MetricType::Histogram => {
                            let bounds = (0..count).map(|i| format!("{}.5", i * 7));
                            all.extend(bounds.enumerate().map(|(i, le)| {
                                with("_bucket", Some(("le", le)), f64::from(u32::try_from(i).unwrap()))
                            }));
                            all.push(with("_bucket", Some(("le", "+Inf".to_owned())), f64::from(count) + 0.5));
                            all.push(with("_sum", None, value));
                            all.push(with("_count", None, f64::from(count) + 0.5));
                        }
                        MetricType::Summary => {
                            all.extend((0..count).map(|i| with("", Some(("quantile", format!("0.{}", i + 1))), value)));
                            all.push(with("_sum", None, value));
                            all.push(with("_count", None, f64::from(count)));
                        }
                        _ => all.push(with("", None, value)),
                    }
                }
                family(&of, metric_type, &help, all)
            })
            .collect()
    })
}

/// Any series in any families.
fn any_families() -> impl Strategy<Value = Vec<MetricFamily<'static>>> {
    let types = (0..8_u32).prop_map(MetricType::from_number);
    let suffixes = || proptest::sample::select(vec!["", "_bucket", "_sum", "_count", "_total", "_info"]);
    let bounds = || proptest::sample::select(vec!["", "1.0", "+Inf", "x", "0.5"]);
    let series_of = proptest::collection::btree_map((suffixes(), bounds(), "[xy]?"), any::<f64>(), 1..6);
    proptest::collection::vec(("[ab]", suffixes(), types, series_of), 0..4).prop_map(|all| {
        let family = |(of, suffix, metric_type, all): (String, &str, MetricType, BTreeMap<_, f64>)| {
            let of = of + suffix;
            let all = all.into_iter().map(|((suffix, bound, label), value): ((&str, &str, String), f64)| {
                series(
                    &format!("{of}{suffix}"),
                    &[("instance", "i"), ("le", bound), ("quantile", bound), ("l", &label)],
                    value,
                )
            });
            family(&of, metric_type, "", all.collect())
        };
        // One series once, as a table of groups exposes them.
        let mut seen = BTreeSet::new();
        let mut all: Vec<_> = all.into_iter().map(family).collect();
        for family in &mut all {
            family.series.retain(|series| seen.insert((series.name.clone(), format!("{:?}", series.labels))));
        }
        all
    })
}

proptest! {
    /// Rendered and parsed, whole families are the same: names, types, help, series and the bits of values.
    #[test]
    fn property_test_whole_families_come_back(families_in in whole_families()) {
        let text = render_text(families_in.clone());
        let back = families(&parse_text(text.as_bytes()).unwrap());
        prop_assert_eq!(values(&back), values(&families_in), "{}", text);
        prop_assert_eq!(types(&back), types(&families_in), "{}", text);
        let body = render_protobuf(families_in.clone());
        let back = families(&parse_protobuf(&body).unwrap());
        prop_assert_eq!(values(&back), values(&families_in));
        prop_assert_eq!(types(&back), types(&families_in));
    }

    /// No series is lost or changed, whatever the families look like.
    #[test]
    fn property_test_every_series_is_written_once(families_in in any_families()) {
        let text = render_text(families_in.clone());
        // A bucket without a bound is no series for the parser.
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        prop_assert_eq!(lines.len(), values(&families_in).len(), "{}", text);
        let body = render_protobuf(families_in.clone());
        let back = families(&parse_protobuf(&body).unwrap());
        prop_assert_eq!(values(&back), values(&families_in), "{}", text);
    }
}
