//! Writes durations as text: `3 h 12 min`.

use std::fmt;

/// Milliseconds, shown with the two largest units. The rest is cut off.
pub(crate) struct Ago(pub(crate) i64);

const UNITS: [(i64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = UNITS.iter().position(|(unit, _)| self.0 >= *unit).unwrap_or(UNITS.len() - 1);
        let (unit, name) = UNITS[position];
        write!(f, "{} {name}", self.0 / unit)?;
        match UNITS.get(position + 1) {
            // Milliseconds beside seconds are noise.
            Some((smaller, name)) if *smaller > 1 && self.0 % unit / smaller > 0 => {
                write!(f, " {} {name}", self.0 % unit / smaller)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_two_largest_units() {
        let table = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_999, "1 s"),
            (10_000, "10 s"),
            (90_000, "1 min 30 s"),
            (3_600_000, "1 h"),
            (11_523_000, "3 h 12 min"),
            (86_400_000, "1 d"),
            (90_000_000, "1 d 1 h"),
            (i64::MAX, "106751991167 d 7 h"),
        ];
        for (milliseconds, expected) in table {
            assert_eq!(Ago(milliseconds).to_string(), expected);
        }
    }
}
