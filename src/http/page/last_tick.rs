//! The numbers of the last tick.

use super::groups::{push_ago, push_figure};
use super::html::push_text;
use crate::aggregate::head::LastTick;
use crate::model::Timestamp;

/// Shows the numbers of a tick. Numbers that are usually zero are shown only if they are not.
pub(super) fn push_last_tick(out: &mut String, last: Option<&LastTick>, now: Timestamp) {
    out.push_str("<section id=tick><div class=bar><h2>Last tick</h2><p class=figures>");
    let Some(last) = last else {
        out.push_str("</p></div><p class=note>No tick has written anything yet.</p></section>");
        return;
    };
    out.push_str("<span class=figure>");
    push_ago(out, Some(Timestamp(last.tick)), now);
    out.push_str("</span> ");
    let figure = |out: &mut String, number: u64, one: &str, many: &str, class: &str| {
        push_figure(out, usize::try_from(number).unwrap_or(usize::MAX), one, many, class);
    };
    figure(out, last.samples, "sample written", "samples written", "");
    figure(out, last.series, "typed series", "typed series", "");
    figure(out, last.groups, "group", "groups", "");
    figure(out, last.increments, "update counted", "updates counted", "");
    for (number, one, many, class) in [
        (last.duplicates, "duplicate dropped", "duplicates dropped", ""),
        (last.stale, "stale marker", "stale markers", ""),
        (last.expired, "typed series expired", "typed series expired", ""),
        (last.dead_lettered, "dead letter", "dead letters", "bad"),
        (last.refused, "sample refused", "samples refused", "bad"),
        (last.errored, "series not sent", "series not sent", "bad"),
    ] {
        if number > 0 {
            figure(out, number, one, many, class);
        }
    }
    out.push_str("</p></div>");
    if !last.failure.is_empty() {
        out.push_str("<p class=\"note bad\" role=alert>Not everything was sent; the next tick sends newer values: ");
        push_text(out, &last.failure);
        out.push_str("</p>");
    }
    out.push_str("</section>");
}
