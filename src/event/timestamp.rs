//! Parses the literal of an event's timestamp into a [`Timestamp`] that the rules accept.

use super::date_time;
use super::duration::Ago;
use super::entries::unquote;
use super::path::{excerpt, kind};
use super::value::is_decimal;
use super::{EventTimes, Rules};
use crate::model::{Reason, Rejection, Timestamp};

/// A smaller number is in seconds: as milliseconds it would be before 1973-03-03.
const SECONDS_BELOW: u128 = 100_000_000_000;
/// A smaller number is in milliseconds: as microseconds it would be before 1973-03-03.
const MILLISECONDS_BELOW: u128 = 100_000_000_000_000;
/// A smaller number is in microseconds: as nanoseconds it would be before 1973-03-03. Others are in nanoseconds.
const MICROSECONDS_BELOW: u128 = 100_000_000_000_000_000;
/// No time has so many nanoseconds. Further digits are not read.
const MAX_NANOSECONDS: u128 = 1 << 100;
/// A number that begins with more zeros is zero. So `0e999999999` costs no time.
const MAX_LEADING_ZEROS: i64 = 1_000;

/// The end of a detail about a time that cannot be read.
const EXPECTED: &str =
    "expected seconds, milliseconds, microseconds or nanoseconds since 1970-01-01, or a date and time with its zone";

/// Returns the time in `literal`: a number, or a string with a number or with a date and time. Without it (missing or null), returns
/// when the message was sent, or else the time of the invocation. A message cannot be sent after the invocation. So if
/// the clock of the queue is ahead, the time is cut.
pub(super) fn read(literal: Option<&str>, times: &EventTimes, rules: &Rules) -> Result<Timestamp, Rejection> {
    let timestamp = match literal {
        None | Some("null") => times.sent.map_or(times.now, |sent| sent.min(times.now)),
        Some(literal) => time(literal)?,
    };
    let age = times.now.since(timestamp);
    if age > rules.max_sample_age_ms {
        let detail = format!(
            "timestamp: {timestamp} is {} old ({age} ms), at most {} are accepted",
            Ago(age),
            Ago(rules.max_sample_age_ms)
        );
        return Err(Rejection::new(Reason::TooOld, detail));
    }
    if age < -rules.max_sample_lead_ms {
        let ahead = age.saturating_neg();
        let detail = format!(
            "timestamp: {timestamp} is {} ahead ({ahead} ms), at most {} are accepted",
            Ago(ahead),
            Ago(rules.max_sample_lead_ms)
        );
        return Err(Rejection::new(Reason::InFuture, detail));
    }
    Ok(timestamp)
}

/// Returns the time in `literal`, whatever its age.
pub(super) fn time(literal: &str) -> Result<Timestamp, Rejection> {
    let rejected = |problem: String| {
        Rejection::new(Reason::InvalidEvent, format!("timestamp: {} {problem}; {EXPECTED}", excerpt(literal)))
    };
    let not_a_time = || rejected("is not a time".to_owned());
    match literal.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => milliseconds(literal).ok_or_else(not_a_time),
        Some(b'"') => {
            let text = unquote(literal).ok_or_else(not_a_time)?;
            let text = text.trim_ascii();
            if is_decimal(text.as_bytes()) {
                return milliseconds(text.strip_prefix('+').unwrap_or(text)).ok_or_else(not_a_time);
            }
            date_time::read(text).map_err(|error| rejected(error.to_string()))
        }
        _ => Err(rejected(format!("is {}", kind(literal)))),
    }
}

/// Returns the time in a number whose size gives the unit. Digit by digit: a double would round `1676398017000.9999999` up.
/// The fraction of a millisecond is cut off.
fn milliseconds(number: &str) -> Option<Timestamp> {
    // Nearly all timestamps. A leading zero, which only a string has, makes the number smaller than its length says.
    if number.len() == 13 && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.parse().ok().map(Timestamp);
    }
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let whole = scaled(number, 0)?;
    let milliseconds = if whole < SECONDS_BELOW {
        scaled(number, 3)?
    } else if whole < MILLISECONDS_BELOW {
        whole
    } else if whole < MICROSECONDS_BELOW {
        whole / 1_000
    } else {
        whole / 1_000_000
    };
    let milliseconds = i64::try_from(milliseconds).ok()?;
    Some(Timestamp(if negative { -milliseconds } else { milliseconds }))
}

/// Returns the whole part of the number times ten to the power of `exponent`. Saturates above [`MAX_NANOSECONDS`].
fn scaled(number: &str, exponent: i64) -> Option<u128> {
    let (mantissa, own_exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // An exponent beyond i32 is as good as an infinite one.
    let infinite = if own_exponent.starts_with('-') { i64::from(i32::MIN) } else { i64::from(i32::MAX) };
    let exponent = own_exponent.parse().unwrap_or(infinite).saturating_add(exponent);
    let point = i64::try_from(integer.len()).ok()?.saturating_add(exponent);
    let digits = integer.bytes().chain(fraction.bytes()).map(|digit| u128::from(digit - b'0'));
    let mut whole: u128 = 0;
    let mut index = 0;
    for digit in digits.chain(std::iter::repeat(0)) {
        if index >= point || whole > MAX_NANOSECONDS {
            break;
        }
        whole = whole * 10 + digit;
        index += 1;
        if whole == 0 && index > MAX_LEADING_ZEROS {
            break;
        }
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_676_398_020_000;

    fn shown(literal: Option<&str>, sent: Option<i64>) -> String {
        let times = EventTimes { now: Timestamp(NOW), sent: sent.map(Timestamp) };
        match read(literal, &times, &Rules::default()) {
            Ok(timestamp) => timestamp.to_string(),
            Err(rejection) => rejection.to_string(),
        }
    }

    #[test]
    fn takes_the_unit_from_the_size_of_the_number_and_cuts_the_fraction() {
        let table = [
            ("1676398017000", "1676398017000"),
            ("1676398017", "1676398017000"),
            ("1676398017.25", "1676398017250"),
            ("1676398017.9999999", "1676398017999"),
            ("1676398017000000", "1676398017000"),
            ("1676398017000999", "1676398017000"),
            ("1676398017000999999", "1676398017000"),
            (r#""1676398017000""#, "1676398017000"),
            (r#"" 1676398017 ""#, "1676398017000"),
            (r#""1676398017.5""#, "1676398017500"),
            (r#""+1676398017""#, "1676398017000"),
            (r#""1.676398017e9""#, "1676398017000"),
            ("1676398017000.9999999", "1676398017000"),
            ("1.676398017e12", "1676398017000"),
            ("1.676398017e9", "1676398017000"),
            ("1.6763980170009999E+12", "1676398017000"),
            ("1676398017000000e-3", "1676398017000"),
            (r#""0001676398017000""#, "1676398017000"),
            (r#""0001676398017""#, "1676398017000"),
            (r#""2023-02-14T18:06:57.250Z""#, "1676398017250"),
            (r#""2023-02-14 19:06:57+01:00""#, "1676398017000"),
        ];
        for (literal, expected) in table {
            assert_eq!(shown(Some(literal), None), expected, "{literal}");
        }
    }

    #[test]
    fn rejects_a_time_that_is_too_old_or_ahead_in_any_unit() {
        let table = [
            ("0", "too_old: timestamp: 0 is 19402 d 18 h old (1676398020000 ms), at most 1 h are accepted"),
            ("0e999999999999999999999", "too_old: "),
            ("1e-999999999999999999999", "too_old: "),
            ("-1676398017000", "too_old: "),
            ("-1", "too_old: "),
            ("99999999999", "in_future: "),
            (
                "1676386497000",
                "too_old: timestamp: 1676386497000 is 3 h 12 min old (11523000 ms), at most 1 h are accepted",
            ),
            (
                "1676398050500",
                "in_future: timestamp: 1676398050500 is 30 s ahead (30500 ms), at most 10 s are accepted",
            ),
            (r#""9999-12-31T23:59:59Z""#, "in_future: "),
            (r#""0001-01-01T00:00:00Z""#, "too_old: "),
        ];
        for (literal, expected) in table {
            let shown = shown(Some(literal), None);
            assert!(shown.starts_with(expected), "{literal}: {shown}");
        }
    }

    #[test]
    fn rejects_what_is_not_a_time_with_a_hint() {
        let table = [
            ("1e400", "is not a time"),
            ("99999999999999999999999999999999999999999999", "is not a time"),
            (r#""""#, "is not a time"),
            (r#""abc""#, "is not a time"),
            (r#""now""#, "is not a time"),
            (r#""NaN""#, "is not a time"),
            (r#""2023-02-14T18:06:57""#, "has no zone; append Z for UTC, or an offset such as +01:00"),
            (r#""2023-02-30T18:06:57Z""#, "is not a day of the calendar"),
            ("true", "is a boolean"),
            ("{}", "is an object"),
        ];
        for (literal, expected) in table {
            let shown = shown(Some(literal), None);
            assert!(shown.starts_with("invalid_event: timestamp: ") && shown.contains(expected), "{literal}: {shown}");
        }
    }

    #[test]
    fn gives_an_event_without_a_time_that_of_the_queue_or_the_invocation() {
        for literal in [None, Some("null")] {
            assert_eq!(shown(literal, Some(NOW - 5)), (NOW - 5).to_string());
            assert_eq!(shown(literal, Some(NOW + 5)), NOW.to_string(), "a clock that runs ahead");
            assert_eq!(shown(literal, None), NOW.to_string());
        }
    }

    #[test]
    fn accepts_ages_up_to_the_limits() {
        let hour = 3_600_000;
        let table = [
            (NOW - hour, None),
            (NOW - hour - 1, Some("too_old: ")),
            (NOW + 10_000, None),
            (NOW + 10_001, Some("in_future: ")),
        ];
        for (time, rejected) in table {
            let shown = shown(Some(&time.to_string()), None);
            assert!(shown.starts_with(rejected.unwrap_or(&time.to_string())), "{time}: {shown}");
        }
        assert!(shown(None, Some(NOW - hour - 1)).starts_with("too_old: "));
    }
}
