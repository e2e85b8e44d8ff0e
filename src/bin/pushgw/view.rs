//! All output. Colour goes only to terminals, and `NO_COLOR` turns it off (anstream decides). If the reader ends early
//! (`pushgw check … | head`), that is no error.

mod sparkline;
mod table;

use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::instrumentation::steers;
use amp_push_gateway::local::tsdb::{Labels, StoredSeries};
use amp_push_gateway::model::{METRIC_NAME_LABEL, Timestamp, Value};
use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::fmt;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;
use time::OffsetDateTime;
use time::macros::format_description;

pub(crate) use table::{dead_letter_table, excerpt, rows, series_table};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const HEADING: Style = Style::new().bold();
pub(crate) const QUIET: Style = Style::new().dimmed();

const MAX_TEXT_CHARS: usize = 300;

pub(crate) struct Styled<T>(pub(crate) Style, pub(crate) T);

/// Stands for ESC in a style of ours until [`shown`]. No foreign text can have it: it is drawn at each start.
static ESCAPE: LazyLock<String> = LazyLock::new(|| format!("\u{10FFFE}{:016x}", fastrand::u64(..)));

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = |style: &dyn fmt::Display| style.to_string().replace('\x1b', &ESCAPE);
        write!(f, "{}{}{}", ours(&self.0.render()), self.1, ours(&self.0.render_reset()))
    }
}

/// Foreign text in a line of output. A line break in it does not begin a new line.
pub(crate) struct Foreign<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().replace('\n', "\\u000a"))
    }
}

/// Returns text as it may leave the program. Names, values and error texts are foreign: a device or a receiver chose them. Their
/// characters that steer a terminal are shown as `\u001b`, which is right in JSON too. Line breaks and our own styles stay: see [`Foreign`].
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (number, part) in text.split(ESCAPE.as_str()).enumerate() {
        if number > 0 {
            shown.push('\x1b');
        }
        for c in part.chars() {
            if c != '\n' && steers(c) {
                // Writing to a string does not fail; all these characters have four digits.
                let _written = fmt::Write::write_fmt(&mut shown, format_args!("\\u{:04x}", u32::from(c)));
            } else {
                shown.push(c);
            }
        }
    }
    shown
}

pub(crate) fn line(text: &str) {
    // The reader may have gone away.
    let _is_heard = writeln!(anstream::stdout().lock(), "{}", shown(text)).is_ok();
}

/// A remark, on standard error.
pub(crate) fn note(text: &str) {
    let _is_heard = writeln!(anstream::stderr().lock(), "{}", shown(text)).is_ok();
}

/// Standard error for the log.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One event of the log, which is one line.
        let text = String::from_utf8_lossy(bytes);
        let line = Foreign(text.strip_suffix('\n').unwrap_or(&text)).to_string() + "\n";
        io::stderr().write_all(shown(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns text as it is shown without styles.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(&shown(text)).to_string()
}

pub(crate) fn error(text: &str) {
    note(&format!("{} {text}", Styled(BAD, "error:")));
}

/// Cuts an error text of another program.
pub(crate) fn beginning(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// `temperature{customerId="c1", deviceId="d1"}`, with blanks so that a table may break it; the bare name without labels.
pub(crate) fn series_name<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let (names, labels): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(name, _)| *name == METRIC_NAME_LABEL);
    let metric = names.first().map_or("", |(_, value)| value);
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    if labels.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", labels.join(", ")) }
}

pub(crate) fn pairs(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// A series for scripts: its labels, the number of its samples, the last sample.
pub(crate) fn series_json(series: &StoredSeries) -> serde_json::Value {
    let last = series.samples.last();
    let last = last.map(|last| json!({"timestamp": last.timestamp, "value": wire_value(last.value)}));
    json!({"labels": labels_json(pairs(&series.labels)), "samples": series.samples.len(), "last": last})
}

pub(crate) fn labels_json<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> serde_json::Value {
    labels.into_iter().collect()
}

pub(crate) fn dead_letter_json(dead_letter: &DeadLetter) -> serde_json::Value {
    json!({
        "reason": dead_letter.reason.as_str(),
        "detail": dead_letter.detail,
        "source_message_id": dead_letter.source_message_id,
        "maybe_stored": dead_letter.maybe_stored,
        "body": dead_letter.body,
    })
}

/// Returns a bar, hidden by itself if standard error is no terminal.
pub(crate) fn progress(length: u64, template: &str) -> ProgressBar {
    ProgressBar::new(length).with_style(style(template))
}

/// Returns a counter of something whose end nobody knows.
pub(crate) fn endless_progress(template: &str) -> ProgressBar {
    ProgressBar::no_length().with_style(style(template))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

pub(crate) fn value_type(value: Value) -> &'static str {
    match value {
        Value::Integer(_) => "integer",
        Value::Float(_) | Value::StaleMarker => "float",
    }
}

/// `2026-11-21T02:50:36.123Z`; the number if there is no such date.
pub(crate) fn utc(timestamp: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp.0) * 1_000_000).ok();
    time.and_then(|time| time.format(&format).ok()).unwrap_or_else(|| timestamp.to_string())
}

/// Standard output for many lines. Colours are decided in front of the buffer: behind it, each partial write would scan it again.
pub(crate) fn out() -> AutoStream<Box<dyn Write>> {
    let stdout = io::stdout().lock();
    let choice = AutoStream::choice(&stdout);
    AutoStream::new(Box::new(io::BufWriter::with_capacity(64 << 10, stdout)), choice)
}

/// `1 event`, `2 events`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A double without a needless `.0`, as Prometheus writes it.
pub(crate) fn wire_value(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        value => value.to_string(),
    }
}

/// `3 ms`, `1.25 s`.
pub(crate) fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_as_in_promql() {
        assert_eq!(series_name([("__name__", "ph")]), "ph");
        let labels = [("A", "1"), ("__name__", "ph"), ("b", "say \"x\"")];
        assert_eq!(series_name(labels), r#"ph{A="1", b="say \"x\""}"#);
    }

    #[test]
    fn foreign_text_steers_no_terminal_and_our_styles_stay() {
        let hostile = "a\x1b]0;title\x07\u{9b}2J\u{202e}b\r\tc";
        assert_eq!(shown(hostile), r"a\u001b]0;title\u0007\u009b2J\u202eb\u000d\u0009c");
        assert_eq!(shown(&Styled(BAD, "x").to_string()), format!("{}x{}", BAD.render(), BAD.render_reset()));
        assert_eq!(plain(&Styled(BAD, "\x1b[8mx\ny").to_string()), "\\u001b[8mx\ny");
        let json = shown(&json!({"key": hostile}).to_string());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["key"], hostile);
    }

    #[test]
    fn a_line_break_in_foreign_text_begins_no_line() {
        let text = format!("{} {}", Foreign("a\nb"), Styled(BAD, Foreign("c\r\nd")));
        assert_eq!(plain(&text), "a\\u000ab c\\u000d\\u000ad");
    }

    #[test]
    fn times_are_shown_in_utc_to_the_millisecond() {
        assert_eq!(utc(Timestamp(1_676_398_017_250)), "2023-02-14T18:06:57.250Z");
        assert_eq!(utc(Timestamp(i64::MAX)), i64::MAX.to_string());
    }

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        assert_eq!([87.0, 14.3, f64::NAN, f64::NEG_INFINITY].map(wire_value), ["87", "14.3", "NaN", "-Inf"]);
        assert_eq!([count(1, "event"), count(2, "event"), count(0, "event")], ["1 event", "2 events", "0 events"]);
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!([3, 999, 1_250].map(|ms| duration(Duration::from_millis(ms))), ["3 ms", "999 ms", "1.25 s"]);
    }
}
