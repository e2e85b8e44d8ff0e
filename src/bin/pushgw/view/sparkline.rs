//! The sparkline: the last values of a series as bars.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws the last `width` values as bars between the least and the greatest of them; a value that is not finite is a blank.
pub(super) fn sparkline(values: impl DoubleEndedIterator<Item = f64>, width: usize) -> String {
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
    fn draws_bars_between_the_least_and_the_greatest_value() {
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
}
