//! The literal of an event's timestamp to a [`Timestamp`] that the rules accept.

use super::entries::unquote;
use super::path::{excerpt, kind};
use super::{EventTimes, Rules};
use crate::model::{Reason, Rejection, Timestamp};

/// A smaller number is in seconds: as milliseconds it would be before 1973-03-03.
const SECONDS_BELOW: i128 = 100_000_000_000;
/// This number, or a larger one, is in microseconds: as milliseconds it would be after the year 5138.
const MICROSECONDS_FROM: i128 = 100_000_000_000_000;
/// This number, or a larger one, is in nanoseconds.
const NANOSECONDS_FROM: i128 = 100_000_000_000_000_000;
/// A number that begins with more zeros is zero. So `0e999999999` costs no time.
const MAX_LEADING_ZEROS: i64 = 1_000;

/// Returns the time in `literal`: milliseconds, as a number or a string of digits. Without it (missing or null), returns when
/// the message was sent, or else the time of the invocation.
pub(super) fn read(literal: Option<&str>, times: &EventTimes, rules: &Rules) -> Result<Timestamp, Rejection> {
    let timestamp = match literal {
        None | Some("null") => times.sent.unwrap_or(times.now),
        Some(literal) => milliseconds(literal)?,
    };
    let age = times.now.since(timestamp);
    if age > rules.max_sample_age_ms {
        return Err(Rejection::new(
            Reason::TooOld,
            format!("timestamp: {timestamp} is {age} ms old, at most {} ms are accepted", rules.max_sample_age_ms),
        ));
    }
    if -age > rules.max_sample_lead_ms {
        return Err(Rejection::new(
            Reason::InFuture,
            format!(
                "timestamp: {timestamp} is {} ms ahead, at most {} ms are accepted",
                -age, rules.max_sample_lead_ms
            ),
        ));
    }
    Ok(timestamp)
}

fn milliseconds(literal: &str) -> Result<Timestamp, Rejection> {
    let rejected = |problem: &str| {
        let detail = format!("timestamp: {} {problem}; expected milliseconds since 1970-01-01", excerpt(literal));
        Rejection::new(Reason::InvalidEvent, detail)
    };
    let whole = match literal.as_bytes().first() {
        Some(b'"') => {
            unquote(literal).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| whole(&text))
        }
        Some(b'-' | b'0'..=b'9') => whole(literal),
        _ => return Err(rejected(&format!("is {}", kind(literal)))),
    };
    match whole {
        None => Err(rejected("is not a time")),
        Some(..SECONDS_BELOW) => Err(rejected("looks like seconds")),
        Some(NANOSECONDS_FROM..) => Err(rejected("looks like nanoseconds")),
        Some(MICROSECONDS_FROM..) => Err(rejected("looks like microseconds")),
        Some(whole) => i64::try_from(whole).map(Timestamp).map_err(|_| rejected("is not a time")),
    }
}

/// Returns the number without its fraction, digit by digit: a double would round `1676398017000.9999999` up. Saturates.
fn whole(number: &str) -> Option<i128> {
    // Nearly all timestamps: digits only, and far from any limit.
    if let 1..=18 = number.len()
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        return number.parse::<i64>().ok().map(i128::from);
    }
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if integer.is_empty() {
        return None;
    }
    // An exponent beyond i32 is as good as an infinite one.
    let exponent =
        exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::from(i32::MIN) } else { i64::from(i32::MAX) });
    let point = i64::try_from(integer.len()).ok()?.saturating_add(exponent);
    let digits = integer.bytes().chain(fraction.bytes()).map(|digit| i128::from(digit - b'0'));
    let mut whole: i128 = 0;
    let mut index = 0;
    for digit in digits.chain(std::iter::repeat(0)) {
        if index >= point || whole > NANOSECONDS_FROM {
            break;
        }
        whole = whole * 10 + digit;
        index += 1;
        if whole == 0 && index > MAX_LEADING_ZEROS {
            break;
        }
    }
    Some(if negative { -whole } else { whole })
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
    fn reads_milliseconds_from_numbers_and_strings_of_digits() {
        let table = [
            ("1676398017000", "1676398017000"),
            (r#""1676398017000""#, "1676398017000"),
            ("1676398017000.9999999", "1676398017000"),
            ("1.676398017e12", "1676398017000"),
            ("1.6763980170009999E+12", "1676398017000"),
            ("1676398017000000e-3", "1676398017000"),
            (r#""0001676398017000""#, "1676398017000"),
        ];
        for (literal, expected) in table {
            assert_eq!(shown(Some(literal), None), expected, "{literal}");
        }
    }

    #[test]
    fn rejects_what_is_not_in_milliseconds_with_a_hint() {
        let table = [
            ("1676398017", "looks like seconds"),
            (r#""1676398017""#, "looks like seconds"),
            ("0", "looks like seconds"),
            ("0e999999999999999999999", "looks like seconds"),
            ("1e-999999999999999999999", "looks like seconds"),
            ("-1676398017000", "looks like seconds"),
            ("1676398017000000", "looks like microseconds"),
            ("1676398017000000000", "looks like nanoseconds"),
            ("1e400", "looks like nanoseconds"),
            ("99999999999999999999999999999999999999999999", "looks like nanoseconds"),
            (r#""""#, "is not a time"),
            (r#""abc""#, "is not a time"),
            (r#""1676398017000.5""#, "is not a time"),
            (r#"" 1676398017000""#, "is not a time"),
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
