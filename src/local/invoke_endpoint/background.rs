//! Runs a bounded number of asynchronous invocations, and waits for them at the end.

use super::request::ServiceError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Invocations that run or wait for their next try. Each holds its payload of at most 1 MiB.
const MAX_PENDING: u32 = 100;
/// How long they may take to end when the endpoint stops.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Background(Arc<Semaphore>);

impl Background {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_PENDING as usize)))
    }

    /// Runs `task`, unless too many are pending.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<(), ServiceError> {
        let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| ServiceError::too_many_requests())?;
        tokio::spawn(async move {
            task.await;
            drop(permit);
        });
        Ok(())
    }

    /// Waits for all tasks, at most for [`GRACE`].
    pub(super) async fn finish(self) {
        if tokio::time::timeout(GRACE, self.0.acquire_many(MAX_PENDING)).await.is_err() {
            let pending = MAX_PENDING as usize - self.0.available_permits();
            tracing::warn!(pending, "asynchronous invocations ended before they were done");
        }
    }
}
