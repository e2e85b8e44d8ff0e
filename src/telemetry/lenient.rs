//! JSON values that may be of another kind than expected. Such a value is skipped and is no error.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A value of the expected kind, or nothing.
pub(super) struct Lenient<T>(pub(super) Option<T>);

/// A type for values of one kind of JSON. A value of another kind becomes nothing.
pub(super) trait OfJson<'de>: Sized {
    fn of_number(_number: f64) -> Option<Self> {
        None
    }

    fn of_text(_text: Cow<'de, str>) -> Option<Self> {
        None
    }

    fn of_array<A: SeqAccess<'de>>(mut elements: A) -> Result<Option<Self>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn of_object<A: MapAccess<'de>>(mut entries: A) -> Result<Option<Self>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl OfJson<'_> for f64 {
    fn of_number(number: f64) -> Option<Self> {
        Some(number)
    }
}

impl<'de: 'a, 'a> OfJson<'de> for Cow<'a, str> {
    fn of_text(text: Cow<'de, str>) -> Option<Self> {
        Some(text)
    }
}

impl<'de, T: OfJson<'de>> OfJson<'de> for Vec<T> {
    fn of_array<A: SeqAccess<'de>>(mut elements: A) -> Result<Option<Self>, A::Error> {
        let mut found = Self::new();
        while let Some(Lenient(element)) = elements.next_element()? {
            found.extend(element);
        }
        Ok(Some(found))
    }
}

/// Reads an object into a struct that serde knows.
pub(super) fn object<'de, T: Deserialize<'de>, A: MapAccess<'de>>(entries: A) -> Result<Option<T>, A::Error> {
    T::deserialize(MapAccessDeserializer::new(entries)).map(Some)
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: OfJson<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind(PhantomData)).map(Self)
    }
}

struct AnyKind<T>(PhantomData<T>);

impl<'de, T: OfJson<'de>> Visitor<'de> for AnyKind<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    #[expect(clippy::cast_precision_loss, reason = "times and sizes; none is beyond 2^53")]
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(T::of_number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "times and sizes; none is beyond 2^53")]
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(T::of_number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(T::of_number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(T::of_text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::of_text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        T::of_array(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        T::of_object(entries)
    }
}
