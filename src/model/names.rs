//! Names of metrics and labels: translated to the classic character set, or as they are.
//!
//! AMP rejects names outside of the classic set (`sample invalid metric name`), although Prometheus 3 takes any UTF-8.
//!
//! * The translation of an ASCII name is that of OpenTelemetry's Prometheus exporters: each run of other characters becomes one `_`,
//!   so that `battery-level` becomes `battery_level`.
//! * A name with any other character is escaped by Prometheus' reversible scheme `values`, so that two names never become one:
//!   <https://prometheus.io/docs/instrumenting/escaping_schemes/>. `温度` becomes `U___6e29__5ea6_`.
//!
//! The sets: <https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels>.

use crate::limits::MAX_NAME_BYTES;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A metric's name: 1 to [`MAX_NAME_BYTES`] bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MetricName<'a>(Cow<'a, str>);

/// A label's name: 1 to [`MAX_NAME_BYTES`] bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LabelName<'a>(Cow<'a, str>);

/// Why a name cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    Empty,
    /// The name begins with `__`, which is reserved for Prometheus itself.
    Reserved,
    /// The translation leaves nothing but underscores.
    OnlyUnderscores,
    /// The name has characters outside of the classic set.
    NotClassic,
    /// The name has so many bytes, more than [`MAX_NAME_BYTES`].
    TooLong(usize),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::Reserved => f.write_str("names that begin with \"__\" are reserved"),
            Self::OnlyUnderscores => f.write_str("the name has no letter or digit that Prometheus allows"),
            Self::NotClassic => {
                f.write_str("the name has characters that the receiver does not take, or begins with a digit")
            }
            Self::TooLong(bytes) => write!(f, "the name has {bytes} bytes, at most {MAX_NAME_BYTES} are allowed"),
        }
    }
}

impl std::error::Error for NameError {}

impl<'a> MetricName<'a> {
    /// Returns `raw` if it is `[a-zA-Z_:][a-zA-Z0-9_:]*`, and else translates or escapes it. Neither begins with `__`.
    pub fn translate(raw: Cow<'a, str>) -> Result<Self, NameError> {
        translate(raw, "_", |byte| byte == b':').map(Self)
    }

    /// Returns `raw` if it is `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    pub fn classic(raw: &'a str) -> Result<Self, NameError> {
        classic(raw, |byte| byte == b':').map(Self)
    }

    /// Reports whether [`Self::classic`] takes these bytes.
    pub fn is_classic(raw: &[u8]) -> bool {
        (1..=MAX_NAME_BYTES).contains(&raw.len()) && is_classic(raw[0], raw, |byte| byte == b':')
    }

    /// Returns `raw` unchanged, whatever its characters.
    pub fn as_is(raw: Cow<'a, str>) -> Result<Self, NameError> {
        as_is(raw).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn borrowed(&self) -> MetricName<'_> {
        MetricName(Cow::Borrowed(&self.0))
    }

    pub fn into_cow(self) -> Cow<'a, str> {
        self.0
    }

    pub fn into_owned(self) -> MetricName<'static> {
        MetricName(Cow::Owned(self.0.into_owned()))
    }
}

impl LabelName<'static> {
    /// [`super::BOUND_LABEL`].
    pub const BOUND: Self = Self(Cow::Borrowed(super::BOUND_LABEL));
}

impl<'a> LabelName<'a> {
    /// Returns `raw` if it is `[a-zA-Z_][a-zA-Z0-9_]*`, and else translates or escapes it. Neither begins with `__`.
    pub fn translate(raw: Cow<'a, str>) -> Result<Self, NameError> {
        translate(raw, "key_", |_| false).map(Self)
    }

    /// Returns `raw` if it is `[a-zA-Z_][a-zA-Z0-9_]*`; it may begin with `__`.
    pub fn classic(raw: &'a str) -> Result<Self, NameError> {
        classic(raw, |_| false).map(Self)
    }

    /// Reports whether [`Self::classic`] takes these bytes.
    pub fn is_classic(raw: &[u8]) -> bool {
        (1..=MAX_NAME_BYTES).contains(&raw.len()) && is_classic(raw[0], raw, |_| false)
    }

    /// Returns `raw` unchanged, whatever its characters.
    pub fn as_is(raw: Cow<'a, str>) -> Result<Self, NameError> {
        as_is(raw).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn borrowed(&self) -> LabelName<'_> {
        LabelName(Cow::Borrowed(&self.0))
    }

    pub fn into_owned(self) -> LabelName<'static> {
        LabelName(Cow::Owned(self.0.into_owned()))
    }
}

fn as_is(raw: Cow<'_, str>) -> Result<Cow<'_, str>, NameError> {
    match raw.len() {
        0 => Err(NameError::Empty),
        1..=MAX_NAME_BYTES => Ok(raw),
        bytes => Err(NameError::TooLong(bytes)),
    }
}

/// `digit_prefix` goes in front of a leading digit; `also` allows a byte beside `[A-Za-z0-9_]`.
fn translate<'a>(raw: Cow<'a, str>, digit_prefix: &str, also: impl Fn(u8) -> bool) -> Result<Cow<'a, str>, NameError> {
    let bytes = raw.as_bytes();
    let Some(first) = bytes.first() else {
        return Err(NameError::Empty);
    };
    if bytes.starts_with(b"__") {
        return Err(NameError::Reserved);
    }
    let name = if is_classic(*first, bytes, &also) {
        raw
    } else if raw.is_ascii() {
        Cow::Owned(squeeze(&raw, digit_prefix, also))
    } else {
        Cow::Owned(escape(&raw, also))
    };
    if name.bytes().all(|b| b == b'_') {
        return Err(NameError::OnlyUnderscores);
    }
    if name.starts_with("__") {
        return Err(NameError::Reserved);
    }
    as_is(name)
}

fn classic(raw: &str, also: impl Fn(u8) -> bool) -> Result<Cow<'_, str>, NameError> {
    match raw.as_bytes().first() {
        Some(first) if !is_classic(*first, raw.as_bytes(), also) => Err(NameError::NotClassic),
        _ => as_is(Cow::Borrowed(raw)),
    }
}

fn is_classic(first: u8, bytes: &[u8], also: impl Fn(u8) -> bool) -> bool {
    !first.is_ascii_digit() && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_' || also(b))
}

/// Replaces each run of characters outside `[A-Za-z0-9]` and `also` by one `_`. Underscores are part of such a run: `a_-b`
/// becomes `a_b`.
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

/// Escapes by the scheme `values`: `U__` in front, `__` for `_`, and `_` hexadecimal `_` for each other character.
fn escape(raw: &str, also: impl Fn(u8) -> bool) -> String {
    let mut name = String::from("U__");
    for (index, c) in raw.char_indices() {
        let keeps = |byte: u8| byte.is_ascii_alphabetic() || also(byte) || (byte.is_ascii_digit() && index > 0);
        if c == '_' {
            name.push_str("__");
        } else if u8::try_from(c).is_ok_and(keeps) {
            name.push(c);
        } else {
            // Writing to a string does not fail.
            let _written = write!(name, "_{:x}_", u32::from(c));
        }
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
    fn keeps_translates_or_rejects_a_metric_name() {
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
            ("température", Ok("U__temp_e9_rature")),
            ("1é_a:b.c", Ok("U___31__e9___a:b_2e_c")),
            ("日本", Ok("U___65e5__672c_")),
            ("🌡", Ok("U___1f321_")),
            ("U__x", Ok("U__x")),
            ("1abc", Ok("_1abc")),
            ("-1abc", Ok("_1abc")),
            ("a b ", Ok("a_b_")),
            ("", Err(NameError::Empty)),
            ("_", Err(NameError::OnlyUnderscores)),
            ("-", Err(NameError::OnlyUnderscores)),
            ("__é", Err(NameError::Reserved)),
            ("__x", Err(NameError::Reserved)),
            ("__", Err(NameError::Reserved)),
        ];
        for (raw, expected) in table {
            assert_eq!(metric(raw), expected.map(str::to_owned), "{raw:?}");
        }
    }

    #[test]
    fn translates_a_colon_in_a_label_name_and_has_another_prefix_for_digits() {
        let table = [
            ("customerId", Ok("customerId")),
            ("a:b", Ok("a_b")),
            ("123x", Ok("key_123x")),
            ("__name__", Err(NameError::Reserved)),
            (":", Err(NameError::OnlyUnderscores)),
            ("é:b", Ok("U___e9__3a_b")),
        ];
        for (raw, expected) in table {
            assert_eq!(label(raw), expected.map(str::to_owned), "{raw:?}");
        }
    }

    #[test]
    fn rejects_a_name_of_more_than_1024_bytes() {
        assert!(metric(&"a".repeat(1_024)).is_ok());
        assert_eq!(metric(&"a".repeat(1_025)), Err(NameError::TooLong(1_025)));
        assert_eq!(label(&"1".repeat(1_024)), Err(NameError::TooLong(1_028)));
        assert_eq!(metric(&"é".repeat(300)), Err(NameError::TooLong(1_203)));
    }

    #[test]
    fn borrows_a_classic_name() {
        assert!(matches!(MetricName::translate(Cow::Borrowed("ph")).unwrap().0, Cow::Borrowed(_)));
    }

    #[test]
    fn takes_classic_names_alone_if_nothing_is_translated() {
        let table = [
            ("a_b1", Ok("a_b1"), Ok("a_b1")),
            ("a:b", Ok("a:b"), Err(NameError::NotClassic)),
            ("__replica__", Ok("__replica__"), Ok("__replica__")),
            ("_", Ok("_"), Ok("_")),
            ("1a", Err(NameError::NotClassic), Err(NameError::NotClassic)),
            ("a.b", Err(NameError::NotClassic), Err(NameError::NotClassic)),
            ("é", Err(NameError::NotClassic), Err(NameError::NotClassic)),
            ("", Err(NameError::Empty), Err(NameError::Empty)),
        ];
        for (raw, metric, label) in table {
            assert_eq!(MetricName::classic(raw).as_ref().map(MetricName::as_str), metric.as_ref().copied(), "{raw:?}");
            assert_eq!(LabelName::classic(raw).as_ref().map(LabelName::as_str), label.as_ref().copied(), "{raw:?}");
        }
        assert_eq!(LabelName::classic(&"a".repeat(1_025)), Err(NameError::TooLong(1_025)));
    }

    #[test]
    fn takes_any_characters_as_they_are() {
        let long = "é".repeat(512);
        let too_long = format!("{long}x");
        let table = [
            ("temperature", Ok("temperature")),
            ("battery-level", Ok("battery-level")),
            ("a:b.c", Ok("a:b.c")),
            ("1 日本\n", Ok("1 日本\n")),
            ("__x", Ok("__x")),
            ("_", Ok("_")),
            (long.as_str(), Ok(long.as_str())),
            ("", Err(NameError::Empty)),
            (too_long.as_str(), Err(NameError::TooLong(1_025))),
        ];
        for (raw, expected) in table {
            let metric = MetricName::as_is(Cow::Borrowed(raw));
            let label = LabelName::as_is(Cow::Borrowed(raw));
            assert_eq!(metric.as_ref().map(MetricName::as_str), expected.as_ref().copied(), "{raw:?}");
            assert_eq!(label.as_ref().map(LabelName::as_str), expected.as_ref().copied(), "{raw:?}");
        }
    }

    /// Undoes [`escape`], as Prometheus' `UnescapeName` does.
    fn unescape(name: &str) -> String {
        let mut raw = String::new();
        let mut rest = name.strip_prefix("U__").unwrap();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '_' if rest.starts_with('_') => {
                    raw.push('_');
                    rest = &rest[1..];
                }
                '_' => {
                    let (code, after) = rest.split_once('_').unwrap();
                    raw.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
                    rest = after;
                }
                _ => raw.push(c),
            }
        }
        raw
    }

    proptest! {
        /// Two names that are escaped never become one: the escaping can be undone.
        #[test]
        fn property_test_the_escaping_of_a_name_can_be_undone(raw in "[a_:.1é温🌡]{1,12}") {
            prop_assume!(!raw.is_ascii() && !raw.starts_with("__"));
            for name in [metric(&raw).unwrap(), label(&raw).unwrap()] {
                prop_assert_eq!(unescape(&name), raw.as_str());
            }
        }

        /// A translation is classic, and translating it again changes nothing.
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
