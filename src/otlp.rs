//! OTLP metrics: reads `ExportMetricsServiceRequest` in protobuf or JSON, and translates it to samples as Prometheus does.
//!
//! * The messages: <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/metrics/v1/metrics.proto>.
//! * The translation: <https://github.com/prometheus/otlptranslator> and Prometheus' `storage/remote/otlptranslator`. The
//!   strategy is `UnderscoreEscapingWithSuffixes`, because AMP takes only classic names. `tests/otlp.rs` compares with it.
//!
//! [`read_protobuf`] and [`read_json`] give the same parts to a [`Visitor`], one data point at a time, whatever the order
//! of the fields is. The visitor [`Translator`] makes samples for a [`Sink`]. With delta temporality it makes increments.
//!
//! * Both readers are linear in the bytes and keep one data point at a time, of at most [`MAX_OTLP_ATTRIBUTES`] attributes and
//!   [`MAX_OTLP_BUCKETS`] buckets.
//! * A field may be there twice. Then a list has the elements of both, and of other values the last one counts.
//! * Exemplars are skipped.
//!
//! [`MAX_OTLP_ATTRIBUTES`]: crate::limits::MAX_OTLP_ATTRIBUTES
//! [`MAX_OTLP_BUCKETS`]: crate::limits::MAX_OTLP_BUCKETS

mod any_value;
mod error;
mod histogram;
mod increment;
mod json;
mod labels;
mod message;
mod names;
mod protobuf;
mod series;
mod stream;
mod texts;
mod translate;

pub use error::{ReadError, ReadProblem};
pub use increment::{DeltaRules, Increment};
pub use json::read_json;
pub use message::{Attribute, Buckets, Kind, Metric, Number, Point, Resource, Scope, Temporality, Visitor};
pub use names::{label_name, metric_name, unit_name};
pub use protobuf::read_protobuf;
pub use texts::Texts;
pub use translate::{Family, Item, Promoted, Rules, Sink, Translator};

#[cfg(test)]
mod tests;
