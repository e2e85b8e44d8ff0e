//! Names by the rules of <https://github.com/prometheus/otlptranslator>, strategy `UnderscoreEscapingWithSuffixes`.
//!
//! Two options are set as in Prometheus: runs of underscores stay in labels, and a label that begins with an underscore
//! gets `key` in front.
//!
//! `model::names` translates the names of events by other rules. Here underscores at both ends of a metric's name are
//! removed.

use super::message::{Kind, Metric};
use std::borrow::Cow;

const UNITS: [(&str, &str); 24] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
];

const OTHER_UNITS: [(&str, &str); 2] = [("1", ""), ("%", "percent")];

/// Units after a slash.
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// Returns the name of the family; `None` if nothing of the name is left. It may be longer than the receiver takes.
pub fn metric_name(metric: &Metric<'_>) -> Option<String> {
    let mut tokens: Vec<&str> = metric.name.split(|c| !is_kept(c)).filter(|token| !token.is_empty()).collect();
    let (main, per) = cleaned_units(&metric.unit);
    let main = if tokens.contains(&main.as_str()) { "" } else { main.as_str() };
    let per = if per == "per_" { "" } else { per.strip_suffix('_').unwrap_or(&per) };
    let per = if tokens.contains(&per) { "" } else { per };
    let main = if per.is_empty() { main } else { main.strip_suffix('_').unwrap_or(main) };
    tokens.extend([main, per].into_iter().filter(|suffix| !suffix.is_empty()));
    let suffix = match metric.kind {
        Kind::Sum { is_monotonic: true, .. } => "total",
        Kind::Gauge if metric.unit == "1" => "ratio",
        _ => "",
    };
    if !suffix.is_empty() {
        tokens.retain(|token| *token != suffix);
        tokens.push(suffix);
    }
    let name = tokens.join("_");
    if name.bytes().all(|byte| byte == b'_') {
        return None;
    }
    Some(if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name })
}

/// Returns the unit in metadata.
pub fn unit_name(unit: &str) -> String {
    let (main, per) = cleaned_units(unit);
    let name = match (main.as_str(), per.as_str()) {
        ("", one) | (one, "") => one.to_owned(),
        (main, per) => format!("{main}_{per}"),
    };
    let name = name.strip_prefix('_').unwrap_or(&name);
    name.strip_suffix('_').unwrap_or(name).to_owned()
}

/// Returns the name of a label; `None` if it would have underscores alone.
pub fn label_name(key: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let is_classic = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let name = if key.bytes().all(is_classic) {
        key
    } else {
        let classic = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        Cow::Owned(key.chars().map(classic).collect())
    };
    let name = match name.as_bytes() {
        [b'0'..=b'9', ..] => Cow::Owned(format!("key_{name}")),
        [b'_', b'_', ..] => name,
        // A single underscore gets the prefix, too.
        [b'_', ..] => Cow::Owned(format!("key{name}")),
        _ => name,
    };
    Some(name).filter(|name| name.bytes().any(|byte| byte != b'_'))
}

fn is_kept(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// Returns the unit before the first slash, and the unit after it with `per_`, in characters that a name may have.
fn cleaned_units(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let find = |unit: &str, table: &[(&str, &'static str)]| {
        table.iter().find(|(name, _)| *name == unit).map(|(_, word)| *word)
    };
    let plain = |unit: &str| !unit.contains(['{', '}']);
    let (main, per) = (main.trim(), per.trim());
    let main = if plain(main) { find(main, &UNITS).or(find(main, &OTHER_UNITS)).unwrap_or(main) } else { "" };
    let per = if plain(per) { find(per, &PER_UNITS).unwrap_or(per) } else { "" };
    let per = if per.is_empty() { String::new() } else { format!("per_{per}") };
    (cleaned(main), cleaned(&per))
}

/// Replaces each run of other characters by one underscore, and removes an underscore at the beginning.
fn cleaned(unit: &str) -> String {
    let mut name = String::with_capacity(unit.len());
    for c in unit.chars() {
        if is_kept(c) {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::Temporality;
    use proptest::prelude::*;

    const COUNTER: Kind = Kind::Sum { temporality: Temporality::Cumulative, is_monotonic: true };
    const UP_DOWN: Kind = Kind::Sum { temporality: Temporality::Cumulative, is_monotonic: false };
    const HISTOGRAM: Kind = Kind::Histogram(Temporality::Cumulative);

    fn name(name: &str, unit: &str, kind: Kind) -> Option<String> {
        metric_name(&Metric { name: name.into(), unit: unit.into(), kind, ..Metric::default() })
    }

    /// Facts of `metric_namer_test.go`.
    #[test]
    fn names_a_metric_as_prometheus_does() {
        let table = [
            ("requests", "", COUNTER, "requests_total", ""),
            ("requests_total", "", COUNTER, "requests_total", ""),
            ("total.requests", "", COUNTER, "requests_total", ""),
            ("items", "1", COUNTER, "items_total", ""),
            ("cpu_usage", "1", Kind::Gauge, "cpu_usage_ratio", ""),
            ("cpu_usage_ratio", "1", Kind::Gauge, "cpu_usage_ratio", ""),
            ("cpu_usage", "1", UP_DOWN, "cpu_usage", ""),
            ("response_time", "ms", Kind::Gauge, "response_time_milliseconds", "milliseconds"),
            ("response_time_seconds", "s", Kind::Gauge, "response_time_seconds", "seconds"),
            ("otelcol_process_cpu_seconds", "s", COUNTER, "otelcol_process_cpu_seconds_total", "seconds"),
            ("requests", "1/s", Kind::Gauge, "requests_per_second", "per_second"),
            ("throughput", "By/s", Kind::Gauge, "throughput_bytes_per_second", "bytes_per_second"),
            ("per.second.bytes", "By/s", Kind::Gauge, "per_second_bytes_per_second", "bytes_per_second"),
            ("custom_metric", "custom_unit", Kind::Gauge, "custom_metric_custom_unit", "custom_unit"),
            ("custom_metric", "{custom}", Kind::Gauge, "custom_metric", ""),
            ("custom_metric", "By/{custom}", Kind::Gauge, "custom_metric_bytes", "bytes"),
            ("active_connections", "", UP_DOWN, "active_connections", ""),
            ("request_duration", "s", HISTOGRAM, "request_duration_seconds", "seconds"),
            ("metric", "By/", Kind::Gauge, "metric_bytes", "bytes"),
            ("metric", " By / s ", Kind::Gauge, "metric_bytes_per_second", "bytes_per_second"),
            ("metric", "/", Kind::Gauge, "metric", ""),
            ("custom", "1/custom_unit", Kind::Gauge, "custom_per_custom_unit", "per_custom_unit"),
            (
                "custom_metric",
                "unit@with#special/chars",
                Kind::Gauge,
                "custom_metric_unit_with_special_per_chars",
                "unit_with_special_per_chars",
            ),
            (
                "metric__with__multiple__underscores",
                "unit__multiple__underscores",
                Kind::Gauge,
                "metric_with_multiple_underscores_unit_multiple_underscores",
                "unit_multiple_underscores",
            ),
            ("a", "_x_/_y_", Kind::Gauge, "a_x_per_y", "x__per_y"),
            ("a", "_x_", Kind::Gauge, "a_x_", "x"),
            ("a", "x/_", Kind::Gauge, "a_x", "x_per"),
            ("http.request.duration", "ms", HISTOGRAM, "http_request_duration_milliseconds", "milliseconds"),
            ("__x_", "", Kind::Gauge, "x", ""),
            ("123metric", "", Kind::Gauge, "_123metric", ""),
            ("job:rate:5m", "", Kind::Gauge, "job:rate:5m", ""),
            ("température", "Cel", Kind::Gauge, "temp_rature_celsius", "celsius"),
            ("___", "s", Kind::Gauge, "seconds", "seconds"),
        ];
        for (raw, unit, kind, expected, unit_expected) in table {
            assert_eq!(name(raw, unit, kind).as_deref(), Some(expected), "{raw} {unit}");
            assert_eq!(unit_name(unit), unit_expected, "{unit}");
        }
        for raw in ["", "___", "@#$%", "ようこそ"] {
            assert_eq!(name(raw, "", Kind::Gauge), None, "{raw}");
        }
    }

    /// Each unit of the table, as `metric_namer_test.go` has them.
    #[test]
    fn knows_the_units_of_ucum() {
        for (unit, word) in UNITS {
            assert_eq!(name("x", unit, Kind::Gauge), Some(format!("x_{word}")));
        }
        for (unit, word) in PER_UNITS {
            assert_eq!(name("x", &format!("1/{unit}"), Kind::Gauge), Some(format!("x_per_{word}")));
        }
        assert_eq!(name("x", "%", Kind::Gauge).as_deref(), Some("x_percent"));
    }

    /// Facts of `label_namer_test.go`.
    #[test]
    fn names_a_label_as_prometheus_does() {
        let table = [
            ("label:with:colons", Some("label_with_colons")),
            ("LabelWithCapitalLetters", Some("LabelWithCapitalLetters")),
            ("label!with&special$chars)", Some("label_with_special_chars_")),
            ("label_with_foreign_characters_字符", Some("label_with_foreign_characters___")),
            ("http.method", Some("http_method")),
            ("123label", Some("key_123label")),
            ("_label", Some("key_label")),
            (".label", Some("key_label")),
            ("__label", Some("__label")),
            ("._label", Some("__label")),
            ("label.name__with&&special##chars", Some("label_name__with__special__chars")),
            ("__reserved__label__name__", Some("__reserved__label__name__")),
            ("trailing_underscores___", Some("trailing_underscores___")),
            ("", None),
            ("_", Some("key_")),
            ("é", Some("key_")),
            ("__", None),
            ("éé", None),
            ("ようこそ", None),
        ];
        for (key, expected) in table {
            assert_eq!(label_name(key.into()).as_deref(), expected, "{key}");
        }
    }

    proptest! {
        #[test]
        fn property_test_names_are_classic(raw in "[a-z_.:0-9é/]{0,12}", unit in "[a-zA-Z_/{}% ]{0,6}", monotonic in any::<bool>()) {
            let kind = if monotonic { COUNTER } else { Kind::Gauge };
            if let Some(name) = name(&raw, &unit, kind) {
                prop_assert!(crate::model::MetricName::classic(&name).is_ok(), "{}", name);
            }
            if let Some(name) = label_name(raw.into()) {
                prop_assert!(crate::model::LabelName::classic(&name).is_ok(), "{}", name);
            }
        }
    }
}
