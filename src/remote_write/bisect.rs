//! Bisection: which items of a refused request are the culprits. A pure state machine.
//!
//! A 400 says that some sample was refused. The others were stored (Cortex, AMP) or not (Prometheus). The remaining items are sent
//! again in parts until every item has an answer of its own. Each part is split at the item that the error text names, else in
//! halves. Invariants:
//!
//! * Parts are sent oldest first: a newer sample that is stored may put an older one out of order.
//! * k culprits among n items take at most 2k·log2 n + 1 requests by halves, and 3k + 1 if the error texts name the culprits. There
//!   are never more than the 2n - 1 nodes of the tree.
//! * Error texts are followed while they prove right: at most [`MAX_UNPROVEN`] hints before a suspect was sent alone. After a suspect
//!   turned out innocent, none is followed. All of it stays within min(k·(4·log2 n + 8), 2n + 8) requests.

use std::collections::HashSet;

/// Hints that are followed before one of them has proven right.
const MAX_UNPROVEN: u32 = 3;

/// The meaning of an answer for its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartAnswer {
    /// All of it is stored.
    Stored,
    /// Some sample is refused.
    Refused {
        /// The position in the part of the item that the error text names.
        suspect: Option<usize>,
    },
    /// The part is longer than the receiver takes.
    TooLarge,
    /// Nothing is known of it.
    Failed,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The answer holds for each of these items.
    Settled(Vec<u32>),
    /// The part was split; smaller parts are next.
    Split,
}

#[derive(Debug)]
pub struct Bisection {
    /// The parts that are still to be sent, the next one last.
    parts: Vec<Part>,
    /// Suspects that were not sent alone yet.
    unproven: u32,
    /// A suspect turned out innocent.
    misled: bool,
}

#[derive(Debug)]
struct Part {
    items: Vec<u32>,
    is_suspect: bool,
}

impl Bisection {
    /// Starts with one part: the items 0 to `count`, oldest first.
    pub fn new(count: u32) -> Self {
        let mut bisection = Self { parts: Vec::new(), unproven: 0, misled: false };
        bisection.push((0..count).collect(), false);
        bisection
    }

    /// Returns the part to send next, in ascending order; `None` when every item is settled.
    pub fn part(&self) -> Option<&[u32]> {
        self.parts.last().map(|part| part.items.as_slice())
    }

    /// Takes the answer to [`Self::part`].
    pub fn answer(&mut self, answer: PartAnswer) -> Step {
        let Some(Part { mut items, is_suspect }) = self.parts.pop() else { return Step::Split };
        if is_suspect {
            self.unproven -= 1;
            self.misled |= answer == PartAnswer::Stored;
        }
        let splits = matches!(answer, PartAnswer::Refused { .. } | PartAnswer::TooLarge);
        if !splits || items.len() == 1 {
            return Step::Settled(items);
        }
        match answer {
            PartAnswer::Refused { suspect: Some(position) } if position < items.len() && self.follows_hints() => {
                let newer = items.split_off(position + 1);
                let suspect = items.split_off(position);
                self.push(newer, false);
                self.push(suspect, true);
                self.unproven += 1;
            }
            _ => {
                let newer = items.split_off(items.len() / 2);
                self.push(newer, false);
            }
        }
        self.push(items, false);
        Step::Split
    }

    /// Takes items out of the parts that are still to be sent.
    pub fn withhold(&mut self, items: &HashSet<u32>) {
        for part in &mut self.parts {
            part.items.retain(|item| !items.contains(item));
            self.unproven -= u32::from(part.is_suspect && part.items.is_empty());
        }
        self.parts.retain(|part| !part.items.is_empty());
    }

    fn follows_hints(&self) -> bool {
        !self.misled && self.unproven < MAX_UNPROVEN
    }

    fn push(&mut self, items: Vec<u32>, is_suspect: bool) {
        if !items.is_empty() {
            self.parts.push(Part { items, is_suspect });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Whom the receiver's error text names.
    #[derive(Clone, Copy, Debug)]
    enum Hint {
        OneCulprit,
        Nobody,
        AnInnocent,
    }

    /// Runs a bisection against a receiver that refuses the culprits. Returns what was refused, the innocents in the order in which
    /// they were stored, and the number of requests.
    fn run(n: u32, culprits: &BTreeSet<u32>, hint: Hint) -> (BTreeSet<u32>, Vec<u32>, usize) {
        let mut bisection = Bisection::new(n);
        let (mut rejected, mut stored, mut requests) = (BTreeSet::new(), Vec::new(), 0);
        while let Some(part) = bisection.part() {
            requests += 1;
            let found = part.iter().position(|item| culprits.contains(item));
            let answer = match (found, hint) {
                (None, _) => PartAnswer::Stored,
                (Some(position), Hint::OneCulprit) => PartAnswer::Refused { suspect: Some(position) },
                (Some(_), Hint::Nobody) => PartAnswer::Refused { suspect: None },
                (Some(_), Hint::AnInnocent) => PartAnswer::Refused { suspect: Some(part.len() - 1) },
            };
            match bisection.answer(answer) {
                Step::Settled(items) if answer == PartAnswer::Stored => stored.extend(items),
                Step::Settled(items) => rejected.extend(items),
                Step::Split => {}
            }
        }
        (rejected, stored, requests)
    }

    fn bound(n: u32, k: usize) -> f64 {
        let (n, k) = (f64::from(n), f64::from(u32::try_from(k).unwrap()));
        (k * (4.0 * n.log2() + 8.0)).min(2.0 * n + 8.0).max(1.0)
    }

    #[test]
    fn finds_one_culprit_among_a_thousand_in_a_few_requests() {
        let (rejected, stored, requests) = run(1_000, &BTreeSet::from([617]), Hint::OneCulprit);
        assert_eq!((rejected, stored.len(), requests), (BTreeSet::from([617]), 999, 4));
        let (rejected, _, requests) = run(1_000, &BTreeSet::from([617]), Hint::Nobody);
        assert_eq!(rejected, BTreeSet::from([617]));
        assert!(requests <= 22, "{requests}");
    }

    #[test]
    fn settles_an_item_that_is_too_large_alone() {
        let mut bisection = Bisection::new(2);
        assert_eq!(bisection.answer(PartAnswer::TooLarge), Step::Split);
        assert_eq!(bisection.answer(PartAnswer::TooLarge), Step::Settled(vec![0]));
        assert_eq!(bisection.answer(PartAnswer::Stored), Step::Settled(vec![1]));
        assert_eq!(bisection.part(), None);
    }

    #[test]
    fn never_sends_what_was_withheld_and_forgets_a_withheld_suspect() {
        let mut bisection = Bisection::new(8);
        bisection.answer(PartAnswer::Refused { suspect: Some(4) });
        assert_eq!(bisection.answer(PartAnswer::Failed), Step::Settled(vec![0, 1, 2, 3]));
        bisection.withhold(&HashSet::from([4, 6]));
        assert_eq!(bisection.part(), Some([5, 7].as_slice()));
        assert_eq!(bisection.answer(PartAnswer::Refused { suspect: Some(0) }), Step::Split);
        assert_eq!(bisection.answer(PartAnswer::Stored), Step::Settled(vec![5]));
        assert_eq!(bisection.answer(PartAnswer::Stored), Step::Settled(vec![7]));
        assert_eq!(bisection.part(), None);
    }

    proptest! {
        /// Exactly the culprits are refused, whatever the error text says. Every innocent is stored once, the oldest first. The number
        /// of requests keeps to the bound.
        #[test]
        fn property_test_bisection_finds_exactly_the_culprits_within_the_bound(
            n in 1..300_u32, seeds in proptest::collection::vec(any::<u32>(), 0..20),
            hint in prop_oneof![Just(Hint::OneCulprit), Just(Hint::Nobody), Just(Hint::AnInnocent)],
        ) {
            let culprits: BTreeSet<u32> = seeds.iter().map(|seed| seed % n).collect();
            let (rejected, stored, requests) = run(n, &culprits, hint);
            prop_assert_eq!(&rejected, &culprits);
            prop_assert!(stored.is_sorted());
            prop_assert_eq!(stored.len() + rejected.len(), n as usize);
            let bound = bound(n, culprits.len());
            prop_assert!(f64::from(u32::try_from(requests).unwrap()) <= bound, "{requests} of {bound}");
        }
    }
}
