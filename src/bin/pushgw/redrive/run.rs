//! A run: receives, parses, writes, and only then deletes; batch by batch, until the queue is empty or it is stopped.
//!
//! A message that stays is hidden until the run is over: the run must not receive it again. Then it is shown at once. A
//! killed run leaves what it had received hidden until that time is over. A message that it had written, but not yet
//! deleted, is still on the queue: the next run writes it again.

use super::age::Ages;
use super::dead_letter::{DeadLetter, Message};
use super::file::JsonLines;
use super::queue;
use super::route::{Route, Selection};
use super::tally::{Ended, Tally};
use crate::stop_signal::StopSignal;
use amp_push_gateway::aws::sqs::{MAX_ENTRIES, OutgoingMessage, Queue, ReceivedMessage};
use amp_push_gateway::local::{event_source, wall_clock};
use indicatif::ProgressBar;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// For one receive. SQS asks all of its servers for any time above 0.
const WAIT: Duration = Duration::from_secs(1);
/// An empty queue answers so often without a message.
const EMPTY_ANSWERS: u32 = 2;

pub(super) struct Run<'a> {
    pub(super) dead_letters: &'a Queue,
    pub(super) source: Option<&'a Queue>,
    pub(super) file: Option<JsonLines>,
    pub(super) selection: &'a Selection,
    pub(super) max_sample_age_ms: i64,
    pub(super) max: usize,
    /// How long a received message is hidden from others.
    pub(super) hidden_for: Duration,
    pub(super) stop: &'a StopSignal,
    pub(super) progress: &'a ProgressBar,
}

/// The received messages that leave the queue.
#[derive(Default)]
struct Leaving {
    to_queue: Vec<(Handled, OutgoingMessage)>,
    to_file: Vec<(Handled, String, Option<Ages>)>,
}

struct Handled {
    id: String,
    handle: String,
}

#[derive(Default)]
struct Memory {
    tally: Tally,
    /// Handles of messages that stay.
    staying: Vec<String>,
    /// Each received message, and whether it was written. A standard queue may give a message twice.
    seen: HashMap<String, bool>,
}

// === impl Run ===

impl Run<'_> {
    /// Ends when the queue is empty, or by `max`, time, an error or `stop`.
    pub(super) async fn drive(mut self) -> Tally {
        let mut memory = Memory::default();
        memory.tally.ended = self.batches(&mut memory).await;
        let shown = self.dead_letters.show(&memory.staying).await;
        memory.tally.hidden = shown.iter().filter(|result| result.is_err()).count() as u64;
        memory.tally
    }

    async fn batches(&mut self, memory: &mut Memory) -> Ended {
        // The first messages stay hidden for a fifth of the time after the last ones are written.
        let deadline = Instant::now() + self.hidden_for * 4 / 5;
        let mut empty_answers = 0;
        while empty_answers < EMPTY_ANSWERS {
            if self.stop.is_asked() {
                return Ended::Stopped;
            }
            let room = self.max.saturating_sub(memory.seen.len());
            if room == 0 {
                return Ended::AtMax;
            }
            if Instant::now() + WAIT > deadline {
                return Ended::OutOfTime;
            }
            let most = room.min(MAX_ENTRIES);
            let received = match self.dead_letters.receive(most, WAIT, Some(self.hidden_for)).await {
                Ok(received) => received,
                Err(error) => {
                    memory.tally.fail(queue::text(self.dead_letters, &error));
                    return Ended::Failed;
                }
            };
            empty_answers = if received.is_empty() { empty_answers + 1 } else { 0 };
            self.progress.inc(received.len() as u64);
            let leaving = self.sort(received, memory).await;
            if !self.write(leaving, memory).await {
                return Ended::Failed;
            }
        }
        Ended::Empty
    }

    /// Returns the messages of a batch that leave the queue, and remembers the rest.
    async fn sort(&self, received: Vec<ReceivedMessage>, memory: &mut Memory) -> Leaving {
        let now = wall_clock();
        let mut leaving = Leaving::default();
        for (handle, received) in received.into_iter().map(queue::received) {
            match memory.seen.get(&received.id) {
                Some(true) => {
                    self.delete(&[Handled { id: received.id, handle }], memory).await;
                    continue;
                }
                Some(false) => {
                    memory.staying.push(handle);
                    continue;
                }
                None => memory.seen.insert(received.id.clone(), false),
            };
            let dead_letter = DeadLetter::read(received);
            let ages = Ages::of(&dead_letter, now);
            let too_old = ages.is_some_and(|ages| ages.is_too_old(dead_letter.origin, now, self.max_sample_age_ms));
            memory.tally.see(&dead_letter, too_old);
            let fits = !matches!(&dead_letter.message, Message::Whole(text) if !queue::fits(text));
            let route = self.selection.route(&dead_letter, too_old, fits);
            let handled = Handled { id: dead_letter.id, handle };
            match (route, dead_letter.message, self.source) {
                (Route::ToQueue, Message::Whole(body), Some(source)) => {
                    let outgoing = queue::outgoing(source, body, dead_letter.sent, dead_letter.group, &handled.id);
                    leaving.to_queue.push((handled, outgoing));
                }
                (Route::ToFile, Message::Whole(text) | Message::ForAFile { text, .. }, _) => {
                    leaving.to_file.push((handled, text, ages));
                }
                (Route::Stays(why), ..) => {
                    memory.tally.stay(why);
                    memory.staying.push(handled.handle);
                }
                // `Selection::route` sends only messages that exist, and only events to a queue.
                (Route::ToQueue | Route::ToFile, ..) => memory.staying.push(handled.handle),
            }
        }
        leaving
    }

    /// Writes, then deletes what was written. Returns false if nothing at all could be written: the rest would fail, too.
    async fn write(&mut self, leaving: Leaving, memory: &mut Memory) -> bool {
        let sent = match self.source {
            Some(source) => self.send(source, leaving.to_queue, memory).await,
            None => true,
        };
        self.append(leaving.to_file, memory).await && sent
    }

    async fn send(&self, source: &Queue, messages: Vec<(Handled, OutgoingMessage)>, memory: &mut Memory) -> bool {
        let (handled, outgoing): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let results = source.send(outgoing, None).await;
        let mut written = Vec::new();
        let mut texts = HashSet::new();
        for (handled, result) in handled.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    memory.tally.sent += 1;
                    memory.seen.insert(handled.id.clone(), true);
                    written.push(handled);
                }
                Err(error) => {
                    memory.tally.failed += 1;
                    let text = queue::text(source, &error);
                    if texts.insert(text.clone()) {
                        memory.tally.fail(format!("message {} was not sent: {text}", handled.id));
                    }
                    memory.staying.push(handled.handle);
                }
            }
        }
        self.delete(&written, memory).await;
        !written.is_empty() || texts.is_empty()
    }

    async fn append(&mut self, messages: Vec<(Handled, String, Option<Ages>)>, memory: &mut Memory) -> bool {
        let Some(file) = self.file.as_mut().filter(|_| !messages.is_empty()) else { return true };
        let texts: Vec<_> = messages.iter().map(|(_, text, _)| text.clone()).collect();
        if let Err(error) = file.append(&texts) {
            memory.tally.failed += messages.len() as u64;
            memory.tally.fail(error.to_string());
            memory.staying.extend(messages.into_iter().map(|(handled, ..)| handled.handle));
            return false;
        }
        let mut written = Vec::with_capacity(messages.len());
        for (handled, _, ages) in messages {
            memory.tally.file(ages.as_ref());
            memory.seen.insert(handled.id.clone(), true);
            written.push(handled);
        }
        self.delete(&written, memory).await;
        true
    }

    async fn delete(&self, written: &[Handled], memory: &mut Memory) {
        if written.is_empty() {
            return;
        }
        let handles: Vec<_> = written.iter().map(|handled| handled.handle.clone()).collect();
        for (index, error) in event_source::delete(self.dead_letters, &handles).await {
            let (id, text) = (&written[index].id, queue::text(self.dead_letters, &error));
            memory.tally.not_deleted += 1;
            memory.tally.fail(format!("message {id} was written, but could not be deleted: {text}"));
        }
    }
}
