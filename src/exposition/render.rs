//! Writes metric families as an exposition: the text format 0.0.4, or delimited protobuf.
//!
//! * Families are in the order of their names, and the series of a family in the order of their labels, as Prometheus'
//!   encoders write them.
//! * Families of the same name become one. If their types differ, it is untyped, and its series are separate families.
//! * Text and protobuf know five types. A counter of OpenMetrics is a family with the name of its series.
//! * The text format has no native histograms, and neither has an untyped family. Such a series is written with its count,
//!   its sum, and one bucket.

mod protobuf;
mod text;

use crate::model::{
    Counts, FamilySeries, FamilyValue, Label, LabelName, MetricFamily, MetricName, MetricType, NativeHistogram,
};
use crate::order::sort_by;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

pub use protobuf::render_protobuf;
pub use text::{number_text, render_text};

/// If a series has no label of this name, it gets an empty one. Otherwise a Prometheus with `honor_labels` would add
/// its own.
const INSTANCE: &str = "instance";

/// A family as it is written.
#[derive(Debug)]
pub struct Rendered<'f> {
    name: Cow<'f, str>,
    kind: Kind,
    help: Option<Cow<'f, str>>,
    /// In the order of writing. Series of one metric are together.
    series: Vec<FamilySeries<'f>>,
}

/// A metric of a family: all series with the same labels.
#[derive(Debug)]
pub struct Metric<'r> {
    /// Without the bound of a bucket or a quantile; with an empty `instance` if there is none.
    pub labels: Vec<(&'r str, &'r str)>,
    pub value: MetricValue<'r>,
}

#[derive(Debug)]
pub enum MetricValue<'r> {
    Number(f64),
    /// The upper bounds of buckets, or the quantiles, with their values.
    Parts {
        bounds: Vec<(&'r str, f64)>,
        sum: Option<f64>,
        count: Option<f64>,
    },
    Native(&'r NativeHistogram),
}

/// The types that both formats know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    Untyped,
    Summary,
    Histogram,
    GaugeHistogram,
}

impl Kind {
    fn of(metric_type: MetricType) -> Self {
        match metric_type {
            MetricType::Counter => Self::Counter,
            MetricType::Gauge | MetricType::Info | MetricType::StateSet => Self::Gauge,
            MetricType::Histogram => Self::Histogram,
            MetricType::GaugeHistogram => Self::GaugeHistogram,
            MetricType::Summary => Self::Summary,
            MetricType::Unknown => Self::Untyped,
        }
    }

    /// Returns the word of the text format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
        }
    }

    fn is_complex(self) -> bool {
        matches!(self, Self::Summary | Self::Histogram | Self::GaugeHistogram)
    }
}

/// The part of a series in its metric.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Part {
    /// A value, or a native histogram.
    Whole,
    /// A bucket or a quantile.
    Bound(f64),
    Sum,
    Count,
}

impl<'f> Rendered<'f> {
    /// Returns the families as the page and the JSON show them.
    pub fn of(families: Vec<MetricFamily<'f>>) -> Vec<Self> {
        arrange(families, |_| true)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Returns the metrics in the order of their labels.
    pub fn metrics(&self) -> impl Iterator<Item = Metric<'_>> {
        let bound = self.kind.is_complex().then(|| self.kind.bound_label());
        self.chunks().map(move |series| {
            let labels = series.first().map(|first| labels(first, bound).collect()).unwrap_or_default();
            let (mut bounds, mut sum, mut count) = (Vec::new(), None, None);
            for one in series {
                let value = match &one.value {
                    FamilyValue::Float(value) => *value,
                    FamilyValue::Histogram(histogram) => {
                        return Metric { labels, value: MetricValue::Native(histogram) };
                    }
                };
                let Some(bound) = bound else { return Metric { labels, value: MetricValue::Number(value) } };
                match part(&self.name, self.kind, one) {
                    Some(Part::Sum) => sum = Some(value),
                    Some(Part::Count) => count = Some(value),
                    _ => bounds.push((one.labels.get(bound).unwrap_or_default(), value)),
                }
            }
            Metric { labels, value: MetricValue::Parts { bounds, sum, count } }
        })
    }

    /// Returns the series of each metric. A native histogram is a separate metric, even if a classic one has the same
    /// labels, because their counts may differ.
    fn chunks(&self) -> impl Iterator<Item = &[FamilySeries<'f>]> {
        let bound = self.kind.is_complex().then(|| self.kind.bound_label());
        let is_native = |series: &FamilySeries<'_>| series.value.is_histogram();
        self.series.chunk_by(move |a, b| {
            bound.is_some() && is_native(a) == is_native(b) && labels(a, bound).eq(labels(b, bound))
        })
    }
}

/// Returns the families as they are written. `is_whole` says of a family of histograms or summaries whether the format can write it; else
/// its series become untyped families.
fn arrange<'f>(families: Vec<MetricFamily<'f>>, is_whole: impl Fn(&Rendered<'f>) -> bool) -> Vec<Rendered<'f>> {
    let mut by_name: BTreeMap<Cow<'f, str>, Rendered<'f>> = BTreeMap::new();
    let mut simple: Vec<(FamilySeries<'f>, Kind, Option<Cow<'f, str>>)> = Vec::new();
    for family in unified(families) {
        let kind = Kind::of(family.metric_type);
        let (name, help) = (family.name.into_cow(), family.help);
        let mut rendered = Rendered { name, kind, help, series: Vec::new() };
        let takes_native = matches!(kind, Kind::Histogram | Kind::GaugeHistogram);
        for series in if takes_native { family.series } else { classic(family.series) } {
            let own = if kind.is_complex() {
                part(&rendered.name, kind, &series).is_some()
            } else {
                is_of(&rendered.name, family.metric_type, &series)
            };
            match (own, kind.is_complex()) {
                (true, true) => rendered.series.push(series),
                (true, false) => simple.push((series, kind, rendered.help.clone())),
                (false, _) => simple.push((series, Kind::Untyped, None)),
            }
        }
        if rendered.series.is_empty() {
            continue;
        }
        sort(&mut rendered);
        if is_whole(&rendered) {
            by_name.insert(rendered.name.clone(), rendered);
        } else {
            simple.extend(broken_up(rendered.series));
        }
    }
    // A series that has the name of a family of histograms breaks that family up, which may meet another one.
    let mut names: Vec<String> = simple.iter().map(|(series, ..)| series.name.as_str().to_owned()).collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    while let Some(name) = names.pop() {
        if known.insert(name.clone())
            && let Some(rendered) = by_name.remove(name.as_str())
        {
            let series = broken_up(rendered.series);
            names.extend(series.iter().map(|(series, ..)| series.name.as_str().to_owned()));
            simple.extend(series);
        }
    }
    for (series, kind, help) in simple {
        let name = series.name.clone().into_cow();
        let entry = by_name.entry(name.clone()).or_insert(Rendered { name, kind, help: None, series: Vec::new() });
        if entry.kind != kind {
            entry.kind = Kind::Untyped;
        }
        entry.help = entry.help.take().or(help);
        entry.series.push(series);
    }
    let mut all: Vec<_> = by_name.into_values().collect();
    for rendered in all.iter_mut().filter(|rendered| !rendered.kind.is_complex()) {
        sort_by(&mut rendered.series, |a, b| compare(&labels(a, None), &labels(b, None)));
        rendered.series.dedup_by(|later, first| later.labels == first.labels);
    }
    all
}

/// Joins families of the same name. If their types differ, the result has none.
fn unified(mut families: Vec<MetricFamily<'_>>) -> Vec<MetricFamily<'_>> {
    sort_by(&mut families, |a, b| a.name.cmp(&b.name));
    families.dedup_by(|later, first| {
        let is_same = later.name == first.name;
        if is_same {
            if later.metric_type != first.metric_type {
                first.metric_type = MetricType::Unknown;
            }
            first.help = first.help.take().or(later.help.take());
            first.series.append(&mut later.series);
        }
        is_same
    });
    families
}

/// Reports whether a series has the type of its family.
fn is_of(family: &str, metric_type: MetricType, series: &FamilySeries<'_>) -> bool {
    let suffix = series.name.as_str().strip_prefix(family);
    let is_of = match metric_type {
        MetricType::Counter => matches!(suffix, Some("" | "_total")),
        MetricType::Info => matches!(suffix, Some("" | "_info")),
        _ => suffix == Some(""),
    };
    is_of && !series.value.is_histogram()
}

/// Returns the part of a series in a family of histograms or summaries, or `None` if it has none.
fn part(family: &str, kind: Kind, series: &FamilySeries<'_>) -> Option<Part> {
    let suffix = series.name.as_str().strip_prefix(family)?;
    if series.value.is_histogram() {
        return (suffix.is_empty() && kind != Kind::Summary).then_some(Part::Whole);
    }
    let bound =
        |name: &str| series.labels.get(name).and_then(super::number::parse_float).filter(|bound| !bound.is_nan());
    match (kind, suffix) {
        (_, "_sum") if series.labels.get(kind.bound_label()).is_none() => Some(Part::Sum),
        (_, "_count") if series.labels.get(kind.bound_label()).is_none() => Some(Part::Count),
        (Kind::Summary, "") | (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => {
            bound(kind.bound_label()).map(Part::Bound)
        }
        _ => None,
    }
}

impl Kind {
    /// Returns the label of the bounds of a histogram, or the quantiles of a summary.
    fn bound_label(self) -> &'static str {
        if self == Self::Summary { "quantile" } else { "le" }
    }
}

impl Part {
    fn rank(self) -> (u8, f64) {
        match self {
            Self::Whole => (0, 0.0),
            Self::Bound(bound) => (1, bound),
            Self::Sum => (2, 0.0),
            Self::Count => (3, 0.0),
        }
    }
}

/// Sorts the series of a family by metric, and within one as encoders write them.
fn sort(rendered: &mut Rendered<'_>) {
    let Rendered { name, kind, series, .. } = rendered;
    let rank = |series: &FamilySeries<'_>| part(name, *kind, series).unwrap_or(Part::Whole).rank();
    let bound = Some(kind.bound_label());
    sort_by(series, |a, b| {
        let ((a_part, a_bound), (b_part, b_bound)) = (rank(a), rank(b));
        compare(&labels(a, bound), &labels(b, bound)).then(a_part.cmp(&b_part)).then(a_bound.total_cmp(&b_bound))
    });
    series.dedup_by(|later, first| later.is_same_series(first));
}

/// Returns the labels, with an empty `instance` if there is none, and without the one of this name.
fn labels<'s>(
    series: &'s FamilySeries<'_>,
    without: Option<&'s str>,
) -> impl Iterator<Item = (&'s str, &'s str)> + Clone {
    let own = series.labels.as_slice();
    let before = own.partition_point(|label| label.name.as_str() < INSTANCE);
    let instance = series.labels.get(INSTANCE).is_none().then_some((INSTANCE, ""));
    let pair = |label: &'s Label<'_>| (label.name.as_str(), label.value.as_ref());
    let all = own[..before].iter().map(pair).chain(instance).chain(own[before..].iter().map(pair));
    all.filter(move |(name, _)| Some(*name) != without)
}

/// Compares as Prometheus' sorter of metrics does: by the number of labels, then by their values.
fn compare<'s>(
    a: &(impl Iterator<Item = (&'s str, &'s str)> + Clone),
    b: &(impl Iterator<Item = (&'s str, &'s str)> + Clone),
) -> Ordering {
    let by_values = || a.clone().map(|(_, value)| value).cmp(b.clone().map(|(_, value)| value));
    let by_names = || a.clone().map(|(name, _)| name).cmp(b.clone().map(|(name, _)| name));
    a.clone().count().cmp(&b.clone().count()).then_with(by_values).then_with(by_names)
}

/// Returns series of a family of histograms or summaries as series without a type. A native histogram becomes classic.
fn broken_up(series: Vec<FamilySeries<'_>>) -> Vec<(FamilySeries<'_>, Kind, Option<Cow<'_, str>>)> {
    classic(series).into_iter().map(|series| (series, Kind::Untyped, None)).collect()
}

/// Replaces native histograms by a count, a sum and one bucket, if there is no classic histogram beside them.
fn classic(series: Vec<FamilySeries<'_>>) -> Vec<FamilySeries<'_>> {
    if !series.iter().any(|series| series.value.is_histogram()) {
        return series;
    }
    let keys: BTreeSet<(String, Vec<(String, String)>)> =
        series.iter().filter(|series| !series.value.is_histogram()).map(identity).collect();
    let mut all = Vec::with_capacity(series.len());
    for series in series {
        let FamilyValue::Histogram(histogram) = &series.value else {
            all.push(series);
            continue;
        };
        let (count, sum) = (count(histogram), histogram.sum);
        let parts = [("_bucket", Some("+Inf"), count), ("_sum", None, sum), ("_count", None, count)];
        for (suffix, le, value) in parts {
            let Ok(name) = MetricName::as_is(Cow::Owned(format!("{}{suffix}", series.name.as_str()))) else { continue };
            let mut labels: Vec<_> = series.labels.as_slice().to_vec();
            if let Some((le, name)) = le.zip(LabelName::classic("le").ok()) {
                labels.push(Label { name, value: Cow::Borrowed(le) });
            }
            let Ok(labels) = crate::model::LabelSet::new(labels) else { continue };
            let new = FamilySeries { name, labels, value: FamilyValue::Float(value) };
            if !keys.contains(&identity(&new)) {
                all.push(new);
            }
        }
    }
    all
}

fn identity(series: &FamilySeries<'_>) -> (String, Vec<(String, String)>) {
    let labels = series.labels.as_slice().iter();
    let labels = labels.map(|label| (label.name.as_str().to_owned(), label.value.as_ref().to_owned()));
    (series.name.as_str().to_owned(), labels.collect())
}

#[expect(clippy::cast_precision_loss, reason = "as every encoder of the text format does")]
fn count(histogram: &NativeHistogram) -> f64 {
    match histogram.counts {
        Counts::Integer { count, .. } => count as f64,
        Counts::Float { count, .. } => count,
    }
}

#[cfg(test)]
mod tests;
