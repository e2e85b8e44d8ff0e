//! Shows a typed metric.

use super::labels;
use crate::view::{self, Foreign, Styled, series_name};
use amp_push_gateway::model::{Layout, Observation, TypedMetric, Update};
use serde_json::{Value, json};

/// Values are strings, as those of samples are.
pub(super) fn json(metric: &TypedMetric<'_>) -> Value {
    let mut shown = json!({
        "labels": view::labels_json(labels(&metric.labels, &metric.name)),
        "help": metric.help,
        "id": metric.id,
    });
    let texts = |numbers: &[f64]| json!(numbers.iter().map(f64::to_string).collect::<Vec<_>>());
    let observed = |observations: &[Observation]| {
        let one = |one: &Observation| json!({"value": one.value.to_string(), "count": one.count});
        json!(observations.iter().map(one).collect::<Vec<_>>())
    };
    match &metric.update {
        Update::Counter(value) => {
            shown["type"] = "counter".into();
            shown["value"] = value.to_string().into();
        }
        Update::Gauge(value) => {
            shown["type"] = "gauge".into();
            shown["value"] = value.to_string().into();
        }
        Update::Histogram { layout, observations } => {
            shown["type"] = "histogram".into();
            shown["buckets"] = match layout {
                Layout::Classic(bounds) => texts(bounds),
                Layout::Native => Value::Null,
            };
            shown["observations"] = observed(observations);
        }
        Update::Summary { quantiles, observations } => {
            shown["type"] = "summary".into();
            shown["quantiles"] = texts(quantiles);
            shown["observations"] = observed(observations);
        }
        // No event has them.
        Update::GaugeIncrement(_) | Update::ClassicCounts(_) | Update::NativeCounts(_) => {}
    }
    shown
}

/// Returns the series, the update and the type in a line.
pub(super) fn line(metric: &TypedMetric<'_>) -> String {
    let series = series_name(labels(&metric.labels, &metric.name));
    let (update, mut kind) = match &metric.update {
        Update::Counter(value) => (format!("+{value}"), "counter".to_owned()),
        Update::Gauge(value) => (format!("= {value}"), "gauge".to_owned()),
        Update::Histogram { layout: Layout::Native, observations } => {
            (observed(observations), "native histogram".to_owned())
        }
        Update::Histogram { layout: Layout::Classic(bounds), observations } => {
            (observed(observations), format!("histogram with the buckets {}", list(bounds)))
        }
        Update::Summary { quantiles, observations } => {
            (observed(observations), format!("summary with the quantiles {}", list(quantiles)))
        }
        // No event has them.
        Update::GaugeIncrement(_) | Update::ClassicCounts(_) | Update::NativeCounts(_) => {
            (String::new(), metric.update.metric_type().to_string())
        }
    };
    if let Some(id) = &metric.id {
        kind.extend([", id ", &Foreign(id).to_string()]);
    }
    format!("{series}  {update}  {}", Styled(view::QUIET, kind))
}

/// Shows the first observations: an event may have thousands.
fn observed(observations: &[Observation]) -> String {
    const SHOWN: usize = 10;
    let one = |one: &Observation| match one.count {
        1 => one.value.to_string(),
        count => format!("{} ({count} times)", one.value),
    };
    let mut shown = observations.iter().take(SHOWN).map(one).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = observations.len().checked_sub(SHOWN) {
        shown.extend([" and ", &more.to_string(), " more"]);
    }
    shown
}

fn list(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}
