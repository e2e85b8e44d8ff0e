//! Rejected messages to the dead-letter queue.

use super::ledger::RejectedEvent;
use super::{Batch, Gateway, Ledger, Message, MessageAction, Trigger};
use crate::dead_letter::{DeadLetter, DeadLetterError, DeadLetterQueue};
use crate::event::{self, EventTimes, ParsedEvent, Shape};
use crate::limits::MAX_BUILT_DEAD_LETTERS;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::Instant;

/// The time of dead-lettering.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub(super) deadline: Instant,
    /// How long it took to read the payload, which is read again for the dead letters of an array.
    pub(super) read_took: Duration,
}

impl<T, D: DeadLetterQueue> Gateway<T, D> {
    /// Dead-dead_letters what is rejected; returns messages for which that fails. Returns the first failure.
    pub(super) async fn dead_letter(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        timing: Timing,
    ) -> Option<DeadLetterError> {
        match batch.trigger {
            Trigger::Sqs { .. } => self.dead_letter_messages(batch, ledger, timing).await,
            Trigger::Direct => self.dead_letter_events(batch, ledger, timing).await,
        }
    }

    /// Makes one dead letter of each rejected message of a queue.
    async fn dead_letter_messages(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        timing: Timing,
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
            let results = self.put(dead_letters, timing.deadline).await;
            for (number, result) in numbers.into_iter().zip(results) {
                if let Err(error) = result {
                    ledger.actions[number].return_instead(&error.to_string());
                    failure.get_or_insert(error);
                }
            }
        }
        failure
    }

    /// Makes one dead letter of each rejected event of a direct array. A single event is the caller's to keep.
    async fn dead_letter_events(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        timing: Timing,
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
            } else if let Err(error) = self.dead_letter_array(batch, ledger, number, timing).await {
                ledger.actions[number].return_instead(&error.to_string());
                failure.get_or_insert(error);
            }
        }
        failure
    }

    async fn dead_letter_array(
        &self,
        batch: &Batch<'_>,
        ledger: &Ledger,
        number: usize,
        timing: Timing,
    ) -> Result<(), DeadLetterError> {
        let message = &batch.messages[number];
        let Ok(text) = &message.body else { return Ok(()) };
        let times = EventTimes { now: batch.started, sent: message.sent };
        let mut from = 0;
        loop {
            let rejected = ledger.rejected_in(number).filter(|event| event.index >= from);
            let wanted: Vec<_> = rejected.take(MAX_BUILT_DEAD_LETTERS).collect();
            let Some(last) = wanted.last() else { return Ok(()) };
            // Reading may take longer this time, since others share the processor.
            if Instant::now() + timing.read_took * 2 >= timing.deadline {
                return Err(DeadLetterError::NoTime { first_index: from });
            }
            from = last.index + 1;
            let mut dead_letters = Vec::with_capacity(wanted.len());
            let mut wanted = wanted.into_iter().peekable();
            let mut index = 0;
            // Read again, since texts and details of all rejected events would not fit into memory.
            event::read_message(text, &times, &self.rules, &mut |parsed| {
                if let Some(rejected) = wanted.next_if(|rejected| rejected.index == index) {
                    dead_letters.push(dead_letter_of_event(batch, parsed, &rejected));
                }
                index += 1;
            });
            self.put(dead_letters, timing.deadline).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        }
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
    let Message { id, body: Ok(body), sent, group, .. } = &batch.messages[number] else { return None };
    Some(DeadLetter {
        body: body.clone().into_owned(),
        reason: *reason,
        detail: detail.clone(),
        source_message_id: id.clone().into_owned(),
        sent_timestamp: *sent,
        maybe_stored: ledger.maybe_stored_in(number),
        group_id: group.clone().map(Cow::into_owned),
        deduplication_id: id.clone().into_owned(),
    })
}

fn dead_letter_of_event(batch: &Batch<'_>, parsed: ParsedEvent<'_>, rejected: &RejectedEvent<'_>) -> DeadLetter {
    let read_again = parsed.event.err().map(|rejection| rejection.detail.into_owned());
    let own = rejected.own_detail.map(str::to_owned).or(read_again);
    DeadLetter {
        body: parsed.text.into_owned(),
        reason: rejected.reason,
        detail: own.unwrap_or_else(|| rejected.detail().into_owned()),
        source_message_id: batch.request_id.to_owned(),
        // An event without a time got this one; it keeps it when it is redriven.
        sent_timestamp: Some(parsed.sent.unwrap_or(batch.started)),
        maybe_stored: rejected.maybe_stored,
        group_id: None,
        deduplication_id: format!("{}-{}", batch.request_id, rejected.index),
    }
}
