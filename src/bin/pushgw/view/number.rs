//! Numbers as people read them.

use std::time::Duration;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

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

/// The last `width` values as bars between the least and the greatest of them; what is not finite is a blank.
pub(crate) fn sparkline(values: impl DoubleEndedIterator<Item = f64>, width: usize) -> String {
    let mut values: Vec<_> = values.rev().take(width).collect();
    values.reverse();
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (least, greatest) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let bar = |value: f64| {
        if !value.is_finite() {
            return ' ';
        }
        // Halved, so that the span of the largest doubles is finite too.
        let span = greatest / 2.0 - least / 2.0;
        let share = if span > 0.0 { (value / 2.0 - least / 2.0) / span } else { 0.5 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
        BARS[((share * 7.0).round() as usize).min(7)]
    };
    values.iter().copied().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_span_the_values() {
        let table: [(&[f64], &str); 6] = [
            (&[], ""),
            (&[1.0], "▅"),
            (&[0.0, 7.0], "▁█"),
            (&[7.0, 0.0, f64::NAN, 3.5], "█▁ ▅"),
            (&[f64::MIN, 0.0, f64::MAX], "▁▅█"),
            (&[9.0, 1.0, 2.0, 3.0], "▁▅█"),
        ];
        for (values, expected) in table {
            assert_eq!(sparkline(values.iter().copied(), 3.max(expected.chars().count())), expected, "{values:?}");
        }
    }

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
