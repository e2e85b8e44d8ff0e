//! Records of the Lambda Telemetry API and lines of `StatsD` to typed metrics.
//!
//! * [`read_records`]: the body of one delivery to [`Record`]s. Nothing that AWS adds to it is an error.
//! * [`Platform`]: records to typed metrics of the function.
//! * [`read_lines`]: the lines of one datagram to [`Line`]s.
//! * [`Pending`]: the sum of each series since the last dispatch, bounded.
//! * [`cut`]: what is pending to the messages of a dispatch.
//!
//! The records: <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>.

mod message;
mod pending;
mod platform;
mod record;
mod requests;
mod statsd;

pub use message::{TypedMessage, cut};
pub use pending::{Added, Pending, PendingSeries, Total};
pub use platform::{Platform, PlatformRules};
pub use record::{InvalidBatch, Record, Span, SpanKind, Status, read_records};
pub use statsd::{InvalidLine, Line, LineUpdate, read_lines};

#[cfg(test)]
mod tests;
