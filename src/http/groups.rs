//! `GET /api/v1/metrics`: the groups as JSON, in Pushgateway's structure:
//! <https://github.com/prometheus/pushgateway/blob/master/api/v1/api.go>. And the wipe.
//!
//! The JSON is written metric by metric, and only one group is read at a time. As a tree of values, 400,000 series would take a gigabyte.

mod native;

use super::accept::takes_gzip;
use super::door::{Answered, Call, Door};
use super::time_text::rfc3339;
use super::{Request, Response};
use crate::exposition::{Kind, Metric, MetricValue, Rendered, number_text};
use crate::model::{Counts, LabelSet, Timestamp};
use crate::order::sort_by;
use crate::push_group::{Group, exposed};
use flate2::Compression;
use flate2::write::GzEncoder;
use native::native_buckets;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

const JSON: &str = "application/json";

/// The JSON without compression. No front of a function takes as much.
const MAX_PLAIN_BYTES: usize = 32 << 20;

/// Keys of a group that are no families. A family of such a name is not shown.
const LABELS: &str = "labels";
const LAST_PUSH: &str = "last_push_successful";

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
    let external = door.gateway.external_labels();
    let is_compressed = takes_gzip(request.list("accept-encoding").as_deref());
    let mut written = if is_compressed {
        Written::Compressed(GzEncoder::new(Vec::new(), Compression::fast()))
    } else {
        Written::Plain(Vec::new())
    };
    let body = write_groups(&bodies, external, call.started, &mut written).and_then(|()| written.finish());
    let Ok(body) = body else {
        let sentence = format!("the groups take more than {MAX_PLAIN_BYTES} bytes as JSON without gzip");
        return Response::unavailable(sentence, None).into();
    };
    let answer = Response::of_bytes(200, JSON, body).with("vary", "accept, accept-encoding");
    if is_compressed { answer.with("content-encoding", "gzip").into() } else { answer.into() }
}

/// Deletes all groups.
pub(super) async fn wipe<T, D>(door: &Door<T, D>, call: Call<'_>) -> Answered {
    let Some(groups) = door.gateway.groups() else { return Response::empty(202).into() };
    match groups.wipe(call.started, call.deadline).await {
        Ok(()) => Response::empty(202).into(),
        Err(error) => Response::unavailable(format!("not all groups could be deleted: {error}"), None).into(),
    }
}

/// The JSON as far as it is written.
enum Written {
    Plain(Vec<u8>),
    Compressed(GzEncoder<Vec<u8>>),
}

impl Written {
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(json) => Ok(json),
            Self::Compressed(encoder) => encoder.finish(),
        }
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(json) if json.len() + bytes.len() > MAX_PLAIN_BYTES => {
                Err(io::Error::from(io::ErrorKind::FileTooLarge))
            }
            Self::Plain(json) => json.write(bytes),
            Self::Compressed(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the groups in the order of their keys.
fn write_groups(bodies: &[Vec<u8>], external: &LabelSet<'_>, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let decoded = bodies.iter().filter_map(|body| Some((Group::decode(body).ok()?, body)));
    let mut shown: Vec<_> =
        decoded.filter(|(group, _)| group.is_exposed(now)).map(|(group, body)| (group.key().clone(), body)).collect();
    sort_by(&mut shown, |(a, _), (b, _)| a.cmp(b));
    out.write_all(b"{\"status\":\"success\",\"data\":[")?;
    let mut comma = "";
    for (_, body) in shown {
        let Ok(group) = Group::decode(body) else { continue };
        out.write_all(comma.as_bytes())?;
        write_group(&group, external, now, out)?;
        comma = ",";
    }
    out.write_all(b"]}")
}

fn write_group(group: &Group<'_>, external: &LabelSet<'_>, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let labels = object(group.key().iter().map(|(name, value)| (name.as_str(), value)));
    let succeeded = group.last_push_succeeded();
    write!(out, "{{\"{LABELS}\":{},\"{LAST_PUSH}\":{succeeded}", Value::Object(labels))?;
    let families = exposed(std::slice::from_ref(group), external, now).families;
    // The families of a group are in the order of their names.
    let pushed = |name: &str| {
        let position = group.families().binary_search_by(|pushed| pushed.family.name.as_str().cmp(name)).ok()?;
        Some(group.families().get(position)?.pushed)
    };
    for family in Rendered::of(families).iter().filter(|family| ![LABELS, LAST_PUSH].contains(&family.name())) {
        // Families of the gateway itself have the time of the last push.
        let time = pushed(family.name()).or(group.pushed()).or(group.failed()).unwrap_or(now);
        let kind = family.kind();
        write!(out, ",{}:{{\"time_stamp\":{}", json!(family.name()), json!(rfc3339(time)))?;
        write!(out, ",\"type\":\"{}\"", type_name(kind))?;
        if let Some(help) = family.help().filter(|help| !help.is_empty()) {
            write!(out, ",\"help\":{}", json!(help))?;
        }
        out.write_all(b",\"metrics\":[")?;
        for (number, metric) in family.metrics().enumerate() {
            write!(out, "{}{}", if number > 0 { "," } else { "" }, of_metric(&metric, kind))?;
        }
        out.write_all(b"]}")?;
    }
    out.write_all(b"}")
}

/// Returns the name of the type in the protobuf of client libraries.
fn type_name(kind: Kind) -> String {
    match kind {
        Kind::GaugeHistogram => "GAUGE_HISTOGRAM".to_owned(),
        kind => kind.as_str().to_uppercase(),
    }
}

/// Returns a JSON object, its members in the order of their names.
fn object<'m, V: Into<Value>>(members: impl Iterator<Item = (&'m str, V)>) -> Map<String, Value> {
    members.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn of_metric(metric: &Metric<'_>, kind: Kind) -> Value {
    let labels = object(metric.labels.iter().copied());
    let text = |value: Option<f64>| number_text(value.unwrap_or_default());
    match &metric.value {
        MetricValue::Number(value) => json!({"labels": labels, "value": number_text(*value)}),
        MetricValue::Parts { bounds, sum, count } => {
            let bounds = object(bounds.iter().map(|(bound, value)| (*bound, number_text(*value))));
            let name = if kind == Kind::Summary { "quantiles" } else { "buckets" };
            json!({"labels": labels, name: bounds, "count": text(*count), "sum": text(*sum)})
        }
        MetricValue::Native(histogram) => {
            let count = match &histogram.counts {
                Counts::Integer { count, .. } => count.to_string(),
                Counts::Float { count, .. } => number_text(*count),
            };
            let buckets = native_buckets(histogram);
            json!({"labels": labels, "buckets": buckets, "count": count, "sum": number_text(histogram.sum)})
        }
    }
}
