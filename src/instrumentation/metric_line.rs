//! The metric line: one line of JSON for each invocation that is log and metrics in one.

use crate::gateway::Summary;
use crate::model::Reason;
use serde_json::{Map, Value, json};
use std::time::Duration;

const NAMESPACE: &str = "AmpPushGateway";
const DIMENSION: &str = "FunctionName";

/// The invocation that a line is about.
#[derive(Clone, Copy, Debug)]
pub struct Invoked<'i> {
    pub function_name: &'i str,
    pub request_id: &'i str,
    pub trigger: &'i str,
    /// The start of the invocation, in milliseconds since 1970-01-01.
    pub timestamp_ms: i64,
}

/// Returns the line, without a line break.
pub fn metric_line(summary: &Summary, invoked: Invoked<'_>) -> String {
    let counts = [
        ("received", summary.received),
        ("delivered", summary.delivered),
        ("errored", summary.errored),
        ("rejected", summary.rejected),
        ("dropped", summary.dropped),
        ("maybe_stored", summary.maybe_stored),
        ("samples", summary.samples),
        ("series", summary.series),
        ("inexact", summary.inexact),
        ("requests", summary.sent.requests),
        ("retries", summary.sent.retries),
        ("messages", summary.messages),
        ("acknowledged", summary.acknowledged),
        ("dead_lettered", summary.dead_lettered),
        ("handed_back", summary.returned),
    ];
    let stages = [
        ("read_ms", summary.stages.read),
        ("merge_ms", summary.stages.merge),
        ("encode_ms", summary.stages.encode),
        ("send_ms", summary.stages.send),
        ("dead_letter_ms", summary.stages.dead_letter),
        ("total_ms", summary.stages.total),
    ];
    let mut line = Map::new();
    let mut metrics = Vec::new();
    let mut add = |name: String, unit: &str, value: Value| {
        metrics.push(json!({"Name": name, "Unit": unit}));
        line.insert(name, value);
    };
    for (name, count) in counts {
        add(name.to_owned(), "Count", count.into());
    }
    add("bytes".to_owned(), "Bytes", summary.sent.bytes.into());
    for (prefix, by_reason) in [("rejected", &summary.rejected_by), ("dropped", &summary.dropped_by)] {
        for (reason, &count) in Reason::ALL.iter().zip(by_reason).filter(|(_, count)| **count > 0) {
            add(format!("{prefix}.{reason}"), "Count", count.into());
        }
    }
    for (name, duration) in stages {
        add(name.to_owned(), "Milliseconds", milliseconds(duration).into());
    }
    line.insert("level".to_owned(), "INFO".into());
    line.insert("message".to_owned(), "invocation".into());
    line.insert(DIMENSION.to_owned(), invoked.function_name.into());
    line.insert("request_id".to_owned(), invoked.request_id.into());
    line.insert("trigger".to_owned(), invoked.trigger.into());
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});
    line.insert("_aws".to_owned(), json!({"Timestamp": invoked.timestamp_ms, "CloudWatchMetrics": [directive]}));
    Value::Object(line).to_string()
}

/// Returns milliseconds with microseconds as the fraction.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_every_declared_metric_a_number_and_names_reasons_only_above_zero() {
        let mut summary = Summary { received: 3, rejected: 2, ..Summary::default() };
        summary.rejected_by[Reason::InvalidValue as usize] = 2;
        summary.stages.total = Duration::from_micros(1_234);
        let invoked = Invoked { function_name: "fn", request_id: "id-1", trigger: "sqs", timestamp_ms: 17 };
        let json: Value = serde_json::from_str(&metric_line(&summary, invoked)).unwrap();
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
