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

mod delta;
mod read_json;
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
    assert!(deep.ends_with("the values of an attribute are nested more than 32 deep"), "{deep}");
    let read =
        |body: &[u8]| Setting::new().read(body).map(|lines| lines.samples.len()).map_err(|error| error.to_string());
    assert_eq!(read(b""), Ok(0));
    assert_eq!(read(b"{}"), Err("byte 0: expected a field of wire type 0, 1, 2 or 5, found wire type 3".to_owned()));
    assert_eq!(read(&[0x0a, 2, 0x08, 1]), Err("byte 2: expected bytes in field 1".to_owned()));
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
