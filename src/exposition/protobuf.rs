//! Parses delimited protobuf, `io.prometheus.client.MetricFamily`, as Prometheus does at a scrape:
//! <https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto>.
//!
//! * A histogram or a summary becomes the series that the text format has for it. A bucket for +Inf is added if there is none.
//! * A histogram with a span, a zero threshold or a zero count is native. If it also has classic buckets, both are kept.
//! * Exemplars and the start times of series are skipped.

use super::builder::{Builder, check_size};
use super::error::{Excerpt, ParseError, Place, Problem};
use super::families::{Exposition, LabelRange, LabelRecord, NO_BOUND, Span};
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_PUSHED_HISTOGRAM_BYTES, MAX_PUSHED_SERIES};
use crate::model::{self, Counts, METRIC_NAME_LABEL, MetricType, NativeHistogram, ResetHint, Timestamp, write_bound};
use crate::protobuf::{Field, Message, sint64};

/// Parses families, each after its length.
pub fn parse_protobuf(body: &[u8]) -> Result<Exposition<'static>, ParseError> {
    check_size(body, Place::Family(1))?;
    let mut parser = Parser::new();
    let mut body = Message::new(body);
    let mut number = 0;
    while !body.is_empty() {
        number += 1;
        let read = body.delimited().map_err(Problem::from).and_then(|message| parser.family(message, number));
        if let Err(problem) = read {
            return Err(parser.builder.error(number, parser.name.take(), problem));
        }
        parser.name = None;
    }
    parser.builder.finish()
}

struct Parser {
    builder: Builder<'static>,
    le: Span,
    quantile: Span,
    /// The name of the family that is read, for an error.
    name: Option<Excerpt>,
    /// The bounds and counts of the buckets of a metric.
    buckets: Vec<(f64, f64)>,
    /// The memory that native histograms may still take.
    histogram_bytes: usize,
    /// The bytes that series may still take when they are sent. A bucket of eleven bytes takes a hundred.
    sent_bytes: usize,
}

/// The names of the series of a family.
struct Names {
    bare: u32,
    /// The names with `_count`, `_sum` and `_bucket`, if the type has them.
    count: u32,
    sum: u32,
    bucket: u32,
}

/// One metric of a family, whose labels are in the builder.
struct Metric<'m> {
    labels: LabelRange,
    /// The bytes of the labels when they are sent.
    label_bytes: usize,
    timestamp: Option<Timestamp>,
    /// The message of its type, if there is one.
    value: Option<Message<'m>>,
    /// It already has a label with the name of its bounds.
    has_bound: bool,
    number: u32,
}

/// The fields of a `Histogram` that a native one needs.
#[derive(Default)]
struct Native {
    count: u64,
    count_float: f64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero: u64,
    zero_float: f64,
    negative: Side,
    positive: Side,
}

#[derive(Default)]
struct Side {
    spans: Vec<model::Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Parser {
    fn new() -> Self {
        let mut builder = Builder::new("", Place::Family);
        let (le, quantile) = (builder.store("le"), builder.store("quantile"));
        let (histogram_bytes, sent_bytes) = (MAX_PUSHED_HISTOGRAM_BYTES, MAX_DOOR_PROTOBUF_BYTES);
        Self { builder, le, quantile, name: None, buckets: Vec::new(), histogram_bytes, sent_bytes }
    }

    fn family(&mut self, message: Message<'_>, number: u32) -> Result<(), Problem> {
        let (mut name, mut help, mut unit, mut type_number, mut is_empty) = ("", None, None, 0, true);
        let mut fields = message;
        while let Some(field) = fields.field()? {
            match field.number {
                1 => name = field.text()?,
                2 => help = Some(field.text()?),
                3 => type_number = field.uint32()?,
                4 => is_empty = false,
                5 => unit = Some(field.text()?),
                _ => {}
            }
        }
        if is_empty {
            return Ok(());
        }
        if name.is_empty() {
            return Err(Problem::NoName);
        }
        self.name = Some(Excerpt::new(name));
        let metric_type = metric_type(type_number)?;
        let stored = self.builder.store(name);
        let family = self.builder.family(stored);
        self.builder.set_type(family, metric_type)?;
        for (text, is_help) in [(help, true), (unit, false)] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                let span = self.builder.store(text);
                let record = &mut self.builder.exposition.families[family as usize];
                let slot = if is_help { &mut record.help } else { &mut record.unit };
                slot.get_or_insert(span);
            }
        }
        let names = self.names(name, stored, family, metric_type);
        let mut fields = message;
        while let Some(field) = fields.field()? {
            if field.number == 4 {
                let metric = self.metric(field.message()?, metric_type, number)?;
                self.series(&metric, metric_type, &names)?;
            }
        }
        Ok(())
    }

    fn names(&mut self, name: &str, stored: Span, family: u32, metric_type: MetricType) -> Names {
        let bare = self.builder.name(stored, family);
        let mut with = |suffix: &str| {
            let span = self.builder.store(&format!("{name}{suffix}"));
            self.builder.name(span, family)
        };
        match metric_type {
            MetricType::Summary => Names { bare, count: with("_count"), sum: with("_sum"), bucket: bare },
            MetricType::Histogram | MetricType::GaugeHistogram => {
                Names { bare, count: with("_count"), sum: with("_sum"), bucket: with("_bucket") }
            }
            _ => Names { bare, count: bare, sum: bare, bucket: bare },
        }
    }

    fn metric<'m>(
        &mut self,
        mut fields: Message<'m>,
        metric_type: MetricType,
        number: u32,
    ) -> Result<Metric<'m>, Problem> {
        let field_of_type = match metric_type {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => 4,
            MetricType::Histogram | MetricType::GaugeHistogram => 7,
            _ => 5,
        };
        let of_bounds = if metric_type == MetricType::Summary { "quantile" } else { "le" };
        let (mut value, mut timestamp, mut has_bound) = (None, 0, false);
        while let Some(field) = fields.field()? {
            match field.number {
                1 => has_bound |= self.label(field.message()?)? == of_bounds,
                6 => timestamp = field.int64()?,
                number if number == field_of_type => value = Some(field.message()?),
                _ => {}
            }
        }
        // Prometheus takes 0 for no time, too. The least number is that of no time in a record.
        let timestamp = (timestamp != 0).then_some(Timestamp(timestamp.max(i64::MIN + 1)));
        let labels = self.builder.labels()?;
        let all = &self.builder.exposition.labels[labels.start as usize..];
        let label_bytes = all.iter().map(sent_len).sum();
        Ok(Metric { labels, label_bytes, timestamp, value, has_bound, number })
    }

    /// Returns the name of the label.
    fn label<'m>(&mut self, mut fields: Message<'m>) -> Result<&'m str, Problem> {
        let (mut name, mut value) = ("", "");
        while let Some(field) = fields.field()? {
            match field.number {
                1 => name = field.text()?,
                2 => value = field.text()?,
                _ => {}
            }
        }
        if name == METRIC_NAME_LABEL {
            return Err(Problem::TwoNames { second: Excerpt::new(value) });
        }
        let (stored, value) = (self.builder.store(name), self.builder.store(value));
        self.builder.label(stored, value);
        Ok(name)
    }

    fn series(&mut self, metric: &Metric<'_>, metric_type: MetricType, names: &Names) -> Result<(), Problem> {
        match metric_type {
            MetricType::Summary => self.summary(metric, names),
            MetricType::Histogram | MetricType::GaugeHistogram => {
                self.histogram(metric, names, metric_type == MetricType::GaugeHistogram)
            }
            _ => {
                let mut number = 0.0;
                let mut fields = metric.fields();
                while let Some(field) = fields.field()? {
                    if field.number == 1 {
                        number = field.double()?;
                    }
                }
                self.add(metric, names.bare, NO_BOUND, number)
            }
        }
    }

    fn add(&mut self, metric: &Metric<'_>, name: u32, bound: u32, value: f64) -> Result<(), Problem> {
        let Exposition { names, labels, .. } = &self.builder.exposition;
        let of_bound = labels.get(bound as usize).map_or(0, sent_len);
        let bytes = SERIES_BYTES + names[name as usize].name.len as usize + metric.label_bytes + of_bound;
        self.sent_bytes = self.sent_bytes.checked_sub(bytes).ok_or(Problem::TooMuchToSend)?;
        self.builder.series(name, metric.labels, bound, (metric.timestamp, value), metric.number)
    }

    /// Adds a series with one more label, whose value is a number.
    fn add_bound(
        &mut self,
        metric: &Metric<'_>,
        name: u32,
        (label, number): (Span, f64),
        value: f64,
    ) -> Result<(), Problem> {
        if metric.has_bound {
            return Err(Problem::DuplicateLabel { name: Excerpt::new(self.builder.text(label)) });
        }
        let mut text = String::new();
        write_bound(&mut text, number);
        let text = self.builder.store(&text);
        let bound = self.builder.bound(label, text);
        self.add(metric, name, bound, value)
    }

    fn summary(&mut self, metric: &Metric<'_>, names: &Names) -> Result<(), Problem> {
        let (mut count, mut sum) = (0, 0.0);
        self.buckets.clear();
        let mut fields = metric.fields();
        while let Some(field) = fields.field()? {
            match field.number {
                1 => count = field.varint()?,
                2 => sum = field.double()?,
                3 => {
                    let (mut quantile, mut value) = (0.0, 0.0);
                    let mut fields = field.message()?;
                    while let Some(field) = fields.field()? {
                        match field.number {
                            1 => quantile = field.double()?,
                            2 => value = field.double()?,
                            _ => {}
                        }
                    }
                    self.push_bucket(quantile, value)?;
                }
                _ => {}
            }
        }
        self.add(metric, names.count, NO_BOUND, as_double(count))?;
        self.add(metric, names.sum, NO_BOUND, sum)?;
        for i in 0..self.buckets.len() {
            let (quantile, value) = self.buckets[i];
            self.add_bound(metric, names.bare, (self.quantile, quantile), value)?;
        }
        Ok(())
    }

    fn histogram(&mut self, metric: &Metric<'_>, names: &Names, is_gauge: bool) -> Result<(), Problem> {
        self.buckets.clear();
        let mut native = Native::default();
        let mut fields = metric.fields();
        while let Some(field) = fields.field()? {
            match field.number {
                1 => native.count = field.varint()?,
                2 => native.sum = field.double()?,
                3 => {
                    let (bound, count) = bucket(field.message()?)?;
                    self.push_bucket(bound, count)?;
                }
                4 => native.count_float = field.double()?,
                5 => native.schema = field.sint32()?,
                6 => native.zero_threshold = field.double()?,
                7 => native.zero = field.varint()?,
                8 => native.zero_float = field.double()?,
                9 => self.span(field, &mut native.negative)?,
                10 => self.deltas(field, &mut native.negative)?,
                11 => self.counts(field, &mut native.negative)?,
                12 => self.span(field, &mut native.positive)?,
                13 => self.deltas(field, &mut native.positive)?,
                14 => self.counts(field, &mut native.positive)?,
                _ => {}
            }
        }
        let (sum, count) = (native.sum, float_or(native.count_float, native.count));
        if native.is_native() {
            self.take(size_of::<NativeHistogram>())?;
            let value = native.into_histogram(is_gauge)?;
            self.builder.histogram(names.bare, metric.labels, (metric.timestamp, value), metric.number)?;
            if self.buckets.is_empty() {
                return Ok(());
            }
        }
        self.add(metric, names.count, NO_BOUND, count)?;
        self.add(metric, names.sum, NO_BOUND, sum)?;
        for i in 0..self.buckets.len() {
            let (bound, count) = self.buckets[i];
            if bound.is_nan() {
                return Err(Problem::InvalidBound { found: Some(Excerpt::new("NaN")) });
            }
            self.add_bound(metric, names.bucket, (self.le, bound), count)?;
            if bound == f64::INFINITY {
                return Ok(());
            }
        }
        self.add_bound(metric, names.bucket, (self.le, f64::INFINITY), count)
    }

    /// Keeps a bucket, or a quantile and its value.
    fn push_bucket(&mut self, bound: f64, value: f64) -> Result<(), Problem> {
        if self.buckets.len() == MAX_PUSHED_SERIES {
            return Err(Problem::TooManySeries);
        }
        self.buckets.push((bound, value));
        Ok(())
    }

    fn span(&mut self, field: Field<'_>, side: &mut Side) -> Result<(), Problem> {
        self.take(size_of::<model::Span>())?;
        let mut span = model::Span { offset: 0, length: 0 };
        let mut fields = field.message()?;
        while let Some(field) = fields.field()? {
            match field.number {
                1 => span.offset = field.sint32()?,
                2 => span.length = field.uint32()?,
                _ => {}
            }
        }
        side.spans.push(span);
        Ok(())
    }

    fn deltas(&mut self, field: Field<'_>, side: &mut Side) -> Result<(), Problem> {
        field.varints(|zigzag| {
            self.take(size_of::<i64>())?;
            side.deltas.push(sint64(zigzag));
            Ok(())
        })
    }

    fn counts(&mut self, field: Field<'_>, side: &mut Side) -> Result<(), Problem> {
        field.doubles(|count| {
            self.take(size_of::<f64>())?;
            side.counts.push(count);
            Ok(())
        })
    }

    /// Takes memory for native histograms.
    fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        self.histogram_bytes = self.histogram_bytes.checked_sub(bytes).ok_or(Problem::TooManyBuckets)?;
        Ok(())
    }
}

/// The name's own label, the value, the time and the lengths of a series.
const SERIES_BYTES: usize = 40;

/// Returns at least as many bytes as a label takes when it is sent.
fn sent_len(label: &LabelRecord) -> usize {
    (label.name.len + label.value.len) as usize + 8
}

impl<'m> Metric<'m> {
    fn fields(&self) -> Message<'m> {
        self.value.unwrap_or(Message::new(&[]))
    }
}

impl Native {
    /// The rule is that of Prometheus. A library without observations marks a native histogram with a span of no buckets.
    fn is_native(&self) -> bool {
        !self.positive.spans.is_empty() || !self.negative.spans.is_empty() || self.zero_threshold > 0.0 || self.zero > 0
    }

    fn into_histogram(self, is_gauge: bool) -> Result<NativeHistogram, Problem> {
        let Self { positive, negative, .. } = self;
        let is_float = self.count_float > 0.0
            || self.zero_float > 0.0
            || !positive.counts.is_empty()
            || !negative.counts.is_empty();
        for side in [&positive, &negative] {
            let buckets = if is_float { side.counts.len() } else { side.deltas.len() };
            let of_spans: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
            if of_spans != buckets as u64 {
                return Err(Problem::SpansMismatch { of_spans, buckets });
            }
        }
        let counts = if is_float {
            let (count, zero) = (self.count_float, self.zero_float);
            Counts::Float { count, zero, negative: negative.counts, positive: positive.counts }
        } else {
            Counts::Integer {
                count: self.count,
                zero: self.zero,
                negative_deltas: negative.deltas,
                positive_deltas: positive.deltas,
            }
        };
        Ok(NativeHistogram {
            sum: self.sum,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            counts,
            negative_spans: negative.spans,
            positive_spans: positive.spans,
            reset_hint: if is_gauge { ResetHint::Gauge } else { ResetHint::Unknown },
            custom_values: Vec::new(),
        })
    }
}

/// Returns the upper bound of a classic bucket, and its count.
fn bucket(mut fields: Message<'_>) -> Result<(f64, f64), Problem> {
    let (mut count, mut bound, mut float) = (0, 0.0, 0.0);
    while let Some(field) = fields.field()? {
        match field.number {
            1 => count = field.varint()?,
            2 => bound = field.double()?,
            4 => float = field.double()?,
            _ => {}
        }
    }
    Ok((bound, float_or(float, count)))
}

/// In this format types have other numbers than in remote write.
fn metric_type(number: u32) -> Result<MetricType, Problem> {
    match number {
        0 => Ok(MetricType::Counter),
        1 => Ok(MetricType::Gauge),
        2 => Ok(MetricType::Summary),
        3 => Ok(MetricType::Unknown),
        4 => Ok(MetricType::Histogram),
        5 => Ok(MetricType::GaugeHistogram),
        other => Err(Problem::UnknownType { found: Excerpt::new(&other.to_string()) }),
    }
}

fn float_or(float: f64, count: u64) -> f64 {
    if float == 0.0 { as_double(count) } else { float }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double, as Prometheus has it")]
fn as_double(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
