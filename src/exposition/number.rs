//! Parses numbers as Go's `strconv.ParseFloat` does, with the exceptions of Prometheus' parser.

use crate::model::Timestamp;

/// Returns the double nearest to `text`, or None if it is not a number or no double is that large. Hexadecimal floats and
/// underscores are not taken.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    if let 1..=15 = bytes.len()
        && let Some(integer) = digits(bytes)
    {
        #[expect(clippy::cast_precision_loss, reason = "below 10^15, which a double holds")]
        return Some(integer as f64);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned.as_bytes().first()? {
        b'0'..=b'9' | b'.' => text.parse().ok().filter(|float: &f64| float.is_finite()),
        b'i' | b'I' if ["inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) => {
            Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        _ => text.eq_ignore_ascii_case("nan").then_some(f64::NAN),
    }
}

/// Returns the milliseconds that the digits of the text format mean.
pub(super) fn parse_milliseconds(text: &str) -> Option<Timestamp> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(Timestamp)
}

/// Returns the seconds of OpenMetrics in milliseconds, without the fraction of a millisecond.
pub(super) fn parse_seconds(text: &str) -> Option<Timestamp> {
    let milliseconds = parse_float(text)? * 1_000.0;
    // NaN is in no range, and 2^63 milliseconds do not fit.
    let fits = milliseconds.abs() < 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "it fits; the fraction is left out, as Prometheus does")]
    fits.then_some(Timestamp(milliseconds as i64))
}

/// Returns whether the bound of a bucket is as Prometheus 3 writes it. This is true for common bounds. False means:
/// parse and write the bound.
pub(super) fn is_canonical(bound: &str) -> bool {
    let Some((whole, fraction)) = bound.split_once('.') else { return bound == "+Inf" };
    let (whole, fraction) = (whole.as_bytes(), fraction.as_bytes());
    let are_digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    // Fifteen digits make the round trip through a double. A number from 10^6 or below 10^-4 gets an exponent.
    are_digits(whole)
        && are_digits(fraction)
        && (1..=6).contains(&whole.len())
        && (1..=9).contains(&fraction.len())
        && (whole[0] != b'0' || whole == b"0" && !fraction.starts_with(b"0000"))
        && (fraction == b"0" || !fraction.ends_with(b"0"))
}

/// Returns the integer of at most 15 bytes, if all are digits.
fn digits(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0, |sum, byte| match byte {
        b'0'..=b'9' => Some(sum * 10 + u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::write_bound;

    #[test]
    fn takes_the_numbers_that_go_takes() {
        let table = [
            ("1", Some(1.0)),
            ("007", Some(7.0)),
            ("+1", Some(1.0)),
            ("-0", Some(-0.0)),
            ("1.", Some(1.0)),
            (".5", Some(0.5)),
            ("1e3", Some(1_000.0)),
            ("1E+3", Some(1_000.0)),
            ("123456789012345", Some(123_456_789_012_345.0)),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
            ("1.7976931348623157e308", Some(f64::MAX)),
            ("5e-324", Some(5e-324)),
            ("1e-400", Some(0.0)),
            ("Inf", Some(f64::INFINITY)),
            ("+iNf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1e309", None),
            ("-1e309", None),
            ("0x1p3", None),
            ("0x1", None),
            ("1_000", None),
            ("+NaN", None),
            ("-nan", None),
            ("", None),
            ("+", None),
            (".", None),
            ("1e", None),
            ("e1", None),
            ("1,5", None),
            ("--1", None),
            ("in", None),
            ("١", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_float(text).map(f64::to_bits), expected.map(f64::to_bits), "{text}");
        }
        assert!(["NaN", "nan", "NAN"].iter().all(|text| parse_float(text).is_some_and(f64::is_nan)));
    }

    #[test]
    fn takes_milliseconds_as_digits_and_seconds_as_a_number() {
        let table =
            [("0", Some(0)), ("007", Some(7)), ("9223372036854775807", Some(i64::MAX)), ("9223372036854775808", None)];
        for (text, expected) in table.into_iter().chain([("-1", None), ("+1", None), ("1.5", None), ("", None)]) {
            assert_eq!(parse_milliseconds(text), expected.map(Timestamp), "{text}");
        }
        let table = [("1.5", Some(1_500)), ("-1.0005", Some(-1_000)), ("1e3", Some(1_000_000)), ("NaN", None)];
        for (text, expected) in
            table.into_iter().chain([("Inf", None), ("1e17", None), ("9e15", Some(9 * 10_i64.pow(18)))])
        {
            assert_eq!(parse_seconds(text), expected.map(Timestamp), "{text}");
        }
    }

    #[test]
    fn knows_the_common_bounds_that_need_no_rewriting() {
        let canonical = ["1.0", "0.0", "0.1", "0.5", "100.0", "123456.0", "999999.5", "0.0001", "0.000123", "+Inf"];
        for text in canonical {
            let mut written = String::new();
            write_bound(&mut written, parse_float(text).unwrap());
            assert_eq!(written, text);
            assert!(is_canonical(text), "{text}");
        }
        let others = [
            "1",
            "+5",
            "-1.0",
            "0.50",
            "00.5",
            "1234567.0",
            "0.00001",
            "1e6",
            "1e+06",
            "inf",
            "NaN",
            "0.30000000000000004",
        ];
        for text in others {
            assert!(!is_canonical(text), "{text}");
        }
    }
}
