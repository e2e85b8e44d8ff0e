//! The metric line: one line of JSON for each invocation, which is also CloudWatch metrics.
//!
//! The line always has every number. CloudWatch makes a metric of each number that the line declares, and bills it by the
//! month: <https://aws.amazon.com/cloudwatch/pricing/>. So only [`OF_ALARMS`] are declared, unless the operator wants all.

use crate::aggregate::OwedReason;
use crate::config::EmbeddedMetrics;
use crate::gateway::{ShardSummary, Summary, TickSummary};
use crate::model::Reason;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

const NAMESPACE: &str = "AmpPushGateway";
const DIMENSION: &str = "FunctionName";

/// The metrics that the alarms and their instructions read (`infra/operate.md`), and those that show what was lost. Lambda's
/// own Duration, which costs nothing, stands in for `total_ms`.
const OF_ALARMS: [&str; 7] = ["received", "delivered", "errored", "rejected", "dropped", "maybe_stored", "handed_back"];

/// The same for a tick.
const OF_TICK_ALARMS: [&str; 3] = ["journal_age_ms", "owed", "dropped"];

/// The invocation that a line is about.
#[derive(Clone, Copy, Debug)]
pub struct Invoked<'i> {
    pub function_name: &'i str,
    pub request_id: &'i str,
    pub trigger: &'i str,
    /// The route and the status of an HTTP request.
    pub http: Option<(&'static str, u16)>,
    /// The start of the invocation, in milliseconds since 1970-01-01.
    pub timestamp_ms: i64,
}

/// Returns the line, with its line break.
pub fn metric_line(summary: &Summary, invoked: Invoked<'_>, embedded: EmbeddedMetrics) -> String {
    // Strings and numbers always serialise.
    let of_alarms: &[&str] = if summary.tick.is_some() { &OF_TICK_ALARMS } else { &OF_ALARMS };
    let line = Line { numbers: numbers(summary), invoked, embedded, of_alarms };
    let mut line = serde_json::to_string(&line).unwrap_or_default();
    line.push('\n');
    line
}

struct Line<'i> {
    numbers: Vec<(Cow<'static, str>, Number)>,
    invoked: Invoked<'i>,
    embedded: EmbeddedMetrics,
    of_alarms: &'static [&'static str],
}

/// A number and its unit.
#[derive(Clone, Copy)]
enum Number {
    Count(u64),
    Bytes(u64),
    Time(Duration),
}

/// The definition of a metric, for CloudWatch.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition<'n> {
    name: &'n str,
    unit: &'static str,
}

/// The keys of the line that are metrics, and their dimension.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'n> {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition<'n>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'n> {
    timestamp: i64,
    cloud_watch_metrics: [Directive<'n>; 1],
}

/// Returns the numbers of a tick alone, as a JSON object: the answer to whoever invokes it directly.
pub fn tick_report(tick: &TickSummary) -> String {
    let mut numbers = BTreeMap::new();
    numbers.extend(numbers_of_tick(tick));
    serde_json::to_string(&numbers).unwrap_or_default()
}

fn numbers_of_tick(tick: &TickSummary) -> Vec<(Cow<'static, str>, Number)> {
    let ShardSummary { folded, sent, .. } = &tick.sum;
    let sum = &tick.sum;
    let always = [
        ("series", Number::Count(sum.series)),
        ("samples", Number::Count(sum.samples)),
        ("groups", Number::Count(sum.groups)),
        ("births", Number::Count(folded.births)),
        ("expired", Number::Count(sum.expired)),
        ("stale", Number::Count(sum.stale)),
        ("entries", Number::Count(folded.entries)),
        ("increments", Number::Count(folded.increments)),
        ("duplicates", Number::Count(folded.duplicates)),
        ("bucket_conflicts", Number::Count(folded.bucket_conflicts)),
        ("type_conflicts", Number::Count(folded.type_conflicts)),
        ("series_limit", Number::Count(folded.series_limit)),
        ("series_conflicts", Number::Count(sum.series_conflicts)),
        ("owed", Number::Count(sum.owed)),
        ("dead_lettered", Number::Count(sum.dead_lettered)),
        ("dropped", Number::Count(tick.dropped())),
        ("damaged", Number::Count(sum.damaged)),
        ("refused", Number::Count(sum.refused)),
        ("errored", Number::Count(sum.errored)),
        ("failed_shards", Number::Count(tick.failed)),
        ("remembered", Number::Count(sum.ids)),
        ("requests", Number::Count(sent.requests)),
        ("retries", Number::Count(sent.retries)),
        ("bytes", Number::Bytes(sent.bytes)),
        ("metadata_failed", Number::Count(sum.metadata_failed)),
        ("snapshot_bytes", Number::Bytes(sum.snapshot_bytes)),
        ("journal_age_ms", Number::Time(Duration::from_millis(sum.journal_age_ms.unsigned_abs()))),
        ("read_ms", Number::Time(sum.read)),
        ("fold_ms", Number::Time(sum.fold)),
        ("write_ms", Number::Time(sum.write)),
        ("total_ms", Number::Time(tick.total)),
    ];
    let mut numbers: Vec<_> = always.into_iter().map(|(name, number)| (Cow::Borrowed(name), number)).collect();
    for (reason, &count) in OwedReason::ALL.iter().zip(&folded.dropped).filter(|(_, count)| **count > 0) {
        numbers.push((Cow::Owned(format!("dropped.{}", reason.as_str())), Number::Count(count)));
    }
    numbers
}

fn numbers(summary: &Summary) -> Vec<(Cow<'static, str>, Number)> {
    if let Some(tick) = &summary.tick {
        return numbers_of_tick(tick);
    }
    let Summary { sent, stages, .. } = summary;
    let always = [
        ("received", Number::Count(summary.received)),
        ("delivered", Number::Count(summary.delivered)),
        ("errored", Number::Count(summary.errored)),
        ("rejected", Number::Count(summary.rejected)),
        ("dropped", Number::Count(summary.dropped)),
        ("maybe_stored", Number::Count(summary.maybe_stored)),
        ("samples", Number::Count(summary.samples)),
        ("series", Number::Count(summary.series)),
        ("inexact", Number::Count(summary.inexact)),
        ("null_values", Number::Count(summary.null_values)),
        ("requests", Number::Count(sent.requests)),
        ("retries", Number::Count(sent.retries)),
        ("messages", Number::Count(summary.messages)),
        ("acknowledged", Number::Count(summary.acknowledged)),
        ("dead_lettered", Number::Count(summary.dead_lettered)),
        ("handed_back", Number::Count(summary.returned)),
        ("bytes", Number::Bytes(sent.bytes)),
        ("read_ms", Number::Time(stages.read)),
        ("merge_ms", Number::Time(stages.merge)),
        ("encode_ms", Number::Time(stages.encode)),
        ("send_ms", Number::Time(stages.send)),
        ("dead_letter_ms", Number::Time(stages.dead_letter)),
        ("total_ms", Number::Time(stages.total)),
    ];
    let mut numbers: Vec<_> = always.into_iter().map(|(name, number)| (Cow::Borrowed(name), number)).collect();
    if summary.typed > 0 {
        numbers.push((Cow::Borrowed("typed"), Number::Count(summary.typed)));
    }
    for (prefix, by_reason) in [("rejected", &summary.rejected_by), ("dropped", &summary.dropped_by)] {
        for (reason, &count) in Reason::ALL.iter().zip(by_reason).filter(|(_, count)| **count > 0) {
            numbers.push((Cow::Owned(format!("{prefix}.{reason}")), Number::Count(count)));
        }
    }
    numbers
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { numbers, invoked, embedded, of_alarms } = self;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("level", "INFO")?;
        line.serialize_entry("message", "invocation")?;
        line.serialize_entry(DIMENSION, invoked.function_name)?;
        line.serialize_entry("request_id", invoked.request_id)?;
        line.serialize_entry("trigger", invoked.trigger)?;
        if let Some((route, status)) = invoked.http {
            line.serialize_entry("route", route)?;
            line.serialize_entry("status", &status)?;
        }
        for (name, number) in numbers {
            line.serialize_entry(name, number)?;
        }
        let is_embedded = |name: &str| *embedded == EmbeddedMetrics::All || of_alarms.contains(&name);
        let metrics = numbers.iter().filter(|(name, _)| is_embedded(name));
        let metrics = metrics.map(|(name, number)| Definition { name, unit: number.unit() }).collect();
        let directive = Directive { namespace: NAMESPACE, dimensions: [[DIMENSION]], metrics };
        let metadata = Metadata { timestamp: invoked.timestamp_ms, cloud_watch_metrics: [directive] };
        line.serialize_entry("_aws", &metadata)?;
        line.end()
    }
}

impl Number {
    fn unit(self) -> &'static str {
        match self {
            Self::Count(_) => "Count",
            Self::Bytes(_) => "Bytes",
            Self::Time(_) => "Milliseconds",
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(number) | Self::Bytes(number) => serializer.serialize_u64(*number),
            Self::Time(duration) => serializer.serialize_f64(milliseconds(*duration)),
        }
    }
}

/// Returns milliseconds with microseconds as the fraction.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const INVOKED: Invoked<'_> =
        Invoked { function_name: "fn", request_id: "id-1", trigger: "sqs", http: None, timestamp_ms: 17 };

    fn embedded_names(line: &str) -> Vec<String> {
        let json: Value = serde_json::from_str(line).unwrap();
        let metrics = json["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().iter();
        metrics.map(|metric| metric["Name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn embeds_the_metrics_of_alarms_alone_and_keeps_every_number_in_the_line() {
        let mut summary = Summary { received: 3, rejected: 2, ..Summary::default() };
        summary.rejected_by[Reason::InvalidValue as usize] = 2;
        let alarms = metric_line(&summary, INVOKED, EmbeddedMetrics::Alarms);
        let all = metric_line(&summary, INVOKED, EmbeddedMetrics::All);
        assert_eq!(embedded_names(&alarms), OF_ALARMS);
        let names: Vec<_> = numbers(&summary).into_iter().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(embedded_names(&all), names);
        let (alarms, all): (Value, Value) =
            (serde_json::from_str(&alarms).unwrap(), serde_json::from_str(&all).unwrap());
        for name in names {
            assert_eq!(alarms[&name], all[&name], "{name}");
            assert!(alarms[&name].is_number(), "{name}");
        }
    }

    #[test]
    fn a_tick_has_numbers_of_its_own_and_embeds_those_of_its_alarms() {
        let mut tick = TickSummary { tick: crate::model::Timestamp(0), ..TickSummary::default() };
        tick.sum.journal_age_ms = 1_500;
        tick.sum.folded.dropped = [0, 7];
        let summary = Summary { tick: Some(Box::new(tick.clone())), ..Summary::default() };
        let line = metric_line(&summary, INVOKED, EmbeddedMetrics::Alarms);
        let names: std::collections::BTreeSet<_> = embedded_names(&line).into_iter().collect();
        assert_eq!(names, OF_TICK_ALARMS.map(str::to_owned).into());
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&json["journal_age_ms"], &json["dropped"], &json["dropped.series_limit"]),
            (&json!(1_500.0), &json!(7), &json!(7))
        );
        assert_eq!(json.get("received"), None);
        let report: Value = serde_json::from_str(&tick_report(&tick)).unwrap();
        assert!(report.as_object().unwrap().iter().all(|(name, number)| json[name] == *number));
    }

    #[test]
    fn gives_every_declared_metric_a_number_and_names_reasons_only_above_zero() {
        let mut summary = Summary { received: 3, rejected: 2, ..Summary::default() };
        summary.rejected_by[Reason::InvalidValue as usize] = 2;
        summary.stages.total = Duration::from_micros(1_234);
        let json: Value = serde_json::from_str(&metric_line(&summary, INVOKED, EmbeddedMetrics::All)).unwrap();
        let directive = &json["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "AmpPushGateway");
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
        assert_eq!((&json["FunctionName"], &json["_aws"]["Timestamp"]), (&json!("fn"), &json!(17)));
        let declared = directive["Metrics"].as_array().unwrap();
        // CloudWatch takes at most 100 metrics from a line.
        assert!(declared.len() <= 100);
        for metric in declared {
            assert!(json[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        assert_eq!(json["rejected.invalid_value"], 2);
        assert_eq!(json.get("rejected.too_old"), None);
        assert_eq!(json["total_ms"], 1.234);
    }
}
