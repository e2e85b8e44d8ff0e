//! The typed series of the page: the first ones by name and labels, with their values at the last tick.

use super::groups::{cut, push_ago, push_figure, push_labels, push_value};
use super::html::push_text;
use crate::exposition::Rendered;
use crate::gateway::TypedSeries;
use crate::model::Timestamp;
use std::fmt::Write as _;

/// Series that are shown.
const MAX_SERIES: usize = 200;

/// The bytes of their table, beside those of the groups.
const MAX_BYTES: usize = 200_000;

pub(super) fn push_typed(out: &mut String, typed: &TypedSeries, now: Timestamp) {
    out.push_str("<section><div class=bar><h2>Typed series</h2><p class=figures>");
    push_figure(out, typed.len(), "series", "series", "");
    out.push_str("<span class=figure>last tick ");
    let ticks = typed.last_ticks();
    push_ago(out, ticks.map(|(_, newest)| newest), now);
    if let Some((oldest, _)) = ticks.filter(|(oldest, newest)| oldest != newest) {
        out.push_str(", of the slowest shard ");
        push_ago(out, Some(oldest), now);
    }
    out.push_str("</span></p></div>");
    if typed.left_out() > 0 {
        let _written = write!(
            out,
            "<p class=\"note bad\" role=alert>{} shards are not on this page: their series take too much memory.</p>",
            typed.left_out()
        );
    }
    if typed.is_empty() {
        out.push_str("<p class=note>No tick has counted a typed event yet.</p></section>");
        return;
    }
    out.push_str("<div class=note><table><tbody>");
    let (table, mut shown) = (out.len(), 0);
    'rows: for family in Rendered::of(typed.first_families(MAX_SERIES)) {
        for (position, metric) in family.metrics().enumerate() {
            let start = out.len();
            out.push_str("<tr><th scope=row><span class=name>");
            push_text(out, family.name());
            let _written = write!(out, "</span> <span class=type>{}</span> ", family.kind().as_str());
            push_labels(out, &metric);
            if let Some(help) = family.help().filter(|_| position == 0) {
                out.push_str("<p class=help>");
                push_text(out, &cut(help));
                out.push_str("</p>");
            }
            out.push_str("</th><td>");
            push_value(out, &metric.value);
            out.push_str("</td></tr>");
            if out.len() - table > MAX_BYTES {
                out.truncate(start);
                break 'rows;
            }
            shown += 1;
        }
    }
    out.push_str("</tbody></table>");
    let more = typed.len().saturating_sub(shown);
    if more > 0 {
        let _written = write!(out, "<p class=quiet>and {more} more</p>");
    }
    out.push_str("</div></section>");
}
