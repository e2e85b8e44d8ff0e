//! Finding the guilty: which events of a refused request are refused. A pure state machine.
//!
//! A refusal says that some sample was refused, and of the rest only that it was stored (Cortex, AMP) or was not
//! (Prometheus). So what remains is sent again in parts until every event is alone in its fate: the event that the
//! words name on its own, else halves. Parts go oldest first: a newer sample that is stored may put an older one out
//! of order.
//!
//! Requests for k guilty among n events: at most 2k·log2 n + 1 by halves, 3k + 1 where the words name the guilty, and
//! never more than the 2n − 1 nodes of the tree. Words are believed while they prove right: no more than
//! [`MAX_UNPROVEN`] are followed before a suspect was asked about alone, and none after one turned out innocent. All of
//! it stays within the k·(4·log2 n + 8) and 2n + 8 that are promised.

use std::collections::HashSet;

/// Hints that are followed before one of them has proven right.
const MAX_UNPROVEN: u32 = 3;

/// What the answer to a part says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// All of it is stored.
    Written,
    /// Some sample is refused, perhaps one of this event.
    Refused {
        /// The event that the words name: its place in the part.
        suspect: Option<usize>,
    },
    /// The part is longer than the receiver takes.
    TooLarge,
    /// No answer that decides anything.
    Failed,
}

/// What is known of a part now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Its events share the fate of the answer.
    Settled(Vec<u32>),
    /// It was split; smaller parts are next.
    Split,
}

/// The parts that are still to be sent.
#[derive(Debug)]
pub struct Bisection {
    /// The next is last.
    parts: Vec<Part>,
    /// Suspects that were not asked about yet.
    unproven: u32,
    /// Whether a suspect turned out innocent.
    misled: bool,
}

#[derive(Debug)]
struct Part {
    events: Vec<u32>,
    is_suspect: bool,
}

// === impl Bisection ===

impl Bisection {
    /// A search among `events`, oldest first.
    #[must_use]
    pub fn new(events: Vec<u32>) -> Self {
        let mut search = Self { parts: Vec::new(), unproven: 0, misled: false };
        search.push(events, false);
        search
    }

    /// The part to send next, oldest first; `None` when every event is settled.
    #[must_use]
    pub fn part(&self) -> Option<&[u32]> {
        self.parts.last().map(|part| part.events.as_slice())
    }

    /// Takes the answer to [`Self::part`].
    pub fn answer(&mut self, finding: Finding) -> Step {
        let Some(Part { mut events, is_suspect }) = self.parts.pop() else { return Step::Split };
        if is_suspect {
            self.unproven -= 1;
            self.misled |= finding == Finding::Written;
        }
        let refused = matches!(finding, Finding::Refused { .. } | Finding::TooLarge);
        if !refused || events.len() == 1 {
            return Step::Settled(events);
        }
        match finding {
            Finding::Refused { suspect: Some(place) } if place < events.len() && self.believes() => {
                let newer = events.split_off(place + 1);
                let suspect = events.split_off(place);
                self.push(newer, false);
                self.push(suspect, true);
                self.unproven += 1;
            }
            _ => {
                let newer = events.split_off(events.len() / 2);
                self.push(newer, false);
            }
        }
        self.push(events, false);
        Step::Split
    }

    /// Takes events out of the parts that are still to be sent.
    pub fn withhold(&mut self, events: &HashSet<u32>) {
        for part in &mut self.parts {
            part.events.retain(|event| !events.contains(event));
            self.unproven -= u32::from(part.is_suspect && part.events.is_empty());
        }
        self.parts.retain(|part| !part.events.is_empty());
    }

    fn believes(&self) -> bool {
        !self.misled && self.unproven < MAX_UNPROVEN
    }

    fn push(&mut self, events: Vec<u32>, is_suspect: bool) {
        if !events.is_empty() {
            self.parts.push(Part { events, is_suspect });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Whom a receiver names in its refusals.
    #[derive(Clone, Copy, Debug)]
    enum Wording {
        OneGuilty,
        Nobody,
        AnInnocent,
    }

    /// Runs a search against a receiver that refuses `guilty`; gives what was refused, the order in which innocents were
    /// written, and the number of requests.
    fn run(n: u32, guilty: &BTreeSet<u32>, wording: Wording) -> (BTreeSet<u32>, Vec<u32>, usize) {
        let mut search = Bisection::new((0..n).collect());
        let (mut refused, mut written, mut requests) = (BTreeSet::new(), Vec::new(), 0);
        while let Some(part) = search.part() {
            requests += 1;
            let found = part.iter().position(|event| guilty.contains(event));
            let finding = match (found, wording) {
                (None, _) => Finding::Written,
                (Some(place), Wording::OneGuilty) => Finding::Refused { suspect: Some(place) },
                (Some(_), Wording::Nobody) => Finding::Refused { suspect: None },
                (Some(_), Wording::AnInnocent) => Finding::Refused { suspect: Some(part.len() - 1) },
            };
            match search.answer(finding) {
                Step::Settled(events) if finding == Finding::Written => written.extend(events),
                Step::Settled(events) => refused.extend(events),
                Step::Split => {}
            }
        }
        (refused, written, requests)
    }

    fn bound(n: u32, k: usize) -> f64 {
        let (n, k) = (f64::from(n), f64::from(u32::try_from(k).unwrap()));
        (k * (4.0 * n.log2() + 8.0)).min(2.0 * n + 8.0).max(1.0)
    }

    #[test]
    fn one_guilty_among_a_thousand_takes_a_few_requests() {
        let (refused, written, requests) = run(1_000, &BTreeSet::from([617]), Wording::OneGuilty);
        assert_eq!((refused, written.len(), requests), (BTreeSet::from([617]), 999, 4));
        let (refused, _, requests) = run(1_000, &BTreeSet::from([617]), Wording::Nobody);
        assert_eq!(refused, BTreeSet::from([617]));
        assert!(requests <= 22, "{requests}");
    }

    #[test]
    fn an_event_that_is_too_large_alone_is_settled() {
        let mut search = Bisection::new(vec![0, 1]);
        assert_eq!(search.answer(Finding::TooLarge), Step::Split);
        assert_eq!(search.answer(Finding::TooLarge), Step::Settled(vec![0]));
        assert_eq!(search.answer(Finding::Written), Step::Settled(vec![1]));
        assert_eq!(search.part(), None);
    }

    #[test]
    fn what_is_withheld_is_not_sent_and_a_withheld_suspect_is_none() {
        let mut search = Bisection::new((0..8).collect());
        search.answer(Finding::Refused { suspect: Some(4) });
        assert_eq!(search.answer(Finding::Failed), Step::Settled(vec![0, 1, 2, 3]));
        search.withhold(&HashSet::from([4, 6]));
        assert_eq!(search.part(), Some([5, 7].as_slice()));
        assert_eq!(search.answer(Finding::Refused { suspect: Some(0) }), Step::Split);
        assert_eq!(search.answer(Finding::Written), Step::Settled(vec![5]));
        assert_eq!(search.answer(Finding::Written), Step::Settled(vec![7]));
        assert_eq!(search.part(), None);
    }

    proptest! {
        /// Whatever the words say: exactly the guilty are refused, every innocent is written once and the oldest first,
        /// and the number of requests keeps to the bound.
        #[test]
        fn property_test_exactly_the_guilty_are_found_within_the_bound(
            n in 1..300_u32, seeds in proptest::collection::vec(any::<u32>(), 0..20),
            wording in prop_oneof![Just(Wording::OneGuilty), Just(Wording::Nobody), Just(Wording::AnInnocent)],
        ) {
            let guilty: BTreeSet<u32> = seeds.iter().map(|seed| seed % n).collect();
            let (refused, written, requests) = run(n, &guilty, wording);
            prop_assert_eq!(&refused, &guilty);
            prop_assert!(written.is_sorted());
            prop_assert_eq!(written.len() + refused.len(), n as usize);
            let bound = bound(n, guilty.len());
            prop_assert!(f64::from(u32::try_from(requests).unwrap()) <= bound, "{requests} of {bound}");
        }
    }
}
