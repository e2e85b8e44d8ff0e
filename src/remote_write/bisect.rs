//! Bisection: finds the items of a refused request that are the culprits. A pure state machine.
//!
//! A 400 says that some sample was refused. The others were stored (Cortex, AMP) or not (Prometheus). The remaining items are sent
//! again in parts until every item has an answer of its own. Items that must keep their order form a *cluster*; items of different
//! clusters may be sent in any order. Invariants:
//!
//! * A part with several clusters is split between them. If the error text names a cluster, that one is sent later, and the
//!   others are sent first. If the text names none, the part is split in halves. A refused part of one cluster waits until
//!   the parts of all others are settled.
//! * A part of one cluster is split at the item that the error text names, else in halves. Such parts are sent oldest
//!   first, because a newer stored sample may put an older one out of order. Only an item that the text calls late is sent
//!   before older ones.
//! * By halves, k culprits among n items take at most 4k·log2 n + 3k + 1 requests, and at most the 2n - 1 nodes of the tree.
//! * The bisection follows error texts only while they are right. Before it has sent a suspect alone, it follows at most
//!   [`MAX_UNPROVEN`] hints. After one suspect was innocent, it follows no more. All of it stays within min(k·(4·log2 n +
//!   8), 2n + 8) requests.

use std::collections::{HashSet, VecDeque};

/// Hints that are followed before one of them has proven right.
const MAX_UNPROVEN: u32 = 3;

/// The meaning of an answer for its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartAnswer {
    /// All of it is stored.
    Stored,
    /// Some sample is refused.
    Refused {
        /// The item that the error text names.
        suspect: Option<Suspect>,
    },
    /// The part is longer than the receiver takes.
    TooLarge,
    /// Nothing is known of it.
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suspect {
    /// Its position in the part.
    pub position: usize,
    /// The text calls it late. If that is true, the older samples of its series are late, too, and one answer settles
    /// all of them.
    pub is_late: bool,
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
    /// The cluster of each item.
    clusters: Vec<u32>,
    /// The parts that are still to be sent, the next one last. They are of several clusters, or all of one.
    parts: Vec<Part>,
    /// Parts of one cluster each, which are sent when `parts` is empty, the next one first.
    put_off: VecDeque<Part>,
    /// Suspects that were not sent alone yet.
    unproven: u32,
    /// A suspect turned out innocent.
    misled: bool,
}

#[derive(Debug)]
struct Part {
    items: Vec<u32>,
    is_suspect: bool,
    /// It was refused, so it is split before a part of it is sent again.
    is_refused: bool,
    /// The item that the error text named then.
    suspect: Option<Suspect>,
}

impl Bisection {
    /// Starts with one part: all items, oldest first. `clusters` has the cluster of each.
    pub fn new(clusters: Vec<u32>) -> Self {
        let items = (0..).zip(&clusters).map(|(item, _)| item).collect();
        let mut bisection = Self { clusters, parts: Vec::new(), put_off: VecDeque::new(), unproven: 0, misled: false };
        bisection.push(items, false);
        bisection
    }

    /// Returns the part to send next, in ascending order; `None` when every item is settled.
    pub fn part(&self) -> Option<&[u32]> {
        self.parts.last().map(|part| part.items.as_slice())
    }

    /// Takes the answer to [`Self::part`].
    pub fn answer(&mut self, answer: PartAnswer) -> Step {
        let Some(Part { items, is_suspect, .. }) = self.parts.pop() else { return Step::Split };
        if is_suspect {
            self.unproven -= 1;
            self.misled |= answer == PartAnswer::Stored;
        }
        let suspect = match answer {
            PartAnswer::Refused { suspect } if items.len() > 1 => {
                suspect.filter(|suspect| suspect.position < items.len())
            }
            PartAnswer::TooLarge if items.len() > 1 => None,
            _ => {
                self.resume();
                return Step::Settled(items);
            }
        };
        let own = self.cluster(&items);
        if own.is_none() {
            self.split_clusters(items, suspect);
        } else if self.parts.last().is_none_or(|part| self.cluster(&part.items) == own) {
            self.split(items, suspect);
        } else {
            self.put_off.push_back(Part { items, is_suspect: false, is_refused: true, suspect });
        }
        self.resume();
        Step::Split
    }

    /// Takes items out of the parts that are still to be sent.
    pub fn withhold(&mut self, items: &HashSet<u32>) {
        for part in self.parts.iter_mut().chain(&mut self.put_off) {
            // The named item may move.
            let named = part.suspect.map(|suspect| (part.items[suspect.position], suspect.is_late));
            part.items.retain(|item| !items.contains(item));
            part.suspect = named.and_then(|(named, is_late)| {
                let position = part.items.binary_search(&named).ok()?;
                Some(Suspect { position, is_late })
            });
            self.unproven -= u32::from(part.is_suspect && part.items.is_empty());
        }
        self.parts.retain(|part| !part.items.is_empty());
        self.put_off.retain(|part| !part.items.is_empty());
        self.resume();
    }

    /// Returns the one cluster of these items; `None` if there are several.
    fn cluster(&self, items: &[u32]) -> Option<u32> {
        let mut clusters = items.iter().map(|&item| self.clusters[item as usize]);
        let first = clusters.next()?;
        clusters.all(|cluster| cluster == first).then_some(first)
    }

    fn split_clusters(&mut self, items: Vec<u32>, suspect: Option<Suspect>) {
        if let Some(suspect) = suspect.filter(|_| self.follows_hints()) {
            let cluster = self.clusters[items[suspect.position] as usize];
            let (suspects, others): (Vec<u32>, Vec<u32>) =
                items.into_iter().partition(|&item| self.clusters[item as usize] == cluster);
            self.put_off.push_back(Part { items: suspects, is_suspect: true, is_refused: false, suspect: None });
            self.unproven += 1;
            self.push(others, false);
            return;
        }
        let mut known = HashSet::new();
        // In the order of their oldest items.
        let clusters: Vec<u32> =
            items.iter().map(|&item| self.clusters[item as usize]).filter(|&cluster| known.insert(cluster)).collect();
        let first: HashSet<u32> = clusters[..clusters.len() / 2].iter().copied().collect();
        let (first, others): (Vec<u32>, Vec<u32>) =
            items.into_iter().partition(|&item| first.contains(&self.clusters[item as usize]));
        self.push(others, false);
        self.push(first, false);
    }

    fn split(&mut self, mut items: Vec<u32>, suspect: Option<Suspect>) {
        let Some(Suspect { position, is_late }) = suspect.filter(|_| self.follows_hints()) else {
            let newer = items.split_off(items.len() / 2);
            self.push(newer, false);
            self.push(items, false);
            return;
        };
        let newer = items.split_off(position + 1);
        let suspect = items.split_off(position);
        self.push(newer, false);
        self.unproven += 1;
        if is_late {
            self.push(items, false);
            self.push(suspect, true);
        } else {
            self.push(suspect, true);
            self.push(items, false);
        }
    }

    /// Continues with the parts that were put off, when nothing else is left.
    fn resume(&mut self) {
        while self.parts.is_empty()
            && let Some(part) = self.put_off.pop_front()
        {
            if part.is_refused && part.items.len() > 1 {
                self.split(part.items, part.suspect);
            } else {
                self.parts.push(part);
            }
        }
    }

    fn follows_hints(&self) -> bool {
        !self.misled && self.unproven < MAX_UNPROVEN
    }

    fn push(&mut self, items: Vec<u32>, is_suspect: bool) {
        if !items.is_empty() {
            self.parts.push(Part { items, is_suspect, is_refused: false, suspect: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn refused(position: usize) -> PartAnswer {
        PartAnswer::Refused { suspect: Some(Suspect { position, is_late: false }) }
    }

    /// Whom the receiver's error text names.
    #[derive(Clone, Copy, Debug)]
    enum Hint {
        OneCulprit,
        Nobody,
        AnInnocent,
    }

    /// Runs a bisection against a receiver that refuses the culprits. Returns what was refused, the innocents in the order in which
    /// they were stored, and the number of requests.
    fn run(clusters: &[u32], culprits: &BTreeSet<u32>, hint: Hint) -> (BTreeSet<u32>, Vec<u32>, usize) {
        let mut bisection = Bisection::new(clusters.to_vec());
        let (mut rejected, mut stored, mut requests) = (BTreeSet::new(), Vec::new(), 0);
        while let Some(part) = bisection.part() {
            requests += 1;
            let found = part.iter().position(|item| culprits.contains(item));
            let answer = match (found, hint) {
                (None, _) => PartAnswer::Stored,
                (Some(position), Hint::OneCulprit) => refused(position),
                (Some(_), Hint::Nobody) => PartAnswer::Refused { suspect: None },
                (Some(_), Hint::AnInnocent) => refused(part.len() - 1),
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
        let (rejected, stored, requests) = run(&[0; 1_000], &BTreeSet::from([617]), Hint::OneCulprit);
        assert_eq!((rejected, stored.len(), requests), (BTreeSet::from([617]), 999, 4));
        let (rejected, _, requests) = run(&[0; 1_000], &BTreeSet::from([617]), Hint::Nobody);
        assert_eq!(rejected, BTreeSet::from([617]));
        assert!(requests <= 22, "{requests}");
    }

    #[test]
    fn settles_an_item_that_is_too_large_alone() {
        let mut bisection = Bisection::new(vec![0; 2]);
        assert_eq!(bisection.answer(PartAnswer::TooLarge), Step::Split);
        assert_eq!(bisection.answer(PartAnswer::TooLarge), Step::Settled(vec![0]));
        assert_eq!(bisection.answer(PartAnswer::Stored), Step::Settled(vec![1]));
        assert_eq!(bisection.part(), None);
    }

    #[test]
    fn never_sends_what_was_withheld_and_forgets_a_withheld_suspect() {
        let mut bisection = Bisection::new(vec![0; 8]);
        bisection.answer(refused(4));
        assert_eq!(bisection.answer(PartAnswer::Failed), Step::Settled(vec![0, 1, 2, 3]));
        bisection.withhold(&HashSet::from([4, 6]));
        assert_eq!(bisection.part(), Some([5, 7].as_slice()));
        assert_eq!(bisection.answer(refused(0)), Step::Split);
        assert_eq!(bisection.answer(PartAnswer::Stored), Step::Settled(vec![5]));
        assert_eq!(bisection.answer(PartAnswer::Stored), Step::Settled(vec![7]));
        assert_eq!(bisection.part(), None);
    }

    #[test]
    fn settles_the_innocent_clusters_before_the_suspect() {
        for hint in [Hint::OneCulprit, Hint::Nobody] {
            let mut clusters = vec![0; 300];
            clusters.extend(1..50);
            let culprits = (0..300).collect();
            let (rejected, stored, _) = run(&clusters, &culprits, hint);
            assert_eq!((&rejected, stored.len()), (&culprits, 49), "{hint:?}");
            let mut bisection = Bisection::new(clusters.clone());
            let mut requests = 0;
            while let Some(part) = bisection.part().filter(|part| part.iter().any(|&item| item >= 300)) {
                requests += 1;
                let is_refused = part.iter().any(|&item| item < 300);
                bisection.answer(match hint {
                    _ if !is_refused => PartAnswer::Stored,
                    Hint::OneCulprit => refused(0),
                    _ => PartAnswer::Refused { suspect: None },
                });
            }
            assert!(requests <= 14, "{requests} with {hint:?}");
        }
    }

    proptest! {
        /// Exactly the culprits are refused, whatever the error text says. Every innocent is stored once, in each cluster the oldest
        /// first. The number of requests keeps to the bound.
        #[test]
        fn property_test_bisection_finds_exactly_the_culprits_within_the_bound(
            n in 1..300_u32, seeds in proptest::collection::vec(any::<u32>(), 0..20), cluster_count in 1..60_u32,
            hint in prop_oneof![Just(Hint::OneCulprit), Just(Hint::Nobody), Just(Hint::AnInnocent)],
        ) {
            let culprits: BTreeSet<u32> = seeds.iter().map(|seed| seed % n).collect();
            let clusters: Vec<u32> = (0..n).map(|item| item.wrapping_mul(2_654_435_761) % cluster_count).collect();
            let (rejected, stored, requests) = run(&clusters, &culprits, hint);
            prop_assert_eq!(&rejected, &culprits);
            for cluster in 0..cluster_count {
                prop_assert!(stored.iter().filter(|&&item| clusters[item as usize] == cluster).is_sorted());
            }
            prop_assert_eq!(stored.len() + rejected.len(), n as usize);
            let bound = bound(n, culprits.len());
            prop_assert!(f64::from(u32::try_from(requests).unwrap()) <= bound, "{requests} of {bound}");
        }
    }
}
