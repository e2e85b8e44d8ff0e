//! The state of `serve`, and its ticks.

use super::log::Log;
use crate::exit::CommandError;
use crate::in_process::{LocalDoor, LocalGateway};
use amp_push_gateway::config::{Settings, StateSettings, milliseconds};
use amp_push_gateway::gateway::State;
use amp_push_gateway::lambda::{Invocation, handle};
use amp_push_gateway::local::state::LocalTable;
use amp_push_gateway::local::{schedule, wall_clock};
use amp_push_gateway::model::Timestamp;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::Instant;

/// The timeout of the function that ticks. A tick ends by itself before that.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The time of the tick at the end. It is short, because the user waits for it.
const LAST_TIMEOUT: Duration = Duration::from_secs(10);

const DEFAULT_PERIOD: Duration = Duration::from_mins(1);

/// Expired items are deleted by the first tick, and then by one tick in each such time.
const DELETE_EXPIRED_EVERY: Duration = Duration::from_hours(1);

// The options of polling are a group of the same name.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Keep typed metrics and groups in this file, or in `memory`. If the file does not exist, `serve` makes it. With
    /// `none` nothing is kept: each push is written once, as by a function without a table. Default: the table
    /// STATE_TABLE if it is set, else memory.
    #[arg(long, value_name = "FILE|memory|none")]
    state: Option<Place>,
    /// Write everything that is kept at each multiple of this time on the wall clock, 1s to 1h. Default: 60s. With
    /// STATE_TABLE the default is not to tick, because the table's stack has a schedule.
    #[arg(long, value_name = "DURATION", value_parser = period)]
    tick: Option<Duration>,
}

/// The place of the state that the arguments ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Memory,
    File(PathBuf),
    None,
}

impl FromStr for Place {
    type Err = Infallible;

    /// A file with one of the two words as its name is `./none`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "memory" => Self::Memory,
            "none" => Self::None,
            path => Self::File(path.into()),
        })
    }
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

/// The state of this process, and how often it ticks.
pub(super) struct Kept {
    table: Table,
    /// `None`: never.
    period: Option<Duration>,
}

enum Table {
    None,
    /// The table of the settings.
    OfSettings(String),
    InMemory(LocalTable),
    File(LocalTable, PathBuf),
}

/// Opens the state that the arguments and the settings ask for.
pub(super) fn open(arguments: &Arguments, settings: &StateSettings) -> Result<Kept, CommandError> {
    let Arguments { state, tick } = arguments;
    let period = Some(tick.unwrap_or(DEFAULT_PERIOD));
    let open = |path| LocalTable::open(path).map_err(CommandError::failed);
    Ok(match (state, &settings.table) {
        (Some(Place::None), _) if tick.is_some() => {
            return Err(CommandError::usage("--tick needs a state, and with --state none there is none"));
        }
        (Some(Place::None), _) => Kept { table: Table::None, period: None },
        (Some(Place::File(path)), _) => Kept { table: Table::File(open(Some(path))?, path.clone()), period },
        // Its own schedule ticks.
        (None, Some(table)) => Kept { table: Table::OfSettings(table.name.clone()), period: *tick },
        (Some(Place::Memory) | None, _) => Kept { table: Table::InMemory(open(None)?), period },
    })
}

impl Kept {
    /// Returns the gateway with this state.
    pub(super) async fn given_to(&self, gateway: LocalGateway, settings: &Settings) -> LocalGateway {
        match &self.table {
            Table::None => gateway.with_state(None),
            Table::OfSettings(_) => gateway,
            Table::InMemory(table) | Table::File(table, _) => {
                // The status must not show a table that is not used.
                let settings = StateSettings { table: None, ..settings.state.clone() };
                let state = State::new(table.store(), settings);
                state.resume().await;
                gateway.with_state(Some(state))
            }
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.table, Table::InMemory(_))
    }

    fn local(&self) -> Option<&LocalTable> {
        match &self.table {
            Table::None | Table::OfSettings(_) => None,
            Table::InMemory(table) | Table::File(table, _) => Some(table),
        }
    }

    /// Ticks until `shutdown`.
    pub(super) async fn run(&self, shutdown: impl Future<Output = ()>, door: &LocalDoor, log: Log) {
        let Some(period) = self.period else { return };
        let mut last_deletion: Option<Instant> = None;
        let tick = async |time: Timestamp| {
            let begun = Instant::now();
            tick(time, TIMEOUT, door, log).await;
            let Some(table) = self.local() else { return };
            if last_deletion.is_none_or(|last| last.elapsed() >= DELETE_EXPIRED_EVERY) {
                last_deletion = Some(begun);
                if let Err(error) = table.delete_expired(time).await {
                    tracing::warn!(%error, "expired items cannot be deleted; the next try is in an hour");
                }
            }
        };
        schedule::run(period, wall_clock, shutdown, tick).await;
    }

    /// Ticks once more, after all requests, if the state ends with this process.
    pub(super) async fn finish(&self, door: &LocalDoor, log: Log) {
        if self.is_in_memory() {
            tick(wall_clock(), LAST_TIMEOUT, door, log).await;
        }
    }
}

/// The place as text.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Table::None => f.write_str("none: pushes are written at once, typed metrics are rejected")?,
            Table::OfSettings(name) => write!(f, "the table {name}")?,
            Table::InMemory(_) => f.write_str("in memory")?,
            Table::File(_, path) => write!(f, "{}", path.display())?,
        }
        match self.period {
            Some(period) => write!(f, "; written every {} s", period.as_secs_f64()),
            None => Ok(()),
        }
    }
}

async fn tick(time: Timestamp, timeout: Duration, door: &LocalDoor, log: Log) {
    let (begun, request_id) = (Instant::now(), format!("tick-{time}"));
    let payload = format!(r#"{{"tick":"{time}"}}"#);
    let invocation = Invocation { request_id, started: wall_clock(), deadline: begun + timeout };
    let handled = handle(door, payload.into(), &invocation).await;
    log.ticked(time, &handled, begun.elapsed());
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::config::TableSettings;

    /// Returns the place and the period that `serve` shows.
    fn shown(state: Option<&str>, tick: Option<&str>, has_table: bool) -> Result<String, String> {
        let state = state.map(|text| text.parse().unwrap());
        let tick = tick.map(|text| period(text).unwrap());
        let table = TableSettings { name: "pushed".to_owned(), region: "eu-central-1".to_owned(), credentials: None };
        let settings = StateSettings { table: has_table.then_some(table), ..StateSettings::default() };
        let kept = open(&Arguments { state, tick }, &settings);
        kept.map(|kept| kept.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn state_is_in_memory_unless_an_argument_or_the_settings_name_another_place() {
        let none = "none: pushes are written at once, typed metrics are rejected";
        let table = [
            (None, None, false, "in memory; written every 60 s"),
            (None, Some("1500ms"), false, "in memory; written every 1.5 s"),
            (None, None, true, "the table pushed"),
            (None, Some("15s"), true, "the table pushed; written every 15 s"),
            (Some("memory"), None, true, "in memory; written every 60 s"),
            (Some("none"), None, true, none),
            (Some("none"), None, false, none),
        ];
        for (state, tick, has_table, expected) in table {
            assert_eq!(shown(state, tick, has_table).as_deref(), Ok(expected), "{state:?} {tick:?} {has_table}");
        }
        assert!(shown(Some("none"), Some("15s"), false).unwrap_err().contains("--tick needs a state"));
        assert_eq!("./none".parse(), Ok(Place::File("./none".into())));
    }
}
