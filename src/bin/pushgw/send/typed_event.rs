//! Makes an event of `--metric` and `--label`. Pure.

use serde_json::Value;
use serde_json::value::RawValue;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Arguments {
    /// Send one event, with this metric: temperature=14.3. May be given several times.
    #[arg(long = "metric", value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) metrics: Vec<(String, String)>,
    /// A label (dimension) of that event: customerId=customer1. May be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE", requires = "metrics", value_parser = pair)]
    pub(super) labels: Vec<(String, String)>,
    /// The time of that event, in milliseconds since 1970. Default: when the queue takes it, else now.
    #[arg(long, value_name = "MS", requires = "metrics", allow_negative_numbers = true)]
    pub(super) timestamp: Option<i64>,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Returns the event as JSON, with values as they were typed: the same rules apply to them as to any event. A name that is
/// given twice stands twice.
pub(super) fn event(arguments: &Arguments) -> String {
    let metrics = object(&arguments.metrics, number);
    let dimensions = object(&arguments.labels, quoted);
    let timestamp = arguments.timestamp.map_or(String::new(), |timestamp| format!(",\"timestamp\":{timestamp}"));
    format!("{{\"dimensions\":{dimensions},\"metrics\":{metrics}{timestamp}}}")
}

fn object(pairs: &[(String, String)], value_of: impl Fn(&str) -> String) -> String {
    let entries: Vec<_> = pairs.iter().map(|(name, value)| format!("{}:{}", quoted(name), value_of(value))).collect();
    format!("{{{}}}", entries.join(","))
}

/// Returns a JSON number as it is, anything else as a string.
fn number(text: &str) -> String {
    let is_number = serde_json::from_str::<&RawValue>(text)
        .is_ok_and(|raw| raw.get() == text && matches!(text.as_bytes(), [b'-' | b'0'..=b'9', ..]));
    if is_number { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(metrics: &[(&str, &str)], labels: &[(&str, &str)], timestamp: Option<i64>) -> String {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        event(&Arguments { metrics: owned(metrics), labels: owned(labels), timestamp })
    }

    #[test]
    fn the_event_has_values_as_they_were_typed() {
        assert_eq!(
            typed(&[("temperature", "14.30"), ("ph", "NaN")], &[("customerId", "c \"1\"")], Some(-5)),
            r#"{"dimensions":{"customerId":"c \"1\""},"metrics":{"temperature":14.30,"ph":"NaN"},"timestamp":-5}"#
        );
        assert_eq!(typed(&[("a", "1")], &[], None), r#"{"dimensions":{},"metrics":{"a":1}}"#);
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        for text in ["1", "-0", "1e3", "0.5", "12345678901234567890123"] {
            assert_eq!(number(text), text);
        }
        for text in ["", " 1", "1 ", ".5", "+1", "true", "null", "\"1\"", "{}", "1,\"x\":2", "01", "abc"] {
            assert_eq!(number(text), quoted(text), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_given_twice_stands_twice_and_is_rejected_later() {
        assert_eq!(typed(&[("a", "1"), ("a", "2")], &[], None), r#"{"dimensions":{},"metrics":{"a":1,"a":2}}"#);
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").unwrap_err().contains("NAME=VALUE"));
    }
}
