//! The series of a data point of a histogram or a summary, and their names.

use super::message::{Kind, Metric, Point};
use super::names::metric_name;
use super::translate::Sink;
use crate::model::{
    BOUND_LABEL, Label, LabelName, LabelSet, MetricName, NameError, Reason, Rejection, Timestamp, Value,
};
use std::borrow::Cow;

/// The names of the series of a family.
#[derive(Clone, Debug)]
pub(super) struct Names<'a> {
    pub(super) bare: MetricName<'a>,
    pub(super) sum: MetricName<'a>,
    pub(super) count: MetricName<'a>,
    pub(super) bucket: MetricName<'a>,
}

/// The series of one data point.
#[derive(Clone, Copy)]
pub(super) struct Series<'m, 'a> {
    pub(super) names: &'m Names<'a>,
    pub(super) time: Timestamp,
    pub(super) is_stale: bool,
}

/// The texts of the bounds of the last histogram. The histograms of one metric mostly have the same bounds.
#[derive(Default, Debug)]
pub(super) struct BoundTexts {
    bounds: Vec<f64>,
    texts: Vec<String>,
}

impl BoundTexts {
    fn of(&mut self, bounds: &[f64]) -> &[String] {
        let is_same = self.bounds.len() == bounds.len()
            && self.bounds.iter().zip(bounds).all(|(own, other)| own.to_bits() == other.to_bits());
        if !is_same {
            self.bounds = bounds.to_vec();
            self.texts = bounds.iter().map(|bound| text(*bound)).collect();
        }
        &self.texts
    }
}

impl<'a> Series<'_, 'a> {
    /// Writes `_sum`, if there is one, `_count` and the buckets. The bucket of +Inf has the count.
    pub(super) fn histogram(
        self,
        point: &Point<'_>,
        mut labels: LabelSet<'a>,
        texts: &mut BoundTexts,
        sink: &mut impl Sink<'a>,
    ) {
        let Names { sum: sum_name, count: count_name, bucket, .. } = self.names;
        // Only the buckets lose an attribute of this name.
        let has_bound = labels.get(BOUND_LABEL).is_some();
        sink.labels(if has_bound { labels.clone() } else { std::mem::take(&mut labels) });
        if let Some(sum) = point.sum {
            self.number(sum_name, None, Value::Float(sum), sink);
        }
        self.number(count_name, None, count(point.count), sink);
        if has_bound {
            labels.remove(BOUND_LABEL);
            sink.labels(labels);
        }
        let mut below = 0_u64;
        for ((&bound, text), &counted) in point.bounds.iter().zip(texts.of(&point.bounds)).zip(&point.counts) {
            below = below.wrapping_add(counted);
            if bound != f64::INFINITY {
                self.number(bucket, Some(text), count(below), sink);
            }
        }
        self.number(bucket, Some("+Inf"), count(point.count), sink);
    }

    pub(super) fn summary(self, point: &Point<'_>, labels: &LabelSet<'a>, sink: &mut impl Sink<'a>) {
        let Names { sum: sum_name, count: count_name, bare, .. } = self.names;
        sink.labels(labels.clone());
        self.number(sum_name, None, Value::Float(point.sum.unwrap_or_default()), sink);
        self.number(count_name, None, count(point.count), sink);
        for &(quantile, value) in &point.quantiles {
            sink.labels(with_quantile(labels, quantile));
            self.number(bare, None, Value::Float(value), sink);
        }
    }

    fn number(self, name: &MetricName<'a>, bound: Option<&str>, value: Value, sink: &mut impl Sink<'a>) {
        sink.number(name, bound, self.time, if self.is_stale { Value::StaleMarker } else { value });
    }
}

impl Names<'_> {
    /// Returns the names of the series, if the receiver takes all that the kind has.
    pub(super) fn new(metric: &Metric<'_>) -> Result<Self, Rejection> {
        let Some(name) = metric_name(metric) else {
            return Err(Rejection::new(Reason::InvalidMetricName, NameError::OnlyUnderscores.to_string()));
        };
        let with = |suffix: &str| {
            MetricName::as_is(Cow::Owned(format!("{name}{suffix}")))
                .map_err(|error| Rejection::new(Reason::TooLarge, error.to_string()))
        };
        let bare = with("")?;
        Ok(match metric.kind {
            Kind::Histogram(_) => Self { sum: with("_sum")?, count: with("_count")?, bucket: with("_bucket")?, bare },
            Kind::Summary => Self { sum: with("_sum")?, count: with("_count")?, bucket: bare.clone(), bare },
            _ => Self { sum: bare.clone(), count: bare.clone(), bucket: bare.clone(), bare },
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "above 2^63 the nearest double is what Prometheus stores")]
fn count(count: u64) -> Value {
    i64::try_from(count).map_or(Value::Float(count as f64), Value::Integer)
}

fn with_quantile<'a>(labels: &LabelSet<'a>, quantile: f64) -> LabelSet<'a> {
    match LabelName::classic("quantile") {
        Ok(name) => labels.with(Label { name, value: Cow::Owned(text(quantile)) }),
        Err(_) => labels.clone(),
    }
}

/// Returns a bound or a quantile as Go's `strconv.FormatFloat(x, 'f', -1, 64)` writes it.
fn text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    number.to_string()
}
