//! Reads JSON without building a tree: the caller gets the text of each value.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Reads the object in `text` by a visitor of its entries. Returns an error if `text` is anything but a JSON object.
pub(super) fn read_object<'a, V: Visitor<'a>>(text: &'a str, visitor: V) -> serde_json::Result<V::Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_map(visitor)?;
    json.end()?;
    Ok(read)
}

/// Returns whether the value of `key` in the object in `text` is an object, before it is read. `key` must borrow from
/// `text`; for a key that does not (it had escapes) the answer is false.
pub(super) fn holds_object(text: &str, key: &str) -> bool {
    let start = key.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let after = text.get(start.saturating_add(key.len())..).and_then(|after| after.strip_prefix('"'));
    let value = after.and_then(|after| after.trim_ascii_start().strip_prefix(':'));
    value.is_some_and(|value| value.trim_ascii_start().starts_with('{'))
}

/// Calls `each` with the text of every element of the array in `text`, in order. They are not collected, because a
/// payload of 6 MB can have two million. Returns an error if `text` is anything but a JSON array.
pub(super) fn for_each_element<'a>(text: &'a str, each: impl FnMut(&'a str)) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(Elements(each))?;
    json.end()
}

/// Returns the contents of a JSON string; `None` if `literal` is no string, or has an escape that is not UTF-8.
pub(super) fn unquote(literal: &str) -> Option<Cow<'_, str>> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(literal).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// Calls its function with the key and the text of the value of every entry of an object, in order, repeated keys included.
/// It is a visitor, and the seed for a nested object.
pub(super) struct Entries<F>(pub(super) F);

struct Elements<F>(F);

/// A key that borrows if it has no escapes. `serde` makes a bare `Cow` owned.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'a, F: FnMut(Cow<'a, str>, &'a str)> DeserializeSeed<'a> for Entries<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, F: FnMut(Cow<'a, str>, &'a str)> Visitor<'a> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value: &'a RawValue = map.next_value()?;
            (self.0)(key, value.get());
        }
        Ok(())
    }
}

impl<'a, F: FnMut(&'a str)> Visitor<'a> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&'a RawValue>()? {
            (self.0)(element.get());
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_the_text_of_each_value() {
        let mut seen = Vec::new();
        let each = |key: Cow<'_, str>, value| seen.push((key.into_owned(), value));
        read_object(r#" {"a": 1.50 , "a":"x\n", "\u0062":[ 1 ]} "#, Entries(each)).unwrap();
        let expected = [("a", "1.50"), ("a", r#""x\n""#), ("b", "[ 1 ]")];
        assert_eq!(seen, expected.map(|(key, value)| (key.to_owned(), value)));
    }

    #[test]
    fn passes_on_the_text_of_each_element() {
        let mut seen = Vec::new();
        for_each_element(r#" [1.50 , {"a": [1]},"x" ] "#, |element| seen.push(element)).unwrap();
        assert_eq!(seen, ["1.50", r#"{"a": [1]}"#, r#""x""#]);
    }

    #[test]
    fn rejects_text_that_is_not_one_object() {
        for text in ["", "[]", "1e309", "{} {}", "{\"a\":1,}", "{a:1}"] {
            assert!(read_object(text, Entries(|_, _| ())).is_err(), "{text}");
        }
    }

    #[test]
    fn reports_whether_a_value_is_an_object_before_it_is_read() {
        struct Objects<'a>(&'a str, Vec<bool>);
        impl<'a> Visitor<'a> for Objects<'a> {
            type Value = Vec<bool>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
                while let Some(Key(key)) = map.next_key()? {
                    self.1.push(holds_object(self.0, &key));
                    map.next_value::<&RawValue>()?;
                }
                Ok(self.1)
            }
        }
        let text = r#"{"a":{},"b" : {"c":1},"c":[{}],"":"{","e":1,"\u0064":{}}"#;
        let found = read_object(text, Objects(text, Vec::new())).unwrap();
        assert_eq!(found, [true, true, false, false, false, false]);
    }

    #[test]
    fn unquotes_strings_without_lone_surrogates() {
        assert_eq!(unquote(r#""a\tb""#).unwrap(), "a\tb");
        assert!(matches!(unquote(r#""ab""#), Some(Cow::Borrowed("ab"))));
        assert_eq!(unquote("12"), None);
        assert_eq!(unquote(r#""\ud800""#), None);
    }
}
