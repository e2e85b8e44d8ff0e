//! The surroundings of the gateway on one machine: a workspace like that of AMP, and the triggers of Lambda.
//!
//! * [`tsdb`]: the series of a workspace. It has the rules of Prometheus' TSDB. Pure.
//! * [`signature`]: verifies `SigV4` signatures. Pure.
//! * [`workspace`]: serves both over HTTP, in memory, at the path that AMP uses.
//! * [`invoke_endpoint`]: the Lambda Invoke API in front of the handler that `ingest` runs.
//! * [`door`]: the HTTP door on a local port.
//! * [`event_source`]: polls an SQS queue and invokes that handler, as Lambda's event source mapping does.
//! * [`dead_letters`]: a dead-letter queue in memory.
//! * [`beside`]: gives the workspace and the dead letters to the page.
//! * [`state`]: the table of the state, in a file or in memory.
//! * [`schedule`]: the schedule of the tick.
//!
//! A server gets its socket and its stop signal from the caller. There are limits for bodies, connections, series, samples
//! and dead letters.

pub mod beside;
pub mod dead_letters;
pub mod door;
pub mod event_source;
pub mod invoke_endpoint;
pub mod schedule;
pub mod signature;
pub mod state;
pub mod tsdb;
pub mod workspace;

mod runner;

pub use crate::lambda::runtime::now as wall_clock;
