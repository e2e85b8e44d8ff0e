//! The groups of the page: first groups whose last push failed, then all others by their labels.

use super::super::time_text::{duration_text, rfc3339, utc};
use super::Facts;
use super::html::push_text;
use crate::exposition::{Metric, MetricValue, Rendered, number_text};
use crate::gateway::Listing;
use crate::model::{Counts, Timestamp};
use crate::order::sort_by;
use crate::push_group::Group;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Write as _;

/// Metrics of a family that are shown.
const MAX_METRICS: usize = 200;

/// The longest label's value or help that is shown whole, in characters.
const MAX_TEXT_CHARS: usize = 300;

pub(super) fn push_groups(out: &mut String, mut groups: Vec<Group<'_>>, listing: &Listing, facts: &Facts) {
    sort_by(&mut groups, |a, b| {
        let by_success = a.last_push_succeeded().cmp(&b.last_push_succeeded());
        by_success.then_with(|| a.key().cmp(b.key()))
    });
    let failing = groups.iter().filter(|group| !group.last_push_succeeded()).count();
    let series: usize = groups.iter().map(series_of).sum();
    out.push_str("<section><div class=bar><h2>Groups</h2><p class=figures>");
    push_figure(out, groups.len(), "group", "groups", "");
    push_figure(out, series, "series", "series", "");
    push_figure(out, failing, "failing", "failing", if failing > 0 { "bad" } else { "" });
    out.push_str(
        "</p><p class=tools hidden><label>Find <input id=find type=search></label> <label>Sort by <select id=order>",
    );
    out.push_str("<option value=failed>failures<option value=labels>labels<option value=pushed>last push<option value=expires>expiry");
    out.push_str("</select></label></p></div>");
    if listing.unreadable > 0 {
        let _written = write!(
            out,
            "<p class=\"note bad\" role=alert>{} stored groups cannot be read: the log names them.</p>",
            listing.unreadable
        );
    }
    if groups.is_empty() {
        out.push_str("<p class=note>Nobody has pushed yet. A push goes to <code>/metrics/job/&lt;job&gt;</code>.</p>");
    }
    out.push_str("<div id=groups>");
    let mut shown = 0;
    for group in &groups {
        let start = out.len();
        push_group(out, group, facts.now);
        if out.len() > facts.max_bytes {
            out.truncate(start);
            break;
        }
        shown += 1;
    }
    out.push_str("</div>");
    let more = groups.len() - shown + listing.left_out;
    if more > 0 {
        let _written = write!(
            out,
            "<p class=note>{more} more groups are not on this page. <a href=api/v1/metrics>The JSON</a> may have them.</p>"
        );
    }
    out.push_str("</section>");
}

fn series_of(group: &Group<'_>) -> usize {
    group.families().iter().map(|pushed| pushed.family.series.len()).sum()
}

pub(super) fn push_figure(out: &mut String, count: usize, one: &str, many: &str, class: &str) {
    let unit = if count == 1 { one } else { many };
    let _written = write!(out, "<span class=\"figure {class}\"><b>{count}</b> {unit}</span> ");
}

fn push_group(out: &mut String, group: &Group<'_>, now: Timestamp) {
    let is_good = group.last_push_succeeded();
    let number = |time: Option<Timestamp>| time.map_or(0, |time| time.0);
    let (pushed, failed) = (number(group.pushed()), number(group.failed()));
    let expires = group.expires().map_or(i64::MAX, |time| time.0);
    let _written = write!(
        out,
        "<details class=\"group{}\" data-pushed={pushed} data-failed={failed} data-expires={expires} data-good={}>",
        if is_good { "" } else { " failed" },
        i32::from(is_good)
    );
    out.push_str("<summary><span class=key>");
    if group.key().iter().next().is_none() {
        out.push_str("<span class=quiet>no labels</span>");
    }
    // The job first, as in the path.
    let (job, others): (Vec<_>, Vec<_>) = group.key().iter().partition(|(name, _)| name.as_str() == "job");
    for (name, value) in job.into_iter().chain(others) {
        push_label(out, name.as_str(), value);
    }
    out.push_str("</span><span class=facts>");
    if is_good {
        out.push_str("<span class=ok>pushed ");
        push_ago(out, group.pushed(), now);
    } else {
        out.push_str("<span class=bad>push failed ");
        push_ago(out, group.failed(), now);
        out.push_str("</span><span class=quiet>last good push ");
        push_ago(out, group.pushed(), now);
    }
    out.push_str("</span>");
    match group.expires() {
        Some(expires) => {
            let left = expires.since(now);
            let _written = write!(out, "<span class={}>expires in ", if left < 60_000 { "warn" } else { "quiet" });
            push_time(out, expires, &duration_text(left));
            out.push_str("</span>");
        }
        None => out.push_str("<span class=quiet>never expires</span>"),
    }
    let (families, series) = (group.families().len(), series_of(group));
    let _written = write!(
        out,
        "<span class=quiet>{families} {}, {series} series</span></span></summary>",
        if families == 1 { "family" } else { "families" }
    );
    out.push_str("<p class=\"exact quiet\">");
    for (what, time) in
        [("last good push", group.pushed()), ("last failed push", group.failed()), ("expires", group.expires())]
    {
        if let Some(time) = time {
            let _written = write!(out, "<span>{what} {}</span> ", utc(time));
        }
    }
    out.push_str("</p>");
    push_families(out, group);
    if let Some(path) = delete_path(group) {
        let _written = write!(
            out,
            "<p class=actions><button class=delete data-path=\"{path}\" hidden>Delete this group</button></p>"
        );
    }
    out.push_str("</details>");
}

/// Returns the path of a deletion, with all values in base64. It has only letters, digits and a few signs. Without a job there is none.
fn delete_path(group: &Group<'_>) -> Option<String> {
    let coded = |value: &str| if value.is_empty() { "=".to_owned() } else { URL_SAFE_NO_PAD.encode(value) };
    let job = group.key().iter().find(|(name, _)| name.as_str() == "job")?.1;
    let mut path = format!("metrics/job@base64/{}", coded(job));
    for (name, value) in group.key().iter().filter(|(name, _)| name.as_str() != "job") {
        // A name has letters, digits and underscores alone.
        let _written = write!(path, "/{}@base64/{}", name.as_str(), coded(value));
    }
    Some(path)
}

fn push_families(out: &mut String, group: &Group<'_>) {
    // The labels of the key are above. These are the other labels.
    let families = group.families().iter().map(|pushed| pushed.family.clone());
    for family in Rendered::of(families.collect()) {
        out.push_str("<section class=family><h3><span class=name>");
        push_text(out, family.name());
        let _written = write!(out, "</span> <span class=type>{}</span></h3>", family.kind().as_str());
        if let Some(help) = family.help() {
            out.push_str("<p class=help>");
            push_text(out, &cut(help));
            out.push_str("</p>");
        }
        out.push_str("<table><tbody>");
        let mut left_out = 0;
        for (i, metric) in family.metrics().enumerate() {
            if i >= MAX_METRICS {
                left_out += 1;
                continue;
            }
            out.push_str("<tr><th scope=row>");
            push_labels(out, &metric);
            out.push_str("</th><td>");
            push_value(out, &metric.value);
            out.push_str("</td></tr>");
        }
        out.push_str("</tbody></table>");
        if left_out > 0 {
            let _written = write!(out, "<p class=quiet>and {left_out} more</p>");
        }
        out.push_str("</section>");
    }
}

pub(super) fn push_labels(out: &mut String, metric: &Metric<'_>) {
    let start = out.len();
    for (name, value) in metric.labels.iter().filter(|(name, value)| !(*name == "instance" && value.is_empty())) {
        push_label(out, name, value);
    }
    if out.len() == start {
        out.push_str("<span class=quiet>no labels</span>");
    }
}

pub(super) fn push_label(out: &mut String, name: &str, value: &str) {
    out.push_str("<span class=label><span class=ln>");
    push_text(out, name);
    out.push_str("</span>=<span class=lv>&quot;");
    push_text(out, &cut(value));
    out.push_str("&quot;</span></span> ");
}

pub(super) fn push_value(out: &mut String, value: &MetricValue<'_>) {
    match value {
        MetricValue::Number(value) => push_number(out, *value),
        MetricValue::Native(histogram) => {
            let count = match histogram.counts {
                #[expect(clippy::cast_precision_loss, reason = "shown to people")]
                Counts::Integer { count, .. } => count as f64,
                Counts::Float { count, .. } => count,
            };
            push_totals(out, Some(count), Some(histogram.sum));
            let _written = write!(out, " <span class=quiet>native, schema {}</span>", histogram.schema);
        }
        MetricValue::Parts { bounds, sum, count } => {
            push_totals(out, *count, *sum);
            if !bounds.is_empty() {
                out.push_str("<ul class=bounds>");
                for (bound, value) in bounds {
                    out.push_str("<li><span class=quiet>");
                    push_text(out, &cut(bound));
                    out.push_str("</span> ");
                    push_number(out, *value);
                    out.push_str("</li>");
                }
                out.push_str("</ul>");
            }
        }
    }
}

fn push_totals(out: &mut String, count: Option<f64>, sum: Option<f64>) {
    for (name, value) in [("count", count), ("sum", sum)] {
        if let Some(value) = value {
            let _written = write!(out, "<span class=quiet>{name}</span> ");
            push_number(out, value);
            out.push(' ');
        }
    }
    if let Some((sum, count)) = sum.zip(count.filter(|count| *count > 0.0)) {
        out.push_str("<span class=quiet>mean</span> ");
        push_number(out, (sum / count * 1e6).round() / 1e6);
    }
}

pub(super) fn push_number(out: &mut String, value: f64) {
    // Whole numbers are read more easily without an exponent.
    let text = if value.abs() < 1e15 && value.fract() == 0.0 { format!("{value}") } else { number_text(value) };
    let _written = write!(out, "<span class=number>{text}</span>");
}

pub(super) fn push_ago(out: &mut String, time: Option<Timestamp>, now: Timestamp) {
    match time {
        Some(time) => push_time(out, time, &format!("{} ago", duration_text(now.since(time).max(0)))),
        None => out.push_str("never"),
    }
}

fn push_time(out: &mut String, time: Timestamp, text: &str) {
    let exact = rfc3339(time);
    let _written = write!(out, "<time datetime=\"{exact}\" title=\"{exact}\">{text}</time>");
}

pub(super) fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(MAX_TEXT_CHARS).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}
