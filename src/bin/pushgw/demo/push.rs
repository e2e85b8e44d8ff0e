//! The push of a job in the demo, as a client library sends it.

use crate::in_process::LocalGateway;
use amp_push_gateway::exposition::parse_text;
use amp_push_gateway::gateway::{Push, PushResult};
use amp_push_gateway::local::invoke_endpoint::request_id;
use amp_push_gateway::local::tsdb::StoredSeries;
use amp_push_gateway::local::wall_clock;
use amp_push_gateway::push_group::{GroupingKey, PushMode};
use std::time::Duration;
use tokio::time::Instant;

/// The path of the push without `/metrics/`.
pub(super) const PATH: &str = "job/calibration";

const BODY: &str = "\
# HELP calibration_duration_seconds Duration of the last calibration.
# TYPE calibration_duration_seconds gauge
calibration_duration_seconds 12.5
# TYPE calibration_sensors gauge
calibration_sensors{result=\"ok\"} 5
calibration_sensors{result=\"failed\"} 1
";

/// Pushes, and returns why that failed.
pub(super) async fn push(gateway: &LocalGateway, timeout: Duration) -> Result<(), String> {
    let key = GroupingKey::parse(PATH).map_err(|error| error.to_string())?;
    let body = parse_text(BODY.as_bytes()).map_err(|error| error.to_string())?;
    let request_id = request_id();
    let push = Push {
        key: &key,
        body: &body,
        mode: PushMode::Replace,
        ttl: None,
        now: wall_clock(),
        request_id: &request_id,
        deadline: Instant::now() + timeout,
    };
    match gateway.push(&push).await.map_err(|error| error.to_string())?.result {
        PushResult::Stored => Ok(()),
        PushResult::Refused { first, .. } => Err(first),
        PushResult::Failed { failure, .. } => Err(failure),
    }
}

/// Reports whether a series is of this push.
pub(super) fn is_pushed(series: &StoredSeries) -> bool {
    series.labels.iter().any(|(name, value)| name == "job" && value == "calibration")
}
