//! The pushes of the demo, as a client library sends them.

use crate::in_process::LocalGateway;
use amp_push_gateway::exposition::{ParseError, parse_text};
use amp_push_gateway::gateway::{Push, PushError, PushResult};
use amp_push_gateway::local::invoke_endpoint::request_id;
use amp_push_gateway::local::tsdb::StoredSeries;
use amp_push_gateway::local::wall_clock;
use amp_push_gateway::model::Timestamp;
use amp_push_gateway::push_group::{GroupingKey, KeyError, PushMode};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// The path of the calibration without `/metrics/`.
pub(super) const PATH: &str = "job/calibration";

const BODY: &str = "\
# HELP calibration_duration_seconds Duration of the last calibration.
# TYPE calibration_duration_seconds gauge
calibration_duration_seconds 12.5
# TYPE calibration_sensors gauge
calibration_sensors{result=\"ok\"} 5
calibration_sensors{result=\"failed\"} 1
";

/// A push of the demo.
pub(super) struct DemoPush<'p> {
    /// The path without `/metrics/`.
    pub(super) path: &'p str,
    /// The body in the text format.
    pub(super) text: &'p str,
    pub(super) ttl_ms: Option<i64>,
    pub(super) now: Timestamp,
}

/// Why a push is not stored.
#[derive(Debug)]
pub(super) enum NotStored {
    Path(KeyError),
    Text(ParseError),
    Push(PushError),
    /// The receiver refused it, or could not be reached.
    Receiver(String),
}

/// Sends the push of a calibration.
pub(super) async fn push_calibration(gateway: &LocalGateway, timeout: Duration) -> Result<(), NotStored> {
    push(gateway, DemoPush { path: PATH, text: BODY, ttl_ms: None, now: wall_clock() }, timeout).await
}

pub(super) async fn push(gateway: &LocalGateway, of: DemoPush<'_>, timeout: Duration) -> Result<(), NotStored> {
    let DemoPush { path, text, ttl_ms, now } = of;
    let key = GroupingKey::parse(path).map_err(NotStored::Path)?;
    let body = parse_text(text.as_bytes()).map_err(NotStored::Text)?;
    let (request_id, deadline) = (request_id(), Instant::now() + timeout);
    let mode = PushMode::Replace;
    let push = Push { key: &key, body: &body, mode, ttl: ttl_ms, now, request_id: &request_id, deadline };
    match gateway.push(&push).await.map_err(NotStored::Push)?.result {
        PushResult::Stored => Ok(()),
        PushResult::Refused { first: why, .. } | PushResult::Failed { failure: why, .. } => {
            Err(NotStored::Receiver(why))
        }
    }
}

/// Reports whether a series is of the calibration.
pub(super) fn is_pushed(series: &StoredSeries) -> bool {
    series.labels.iter().any(|(name, value)| name == "job" && value == "calibration")
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Text(error) => error.fmt(f),
            Self::Push(error) => error.fmt(f),
            Self::Receiver(why) => f.write_str(why),
        }
    }
}
