//! An AMP-like workspace and a Lambda-like invoke endpoint on one machine, for trying and testing.
//!
//! * [`tsdb`]: what a workspace stores and how it judges, as Prometheus' TSDB does. Pure.
//! * [`signature`]: is this request signed as `SigV4` wants it? Pure.
//! * [`workspace`]: both behind HTTP, in memory, at the path that AMP uses.
//! * [`invoke_endpoint`]: the Lambda Invoke API in front of the very handler that `ingest` runs.
//! * [`event_source`]: polls an SQS queue and invokes that handler, as Lambda's event source mapping does.
//! * [`dead_letters`]: a dead-letter queue in memory.
//!
//! Whatever listens is given its socket and its stop signal. Everything is bounded: bodies, connections, series,
//! samples, letters.

pub mod dead_letters;
pub mod event_source;
pub mod invoke_endpoint;
pub mod signature;
pub mod tsdb;
pub mod workspace;

mod http;
mod runner;

use crate::model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock. Only what listens reads it, and hands it on.
pub fn wall_clock() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}
