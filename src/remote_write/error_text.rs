//! Reads the error text of a receiver: the reason, and the sample that it names. Pure.
//!
//! Cortex, and therefore AMP, names the first refused sample: `out of order sample. timestamp=2021-11-30T16:12:55.053Z,
//! series={__name__="x", a="b"}`. Prometheus names none, and some answers are empty. The bisection uses the text as a hint,
//! and as the reason of the culprits. Names and labels in it come from the producer, and never count as the text of the
//! receiver.

use crate::aws::Answer;
use crate::limits::MAX_ERROR_TEXT_CHARS;
use crate::model::{METRIC_NAME_LABEL, Reason, Timestamp};
use crate::series::Labels;
use std::collections::BTreeMap;

/// Returns the error text of an answer.
pub fn of(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).trim().to_owned()
}

/// Returns the text that decides: that of a JSON object's `message`, if it names a sample or a limit; else all of it.
pub fn judged(answer: &Answer) -> String {
    let text = of(answer);
    match json_message(&text) {
        Some(message) if is_about_samples(&message) => message,
        _ => text,
    }
}

/// Reports whether the answer is a web page or the error of an AWS service, and not about samples. A proxy or a front end gives it.
pub fn is_foreign(answer: &Answer) -> bool {
    let text = of(answer);
    let is_service_error = || text.starts_with('{') && text.contains("\"__type\"");
    let is_other_message = || json_message(&text).is_some_and(|message| !is_about_samples(&message));
    text.starts_with('<') || is_service_error() || is_other_message()
}

fn is_about_samples(text: &str) -> bool {
    reason(text) != Reason::RefusedByReceiver || names_a_limit(text) || NamedSample::find(text).is_some()
}

/// Returns the string of `message` or `Message` in a JSON object, which may be cut off after it.
fn json_message(text: &str) -> Option<String> {
    let object = text.strip_prefix('{')?;
    let (_, after) = ["\"message\"", "\"Message\""].iter().find_map(|key| object.split_once(key))?;
    let string = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    quoted(string).map(|(message, _)| message)
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(MAX_ERROR_TEXT_CHARS).collect()
}

/// Reports whether the text names a limit of the workspace. The limit may grow, so a sample over it may work later.
pub fn names_a_limit(text: &str) -> bool {
    let own = own_text(text);
    ["per user series limit", "per metric series limit", "per labelset series limit"]
        .iter()
        .any(|limit| own.contains(limit))
}

/// Returns the reason that the text gives.
///
/// | text | reason |
/// |---|---|
/// | `too new`, `too far in the future` | `in_future` |
/// | `out of order`, `too old sample` | `out_of_order` |
/// | `duplicate sample`, `duplicate timestamp`, `same timestamp, but a different value`, `new value for timestamp` | `duplicate_timestamp` |
/// | `timestamp too old`, `timestamp is too old`, `max sample age`, `out of bounds` | `too_old` |
/// | any other | `refused_by_receiver` |
pub fn reason(text: &str) -> Reason {
    const DUPLICATE: [&str; 4] =
        ["duplicate sample", "duplicate timestamp", "same timestamp, but a different value", "new value for timestamp"];
    const TABLE: [(Reason, &[&str]); 4] = [
        (Reason::InFuture, &["too new", "too far in the future"]),
        (Reason::OutOfOrder, &["out of order", "too old sample"]),
        (Reason::DuplicateTimestamp, &DUPLICATE),
        (Reason::TooOld, &["timestamp too old", "timestamp is too old", "max sample age", "out of bounds"]),
    ];
    let own = own_text(text);
    let row = TABLE.iter().find(|(_, phrases)| phrases.iter().any(|phrase| own.contains(phrase)));
    row.map_or(Reason::RefusedByReceiver, |(reason, _)| *reason)
}

/// The sample that a text names.
#[derive(PartialEq, Eq, Debug)]
pub struct NamedSample {
    labels: BTreeMap<String, String>,
    pub timestamp: Option<Timestamp>,
}

impl NamedSample {
    /// Finds the first label set in `text`, `name{a="b"}` or `{__name__="name", a="b"}`, and the time beside it.
    pub fn find(text: &str) -> Option<Self> {
        let open = text.find('{')?;
        let mut labels = BTreeMap::new();
        let mut rest = &text[open + 1..];
        while !rest.trim_start().starts_with('}') {
            let (name, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(name.trim_matches([' ', ',', '"']).to_owned(), value);
            rest = after;
        }
        let before = &text[..open];
        let name = &before[before.trim_end_matches(is_of_a_name).len()..];
        if !name.is_empty() && !labels.contains_key(METRIC_NAME_LABEL) {
            labels.insert(METRIC_NAME_LABEL.to_owned(), name.to_owned());
        }
        // Not inside the labels, whose values may be anything.
        let timestamp = time(before).or_else(|| time(rest));
        Some(Self { labels, timestamp })
    }

    pub fn is_series(&self, name: &str, labels: Labels<'_, '_>) -> bool {
        self.labels.len() == labels.iter().count() + 1
            && self.labels.get(METRIC_NAME_LABEL).is_some_and(|own| own == name)
            && labels.iter().all(|label| self.labels.get(label.name.as_str()).is_some_and(|own| *own == label.value))
    }
}

/// Returns the receiver's own text in lower case, without quoted strings, names and labels. Hyphens and underscores
/// become blanks, because some receivers put them between words.
fn own_text(text: &str) -> String {
    let mut own = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_u32);
    // The position in `own` of the name that may begin here.
    let mut name = 0;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' => {
                // The name of a metric is before its labels.
                own.truncate(name);
                depth += 1;
            }
            '}' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '-' | '_' => own.push(' '),
            c => own.extend(c.to_lowercase()),
        }
        if !is_of_a_name(c) {
            name = own.len();
        }
    }
    own
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':')
}

/// Returns the contents of a quoted string with Go's escapes, and the text after its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                escaped => value.push(escaped),
            },
            c => value.push(c),
        }
    }
    None
}

/// Returns the first word that is a time: RFC 3339 as Go prints it, or milliseconds. These have thirteen digits from 2001 to 2286; an
/// AWS account has twelve.
fn time(text: &str) -> Option<Timestamp> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
    text.split(|c| !is_part(c)).map(|word| word.trim_matches([':', '.'])).find_map(|word| {
        let milliseconds = word.len() == 13 && word.bytes().all(|b| b.is_ascii_digit());
        if milliseconds { word.parse().ok().map(Timestamp) } else { rfc3339(word) }
    })
}

/// Parses `2021-11-30T16:12:55.053Z`, in UTC only.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (hms, fraction) = time.split_once('.').unwrap_or((time, ""));
    let numbers =
        |text: &str, separator| -> Option<Vec<i64>> { text.split(separator).map(|part| part.parse().ok()).collect() };
    let (date, hms) = (numbers(date, '-')?, numbers(hms, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), hms.as_slice()) else { return None };
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    if !is_date || !is_time {
        return None;
    }
    // Days since the epoch of the proleptic Gregorian calendar, years beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Label, LabelName, LabelSet};
    use std::borrow::Cow;

    fn labels(pairs: &[(&'static str, &'static str)]) -> LabelSet<'static> {
        let label = |(name, value): &(&'static str, &'static str)| Label {
            name: LabelName::translate(Cow::Borrowed(name)).unwrap(),
            value: Cow::Borrowed(value),
        };
        LabelSet::new(pairs.iter().map(label).collect()).unwrap()
    }

    #[test]
    fn reads_the_reason_from_the_text() {
        let table = [
            ("user=1_ws-1: err: out of order sample. timestamp=…, series={…}", Reason::OutOfOrder),
            ("Out-of-order sample", Reason::OutOfOrder),
            ("too old sample", Reason::OutOfOrder),
            ("sample-too-old: too old sample, timestamp too old", Reason::OutOfOrder),
            ("duplicate sample for timestamp", Reason::DuplicateTimestamp),
            ("new-value-for-timestamp", Reason::DuplicateTimestamp),
            ("timestamp too new: 1 metric: \"x\"", Reason::InFuture),
            ("the sample is too far in the future", Reason::InFuture),
            ("timestamp too old: 1 metric: \"x\"", Reason::TooOld),
            ("greater_than_max_sample_age", Reason::TooOld),
            ("out of bounds", Reason::TooOld),
            (
                "the sample was rejected because another sample with the same timestamp, but a different value, has already been ingested",
                Reason::DuplicateTimestamp,
            ),
            ("(err-mimir-sample-duplicate-timestamp)", Reason::DuplicateTimestamp),
            ("(err-mimir-sample-out-of-order)", Reason::OutOfOrder),
            ("the sample has been rejected because its timestamp is too old", Reason::TooOld),
            ("sample invalid metric name: \"a.b\"", Reason::RefusedByReceiver),
            ("", Reason::RefusedByReceiver),
        ];
        for (text, expected) in table {
            assert_eq!(reason(text), expected, "{text}");
        }
    }

    #[test]
    fn ignores_quoted_text_names_and_labels() {
        let table = [
            (r#"duplicate sample for timestamp. series={__name__="x", a="out of order"}"#, Reason::DuplicateTimestamp),
            (r#"too old sample for out_of_order_total{a="too new \" out of bounds"}"#, Reason::OutOfOrder),
            (r#"invalid sample for out_of_order_total{a="b"}"#, Reason::RefusedByReceiver),
            (r#"invalid: metric: "out_of_order""#, Reason::RefusedByReceiver),
            (r#"refused {a="too new"#, Reason::RefusedByReceiver),
        ];
        for (text, expected) in table {
            assert_eq!(reason(text), expected, "{text}");
        }
        assert!(!names_a_limit(r#"duplicate sample {a="per-user series limit of 5 exceeded"}"#));
        assert!(!names_a_limit(r#"invalid sample for cortex_per_user_series_limit_total{a="b"}"#));
    }

    #[test]
    fn knows_the_limits_of_a_workspace() {
        for text in ["per-user series limit of 5 exceeded", "per-metric series limit of 5", "per_labelset_series_limit"]
        {
            assert!(names_a_limit(text), "{text}");
        }
        assert!(!names_a_limit("series has too many labels (actual: 31, limit: 30)"));
    }

    #[test]
    fn finds_the_sample_in_the_texts_of_several_receivers() {
        let set = labels(&[("a", "b"), ("c", "d\"e\\f")]);
        let table = [
            r#"user=123456789012_ws-1: err: out of order sample. timestamp=2021-11-30T16:12:55.053Z, series={__name__="x", a="b", c="d\"e\\f"}"#,
            r#"out of order sample (timestamp=1638288775053) for series x{a="b",c="d\"e\\f"}"#,
            r#"timestamp too old: 1638288775053 metric: 'x{a="b", c="d\"e\\f"}'"#,
        ];
        for text in table {
            let named = NamedSample::find(text).unwrap();
            assert!(named.is_series("x", set.as_slice().into()), "{text}: {named:?}");
            assert_eq!(named.timestamp, Some(Timestamp(1_638_288_775_053)), "{text}");
        }
        let named = NamedSample::find(table[0]).unwrap();
        assert!(
            !named.is_series("y", set.as_slice().into())
                && !named.is_series("x", labels(&[("a", "b")]).as_slice().into())
        );
    }

    #[test]
    fn finds_no_sample_in_a_text_that_names_none() {
        for text in ["metric “{a=\"b\"}", "", "out of order sample", "{", "{a=", "{a=\"b", "{a=\"b\\", "}{", "{}{}"] {
            assert!(
                NamedSample::find(text)
                    .is_none_or(|named| !named.is_series("x", labels(&[("a", "b")]).as_slice().into())),
                "{text}"
            );
        }
    }

    #[test]
    fn counts_the_days_of_the_calendar() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00.5Z", Some(951_825_600_500)),
            ("2023-02-14T18:06:57.000999Z", Some(1_676_398_017_000)),
            ("2024-12-31T23:59:59.999Z", Some(1_735_689_599_999)),
            ("2023-13-01T00:00:00Z", None),
            ("2023-02-14", None),
            ("2021-11-30T9223372036854775807:00:00Z", None),
            ("yesterday", None),
        ];
        for (text, expected) in table {
            assert_eq!(rfc3339(text), expected.map(Timestamp), "{text}");
        }
    }
}
