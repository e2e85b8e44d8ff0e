//! Opens the state: a table of DynamoDB, or a file.

use crate::environment::Overrides;
use crate::exit::CommandError;
use crate::view::Foreign;
use amp_push_gateway::aws::HttpTransport;
use amp_push_gateway::config::{self, Reader};
use amp_push_gateway::gateway::{Deleted, Kept, KeptState, State};
use amp_push_gateway::local::state::LocalTable;
use amp_push_gateway::local::wall_clock;
use amp_push_gateway::store::{FileError, FileProblem};
use amp_push_gateway::wire::read::Selection;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// For all calls of a list, and for all of a deletion.
const TIMEOUT: Duration = Duration::from_mins(2);

#[derive(clap::Args, Debug)]
pub(super) struct Place {
    /// The file of `pushgw serve --state`. Stop that `serve` first.
    #[arg(long, value_name = "FILE", conflicts_with = "table")]
    state: Option<PathBuf>,
    /// The DynamoDB table [default: STATE_TABLE]. To use another server than AWS, set AWS_ENDPOINT_URL_DYNAMODB.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

pub(super) struct Opened(KeptState);

impl Place {
    pub(super) fn open(&self) -> Result<Opened, CommandError> {
        let vars = match (&self.table, &self.state) {
            (Some(table), _) => Overrides::default().set(config::ENV_STATE_TABLE, table),
            // The table of the environment does not matter, nor that it has no region.
            (None, Some(_)) => Overrides::default().without(&[config::ENV_STATE_TABLE]),
            (None, None) => Overrides::default(),
        };
        let mut reader = Reader::new(&vars);
        let settings = reader.state_alone();
        let settings = reader.finish(settings).map_err(|errors| CommandError::settings(&errors))?;
        if let Some(path) = &self.state {
            return Ok(Opened(KeptState::of(&State::new(open_file(path)?.store(), settings))));
        }
        let http = HttpTransport::new().map_err(CommandError::failed)?;
        let state = State::from_settings(&settings, &http).ok_or_else(|| {
            CommandError::usage(
                "no table is named: expected --state FILE, --table NAME, or STATE_TABLE in the environment",
            )
        })?;
        Ok(Opened(KeptState::of(&state)))
    }
}

impl Opened {
    pub(super) async fn list(&self, selection: Option<&Selection>) -> Result<Kept, CommandError> {
        self.0.list(selection, wall_clock(), Instant::now() + TIMEOUT).await.map_err(CommandError::failed)
    }

    pub(super) async fn delete(&self, kept: &Kept) -> Result<Deleted, CommandError> {
        self.0.delete(kept, wall_clock(), Instant::now() + TIMEOUT).await.map_err(CommandError::failed)
    }
}

/// Opens a file that is there.
fn open_file(path: &Path) -> Result<LocalTable, CommandError> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(CommandError::unreadable(path, &error));
    }
    LocalTable::open(Some(path)).map_err(|error| match error {
        FileError { problem: FileProblem::InUse, .. } => CommandError::failed(format!(
            "{} is in use, as by a running `pushgw serve`: stop that first, with Ctrl-C or SIGTERM. While it runs, its HTTP door \
             shows what is kept (GET /, /metrics, /api/v1/metrics) and deletes groups (DELETE /metrics/job/<job>)",
            Foreign(path.display())
        )),
        error => CommandError::failed(error),
    })
}
