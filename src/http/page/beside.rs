//! The sections of a gateway on one machine: the workspace in its memory, and the dead letters.

use super::groups::{push_figure, push_label, push_number};
use super::html::push_text;
use crate::model::{STALE_MARKER, Timestamp};
use std::fmt::{self, Debug, Write as _};

/// Series that are shown, and samples of each.
pub const MAX_CHARTS: usize = 200;
pub const MAX_CHART_SAMPLES: usize = 60;

/// Dead letters that are shown: the newest.
pub const MAX_LETTERS: usize = 100;

/// The bytes of each section.
const MAX_BYTES: usize = 400_000;

/// The longest text of a dead letter that is shown, in characters.
const MAX_LETTER_CHARS: usize = 300;

/// The chart, in units of its own.
const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 28.0;
const MARGIN: f64 = 2.0;

/// The surroundings of a gateway on one machine.
pub trait Beside: Send + Sync + Debug {
    /// Returns the workspace; `None` if the gateway writes elsewhere.
    fn workspace(&self) -> Option<ShownWorkspace>;

    /// Returns the dead letters; `None` if they are not kept here.
    fn dead_letters(&self) -> Option<ShownLetters>;
}

/// The first series of a workspace, in the order of their names.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct ShownWorkspace {
    /// At most [`MAX_CHARTS`].
    pub series: Vec<ShownSeries>,
    pub all_series: usize,
    pub all_samples: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ShownSeries {
    pub name: String,
    pub labels: Vec<(String, String)>,
    /// Times and values of the newest samples, at most [`MAX_CHART_SAMPLES`], in the order of time.
    pub samples: Vec<(Timestamp, f64)>,
    pub all_samples: usize,
}

/// The newest dead letters.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ShownLetters {
    /// At most [`MAX_LETTERS`], the newest first.
    pub letters: Vec<ShownLetter>,
    pub all: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownLetter {
    pub reason: String,
    pub detail: String,
    pub body: String,
}

pub(super) fn push_workspace(out: &mut String, workspace: &ShownWorkspace) {
    out.push_str("<section id=workspace><div class=bar><h2>Workspace in this process</h2><p class=figures>");
    push_figure(out, workspace.all_series, "series", "series", "");
    push_figure(out, workspace.all_samples, "sample", "samples", "");
    out.push_str("</p></div>");
    if workspace.series.is_empty() {
        out.push_str("<p class=note>Nothing is stored yet.</p></section>");
        return;
    }
    out.push_str("<div class=note><table><tbody>");
    let (table, mut shown) = (out.len(), 0);
    for series in &workspace.series {
        let start = out.len();
        push_series(out, series);
        if out.len() - table > MAX_BYTES {
            out.truncate(start);
            break;
        }
        shown += 1;
    }
    out.push_str("</tbody></table>");
    push_more(out, workspace.all_series.saturating_sub(shown));
    out.push_str("</div></section>");
}

fn push_series(out: &mut String, series: &ShownSeries) {
    out.push_str("<tr><th scope=row><span class=name>");
    push_text(out, &super::groups::cut(&series.name));
    out.push_str("</span> ");
    for (name, value) in &series.labels {
        push_label(out, name, value);
    }
    out.push_str("</th><td class=charted>");
    push_chart(out, &series.samples);
    out.push_str("</td><td class=last>");
    match series.samples.last() {
        Some((_, value)) if value.to_bits() == STALE_MARKER => out.push_str("<span class=quiet>ended</span>"),
        Some((_, value)) => push_number(out, *value),
        None => {}
    }
    let samples = series.all_samples;
    let _written = write!(
        out,
        " <span class=quiet>{samples} {}</span></td></tr>",
        if samples == 1 { "sample" } else { "samples" }
    );
}

/// Draws a line through the samples, which stale markers and other values without a number interrupt.
fn push_chart(out: &mut String, samples: &[(Timestamp, f64)]) {
    let finite = || samples.iter().filter(|(_, value)| value.is_finite());
    let (Some(first), Some(last)) = (finite().next(), finite().next_back()) else { return };
    let (low, high) = finite()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| (low.min(*value), high.max(*value)));
    out.push_str("<svg class=chart viewBox=\"0 0 160 28\" role=img aria-label=\"from ");
    let _written = write!(out, "{} to {}, {} samples", Plain(low), Plain(high), samples.len());
    out.push_str("\"><path d=\"");
    let span = last.0.since(first.0);
    // A single point, or equal ones, lie in the middle.
    let part = |number: f64, whole: f64| if whole > 0.0 && whole.is_finite() { number / whole } else { 0.5 };
    #[expect(clippy::cast_precision_loss, reason = "a chart is some pixels wide")]
    let x = |time: Timestamp| MARGIN + (WIDTH - 2.0 * MARGIN) * part(time.since(first.0) as f64, span as f64);
    let y = |value: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * part(value - low, high - low);
    let mut is_broken = true;
    for (i, (time, value)) in samples.iter().enumerate() {
        if !value.is_finite() {
            is_broken = true;
            continue;
        }
        let (x, y) = (x(*time), y(*value));
        let _written = write!(out, "{}{x:.1} {y:.1}", if is_broken { 'M' } else { 'L' });
        let is_alone = is_broken && samples.get(i + 1).is_none_or(|(_, value)| !value.is_finite());
        if is_alone {
            out.push_str("h.01");
        }
        is_broken = false;
    }
    out.push_str("\"/></svg>");
}

/// A number in an attribute.
struct Plain(f64);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::exposition::number_text(self.0))
    }
}

pub(super) fn push_dead_letters(out: &mut String, letters: &ShownLetters) {
    out.push_str("<section id=letters><div class=bar><h2>Dead letters</h2><p class=figures>");
    push_figure(out, letters.all, "dead letter", "dead letters", if letters.all > 0 { "bad" } else { "" });
    out.push_str("</p></div>");
    if letters.letters.is_empty() {
        out.push_str("<p class=note>No message was rejected.</p></section>");
        return;
    }
    out.push_str("<div class=note><table><tbody>");
    let (table, mut shown) = (out.len(), 0);
    for letter in &letters.letters {
        let start = out.len();
        out.push_str("<tr><th scope=row><span class=\"name bad\">");
        push_text(out, &letter.reason);
        out.push_str("</span> ");
        push_cut(out, &letter.detail);
        out.push_str("</th><td class=body><code>");
        push_cut(out, &letter.body);
        out.push_str("</code></td></tr>");
        if out.len() - table > MAX_BYTES {
            out.truncate(start);
            break;
        }
        shown += 1;
    }
    out.push_str("</tbody></table>");
    push_more(out, letters.all.saturating_sub(shown));
    out.push_str("</div></section>");
}

fn push_more(out: &mut String, more: usize) {
    if more > 0 {
        let _written = write!(out, "<p class=quiet>and {more} more</p>");
    }
}

fn push_cut(out: &mut String, text: &str) {
    let cut: String = text.chars().take(MAX_LETTER_CHARS).collect();
    push_text(out, &cut);
    if cut.len() < text.len() {
        out.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> String {
        let samples: Vec<_> = (0..).zip(values).map(|(i, value)| (Timestamp(i * 1_000), *value)).collect();
        let mut out = String::new();
        push_chart(&mut out, &samples);
        let path = out.split_once("<path d=\"").map(|(_, rest)| rest.split('"').next().unwrap_or_default().to_owned());
        path.unwrap_or(out)
    }

    #[test]
    fn a_chart_is_a_line_from_the_least_to_the_greatest_value() {
        let stale = f64::from_bits(STALE_MARKER);
        let table: [(&[f64], &str); 7] = [
            (&[], ""),
            (&[f64::NAN], ""),
            (&[5.0], "M80.0 14.0h.01"),
            (&[0.0, 10.0], "M2.0 26.0L158.0 2.0"),
            (&[1.0, 1.0, 1.0], "M2.0 14.0L80.0 14.0L158.0 14.0"),
            (&[0.0, 5.0, stale, 10.0, 10.0], "M2.0 26.0L41.0 14.0M119.0 2.0L158.0 2.0"),
            (&[0.0, stale, 10.0, f64::INFINITY], "M2.0 26.0h.01M158.0 2.0h.01"),
        ];
        for (values, expected) in table {
            assert_eq!(chart(values), expected, "{values:?}");
        }
        assert!(!chart(&[f64::MAX, -f64::MAX]).contains("NaN"));
    }

    #[test]
    fn foreign_text_is_text_and_long_text_is_cut() {
        let hostile = "</code><script>alert(1)</script>\" onload=\"x";
        let letter =
            ShownLetter { reason: "invalid_json".to_owned(), detail: hostile.to_owned(), body: hostile.repeat(20) };
        let mut out = String::new();
        push_dead_letters(&mut out, &ShownLetters { letters: vec![letter], all: 3 });
        let labels = vec![(hostile.to_owned(), hostile.to_owned())];
        let series =
            ShownSeries { name: hostile.to_owned(), labels, samples: vec![(Timestamp(1), 2.0)], all_samples: 1 };
        push_workspace(&mut out, &ShownWorkspace { series: vec![series], all_series: 7, all_samples: 9 });
        assert!(!out.contains("<script") && !out.contains("onload=\""), "{out}");
        assert!(out.contains("…</code>") && out.contains("and 2 more") && out.contains("and 6 more"), "{out}");
    }
}
