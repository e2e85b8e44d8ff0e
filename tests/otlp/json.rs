//! Requests as JSON, as this or that sender writes them: numbers as texts or not, enums as names or not, members in any order.

use super::generator::Generator;
use super::messages::{
    Any, AnyValue, Buckets, Data, ExponentialHistogramDataPoint, HistogramDataPoint, KeyValue, Metric, Number,
    NumberDataPoint, Request, ResourceMetrics, ScopeMetrics, SummaryDataPoint,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Returns the request. `is_odd` adds what the gateway takes and the Collector's library does not: `null` everywhere.
pub fn of(request: &Request, generator: &mut Generator, is_odd: bool) -> String {
    let mut writer = Writer { generator, is_odd };
    let metrics = writer.list(&request.resource_metrics, Writer::resource_metrics);
    writer.object(vec![("resourceMetrics", metrics)])
}

struct Writer<'g> {
    generator: &'g mut Generator,
    is_odd: bool,
}

impl Writer<'_> {
    fn object(&mut self, mut members: Vec<(&str, String)>) -> String {
        if self.generator.is(10) {
            members.push(("unknown", "{\"a\":[1,{\"b\":null}],\"c\":\"\\\"}\"}".to_owned()));
        }
        if self.is_odd && self.generator.is(5) {
            members.push(("attributes", "null".to_owned()));
            let mut has = false;
            members.retain(|(name, _)| *name != "attributes" || !std::mem::replace(&mut has, true));
        }
        self.generator.shuffle(&mut members);
        let space = if self.generator.is(10) { "\n " } else { "" };
        let members = members.iter().map(|(name, value)| {
            let name = if self.generator.is(10) { snake_case(name) } else { (*name).to_owned() };
            format!("{space}\"{name}\":{space}{value}")
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    fn list<T>(&mut self, items: &[T], mut one: impl FnMut(&mut Self, &T) -> String) -> String {
        if items.is_empty() && self.is_odd && self.generator.is(50) {
            return "null".to_owned();
        }
        let items: Vec<_> = items.iter().map(|item| one(self, item)).collect();
        format!("[{}]", items.join(","))
    }

    /// Writes a number of 64 bits.
    fn whole(&mut self, number: &impl ToString) -> String {
        let number = number.to_string();
        if self.generator.is(50) { format!("\"{number}\"") } else { number }
    }

    fn double(&mut self, number: f64) -> String {
        if number.is_nan() {
            return "\"NaN\"".to_owned();
        }
        if number.is_infinite() {
            return if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }.to_owned();
        }
        let text = if self.generator.is(50) { number.to_string() } else { format!("{number:e}") };
        if self.generator.is(20) { format!("\"{text}\"") } else { text }
    }

    fn resource_metrics(&mut self, metrics: &ResourceMetrics) -> String {
        let mut members = vec![("scopeMetrics", self.list(&metrics.scope_metrics, Self::scope_metrics))];
        if let Some(resource) = &metrics.resource {
            let attributes = self.list(&resource.attributes, Self::attribute);
            members.push(("resource", self.object(vec![("attributes", attributes)])));
        }
        self.object(members)
    }

    fn scope_metrics(&mut self, metrics: &ScopeMetrics) -> String {
        let mut members =
            vec![("metrics", self.list(&metrics.metrics, Self::metric)), ("schemaUrl", text(&metrics.schema_url))];
        if let Some(scope) = &metrics.scope {
            let attributes = self.list(&scope.attributes, Self::attribute);
            let own = vec![("name", text(&scope.name)), ("version", text(&scope.version)), ("attributes", attributes)];
            members.push(("scope", self.object(own)));
        }
        self.object(members)
    }

    fn metric(&mut self, metric: &Metric) -> String {
        let mut members = vec![
            ("name", text(&metric.name)),
            ("description", text(&metric.description)),
            ("unit", text(&metric.unit)),
        ];
        if let Some(data) = &metric.data {
            let (kind, points, temporality) = match data {
                Data::Gauge(data) => ("gauge", self.list(&data.data_points, Self::number_point), None),
                Data::Sum(data) => {
                    ("sum", self.list(&data.data_points, Self::number_point), Some(data.aggregation_temporality))
                }
                Data::Histogram(data) => {
                    let points = self.list(&data.data_points, Self::histogram_point);
                    ("histogram", points, Some(data.aggregation_temporality))
                }
                Data::ExponentialHistogram(data) => {
                    let points = self.list(&data.data_points, Self::exponential_point);
                    ("exponentialHistogram", points, Some(data.aggregation_temporality))
                }
                Data::Summary(data) => ("summary", self.list(&data.data_points, Self::summary_point), None),
            };
            let mut own = vec![("dataPoints", points)];
            if let Some(number) = temporality {
                let name = match number {
                    1 => "\"AGGREGATION_TEMPORALITY_DELTA\"",
                    2 => "\"AGGREGATION_TEMPORALITY_CUMULATIVE\"",
                    _ => "0",
                };
                let shown = if self.generator.is(50) { name.to_owned() } else { number.to_string() };
                own.push(("aggregationTemporality", shown));
            }
            if let Data::Sum(sum) = data {
                own.push(("isMonotonic", sum.is_monotonic.to_string()));
            }
            members.push((kind, self.object(own)));
        }
        self.object(members)
    }

    fn point(&mut self, times: [u64; 2], attributes: &[KeyValue], flags: u32) -> Vec<(&'static str, String)> {
        let attributes = self.list(attributes, Self::attribute);
        vec![
            ("startTimeUnixNano", self.whole(&times[0])),
            ("timeUnixNano", self.whole(&times[1])),
            ("attributes", attributes),
            ("flags", flags.to_string()),
        ]
    }

    fn number_point(&mut self, point: &NumberDataPoint) -> String {
        let times = [point.start_time_unix_nano, point.time_unix_nano];
        let mut members = self.point(times, &point.attributes, point.flags);
        match point.value {
            Some(Number::AsInt(number)) => members.push(("asInt", self.whole(&number))),
            Some(Number::AsDouble(number)) => members.push(("asDouble", self.double(number))),
            None => {}
        }
        self.object(members)
    }

    fn histogram_point(&mut self, point: &HistogramDataPoint) -> String {
        let times = [point.start_time_unix_nano, point.time_unix_nano];
        let mut members = self.point(times, &point.attributes, point.flags);
        members.push(("count", self.whole(&point.count)));
        if let Some(sum) = point.sum {
            members.push(("sum", self.double(sum)));
        }
        members.push(("bucketCounts", self.list(&point.bucket_counts, |own, count| own.whole(&count))));
        members.push(("explicitBounds", self.list(&point.explicit_bounds, |own, bound| own.double(*bound))));
        self.object(members)
    }

    fn exponential_point(&mut self, point: &ExponentialHistogramDataPoint) -> String {
        let times = [point.start_time_unix_nano, point.time_unix_nano];
        let mut members = self.point(times, &point.attributes, point.flags);
        members.push(("count", self.whole(&point.count)));
        if let Some(sum) = point.sum {
            members.push(("sum", self.double(sum)));
        }
        members.push(("scale", point.scale.to_string()));
        members.push(("zeroCount", self.whole(&point.zero_count)));
        for (name, buckets) in [("positive", &point.positive), ("negative", &point.negative)] {
            if let Some(buckets) = buckets {
                members.push((name, self.buckets(buckets)));
            }
        }
        self.object(members)
    }

    fn buckets(&mut self, buckets: &Buckets) -> String {
        let counts = self.list(&buckets.bucket_counts, |own, count| own.whole(&count));
        self.object(vec![("offset", buckets.offset.to_string()), ("bucketCounts", counts)])
    }

    fn summary_point(&mut self, point: &SummaryDataPoint) -> String {
        let times = [point.start_time_unix_nano, point.time_unix_nano];
        let mut members = self.point(times, &point.attributes, point.flags);
        members.push(("count", self.whole(&point.count)));
        members.push(("sum", self.double(point.sum)));
        let quantiles = self.list(&point.quantile_values, |own, both| {
            let members = vec![("quantile", own.double(both.quantile)), ("value", own.double(both.value))];
            own.object(members)
        });
        members.push(("quantileValues", quantiles));
        self.object(members)
    }

    fn attribute(&mut self, attribute: &KeyValue) -> String {
        let mut members = vec![("key", text(&attribute.key))];
        if let Some(value) = &attribute.value {
            members.push(("value", self.any(value)));
        }
        self.object(members)
    }

    fn any(&mut self, value: &AnyValue) -> String {
        let member = match &value.value {
            None => return "{}".to_owned(),
            Some(Any::Text(value)) => ("stringValue", text(value)),
            Some(Any::Bool(value)) => ("boolValue", value.to_string()),
            Some(Any::Int(number)) => ("intValue", self.whole(&number)),
            Some(Any::Double(number)) => ("doubleValue", self.double(*number)),
            Some(Any::Bytes(bytes)) => ("bytesValue", format!("\"{}\"", STANDARD.encode(bytes))),
            Some(Any::List(list)) => {
                let values = self.list(&list.values, Self::any);
                ("arrayValue", self.object(vec![("values", values)]))
            }
            Some(Any::Object(object)) => {
                let values = self.list(&object.values, Self::attribute);
                ("kvlistValue", self.object(vec![("values", values)]))
            }
        };
        self.object(vec![member])
    }
}

fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
