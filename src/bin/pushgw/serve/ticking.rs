//! The state of `serve`, and its ticks.

use super::log::Log;
use crate::exit::CommandError;
use crate::in_process::LocalDoor;
use amp_push_gateway::config::milliseconds;
use amp_push_gateway::lambda::{Invocation, handle};
use amp_push_gateway::local::state::LocalTable;
use amp_push_gateway::local::{schedule, wall_clock};
use amp_push_gateway::model::Timestamp;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The time of the function that ticks. A tick ends by itself before.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The first tick deletes expired items, and then one tick in this time.
const DELETE_EXPIRED_EVERY: Duration = Duration::from_hours(1);

// The options of polling are a group of the same name.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Keep typed metrics and groups in this file, which is made if it is absent. With --tick alone they are kept in memory.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Write everything that is kept at each multiple of this time on the wall clock, 1s to 1h [default: 60s].
    #[arg(long, value_name = "DURATION", value_parser = period)]
    tick: Option<Duration>,
}

#[derive(Debug)]
struct NotAPeriod;

impl fmt::Display for NotAPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a time from 1s to 1h, such as 15s")
    }
}

impl std::error::Error for NotAPeriod {}

fn period(text: &str) -> Result<Duration, NotAPeriod> {
    match milliseconds(text) {
        Ok(period @ 1_000..=3_600_000) => Ok(Duration::from_millis(period.unsigned_abs())),
        _ => Err(NotAPeriod),
    }
}

/// Returns the table, if the arguments ask for one.
pub(super) fn open(arguments: &Arguments) -> Result<Option<LocalTable>, CommandError> {
    if arguments.state.is_none() && arguments.tick.is_none() {
        return Ok(None);
    }
    LocalTable::open(arguments.state.as_deref()).map(Some).map_err(CommandError::failed)
}

/// Ticks until `shutdown`.
pub(super) async fn run(
    table: Option<LocalTable>,
    arguments: &Arguments,
    shutdown: impl Future<Output = ()>,
    door: Arc<LocalDoor>,
    log: Log,
) {
    let Some(table) = table else { return };
    let mut last_deletion: Option<Instant> = None;
    let tick = async |time: Timestamp| {
        let (begun, request_id) = (Instant::now(), format!("tick-{time}"));
        let payload = format!(r#"{{"tick":"{time}"}}"#);
        let invocation = Invocation { request_id, started: wall_clock(), deadline: begun + TIMEOUT };
        let handled = handle(&door, payload.into(), &invocation).await;
        log.ticked(time, &handled, begun.elapsed());
        if last_deletion.is_none_or(|last| last.elapsed() >= DELETE_EXPIRED_EVERY) {
            last_deletion = Some(begun);
            if let Err(error) = table.delete_expired(time).await {
                tracing::warn!(%error, "what has expired cannot be deleted; it is tried again in an hour");
            }
        }
    };
    schedule::run(arguments.tick.unwrap_or(Duration::from_mins(1)), wall_clock, shutdown, tick).await;
}
