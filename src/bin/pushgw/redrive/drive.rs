//! The run: receive, understand, write, and only then delete; batch by batch, until there is no more or it is stopped.
//!
//! A message that stays is hidden from others until the run is over, so that the run does not meet it again; then it is
//! shown again at once. A run that is killed leaves what it had received hidden until that time is over, and what it
//! had written but not yet deleted on the queue as well: the next run writes that again.

use super::age::Ages;
use super::choice::{Choice, Way};
use super::file::JsonLines;
use super::letter::{Letter, Message, Received};
use super::queue::{BATCH, Outgoing, Queue};
use super::tally::{Ended, Tally};
use crate::stop::Stop;
use amp_push_gateway::local::wall_clock;
use indicatif::ProgressBar;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long a queue is asked for a message that it may not have. Any time above 0 asks all of its servers.
const WAIT: Duration = Duration::from_secs(1);
/// How often it must have none.
const EMPTY_ANSWERS: u32 = 2;

/// A run.
pub(super) struct Run<'a> {
    pub(super) dead_letters: &'a Queue,
    pub(super) source: Option<&'a Queue>,
    pub(super) file: Option<JsonLines>,
    pub(super) choice: &'a Choice,
    pub(super) max_sample_age_ms: i64,
    pub(super) max: usize,
    /// How long a received message is hidden from others.
    pub(super) hidden_for: Duration,
    pub(super) stop: &'a Stop,
    pub(super) progress: &'a ProgressBar,
}

/// What was received and goes somewhere.
#[derive(Default)]
struct Leaving {
    to_queue: Vec<(Handled, Outgoing)>,
    to_file: Vec<(Handled, String, Option<Ages>)>,
}

/// A message in our hands.
struct Handled {
    id: String,
    handle: String,
}

/// What a run remembers.
#[derive(Default)]
struct Memory {
    tally: Tally,
    /// Handles of messages that stay.
    staying: Vec<String>,
    /// Each message that was seen, and whether it was written. A standard queue may give a message twice.
    seen: HashMap<String, bool>,
}

// === impl Run ===

impl Run<'_> {
    /// Until the queue has no more, or `max`, time, a fault or `stop` ends it.
    pub(super) async fn drive(mut self) -> Tally {
        let mut memory = Memory::default();
        memory.tally.ended = self.batches(&mut memory).await;
        memory.tally.hidden = self.dead_letters.show(&memory.staying).await as u64;
        memory.tally
    }

    async fn batches(&mut self, memory: &mut Memory) -> Ended {
        // What was seen first is hidden for some time yet when the last is written.
        let until = Instant::now() + self.hidden_for * 4 / 5;
        let mut empty_answers = 0;
        while empty_answers < EMPTY_ANSWERS {
            if self.stop.is_asked() {
                return Ended::Stopped;
            }
            let room = self.max.saturating_sub(memory.seen.len());
            if room == 0 {
                return Ended::AtMax;
            }
            if Instant::now() + WAIT > until {
                return Ended::OutOfTime;
            }
            let received = match self.dead_letters.receive(room.min(BATCH), WAIT, self.hidden_for).await {
                Ok(received) => received,
                Err(words) => {
                    memory.tally.tell(words);
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

    /// What of a batch leaves the queue; the rest is kept in mind.
    async fn sort(&self, received: Vec<(String, Received)>, memory: &mut Memory) -> Leaving {
        let now = wall_clock();
        let mut leaving = Leaving::default();
        for (handle, received) in received {
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
            let letter = Letter::read(received);
            let ages = Ages::of(&letter, now);
            let too_old = ages.is_some_and(|ages| ages.is_too_old(letter.shape, now, self.max_sample_age_ms));
            memory.tally.see(&letter, too_old);
            let fits = !matches!(&letter.message, Message::Whole(text) if !Outgoing::fits(text));
            let way = self.choice.way(&letter, too_old, fits);
            let handled = Handled { id: letter.id, handle };
            match (way, letter.message) {
                (Way::ToQueue, Message::Whole(body)) => {
                    let deduplication_id = handled.id.clone();
                    let outgoing = Outgoing { body, sent: letter.sent, group: letter.group, deduplication_id };
                    leaving.to_queue.push((handled, outgoing));
                }
                (Way::ToFile, Message::Whole(text) | Message::ForAFile { text, .. }) => {
                    leaving.to_file.push((handled, text, ages));
                }
                (Way::Stays(why), _) => {
                    memory.tally.stay(why);
                    memory.staying.push(handled.handle);
                }
                // `Choice::way` sends nothing that is not there, and nothing but events to a queue.
                (Way::ToQueue | Way::ToFile, _) => memory.staying.push(handled.handle),
            }
        }
        leaving
    }

    /// Writes, then deletes what was written. Whether the run can go on: where nothing at all could be written it could
    /// only go on to fail.
    async fn write(&mut self, leaving: Leaving, memory: &mut Memory) -> bool {
        let sent = match self.source {
            Some(source) => self.send(source, leaving.to_queue, memory).await,
            None => true,
        };
        self.append(leaving.to_file, memory).await && sent
    }

    async fn send(&self, source: &Queue, messages: Vec<(Handled, Outgoing)>, memory: &mut Memory) -> bool {
        let (handled, outgoing): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let results = source.send(&outgoing).await;
        let mut written = Vec::new();
        let mut words_seen = HashSet::new();
        for (handled, result) in handled.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    memory.tally.sent += 1;
                    memory.seen.insert(handled.id.clone(), true);
                    written.push(handled);
                }
                Err(words) => {
                    memory.tally.failed += 1;
                    if words_seen.insert(words.clone()) {
                        memory.tally.tell(format!("message {} was not sent: {words}", handled.id));
                    }
                    memory.staying.push(handled.handle);
                }
            }
        }
        self.delete(&written, memory).await;
        !written.is_empty() || words_seen.is_empty()
    }

    async fn append(&mut self, messages: Vec<(Handled, String, Option<Ages>)>, memory: &mut Memory) -> bool {
        let Some(file) = self.file.as_mut().filter(|_| !messages.is_empty()) else { return true };
        let texts: Vec<_> = messages.iter().map(|(_, text, _)| text.clone()).collect();
        if let Err(words) = file.append(&texts) {
            memory.tally.failed += messages.len() as u64;
            memory.tally.tell(words);
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
        for (handled, result) in written.iter().zip(self.dead_letters.delete(&handles).await) {
            if let Err(words) = result {
                memory.tally.not_deleted += 1;
                memory.tally.tell(format!("message {} was written, but could not be deleted: {words}", handled.id));
            }
        }
    }
}
