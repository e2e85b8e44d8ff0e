//! Sends one body until it has its last answer, with retries, within the time and the requests of an invocation.

use super::{Answered, Backoff, Disposition, RemoteWriteClient, asks_for_version_1, describe, retry_after, written};
use crate::aws::{Transport, TransportError};
use crate::limits::{MAX_LOGGED_FAILURES, MAX_REQUESTS};
use crate::wire::Version;
use bytes::Bytes;
use std::fmt;
use std::ops::AddAssign;
use std::pin::Pin;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// A request that would get less time than this is not begun.
const SHORTEST_TRY: Duration = Duration::from_millis(50);

/// The longest wait for one answer: a receiver that hangs leaves time for another try.
const LONGEST_TRY: Duration = Duration::from_secs(10);

/// A sender of remote write is asked to wait so long if a retry cannot help before an operator acts.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(30);

/// Decides before each request, retries included, whether it may still be sent.
pub trait Gate: Sync + fmt::Debug {
    /// Once it is closed no further request begins.
    fn is_open(&self) -> IsOpen<'_>;
}

pub type IsOpen<'g> = Pin<Box<dyn Future<Output = bool> + Send + 'g>>;

/// Sends the requests of one invocation, one after another.
#[derive(Debug)]
pub struct Sender<'c, T> {
    client: &'c RemoteWriteClient<T>,
    gate: Option<&'c dyn Gate>,
    /// The id of the invocation, for log lines.
    request_id: &'c str,
    deadline: Instant,
    max_requests: u64,
    backoff: Backoff,
    sent: Sent,
    /// The wish of the last answer that had one.
    retry_after: Option<Duration>,
    logged: u32,
    /// The receiver failed at every try of a request, so others are tried only once.
    exhausted: bool,
    /// The samples are those of a sender of remote write. So requests of 2.0 are tried only once.
    is_passed_on: bool,
    /// Credentials were reloaded after a 401 or 403.
    reloaded: bool,
    /// Why no further request begins.
    stopped: Option<OutOf>,
}

/// Counts of what was sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sent {
    pub requests: u64,
    /// Requests that repeated the one before.
    pub retries: u64,
    /// Compressed bytes.
    pub bytes: u64,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.retries += other.retries;
        self.bytes += other.bytes;
    }
}

/// Why no further request may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutOf {
    Time,
    Requests,
    /// The [`Gate`] is closed.
    Overtaken,
    /// An answer was [`Disposition::Unrecoverable`], so others would be, too.
    SameAnswer,
}

impl<'c, T: Transport> Sender<'c, T> {
    /// No answer is waited for beyond `deadline`.
    pub fn new(client: &'c RemoteWriteClient<T>, request_id: &'c str, deadline: Instant) -> Self {
        Self {
            client,
            gate: None,
            request_id,
            deadline,
            max_requests: MAX_REQUESTS,
            backoff: Backoff::default(),
            sent: Sent::default(),
            retry_after: None,
            logged: 0,
            exhausted: false,
            is_passed_on: false,
            reloaded: false,
            stopped: None,
        }
    }

    /// Sends fewer requests than an invocation may.
    #[must_use]
    pub fn with_max_requests(self, max_requests: u64) -> Self {
        Self { max_requests: max_requests.min(MAX_REQUESTS), ..self }
    }

    /// Asks `gate` before each request.
    #[must_use]
    pub fn with_gate(self, gate: Option<&'c dyn Gate>) -> Self {
        Self { gate, ..self }
    }

    /// Does not try requests of 2.0 again: the agent that sent them does so, and two backoffs would disturb each other.
    #[must_use]
    pub fn passing_on(self) -> Self {
        Self { is_passed_on: true, ..self }
    }

    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Returns the last `Retry-After` of the receiver.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the version that the receiver takes, as far as it is known.
    pub fn version(&self) -> Version {
        self.client.version()
    }

    /// Returns an error if no further request may begin.
    pub fn may_send(&self) -> Result<(), OutOf> {
        self.may_send_after(Duration::ZERO)
    }

    fn may_send_after(&self, wait: Duration) -> Result<(), OutOf> {
        if let Some(out_of) = self.stopped {
            return Err(out_of);
        }
        if Instant::now() + wait + SHORTEST_TRY >= self.deadline {
            return Err(OutOf::Time);
        }
        if self.sent.requests >= self.max_requests { Err(OutOf::Requests) } else { Ok(()) }
    }

    /// Sends `body` until an answer decides something, or the tries, requests or time are used up. `retrying` gets every answer but
    /// the last, which is returned. If that one [`asks_for_version_1`], all later requests should be of 1.0.
    ///
    /// # Errors
    /// [`OutOf`] if nothing was sent.
    pub async fn send(
        &mut self,
        body: &Bytes,
        version: Version,
        mut retrying: impl FnMut(&Answered),
    ) -> Result<Answered, OutOf> {
        self.may_send()?;
        self.pass_gate().await?;
        let mut tries = 0;
        loop {
            let timeout = self.deadline.saturating_duration_since(Instant::now()).min(LONGEST_TRY);
            let answer = self.client.send(body.clone(), version, timeout).await;
            tries += 1;
            if !matches!(answer, Err(TransportError::Credentials(_))) {
                self.sent.requests += 1;
                self.sent.retries += u64::from(tries > 1);
                self.sent.bytes += body.len() as u64;
            }
            if version == Version::V2 && asks_for_version_1(&answer) {
                self.client.fall_back(&answer);
                return Ok(answer);
            }
            let Some(wait) = self.wait_before_retry(&answer, version, tries) else {
                let is_unrecoverable = Disposition::of(&answer) == Disposition::Unrecoverable;
                if self.is_passed_on && version == Version::V2 && needs_an_operator(&answer) {
                    self.retry_after = Some(OPERATOR_PATIENCE);
                }
                self.stopped = is_unrecoverable.then_some(OutOf::SameAnswer);
                return Ok(answer);
            };
            self.log(&answer);
            retrying(&answer);
            if Disposition::of(&answer) == Disposition::Unauthorized {
                self.client.forget_credentials().await;
            }
            tokio::time::sleep(wait).await;
            if self.may_send().is_err() || self.pass_gate().await.is_err() {
                return Ok(answer);
            }
        }
    }

    async fn pass_gate(&mut self) -> Result<(), OutOf> {
        let Some(gate) = self.gate else { return Ok(()) };
        if gate.is_open().await {
            return Ok(());
        }
        self.stopped = Some(OutOf::Overtaken);
        Err(OutOf::Overtaken)
    }

    /// Returns how long to wait before the same body is sent again; `None` if this answer is the last.
    fn wait_before_retry(&mut self, answer: &Answered, version: Version, tries: u32) -> Option<Duration> {
        let disposition = Disposition::of(answer);
        if disposition == Disposition::Stored {
            return None;
        }
        let asked = retry_after(answer, SystemTime::now());
        self.retry_after = asked.or(self.retry_after);
        let wait = match disposition {
            Disposition::Unauthorized if !self.reloaded && self.client.has_credentials() => {
                self.reloaded = true;
                Duration::ZERO
            }
            Disposition::Recoverable { .. } if self.exhausted => return None,
            Disposition::Recoverable { at_once: true } if tries == 1 => Duration::ZERO,
            Disposition::Recoverable { .. } if self.is_passed_on && version == Version::V2 => return None,
            Disposition::Recoverable { .. } => {
                let backoff = self.backoff.wait(tries, fastrand::f64());
                // Jitter only makes a wait longer, so that senders that were refused together do not come back together.
                let asked = asked.map(|wait| wait.mul_f64(1.0 + fastrand::f64() / 10.0));
                let wait = backoff.map(|wait| asked.unwrap_or(wait));
                let in_time = wait.filter(|wait| self.may_send_after(*wait).is_ok());
                self.exhausted = in_time.is_none();
                in_time?
            }
            _ => return None,
        };
        self.may_send_after(wait).is_ok().then_some(wait)
    }

    /// Logs a success that counts fewer than the `sent` samples and native histograms. The status decides about outcomes, because a
    /// receiver of 2.0 may answer 2xx only if all is written. But one that removes duplicates may count only what it stores.
    pub(super) fn check_counts(&mut self, answer: &Answered, sent: [u64; 2]) {
        let [samples, histograms] = written(answer);
        if Disposition::of(answer) != Disposition::Stored || (samples >= sent[0] && histograms >= sent[1]) {
            return;
        }
        self.logged += 1;
        if self.logged <= MAX_LOGGED_FAILURES {
            let request_id = self.request_id;
            let [sent_samples, sent_histograms] = sent;
            tracing::warn!(
                request_id,
                sent_samples,
                samples,
                sent_histograms,
                histograms,
                "the receiver took a request, and counts fewer samples than it has"
            );
        }
    }

    /// Logs an answer that did not store its request.
    pub fn log(&mut self, answer: &Answered) {
        self.logged += 1;
        if self.logged <= MAX_LOGGED_FAILURES {
            tracing::warn!(request_id = self.request_id, answer = describe(answer), "request failed");
        }
    }
}

/// Reports whether settings, credentials or permissions are wrong, or something before the receiver is.
fn needs_an_operator(answer: &Answered) -> bool {
    matches!(Disposition::of(answer), Disposition::Unauthorized | Disposition::Unrecoverable | Disposition::Foreign)
}

impl fmt::Display for OutOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time => f.write_str("the invocation ran out of time before everything was sent"),
            Self::Requests => f.write_str("the invocation had no requests left before everything was sent"),
            Self::Overtaken => f.write_str("a newer tick has begun to send"),
            Self::SameAnswer => f.write_str("no more requests were sent, because they would get the same answer"),
        }
    }
}

impl std::error::Error for OutOf {}
