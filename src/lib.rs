//! Push metrics into Amazon Managed Service for Prometheus (AMP) without running a server.
//!
//! One Lambda function turns small JSON events into signed Prometheus remote-write requests. Data flows one way:
//!
//! ```text
//! payload -> lambda -> gateway -> event -> series -> wire -> remote_write -> aws (signed) -> AMP
//!                         |                                        |
//!                         +--> dead_letter -> SQS         one outcome per event, back as return values
//!
//! typed metrics, pushes -> gateway -> store;  each minute: schedule -> lambda -> gateway (tick): store -> aggregate -> series -> …
//! ```
//!
//! The rooms, from the lowest to the highest. None uses a higher one. The rooms up to `wire` are pure: they know no clock, environment,
//! random numbers, network or async (`tests/architecture.rs`).
//!
//! * [`limits`]: sizes and counts, who sets them, and where they are documented.
//! * [`model`]: names, label sets, values, timestamps, outcomes and rejections.
//! * [`protobuf`]: a walker over the fields of a message.
//! * [`blob`]: the envelope of what is kept in the table: version, checksum, snappy block.
//! * [`event`]: JSON text to [`event::Event`]: the producers' contract.
//! * [`aggregate`]: typed metrics in the journal, and the state that they are folded into.
//! * [`exposition`]: the text formats of Prometheus to metric families.
//! * [`otlp`]: OTLP in protobuf and JSON to samples, by the rules of Prometheus.
//! * [`series`]: samples of many items to ordered, distinct series.
//! * [`push_group`]: groups of pushed metrics: what pushes make of them, what is exposed, and their bytes.
//! * [`telemetry`]: records of the Lambda Telemetry API and lines of `StatsD` to typed metrics.
//! * [`wire`]: series to requests by size: protobuf, snappy block.
//! * [`listener`] (features `cli`, `extension`): an HTTP server that bounds bodies and connections.
//! * [`aws`]: HTTP, credentials, SigV4 and SQS; the [`aws::Transport`] seam.
//! * [`amp`]: workspace URLs.
//! * [`remote_write`]: the sender, the bookkeeping of a delivery, and what an answer means.
//! * [`dead_letter`]: rejected messages to an SQS queue, with their reasons.
//! * [`store`]: the table of the state: DynamoDB, memory, a local file.
//! * [`config`]: settings from the environment, one struct for each owner.
//! * [`gateway`]: the use cases, such as a batch of messages to an outcome for each event and an action for each message.
//! * [`instrumentation`]: logs, and the metric line of an invocation.
//! * [`http`]: the HTTP door, from a request to an answer.
//! * [`lambda`]: which trigger a payload is from, and which answer its caller expects.
//! * [`extension`] (feature `extension`): the Lambda extension: telemetry and a function's own metrics to the queue, or to a Pushgateway.
//! * [`local`] (feature `cli`): an AMP-like workspace in memory, an invoke endpoint and an event source for a queue, to try and
//!   to test with.

// Standard output is for the log, and for the commands that print.
#![warn(clippy::print_stdout)]

pub mod blob;
pub mod limits;
pub mod model;
pub mod protobuf;

pub mod aggregate;
pub mod event;
pub mod exposition;
pub mod otlp;
pub mod push_group;
pub mod series;
pub mod telemetry;
pub mod wire;

#[cfg(feature = "listener")]
pub mod listener;

pub mod amp;
pub mod aws;
pub mod dead_letter;
pub mod remote_write;
pub mod store;

pub mod config;

pub mod gateway;
pub mod instrumentation;

pub mod http;
pub mod lambda;

#[cfg(feature = "extension")]
pub mod extension;

#[cfg(feature = "cli")]
pub mod local;
