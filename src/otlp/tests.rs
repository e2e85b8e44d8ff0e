use super::*;
use crate::limits::{MAX_LABEL_VALUE_BYTES, MAX_OTLP_ATTRIBUTES, MAX_OTLP_BUCKETS, MAX_TARGET_INFO_SAMPLES};
use crate::model::{Counts, Label, LabelName, LabelSet, MetricName, NativeHistogram, Rejection, Timestamp, Value};
use messages::{
    Any, Data, Histogram, HistogramDataPoint, KeyValue, List, NumberDataPoint, Object, Request, Sum, Summary,
    SummaryDataPoint, ValueAtQuantile, attribute, counter, exponential, gauge, histogram, metric, point, request,
};
use proptest::prelude::*;
use prost::Message as _;

#[path = "../../tests/otlp/generator.rs"]
#[allow(unreachable_pub, reason = "tests/otlp.rs uses it, too")]
mod generator;
#[path = "../../tests/otlp/json.rs"]
#[allow(unreachable_pub, reason = "tests/otlp.rs uses it, too")]
mod json;
#[path = "../../tests/otlp/messages.rs"]
#[allow(dead_code, unreachable_pub, reason = "tests/otlp.rs uses the rest")]
mod messages;

mod rules;

const MS: u64 = 1_000_000;
const NOW: Timestamp = Timestamp(5_000);

/// Writes down what it is given, a line each.
#[derive(Default, PartialEq, Debug)]
struct Lines {
    samples: Vec<String>,
    families: Vec<String>,
    items: Vec<Item>,
    labels: LabelSet<'static>,
}

impl Lines {
    /// Returns the labels of a sample.
    fn labels_with(&self, bound: Option<&str>) -> LabelSet<'static> {
        match bound {
            Some(bound) => self.labels.with(Label { name: LabelName::BOUND, value: bound.to_owned().into() }),
            None => self.labels.clone(),
        }
    }

    fn sample(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>, time: Timestamp, value: &str) {
        let labels: Vec<_> =
            labels.as_slice().iter().map(|label| format!("{}={}", label.name.as_str(), label.value)).collect();
        self.samples.push(format!("{}{{{}}} {value} @{time}", name.as_str(), labels.join(",")));
    }
}

impl<'a> Sink<'a> for Lines {
    fn begin(&mut self, item: Item) -> bool {
        self.items.push(item);
        true
    }

    fn family(&mut self, Family { name, metric_type, help, unit }: &Family<'a>) {
        self.families.push(format!("{} {metric_type} {help:?} {unit:?}", name.as_str()));
    }

    fn labels(&mut self, labels: LabelSet<'a>) {
        self.labels = labels.into_owned();
    }

    fn number(&mut self, name: &MetricName<'a>, bound: Option<&str>, time: Timestamp, value: Value) {
        self.sample(name, &self.labels_with(bound), time, &value.to_string());
    }

    fn histogram(&mut self, name: &MetricName<'a>, time: Timestamp, value: NativeHistogram) {
        let Counts::Integer { count, zero, positive_deltas, .. } = &value.counts else { panic!("floats") };
        let sum = if value.sum.is_nan() { "NaN".to_owned() } else { value.sum.to_string() };
        let text = format!("schema {} count {count} zero {zero} sum {sum} {positive_deltas:?}", value.schema);
        self.sample(name, &self.labels_with(None), time, &text);
    }

    fn increment(&mut self, increment: Increment<'_, 'a>) -> Result<(), Rejection> {
        let Increment { name, labels, update, help, time, interval, .. } = increment;
        self.sample(name, &labels, time, &format!("{update:?} {help:?} {interval:?}"));
        Ok(())
    }

    fn reject(&mut self, rejection: Rejection) {
        self.samples.push(rejection.to_string());
    }
}

struct Setting {
    promoted: Vec<Promoted>,
    scope_labels: bool,
    external: LabelSet<'static>,
    deltas: Option<DeltaRules>,
}

impl Setting {
    fn new() -> Self {
        Self { promoted: Vec::new(), scope_labels: false, external: LabelSet::default(), deltas: None }
    }

    fn read(&self, body: &[u8]) -> Result<Lines, ReadError> {
        let texts = Texts::default();
        let mut translator = Translator::new(self.rules(), &texts, Lines::default());
        read_protobuf(body, &mut translator)?;
        Ok(translator.into_sink())
    }

    fn read_json(&self, body: &[u8]) -> Result<Lines, ReadError> {
        let texts = Texts::default();
        let mut translator = Translator::new(self.rules(), &texts, Lines::default());
        read_json(body, &mut translator)?;
        Ok(translator.into_sink())
    }

    fn rules(&self) -> Rules<'_> {
        let Self { promoted, scope_labels, external, deltas } = self;
        Rules { promoted, scope_labels: *scope_labels, external, now: NOW, deltas: *deltas }
    }
}

fn translated(request: &Request) -> Vec<String> {
    Setting::new().read(&request.encode_to_vec()).unwrap().samples
}

fn service() -> Vec<KeyValue> {
    vec![attribute("service.name", "shop")]
}

fn one(value: messages::Number) -> Vec<NumberDataPoint> {
    vec![point(value, 7 * MS + 999_999, Vec::new())]
}

use messages::Number::{AsDouble, AsInt};

#[test]
fn translates_gauges_and_sums() {
    let sum = |is_monotonic, aggregation_temporality| {
        Data::Sum(Sum { data_points: one(AsInt(3)), aggregation_temporality, is_monotonic })
    };
    let table = [
        (metric("a.b", "s", gauge(one(AsDouble(1.5)))), "a_b_seconds{job=shop} 1.5 @7"),
        (metric("a.b", "1", gauge(one(AsInt(-2)))), "a_b_ratio{job=shop} -2 @7"),
        (metric("a.b", "1", sum(true, 2)), "a_b_total{job=shop} 3 @7"),
        (metric("a.b", "{call}", sum(false, 2)), "a_b{job=shop} 3 @7"),
        (metric("a", "", gauge(one(AsDouble(f64::NAN)))), "a{job=shop} NaN @7"),
        (
            metric("a", "", gauge(vec![NumberDataPoint { value: Some(AsInt(1)), ..NumberDataPoint::default() }])),
            "a{job=shop} 1 @5000",
        ),
        (
            metric("a", "", gauge(vec![NumberDataPoint { flags: 3, ..NumberDataPoint::default() }])),
            "a{job=shop} stale marker @5000",
        ),
        (
            metric("a", "", gauge(vec![NumberDataPoint::default()])),
            "invalid_value: metric \"a\": a data point has no value",
        ),
        (
            metric("a", "", sum(true, 1)),
            "needs_state: metric \"a\": delta temporality needs the table (STATE_TABLE); set the SDK to cumulative, with \
             OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
        ),
        (
            metric("a", "", sum(true, 0)),
            "invalid_event: metric \"a\": the aggregation temporality is not set; expected cumulative",
        ),
        (
            metric("é", "", gauge(one(AsInt(1)))),
            "invalid_metric_name: metric \"é\": the name has no letter or digit that Prometheus allows",
        ),
    ];
    for (metric, expected) in table {
        assert_eq!(translated(&request(service(), vec![metric])), [expected]);
    }
}

#[test]
fn translates_a_histogram_with_cumulative_buckets() {
    let data = HistogramDataPoint {
        time_unix_nano: 7 * MS,
        count: 7,
        sum: Some(12.5),
        explicit_bounds: vec![0.0, 0.25, 1000.0, f64::INFINITY],
        bucket_counts: vec![1, 2, 3, 1, 0],
        attributes: vec![attribute("le", "mine")],
        min: Some(0.0),
        ..HistogramDataPoint::default()
    };
    let lines = translated(&request(service(), vec![metric("t", "s", histogram(vec![data.clone()]))]));
    let expected = [
        "t_seconds_sum{job=shop,le=mine} 12.5 @7",
        "t_seconds_count{job=shop,le=mine} 7 @7",
        "t_seconds_bucket{job=shop,le=0} 1 @7",
        "t_seconds_bucket{job=shop,le=0.25} 3 @7",
        "t_seconds_bucket{job=shop,le=1000} 6 @7",
        "t_seconds_bucket{job=shop,le=+Inf} 7 @7",
    ];
    assert_eq!(lines, expected);
    let ended = HistogramDataPoint { flags: 1, sum: None, bucket_counts: Vec::new(), ..data };
    let lines = translated(&request(service(), vec![metric("t", "", histogram(vec![ended]))]));
    assert_eq!(lines, ["t_count{job=shop,le=mine} stale marker @7", "t_bucket{job=shop,le=+Inf} stale marker @7"]);
}

/// Returns the lines of a metric, if there is a table for deltas.
fn with_table(metric: messages::Metric) -> Vec<String> {
    let deltas = Some(DeltaRules { max_age_ms: 3_000, max_lead_ms: 1_000 });
    let setting = Setting { deltas, ..Setting::new() };
    let lines = setting.read(&request(service(), vec![metric]).encode_to_vec()).unwrap();
    assert!(lines.families.is_empty(), "the tick sends the metadata: {:?}", lines.families);
    lines.samples
}

fn delta_sum(is_monotonic: bool, value: Option<messages::Number>, attributes: Vec<KeyValue>) -> messages::Metric {
    let point = NumberDataPoint {
        start_time_unix_nano: 4_000 * MS,
        time_unix_nano: 4_500 * MS + 1,
        value,
        attributes,
        ..NumberDataPoint::default()
    };
    metric("a.b", "s", Data::Sum(Sum { data_points: vec![point], aggregation_temporality: 1, is_monotonic }))
}

#[test]
fn a_sum_with_delta_temporality_is_an_increment_with_the_names_of_cumulative_data() {
    let end = "\"\" Some((4000000000, 4500000001)) @4500";
    let table = [
        (true, Some(AsInt(3)), format!("a_b_seconds_total{{job=shop}} Counter(Integer(3)) {end}")),
        (true, Some(AsDouble(-0.0)), format!("a_b_seconds_total{{job=shop}} Counter(Float(0.0)) {end}")),
        (false, Some(AsDouble(-2.5)), format!("a_b_seconds{{job=shop}} GaugeIncrement(Float(-2.5)) {end}")),
        (
            true,
            Some(AsInt(-1)),
            "invalid_value: metric \"a.b\": -1 is negative, and a monotonic sum only grows".to_owned(),
        ),
        (
            true,
            Some(AsDouble(f64::NAN)),
            "invalid_value: metric \"a.b\": its value is NaN, which cannot be added up".to_owned(),
        ),
        (false, None, "invalid_value: metric \"a.b\": a data point has no value".to_owned()),
    ];
    for (is_monotonic, value, expected) in table {
        assert_eq!(with_table(delta_sum(is_monotonic, value, Vec::new())), [expected]);
    }
    // A label that an increment shares with cumulative data.
    let lines = with_table(delta_sum(true, Some(AsInt(1)), vec![attribute("le", "x"), attribute("k.v", "y")]));
    assert_eq!(lines, [format!("a_b_seconds_total{{job=shop,k_v=y,le=x}} Counter(Integer(1)) {end}")]);
}

#[test]
fn an_increment_has_the_time_of_its_interval_and_must_be_young() {
    let at = |start: u64, time: u64, flags| {
        let value = Some(AsInt(1));
        let point = NumberDataPoint {
            start_time_unix_nano: start * MS,
            time_unix_nano: time * MS,
            value,
            flags,
            ..NumberDataPoint::default()
        };
        with_table(metric(
            "a",
            "",
            Data::Sum(Sum { data_points: vec![point], aggregation_temporality: 1, is_monotonic: true }),
        ))
    };
    let table = [
        (0, 2_000, 0, "a_total{job=shop} Counter(Integer(1)) \"\" Some((0, 2000000000)) @2000"),
        (1_000, 0, 0, "a_total{job=shop} Counter(Integer(1)) \"\" None @5000"),
        (
            1_000,
            1_999,
            0,
            "too_old: metric \"a\": its time 1999 is 3001 ms ago, at most 3000 ms are accepted of a delta",
        ),
        (
            1_000,
            6_001,
            0,
            "in_future: metric \"a\": its time 6001 is 1001 ms ahead, at most 1000 ms are accepted of a delta",
        ),
    ];
    for (start, time, flags, expected) in table {
        assert_eq!(at(start, time, flags), [expected]);
    }
    // Nothing was recorded: nothing changes, whatever the time.
    assert_eq!(at(1_000, 1_000, 1), Vec::<String>::new());
}

fn delta_histogram(bounds: &[f64], counts: &[u64], count: u64, sum: Option<f64>) -> Vec<String> {
    let point = HistogramDataPoint {
        time_unix_nano: 4_500 * MS,
        count,
        sum,
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        min: Some(0.5),
        ..HistogramDataPoint::default()
    };
    let data = Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 1 });
    with_table(messages::Metric { description: "Help.".to_owned(), ..metric("t", "s", data) })
}

#[test]
fn a_histogram_with_delta_temporality_is_counts_of_buckets() {
    let taken = |expected: &str| {
        format!(
            "t_seconds{{job=shop}} ClassicCounts(ClassicCounts {{ {expected} }}) \"Help.\" Some((0, 4500000000)) @4500"
        )
    };
    let rejected = |expected: &str| format!("invalid_value: metric \"t\": {expected}");
    let infinite = f64::INFINITY;
    let table = [
        (
            &[-0.0, 2.0][..],
            &[1, 0, 2][..],
            3,
            Some(1.5),
            taken("bounds: [0.0, 2.0], counts: [1, 0, 2], sum: Some(1.5)"),
        ),
        // The count counts, as for cumulative data.
        (&[1.0], &[1, 0], 3, None, taken("bounds: [1.0], counts: [1, 2], sum: None")),
        (&[1.0, infinite], &[1, 2, 0], 3, None, taken("bounds: [1.0], counts: [1, 2], sum: None")),
        (&[], &[], 3, None, taken("bounds: [], counts: [3], sum: None")),
        (&[], &[3], 3, None, taken("bounds: [], counts: [3], sum: None")),
        (&[1.0], &[1], 1, None, rejected("it has 1 counts for 1 bounds, expected one count more than bounds")),
        (&[1.0], &[4, 0], 3, None, rejected("its buckets count more values than its count, 3")),
        (&[1.0, 1.0], &[1, 0, 0], 3, None, rejected("its bounds do not ascend at 1")),
        (&[f64::NAN], &[1, 0], 3, None, rejected("its bounds do not ascend at NaN")),
        (&[], &[], 1 << 63, None, rejected("its count is 9223372036854775808, at most 9223372036854775807 is allowed")),
        (&[], &[], 1, Some(infinite), rejected("its sum is inf, which cannot be added up")),
    ];
    for (bounds, counts, count, sum, expected) in table {
        assert_eq!(delta_histogram(bounds, counts, count, sum), [expected]);
    }
    let many: Vec<f64> = (0..201).map(f64::from).collect();
    let lines = delta_histogram(&many, &[0; 202], 0, None);
    assert_eq!(lines, ["too_large: metric \"t\": it has 201 bounds, at most 200 are allowed in the table"]);
    let with_le = HistogramDataPoint {
        time_unix_nano: 4_500 * MS,
        attributes: vec![attribute("le", "1")],
        ..HistogramDataPoint::default()
    };
    let data = Data::Histogram(Histogram { data_points: vec![with_le], aggregation_temporality: 1 });
    let expected = "invalid_label_name: metric \"t\": the attribute le: the gateway sets this label of a histogram";
    assert_eq!(with_table(metric("t", "", data)), [expected]);
}

#[test]
fn an_exponential_histogram_with_delta_temporality_is_counts_of_a_native_one() {
    let of = |scale, positive: &[u64], negative: &[u64], count| {
        let buckets = |offset, counts: &[u64]| Some(messages::Buckets { offset, bucket_counts: counts.to_vec() });
        let point = messages::ExponentialHistogramDataPoint {
            time_unix_nano: 4_500 * MS,
            count,
            scale,
            zero_count: 1,
            positive: buckets(-1, positive),
            negative: buckets(i32::MAX, negative),
            ..Default::default()
        };
        let data_points = vec![point];
        let data = messages::ExponentialHistogram { data_points, aggregation_temporality: 1 };
        with_table(metric("t", "", Data::ExponentialHistogram(data)))
    };
    let taken = |expected: &str| {
        let end = "\"\" Some((0, 4500000000)) @4500";
        [format!("t{{job=shop}} NativeCounts(NativeCounts {{ {expected}, sum: 0.0 }}) {end}")]
    };
    let expected = taken("schema: 3, zero: 1, positive: [(0, 2), (2, 3)], negative: []");
    assert_eq!(of(3, &[2, 0, 3], &[], 6), expected);
    // Two neighbours of scale 9 are one bucket of schema 8.
    let expected = taken("schema: 8, zero: 1, positive: [(0, 2), (1, 7)], negative: [(1073741824, 5)]");
    assert_eq!(of(9, &[2, 3, 4], &[5], 15), expected);
    let expected = taken("schema: -4, zero: 1, positive: [(0, 1)], negative: [(2147483647, 1)]");
    assert_eq!(of(-4, &[1], &[1], 3), expected);
    let rejected = |expected: &str| [format!("invalid_value: metric \"t\": {expected}")];
    assert_eq!(of(-5, &[1], &[], 2), rejected("the scale is -5, at least -4 is allowed"));
    assert_eq!(of(0, &[1, 2], &[], 9), rejected("its buckets count 4 values, and its count is 9"));
}

#[test]
fn translates_exponential_histograms_and_summaries() {
    let point = messages::ExponentialHistogramDataPoint {
        time_unix_nano: 7 * MS,
        count: 6,
        sum: Some(9.5),
        scale: 20,
        zero_count: 1,
        positive: Some(messages::Buckets { offset: 0, bucket_counts: vec![2, 3] }),
        ..Default::default()
    };
    let ended = messages::ExponentialHistogramDataPoint { flags: 1, ..point.clone() };
    let coarse = messages::ExponentialHistogramDataPoint { scale: -5, ..point.clone() };
    let lines = translated(&request(service(), vec![metric("t", "s", exponential(vec![point, ended, coarse]))]));
    let expected = [
        "t_seconds{job=shop} schema 8 count 6 zero 1 sum 9.5 [5] @7",
        "t_seconds{job=shop} schema 0 count 0 zero 0 sum NaN [] @7",
        "invalid_value: metric \"t\": the scale is -5, at least -4 is allowed",
    ];
    assert_eq!(lines, expected);
    let point = SummaryDataPoint {
        time_unix_nano: 7 * MS,
        count: 2,
        sum: 1.5,
        quantile_values: vec![
            ValueAtQuantile { quantile: 0.5, value: 0.7 },
            ValueAtQuantile { quantile: 1.0, value: 0.8 },
        ],
        ..SummaryDataPoint::default()
    };
    let lines =
        translated(&request(service(), vec![metric("t", "s", Data::Summary(Summary { data_points: vec![point] }))]));
    let expected = [
        "t_seconds_sum{job=shop} 1.5 @7",
        "t_seconds_count{job=shop} 2 @7",
        "t_seconds{job=shop,quantile=0.5} 0.7 @7",
        "t_seconds{job=shop,quantile=1} 0.8 @7",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn gives_the_metadata_of_each_family_that_has_samples() {
    let mut first = metric("a.b", "By/s", counter(one(AsInt(1))));
    first.description = "Bytes.".to_owned();
    let metrics = vec![
        first,
        metric("_", "", gauge(one(AsInt(1)))),
        metric("empty", "", gauge(Vec::new())),
        metric("t", "", histogram(vec![HistogramDataPoint::default(); 2])),
    ];
    let resource = [service(), vec![attribute("os", "linux")]].concat();
    let families = Setting::new().read(&request(resource, metrics).encode_to_vec()).unwrap().families;
    let expected = [
        "a_b_bytes_per_second_total counter \"Bytes.\" \"bytes_per_second\"",
        "t histogram \"\" \"\"",
        "target_info gauge \"Target metadata\" \"\"",
    ];
    assert_eq!(families, expected);
}

fn labels_of(resource: Vec<KeyValue>, attributes: Vec<KeyValue>, setting: &Setting) -> String {
    let metrics = vec![metric("a", "", gauge(vec![point(AsInt(1), MS, attributes)]))];
    setting.read(&request(resource, metrics).encode_to_vec()).unwrap().samples.remove(0)
}

#[test]
fn joins_attributes_that_become_one_label_in_the_order_of_their_keys() {
    let table: [(&[(&str, AnyValueOf)], &str); 9] = [
        (&[("a_b", AnyValueOf::Bool(true)), ("a.b", AnyValueOf::Text("1"))], "a{a_b=1;true} 1 @1"),
        (&[("a_b", AnyValueOf::Text("x")), ("a.b", AnyValueOf::Text(""))], "a{a_b=x} 1 @1"),
        (&[("a_b", AnyValueOf::Text("")), ("a.b", AnyValueOf::Text("x"))], "a{a_b=x;} 1 @1"),
        (
            &[("z", AnyValueOf::Text("2")), ("1a", AnyValueOf::Int(7)), ("_x", AnyValueOf::Double(0.5))],
            "a{key_1a=7,key_x=0.5,z=2} 1 @1",
        ),
        (&[("__name__", AnyValueOf::Text("x")), ("..name..", AnyValueOf::Text("y"))], "a{} 1 @1"),
        (&[("list", AnyValueOf::List)], "a{list=[\"x\",null,AQI=]} 1 @1"),
        (&[("empty", AnyValueOf::Text(""))], "a{} 1 @1"),
        (
            &[("éé", AnyValueOf::Text("x"))],
            "invalid_label_name: metric \"a\": the attribute \"éé\": the name has no letter or digit that Prometheus allows",
        ),
        (
            &[("", AnyValueOf::Text("x"))],
            "invalid_label_name: metric \"a\": the attribute \"\": the name has no letter or digit that Prometheus allows",
        ),
    ];
    for (attributes, expected) in table {
        let attributes = attributes.iter().map(|(key, value)| attribute(key, value.any())).collect();
        let expected = expected.replace("AQI=", "\"AQI=\"");
        assert_eq!(labels_of(Vec::new(), attributes, &Setting::new()), expected);
    }
}

/// A value of an attribute, in a table.
#[derive(Clone, Copy)]
enum AnyValueOf {
    Text(&'static str),
    Bool(bool),
    Int(i64),
    Double(f64),
    List,
}

impl AnyValueOf {
    fn any(self) -> messages::AnyValue {
        match self {
            Self::Text(text) => text.into(),
            Self::Bool(value) => Any::Bool(value).into(),
            Self::Int(value) => Any::Int(value).into(),
            Self::Double(value) => Any::Double(value).into(),
            Self::List => Any::List(List {
                values: vec!["x".into(), messages::AnyValue::default(), Any::Bytes(vec![1, 2]).into()],
            })
            .into(),
        }
    }
}

#[test]
fn names_the_job_and_the_instance_of_a_resource() {
    let table: [(&[(&str, &str)], &str); 5] = [
        (&[("service.name", "shop"), ("service.instance.id", "7")], "a{instance=7,job=shop} 1 @1"),
        (&[("service.namespace", "eu"), ("service.name", "shop")], "a{job=eu/shop} 1 @1"),
        (&[("service.namespace", "eu")], "a{job=own} 1 @1"),
        (&[("service.name", "")], "a{job=own} 1 @1"),
        (&[], "a{job=own} 1 @1"),
    ];
    for (resource, expected) in table {
        let resource = resource.iter().map(|(key, value)| attribute(key, *value)).collect();
        assert_eq!(labels_of(resource, vec![attribute("job", "own")], &Setting::new()), expected);
    }
}

#[test]
fn adds_promoted_attributes_and_the_labels_of_the_scope_if_told_to() {
    let resource = vec![attribute("cloud.region", "eu"), attribute("a", "1"), attribute("_b", "2")];
    let promoted = ["cloud.region", "a", "_b", "none"].iter().map(|key| Promoted::new(key).unwrap()).collect();
    let setting = Setting { promoted, ..Setting::new() };
    let own = vec![attribute("a", "own"), attribute("cloud_region", "")];
    assert_eq!(labels_of(resource.clone(), own, &setting), "a{a=own,cloud_region=eu,key_b=2} 1 @1");
    let setting = Setting { scope_labels: true, ..setting };
    let own = vec![attribute("otel_scope_schema_url", "own"), attribute("otel.scope.name", "own")];
    assert_eq!(
        labels_of(Vec::new(), own, &setting),
        "a{otel_scope_k_v=x,otel_scope_name=meter,otel_scope_version=1.2} 1 @1"
    );
    assert_eq!(Promoted::new("é"), None);
}

#[test]
fn rejects_a_data_point_whose_labels_the_receiver_would_not_take() {
    let long = "x".repeat(MAX_LABEL_VALUE_BYTES + 1);
    let nested = Any::Object(Object { values: vec![attribute("k", long.as_str()); 3] });
    for value in [messages::AnyValue::from(long.as_str()), nested.into()] {
        let line = labels_of(Vec::new(), vec![attribute("k", value)], &Setting::new());
        assert_eq!(line, "too_large: metric \"a\": the label \"k\" has a value of more than 2048 bytes");
    }
    let many = |count: usize| (0..count).map(|i| attribute(&format!("k{i}"), "x")).collect::<Vec<_>>();
    assert!(labels_of(Vec::new(), many(149), &Setting::new()).starts_with("a{k0=x"));
    let line = labels_of(Vec::new(), many(150), &Setting::new());
    assert_eq!(
        line,
        "too_many_labels: metric \"a\": 151 labels with __name__ and external labels, at most 150 are allowed"
    );
    let label = crate::model::Label { name: crate::model::LabelName::classic("env").unwrap(), value: "x".into() };
    let setting = Setting { external: LabelSet::new(vec![label]).unwrap(), ..Setting::new() };
    assert!(labels_of(Vec::new(), many(149), &setting).starts_with("too_many_labels"));
    let metrics =
        vec![metric("t", "", histogram(vec![HistogramDataPoint { attributes: many(149), ..Default::default() }]))];
    assert!(translated(&request(Vec::new(), metrics))[0].starts_with("too_many_labels"));
    let metrics = vec![metric(&"a".repeat(1_020), "", histogram(vec![HistogramDataPoint::default()]))];
    assert!(translated(&request(Vec::new(), metrics))[0].starts_with("too_large"));
}

#[test]
fn adds_target_info_from_the_earliest_to_the_latest_time() {
    let minute = 60_000 * MS;
    let points = [10 * minute, 4 * minute, 9 * minute].map(|time| point(AsInt(1), time, Vec::new())).to_vec();
    let resource = |more: Vec<KeyValue>| [service(), more].concat();
    let of = |resource| {
        let lines = translated(&request(resource, vec![metric("a", "", gauge(points.clone()))]));
        lines.into_iter().filter(|line| line.starts_with("target_info")).collect::<Vec<_>>()
    };
    let long = "x".repeat(MAX_LABEL_VALUE_BYTES + 1);
    let expected =
        [240_000, 390_000, 540_000, 600_000].map(|time| format!("target_info{{job=shop,os=linux}} 1 @{time}"));
    assert_eq!(of(resource(vec![attribute("os", "linux"), attribute("command", long.as_str())])), expected);
    assert!(of(resource(Vec::new())).is_empty(), "nothing to tell");
    assert!(of(vec![attribute("os", "linux")]).is_empty(), "nobody to tell of");
    assert_eq!(of(vec![attribute("instance", "1")]).len(), 4);
    let points = vec![point(AsInt(1), 1, Vec::new()), point(AsInt(1), u64::MAX, Vec::new())];
    let lines = translated(&request(resource(vec![attribute("os", "linux")]), vec![metric("a", "", gauge(points))]));
    assert_eq!(lines.len() as u64, 2 + MAX_TARGET_INFO_SAMPLES);
}

#[test]
fn reads_the_fields_of_a_message_in_any_order() {
    let whole = request(service(), vec![metric("a", "s", counter(one(AsInt(1))))]);
    let expected = translated(&whole);
    let messages::ResourceMetrics { resource, scope_metrics, .. } = whole.resource_metrics[0].clone();
    let messages::ScopeMetrics { scope, metrics, .. } = scope_metrics[0].clone();
    let framed = |tag: u8, body: &[u8]| {
        let mut bytes = vec![tag];
        prost::encoding::encode_varint(body.len() as u64, &mut bytes);
        [bytes, body.to_vec()].concat()
    };
    let metric = &metrics[0];
    let Some(Data::Sum(sum)) = &metric.data else { panic!("a sum") };
    let metric =
        [framed(0x3a, &sum.encode_to_vec()), framed(0x1a, b"s"), framed(0x7a, b"?"), framed(0x0a, b"a")].concat();
    let scope_metrics = [framed(0x12, &metric), framed(0x0a, &scope.unwrap().encode_to_vec())].concat();
    let resource_metrics = [framed(0x12, &scope_metrics), framed(0x0a, &resource.unwrap().encode_to_vec())].concat();
    assert_eq!(Setting::new().read(&framed(0x0a, &resource_metrics)).unwrap().samples, expected);
}

#[test]
fn says_where_a_request_cannot_be_read() {
    let error = |request: Request| Setting::new().read(&request.encode_to_vec()).err().map(|error| error.to_string());
    let attributes = vec![attribute("k", "x"); MAX_OTLP_ATTRIBUTES + 1];
    let many = request(Vec::new(), vec![metric("a", "", gauge(vec![point(AsInt(1), 1, attributes)]))]);
    assert!(error(many).unwrap().ends_with("at most 10000 attributes are allowed in one place"));
    let data = HistogramDataPoint { bucket_counts: vec![0; MAX_OTLP_BUCKETS + 1], ..HistogramDataPoint::default() };
    let many = request(Vec::new(), vec![metric("a", "", histogram(vec![data]))]);
    assert!(error(many).unwrap().ends_with("at most 4096 buckets are allowed in one place"));
    let nested = |depth| {
        (0..depth).fold(messages::AnyValue::from("x"), |value, _| Any::List(List { values: vec![value] }).into())
    };
    assert_eq!(error(request(vec![attribute("k", nested(31))], Vec::new())), None);
    let deep = error(request(vec![attribute("k", nested(32))], Vec::new())).unwrap();
    assert!(deep.ends_with("at most 32 values of an attribute may stand one in another"), "{deep}");
    let read =
        |body: &[u8]| Setting::new().read(body).map(|lines| lines.samples.len()).map_err(|error| error.to_string());
    assert_eq!(read(b""), Ok(0));
    assert_eq!(read(b"{}"), Err("byte 0: expected a field of wire type 0, 1, 2 or 5, found wire type 3".to_owned()));
    assert_eq!(read(&[0x0a, 2, 0x08, 1]), Err("byte 2: expected bytes in field 1".to_owned()));
}

/// The body has what JavaScript, Python and the Collector send.
#[test]
fn reads_json_of_every_sender() {
    let body = r#" {"resourceMetrics":[null,{"scopeMetrics":[{"metrics":[
        {"name":"a","sum":{"dataPoints":[{"attributes":[{"key":"k","value":{"stringValue":"\u00e9"}}],"asDouble":5,
            "startTimeUnixNano":"1700000000000000000","timeUnixNano":"7000000"}],"isMonotonic":true,
            "aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE"},"unit":"s","metadata":[{}]},
        {"name":"b","gauge":{"dataPoints":[{"asInt":"-3","timeUnixNano":7000000,"flags":null},{"asDouble":"-Infinity"},
            {"as_double":"1.5"}]},"sum":null},
        {"name":"t","histogram":{"data_points":[{"count":1,"sum":"0.5","bucketCounts":[0,"1"],"explicitBounds":["0.25"],
            "timeUnixNano":7e6}],"aggregationTemporality":2}},
        {"name":"l","gauge":{"dataPoints":[{"asInt":1,"attributes":[{"key":"l","value":{"arrayValue":{"values":[
            {"intValue":"1"},{"bytesValue":"_-8"},null,{"kvlistValue":{"values":[{"key":"b","value":{"boolValue":true}},
            {"key":"a"}]}},{"arrayValue":{}}]}}}]}]}},
        {"name":"none"}
        ]}],"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}],"droppedAttributesCount":0}}]}"#;
    let lines = Setting::new().read_json(body.as_bytes()).unwrap().samples;
    let expected = [
        "a_seconds_total{job=shop,k=é} 5.0 @7",
        "b{job=shop} -3 @7",
        "b{job=shop} -Inf @5000",
        "b{job=shop} 1.5 @5000",
        "t_sum{job=shop} 0.5 @7",
        "t_count{job=shop} 1 @7",
        "t_bucket{job=shop,le=0.25} 0 @7",
        "t_bucket{job=shop,le=+Inf} 1 @7",
        r#"l{job=shop,l=[1,"/+8=",null,{"a":null,"b":true},[]]} 1 @5000"#,
    ];
    assert_eq!(lines, expected);
    for empty in ["{}", "null", r#"{"resourceMetrics":null}"#, r#"{"resourceMetrics":[{}]}"#, r#"{"other":1}"#] {
        assert_eq!(Setting::new().read_json(empty.as_bytes()), Ok(Lines::default()), "{empty}");
    }
}

/// JavaScript writes half of a pair when it cuts a text in two. Go's reader replaces it.
#[test]
fn replaces_half_of_a_surrogate_pair_in_json() {
    let table = [
        (r"x\ud83d", "x\u{fffd}"),
        (r"\ude00x", "\u{fffd}x"),
        (r"\ud83d\ude00", "\u{1f600}"),
        (r"\ud83dx\ude00\n", "\u{fffd}x\u{fffd}\n"),
        (r"\ud83d\ud83d", "\u{fffd}\u{fffd}"),
        ("\u{1f600}", "\u{1f600}"),
    ];
    for (text, expected) in table {
        let point = format!(r#"{{"asInt":1,"attributes":[{{"key":"k","value":{{"stringValue":"{text}"}}}}]}}"#);
        let body = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"a","gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
        );
        let lines = Setting::new().read_json(body.as_bytes()).unwrap().samples;
        assert_eq!(lines, [format!("a{{k={expected}}} 1 @5000")], "{text}");
    }
}

/// Each number is the nearest double of its digits, as in Go.
#[test]
fn reads_a_double_in_json_to_the_last_bit() {
    for text in [
        "1e298",
        "2.2250738585072011e-308",
        "123456789.123456789e-3",
        "\"0.1\"",
        "-1.5e-7",
        "9007199254740993",
        "1.7976931348623157e308",
    ] {
        let point = format!(r#"{{"asDouble":{text}}}"#);
        let body = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"a","gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
        );
        let lines = Setting::new().read_json(body.as_bytes()).unwrap().samples;
        let expected: f64 = text.trim_matches('"').parse().unwrap();
        assert_eq!(lines, [format!("a{{}} {} @5000", Value::Float(expected))], "{text}");
    }
}

#[test]
fn says_where_json_is_wrong() {
    let table = [
        ("", "byte 0: EOF while parsing a value"),
        ("{\"resourceMetrics\":[}", "byte 20: expected value"),
        ("{\"resourceMetrics\":[{}],\n}", "byte 25: trailing comma"),
        (" []", "byte 1: expected an object, not a list"),
        (r#"{"resourceMetrics":5}"#, "byte 18: invalid type: integer `5`, expected a list"),
        (
            "{\"resourceMetrics\":[{\"scopeMetrics\":[\n{\"metrics\":[{\"name\":5}]}]}]}",
            "byte 59: invalid type: integer `5`, expected a text",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asInt":"x"}]}}]}]}]}"#,
            "byte 85: expected a whole number",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"flags":-1}]}}]}]}]}"#,
            "byte 83: expected a whole number of at least 0",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asDouble":1e309}]}}]}]}]}"#,
            "byte 89: expected a number that a double can hold",
        ),
    ];
    for (body, expected) in table {
        let error = Setting::new().read_json(body.as_bytes()).unwrap_err();
        let (position, sentence) = expected.split_once(": ").unwrap();
        let position: usize = position.strip_prefix("byte ").unwrap().parse().unwrap();
        assert_eq!(error.to_string().split_once(": ").unwrap().1, sentence, "{body}");
        // serde names the end of a value, or its beginning.
        assert!(error.offset.abs_diff(position) <= 3, "{body}: {error}");
    }
    let of = |counts: usize| {
        let counts = vec!["1"; counts].join(",");
        let point = format!("{{\"bucketCounts\":[{counts}]}}");
        format!(
            "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"histogram\":{{\"dataPoints\":[{point}]}}}}]}}]}}]}}"
        )
    };
    assert!(Setting::new().read_json(of(MAX_OTLP_BUCKETS).as_bytes()).is_ok());
    let error = Setting::new().read_json(of(MAX_OTLP_BUCKETS + 1).as_bytes()).unwrap_err().to_string();
    assert!(error.ends_with("at most 4096 buckets are allowed in one place"), "{error}");
    let deep = ["{\"resourceMetrics\":", &"[".repeat(100_000)].concat();
    assert!(Setting::new().read_json(deep.as_bytes()).is_err());
}

#[test]
fn begins_every_data_point_and_the_target_info_of_each_resource() {
    let metrics = vec![
        metric("a", "", gauge(vec![point(AsInt(1), 1, Vec::new()), NumberDataPoint::default()])),
        metric(
            "b",
            "",
            Data::Histogram(Histogram { data_points: vec![HistogramDataPoint::default()], aggregation_temporality: 1 }),
        ),
    ];
    let lines = Setting::new()
        .read(&request([service(), vec![attribute("os", "x")]].concat(), metrics).encode_to_vec())
        .unwrap();
    assert_eq!(lines.items, [Item::Point, Item::Point, Item::Point, Item::TargetInfo]);
}

proptest! {
    /// However a request is written as JSON, its translation is that of its protobuf.
    #[test]
    fn property_test_json_and_protobuf_are_translated_alike(seed in any::<u64>()) {
        let mut generator = generator::Generator::new(seed);
        let request = generator.request();
        let body = json::of(&request, &mut generator, true);
        let setting = Setting { scope_labels: generator.is(50), ..Setting::new() };
        prop_assert_eq!(setting.read_json(body.as_bytes()), setting.read(&request.encode_to_vec()), "{}", body);
    }

    #[test]
    fn property_test_any_text_is_read_or_there_is_a_reason(body in "[{}\\[\\]:,\"a0]{0,40}") {
        let _result = Setting::new().read_json(body.as_bytes());
    }

    #[test]
    fn property_test_any_bytes_are_read_or_there_is_a_reason(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _result = Setting::new().read(&body);
    }

    /// A damaged request is read or there is a reason.
    #[test]
    fn property_test_a_damaged_request_does_no_harm(position in 0..400_usize, byte in any::<u8>(), cut in 0..400_usize) {
        let points = vec![HistogramDataPoint { bucket_counts: vec![1, 2], explicit_bounds: vec![1.0], count: 3, ..Default::default() }];
        let metrics = vec![
            metric("a", "s", counter(one(AsInt(1)))),
            metric("t", "s", histogram(points)),
            metric("e", "s", exponential(vec![messages::ExponentialHistogramDataPoint::default()])),
        ];
        let mut body = request([service(), vec![attribute("os", AnyValueOf::List.any())]].concat(), metrics).encode_to_vec();
        let position = position % body.len();
        body[position] = byte;
        body.truncate(body.len().min(cut + 100));
        let _result = Setting::new().read(&body);
    }
}
