//! Runs `redrive`: receives, parses, writes, and then deletes, batch by batch. It ends when the queue is empty, or when it
//! is stopped.
//!
//! A message that stays is hidden during the run, so that the run does not receive it again. At the end it is visible at
//! once. After a killed run the messages that it received stay hidden until their time ends. If it had written a message
//! and not yet deleted it, the next run writes it again.

use super::age::Ages;
use super::attributes;
use super::dead_letter::{DeadLetter, Message, Origin};
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

/// The wait of one receive. With any time above 0 SQS asks all of its servers.
const WAIT: Duration = Duration::from_secs(1);
/// After this number of answers without a message the queue counts as empty.
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
    pub(super) tally: Tally,
    /// Receipts of messages that stay.
    pub(super) staying: Vec<String>,
    /// Each received message, and whether it was written. A standard queue may give a message twice.
    pub(super) seen: HashMap<String, bool>,
}

/// The received messages that leave the queue.
#[derive(Default)]
struct Leaving {
    to_queue: Vec<(ReceivedMessage, OutgoingMessage)>,
    to_file: Vec<(ReceivedMessage, Filed)>,
}

/// A message for the file.
struct Filed {
    text: String,
    /// Some of its events have no time.
    is_without_time: bool,
    /// Some of its typed metrics are, or may be, in the table.
    may_be_counted: bool,
}

impl Run<'_> {
    /// Ends when the queue is empty, or by `max`, time, an error or `stop`.
    pub(super) async fn drive(mut self) -> Tally {
        self.tally.ended = self.batches().await;
        let shown = self.dead_letters.show(&self.staying).await;
        self.tally.hidden = shown.iter().filter(|result| result.is_err()).count() as u64;
        self.tally
    }

    async fn batches(&mut self) -> Ended {
        // The first messages stay hidden for a fifth of the time after the last ones are written.
        let deadline = Instant::now() + self.hidden_for * 4 / 5;
        let mut empty_answers = 0;
        while empty_answers < EMPTY_ANSWERS {
            if self.stop.is_asked() {
                return Ended::Stopped;
            }
            let room = self.max.saturating_sub(self.seen.len());
            if room == 0 {
                return Ended::Max;
            }
            if Instant::now() + WAIT > deadline {
                return Ended::Time;
            }
            let received = match self.dead_letters.receive(room.min(MAX_ENTRIES), WAIT, Some(self.hidden_for)).await {
                Ok(received) => received,
                Err(error) => {
                    self.tally.fail(queue::text(self.dead_letters, &error));
                    return Ended::Failed;
                }
            };
            empty_answers = if received.is_empty() { empty_answers + 1 } else { 0 };
            self.progress.inc(received.len() as u64);
            let leaving = self.sort(received).await;
            let sent = self.send(leaving.to_queue).await;
            if !self.append(leaving.to_file).await || !sent {
                // The rest would fail, too.
                return Ended::Failed;
            }
        }
        Ended::Empty
    }

    /// Returns the messages of a batch that leave the queue, and remembers the rest.
    async fn sort(&mut self, batch: Vec<ReceivedMessage>) -> Leaving {
        let now = wall_clock();
        let mut leaving = Leaving::default();
        for received in batch {
            match self.seen.get(&received.message_id) {
                Some(true) => {
                    self.delete(&[received]).await;
                    continue;
                }
                Some(false) => {
                    self.staying.push(received.receipt_handle);
                    continue;
                }
                None => self.seen.insert(received.message_id.clone(), false),
            };
            let dead_letter = DeadLetter::read(&received);
            let ages = Ages::of(&dead_letter, now);
            let too_old = ages.is_some_and(|ages| ages.is_too_old(dead_letter.origin, now, self.max_sample_age_ms));
            self.tally.see(&dead_letter, too_old);
            let attributes = attributes::of(&dead_letter, ages.as_ref());
            let fits = !matches!(&dead_letter.message, Message::Whole(text) if !queue::fits(text, &attributes));
            let route = self.selection.route(&dead_letter, too_old, fits);
            match (route, dead_letter.message, self.source) {
                (Route::ToQueue, Message::Whole(body), Some(source)) => {
                    let id = &received.message_id;
                    let outgoing = queue::outgoing(source, body, attributes, dead_letter.group, id);
                    leaving.to_queue.push((received, outgoing));
                }
                (Route::ToFile, Message::Whole(text) | Message::ForAFile(text), _) => {
                    let may_be_counted = dead_letter.origin != Origin::Gateway || dead_letter.counted;
                    let filed = Filed {
                        text,
                        is_without_time: ages.is_some_and(|ages| ages.any_without_time),
                        may_be_counted: may_be_counted && ages.is_some_and(|ages| ages.any_typed),
                    };
                    leaving.to_file.push((received, filed));
                }
                // `Selection::route` sends only messages that exist, and only events to a queue.
                (route, ..) => {
                    if let Route::Stays(why) = route {
                        *self.tally.stays.entry(why).or_default() += 1;
                    }
                    self.staying.push(received.receipt_handle);
                }
            }
        }
        leaving
    }

    /// Sends, then deletes what was sent. Returns false if nothing at all could be sent.
    async fn send(&mut self, messages: Vec<(ReceivedMessage, OutgoingMessage)>) -> bool {
        let Some(source) = self.source else { return true };
        let (batch, outgoing): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let results = source.send(outgoing, None).await;
        let mut written = Vec::new();
        let mut texts = HashSet::new();
        for (received, result) in batch.into_iter().zip(results) {
            let Err(error) = result else {
                written.push(received);
                continue;
            };
            self.tally.failed += 1;
            let text = queue::text(source, &error);
            if texts.insert(text.clone()) {
                self.tally.fail(format!("message {} was not sent: {text}", received.message_id));
            }
            self.staying.push(received.receipt_handle);
        }
        self.tally.sent += written.len() as u64;
        self.delete(&written).await;
        !written.is_empty() || texts.is_empty()
    }

    /// Appends to the file, then deletes what was appended. Returns false if that failed.
    async fn append(&mut self, messages: Vec<(ReceivedMessage, Filed)>) -> bool {
        let Some(file) = self.file.as_mut().filter(|_| !messages.is_empty()) else { return true };
        let count = |is: fn(&Filed) -> bool| messages.iter().filter(|(_, filed)| is(filed)).count() as u64;
        let (without_time, counted) = (count(|filed| filed.is_without_time), count(|filed| filed.may_be_counted));
        let (batch, texts): (Vec<_>, Vec<_>) =
            messages.into_iter().map(|(received, filed)| (received, filed.text)).unzip();
        if let Err(error) = file.append(&texts) {
            self.tally.failed += batch.len() as u64;
            self.tally.fail(error.to_string());
            self.staying.extend(batch.into_iter().map(|received| received.receipt_handle));
            return false;
        }
        self.tally.filed += batch.len() as u64;
        self.tally.filed_without_time += without_time;
        self.tally.filed_counted += counted;
        self.delete(&batch).await;
        true
    }

    async fn delete(&mut self, written: &[ReceivedMessage]) {
        if written.is_empty() {
            return;
        }
        self.seen.extend(written.iter().map(|received| (received.message_id.clone(), true)));
        let handles: Vec<_> = written.iter().map(|received| received.receipt_handle.clone()).collect();
        for (index, error) in event_source::delete(self.dead_letters, &handles).await {
            let (id, text) = (&written[index].message_id, queue::text(self.dead_letters, &error));
            self.tally.not_deleted += 1;
            self.tally.fail(format!("message {id} was written, but could not be deleted: {text}"));
        }
    }
}
