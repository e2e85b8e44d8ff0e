//! Recognises well-known texts that are no message, and says what they are. Only rejected text comes here.

use super::entries::{self, Entries};
use std::borrow::Cow;

/// The most bytes and keys that are looked at, because a detail must not cost more than the message.
const MAX_LOOK: usize = 2_048;
const MAX_KEYS: usize = 64;

/// Objects that other services send. One of their keys identifies them, or a key and the beginning of its value as JSON.
const OBJECTS: [(&str, &str, &str); 14] = [
    ("s3BucketName", "", "an S3 pointer of the SQS extended client; events must be in the message itself"),
    ("s3Key", "", "an S3 pointer of the SQS extended client; events must be in the message itself"),
    ("awslogs", "", "a CloudWatch Logs subscription, which carries log lines and no events"),
    ("logGroup", "", "a CloudWatch Logs subscription, which carries log lines and no events"),
    ("metric_stream_name", "", "a CloudWatch metric stream, which is not supported"),
    ("Event", "\"s3:TestEvent\"", "the test event of an S3 notification; remove the notification of the bucket"),
    ("requestContext", "", "an HTTP request; a message cannot hold one"),
    ("resourceMetrics", "", "OpenTelemetry metrics (OTLP); an event is expected"),
    ("resourceLogs", "", "OpenTelemetry logs (OTLP); an event is expected"),
    ("resourceSpans", "", "OpenTelemetry traces (OTLP); an event is expected"),
    ("alerts", "[", "a notification of Alertmanager; an event is expected"),
    ("AlarmName", "", "a notification of a CloudWatch alarm; an event is expected"),
    ("specversion", "", "a CloudEvent, which is not unwrapped; send its data alone"),
    ("errorType", "", "the error of a Lambda function"),
];

/// Services whose `Records` or batches are known, by `eventSource`.
const SOURCES: [(&str, &str); 6] = [
    ("aws:s3", "an S3 notification"),
    ("aws:kinesis", "a Kinesis stream"),
    ("aws:dynamodb", "a DynamoDB stream"),
    ("aws:ses", "an SES notification"),
    ("aws:codecommit", "a CodeCommit trigger"),
    ("aws:kafka", "a Kafka topic"),
];

/// Returns the service whose records have this `eventSource`.
pub(super) fn source(event_source: &str) -> Option<&'static str> {
    SOURCES.iter().find(|(source, _)| *source == event_source).map(|(_, name)| *name)
}

/// Returns what the JSON object `text` is.
pub(super) fn object(text: &str) -> Option<&'static str> {
    let mut found = None;
    let mut left = MAX_KEYS;
    let look = |key: Cow<'_, str>, literal: &str| {
        if found.is_none() && left > 0 {
            left -= 1;
            let is_it = |(name, start, _): &&(&str, &str, &str)| key == *name && literal.starts_with(start);
            found = OBJECTS.iter().find(is_it).map(|(_, _, sentence)| *sentence);
        }
    };
    // The text is JSON, or was rejected as none before.
    let _read = entries::read_object(text, Entries(look));
    found
}

/// Returns what the JSON array `text` is.
pub(super) fn array(text: &str) -> Option<&'static str> {
    let start = look(text).trim_ascii_start().strip_prefix('[')?.trim_ascii_start();
    let class = start.strip_prefix('"')?.split('"').next()?;
    class
        .ends_with("S3Pointer")
        .then_some("an S3 pointer of the SQS extended client; events must be in the message itself")
}

/// Returns what `text` is, which is not JSON.
pub(super) fn not_json(text: &str) -> Option<&'static str> {
    let start = look(text).trim_ascii_start();
    let after_brace =
        start.trim_start_matches(['[', ' ', '\n', '\r', '\t']).strip_prefix('{').map(str::trim_ascii_start);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    Some(if start.is_empty() {
        "it is empty"
    } else if start.starts_with('<') {
        "it is HTML or XML"
    } else if start.chars().take(8).any(|c| c == '\0') {
        "it is UTF-16 text; send UTF-8"
    } else if after_brace.is_some_and(|rest| rest.starts_with('\'')) {
        "it has single quotes, as the text of a Python dictionary has; JSON has double quotes"
    } else if after_brace.is_some_and(|rest| rest.starts_with(['“', '”', '„', '«'])) {
        "it has typographic quotes; JSON has plain double quotes"
    } else if after_brace.is_some_and(|rest| rest.starts_with("\\\"")) {
        "its quotes are escaped, as if it were inside of a string"
    } else if after_brace.is_some_and(|rest| rest.starts_with(is_word)) {
        "its names have no quotes, as PowerShell and other shells leave it; put the JSON into single quotes, or into a file"
    } else if has_trailing_comma(text) {
        "it has a comma before a closing bracket"
    } else if start.contains("//") && start.contains('{') || start.contains("/*") {
        "it may have comments; JSON has none"
    } else if start.starts_with("# HELP ") || start.starts_with("# TYPE ") {
        "it is Prometheus' text format"
    } else if is_line_protocol(start) {
        "it is InfluxDB's line protocol"
    } else if start.starts_with("---") {
        "it is YAML"
    } else {
        return None;
    })
}

/// Returns what `bytes` are, which are not UTF-8.
pub(super) fn not_utf8(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, 0, _, ..] | [_, 0, _, 0, ..] => {
            Some("it is UTF-16 text; send UTF-8")
        }
        [0x1F, 0x8B, ..] => Some("it is a gzip stream; send it as base64"),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some("it is a zstd stream, which is not supported"),
        [first, ..] if *first < 0x20 && !first.is_ascii_whitespace() => Some("it is binary, perhaps protobuf"),
        _ => None,
    }
}

fn look(text: &str) -> &str {
    let mut end = text.len().min(MAX_LOOK);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Outside of strings, at any place.
fn has_trailing_comma(text: &str) -> bool {
    let (mut in_string, mut after_comma) = (false, false);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'}' | b']' if after_comma => return true,
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => {}
        }
        after_comma = byte == b',' && !in_string;
    }
    false
}

/// `measurement,tag=value field=1 1676398017000000000`.
fn is_line_protocol(start: &str) -> bool {
    let line = start.lines().next().unwrap_or("");
    let mut parts = line.split(' ');
    let (measurement, fields) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['{', '"', '(', ':']);
    is_plain(measurement) && fields.split_once('=').is_some_and(|(name, value)| is_plain(name) && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_not_json() {
        let table = [
            ("", Some("it is empty")),
            (" \n", Some("it is empty")),
            ("<!DOCTYPE html><html>", Some("it is HTML or XML")),
            ("{\0\"\0a\0", Some("it is UTF-16 text; send UTF-8")),
            (
                "{'metrics': {'a': 1}}",
                Some("it has single quotes, as the text of a Python dictionary has; JSON has double quotes"),
            ),
            (
                "[{'metrics': {'a': 1}}]",
                Some("it has single quotes, as the text of a Python dictionary has; JSON has double quotes"),
            ),
            ("{“metrics”: {}}", Some("it has typographic quotes; JSON has plain double quotes")),
            (r#"{\"metrics\": {}}"#, Some("its quotes are escaped, as if it were inside of a string")),
            (
                "{metrics: {a: 1}}",
                Some(
                    "its names have no quotes, as PowerShell and other shells leave it; put the JSON into single quotes, or into a file",
                ),
            ),
            (r#"{"metrics": {"a": 1},}"#, Some("it has a comma before a closing bracket")),
            (r#"{"metrics": {"a": 1, }}"#, Some("it has a comma before a closing bracket")),
            (r#"{"metrics": {"a": 1} // x"#, Some("it may have comments; JSON has none")),
            ("# TYPE a gauge\na 1", Some("it is Prometheus' text format")),
            ("cpu,host=a usage=1 1676398017", Some("it is InfluxDB's line protocol")),
            (r#"{"metrics": {"a,]": 1"#, None),
            ("hello", None),
        ];
        for (text, expected) in table {
            assert_eq!(not_json(text), expected, "{text}");
        }
    }

    #[test]
    fn names_what_other_services_send() {
        assert!(object(r#"{"s3BucketName": "b", "s3Key": "k"}"#).unwrap().contains("S3 pointer"));
        assert!(object(r#"{"Service": "Amazon S3", "Event": "s3:TestEvent"}"#).unwrap().contains("test event"));
        assert!(object(r#"{"awslogs": {"data": "x"}}"#).unwrap().contains("CloudWatch Logs"));
        assert_eq!(object(r#"{"a": 1}"#), None);
        assert!(array(r#"["software.amazon.payloadoffloading.PayloadS3Pointer", {}]"#).unwrap().contains("S3 pointer"));
        assert_eq!(array(r#"["x"]"#), None);
        assert!(not_utf8(b"\xff\xfe{\0").unwrap().contains("UTF-16"));
        assert!(not_utf8(b"\x1f\x8b\x08").unwrap().contains("gzip"));
        assert_eq!(not_utf8(b"{\xff"), None);
    }
}
