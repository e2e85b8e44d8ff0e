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
//! The modules, from the lowest to the highest. A module uses only modules above it in this list. The modules up to `wire`
//! are pure: they know no clock, environment, random numbers, network or async (`tests/architecture.rs`).
//!
//! * [`limits`]: sizes and counts, who sets each of them, and links to their documentation.
//! * [`model`]: names, label sets, values, timestamps, outcomes and rejections.
//! * [`protobuf`]: reads the fields of a protobuf message.
//! * [`blob`]: the envelope of everything in the table: version, checksum, snappy block.
//! * [`index`]: finds positions in a vector by hash.
//! * [`order`]: sorts with little code.
//! * [`event`]: parses the JSON of producers into [`event::Event`]s.
//! * [`aggregate`]: typed metrics in the journal, and the state that adds them up.
//! * [`exposition`]: parses the formats of Prometheus into metric families, and writes them.
//! * [`otlp`]: translates OTLP in protobuf and JSON to samples, by the rules of Prometheus.
//! * [`series`]: sorts the samples of many items into distinct series.
//! * [`push_group`]: groups of pushed metrics: how a push changes a group, what the group exposes, and its bytes.
//! * [`telemetry`]: makes typed metrics of records of the Lambda Telemetry API, and of lines of `StatsD`.
//! * [`wire`]: encodes series into requests of limited size: protobuf, snappy block. Decodes remote write and remote read.
//! * [`listener`] (features `cli`, `extension`): an HTTP server that limits bodies and connections.
//! * [`aws`]: HTTP, credentials, SigV4, SQS and DynamoDB. [`aws::Transport`] is the interface to the network.
//! * [`amp`]: workspace URLs.
//! * [`remote_write`]: sends requests, tracks each sample, and decides what an answer means.
//! * [`dead_letter`]: sends rejected messages to an SQS queue, with their reasons.
//! * [`store`]: the table of the state: DynamoDB, memory, a local file.
//! * [`config`]: settings from the environment, one struct for each owner.
//! * [`gateway`]: the use cases. For example `ingest` returns an outcome for each event of a batch, and an action for each
//!   message.
//! * [`instrumentation`]: logs, and the metric line of an invocation.
//! * [`http`]: the HTTP door, from a request to an answer.
//! * [`lambda`]: recognises the trigger of a payload, and writes the answer that its caller expects.
//! * [`extension`] (feature `extension`): the Lambda extension. It sends telemetry and a function's own metrics to the
//!   queue, or to a Pushgateway.
//! * [`local`] (feature `cli`): for trying and testing: an AMP-like workspace in memory, an invoke endpoint, an event
//!   source for a queue.

// Standard output is for the log, and for the commands that print.
#![warn(clippy::print_stdout)]

pub mod blob;
pub mod index;
pub mod limits;
pub mod model;
pub mod order;
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
