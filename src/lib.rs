//! Push metrics into Amazon Managed Service for Prometheus (AMP) without running a server.
//!
//! One Lambda function turns small JSON events into signed Prometheus remote-write requests. Data flows one way, and
//! the modules below are listed in that order:
//!
//! ```text
//! payload -> lambda -> gateway -> event -> series -> wire -> remote_write -> aws (signed) -> AMP
//!                         |                                        |
//!                         +--> dead_letter -> SQS         one outcome per event, back as return values
//! ```
//!
//! * [`model`]: the nouns. Names, label sets, values, timestamps, outcomes and reasons.
//! * [`event`]: JSON text to [`event::Event`]: the producers' contract. Pure.
//! * [`series`]: events merged into series; duplicates and order. Pure.
//! * [`wire`]: series to requests by size, protobuf, snappy block. Pure.
//! * [`aws`]: HTTP, credentials, SigV4 and SQS, for everybody; the [`aws::Transport`] seam.
//! * [`amp`]: workspace URLs.
//! * [`remote_write`]: the sender: headers, answers and what they mean.
//! * [`dead_letter`]: rejected messages to an SQS queue, with their reasons.
//! * [`gateway`]: the use case. Messages in, one outcome for each event and one fate for each message out.
//! * [`lambda`]: which trigger is this payload, and what answer does its caller expect.
//! * [`config`], [`instrumentation`]: settings, with all faults reported at once; logs and own metrics.
//! * [`local`] (feature `cli`): an AMP-like workspace in memory, a local invoke endpoint and an event source for a queue, for
//!   trying and testing.
//!
//! Lower modules never use higher ones. `model`, `event`, `series` and `wire` know no clock, environment, random
//! numbers, network or async.

// Standard output is the log's, and the commands' that print.
#![warn(clippy::print_stdout)]

pub mod model;

pub mod event;
pub mod series;
pub mod wire;

pub mod amp;
pub mod aws;
pub mod dead_letter;
pub mod remote_write;

pub mod gateway;

pub mod lambda;

pub mod config;
pub mod instrumentation;

#[cfg(feature = "cli")]
pub mod local;
