//! Reads the JSON that a receiver answers to a range selector, directly into the samples of a [`ReadResponse`].

use super::TimeRange;
use super::response::{Labels, ReadResponse, ResponseTooLarge, Samples};
use crate::limits::{MAX_ERROR_TEXT_CHARS, MAX_EXCERPT_CHARS};
use crate::model::Timestamp;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// The greatest time of a sample, in milliseconds.
const MAX_MILLISECONDS: f64 = 9e15;

/// Why an answer gives no samples.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MatrixError {
    /// The samples do not fit into the response.
    TooLarge,
    /// It is no JSON of a matrix, for this reason.
    Json(String),
    /// `status` is not `success`, or `resultType` is not `matrix`: it has this value.
    NotA { expected: &'static str, found: String },
}

/// Reads an answer into the last result of `response`.
pub(super) fn read(json: &[u8], range: TimeRange, response: &mut ReadResponse) -> Result<(), MatrixError> {
    let mut reader = Reader { response, range, too_large: false, status: None, result_type: None };
    let mut json = serde_json::Deserializer::from_slice(json);
    let read = Root(&mut reader).deserialize(&mut json).and_then(|()| json.end());
    let Reader { too_large, status, result_type, .. } = reader;
    if too_large {
        return Err(MatrixError::TooLarge);
    }
    // The error may quote a text of any length.
    read.map_err(|error| MatrixError::Json(error.to_string().chars().take(MAX_ERROR_TEXT_CHARS).collect()))?;
    for (found, expected) in [(status, "success"), (result_type, "matrix")] {
        let found = found.unwrap_or_default();
        if found != expected {
            let found = found.chars().take(MAX_EXCERPT_CHARS).collect();
            return Err(MatrixError::NotA { expected, found });
        }
    }
    Ok(())
}

struct Reader<'r> {
    response: &'r mut ReadResponse,
    range: TimeRange,
    too_large: bool,
    status: Option<String>,
    result_type: Option<String>,
}

impl Reader<'_> {
    /// Ends the reading if the response has become too large.
    fn fits<E: serde::de::Error>(&mut self, claimed: Result<(), ResponseTooLarge>) -> Result<(), E> {
        claimed.map_err(|error| {
            self.too_large = true;
            E::custom(error)
        })
    }
}

/// `{"status": …, "data": …}`
struct Root<'s, 'r>(&'s mut Reader<'r>);

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of a query")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "status" => self.0.status = Some(map.next_value()?),
                "data" => map.next_value_seed(Data(&mut *self.0))?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// `{"resultType": …, "result": […]}`
struct Data<'s, 'r>(&'s mut Reader<'r>);

impl<'de> DeserializeSeed<'de> for Data<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Data<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data of a query")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "resultType" => self.0.result_type = Some(map.next_value()?),
                "result" => map.next_value_seed(AllSeries(&mut *self.0))?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// `[{"metric": …, "values": …}, …]`
struct AllSeries<'s, 'r>(&'s mut Reader<'r>);

impl<'de> DeserializeSeed<'de> for AllSeries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AllSeries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(OneSeries(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

/// `{"metric": {…}, "values": [[time, "value"], …], "histograms": […]}`
struct OneSeries<'s, 'r>(&'s mut Reader<'r>);

impl<'de> DeserializeSeed<'de> for OneSeries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneSeries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut labels = Labels::new();
        let mut samples = Samples::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "metric" => labels = map.next_value_seed(Metric)?,
                "values" => map.next_value_seed(Values(&mut *self.0, &mut samples))?,
                "histograms" => {
                    let Count(histograms) = map.next_value()?;
                    self.0.response.histograms += histograms;
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let added = self.0.response.add_series(labels, samples);
        self.0.fits(added)
    }
}

/// `{"name": "value", …}`
struct Metric;

impl<'de> DeserializeSeed<'de> for Metric {
    type Value = Labels;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Labels, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metric {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut labels = Labels::new();
        while let Some(label) = map.next_entry()? {
            labels.push(label);
        }
        Ok(labels)
    }
}

/// `[[time, "value"], …]`
struct Values<'s, 'r>(&'s mut Reader<'r>, &'s mut Samples);

impl<'de> DeserializeSeed<'de> for Values<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("samples")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some((seconds, text)) = seq.next_element::<(f64, Text<'_>)>()? {
            let time = timestamp(seconds).ok_or_else(|| A::Error::custom(format!("{seconds} is not a time")))?;
            if self.0.range.contains(time) {
                // Rust takes "+Inf" and "NaN", too.
                let value = text.0.parse().map_err(|_| {
                    let excerpt: String = text.0.chars().take(MAX_EXCERPT_CHARS).collect();
                    A::Error::custom(format!("{excerpt:?} is not a value"))
                })?;
                let claimed = self.0.response.claim_sample(time);
                self.0.fits(claimed)?;
                self.1.push(time, value);
            }
        }
        Ok(())
    }
}

/// A text, without a copy if it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The number of elements of an array.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl<'de> Visitor<'de> for Counting {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("histograms")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Counting)
    }
}

/// Returns the milliseconds of a time in seconds. A double holds those of today exactly enough.
fn timestamp(seconds: f64) -> Option<Timestamp> {
    let milliseconds = (seconds * 1_000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "it is below 2^53")]
    (milliseconds.abs() <= MAX_MILLISECONDS).then_some(Timestamp(milliseconds as i64))
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => ResponseTooLarge.fmt(f),
            Self::Json(error) => write!(f, "the receiver's answer is not a matrix: {error}"),
            Self::NotA { expected, found } => {
                write!(f, "the receiver's answer is {found:?}; expected {expected:?}")
            }
        }
    }
}

impl std::error::Error for MatrixError {}
