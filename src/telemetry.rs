//! Makes typed metrics of records of the Lambda Telemetry API, and of lines of `StatsD`.
//!
//! * [`read_records`]: parses the body of one delivery into [`Record`]s. Additions by AWS cause no error.
//! * [`Platform`]: makes typed metrics of the function from records.
//! * [`read_lines`]: parses one datagram into [`Line`]s.
//! * [`Pending`]: adds up each series since the last dispatch. Bounded.
//! * [`cut`]: divides pending series into the messages of a dispatch.
//!
//! The records: <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>.

mod lenient;
mod message;
mod pending;
mod platform;
mod record;
mod requests;
mod statsd;

pub use message::{TypedMessage, cut};
pub use pending::{Added, Pending, PendingSeries, Place, Total};
pub use platform::{Platform, PlatformRules};
pub use record::{InvalidBatch, Record, Span, SpanKind, Status, read_records};
pub use statsd::{InvalidLine, Line, LineUpdate, read_lines};

#[cfg(test)]
mod tests;
