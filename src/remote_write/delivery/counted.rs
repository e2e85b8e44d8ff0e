//! Answers of a receiver of 2.0 that refuse a request and count what is written of it. Nothing of it is sent again.

use super::equals::with_equals;
use super::{Delivery, reason_of};
use crate::model::{Reason, Rejection};
use crate::remote_write::bisect::{PartAnswer, Step};
use crate::remote_write::error_text::{self, names_a_limit};
use crate::remote_write::{Answered, describe, written};

/// Counts of what a receiver has written of a request that it refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// All samples of the request are refused for this reason, because nobody knows which are written.
    pub reason: Reason,
    pub samples: u64,
    pub histograms: u64,
}

impl Delivery<'_, '_> {
    /// Takes the last answer to the part if nothing of it is sent again. The receiver of 2.0 has written what it takes, and counts it.
    pub fn refused_as_counted(&mut self, answer: &Answered) {
        self.shares.requests += 1;
        let Some(mut current) = self.current.take() else { return };
        let part = std::mem::take(&mut current.part);
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        let text = answer.as_ref().map(error_text::judged).unwrap_or_default();
        let may_pass = status != 413 && names_a_limit(&text);
        if may_pass {
            self.fail(describe(answer));
        } else {
            let reason = reason_of(status, &text);
            let refusal = self.add_refusal(Rejection::new(reason, describe(answer)));
            let (sent, written) = (self.counts_of(&part), written(answer));
            let [samples, histograms] = [0, 1].map(|kind| written[kind].min(sent[kind]));
            self.counted.push(Counted { reason, samples, histograms });
            let samples = self.table.samples();
            for sample in with_equals(samples, &part) {
                self.states[sample].set_refused();
                self.refuse(samples[sample].item, refusal, false);
            }
        }
        let Some((items, bisection)) = &mut current.bisection else { return };
        let answer = if may_pass { PartAnswer::Failed } else { PartAnswer::Stored };
        if let Step::Settled(settled) = bisection.answer(answer)
            && may_pass
        {
            bisection.withhold(&items.behind(&settled, self.table.samples()));
        }
        self.current = Some(current);
    }

    /// Returns how many samples and native histograms the part has that is sent now.
    pub fn counts_of_part(&self) -> [u64; 2] {
        self.current.as_ref().map_or([0; 2], |current| self.counts_of(&current.part))
    }

    fn counts_of(&self, part: &[usize]) -> [u64; 2] {
        let samples = self.table.samples();
        let distinct = part.chunk_by(|&a, &b| samples[a].is_same_sample(&samples[b]));
        let mut counts = [0; 2];
        for equals in distinct {
            counts[usize::from(samples[equals[0]].is_histogram())] += 1;
        }
        counts
    }
}
