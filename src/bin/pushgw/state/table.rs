//! Shows typed series and groups as text or as JSON.

use crate::view::{self, Foreign, Styled, count, labels_json, rows, series_name, utc, wire_value};
use amp_push_gateway::aggregate::ExposedValue;
use amp_push_gateway::gateway::{Kept, KeptGroup, KeptSample, KeptSeries};
use amp_push_gateway::model::{Counts, METRIC_NAME_LABEL, MetricType, NativeHistogram, Timestamp};
use serde_json::{Map, Value, json};

/// Rows of a table; a script takes all of them with `--json`.
const MAX_ROWS: usize = 10_000;

pub(super) fn kept_text(kept: &Kept, with_series: bool, with_groups: bool) -> String {
    let mut parts = Vec::new();
    if with_series {
        let last = kept.last_tick.map_or("no tick has run yet".to_owned(), |tick| format!("last tick {}", utc(tick)));
        parts.push(format!("{}: {}; {last}", Styled(view::HEADING, "typed series"), kept.series.len()));
        if !kept.series.is_empty() {
            let header = ["series", "type", "value", "last update", "expires"];
            parts.push(limited(&header, kept.series.iter().map(series_row), kept.series.len(), &[]));
        }
    }
    if with_groups {
        parts.push(format!("{}: {}", Styled(view::HEADING, "groups"), kept.groups.len()));
        if !kept.groups.is_empty() {
            let header = ["group", "families", "series", "pushed", "push failed", "expires"];
            parts.push(limited(&header, kept.groups.iter().map(group_row), kept.groups.len(), &[1, 2]));
        }
    }
    parts.join("\n")
}

fn limited(header: &[&str], all: impl Iterator<Item = Vec<String>>, len: usize, numbers: &[usize]) -> String {
    let table = rows(header, all.take(MAX_ROWS).collect(), numbers);
    match len.saturating_sub(MAX_ROWS) {
        0 => table,
        rest => format!("{table}\n{}", Styled(view::QUIET, format_args!("and {rest} more: --json lists them all"))),
    }
}

/// Returns the size of a deletion: `2 typed series and 1 group`.
pub(super) fn sizes(series: usize, groups: usize) -> String {
    let typed = format!("{series} typed series");
    match (series, groups) {
        (_, 0) => typed,
        (0, groups) => count(groups as u64, "group"),
        (_, groups) => format!("{typed} and {}", count(groups as u64, "group")),
    }
}

fn series_row(series: &KeptSeries) -> Vec<String> {
    let labels = pairs(&series.labels);
    let name = series_name(std::iter::once((METRIC_NAME_LABEL, series.name.as_str())).chain(labels));
    vec![
        Foreign(name).to_string(),
        series.metric_type.to_string(),
        value_text(series),
        utc(series.updated),
        time_text(series.expires),
    ]
}

fn group_row(group: &KeptGroup) -> Vec<String> {
    let name = if group.labels.is_empty() { "{}".to_owned() } else { series_name(pairs(&group.labels)) };
    vec![
        Foreign(name).to_string(),
        group.families.len().to_string(),
        group.series.to_string(),
        time_text(group.pushed),
        time_text(group.failed),
        time_text(group.expires),
    ]
}

fn time_text(time: Option<Timestamp>) -> String {
    time.map_or("never".to_owned(), utc)
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Returns the values of a series without its buckets: `5`, `count 3, sum 1.5`, or `count 3, sum 1.5, 0.5: 0.25`.
fn value_text(series: &KeptSeries) -> String {
    let mut parts = Vec::new();
    // As in the text format the quantiles come first.
    let (totals, others): (Vec<_>, Vec<_>) = series.samples.iter().partition(|sample| is_total(sample));
    for sample in totals.into_iter().rev().chain(others) {
        match (&sample.value, sample.bound, sample.suffix) {
            (_, _, "_bucket") => {}
            (ExposedValue::Number(_), None, "") => parts.push(number_text(sample)),
            (ExposedValue::Number(_), None, suffix) => parts.push(format!("{} {}", &suffix[1..], number_text(sample))),
            (ExposedValue::Number(_), Some(bound), _) => parts.push(format!("{bound}: {}", number_text(sample))),
            (ExposedValue::Histogram(histogram), ..) => {
                parts.push(format!("count {}, sum {}, native", count_of(histogram), wire_value(histogram.sum)));
            }
        }
    }
    parts.join(", ")
}

fn is_total(sample: &KeptSample) -> bool {
    matches!(sample.suffix, "_sum" | "_count")
}

fn number_text(sample: &KeptSample) -> String {
    match &sample.value {
        ExposedValue::Number(value) => wire_value(f64::from_bits(value.wire_bits())),
        ExposedValue::Histogram(histogram) => count_of(histogram),
    }
}

fn count_of(histogram: &NativeHistogram) -> String {
    match histogram.counts {
        Counts::Integer { count, .. } => count.to_string(),
        Counts::Float { count, .. } => wire_value(count),
    }
}

/// Numbers are text, as in the API of Prometheus: JSON has no NaN.
pub(super) fn kept_json(kept: &Kept) -> Value {
    json!({
        "last_tick": kept.last_tick.map(utc),
        "typed": kept.series.iter().map(series_json).collect::<Vec<_>>(),
        "groups": kept.groups.iter().map(group_json).collect::<Vec<_>>(),
        "unreadable_groups": kept.unreadable,
    })
}

fn series_json(series: &KeptSeries) -> Value {
    let mut shown = json!({
        "name": series.name,
        "labels": labels_json(pairs(&series.labels)),
        "type": series.metric_type.as_str(),
        "help": series.help,
        "born": utc(series.born),
        "updated": utc(series.updated),
        "expires": series.expires.map(utc),
    });
    let mut bounds = Map::new();
    for sample in &series.samples {
        match (sample.suffix, sample.bound, &sample.value) {
            (_, Some(bound), _) => {
                bounds.insert(bound.to_string(), number_text(sample).into());
            }
            (_, None, ExposedValue::Histogram(histogram)) => {
                shown["count"] = count_of(histogram).into();
                shown["sum"] = wire_value(histogram.sum).into();
                shown["schema"] = histogram.schema.into();
            }
            ("", ..) => shown["value"] = number_text(sample).into(),
            (suffix, ..) => shown[&suffix[1..]] = number_text(sample).into(),
        }
    }
    if !bounds.is_empty() {
        let name = if series.metric_type == MetricType::Summary { "quantiles" } else { "buckets" };
        shown[name] = bounds.into();
    }
    shown
}

fn group_json(group: &KeptGroup) -> Value {
    json!({
        "labels": labels_json(pairs(&group.labels)),
        "pushed": group.pushed.map(utc),
        "failed": group.failed.map(utc),
        "expires": group.expires.map(utc),
        "families": group.families,
        "series": group.series,
    })
}
