//! Sends rejected messages to the dead-letter queue.

use super::event_texts::EventTexts;
use super::ledger::RejectedEvent;
use super::{Batch, Gateway, Ledger, Message, MessageAction, Trigger};
use crate::aws::sqs::SqsError;
use crate::dead_letter::{DeadLetter, DeadLetterError, DeadLetterQueue};
use crate::event::Shape;
use crate::limits::{MAX_BUILT_DEAD_LETTERS, MAX_EVENT_DEAD_LETTERS, MAX_MESSAGE_BYTES};
use std::borrow::Cow;
use tokio::time::Instant;

impl<T, D: DeadLetterQueue> Gateway<T, D> {
    /// Dead-letters what is rejected, before `deadline`; returns messages for which that fails. `texts` are those of the events of
    /// a direct payload. Returns the first failure.
    pub(super) async fn dead_letter(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        texts: Option<EventTexts<'_>>,
        deadline: Instant,
    ) -> Option<DeadLetterError> {
        match batch.trigger {
            Trigger::Sqs { .. } => self.dead_letter_messages(batch, ledger, deadline).await,
            Trigger::Direct => self.dead_letter_events(batch, ledger, texts, deadline).await,
            Trigger::Http => None,
        }
    }

    /// Makes one dead letter of each rejected message of a queue.
    async fn dead_letter_messages(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        deadline: Instant,
    ) -> Option<DeadLetterError> {
        let is_rejected = |message: &usize| matches!(ledger.actions[*message], MessageAction::DeadLetter { .. });
        let rejected: Vec<usize> = (0..batch.messages.len()).filter(is_rejected).collect();
        let mut failure = None;
        for chunk in rejected.chunks(MAX_BUILT_DEAD_LETTERS) {
            let (mut numbers, mut dead_letters) = (Vec::new(), Vec::new());
            for &number in chunk {
                match dead_letter_of_message(batch, ledger, number) {
                    Some(dead_letter) => {
                        numbers.push(number);
                        dead_letters.push(dead_letter);
                    }
                    None => ledger.actions[number].return_instead("its body is not text, which SQS would not take"),
                }
            }
            let results = self.put(dead_letters, deadline).await;
            for (number, result) in numbers.into_iter().zip(results) {
                if let Err(error) = result {
                    ledger.actions[number].return_instead(&error.to_string());
                    failure.get_or_insert(error);
                }
            }
        }
        failure
    }

    /// Makes one dead letter of each rejected event of a direct array. A single event is not dead-lettered, because its
    /// caller has it.
    async fn dead_letter_events(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        texts: Option<EventTexts<'_>>,
        deadline: Instant,
    ) -> Option<DeadLetterError> {
        let mut failure = None;
        for (number, message) in batch.messages.iter().enumerate() {
            let MessageAction::DeadLetter { reason, detail } = &ledger.actions[number] else { continue };
            if ledger.shape(number) == Shape::Single {
                ledger.actions[number].return_instead("reported to the caller");
            } else if self.dead_letters.is_none() {
                let (message_id, reason) = (message.id.as_ref(), reason.as_str());
                let request_id = batch.request_id;
                tracing::warn!(request_id, message_id, reason, detail, "events rejected, reported only");
                ledger.actions[number] = MessageAction::Acknowledge;
            } else if let Err(error) = self.dead_letter_array(batch, ledger, number, texts.as_ref(), deadline).await {
                ledger.actions[number].return_instead(&error.to_string());
                failure.get_or_insert(error);
            }
        }
        failure
    }

    /// Makes one dead letter of each rejected event, or of the payload if they are too many.
    async fn dead_letter_array(
        &self,
        batch: &Batch<'_>,
        ledger: &Ledger,
        number: usize,
        texts: Option<&EventTexts<'_>>,
        deadline: Instant,
    ) -> Result<(), DeadLetterError> {
        let dead_letters = if ledger.rejected_count_in(number) <= MAX_EVENT_DEAD_LETTERS {
            let of_event =
                |event: RejectedEvent<'_>| Some(dead_letter_of_event(batch, texts?.text(event.index)?, &event));
            ledger.rejected_in(number).map(of_event).collect()
        } else {
            None
        };
        let Some(dead_letters) = dead_letters else {
            return self.dead_letter_payload(batch, ledger, number, deadline).await;
        };
        self.put(dead_letters, deadline).await.into_iter().collect()
    }

    async fn dead_letter_payload(
        &self,
        batch: &Batch<'_>,
        ledger: &Ledger,
        number: usize,
        deadline: Instant,
    ) -> Result<(), DeadLetterError> {
        let bytes = batch.messages[number].body.as_ref().map_or(0, |body| body.len());
        if bytes > MAX_MESSAGE_BYTES {
            return Err(DeadLetterError::PayloadTooLong { bytes });
        }
        let Some(dead_letter) = dead_letter_of_message(batch, ledger, number) else { return Ok(()) };
        let put: Result<(), _> = self.put(vec![dead_letter], deadline).await.into_iter().collect();
        put.map_err(|error| match error {
            // Its attributes do not fit beside it.
            DeadLetterError::Sqs(SqsError::TooLong) => DeadLetterError::PayloadTooLong { bytes },
            error => error,
        })
    }

    async fn put(&self, dead_letters: Vec<DeadLetter>, deadline: Instant) -> Vec<Result<(), DeadLetterError>> {
        match &self.dead_letters {
            Some(queue) => queue.put(dead_letters, deadline).await,
            None => vec![Err(DeadLetterError::NotConfigured); dead_letters.len()],
        }
    }
}

fn dead_letter_of_message(batch: &Batch<'_>, ledger: &Ledger, number: usize) -> Option<DeadLetter> {
    let MessageAction::DeadLetter { reason, detail } = &ledger.actions[number] else { return None };
    let message = &batch.messages[number];
    let Message { id, body: Ok(body), sent, group, source_message_id, source_index, .. } = message else { return None };
    Some(DeadLetter {
        body: body.clone().into_owned(),
        reason: *reason,
        detail: detail.clone(),
        source_message_id: source_message_id.as_ref().filter(|id| !id.is_empty()).unwrap_or(id).clone().into_owned(),
        source_index: source_index.clone().map(Cow::into_owned),
        sent_timestamp: sent.or((batch.trigger == Trigger::Direct).then_some(batch.started)),
        counted: message.counted || ledger.counted_in(number),
        maybe_stored: ledger.maybe_stored_in(number),
        group_id: group.clone().map(Cow::into_owned),
        deduplication_id: id.clone().into_owned(),
    })
}

fn dead_letter_of_event(batch: &Batch<'_>, text: &str, rejected: &RejectedEvent<'_>) -> DeadLetter {
    DeadLetter {
        body: text.to_owned(),
        reason: rejected.reason,
        detail: rejected.detail().into_owned(),
        source_message_id: batch.request_id.to_owned(),
        source_index: Some(rejected.index.to_string()),
        // An event without a time got this one; it keeps it when it is redriven.
        sent_timestamp: Some(batch.started),
        // A rejected event is not in the journal.
        counted: false,
        maybe_stored: rejected.maybe_stored,
        group_id: None,
        deduplication_id: format!("{}-{}", batch.request_id, rejected.index),
    }
}
