//! Reads attributes: keys, and their values as text.

use super::super::any_value::{self, Object};
use super::super::message::Attribute;
use super::values::{Double, Flag, ListVisitor, Scalar, Signed, Text, bounded, scalar};
use crate::limits::MAX_OTLP_ATTRIBUTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::{self, IgnoredAny, MapAccess};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

#[derive(Default)]
pub(super) struct Attributes<'a>(pub(super) Vec<Attribute<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let attribute = |pair: Option<KeyValue<'a>>| {
            let KeyValue { key, value } = pair.unwrap_or_default();
            (key.0, value.unwrap_or_default().into_text())
        };
        bounded(deserializer, MAX_OTLP_ATTRIBUTES, "attributes", attribute).map(Self)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    value: Option<Any<'a>>,
}

/// An `AnyValue`.
#[derive(Default)]
enum Any<'a> {
    #[default]
    Empty,
    Text(Cow<'a, str>),
    Boolean(bool),
    Integer(i64),
    Double(f64),
    /// Base64.
    Bytes(String),
    /// A list or an object.
    Json(String),
}

impl<'a> Any<'a> {
    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Text(text) => text,
            Self::Boolean(value) => Cow::Borrowed(any_value::boolean(value)),
            Self::Integer(integer) => Cow::Owned(integer.to_string()),
            Self::Double(float) => Cow::Owned(any_value::double(float)),
            Self::Bytes(text) | Self::Json(text) => Cow::Owned(text),
        }
    }

    fn write(self, json: &mut String) {
        match self {
            Self::Empty => json.push_str("null"),
            Self::Text(text) => any_value::write_text(&text, json),
            Self::Bytes(text) => any_value::write_base64(&text, json),
            Self::Double(float) => any_value::write_double(float, json),
            Self::Boolean(_) | Self::Integer(_) | Self::Json(_) => json.push_str(&self.into_text()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Any<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyVisitor(PhantomData))
    }
}

struct AnyVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> de::Visitor<'de> for AnyVisitor<'a> {
    type Value = Any<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the value of an attribute")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any<'a>, A::Error> {
        let mut any = Any::Empty;
        while let Some(Text(key)) = map.next_key()? {
            let value = match key.as_ref() {
                "stringValue" | "string_value" => {
                    map.next_value::<Option<Text<'a>>>()?.map(|Text(text)| Any::Text(text))
                }
                "boolValue" | "bool_value" => map.next_value::<Option<Flag>>()?.map(|Flag(value)| Any::Boolean(value)),
                "intValue" | "int_value" => {
                    map.next_value::<Option<Signed>>()?.map(|Signed(value)| Any::Integer(value))
                }
                "doubleValue" | "double_value" => {
                    map.next_value::<Option<Double>>()?.map(|Double(value)| Any::Double(value))
                }
                "bytesValue" | "bytes_value" => {
                    map.next_value::<Option<Base64>>()?.map(|Base64(text)| Any::Bytes(text))
                }
                "arrayValue" | "array_value" => {
                    map.next_value::<Option<ListText>>()?.map(|list| Any::Json(list.values.0))
                }
                "kvlistValue" | "kvlist_value" => {
                    map.next_value::<Option<ObjectText>>()?.map(|object| Any::Json(object.values.0))
                }
                _ => {
                    let IgnoredAny = map.next_value()?;
                    None
                }
            };
            any = value.unwrap_or(any);
        }
        Ok(any)
    }
}

/// The text of bytes in standard base64. Senders use the other alphabet, too, and leave out the padding.
struct Base64(String);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "bytes in base64", |scalar| match scalar {
            Scalar::Text(text) => {
                let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
                STANDARD_NO_PAD.decode(text).ok().map(|bytes| any_value::base64(&bytes))
            }
            _ => None,
        })
        .map(Self)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListText {
    values: ListJson,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectText {
    values: ObjectJson,
}

/// A list as JSON.
struct ListJson(String);

/// An object as JSON.
struct ObjectJson(String);

impl Default for ListJson {
    fn default() -> Self {
        Self("[]".to_owned())
    }
}

impl Default for ObjectJson {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl<'de> Deserialize<'de> for ListJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = "[".to_owned();
        deserializer.deserialize_any(ListVisitor(PhantomData, |any: Option<Any<'de>>| {
            if !any_value::is_full(&json) {
                json.push_str(if json.len() > 1 { "," } else { "" });
                any.unwrap_or_default().write(&mut json);
            }
            true
        }))?;
        json.push(']');
        Ok(Self(json))
    }
}

impl<'de> Deserialize<'de> for ObjectJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Object::default();
        deserializer.deserialize_any(ListVisitor(PhantomData, |pair: Option<KeyValue<'de>>| {
            if !object.is_full() {
                let KeyValue { key: Text(key), value } = pair.unwrap_or_default();
                let mut json = String::new();
                value.unwrap_or_default().write(&mut json);
                object.push(key.into_owned(), json);
            }
            true
        }))?;
        let mut json = String::new();
        object.write(&mut json);
        Ok(Self(json))
    }
}
