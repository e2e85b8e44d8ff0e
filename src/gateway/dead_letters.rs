//! Rejected messages to the dead-letter queue.

use super::ledger::RejectedEvent;
use super::{Batch, Gateway, Ledger, Message, MessageAction, Trigger};
use crate::dead_letter::{DeadLetter, DeadLetterQueue};
use crate::event::{self, EventTimes, ParsedEvent, Shape};
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::Instant;

/// Letters that are made at a time: bounds memory where a payload holds millions of refused events.
const CHUNK: usize = 5_000;

/// What is known when messages are put aside.
pub(super) struct PutAside<'p> {
    pub(super) batch: &'p Batch<'p>,
    pub(super) ledger: &'p Ledger,
    pub(super) shapes: &'p [Shape],
    /// When all of it must be done.
    pub(super) until: Instant,
    /// How long it took to read the payload: it is read again for the letters of an array.
    pub(super) read_took: Duration,
}

impl<T, D: DeadLetterQueue> Gateway<T, D> {
    /// Puts aside what is rejected, and writes into `actions` what could not be. Answers with the first failure.
    pub(super) async fn put_aside(&self, what: &PutAside<'_>, actions: &mut [MessageAction]) -> Option<String> {
        match what.batch.trigger {
            Trigger::Sqs { .. } => self.put_aside_messages(what, actions).await,
            Trigger::Direct => self.put_aside_events(what, actions).await,
        }
    }

    /// From a queue: the whole message is one letter.
    async fn put_aside_messages(&self, what: &PutAside<'_>, actions: &mut [MessageAction]) -> Option<String> {
        let is_rejected = |number: &usize| matches!(actions[*number], MessageAction::DeadLetter { .. });
        let rejected: Vec<usize> = (0..actions.len()).filter(is_rejected).collect();
        let mut failure = None;
        for chunk in rejected.chunks(CHUNK) {
            let (mut numbers, mut letters) = (Vec::new(), Vec::new());
            for &number in chunk {
                match message_letter(what, number, &actions[number]) {
                    Some(letter) => {
                        numbers.push(number);
                        letters.push(letter);
                    }
                    None => hand_back(&mut actions[number], "its body is not text, which SQS would not take"),
                }
            }
            let results = self.put(letters, what.until).await;
            for (number, result) in numbers.into_iter().zip(results) {
                if let Err(words) = result {
                    hand_back(&mut actions[number], &words);
                    failure.get_or_insert(words);
                }
            }
        }
        failure
    }

    /// From a direct caller: each event of an array is a letter of its own; a single event is the caller's to keep.
    async fn put_aside_events(&self, what: &PutAside<'_>, actions: &mut [MessageAction]) -> Option<String> {
        let mut failure = None;
        for (number, message) in what.batch.messages.iter().enumerate() {
            let MessageAction::DeadLetter { reason, detail } = &actions[number] else { continue };
            if what.shapes[number] == Shape::Single {
                hand_back(&mut actions[number], "the caller is told");
            } else if self.dead_letters.is_none() {
                // All that there is to be done: the report lists them, and this line says where to look.
                let (message_id, reason) = (message.id.as_ref(), reason.as_str());
                let request_id = what.batch.request_id;
                tracing::warn!(request_id, message_id, reason, detail, "events refused, reported only");
                actions[number] = MessageAction::Acknowledge;
            } else if let Err(words) = self.put_aside_array(what, message, number).await {
                hand_back(&mut actions[number], &words);
                failure.get_or_insert(words);
            }
        }
        failure
    }

    async fn put_aside_array(&self, what: &PutAside<'_>, message: &Message<'_>, number: usize) -> Result<(), String> {
        let Ok(text) = &message.body else { return Ok(()) };
        let clock = EventTimes { now: what.batch.started, sent: message.sent };
        let mut from = 0;
        loop {
            let refused = what.ledger.refused_of(number).filter(|refused| !what.ledger.drops(refused.reason));
            let wanted: Vec<_> = refused.filter(|refused| refused.event >= from).take(CHUNK).collect();
            let Some(last) = wanted.last() else { return Ok(()) };
            // It may take longer this time: others share the processor.
            if Instant::now() + what.read_took * 2 >= what.until {
                return Err(format!("no time left to put the events from [{from}] on aside"));
            }
            from = last.event + 1;
            let mut letters = Vec::with_capacity(wanted.len());
            let mut wanted = wanted.into_iter().peekable();
            let mut event = 0;
            // Read again rather than kept: texts and details of all refused events would not fit into memory.
            event::read_message(text, &clock, &self.rules, &mut |found| {
                if let Some(refused) = wanted.next_if(|refused| refused.event == event) {
                    letters.push(event_letter(what.batch, found, &refused));
                }
                event += 1;
            });
            self.put(letters, what.until).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        }
    }

    async fn put(&self, letters: Vec<DeadLetter>, until: Instant) -> Vec<Result<(), String>> {
        match &self.dead_letters {
            Some(queue) => queue.put(letters, until).await,
            None => vec![Err("no dead-letter queue is configured".to_owned()); letters.len()],
        }
    }
}

fn message_letter(what: &PutAside<'_>, number: usize, action: &MessageAction) -> Option<DeadLetter> {
    let MessageAction::DeadLetter { reason, detail } = action else { return None };
    let Message { id, body: Ok(body), sent, group, .. } = &what.batch.messages[number] else { return None };
    Some(DeadLetter {
        body: body.clone().into_owned(),
        reason: *reason,
        detail: detail.clone(),
        source_message_id: id.clone().into_owned(),
        sent_timestamp: *sent,
        maybe_stored: what.ledger.refused_of(number).any(|refused| refused.maybe_stored),
        group_id: group.clone().map(Cow::into_owned),
        deduplication_id: id.clone().into_owned(),
    })
}

fn event_letter(batch: &Batch<'_>, found: ParsedEvent<'_>, refused: &RejectedEvent<'_>) -> DeadLetter {
    let read_again = found.event.err().map(|refusal| refusal.detail.into_owned());
    let own = refused.detail.map(str::to_owned).or(read_again);
    DeadLetter {
        body: found.text.into_owned(),
        reason: refused.reason,
        detail: own.unwrap_or_else(|| refused.words().into_owned()),
        source_message_id: batch.request_id.to_owned(),
        // An event without a time was given this one; redriven, it keeps it.
        sent_timestamp: Some(found.sent.unwrap_or(batch.started)),
        maybe_stored: refused.maybe_stored,
        group_id: None,
        deduplication_id: format!("{}-{}", batch.request_id, refused.event),
    }
}

fn hand_back(action: &mut MessageAction, words: &str) {
    if let MessageAction::DeadLetter { reason, detail } = action {
        *action = MessageAction::Return { reason: reason.as_str(), detail: format!("{detail} ({words})") };
    }
}
