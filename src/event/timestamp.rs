//! When an event was measured, and whether that is a time that can be taken.

use super::entries::unquote;
use super::path::{excerpt, kind};
use super::{EventTimes, Rules};
use crate::model::{Reason, Rejection, Timestamp};

/// Below this a time is in seconds: as milliseconds it would lie before 1973-03-03.
const SECONDS_BELOW: i128 = 100_000_000_000;
/// From here on a time is in microseconds: as milliseconds it would lie after the year 5138.
const MICROSECONDS_FROM: i128 = 100_000_000_000_000;
/// From here on a time is in nanoseconds.
const NANOSECONDS_FROM: i128 = 100_000_000_000_000_000;
/// A number with more zeros than this in front is taken for zero: `0e999999999` must not be counted out.
const MAX_LEADING_ZEROS: i64 = 1_000;

/// Reads `literal`, milliseconds as a number or a string of digits; where it is missing or null the time that the
/// queue took the message, else the time of the invocation.
///
/// # Errors
/// `invalid_event` where it is no time in milliseconds, `too_old` and `in_future` by `rules`.
pub(super) fn read(literal: Option<&str>, clock: &EventTimes, rules: &Rules) -> Result<Timestamp, Rejection> {
    let timestamp = match literal {
        None | Some("null") => clock.sent.unwrap_or(clock.now),
        Some(literal) => milliseconds(literal)?,
    };
    let age = clock.now.since(timestamp);
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
    let refused = |fault: &str| {
        let detail = format!("timestamp: {} {fault}; expected milliseconds since 1970-01-01", excerpt(literal));
        Rejection::new(Reason::InvalidEvent, detail)
    };
    let whole = match literal.as_bytes().first() {
        Some(b'"') => {
            unquote(literal).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| whole(&text))
        }
        Some(b'-' | b'0'..=b'9') => whole(literal),
        _ => return Err(refused(&format!("is {}", kind(literal)))),
    };
    match whole {
        None => Err(refused("is not a time")),
        Some(..SECONDS_BELOW) => Err(refused("looks like seconds")),
        Some(NANOSECONDS_FROM..) => Err(refused("looks like nanoseconds")),
        Some(MICROSECONDS_FROM..) => Err(refused("looks like microseconds")),
        Some(whole) => i64::try_from(whole).map(Timestamp).map_err(|_| refused("is not a time")),
    }
}

/// The number without its fraction, digit by digit: a double would round `1676398017000.9999999` up. Saturates.
fn whole(number: &str) -> Option<i128> {
    // As nearly all come: digits and nothing else, of a number that is not at the edge of anything.
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
    // An exponent beyond i32 is as good as an endless one.
    let exponent =
        exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::from(i32::MIN) } else { i64::from(i32::MAX) });
    let point = i64::try_from(integer.len()).ok()?.saturating_add(exponent);
    let digits = integer.bytes().chain(fraction.bytes()).map(|digit| i128::from(digit - b'0'));
    let mut whole: i128 = 0;
    let mut place = 0;
    for digit in digits.chain(std::iter::repeat(0)) {
        if place >= point || whole > NANOSECONDS_FROM {
            break;
        }
        whole = whole * 10 + digit;
        place += 1;
        if whole == 0 && place > MAX_LEADING_ZEROS {
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
        let clock = EventTimes { now: Timestamp(NOW), sent: sent.map(Timestamp) };
        match read(literal, &clock, &Rules::default()) {
            Ok(timestamp) => timestamp.to_string(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn times_are_milliseconds_as_numbers_or_digits() {
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
    fn what_is_no_time_in_milliseconds_is_refused_with_a_hint() {
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
    fn an_event_without_a_time_gets_the_queues_or_the_invocations() {
        for literal in [None, Some("null")] {
            assert_eq!(shown(literal, Some(NOW - 5)), (NOW - 5).to_string());
            assert_eq!(shown(literal, None), NOW.to_string());
        }
    }

    #[test]
    fn ages_are_accepted_up_to_the_edge() {
        let hour = 3_600_000;
        let table = [
            (NOW - hour, None),
            (NOW - hour - 1, Some("too_old: ")),
            (NOW + 10_000, None),
            (NOW + 10_001, Some("in_future: ")),
        ];
        for (time, refused) in table {
            let shown = shown(Some(&time.to_string()), None);
            assert!(shown.starts_with(refused.unwrap_or(&time.to_string())), "{time}: {shown}");
        }
        assert!(shown(None, Some(NOW - hour - 1)).starts_with("too_old: "));
    }
}
