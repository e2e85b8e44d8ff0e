//! Is every event sent accounted for, and as it should be? Pure: what was planned and what came of it in, counts out.

use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::lambda::Handled;
use amp_push_gateway::lambda::report::PartialBatchResponse;
use amp_push_gateway::local::fleet::{Expected, PlannedEvent, PlannedSample, Sending};
use amp_push_gateway::local::tsdb::{Labels, StoredSeries};
use amp_push_gateway::model::Reason;
use std::collections::{HashMap, HashSet};

/// Surprises that are told one by one.
const MAX_SURPRISES: usize = 10;

/// What became of a fleet's events. Where all is well, `sent` = `stored` + `put_aside` + `handed_back`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Tally {
    /// Events.
    pub(super) sent: u64,
    /// Events whose samples are all in the workspace; acknowledged, where it cannot be looked into.
    pub(super) stored: u64,
    /// Events on the dead-letter queue.
    pub(super) put_aside: u64,
    /// Events that their queue or their caller has back.
    pub(super) handed_back: u64,
    /// Events of which there is no trace.
    pub(super) lost: u64,
    /// Samples of the stored events.
    pub(super) samples: u64,
    /// What is not as it should be, in words; the first few.
    pub(super) surprises: Vec<String>,
    /// How many more there are.
    pub(super) more_surprises: u64,
}

/// Where an event is found.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fate {
    Stored,
    PutAside(Reason),
    /// With the reason that the caller was told; empty for a queue.
    HandedBack(String),
    Lost(String),
}

/// What there is to look into.
struct Found<'a> {
    letters: HashMap<&'a str, &'a DeadLetter>,
    samples: Option<HashMap<&'a Labels, HashMap<i64, u64>>>,
}

// === impl Tally ===

impl Tally {
    /// Looks for each planned event in the answers of its invocation, among the letters and in the workspace.
    pub(super) fn new(
        sendings: &[Sending],
        ended: &[Handled],
        letters: &[DeadLetter],
        stored: Option<&[StoredSeries]>,
    ) -> Self {
        let found = Found {
            letters: letters.iter().map(|letter| (letter.body.as_str(), letter)).collect(),
            samples: stored.map(index),
        };
        let mut tally = Self::default();
        let mut planned_letters = HashSet::new();
        for (sending, handled) in sendings.iter().zip(ended) {
            let handed_back = handed_back(handled);
            for event in &sending.events {
                if let Expected::PutAside { body, .. } = &event.expected {
                    planned_letters.insert(body.as_str());
                }
                let fate = found.fate(event, handled, &handed_back);
                tally.count(&event.expected, &fate);
            }
            let (received, sent) = (handled.metrics.received, sending.events.len() as u64);
            if received != sent {
                tally.surprise(format!("an invocation of {sent} events counted {received} as received"));
            }
        }
        for letter in letters.iter().filter(|letter| !planned_letters.contains(letter.body.as_str())) {
            tally.surprise(format!("put aside, but sound: {}: {}", letter.reason, letter.detail));
        }
        let in_workspace = stored.map(|stored| stored.iter().map(|series| series.samples.len() as u64).sum::<u64>());
        if let Some(in_workspace) = in_workspace.filter(|&samples| samples != tally.samples) {
            tally.surprise(format!("the workspace holds {in_workspace} samples, {} were sent", tally.samples));
        }
        tally
    }

    /// Whether everything is as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.surprises.is_empty() && self.lost == 0 && self.sent == self.stored + self.put_aside + self.handed_back
    }

    fn count(&mut self, expected: &Expected, fate: &Fate) {
        self.sent += 1;
        match fate {
            Fate::Stored => self.stored += 1,
            Fate::PutAside(_) => self.put_aside += 1,
            Fate::HandedBack(_) => self.handed_back += 1,
            Fate::Lost(_) => self.lost += 1,
        }
        match (expected, fate) {
            (Expected::Stored(samples), Fate::Stored) => self.samples += samples.len() as u64,
            (Expected::PutAside { reason, .. }, Fate::PutAside(actual)) if reason == actual => {}
            (Expected::HandedBack { reason }, Fate::HandedBack(actual)) if reason.as_str() == actual => {}
            (expected, fate) => {
                let surprise = format!("{} should be {}", fate.words(), words(expected));
                self.surprise(surprise);
            }
        }
    }

    fn surprise(&mut self, words: String) {
        if self.surprises.len() < MAX_SURPRISES {
            self.surprises.push(words);
        } else {
            self.more_surprises += 1;
        }
    }
}

// === impl Found ===

impl Found<'_> {
    fn fate(&self, event: &PlannedEvent, handled: &Handled, handed_back: &HashSet<String>) -> Fate {
        if let Err(error) = &handled.answer {
            return Fate::HandedBack(error.error_type.clone());
        }
        if event.message_id.as_ref().is_some_and(|id| handed_back.contains(id)) {
            return Fate::HandedBack(String::new());
        }
        match &event.expected {
            Expected::Stored(samples) => match self.missing(samples) {
                None => Fate::Stored,
                Some(sample) => Fate::Lost(format!("{:?} at {}", sample.labels, sample.timestamp)),
            },
            Expected::PutAside { body, .. } => {
                let letter = self.letters.get(body.as_str());
                // An event that came directly is known by its request, not by a message.
                let own =
                    |letter: &&&DeadLetter| event.message_id.as_ref().is_none_or(|id| *id == letter.source_message_id);
                letter.filter(own).map_or_else(|| Fate::Lost(body.clone()), |letter| Fate::PutAside(letter.reason))
            }
            Expected::HandedBack { reason } => Fate::Lost(format!("an event that is {reason}")),
        }
    }

    /// The first of `samples` that is not stored bit for bit, as far as that can be seen.
    fn missing<'s>(&self, samples: &'s [PlannedSample]) -> Option<&'s PlannedSample> {
        let stored = self.samples.as_ref()?;
        samples.iter().find(|sample| {
            let bits = stored.get(&sample.labels).and_then(|series| series.get(&sample.timestamp.0));
            bits != Some(&sample.value.wire_bits())
        })
    }
}

fn index(stored: &[StoredSeries]) -> HashMap<&Labels, HashMap<i64, u64>> {
    let samples = |series: &StoredSeries| {
        series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).collect()
    };
    stored.iter().map(|series| (&series.labels, samples(series))).collect()
}

/// The messages that a batch's answer hands back.
fn handed_back(handled: &Handled) -> HashSet<String> {
    let answer =
        handled.answer.as_ref().ok().and_then(|answer| serde_json::from_str::<PartialBatchResponse<'_>>(answer).ok());
    let failures = answer.map(|answer| answer.batch_item_failures).unwrap_or_default();
    failures.into_iter().map(|failure| failure.item_identifier.into_owned()).collect()
}

// === impl Fate ===

impl Fate {
    fn words(&self) -> String {
        match self {
            Self::Stored => "an event that is stored".to_owned(),
            Self::PutAside(reason) => format!("an event that is put aside as {reason}"),
            Self::HandedBack(reason) if reason.is_empty() => "an event that is handed back to the queue".to_owned(),
            Self::HandedBack(reason) => format!("an event that is handed back as {reason}"),
            Self::Lost(what) => format!("an event of which there is no trace ({what})"),
        }
    }
}

fn words(expected: &Expected) -> String {
    match expected {
        Expected::Stored(_) => "stored".to_owned(),
        Expected::PutAside { reason, .. } => format!("put aside as {reason}"),
        Expected::HandedBack { reason } => format!("handed back as {reason}"),
    }
}

#[cfg(test)]
mod tests;
