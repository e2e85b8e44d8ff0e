//! Decides when to dispatch, and sends to the destination.
//!
//! * A dispatch first sends what an earlier one could not send, and then what waits now.
//! * After a failure the next dispatch waits 1, 2, 4 … 60 s. Metrics that come meanwhile are added up in the buffer, which
//!   is bounded.
//! * A dispatch may be dropped at any await. It then counts as a failure.

use super::buffer::{Buffer, OwnCount, Waiting};
use super::pushgateway::{PushError, Pushgateway};
use super::queue::Queue;
use super::wall_clock;
use crate::aws::HttpTransport;
use crate::aws::sqs::SendError;
use crate::config::extension::{Destination, DispatchSettings};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A request of a dispatch is given up after this time, whatever else goes on.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);

const LONGEST_PAUSE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Dispatcher {
    destination: Destination,
    function_name: String,
    buffer: Arc<Buffer>,
    settings: DispatchSettings,
    /// The first dispatch makes it. Most of it is not needed before, and its id must not be in a snapshot.
    sender: Option<Sender>,
    failures: u32,
    /// No dispatch begins earlier.
    pause_until: Option<Instant>,
    succeeded: u64,
    failed: u64,
}

#[derive(Debug)]
struct Sender {
    /// The id of this environment.
    environment: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Queue(Box<Queue>),
    Gateway(Box<Pushgateway>),
}

#[derive(Clone, Debug)]
enum DispatchError {
    /// The HTTP client could not be made. Settings cannot cause this.
    Client(Arc<dyn Error + Send + Sync>),
    Send(SendError),
    Push(PushError),
    OutOfTime,
}

impl Dispatcher {
    pub(super) fn new(
        destination: Destination,
        settings: DispatchSettings,
        function_name: &str,
        buffer: Arc<Buffer>,
    ) -> Self {
        let (function_name, sender, pause_until) = (function_name.to_owned(), None, None);
        let (failures, succeeded, failed) = (0, 0, 0);
        Self { destination, function_name, buffer, settings, sender, failures, pause_until, succeeded, failed }
    }

    /// Reports whether to dispatch now. `by_age_alone`: however many records wait.
    pub(super) fn is_due(&self, by_age_alone: bool) -> bool {
        let (has_unsent, now) = (self.has_unsent(), Instant::now());
        let is_due = |waiting| is_due(self.settings, waiting, has_unsent, self.pause_until, by_age_alone, now);
        is_due(self.buffer.most_waiting()) && is_due(self.buffer.waiting())
    }

    /// Dispatches until `given_up` is ready at the latest.
    pub(super) async fn dispatch(&mut self, given_up: impl Future<Output = ()>) {
        let outcome = tokio::select! {
            biased;
            outcome = self.send_all() => outcome,
            () = given_up => Err(DispatchError::OutOfTime),
        };
        self.settle(outcome);
    }

    /// Dispatches what is left, before `deadline`, whatever failed before. Metrics that come meanwhile are dispatched, too.
    pub(super) async fn finish(&mut self, deadline: Instant) {
        loop {
            let outcome = timeout_at(deadline, self.send_all()).await.unwrap_or(Err(DispatchError::OutOfTime));
            let failed = outcome.is_err();
            self.settle(outcome);
            if failed || self.buffer.waiting().records == 0 {
                break;
            }
        }
        if let Some(Sender { place: Place::Gateway(gateway), environment }) = &mut self.sender {
            let deleted = timeout_at(deadline, gateway.delete(environment, LONGEST_REQUEST)).await;
            match deleted {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = error.to_string(), "the group could not be deleted"),
                Err(_) => tracing::warn!("the group could not be deleted in time"),
            }
        }
    }

    fn settle(&mut self, outcome: Result<(), DispatchError>) {
        match outcome {
            Ok(()) => {
                if self.failures > 0 {
                    tracing::info!(failures = self.failures, "dispatches work again");
                }
                self.succeeded += 1;
                (self.failures, self.pause_until) = (0, None);
            }
            Err(error) => {
                self.failed += 1;
                let pause = pause_after(self.failures);
                self.failures = self.failures.saturating_add(1);
                self.pause_until = Some(Instant::now() + pause);
                let seconds = pause.as_secs();
                tracing::warn!(
                    error = error.to_string(),
                    failures = self.failures,
                    pause_s = seconds,
                    "a dispatch failed"
                );
            }
        }
    }

    fn has_unsent(&self) -> bool {
        match &self.sender {
            Some(Sender { place: Place::Queue(queue), .. }) => queue.has_unsent(),
            Some(Sender { place: Place::Gateway(gateway), .. }) => gateway.has_unsent(),
            None => false,
        }
    }

    async fn send_all(&mut self) -> Result<(), DispatchError> {
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(Sender::new(&self.destination, &self.function_name)?),
        };
        let Sender { environment, place } = sender;
        if let Place::Queue(queue) = place {
            let dropped = queue.send(environment, LONGEST_REQUEST).await.map_err(DispatchError::Send)?;
            self.buffer.count_dropped(dropped);
        }
        let own = |outcome, count| OwnCount {
            name: "lambda_extension_dispatches_total",
            help: "Dispatches of the extension.",
            outcome: Some(outcome),
            count,
        };
        // Everything that waits leaves the buffer here.
        let series = self.buffer.take(&[own("success", self.succeeded), own("failure", self.failed)], wall_clock());
        if !series.is_empty() {
            (self.succeeded, self.failed) = (0, 0);
        }
        match place {
            Place::Queue(queue) => {
                queue.load(series, environment);
                let dropped = queue.send(environment, LONGEST_REQUEST).await.map_err(DispatchError::Send)?;
                self.buffer.count_dropped(dropped);
                Ok(())
            }
            Place::Gateway(gateway) => {
                if !series.is_empty() {
                    self.buffer.count_dropped(gateway.load(series));
                }
                gateway.push(environment, LONGEST_REQUEST).await.map_err(DispatchError::Push)
            }
        }
    }
}

impl Sender {
    fn new(destination: &Destination, function_name: &str) -> Result<Self, DispatchError> {
        let http = HttpTransport::new().map_err(|error| DispatchError::Client(error.into()))?;
        let place = match destination {
            Destination::Queue(url) => Place::Queue(Box::new(Queue::new(url, &http))),
            Destination::Gateway { url, secret } => {
                Place::Gateway(Box::new(Pushgateway::new(url, secret.clone(), function_name, &http)))
            }
        };
        Ok(Self { environment: random_id(), place })
    }
}

fn is_due(
    settings: DispatchSettings,
    waiting: Waiting,
    has_unsent: bool,
    pause_until: Option<Instant>,
    by_age_alone: bool,
    now: Instant,
) -> bool {
    let is_full = !by_age_alone && waiting.records >= settings.min_batch_size;
    let is_old = waiting.since.is_some_and(|since| now >= since + settings.max_age);
    (has_unsent || is_full || is_old) && pause_until.is_none_or(|until| now >= until)
}

/// Returns the pause after so many failures before this one.
fn pause_after(failures: u32) -> Duration {
    Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

/// Returns an id that no other environment has. It is read from the system, because a generator of this process could be the same in each
/// environment that is restored from one snapshot.
fn random_id() -> String {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    if read.is_err() {
        bytes = fastrand::u128(..).to_le_bytes();
    }
    format!("{:032x}", u128::from_le_bytes(bytes))
}

impl fmt::Display for DispatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => write!(f, "the HTTP client: {error}"),
            Self::Send(error) => error.fmt(f),
            Self::Push(error) => error.fmt(f),
            Self::OutOfTime => f.write_str("no answer in time"),
        }
    }
}

impl Error for DispatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Client(error) => Some(&**error),
            Self::Send(error) => Some(error),
            Self::Push(error) => Some(error),
            Self::OutOfTime => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_longer_after_each_failure_and_at_most_a_minute() {
        let pauses: Vec<_> = (0..9).map(|failures| pause_after(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn dispatches_when_many_records_wait_or_one_waits_for_long() {
        let (second, now) = (Duration::from_secs(1), Instant::now() + Duration::from_secs(100));
        let settings = DispatchSettings { min_batch_size: 5, max_age: second * 10, timeout: second };
        let waiting = |records, age: u32| Waiting { records, since: (records > 0).then(|| now - second * age) };
        // (waiting, something is unsent, the end of a pause, on a Managed Instance, due)
        let table = [
            (waiting(0, 0), false, None, false, false),
            (waiting(4, 9), false, None, false, false),
            (waiting(5, 0), false, None, false, true),
            (waiting(5, 0), false, None, true, false),
            (waiting(1, 10), false, None, false, true),
            (waiting(1, 10), false, None, true, true),
            (waiting(0, 0), true, None, false, true),
            (waiting(9, 10), true, Some(now + second), false, false),
            (waiting(9, 10), true, Some(now), false, true),
        ];
        for (waiting, has_unsent, pause_until, by_age_alone, expected) in table {
            let due = is_due(settings, waiting, has_unsent, pause_until, by_age_alone, now);
            assert_eq!(due, expected, "{waiting:?} {has_unsent} {by_age_alone}");
        }
    }

    #[test]
    fn makes_ids_that_differ() {
        let ids: std::collections::HashSet<_> = (0..100).map(|_| random_id()).collect();
        assert!(ids.len() == 100 && ids.iter().all(|id| id.len() == 32));
    }
}
