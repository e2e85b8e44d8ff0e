//! Tracks the samples of a delivery: which are sent next, and what the answers mean for each item. A pure state machine: it
//! knows neither clock nor network. [`super::deliver`] runs it with a [`super::Sender`].
//!
//! ```text
//! begin(request) -> next_part() -> (send) -> answered(answer) -> next_part() … None -> begin(next request) … outcomes()
//!                        ^  retrying(answer) |
//!                        +-------------------+
//! ```
//!
//! Invariants, whatever a receiver answers:
//!
//! 1. Every item of the table gets exactly one outcome. It is errored if it is not known that all its samples are stored or
//!    refused. Else it is rejected if a sample was refused. Else it is delivered.
//! 2. A sample that was answered with 2xx is never sent again.
//! 3. After a failure no newer sample of a series is sent while an older one is unsettled. If the newer one were stored,
//!    the older one would be out of order for ever. So parts are sent oldest first.
//! 4. Equal samples of several items share every answer. They are sent once, and stored or refused together.
//! 5. An item is marked maybe stored under two conditions. First, the receiver refuses it as it refuses a stored sample
//!    that is sent again: out of order, too old, duplicate. Second, an earlier request may have stored it. That request may be
//!    of this delivery, or of an earlier one, which only the caller knows.
//! 6. If two answers refuse samples of one item, another reason wins over lateness, because a setting can drop late
//!    samples.
//! 7. If a sample alone is refused as out of order or too old, all older samples of its series have the same outcome.
//! 8. No message takes more than its share of the requests while others wait. Messages are settled first if no answer
//!    suspects them. When its share ends, a message is given up. If one of its items is rejected, the others are rejected,
//!    too, and marked maybe stored. So every delivery settles something, and one message cannot delay the others.

mod counted;
mod equals;
mod items;
mod outcomes;
mod sample_state;
mod shares;

use super::bisect::{Bisection, PartAnswer, Step, Suspect};
use super::error_text::{self, NamedSample, names_a_limit, reason};
use super::sender::OutOf;
use super::{Answered, Disposition, describe};
use crate::model::{ItemId, Reason, Rejection};
use crate::series::SampleTable;
use equals::{equal_samples, mark_maybe_stored, with_equals};
use items::Items;
use sample_state::SampleState;
use shares::Shares;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

pub use counted::Counted;
pub use outcomes::{ItemOutcome, Outcomes};

/// The state of every sample of a table. Samples are named by their position in [`SampleTable::samples`].
#[derive(Debug)]
pub struct Delivery<'t, 'a> {
    table: &'t SampleTable<'a>,
    states: Vec<SampleState>,
    current: Option<Current>,
    /// One for each answer that refused something.
    refusals: Vec<Rejection>,
    refused: BTreeMap<ItemId, Refused>,
    counted: Vec<Counted>,
    failure: Option<String>,
    shares: Shares<'t>,
}

/// The request that is under way.
#[derive(Debug)]
struct Current {
    request: Range<usize>,
    /// The samples that are sent now.
    part: Vec<usize>,
    /// Begins when the receiver refuses the request.
    bisection: Option<(Items, Bisection)>,
}

/// An item that the receiver refuses. All items of a payload can be refused for one shared sample.
#[derive(Debug)]
struct Refused {
    /// The position in `refusals` of the entry that counts.
    refusal: u32,
    /// The receiver refused it as it refuses a stored sample that is sent again.
    like_stored: bool,
    /// The same, and an earlier request may have stored the sample.
    maybe_stored: bool,
}

impl<'t, 'a> Delivery<'t, 'a> {
    /// A message is a range of items; `messages` has the first item of each, in ascending order.
    pub fn new(table: &'t SampleTable<'a>, messages: &'t [ItemId]) -> Self {
        Self {
            table,
            shares: Shares::new(messages),
            states: vec![SampleState::default(); table.samples().len()],
            current: None,
            refusals: Vec::new(),
            refused: BTreeMap::new(),
            counted: Vec::new(),
            failure: None,
        }
    }

    /// Begins with a request. If it has later samples of a series whose earlier ones are not stored, it is not sent,
    /// and its items stay errored.
    pub fn begin(&mut self, request: Range<usize>) {
        let samples = self.table.samples();
        let series = samples[request.start].series;
        let mut earlier = (0..request.start).rev().take_while(|&sample| samples[sample].series == series);
        let overtakes = earlier.any(|sample| self.states[sample].is_pending());
        let part: Vec<usize> =
            request.clone().filter(|&sample| !self.shares.is_given_up(samples[sample].item)).collect();
        self.current = (!overtakes && !part.is_empty()).then_some(Current { part, request, bisection: None });
    }

    /// Returns the samples to send next, in ascending order: first the whole request, then parts of it if it was refused. `None` when
    /// the request is settled.
    pub fn next_part(&mut self) -> Option<&[usize]> {
        if let Some(Current { part, bisection: Some((items, bisection)), .. }) = &mut self.current {
            loop {
                let Some(wanted) = bisection.part() else {
                    self.current = None;
                    return None;
                };
                *part = items.samples_of(wanted, |sample| self.states[sample].is_pending());
                if !part.is_empty() {
                    break;
                }
                // Equal samples of other items were stored meanwhile.
                bisection.answer(PartAnswer::Stored);
            }
        }
        self.current.as_ref().map(|current| current.part.as_slice())
    }

    /// Takes an answer after which the same part is sent again.
    pub fn retrying(&mut self, answer: &Answered) {
        self.shares.requests += 1;
        if let Some(current) = &self.current {
            let named = self.named(answer, &current.part);
            mark_maybe_stored(self.table.samples(), &mut self.states, answer, &current.part, &named);
        }
    }

    /// Takes the last answer to the part. Returns whether it settled items that are not stored. The caller then logs
    /// the answer.
    pub fn answered(&mut self, answer: &Answered) -> bool {
        self.shares.requests += 1;
        let Some(Current { request, part, bisection }) = self.current.take() else { return false };
        let (items, mut bisection) = match (bisection, part_answer(answer, None)) {
            (None, PartAnswer::Stored) => {
                self.stored(&part);
                return false;
            }
            (None, PartAnswer::Failed) => {
                self.fail(describe(answer));
                return true;
            }
            (Some(under_way), _) => under_way,
            (None, _) => {
                let samples = self.table.samples();
                let items = Items::of(samples, request.clone());
                let bisection = Bisection::new(items.clusters(samples, |item| self.shares.message_of(item)));
                (items, bisection)
            }
        };
        let settles = self.part_answered(answer, &part, &items, &mut bisection);
        self.current = Some(Current { request, part, bisection: Some((items, bisection)) });
        settles
    }

    /// Notes that no further request may begin: messages with a refused item are given up.
    pub fn run_out(&mut self, out_of: OutOf) {
        self.fail(out_of.to_string());
        if matches!(out_of, OutOf::SameAnswer | OutOf::Overtaken) {
            return;
        }
        let refused: Vec<u32> = self.refused.keys().map(|&item| self.shares.message_of(item)).collect();
        self.shares.given_up.extend(refused);
    }

    /// Notes why not everything was sent.
    pub fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }

    fn part_answered(&mut self, answer: &Answered, part: &[usize], items: &Items, bisection: &mut Bisection) -> bool {
        let samples = self.table.samples();
        let named = self.named(answer, part);
        let asked = bisection.part().unwrap_or_default();
        let message = self.one_message(items, asked);
        let position = named.first().and_then(|&sample| items.position_of(samples[sample].item, asked));
        let is_late = || answer.as_ref().is_ok_and(|answer| reason(&error_text::judged(answer)).is_late());
        let suspect = position.map(|position| Suspect { position, is_late: is_late() });
        let part_answer = part_answer(answer, suspect);
        if part_answer == PartAnswer::Stored {
            self.stored(part);
        }
        let settles = match bisection.answer(part_answer) {
            Step::Split => false,
            Step::Settled(_) if part_answer == PartAnswer::Stored => false,
            Step::Settled(settled) if part_answer == PartAnswer::Failed => {
                self.fail(describe(answer));
                bisection.withhold(&items.behind(&settled, samples));
                true
            }
            Step::Settled(settled) => {
                for item in settled {
                    bisection.withhold(&self.item_refused(answer, item, part, &named, items));
                }
                true
            }
        };
        mark_maybe_stored(samples, &mut self.states, answer, part, &named);
        if let Some(message) = message {
            self.spend(message, items, bisection);
        }
        settles
    }

    /// Returns the message that all of these items are of.
    fn one_message(&self, items: &Items, part: &[u32]) -> Option<u32> {
        let mut messages = part.iter().map(|&number| self.shares.message_of(items.ids()[number as usize]));
        let first = messages.next()?;
        messages.all(|message| message == first).then_some(first)
    }

    /// Counts a request that was for one message, and gives the message up when its share ends.
    fn spend(&mut self, message: u32, items: &Items, bisection: &mut Bisection) {
        let samples = self.table.samples();
        let (shares, states) = (&mut self.shares, &self.states);
        let waiting = || {
            let pending = samples.iter().zip(states).filter(|(_, state)| state.is_pending());
            pending.map(|(sample, _)| sample.item)
        };
        if shares.spend(message, waiting) {
            let of_message = |number: &u32| shares.message_of(items.ids()[*number as usize]) == message;
            bisection.withhold(&(0..).take(items.ids().len()).filter(of_message).collect());
        }
    }

    /// One item was alone in a part that was refused or too large. Returns the items that must not or need not be sent any more.
    fn item_refused(
        &mut self,
        answer: &Answered,
        item: u32,
        part: &[usize],
        named: &[usize],
        items: &Items,
    ) -> HashSet<u32> {
        let Ok(received) = answer else { return HashSet::new() };
        let (status, text) = (received.status, error_text::judged(received));
        let samples = self.table.samples();
        // The refused sample, if it is known.
        let sample = if named.is_empty() && part.len() == 1 { part } else { named };
        if status != 413 && names_a_limit(&text) {
            self.fail(describe(answer));
            if sample.is_empty() {
                return HashSet::new();
            }
            // The limit may grow in the meantime; no later sample of the series may then overtake this one.
            return items.only_of(&sample.iter().map(|&sample| samples[sample].series).collect(), item, samples);
        }
        let equal = sample.first().map_or(0..0, |&sample| equal_samples(samples, sample));
        let maybe_stored = |sample: usize| self.states[sample].is_maybe_stored();
        let maybe_stored =
            if sample.is_empty() { part.iter().copied().any(maybe_stored) } else { equal.clone().any(maybe_stored) };
        let reason = reason_of(status, &text);
        let refusal = self.add_refusal(Rejection::new(reason, describe(answer)));
        for sample in part.iter().copied().chain(equal.clone()) {
            self.states[sample].set_refused();
            self.refuse(samples[sample].item, refusal, maybe_stored);
        }
        let mut others: Vec<ItemId> = samples[equal.clone()].iter().map(|sample| sample.item).collect();
        if reason.is_late() && !equal.is_empty() {
            let is_older = |&older: &usize| samples[older].series == samples[equal.start].series;
            for older in (0..equal.start).rev().take_while(is_older) {
                if self.states[older].is_pending() {
                    let maybe_stored = self.states[older].is_maybe_stored();
                    self.states[older].set_refused();
                    self.refuse(samples[older].item, refusal, maybe_stored);
                    others.push(samples[older].item);
                }
            }
        }
        let own = samples[part[0]].item;
        items.without(others.into_iter().filter(|&other| other != own), |sample| self.states[sample].is_pending())
    }

    /// Returns the position of a rejection that items can have.
    fn add_refusal(&mut self, rejection: Rejection) -> u32 {
        let refusal = u32::try_from(self.refusals.len()).unwrap_or(u32::MAX);
        self.refusals.push(rejection);
        refusal
    }

    fn refuse(&mut self, item: ItemId, refusal: u32, maybe_stored: bool) {
        let reason = |refusal: u32| self.refusals[refusal as usize].reason;
        let like_stored = reason(refusal).is_like_stored();
        let refused = self.refused.entry(item).or_insert(Refused { refusal, like_stored: false, maybe_stored: false });
        refused.like_stored |= like_stored;
        refused.maybe_stored |= like_stored && maybe_stored;
        if reason(refused.refusal).is_late() && !reason(refusal).is_late() {
            refused.refusal = refusal;
        }
    }

    fn stored(&mut self, part: &[usize]) {
        for sample in with_equals(self.table.samples(), part) {
            self.states[sample].set_stored();
        }
    }

    /// Returns those of `part` that are the one sample that the error text names. A text without a time that fits several samples names
    /// none of them.
    fn named(&self, answer: &Answered, part: &[usize]) -> Vec<usize> {
        let Some(named) = answer.as_ref().ok().and_then(|answer| NamedSample::find(&error_text::judged(answer))) else {
            return Vec::new();
        };
        let samples = self.table.samples();
        let mut last = None;
        let mut is_named = |series| {
            if let Some((known, is_named)) = last
                && known == series
            {
                return is_named;
            }
            let (name, labels) = self.table.series(series);
            let is_named = named.is_series(name.as_str(), labels);
            last = Some((series, is_named));
            is_named
        };
        let mut found: Vec<usize> = part.iter().copied().filter(|&sample| is_named(samples[sample].series)).collect();
        if let Some(time) = named.timestamp {
            found.retain(|&sample| samples[sample].timestamp == time);
        }
        let is_one = found.windows(2).all(|pair| samples[pair[0]].is_same_sample(&samples[pair[1]]));
        if is_one { found } else { Vec::new() }
    }
}

/// Returns why an answer with this status and text refuses a sample.
fn reason_of(status: u16, text: &str) -> Reason {
    if status == 413 { Reason::TooLarge } else { reason(text) }
}

fn part_answer(answer: &Answered, suspect: Option<Suspect>) -> PartAnswer {
    match Disposition::of(answer) {
        Disposition::Stored => PartAnswer::Stored,
        Disposition::TooLarge => PartAnswer::TooLarge,
        Disposition::Refused => PartAnswer::Refused { suspect },
        _ => PartAnswer::Failed,
    }
}

#[cfg(test)]
mod tests;
