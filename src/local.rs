//! The gateway's surroundings on one machine: a workspace like AMP's, and the triggers of Lambda.
//!
//! * [`tsdb`]: the series of a workspace and its rules, those of Prometheus' TSDB. Pure.
//! * [`signature`]: verifies `SigV4` signatures. Pure.
//! * [`workspace`]: both behind HTTP, in memory, at the path that AMP uses.
//! * [`invoke_endpoint`]: the Lambda Invoke API in front of the handler that `ingest` runs.
//! * [`event_source`]: polls an SQS queue and invokes that handler, as Lambda's event source mapping does.
//! * [`dead_letters`]: a dead-letter queue in memory.
//!
//! A server gets its socket and its stop signal from the caller. Bodies, connections, series, samples and dead letters
//! are bounded.

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

/// Reads the wall clock. Only servers call it, and pass the time on.
pub fn wall_clock() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}
