//! Finds the family of each name of series, and applies its type. It runs at the end, so that a `TYPE` holds for the whole
//! family, wherever it is in the body.

use super::builder::{Builder, hash_str};
use super::error::{Excerpt, ParseError, Problem};
use super::families::{LabelRange, LabelRecord, NameRecord, SeriesRecord, Span, labels};
use super::number::{is_canonical, parse_float};
use super::reader::Format;
use crate::model::{MetricType, write_bound};
use hashbrown::HashTable;

/// A series has the name of its family and one of these suffixes. The bare name belongs to the family whatever its type.
/// A counter of the text format has the suffix `_total` in the name of the family, and `_created` is a family of its own.
fn suffixes(format: Format, metric_type: MetricType) -> &'static [&'static str] {
    match (format, metric_type) {
        (Format::Text, MetricType::Histogram) => &["_bucket", "_sum", "_count"],
        (Format::Text, MetricType::Summary) => &["_sum", "_count"],
        (Format::OpenMetrics, MetricType::Counter) => &["_total", CREATED],
        (Format::OpenMetrics, MetricType::Histogram) => &["_bucket", "_sum", "_count", CREATED],
        (_, MetricType::GaugeHistogram) => &["_bucket", "_sum", "_count", "_gsum", "_gcount"],
        (Format::OpenMetrics, MetricType::Summary) => &["_sum", "_count", CREATED],
        (Format::OpenMetrics, MetricType::Info) => &["_info"],
        _ => &[],
    }
}

const SUFFIXES: [&str; 8] = ["_bucket", "_sum", "_count", "_total", CREATED, "_gsum", "_gcount", "_info"];

/// The time at which a series began: Prometheus does not store it as a series.
const CREATED: &str = "_created";

/// The series of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Plain,
    /// Has a bound in the label `le` or `quantile`, which is written as Prometheus 3 does.
    Bound(&'static str),
    /// Must have a number in the label `le`. The bounds of a gauge histogram stay as they are, as in Prometheus.
    Bucket {
        is_written_anew: bool,
    },
    /// Is left out.
    Created,
}

pub(super) fn resolve(builder: &mut Builder<'_>, format: Format) -> Result<(), ParseError> {
    let mut roles = Vec::with_capacity(builder.exposition.names.len());
    for name in 0..builder.exposition.names.len() {
        let NameRecord { name: span, .. } = builder.exposition.names[name];
        let (family, suffix) = match find(builder, format, builder.text(span)) {
            Some(found) => found,
            None => (builder.family(span), ""),
        };
        builder.exposition.names[name].family = family;
        let metric_type = builder.exposition.families[family as usize].metric_type.unwrap_or_default();
        roles.push(role(metric_type, suffix));
    }
    if roles.contains(&Role::Created) {
        builder.exposition.series.retain(|series| roles[series.name as usize] != Role::Created);
    }
    if roles.iter().any(|role| *role != Role::Plain) {
        let mut known = HashTable::new();
        for index in 0..builder.exposition.series.len() {
            let series = builder.exposition.series[index];
            match roles[series.name as usize] {
                Role::Plain | Role::Created => {}
                Role::Bound(label) => {
                    bound(builder, &mut known, &series, label, true);
                }
                Role::Bucket { is_written_anew } => bucket(builder, &mut known, &series, is_written_anew)?,
            }
        }
    }
    Ok(())
}

/// Returns the family that has a type for this name, and the suffix of the name. A family of just this name comes first.
fn find(builder: &Builder<'_>, format: Format, name: &str) -> Option<(u32, &'static str)> {
    let type_of = |family: u32| builder.exposition.families[family as usize].metric_type;
    let exact = builder.find_family(name);
    if let Some(exact) = exact.filter(|exact| type_of(*exact).is_some()) {
        return Some((exact, ""));
    }
    let with_suffix = SUFFIXES.into_iter().find_map(|suffix| {
        let family = builder.find_family(name.strip_suffix(suffix)?)?;
        suffixes(format, type_of(family)?).contains(&suffix).then_some((family, suffix))
    });
    with_suffix.or(exact.map(|exact| (exact, "")))
}

fn role(metric_type: MetricType, suffix: &str) -> Role {
    match (metric_type, suffix) {
        (_, CREATED) => Role::Created,
        (MetricType::Histogram, "_bucket") => Role::Bucket { is_written_anew: true },
        (_, "_bucket") => Role::Bucket { is_written_anew: false },
        (MetricType::Histogram, _) => Role::Bound("le"),
        (MetricType::Summary, _) => Role::Bound("quantile"),
        _ => Role::Plain,
    }
}

fn bucket(
    builder: &mut Builder<'_>,
    known: &mut HashTable<Bound>,
    series: &SeriesRecord,
    is_written_anew: bool,
) -> Result<(), ParseError> {
    if bound(builder, known, series, "le", is_written_anew) {
        return Ok(());
    }
    let exposition = &builder.exposition;
    let name = builder.text(exposition.names[series.name as usize].name);
    let labels = labels(&exposition.texts, &exposition.labels, series);
    let found = labels.clone().find(|(name, _)| *name == "le").map(|(_, value)| Excerpt::new(value));
    let problem = Problem::InvalidBound { found };
    Err(builder.error(series.line, Some(Excerpt::series(name, labels)), problem))
}

/// Writes the number in the label as Prometheus does. Returns false if there is no number.
fn bound(
    builder: &mut Builder<'_>,
    known: &mut HashTable<Bound>,
    series: &SeriesRecord,
    label: &str,
    is_written_anew: bool,
) -> bool {
    let LabelRange { start, len, .. } = series.labels;
    let range = start as usize..start as usize + usize::from(len);
    // The bound is usually the last label.
    let is_bound = |record: &LabelRecord| record.name.len as usize == label.len() && builder.text(record.name) == label;
    let Some(index) = range.rev().find(|index| is_bound(&builder.exposition.labels[*index])) else { return false };
    let LabelRecord { value, .. } = builder.exposition.labels[index];
    if is_canonical(builder.text(value)) {
        return true;
    }
    let hash = hash_str(&builder.hasher, builder.text(value));
    let found = known.find(hash, |bound| builder.text(bound.text) == builder.text(value)).copied();
    let bound = found.unwrap_or_else(|| {
        let bound = Bound::new(builder, value);
        known.insert_unique(hash, bound, |bound| hash_str(&builder.hasher, builder.text(bound.text)));
        bound
    });
    if is_written_anew {
        builder.exposition.labels[index].value = bound.written;
    }
    bound.is_number
}

/// A text in `le` or `quantile`. A body has few different ones, and to write one takes long.
#[derive(Clone, Copy, Debug)]
struct Bound {
    text: Span,
    /// The text as Prometheus writes it, or the same text if it is not a number.
    written: Span,
    /// False for NaN.
    is_number: bool,
}

impl Bound {
    fn new(builder: &mut Builder<'_>, text: Span) -> Self {
        let Some(number) = parse_float(builder.text(text)) else {
            return Self { text, written: text, is_number: false };
        };
        let mut written = String::new();
        write_bound(&mut written, number);
        Self { text, written: builder.store(&written), is_number: !number.is_nan() }
    }
}
