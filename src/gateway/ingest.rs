//! Ingest: takes a batch of messages, and returns an outcome for each event and an action for each message.

use super::event_texts::EventTexts;
use super::journal::{self, Journal};
use super::watch::Watch;
use super::writer::Writer;
use super::{Batch, Groups, Ledger, Message, Stages, State, Summary, Trigger, message_action};
use crate::amp::SIGNING_NAME;
use crate::aws::{CredentialsSource, HttpTransport, Signed, Signer, Transport};
use crate::config::{LateSamples, RemoteWriteSettings, Settings, StateSettings};
use crate::dead_letter::{DeadLetterError, DeadLetterQueue, SqsDeadLetters};
use crate::event::{self, Event, EventTimes, Rules, Shape};
use crate::model::{LabelSet, Reason, Rejection};
use crate::remote_write::Answered;
use crate::series::{Contradiction, SampleTableBuilder};
use aws_credential_types::Credentials;
use std::time::Duration;
use tokio::time::Instant;

/// Outcomes are returned at least this long before the end of the invocation. [`MARGIN_PER_MESSAGE`] and
/// [`MARGIN_PER_EVENT`] are added. The latter takes at most half of the remaining time.
const MARGIN: Duration = Duration::from_millis(300);

/// How long the log line and the answer of a message take in a function of 128 MB, which has a fourteenth of a processor.
const MARGIN_PER_MESSAGE: Duration = Duration::from_micros(150);

/// How long counting and reporting an event take in such a function.
const MARGIN_PER_EVENT: Duration = Duration::from_micros(2);

/// Few events have less text for each sample. It is no problem to reserve more memory than is used.
const MIN_TEXT_OF_SAMPLE: usize = 16;

/// Time that sending leaves for dead letters and the answer.
const RESERVE_FOR_DEAD_LETTERS: Duration = Duration::from_secs(2);

/// Ingests batches; one for the life of the process.
#[derive(Debug)]
pub struct Gateway<T, D> {
    pub(super) rules: Rules,
    late_samples: LateSamples,
    pub(super) writer: Writer<T>,
    pub(super) dead_letters: Option<D>,
    /// The table, if there is one.
    pub(super) state: Option<State>,
    /// Its pushed groups.
    pub(super) groups: Option<Groups>,
}

/// The outcomes and numbers of a batch.
#[derive(Debug)]
pub struct Ingested {
    pub ledger: Ledger,
    pub summary: Summary,
    /// Why events are errored.
    pub failure: Option<String>,
    /// How long the receiver wants no request.
    pub retry_after: Option<Duration>,
    /// Why a dead letter could not be sent.
    pub dead_letter_failure: Option<DeadLetterError>,
}

/// Returns the gateway that `ingest` runs.
pub fn from_settings(
    settings: &Settings,
    http: &HttpTransport,
) -> Result<Gateway<Signed<HttpTransport>, SqsDeadLetters>, http::uri::InvalidUri> {
    let dead_letters = settings.dead_letters.queue_url.as_ref().map(SqsDeadLetters::new);
    let gateway = Gateway::new(settings, signed_transport(settings, http), dead_letters)?;
    Ok(gateway.with_state(State::from_settings(&settings.state, http)))
}

/// Returns an HTTP transport that signs as `settings` ask for.
pub fn signed_transport(settings: &Settings, http: &HttpTransport) -> Signed<HttpTransport> {
    let RemoteWriteSettings { signing_region, credentials, .. } = &settings.remote_write;
    let signer = signer(signing_region.as_deref(), credentials.as_ref());
    Signed::new(http.clone(), signer)
}

/// Returns what signs requests to AMP in this region; `None` for receivers that want no signature.
pub(super) fn signer(region: Option<&str>, credentials: Option<&Credentials>) -> Option<Signer> {
    region.map(|region| Signer {
        service: SIGNING_NAME,
        region: region.to_owned(),
        credentials: CredentialsSource::new(credentials.cloned(), region),
    })
}

impl<T, D> Gateway<T, D> {
    pub fn has_dead_letter_queue(&self) -> bool {
        self.dead_letters.is_some()
    }

    pub fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }

    /// Returns the settings of the state, if there is one.
    pub fn state_settings(&self) -> Option<&StateSettings> {
        self.state.as_ref().map(|state| &state.settings)
    }

    /// Returns the labels that every series has, unless it has its own.
    pub fn external_labels(&self) -> &LabelSet<'static> {
        &self.rules.external_labels
    }
}

impl<T: Transport, D: DeadLetterQueue> Gateway<T, D> {
    /// Returns a gateway that writes through `transport`. The error says that the URL of the settings is none for HTTP.
    pub fn new(settings: &Settings, transport: T, dead_letters: Option<D>) -> Result<Self, http::uri::InvalidUri> {
        Ok(Self {
            rules: settings.rules.clone(),
            late_samples: settings.dead_letters.late_samples,
            writer: Writer::new(&settings.remote_write, transport)?,
            dead_letters,
            state: None,
            groups: None,
        })
    }

    /// Keeps state in a table.
    #[must_use]
    pub fn with_state(self, state: Option<State>) -> Self {
        let groups = state.as_ref().map(Groups::of);
        Self { state, groups, ..self }
    }

    /// Opens a connection to the receiver before there is anything to send.
    pub async fn warm(&self) {
        self.writer.warm().await;
    }

    /// Sends a request without series: it tests URL, signature and permission and stores nothing.
    pub async fn ping(&self, timeout: Duration) -> Answered {
        self.writer.ping(timeout).await
    }

    /// Decides the outcome of each event of a batch, before its deadline.
    pub async fn ingest(&self, batch: &Batch<'_>) -> Ingested {
        let mut stages = Stages::default();
        let mut watch = Watch::start();
        let mut ledger = Ledger::new(self.late_samples);

        let text: usize =
            batch.messages.iter().filter_map(|message| message.body.as_ref().ok()).map(|text| text.len()).sum();
        let mut table = SampleTableBuilder::with_capacity(text / MIN_TEXT_OF_SAMPLE)
            .with_common_labels(&self.rules.external_labels);
        let mut journal = self.state.as_ref().map(Journal::new);
        let texts = self.read(batch, &mut ledger, &mut table, journal.as_mut());
        stages.read = watch.lap();

        let table = table.finish(&mut |contradiction| ledger.reject(contradiction.item, rejection(contradiction)));
        stages.merge = watch.lap();

        let answer_deadline = answer_deadline(batch, ledger.len());
        let messages = ledger.first_events();
        let send_deadline = self.send_deadline(batch.trigger, answer_deadline);
        // Both are written at the same time, each even if the other fails.
        let (written, journalled) = tokio::join!(
            self.writer.write(&table, &messages, batch.request_id, send_deadline),
            journal::write(journal, send_deadline),
        );
        let mut outcomes = written.delivery.outcomes(|item| {
            batch.trigger == Trigger::Direct || batch.messages[ledger.message_of(item)].receive_count > 1
        });
        ledger.settle(&outcomes);
        ledger.settle_typed(&journalled.events);
        let failure = journal::joined(outcomes.failure.take(), journalled.failure);
        stages.encode = written.encoding;
        stages.send = watch.lap().saturating_sub(written.encoding);

        ledger.actions = message_action::actions(batch, &ledger, failure.as_deref());
        let dead_letter_failure = self.dead_letter(batch, &mut ledger, texts, answer_deadline).await;
        stages.dead_letter = watch.lap();
        stages.total = watch.total();

        let summary = Summary::of(&ledger, &outcomes, written.sent, stages);
        Ingested { ledger, summary, failure, retry_after: written.retry_after, dead_letter_failure }
    }

    /// Reads the events of all messages into the table; rejected ones have their outcome in the ledger. Returns the texts of the
    /// events of a direct payload, if they may become dead letters.
    fn read<'b>(
        &'b self,
        batch: &'b Batch<'_>,
        ledger: &mut Ledger,
        table: &mut SampleTableBuilder<'b>,
        mut journal: Option<&mut Journal<'b>>,
    ) -> Option<EventTexts<'b>> {
        let mut texts = match batch.messages.as_slice() {
            [Message { body: Ok(payload), .. }] if batch.trigger == Trigger::Direct && self.has_dead_letter_queue() => {
                Some(EventTexts::new(payload))
            }
            _ => None,
        };
        for message in &batch.messages {
            ledger.open_message();
            let shape = self.read_message(batch, message, ledger, table, journal.as_deref_mut(), texts.as_mut());
            ledger.close_message(shape);
        }
        texts
    }

    fn read_message<'b>(
        &'b self,
        batch: &'b Batch<'_>,
        message: &'b Message<'_>,
        ledger: &mut Ledger,
        table: &mut SampleTableBuilder<'b>,
        mut journal: Option<&mut Journal<'b>>,
        mut texts: Option<&mut EventTexts<'b>>,
    ) -> Shape {
        let text = match &message.body {
            Ok(text) => text,
            Err(rejection) => {
                ledger.add_rejected(rejection.clone());
                return Shape::Single;
            }
        };
        let times = EventTimes { now: batch.started, sent: message.sent };
        let was_sent_before = batch.trigger == Trigger::Direct || message.receive_count > 1;
        if let Some(journal) = &mut journal {
            journal.open_message(message, batch);
        }
        event::read_message(text, &times, &self.rules, &mut |parsed| {
            let event = parsed.event.and_then(|event| match event {
                Event::Plain(event) => Ok(Some(event)),
                Event::Typed(metric) => {
                    let added = match &mut journal {
                        Some(journal) => journal.add(ledger.next(), &metric, ledger.len_of_open_message()),
                        None => Err(needs_state()),
                    };
                    added.map(|()| None).map_err(|rejection| located(rejection, parsed.index))
                }
            });
            if let Some(texts) = &mut texts {
                let reason = event.as_ref().err().map(|rejection| rejection.reason);
                texts.keep(&parsed.text, reason.is_some_and(|reason| !ledger.drops(reason)));
            }
            match event {
                Ok(Some(event)) => {
                    ledger.null_values += u64::from(event.null_values);
                    let samples = event.metrics.into_iter().map(|(name, value)| (name, event.timestamp, value));
                    table.add(ledger.add(), event.labels, samples);
                }
                Ok(None) => _ = ledger.add(),
                Err(rejection) => {
                    // An earlier delivery may have journalled it.
                    let may_be_stored = parsed.is_typed && was_sent_before && rejection.reason == Reason::TooOld;
                    ledger.add_rejected(rejection);
                    if may_be_stored {
                        ledger.last_may_be_stored();
                    }
                }
            }
        })
    }

    /// Returns when sending must end, so that dead letters have their time.
    fn send_deadline(&self, trigger: Trigger, answer_deadline: Instant) -> Instant {
        if self.dead_letters.is_none() || trigger == Trigger::Http {
            return answer_deadline;
        }
        let remaining = answer_deadline.saturating_duration_since(Instant::now());
        answer_deadline - RESERVE_FOR_DEAD_LETTERS.min(remaining / 4)
    }
}

fn answer_deadline(batch: &Batch<'_>, events: usize) -> Instant {
    let times = |time: Duration, count: usize| time * u32::try_from(count).unwrap_or(u32::MAX);
    let end = batch.deadline - MARGIN - times(MARGIN_PER_MESSAGE, batch.messages.len());
    end - times(MARGIN_PER_EVENT, events).min(end.saturating_duration_since(Instant::now()) / 2)
}

/// Puts the index of an event in front of the detail, if it is one of several.
fn located(rejection: Rejection, index: Option<usize>) -> Rejection {
    match index {
        Some(index) => rejection.at_index(index),
        None => rejection,
    }
}

fn needs_state() -> Rejection {
    let detail = "the typed metric needs a table to be added up in, and the gateway has none (STATE_TABLE)";
    Rejection::new(Reason::NeedsState, detail)
}

fn rejection(contradiction: &Contradiction<'_>) -> Rejection {
    let name: String = contradiction.name.as_str().chars().take(64).collect();
    let detail = format!("metrics.{name}: {contradiction} of an earlier event of the same series");
    Rejection::new(Reason::DuplicateTimestamp, detail)
}

#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod tests_of_sending;
#[cfg(test)]
mod tests_of_typed;
