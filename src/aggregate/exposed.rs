//! The samples of one series, as a scrape would show them.

use crate::model::{NativeHistogram, Value, write_bound};
use std::fmt;

/// A sample of a typed series, without the labels and the name that all samples of the series share.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// Follows the name of the family: `""`, `"_bucket"`, `"_sum"` or `"_count"`.
    pub suffix: &'static str,
    /// The label that is added to those of the series.
    pub bound: Option<Bound>,
    pub value: ExposedValue,
}

#[derive(Clone, Debug)]
pub enum ExposedValue {
    Number(Value),
    Histogram(NativeHistogram),
}

/// A label of a classic bucket or a quantile. Its [`Display`](fmt::Display) is the label's value as Prometheus 3 writes it, such as
/// `1.0` or `+Inf`. Series of one family share few bounds: keep the texts by the bits of `value`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bound {
    /// `le` or `quantile`.
    pub name: &'static str,
    pub value: f64,
}

impl Exposed {
    pub(super) fn number(suffix: &'static str, value: Value) -> Self {
        Self { suffix, bound: None, value: ExposedValue::Number(value) }
    }

    pub(super) fn bucket(upper: f64, value: Value) -> Self {
        let bound = Some(Bound { name: "le", value: upper });
        Self { suffix: "_bucket", bound, value: ExposedValue::Number(value) }
    }

    pub(super) fn quantile(quantile: f64, value: f64) -> Self {
        let bound = Some(Bound { name: "quantile", value: quantile });
        Self { suffix: "", bound, value: ExposedValue::Number(Value::Float(value)) }
    }

    pub(super) fn histogram(histogram: NativeHistogram) -> Self {
        Self { suffix: "", bound: None, value: ExposedValue::Histogram(histogram) }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_bound(&mut text, self.value);
        f.write_str(&text)
    }
}
