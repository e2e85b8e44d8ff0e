//! How the labels `le` and `quantile` are written.

use std::fmt::Write as _;

/// Writes a bound or a quantile as Prometheus 3 does (`labels.FormatOpenMetricsFloat`): Go's shortest `%g`, and with a fraction
/// or an exponent.
pub fn write_bound(out: &mut String, bound: f64) {
    if bound.is_nan() {
        return out.push_str("NaN");
    }
    if bound.is_infinite() {
        return out.push_str(if bound > 0.0 { "+Inf" } else { "-Inf" });
    }
    if bound == 0.0 {
        return out.push_str("0.0");
    }
    let magnitude = bound.abs();
    let start = out.len();
    // Both formats of the standard library give the shortest digits that name the double. Writing to a String does not fail.
    let written = if (1e-4..1e6).contains(&magnitude) { write!(out, "{bound:?}") } else { write!(out, "{bound:e}") };
    debug_assert!(written.is_ok(), "writing to a String does not fail");
    // Go's exponent has a sign and at least two digits.
    if let Some(e) = out[start..].find('e').map(|e| start + e + 1) {
        let (sign, digits) = match out[e..].strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', &out[e..]),
        };
        let exponent = format!("{sign}{digits:0>2}");
        out.truncate(e);
        out.push_str(&exponent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right column is what `labels.FormatOpenMetricsFloat` of Prometheus 3 returns.
    #[test]
    fn writes_bounds_as_prometheus_does() {
        let table = [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-0.0, "0.0"),
            (-1.0, "-1.0"),
            (5.0, "5.0"),
            (0.50, "0.5"),
            (100.0, "100.0"),
            (123_456.0, "123456.0"),
            (1_234_567.0, "1.234567e+06"),
            (1e6, "1e+06"),
            (999_999.5, "999999.5"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (0.000_123, "0.000123"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (-2.5e-7, "-2.5e-07"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (0.1, "0.1"),
            (0.300_000_000_000_000_04, "0.30000000000000004"),
        ];
        for (bound, expected) in table {
            let mut written = String::from("x");
            write_bound(&mut written, bound);
            assert_eq!(written[1..], *expected);
        }
    }
}
