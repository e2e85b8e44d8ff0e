//! The queue, which delivers messages again and in any order, and the dead-letter queue with its operator.

use super::events::EventId;
use super::plan::Part;
use super::process::Process;
use super::{MINUTE, World, wait};
use crate::dead_letter::{DeadLetter, DeadLetterError, DeadLetterQueue};
use std::sync::Arc;
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) sent: i64,
    pub(super) visible: i64,
    pub(super) receives: u32,
    /// The attribute `source_message_id`.
    pub(super) source: Option<String>,
    /// The attribute `counted`.
    pub(super) counted: bool,
    /// The typed events among its elements.
    pub(super) events: Vec<Option<EventId>>,
}

#[derive(Default)]
pub(super) struct Queue {
    /// All that were ever sent.
    pub(super) messages: Vec<Queued>,
    /// The positions of those that are not deleted.
    pub(super) live: Vec<usize>,
    pub(super) letters: Vec<Letter>,
}

/// A dead letter.
pub(super) struct Letter {
    sent: DeadLetter,
    pub(super) events: Vec<Option<EventId>>,
    pub(super) is_redriven: bool,
    /// When the operator sent it back.
    redriven_at: Option<i64>,
    /// The operator has decided.
    is_seen: bool,
    /// Its events have their `id`s.
    has_ids: bool,
}

impl Letter {
    /// Dead letters of one group are one that was sent several times.
    pub(super) fn group(&self) -> &str {
        &self.sent.deduplication_id
    }

    /// An operator who sends it again counts its events.
    pub(super) fn is_uncounted(&self) -> bool {
        !self.sent.counted && !self.sent.maybe_stored
    }

    pub(super) fn explains_all(&self) -> bool {
        !self.sent.counted
    }

    /// A tick owed it. Its copies have one source, which is kept when they are sent back.
    fn is_of_a_tick(&self) -> bool {
        self.sent.source_message_id.contains(':')
    }

    pub(super) fn reason(&self) -> &'static str {
        self.sent.reason.as_str()
    }
}

impl World {
    /// Sends a message: `events` are its typed ones among its elements.
    pub(super) fn send(&self, body: String, events: Vec<Option<EventId>>) {
        self.put_message(body, events, self.now(), None, (false, true));
    }

    fn put_message(
        &self,
        body: String,
        events: Vec<Option<EventId>>,
        sent: i64,
        source: Option<String>,
        flags: (bool, bool),
    ) {
        let (counted, has_ids) = flags;
        let mut queue = self.queue.lock().unwrap();
        let position = queue.messages.len();
        let id = format!("m-{position}");
        self.record.lock().unwrap().register(source.as_ref().unwrap_or(&id), &events, has_ids);
        queue.messages.push(Queued { id, body, sent, visible: self.now(), receives: 0, source, counted, events });
        queue.live.push(position);
    }

    /// Receives some messages, in any order.
    pub(super) fn receive(&self) -> Vec<Queued> {
        if self.is_down(Part::Queue) {
            return Vec::new();
        }
        let (now, most) = (self.now(), usize::try_from(1 + self.below(10)).unwrap());
        let visible_again = now + if self.fails(0.1) { 2_000 } else { self.plan.visibility_ms };
        let mut queue = self.queue.lock().unwrap();
        let Queue { messages, live, .. } = &mut *queue;
        let mut visible: Vec<usize> =
            live.iter().copied().filter(|&message| messages[message].visible <= now).collect();
        self.random.lock().unwrap().shuffle(&mut visible);
        visible.truncate(most);
        let receive = |&message: &usize| {
            messages[message].visible = visible_again;
            messages[message].receives += 1;
            messages[message].clone()
        };
        visible.iter().map(receive).collect()
    }

    /// Deletes a message, unless that is lost; a deleted one can come again.
    pub(super) fn acknowledge(&self, id: &str) {
        let comes_again = self.fails(self.plan.again);
        if self.is_down(Part::Queue) || self.fails(0.03) {
            return;
        }
        let again = self.now() + self.below(50 * MINUTE);
        let mut queue = self.queue.lock().unwrap();
        let position: usize = id[2..].parse().unwrap();
        if comes_again {
            queue.messages[position].visible = again;
        } else {
            queue.live.retain(|&live| live != position);
        }
    }

    /// Makes a returned message visible.
    pub(super) fn give_back(&self, id: &str) {
        let at = self.now() + self.below(20_000);
        self.queue.lock().unwrap().messages[id[2..].parse::<usize>().unwrap()].visible = at;
    }

    fn add_letter(&self, letter: DeadLetter) {
        let mut queue = self.queue.lock().unwrap();
        let of_message = |id: &str| id.strip_prefix("m-")?.parse::<usize>().ok();
        let message = of_message(&letter.deduplication_id);
        let events = if let Some(position) = message {
            queue.messages[position].events.clone()
        } else {
            let array = serde_json::from_str::<Vec<serde_json::Value>>(&letter.body);
            let count = array.map_or(1, |events| events.len());
            self.record.lock().unwrap().owed_events(&letter.source_message_id, count)
        };
        *self.record.lock().unwrap().numbers.letters.entry(letter.reason.as_str()).or_default() += 1;
        let has_ids = message.is_some();
        queue.letters.push(Letter {
            sent: letter,
            events,
            is_redriven: false,
            redriven_at: None,
            is_seen: false,
            has_ids,
        });
    }
}

/// Sends dead letters back, and now and then twice, as a command that was killed and repeated.
pub(super) async fn operate(world: Arc<World>) {
    while !world.is_calm() {
        wait(world.below(world.plan.operator_ms)).await;
        let count = world.queue.lock().unwrap().letters.len();
        for position in 0..count {
            if !world.is_to_be_redriven(position) {
                continue;
            }
            let times = 1 + i32::from(world.chance(0.2));
            for _ in 0..times {
                world.redrive(position);
                world.record.lock().unwrap().numbers.redriven += 1;
                wait(100).await;
            }
        }
    }
}

impl World {
    /// Decides once for each dead letter. It takes one of each group, and the copies of one that a tick owed within an hour. An `id`
    /// protects for an hour, so an event with one is not sent again later.
    fn is_to_be_redriven(&self, position: usize) -> bool {
        let mut queue = self.queue.lock().unwrap();
        if std::mem::replace(&mut queue.letters[position].is_seen, true) {
            return false;
        }
        let letter = &queue.letters[position];
        let may_be_counted = letter.sent.maybe_stored && !letter.sent.counted;
        let record = self.record.lock().unwrap();
        let has_id = |event: &EventId| letter.has_ids && record.events[*event].identity.is_some();
        let is_late = !letter.sent.counted && letter.events.iter().flatten().any(has_id);
        let is_early = |other: &Letter| other.redriven_at.is_some_and(|at| self.now() - at < 50 * MINUTE);
        let is_copy = |other: &Letter| letter.is_of_a_tick() && other.is_of_a_tick() && is_early(other);
        let shares = |other: &Letter| other.events.iter().flatten().any(|event| letter.events.contains(&Some(*event)));
        let is_same =
            |other: &Letter| other.is_redriven && (other.group() == letter.group() || shares(other)) && !is_copy(other);
        // The gauge, whose numbers must ascend.
        let is_unknown = !letter.has_ids && letter.events.contains(&None);
        if is_unknown
            || may_be_counted
            || is_late
            || queue.letters.iter().any(is_same)
            || !self.chance(self.plan.redriven)
        {
            return false;
        }
        (queue.letters[position].is_redriven, queue.letters[position].redriven_at) = (true, Some(self.now()));
        true
    }

    fn redrive(&self, number: usize) {
        let (letter, events, has_ids, keeps_source) = {
            let queue = self.queue.lock().unwrap();
            let letter = &queue.letters[number];
            (letter.sent.clone(), letter.events.clone(), letter.has_ids, letter.sent.counted || letter.is_of_a_tick())
        };
        let now = self.now();
        let source = if keeps_source { letter.source_message_id.clone() } else { format!("dlq-{number}") };
        let sent = letter.sent_timestamp.filter(|_| letter.counted).map_or(now, |sent| sent.0);
        self.put_message(letter.body, events, sent, Some(source), (letter.counted, has_ids));
    }
}

/// The dead-letter queue as a process meets it.
pub(super) struct DeadLetters(pub(super) Arc<Process>);

impl DeadLetterQueue for DeadLetters {
    async fn put(&self, letters: Vec<DeadLetter>, _: Instant) -> Vec<Result<(), DeadLetterError>> {
        let world = &self.0.world;
        self.0.pass("put dead letters", false).await;
        wait(1 + world.below(20)).await;
        let mut results = Vec::new();
        for letter in letters {
            let is_lost = world.is_down(Part::Queue) || world.fails(0.05);
            if !is_lost {
                world.add_letter(letter);
            }
            let is_denied = is_lost || world.fails(0.05);
            results.push(if is_denied { Err(DeadLetterError::Full { bytes: 0 }) } else { Ok(()) });
        }
        self.0.pass("put dead letters", true).await;
        results
    }
}
