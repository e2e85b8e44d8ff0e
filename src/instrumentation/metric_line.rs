//! What one invocation did, in numbers.

use crate::model::Reason;
use serde_json::{Map, Value, json};
use std::time::Duration;

const NAMESPACE: &str = "AmpPushGateway";
const DIMENSION: &str = "FunctionName";

/// The numbers of one invocation. They add up: `received` = `delivered` + `errored` + `rejected` + `dropped`, and
/// `messages` = `acknowledged` + `dead_lettered` + `handed_back`.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct MetricLine {
    /// Events in the payload.
    pub received: u64,
    /// Events that the receiver has stored.
    pub delivered: u64,
    /// Events to try again.
    pub errored: u64,
    /// Events refused.
    pub rejected: u64,
    /// Events that came too late, where `LATE_SAMPLES=drop`.
    pub dropped: u64,
    /// Rejected events that the receiver may hold all the same.
    pub maybe_stored: u64,
    /// Distinct samples that the receiver acknowledged.
    pub samples: u64,
    /// Distinct series among them.
    pub series: u64,
    /// Integers of delivered events that no double holds exactly.
    pub inexact: u64,
    /// HTTP requests to the receiver.
    pub requests: u64,
    /// Of them, those that sent the same request again.
    pub retries: u64,
    /// Compressed bytes of all requests.
    pub bytes: u64,
    /// Messages in the payload.
    pub messages: u64,
    /// Messages that are done with.
    pub acknowledged: u64,
    /// Messages put aside.
    pub dead_lettered: u64,
    /// Messages to be delivered again; for a direct invocation a function error.
    pub handed_back: u64,
    /// Rejected events by reason.
    pub rejected_by: [u64; Reason::ALL.len()],
    /// Dropped events by reason.
    pub dropped_by: [u64; Reason::ALL.len()],
    /// How long each stage took.
    pub stages: Stages,
}

/// The time of each stage of an invocation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stages {
    /// Payload to events, each put to its series.
    pub read: Duration,
    /// Samples into their order, and contradictions among them.
    pub merge: Duration,
    /// Series to requests.
    pub encode: Duration,
    /// Requests to answers, with the requests of searches for the guilty.
    pub send: Duration,
    /// Refused messages to the dead-letter queue.
    pub dead_letter: Duration,
    /// All of it.
    pub total: Duration,
}

// === impl MetricLine ===

impl MetricLine {
    /// The line, without a line break.
    ///
    /// `timestamp_ms` is the start of the invocation.
    #[must_use]
    pub fn to_json(&self, function_name: &str, request_id: &str, trigger: &str, timestamp_ms: i64) -> String {
        let counts = [
            ("received", self.received),
            ("delivered", self.delivered),
            ("errored", self.errored),
            ("rejected", self.rejected),
            ("dropped", self.dropped),
            ("maybe_stored", self.maybe_stored),
            ("samples", self.samples),
            ("series", self.series),
            ("inexact", self.inexact),
            ("requests", self.requests),
            ("retries", self.retries),
            ("messages", self.messages),
            ("acknowledged", self.acknowledged),
            ("dead_lettered", self.dead_lettered),
            ("handed_back", self.handed_back),
        ];
        let stages = [
            ("read_ms", self.stages.read),
            ("merge_ms", self.stages.merge),
            ("encode_ms", self.stages.encode),
            ("send_ms", self.stages.send),
            ("dead_letter_ms", self.stages.dead_letter),
            ("total_ms", self.stages.total),
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
        add("bytes".to_owned(), "Bytes", self.bytes.into());
        for (prefix, by_reason) in [("rejected", &self.rejected_by), ("dropped", &self.dropped_by)] {
            for (reason, &count) in Reason::ALL.iter().zip(by_reason).filter(|(_, count)| **count > 0) {
                add(format!("{prefix}.{reason}"), "Count", count.into());
            }
        }
        for (name, duration) in stages {
            add(name.to_owned(), "Milliseconds", milliseconds(duration).into());
        }
        line.insert("level".to_owned(), "INFO".into());
        line.insert("message".to_owned(), "invocation".into());
        line.insert(DIMENSION.to_owned(), function_name.into());
        line.insert("request_id".to_owned(), request_id.into());
        line.insert("trigger".to_owned(), trigger.into());
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});
        line.insert("_aws".to_owned(), json!({"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive]}));
        Value::Object(line).to_string()
    }
}

/// With microseconds as the fraction.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_is_declared_has_a_number_and_reasons_only_above_zero() {
        let mut line = MetricLine { received: 3, rejected: 2, ..MetricLine::default() };
        line.rejected_by[Reason::InvalidValue as usize] = 2;
        line.stages.total = Duration::from_micros(1_234);
        let json: Value = serde_json::from_str(&line.to_json("fn", "id-1", "sqs", 17)).unwrap();
        let directive = &json["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "AmpPushGateway");
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
        assert_eq!((&json["FunctionName"], &json["_aws"]["Timestamp"]), (&json!("fn"), &json!(17)));
        let declared = directive["Metrics"].as_array().unwrap();
        // CloudWatch takes at most 100 metrics of a line.
        assert!(declared.len() <= 100);
        for metric in declared {
            assert!(json[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        assert_eq!(json["rejected.invalid_value"], 2);
        assert_eq!(json.get("rejected.too_old"), None);
        assert_eq!(json["total_ms"], 1.234);
    }
}
