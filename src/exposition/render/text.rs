//! Writes the text format 0.0.4 as Prometheus' encoder for Go does:
//! <https://github.com/prometheus/common/blob/main/expfmt/text_create.go>. Bounds and quantiles stay as they are.

use super::{Kind, arrange, classic, labels};
use crate::model::write_bound;
use crate::model::{FamilySeries, FamilyValue, MetricFamily};

/// Returns the families as text.
pub fn render_text(families: Vec<MetricFamily<'_>>) -> String {
    let mut out = String::new();
    let families = families.into_iter().map(|family| MetricFamily { series: classic(family.series), ..family });
    for family in arrange(families.collect(), |_| true) {
        if let Some(help) = &family.help {
            out.push_str("# HELP ");
            push_name(&mut out, &family.name);
            out.push(' ');
            push_escaped(&mut out, help, false);
            out.push('\n');
        }
        out.push_str("# TYPE ");
        push_name(&mut out, &family.name);
        out.push(' ');
        // The format has no histograms that may fall.
        out.push_str(if family.kind == Kind::GaugeHistogram { "histogram" } else { family.kind.as_str() });
        out.push('\n');
        let bound = family.kind.is_complex().then(|| family.kind.bound_label());
        for series in &family.series {
            push_series(&mut out, series, bound);
        }
    }
    out
}

fn push_series(out: &mut String, series: &FamilySeries<'_>, bound: Option<&str>) {
    let FamilyValue::Float(value) = series.value else { return };
    let name = series.name.as_str();
    let is_quoted = !is_classic(name, true);
    let mut separator = '{';
    if is_quoted {
        out.push_str("{\"");
        push_escaped(out, name, true);
        out.push('"');
        separator = ',';
    } else {
        out.push_str(name);
    }
    let of_bound = bound.and_then(|name| series.labels.get(name).map(|value| (name, value)));
    for (name, value) in labels(series, of_bound.map(|(name, _)| name)).chain(of_bound) {
        out.push(separator);
        separator = ',';
        push_label_name(out, name);
        out.push_str("=\"");
        push_escaped(out, value, true);
        out.push('"');
    }
    out.push_str(if separator == ',' { "} " } else { " " });
    push_value(out, value);
    out.push('\n');
}

/// Returns a number as the text format has it.
pub fn number_text(value: f64) -> String {
    let mut out = String::new();
    push_value(&mut out, value);
    out
}

/// Writes a number as Go's `%g` does. Only -0 keeps its sign, which Go's encoder drops.
fn push_value(out: &mut String, value: f64) {
    if value.to_bits() == (-0.0_f64).to_bits() {
        return out.push_str("-0");
    }
    let start = out.len();
    write_bound(out, value);
    if out[start..].ends_with(".0") {
        out.truncate(out.len() - 2);
    }
}

fn push_name(out: &mut String, name: &str) {
    push_quoted(out, name, is_classic(name, true));
}

fn push_label_name(out: &mut String, name: &str) {
    push_quoted(out, name, is_classic(name, false));
}

fn push_quoted(out: &mut String, name: &str, is_classic: bool) {
    if is_classic {
        return out.push_str(name);
    }
    out.push('"');
    push_escaped(out, name, true);
    out.push('"');
}

fn is_classic(name: &str, with_colon: bool) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (with_colon && byte == b':');
    name.bytes().all(is_allowed) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn push_escaped(out: &mut String, text: &str, in_quotes: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '\n', '"']) {
        out.push_str(&rest[..at]);
        out.push_str(match &rest[at..=at] {
            "\\" => "\\\\",
            "\n" => "\\n",
            _ if in_quotes => "\\\"",
            _ => "\"",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}
