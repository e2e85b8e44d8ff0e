//! Numbers as people read them.

use std::time::Duration;

/// `1 event`, `2 events`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A double without a needless `.0`, as Prometheus writes it.
pub(crate) fn wire_value(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        value => value.to_string(),
    }
}

/// `3 ms`, `1.25 s`.
pub(crate) fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        assert_eq!([87.0, 14.3, f64::NAN, f64::NEG_INFINITY].map(wire_value), ["87", "14.3", "NaN", "-Inf"]);
        assert_eq!([count(1, "event"), count(2, "event"), count(0, "event")], ["1 event", "2 events", "0 events"]);
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!([3, 999, 1_250].map(|ms| duration(Duration::from_millis(ms))), ["3 ms", "999 ms", "1.25 s"]);
    }
}
