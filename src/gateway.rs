//! The use case: messages in, one outcome for each event and one action for each message out.
//!
//! The only place that sees both the pure stages and the edges. It calls each stage in its order; what becomes of
//! events is written into a [`Ledger`] and comes back as a return value.

mod dead_letters;
mod delivery;
mod ledger;
mod message_action;

use crate::amp::SIGNING_NAME;
use crate::aws::{Answer, CredentialsSource, HttpTransport, Signed, Signer, Transport, TransportError};
use crate::config::{LateSamples, Settings};
use crate::dead_letter::{DeadLetterQueue, SqsDeadLetters};
use crate::event::{self, EventTimes, Rules, Shape};
use crate::instrumentation::MetricLine;
use crate::model::{Outcome, Rejection, Timestamp};
use crate::remote_write::RemoteWriteClient;
use crate::series::SampleTableBuilder;
use crate::wire;
use dead_letters::PutAside;
use delivery::Delivery;
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

pub use ledger::{Ledger, RejectedEvent};
pub use message_action::MessageAction;

/// Outcomes are returned at least this long before the invocation's time is up, and [`MARGIN_PER_MESSAGE`] more.
const MARGIN: Duration = Duration::from_millis(300);

/// A function of 128 MB has a fourteenth of a processor: the log line and the answer for a message take it so long.
const MARGIN_PER_MESSAGE: Duration = Duration::from_micros(150);

/// Of the remaining time, what is kept for putting messages aside and answering.
const RESERVE_FOR_DEAD_LETTERS: Duration = Duration::from_secs(2);

/// One message as its trigger handed it over.
#[derive(Debug)]
pub struct Message<'a> {
    /// The SQS message id; the request id of a direct invocation.
    pub id: Cow<'a, str>,
    /// Its text; a refusal where it is none.
    pub body: Result<Cow<'a, str>, Rejection>,
    /// When it was sent first, as far as its queue knows.
    pub sent: Option<Timestamp>,
    /// Its group on a FIFO queue.
    pub group: Option<Cow<'a, str>>,
    /// How often it was received, this time included.
    pub receive_count: u32,
}

/// Who hands messages over, and so what can become of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// An SQS queue: a message that is handed back comes again.
    Sqs {
        /// Whether messages of a group must stay in order.
        fifo: bool,
    },
    /// A caller who waits, or Lambda's own retries: the one payload is the message.
    Direct,
}

/// The messages of one invocation.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Who handed them over.
    pub trigger: Trigger,
    /// The messages, in order.
    pub messages: Vec<Message<'a>>,
    /// The invocation's id.
    pub request_id: &'a str,
    /// The start of the invocation.
    pub started: Timestamp,
    /// When its time is up.
    pub deadline: Instant,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Ingested {
    /// The outcome of each event.
    pub ledger: Ledger,
    /// The shape of each message.
    pub shapes: Vec<Shape>,
    /// The action of each message.
    pub actions: Vec<MessageAction>,
    /// Why events are to be tried again, in words: the receiver's status, or what kept us from asking it.
    pub failure: Option<String>,
    /// Why messages that should have been put aside could not be.
    pub dead_letter_failure: Option<String>,
    /// The numbers.
    pub metrics: MetricLine,
}

/// Takes batches. One for the life of the process.
#[derive(Debug)]
pub struct Gateway<T, D> {
    rules: Rules,
    late_samples: LateSamples,
    limits: wire::Limits,
    client: RemoteWriteClient<T>,
    dead_letters: Option<D>,
    /// That of the last invocation that is done.
    encoder: Mutex<wire::Encoder>,
}

/// The gateway that `ingest` runs.
///
/// # Errors
/// Where the HTTP client cannot be built.
pub fn from_settings(
    settings: &Settings,
) -> Result<Gateway<Signed<HttpTransport>, SqsDeadLetters>, Box<dyn std::error::Error + Send + Sync>> {
    let dead_letters = settings.dead_letter_queue_url().map(SqsDeadLetters::new);
    Ok(Gateway::new(settings, signed_transport(settings)?, dead_letters)?)
}

/// HTTP with the signature that `settings` ask for.
///
/// # Errors
/// Where the HTTP client cannot be built.
pub fn signed_transport(
    settings: &Settings,
) -> Result<Signed<HttpTransport>, Box<dyn std::error::Error + Send + Sync>> {
    let signer = settings.signing_region().map(|region| Signer {
        service: SIGNING_NAME,
        region: region.to_owned(),
        credentials: CredentialsSource::new(settings.credentials().cloned(), region),
    });
    Ok(Signed::new(HttpTransport::new()?, signer))
}

// === impl Gateway ===

impl<T, D> Gateway<T, D> {
    /// Whether refused messages have a queue to go to.
    pub fn has_dead_letter_queue(&self) -> bool {
        self.dead_letters.is_some()
    }
}

impl<T: Transport, D: DeadLetterQueue> Gateway<T, D> {
    /// A gateway that writes through `transport` and puts aside to `dead_letters`.
    ///
    /// # Errors
    /// Where the URL of the settings is not one that HTTP can ask for.
    pub fn new(settings: &Settings, transport: T, dead_letters: Option<D>) -> Result<Self, http::uri::InvalidUri> {
        Ok(Self {
            rules: settings.rules().clone(),
            late_samples: settings.late_samples(),
            limits: wire::Limits::default(),
            client: RemoteWriteClient::new(settings.remote_write_url(), transport)?,
            dead_letters,
            encoder: Mutex::default(),
        })
    }

    /// Opens a connection to the receiver, before there is anything to send.
    pub async fn warm(&self) {
        self.client.warm().await;
    }

    /// Sends a request without series: tests URL, signature and permission and stores nothing.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn ping(&self, timeout: Duration) -> Result<Answer, TransportError> {
        self.client.ping(timeout).await
    }

    /// Takes a batch and brings each of its events to an outcome, before its deadline.
    pub async fn ingest(&self, batch: &Batch<'_>) -> Ingested {
        let mut metrics = MetricLine::default();
        let mut watch = Watch::start();

        let mut ledger = Ledger::new(self.late_samples);
        let mut series = SampleTableBuilder::default();
        let shapes = self.read(batch, &mut ledger, &mut series);
        metrics.stages.read = watch.lap();

        let merged = series.finish(&mut |event, refusal| {
            let refusal = placed(refusal, ledger.place_of(event), &shapes);
            ledger.reject(event, refusal);
        });
        metrics.stages.merge = watch.lap();

        let answer_by = batch.deadline - margin(batch);
        let until = answer_by - self.reserve(answer_by);
        let mut delivery = Delivery::new(&self.client, &merged, batch.request_id, until);
        let mut encoder = std::mem::take(&mut *self.encoder());
        delivery.send_all(wire::encode(&merged, &self.limits, &mut encoder)).await;
        *self.encoder() = encoder.trimmed();
        let failure = delivery.record(batch, &shapes, &mut ledger, &mut metrics);
        metrics.stages.send = watch.lap().saturating_sub(metrics.stages.encode);

        let mut actions = message_action::actions(batch, &ledger, failure.as_deref());
        let put_aside =
            PutAside { batch, ledger: &ledger, shapes: &shapes, until: answer_by, read_took: metrics.stages.read };
        let dead_letter_failure = self.put_aside(&put_aside, &mut actions).await;
        metrics.stages.dead_letter = watch.lap();

        ledger.count_into(&mut metrics);
        message_action::count_into(&actions, &mut metrics);
        metrics.stages.total = watch.total();
        Ingested { ledger, shapes, actions, failure, dead_letter_failure, metrics }
    }

    /// Reads the events of all messages, each straight into its series; those refused have their outcome in the ledger.
    fn read<'b>(
        &'b self,
        batch: &'b Batch<'_>,
        ledger: &mut Ledger,
        series: &mut SampleTableBuilder<'b>,
    ) -> Vec<Shape> {
        let mut shapes = Vec::with_capacity(batch.messages.len());
        for message in &batch.messages {
            ledger.open_message();
            let clock = EventTimes { now: batch.started, sent: message.sent };
            let shape = match &message.body {
                Ok(text) => event::read_message(text, &clock, &self.rules, &mut |found| match found.event {
                    Ok(event) => series.add(ledger.add(Outcome::Errored), event),
                    Err(refusal) => ledger.add_rejected(refusal),
                }),
                Err(refusal) => {
                    ledger.add_rejected(refusal.clone());
                    Shape::Single
                }
            };
            shapes.push(shape);
        }
        shapes
    }

    fn encoder(&self) -> MutexGuard<'_, wire::Encoder> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the time until `answer_by`, what sending leaves for putting aside.
    fn reserve(&self, answer_by: Instant) -> Duration {
        if self.dead_letters.is_none() {
            return Duration::ZERO;
        }
        RESERVE_FOR_DEAD_LETTERS.min(answer_by.saturating_duration_since(Instant::now()) / 4)
    }
}

fn margin(batch: &Batch<'_>) -> Duration {
    MARGIN + MARGIN_PER_MESSAGE * u32::try_from(batch.messages.len()).unwrap_or(u32::MAX)
}

/// With the event's index in front where its message is an array, as the refusals of the reading have it.
fn placed(refusal: Rejection, (message, event): (usize, u32), shapes: &[Shape]) -> Rejection {
    match shapes[message] {
        Shape::Single => refusal,
        Shape::Many => Rejection::new(refusal.reason, format!("[{event}].{}", refusal.detail)),
    }
}

/// Times stages.
struct Watch {
    start: Instant,
    last: Instant,
}

impl Watch {
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, last: now }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.last;
        self.last = now;
        lap
    }

    fn total(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests;
