//! Parses a date and time into a [`Timestamp`]: RFC 3339, and the forms of ISO 8601 that senders write.
//!
//! An example is `2023-02-14T18:06:57.250Z`. The separator is `T`, `t` or a space. The zone is `Z`, `z`, `+01:00`, `+0100`
//! or `+01`. The fraction may have any number of digits, and seconds may be missing. A time without a zone is rejected,
//! because it is ambiguous.

use crate::model::Timestamp;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DateTimeError {
    NotATime,
    NoZone,
    NoSuchDay,
    NoSuchTime,
    NoSuchOffset,
}

impl fmt::Display for DateTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotATime => "is not a time",
            Self::NoZone => "has no zone; append Z for UTC, or an offset such as +01:00",
            Self::NoSuchDay => "is not a day of the calendar",
            Self::NoSuchTime => "is not a time of the day (00:00:00 to 23:59:59, or the leap second 23:59:60)",
            Self::NoSuchOffset => "has an offset that is not between -23:59 and +23:59",
        })
    }
}

impl std::error::Error for DateTimeError {}

pub(super) fn read(text: &str) -> Result<Timestamp, DateTimeError> {
    let mut rest = Rest(text.as_bytes());
    let (year, month, day) = date(&mut rest)?;
    let hour = match rest.0 {
        // A date alone, or a date and a zone.
        [] | [b'Z' | b'z' | b'+', ..] => return Err(DateTimeError::NotATime),
        _ => {
            rest.one_of(b"Tt ")?;
            rest.digits(2)?
        }
    };
    rest.one_of(b":")?;
    let minute = rest.digits(2)?;
    let second = if rest.one_of(b":").is_ok() { rest.digits(2)? } else { 0 };
    let milliseconds = if rest.one_of(b".,").is_ok() { rest.fraction()? } else { 0 };
    let offset = zone(&mut rest)?;
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return Err(DateTimeError::NoSuchDay);
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err(DateTimeError::NoSuchTime);
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset * 60;
    Ok(Timestamp(seconds * 1_000 + milliseconds))
}

fn date(rest: &mut Rest<'_>) -> Result<(i64, i64, i64), DateTimeError> {
    let year = rest.digits(4)?;
    rest.one_of(b"-")?;
    let month = rest.digits(2)?;
    rest.one_of(b"-")?;
    Ok((year, month, rest.digits(2)?))
}

/// Returns the offset from UTC in minutes; nothing may follow it.
fn zone(rest: &mut Rest<'_>) -> Result<i64, DateTimeError> {
    // Some senders write a blank before the zone.
    let text = rest.0.strip_prefix(b" ").unwrap_or(rest.0);
    let mut rest = Rest(text);
    let sign = match text {
        [] => return Err(DateTimeError::NoZone),
        [b'Z' | b'z'] => return Ok(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return Err(DateTimeError::NotATime),
    };
    rest.one_of(b"+-")?;
    let hours = rest.digits(2)?;
    let has_colon = rest.one_of(b":").is_ok();
    let minutes = if rest.0.is_empty() && !has_colon { 0 } else { rest.digits(2)? };
    match rest.0 {
        [] if hours < 24 && minutes < 60 => Ok(sign * (hours * 60 + minutes)),
        [] => Err(DateTimeError::NoSuchOffset),
        _ => Err(DateTimeError::NotATime),
    }
}

/// The text that is not read yet.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    fn one_of(&mut self, allowed: &[u8]) -> Result<(), DateTimeError> {
        match self.0 {
            [first, rest @ ..] if allowed.contains(first) => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(DateTimeError::NotATime),
        }
    }

    fn digits(&mut self, count: usize) -> Result<i64, DateTimeError> {
        let digits = self.0.get(..count).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let digits = digits.ok_or(DateTimeError::NotATime)?;
        self.0 = &self.0[count..];
        Ok(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    /// Returns the milliseconds of a fraction of any length.
    fn fraction(&mut self) -> Result<i64, DateTimeError> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(DateTimeError::NotATime);
        }
        let digit = |i: usize| self.0.get(i).filter(|_| i < count).map_or(0, |digit| i64::from(digit - b'0'));
        let milliseconds = digit(0) * 100 + digit(1) * 10 + digit(2);
        self.0 = &self.0[count..];
        Ok(milliseconds)
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that a leap day is their last day.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_form_of_a_date_and_time_with_a_zone() {
        let table = [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-02-14T18:06:57Z", 1_676_398_017_000),
            ("2023-02-14t18:06:57z", 1_676_398_017_000),
            ("2023-02-14 18:06:57 Z", 1_676_398_017_000),
            ("2023-02-14T18:06:57.25Z", 1_676_398_017_250),
            ("2023-02-14T18:06:57,25Z", 1_676_398_017_250),
            ("2023-02-14T18:06:57.999999999999Z", 1_676_398_017_999),
            ("2023-02-14T18:06Z", 1_676_397_960_000),
            ("2023-02-14T19:06:57+01:00", 1_676_398_017_000),
            ("2023-02-14T12:36:57-0530", 1_676_398_017_000),
            ("2023-02-14T08:06:57-10", 1_676_398_017_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2000-02-29T00:00:00-00:00", 951_782_400_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), Ok(Timestamp(expected)), "{text}");
        }
    }

    #[test]
    fn rejects_anything_else_and_says_why() {
        let table = [
            ("2023-02-14T18:06:57", DateTimeError::NoZone),
            ("2023-02-14 18:06", DateTimeError::NoZone),
            ("2023-02-14T18:06:57.5", DateTimeError::NoZone),
            ("2023-02-29T00:00:00Z", DateTimeError::NoSuchDay),
            ("1900-02-29T00:00:00Z", DateTimeError::NoSuchDay),
            ("2023-13-01T00:00:00Z", DateTimeError::NoSuchDay),
            ("2023-00-01T00:00:00Z", DateTimeError::NoSuchDay),
            ("2023-04-31T00:00:00Z", DateTimeError::NoSuchDay),
            ("2023-02-14T24:00:00Z", DateTimeError::NoSuchTime),
            ("2023-02-14T18:60:00Z", DateTimeError::NoSuchTime),
            ("2023-02-14T18:06:61Z", DateTimeError::NoSuchTime),
            ("2023-02-14T18:06:57+24:00", DateTimeError::NoSuchOffset),
            ("2023-02-14T18:06:57+01:60", DateTimeError::NoSuchOffset),
            ("2023-02-14T18:06:57+01:", DateTimeError::NotATime),
            ("2023-02-14T18:06:57+1", DateTimeError::NotATime),
            ("2023-02-14T18:06:57+01:00x", DateTimeError::NotATime),
            ("2023-02-14T18:06:57 CET", DateTimeError::NotATime),
            ("2023-02-14T18:06:57.Z", DateTimeError::NotATime),
            ("2023-02-14T18Z", DateTimeError::NotATime),
            ("2023-02-14", DateTimeError::NotATime),
            ("2023-02-14Z", DateTimeError::NotATime),
            ("23-02-14T18:06:57Z", DateTimeError::NotATime),
            ("14.02.2023 18:06:57", DateTimeError::NotATime),
            ("20230214T180657Z", DateTimeError::NotATime),
            ("", DateTimeError::NotATime),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), Err(expected), "{text}");
        }
    }

    proptest! {
        /// The days follow one another without a gap, over 2,000 years.
        #[test]
        fn property_test_each_day_is_one_after_the_day_before(year in 1_i64..3_000, month in 1_i64..13, day in 1_i64..32) {
            prop_assume!(day <= days_in(year, month));
            let next = if day < days_in(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
            prop_assert_eq!(days_since_1970(next.0, next.1, next.2), days_since_1970(year, month, day) + 1);
        }
    }
}
