//! Writes times as text, for the page and for JSON.

use crate::model::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// Returns the time as RFC 3339 in UTC, with milliseconds.
pub(super) fn rfc3339(time: Timestamp) -> String {
    let (days, ms) = (time.0.div_euclid(DAY_MS), time.0.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{:02}.{:03}Z", ms / 1_000 % 60, ms % 1_000)
}

/// Returns the time as text, in UTC.
pub(super) fn utc(time: Timestamp) -> String {
    let text = rfc3339(time);
    // The date and the time of day, without milliseconds.
    let (date, rest) = text.split_once('T').unwrap_or((&text, ""));
    let of_day = rest.split('.').next().unwrap_or_default();
    format!("{date} {of_day} UTC")
}

/// Returns the date of a day since 1970: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Returns a duration in its two largest units, such as `3 min 20 s`.
pub(super) fn duration_text(ms: i64) -> String {
    let seconds = ms.unsigned_abs() / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) if minutes < 10 && !seconds.is_multiple_of(60) => format!("{minutes} min {} s", seconds % 60),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates_of_any_year() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_910_400_000, "2026-11-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (ms, expected) in table {
            assert_eq!(rfc3339(Timestamp(ms)), expected);
        }
        assert_eq!(utc(Timestamp(951_782_400_123)), "2000-02-29 00:00:00 UTC");
    }

    #[test]
    fn writes_durations_in_two_units() {
        let table = [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (1_200_000, "20 min"),
            (7_260_000, "2 h 1 min"),
            (86_400_000, "1 d"),
            (90_000_000, "1 d 1 h"),
        ];
        for (ms, expected) in table {
            assert_eq!(duration_text(ms), expected);
        }
    }
}
