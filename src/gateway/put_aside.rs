//! Rejected messages to the dead-letter queue.

use super::fate::general_detail;
use super::{Batch, Fate, Gateway, Ledger, MARGIN, Message, Trigger};
use crate::dead_letter::{DeadLetter, DeadLetterQueue};
use crate::event::{self, Clock, Shape};
use crate::model::{Reason, Timestamp};
use crate::remote_write::Transport;
use std::borrow::Cow;

/// Letters that are made at a time: bounds memory where a payload holds millions of refused events.
const CHUNK: usize = 1_000;

impl<T: Transport, D: DeadLetterQueue> Gateway<T, D> {
    /// Puts aside what is rejected, and writes into `fates` what could not be. Answers with the first failure.
    pub(super) async fn put_aside(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        shapes: &[Shape],
        fates: &mut [Fate],
    ) -> Option<String> {
        match batch.trigger {
            Trigger::Sqs { .. } => self.put_aside_messages(batch, fates).await,
            Trigger::Direct => self.put_aside_events(batch, ledger, shapes, fates).await,
        }
    }

    /// From a queue: the whole message is one letter.
    async fn put_aside_messages(&self, batch: &Batch<'_>, fates: &mut [Fate]) -> Option<String> {
        let rejected: Vec<usize> =
            (0..fates.len()).filter(|&number| matches!(fates[number], Fate::DeadLettered { .. })).collect();
        let mut failure = None;
        for chunk in rejected.chunks(CHUNK) {
            let letter = |&number: &usize| match (&fates[number], &batch.messages[number]) {
                (Fate::DeadLettered { reason, detail }, Message { id, body: Ok(body), sent, group, .. }) => {
                    Ok(DeadLetter {
                        body: body.clone().into_owned(),
                        reason: *reason,
                        detail: detail.clone(),
                        source_message_id: id.clone().into_owned(),
                        sent_timestamp: *sent,
                        maybe_stored: false,
                        group_id: group.clone().map(Cow::into_owned),
                        deduplication_id: id.clone().into_owned(),
                    })
                }
                _ => Err("its body is not text, which SQS would not take".to_owned()),
            };
            let made: Vec<_> = chunk.iter().map(letter).collect();
            let mut results = self.put(made.iter().flatten().cloned().collect(), batch).await.into_iter();
            for (&number, letter) in chunk.iter().zip(&made) {
                let result = match letter {
                    Ok(_) => results.next().unwrap_or_else(|| Err("the queue did not say".to_owned())),
                    Err(words) => Err(words.clone()),
                };
                if let Err(words) = result {
                    hand_back(&mut fates[number], &words);
                    failure.get_or_insert(words);
                }
            }
        }
        failure
    }

    /// From a direct caller: each event of an array is a letter of its own; a single event is the caller's to keep.
    async fn put_aside_events(
        &self,
        batch: &Batch<'_>,
        ledger: &mut Ledger,
        shapes: &[Shape],
        fates: &mut [Fate],
    ) -> Option<String> {
        let mut failure = None;
        for (number, message) in batch.messages.iter().enumerate() {
            if !matches!(fates[number], Fate::DeadLettered { .. }) {
                continue;
            }
            if shapes[number] == Shape::Single {
                hand_back(&mut fates[number], "the caller is told");
                continue;
            }
            if self.dead_letters.is_none() {
                // All that there is to be done: the report lists them, and this line says where to look.
                if let Fate::DeadLettered { reason, detail } = &fates[number] {
                    tracing::warn!(message_id = %message.id, reason = reason.as_str(), detail, "events refused, reported only");
                }
                fates[number] = Fate::Acknowledged;
            } else if let Err(words) = self.put_aside_array(batch, message, number, ledger).await {
                hand_back(&mut fates[number], &words);
                failure.get_or_insert(words);
            }
        }
        failure
    }

    async fn put_aside_array(
        &self,
        batch: &Batch<'_>,
        message: &Message<'_>,
        number: usize,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let Ok(text) = &message.body else { return Ok(()) };
        let clock = Clock { now: batch.started, sent: message.sent };
        let mut from = 0;
        loop {
            let mut letters = Vec::new();
            let wanted: Vec<_> = ledger
                .refused_of(number)
                .filter(|(event, reason, _)| *event >= from && !ledger.drops(*reason))
                .map(|(event, reason, detail)| (event, reason, detail.map(str::to_owned)))
                .take(CHUNK)
                .collect();
            let Some(&(last, ..)) = wanted.last() else { return Ok(()) };
            let mut wanted = wanted.into_iter().peekable();
            let mut event = 0;
            // Read again rather than kept: texts and details of all refused events would not fit into memory.
            event::read_message(text, &clock, &self.rules, &mut |found| {
                if let Some((event, reason, detail)) = wanted.next_if(|(wanted, ..)| *wanted == event) {
                    let read_again = found.event.err().map(|refusal| refusal.detail.into_owned());
                    let detail = detail.or(read_again).unwrap_or_else(|| general_detail(reason).into_owned());
                    letters.push(event_letter(batch, found.text.into_owned(), event, reason, detail));
                }
                event += 1;
            });
            self.put(letters, batch).await.into_iter().collect::<Result<Vec<()>, _>>()?;
            from = last + 1;
        }
    }

    async fn put(&self, letters: Vec<DeadLetter>, batch: &Batch<'_>) -> Vec<Result<(), String>> {
        match &self.dead_letters {
            Some(queue) => queue.put(letters, batch.deadline - MARGIN).await,
            None => vec![Err("no dead-letter queue is configured".to_owned()); letters.len()],
        }
    }
}

fn event_letter(batch: &Batch<'_>, text: String, event: usize, reason: Reason, detail: String) -> DeadLetter {
    // An event without a time was given that of this invocation; redriven, it keeps it.
    let sent: Timestamp = batch.started;
    DeadLetter {
        body: text,
        reason,
        detail,
        source_message_id: batch.request_id.to_owned(),
        sent_timestamp: Some(sent),
        maybe_stored: false,
        group_id: None,
        deduplication_id: format!("{}-{event}", batch.request_id),
    }
}

fn hand_back(fate: &mut Fate, words: &str) {
    if let Fate::DeadLettered { reason, detail } = fate {
        *fate = Fate::HandedBack { reason: reason.as_str(), detail: format!("{detail} ({words})") };
    }
}
