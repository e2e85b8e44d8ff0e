//! Metric and label names in the classic character set, and the translation of others into it.
//!
//! AMP refuses what the classic set does not hold (`sample invalid metric name`), although Prometheus 3 takes any
//! UTF-8. Names that are not classic are translated as OpenTelemetry's Prometheus exporters do it: each run of other
//! characters becomes one `_`, so that `battery-level` is found as `battery_level`.
//! The sets: <https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels>.

use std::borrow::Cow;
use std::fmt;

/// Longest name in bytes, metric or label (Cortex' `max_label_name_length`).
pub const MAX_NAME_BYTES: usize = 1_024;

/// A metric name of the form `[a-zA-Z_:][a-zA-Z0-9_:]*`, at most [`MAX_NAME_BYTES`] long, not beginning with `__`
/// and not of underscores alone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MetricName<'a>(Cow<'a, str>);

/// A label name of the form `[a-zA-Z_][a-zA-Z0-9_]*`, at most [`MAX_NAME_BYTES`] long, not beginning with `__`
/// and not of underscores alone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LabelName<'a>(Cow<'a, str>);

/// Why a name cannot be used, even translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// The name has no characters.
    Empty,
    /// Names that begin with `__` are reserved for Prometheus itself.
    Reserved,
    /// Nothing but underscores is left after the translation.
    OnlyUnderscores,
    /// Longer than [`MAX_NAME_BYTES`]; the length in bytes.
    TooLong(usize),
}

// === impl NameError ===

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::Reserved => f.write_str("names that begin with \"__\" are reserved"),
            Self::OnlyUnderscores => f.write_str("the name has no letter or digit that Prometheus allows"),
            Self::TooLong(bytes) => write!(f, "the name has {bytes} bytes, at most {MAX_NAME_BYTES} are allowed"),
        }
    }
}

impl std::error::Error for NameError {}

// === impl MetricName ===

impl<'a> MetricName<'a> {
    /// Takes a classic name as it is and translates any other.
    ///
    /// # Errors
    /// [`NameError`] where no usable name comes out.
    pub fn translate(raw: Cow<'a, str>) -> Result<Self, NameError> {
        translate(raw, "_", |byte| byte == b':').map(Self)
    }

    /// The name as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name, free of what it was borrowed from.
    #[must_use]
    pub fn into_owned(self) -> MetricName<'static> {
        MetricName(Cow::Owned(self.0.into_owned()))
    }
}

// === impl LabelName ===

impl<'a> LabelName<'a> {
    /// Takes a classic name as it is and translates any other.
    ///
    /// # Errors
    /// [`NameError`] where no usable name comes out.
    pub fn translate(raw: Cow<'a, str>) -> Result<Self, NameError> {
        translate(raw, "key_", |_| false).map(Self)
    }

    /// The name as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name, borrowed from this one.
    #[must_use]
    pub fn borrowed(&self) -> LabelName<'_> {
        LabelName(Cow::Borrowed(&self.0))
    }

    /// The same name, free of what it was borrowed from.
    #[must_use]
    pub fn into_owned(self) -> LabelName<'static> {
        LabelName(Cow::Owned(self.0.into_owned()))
    }
}

/// `digit_prefix` goes in front of a leading digit; `also` names the byte that is allowed beside `[A-Za-z0-9_]`.
fn translate<'a>(raw: Cow<'a, str>, digit_prefix: &str, also: impl Fn(u8) -> bool) -> Result<Cow<'a, str>, NameError> {
    let bytes = raw.as_bytes();
    let Some(first) = bytes.first() else {
        return Err(NameError::Empty);
    };
    if bytes.starts_with(b"__") {
        return Err(NameError::Reserved);
    }
    let classic = !first.is_ascii_digit() && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_' || also(b));
    let name = if classic { raw } else { Cow::Owned(squeeze(&raw, digit_prefix, also)) };
    if name.bytes().all(|b| b == b'_') {
        return Err(NameError::OnlyUnderscores);
    }
    if name.starts_with("__") {
        return Err(NameError::Reserved);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(name.len()));
    }
    Ok(name)
}

/// Each run of characters outside `[A-Za-z0-9]` and `also` becomes one `_`: underscores of the original are part of
/// such a run, so `a_-b` is `a_b`.
fn squeeze(raw: &str, digit_prefix: &str, also: impl Fn(u8) -> bool) -> String {
    let mut name = String::with_capacity(raw.len() + digit_prefix.len());
    if raw.starts_with(|c: char| c.is_ascii_digit()) {
        name.push_str(digit_prefix);
    }
    let mut in_run = false;
    for byte in raw.bytes() {
        let keep = byte.is_ascii_alphanumeric() || also(byte);
        if keep {
            name.push(char::from(byte));
        } else if !in_run {
            name.push('_');
        }
        in_run = !keep;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metric(raw: &str) -> Result<String, NameError> {
        MetricName::translate(Cow::Borrowed(raw)).map(|name| name.as_str().to_owned())
    }

    fn label(raw: &str) -> Result<String, NameError> {
        LabelName::translate(Cow::Borrowed(raw)).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn metric_names_are_kept_translated_or_refused() {
        let table = [
            ("temperature", Ok("temperature")),
            ("a__b", Ok("a__b")),
            ("_private", Ok("_private")),
            ("job:rate:5m", Ok("job:rate:5m")),
            (":x", Ok(":x")),
            ("battery-level", Ok("battery_level")),
            ("a.b", Ok("a_b")),
            ("a..b", Ok("a_b")),
            ("a_-b", Ok("a_b")),
            ("a__b.c", Ok("a_b_c")),
            ("température", Ok("temp_rature")),
            ("1abc", Ok("_1abc")),
            ("-1abc", Ok("_1abc")),
            ("a b ", Ok("a_b_")),
            ("", Err(NameError::Empty)),
            ("_", Err(NameError::OnlyUnderscores)),
            ("-", Err(NameError::OnlyUnderscores)),
            ("日本", Err(NameError::OnlyUnderscores)),
            ("__x", Err(NameError::Reserved)),
            ("__", Err(NameError::Reserved)),
        ];
        for (raw, expected) in table {
            assert_eq!(metric(raw), expected.map(str::to_owned), "{raw:?}");
        }
    }

    #[test]
    fn label_names_know_no_colon_and_another_prefix() {
        let table = [
            ("customerId", Ok("customerId")),
            ("a:b", Ok("a_b")),
            ("123x", Ok("key_123x")),
            ("__name__", Err(NameError::Reserved)),
            (":", Err(NameError::OnlyUnderscores)),
        ];
        for (raw, expected) in table {
            assert_eq!(label(raw), expected.map(str::to_owned), "{raw:?}");
        }
    }

    #[test]
    fn a_name_of_1024_bytes_is_the_longest() {
        assert!(metric(&"a".repeat(1_024)).is_ok());
        assert_eq!(metric(&"a".repeat(1_025)), Err(NameError::TooLong(1_025)));
        assert_eq!(label(&"1".repeat(1_024)), Err(NameError::TooLong(1_028)));
    }

    #[test]
    fn a_classic_name_is_borrowed() {
        assert!(matches!(MetricName::translate(Cow::Borrowed("ph")).unwrap().0, Cow::Borrowed(_)));
    }

    proptest! {
        /// Whatever comes out is classic, and translating it again changes nothing.
        #[test]
        fn property_test_translation_is_classic_and_stable(raw in ".{0,40}") {
            for (name, colon) in [(metric(&raw), true), (label(&raw), false)] {
                let Ok(name) = name else { continue };
                let again = if colon { metric(&name) } else { label(&name) };
                prop_assert_eq!(again.as_ref(), Ok(&name));
                prop_assert!(!name.as_bytes()[0].is_ascii_digit());
                let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
                prop_assert!(name.chars().all(allowed));
            }
        }
    }
}
