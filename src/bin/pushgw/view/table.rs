//! Tables: the series of a workspace with their sparklines, and dead letters.

use super::sparkline::sparkline;
use super::{Foreign, Styled, pairs, series_name, wire_value};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::local::tsdb::{Labels, StoredSeries};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};

/// Rows of a table; a script takes all of them with `--json`.
const MAX_ROWS: usize = 40;
const SPARKLINE_WIDTH: usize = 20;
/// Characters of a dead letter's body.
const MAX_BODY_CHARS: usize = 60;

/// The series with their counts, last values and sparklines; with the type of their values if `type_of` is known.
pub(crate) fn series_table(series: &[StoredSeries], type_of: Option<&dyn Fn(&Labels) -> &'static str>) -> String {
    let mut header = vec!["series", "samples", "last value", "values"];
    if type_of.is_some() {
        header.insert(1, "type");
    }
    let row = |one: &StoredSeries| {
        let last = one.samples.last().map_or(String::new(), |last| wire_value(last.value));
        let bars = sparkline(one.samples.iter().map(|sample| sample.value), SPARKLINE_WIDTH);
        let mut row = vec![series_name(pairs(&one.labels)), one.samples.len().to_string(), last, bars];
        if let Some(type_of) = type_of {
            row.insert(1, type_of(&one.labels).to_owned());
        }
        row
    };
    let table = rows(&header, series.iter().take(MAX_ROWS).map(row).collect(), &[header.len() - 3, header.len() - 2]);
    with_rest(table, series.len())
}

/// The dead letters with their reasons, details and the beginnings of their bodies.
pub(crate) fn dead_letter_table(dead_letters: &[DeadLetter]) -> String {
    let row = |dead_letter: &DeadLetter| {
        let detail = Foreign(&dead_letter.detail).to_string();
        vec![dead_letter.reason.to_string(), detail, excerpt(&dead_letter.body, MAX_BODY_CHARS)]
    };
    let table = rows(&["reason", "detail", "body"], dead_letters.iter().take(MAX_ROWS).map(row).collect(), &[]);
    with_rest(table, dead_letters.len())
}

/// Rows under a header; `numbers` are the columns that are aligned to the right.
pub(crate) fn rows(header: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_style(TableComponent::HeaderLines, '─').set_header(header).add_rows(rows);
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    // Only a terminal has a width to keep to; what goes into a file stays on its lines.
    let terminal = console::Term::stdout();
    if terminal.is_term() {
        let (_, width) = terminal.size();
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.to_string()
}

fn with_rest(table: String, rows: usize) -> String {
    match rows.saturating_sub(MAX_ROWS) {
        0 => table,
        rest => format!("{table}\n{}", Styled(super::QUIET, format_args!("and {rest} more: --json lists them all"))),
    }
}

/// Returns the first characters of a body, on one line.
pub(crate) fn excerpt(body: &str, max_chars: usize) -> String {
    let line: String = body.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max_chars).collect();
    if body.chars().nth(max_chars).is_some() { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::local::tsdb::Sample;

    fn series(count: usize) -> Vec<StoredSeries> {
        let one = |number: usize| StoredSeries {
            labels: vec![("__name__".to_owned(), "ph".to_owned()), ("device".to_owned(), number.to_string())],
            samples: vec![Sample { timestamp: 1, value: 6.5 }, Sample { timestamp: 2, value: 7.0 }],
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_series_has_its_type_if_it_is_known() {
        let shown = series_table(&series(1), Some(&|_| "integer"));
        for part in ["ph{device=\"0\"}", "integer", "2", "7", "▁█"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!series_table(&series(1), None).contains("type"));
    }

    #[test]
    fn a_long_table_says_how_many_rows_it_leaves_out() {
        let shown = series_table(&series(MAX_ROWS + 2), None);
        assert!(shown.contains("and 2 more") && !shown.contains(&format!("device=\"{MAX_ROWS}\"")), "{shown}");
    }

    #[test]
    fn a_body_is_one_bounded_line() {
        assert_eq!(excerpt("a\nb", 60), "a b");
        assert_eq!(excerpt(&"é".repeat(61), 60).chars().count(), 61);
    }
}
