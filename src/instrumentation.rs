//! Logs and metrics of the gateway itself.
//!
//! Log lines are JSON on standard output, one for each event of `tracing`. Each invocation prints one more line, whatever
//! the log filter is. CloudWatch makes metrics of it ([embedded
//! metrics](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html)).

mod metric_line;

pub use metric_line::{Invoked, metric_line, tick_report};

use std::borrow::Cow;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log filter until the settings are known.
pub fn errors_only() -> Targets {
    Targets::new().with_default(tracing_subscriber::filter::LevelFilter::ERROR)
}

/// Logs only the location of a panic, because its message can quote input.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panic: a defect of the gateway");
    }));
}

/// Returns foreign text for a log line: at most `max_chars`. Characters that control a terminal or reorder its text
/// become U+FFFD, because JSON escapes only those below U+0020.
pub fn log_text(text: &str, max_chars: usize) -> Cow<'_, str> {
    let end = text.char_indices().nth(max_chars).map_or(text.len(), |(end, _)| end);
    let text = &text[..end];
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if steers(c) { char::REPLACEMENT_CHARACTER } else { c };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Reports whether a character steers a terminal, or reorders what it shows.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Writes log lines that pass `filter`, and panics, to standard output.
pub fn init(filter: Targets) {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false).with_ansi(false);
    // A second call, in tests, changes nothing.
    let _set = tracing_subscriber::registry().with(filter).with(lines).try_init();
    log_panics();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_in_a_log_line_is_cut_and_steers_no_terminal() {
        let table = [
            ("m-1", 128, "m-1"),
            ("ééé", 2, "éé"),
            ("a\u{1b}[31mb\nc", 99, "a\u{FFFD}[31mb\u{FFFD}c"),
            ("\u{9b}31m \u{202e}gpj.exe \u{2066} \u{2028}", 99, "\u{FFFD}31m \u{FFFD}gpj.exe \u{FFFD} \u{FFFD}"),
            ("Wörth \u{1F41F}", 99, "Wörth \u{1F41F}"),
        ];
        for (text, max_chars, expected) in table {
            assert_eq!(log_text(text, max_chars), expected);
        }
    }
}
