//! `GET /api/v1/metrics`: the groups as JSON, in Pushgateway's structure:
//! <https://github.com/prometheus/pushgateway/blob/master/api/v1/api.go>. And the wipe.

use super::door::{Answered, Call, Door};
use super::time_text::rfc3339;
use super::{Request, Response};
use crate::exposition::{Metric, MetricValue, Rendered, number_text};
use crate::model::{Counts, LabelSet, Timestamp};
use crate::push_group::{Group, exposed};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Without a table there are no groups.
pub(super) async fn list<T, D>(door: &Door<T, D>, request: &Request<'_>, call: Call<'_>) -> Answered {
    let bodies = match door.gateway.groups() {
        None => Vec::new(),
        Some(groups) => match groups.list(call.deadline).await {
            Ok(listing) if listing.left_out > 0 => {
                return Response::unavailable("the groups take too much memory to be listed at once", None).into();
            }
            Ok(listing) => listing.bodies,
            Err(error) => return Response::unavailable(error.to_string(), None).into(),
        },
    };
    let groups = bodies.iter().filter_map(|body| Group::decode(body).ok());
    let mut groups: Vec<_> = groups.filter(|group| group.is_exposed(call.started)).collect();
    groups.sort_by(|a, b| a.key().cmp(b.key()));
    let external = door.gateway.external_labels();
    let data: Vec<_> = groups.iter().map(|group| of_group(group, external, call.started)).collect();
    let body = json!({"status": "success", "data": data}).to_string();
    Response::of_bytes(200, "application/json", body.into_bytes()).compressed_for(request).into()
}

/// Deletes all groups.
pub(super) async fn wipe<T, D>(door: &Door<T, D>, call: Call<'_>) -> Answered {
    let Some(groups) = door.gateway.groups() else { return Response::empty(202).into() };
    match groups.wipe(call.started, call.deadline).await {
        Ok(()) => Response::empty(202).into(),
        Err(error) => Response::unavailable(format!("not all groups are gone: {error}"), None).into(),
    }
}

fn of_group(group: &Group<'_>, external: &LabelSet<'_>, now: Timestamp) -> Value {
    let labels: BTreeMap<_, _> = group.key().iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut data = Map::new();
    let families = exposed(std::slice::from_ref(group), external, now).families;
    let pushed: BTreeMap<_, _> =
        group.families().iter().map(|pushed| (pushed.family.name.as_str(), pushed.pushed)).collect();
    for family in Rendered::of(families) {
        // Families of the gateway itself have the time of the last push.
        let time = pushed.get(family.name()).copied().or(group.pushed()).or(group.failed());
        let metrics: Vec<_> = family.metrics().map(|metric| of_metric(&metric, family.kind().as_str())).collect();
        data.insert(
            family.name().to_owned(),
            json!({
                "time_stamp": rfc3339(time.unwrap_or(now)),
                "type": family.kind().as_str().to_uppercase(),
                "help": family.help().unwrap_or_default(),
                "metrics": metrics,
            }),
        );
    }
    data.insert("labels".to_owned(), json!(labels));
    data.insert("last_push_successful".to_owned(), json!(group.last_push_succeeded()));
    Value::Object(data)
}

fn of_metric(metric: &Metric<'_>, kind: &str) -> Value {
    let labels: BTreeMap<_, _> = metric.labels.iter().copied().collect();
    let text = |value: Option<f64>| number_text(value.unwrap_or_default());
    match &metric.value {
        MetricValue::Number(value) => json!({"labels": labels, "value": number_text(*value)}),
        MetricValue::Parts { bounds, sum, count } => {
            let bounds: BTreeMap<_, _> = bounds.iter().map(|(bound, value)| (*bound, number_text(*value))).collect();
            let name = if kind == "summary" { "quantiles" } else { "buckets" };
            json!({"labels": labels, name: bounds, "count": text(*count), "sum": text(*sum)})
        }
        MetricValue::Native(histogram) => {
            let count = match &histogram.counts {
                Counts::Integer { count, .. } => count.to_string(),
                Counts::Float { count, .. } => number_text(*count),
            };
            json!({"labels": labels, "buckets": {}, "count": count, "sum": number_text(histogram.sum)})
        }
    }
}
