//! Random requests, with the names, units and values that make a difference.

use super::messages::{
    Any, AnyValue, Buckets, Data, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, KeyValue, List, Metric, Number, NumberDataPoint, Object, Request, Resource, ResourceMetrics,
    Scope, ScopeMetrics, Sum, Summary, SummaryDataPoint, ValueAtQuantile,
};

pub struct Generator(fastrand::Rng);

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub fn some<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.0.usize(0..=most)).map(|_| one(self)).collect()
    }

    /// Returns one of the texts, or two of them as one.
    pub fn text(&mut self, texts: &[&str]) -> String {
        let mut text = (*self.0.choice(texts).unwrap()).to_owned();
        if self.0.u8(0..4) == 0 {
            text += self.0.choice(texts).unwrap();
        }
        text
    }

    pub fn is(&mut self, percent: u8) -> bool {
        self.0.u8(0..100) < percent
    }

    /// Returns a number below `end`.
    #[allow(dead_code, reason = "tests/otlp.rs alone mutates requests")]
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(0..end)
    }

    #[allow(dead_code, reason = "tests/otlp.rs alone mutates requests")]
    pub fn byte(&mut self) -> u8 {
        self.0.u8(..)
    }

    pub fn request(&mut self) -> Request {
        Request { resource_metrics: self.some(2, Self::resource_metrics) }
    }

    fn resource_metrics(&mut self) -> ResourceMetrics {
        let keys = ["service.name", "service.namespace", "service.instance.id", "os.type", "os_type", "a", "job"];
        let resource = Resource { attributes: self.some(4, |own| own.attribute(&keys)), ..Resource::default() };
        let resource = self.is(90).then_some(resource);
        ResourceMetrics { resource, scope_metrics: self.some(2, Self::scope_metrics), ..ResourceMetrics::default() }
    }

    fn scope_metrics(&mut self) -> ScopeMetrics {
        let attributes = self.some(2, |own| own.attribute(&["a.b", "a_b", "name", "version", "x"]));
        let scope = Scope { name: self.text(&["", "meter", "io.x"]), version: self.text(&["", "1.2"]), attributes };
        ScopeMetrics {
            scope: self.is(90).then_some(scope),
            metrics: self.some(2, Self::metric),
            schema_url: self.text(&["", "https://x"]),
        }
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        self.0.shuffle(list);
    }

    fn metric(&mut self) -> Metric {
        let names = [
            "a",
            "a.b",
            "_x_",
            "total",
            "requests_total",
            "seconds",
            "http.server.duration",
            "1st",
            "é",
            "a__b",
            "ratio",
            "bytes",
            "per",
            "second",
            "per_second",
            "x:y",
            "-",
            "",
        ];
        let units = [
            "", "s", "ms", "By", "1", "%", "{x}", "By/s", "1/s", "1/{x}", "/", "KiBy/min", "Cel", " s ", "_", "foo_",
            "m/h", "x/_", "é", "a/b/c",
        ];
        let temporality = |own: &mut Self| if own.is(90) { 2 } else { own.0.i32(-1..4) };
        let data = match self.0.u8(0..12) {
            0..=2 => Data::Gauge(Gauge { data_points: self.some(3, Self::number_point) }),
            3..=5 => Data::Sum(Sum {
                data_points: self.some(3, Self::number_point),
                aggregation_temporality: temporality(self),
                is_monotonic: self.0.bool(),
            }),
            6 | 7 => Data::Histogram(Histogram {
                data_points: self.some(2, Self::histogram_point),
                aggregation_temporality: temporality(self),
            }),
            8 | 9 => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.some(2, Self::exponential_point),
                aggregation_temporality: temporality(self),
            }),
            _ => Data::Summary(Summary { data_points: self.some(2, Self::summary_point) }),
        };
        Metric {
            name: self.text(&names),
            description: self.text(&["", "Some help."]),
            unit: self.text(&units),
            data: self.is(97).then_some(data),
        }
    }

    fn time(&mut self) -> u64 {
        match self.0.u8(0..10) {
            1 => 1_700_000_000_000_999_999,
            2 => 1_700_000_400_000_000_000,
            _ => 1_700_000_000_000_000_000 + self.0.u64(0..1_000_000_000_000),
        }
    }

    fn flags(&mut self) -> u32 {
        if self.is(90) { 0 } else { self.0.u32(0..4) }
    }

    fn double(&mut self) -> f64 {
        let some = [0.0, 1.0, 0.1, 1e21, -1.5e-7, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 123_456_789.0];
        *self.0.choice(&some).unwrap()
    }

    fn count(&mut self) -> u64 {
        if self.is(90) { self.0.u64(0..9) } else { self.0.u64(0..1 << 60) }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        let value = if self.0.bool() { Number::AsInt(self.0.i64(..)) } else { Number::AsDouble(self.double()) };
        NumberDataPoint {
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            value: self.is(97).then_some(value),
            attributes: self.attributes(),
            flags: self.flags(),
            exemplars: Vec::new(),
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: self.count(),
            sum: self.0.bool().then(|| self.double()),
            bucket_counts: self.some(4, Self::count),
            explicit_bounds: self.some(4, Self::double),
            attributes: self.attributes(),
            flags: self.flags(),
            min: None,
        }
    }

    fn exponential_point(&mut self) -> ExponentialHistogramDataPoint {
        let scale = if self.is(90) { self.0.i32(-5..22) } else { self.0.i32(..) };
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: self.count(),
            sum: self.0.bool().then(|| self.double()),
            scale,
            zero_count: self.count(),
            positive: self.0.bool().then(|| self.buckets()),
            negative: self.0.bool().then(|| self.buckets()),
            flags: self.flags(),
        }
    }

    fn buckets(&mut self) -> Buckets {
        let offset = if self.is(90) { self.0.i32(-50..50) } else { self.0.i32(-1_000_000..1_000_000) };
        Buckets { offset, bucket_counts: self.some(12, |own| if own.is(50) { 0 } else { own.count() }) }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: self.count(),
            sum: self.double(),
            quantile_values: self.some(3, |own| ValueAtQuantile { quantile: own.double(), value: own.double() }),
            attributes: self.attributes(),
            flags: self.flags(),
        }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        let keys = [
            "a",
            "a.b",
            "a_b",
            "a-b",
            "le",
            "quantile",
            "job",
            "instance",
            "__name__",
            "_x",
            "__x",
            "1x",
            "otel_scope_name",
            "otel.scope.version",
            "b",
            "os_type",
            "é",
        ];
        self.some(3, |own| own.attribute(&keys))
    }

    fn attribute(&mut self, keys: &[&str]) -> KeyValue {
        let key = if self.is(99) { (*self.0.choice(keys).unwrap()).to_owned() } else { self.text(&["", "_", "--"]) };
        KeyValue { key, value: self.is(97).then(|| self.any(0)) }
    }

    fn any(&mut self, depth: u8) -> AnyValue {
        let value = match self.0.u8(0..if depth < 3 { 12 } else { 9 }) {
            0..=3 => Any::Text(self.text(&["", "x", "y;z", "é\"\\\n<&>\u{1}\u{2028}"])),
            4 => Any::Bool(self.0.bool()),
            5 | 6 => Any::Int(self.0.i64(..)),
            7 => Any::Double(if depth == 0 { self.double() } else { 0.25 }),
            8 => Any::Bytes(self.some(4, |own| own.0.u8(..))),
            9 | 10 => Any::List(List { values: self.some(3, |own| own.any(depth + 1)) }),
            _ => Any::Object(Object { values: self.some(3, |own| own.nested_attribute(depth)) }),
        };
        AnyValue { value: self.is(95).then_some(value) }
    }

    fn nested_attribute(&mut self, depth: u8) -> KeyValue {
        KeyValue { key: self.text(&["", "a", "b", "\"", "é"]), value: self.is(90).then(|| self.any(depth + 1)) }
    }
}
