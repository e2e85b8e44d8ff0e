//! Compares the parsers of pushes with Prometheus' own, which tests/contract/oracles/textparse runs.
//!
//! The bodies are those that the tests of other parsers parse, tables of ugly ones, and mutations of both. [`rules`] says how the
//! gateway may differ, and why.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests; clippy knows only the tests themselves"
)]

mod openmetrics;
mod oracle;
mod protobuf;
mod rules;
mod text;
