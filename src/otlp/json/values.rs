//! Reads numbers, texts and lists, in all forms that protobuf's mapping to JSON allows.

use super::super::message::Temporality;
use crate::limits::MAX_OTLP_BUCKETS;
use serde::de::{self, DeserializeOwned, SeqAccess};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Calls a function for each element of a list, as long as it returns true. `null` has none.
pub(super) struct ListVisitor<T, F>(pub(super) PhantomData<T>, pub(super) F);

impl<'de, T: Deserialize<'de>, F: FnMut(Option<T>) -> bool> de::Visitor<'de> for ListVisitor<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            if !(self.1)(element) {
                return Err(de::Error::custom("a part of the list is wrong"));
            }
        }
        Ok(())
    }
}

/// A list of numbers, which has a bound.
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(deserializer, MAX_OTLP_BUCKETS, "buckets", Option::unwrap_or_default).map(Self)
    }
}

/// Reads a list of at most so many elements.
pub(super) fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>, U>(
    deserializer: D,
    most: usize,
    what: &str,
    each: impl Fn(Option<T>) -> U,
) -> Result<Vec<U>, D::Error> {
    let mut list = Vec::new();
    let mut is_full = false;
    let result = deserializer.deserialize_any(ListVisitor(PhantomData, |element| {
        is_full = list.len() == most;
        if !is_full {
            list.push(each(element));
        }
        !is_full
    }));
    if is_full {
        return Err(de::Error::custom(format_args!("at most {most} {what} are allowed in one place")));
    }
    result.map(|()| list)
}

/// A text; `null` is an empty one.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

#[derive(Clone, Copy, Default)]
pub(super) struct Unsigned(pub(super) u64);

#[derive(Clone, Copy, Default)]
pub(super) struct Signed(pub(super) i64);

#[derive(Clone, Copy, Default)]
pub(super) struct Double(pub(super) f64);

#[derive(Clone, Copy, Default)]
pub(super) struct Flag(pub(super) bool);

/// A value of JSON that is no list and no object.
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

struct ScalarVisitor(&'static str);

impl<'de> de::Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }
}

/// Reads a scalar and makes a value of it; `None` is an error that says what was expected.
pub(super) fn scalar<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    make: impl FnOnce(Scalar<'de>) -> Option<T>,
) -> Result<T, D::Error> {
    let scalar = deserializer.deserialize_any(ScalarVisitor(expected))?;
    make(scalar).ok_or_else(|| de::Error::custom(format_args!("expected {expected}")))
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(TextVisitor).map(Self)
    }
}

/// Reads a text as bytes. Half of a surrogate pair, which JavaScript writes when it cuts a text, is no error there.
struct TextVisitor;

impl<'de> de::Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        // A part of the body, which is UTF-8.
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| de::Error::custom("expected text in UTF-8"))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(without_surrogates(bytes)))
    }
}

/// Returns a text with the replacement character in the place of each half of a surrogate pair: three bytes, the first of which is ED.
fn without_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().starts_with(&[0xED]) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "a whole number of at least 0", |scalar| match scalar {
            Scalar::Null => Some(0),
            Scalar::Unsigned(number) => Some(number),
            Scalar::Signed(number) => u64::try_from(number).ok(),
            Scalar::Float(float) => u64::try_from(whole(float)?).ok(),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Boolean(_) => None,
        })
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "a whole number", |scalar| match scalar {
            Scalar::Null => Some(0),
            Scalar::Unsigned(number) => i64::try_from(number).ok(),
            Scalar::Signed(number) => Some(number),
            Scalar::Float(float) => whole(float),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Boolean(_) => None,
        })
        .map(Self)
    }
}

/// Returns a whole number that was written with a point or an exponent.
fn whole(float: f64) -> Option<i64> {
    // 2^63 does not fit.
    let fits = float.fract() == 0.0 && float.abs() < 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and fits")]
    fits.then_some(float as i64)
}

/// Reads the digits themselves: the double that `serde_json` makes of them may be the neighbour of the nearest one.
impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(raw);
        let number = if raw == "null" { Some(0.0) } else { text.parse().ok() };
        // Only a word means infinity: digits of one are out of range.
        let number =
            number.filter(|number: &f64| !number.is_infinite() || !text.contains(|c: char| c.is_ascii_digit()));
        number.map(Self).ok_or_else(|| de::Error::custom("expected a number that a double can hold"))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "true or false", |scalar| match scalar {
            Scalar::Null => Some(false),
            Scalar::Boolean(value) => Some(value),
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        })
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for Temporality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "an aggregation temporality", |scalar| match scalar {
            Scalar::Unsigned(number) => Some(Self::from_number(number)),
            Scalar::Text(name) => Some(match name.as_ref() {
                "AGGREGATION_TEMPORALITY_DELTA" | "1" => Self::Delta,
                "AGGREGATION_TEMPORALITY_CUMULATIVE" | "2" => Self::Cumulative,
                _ => Self::Unspecified,
            }),
            Scalar::Null | Scalar::Signed(_) => Some(Self::Unspecified),
            Scalar::Boolean(_) | Scalar::Float(_) => None,
        })
    }
}
