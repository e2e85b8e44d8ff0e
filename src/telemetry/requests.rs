//! Remembers the invocations whose records came last.

use std::collections::VecDeque;

/// Records of an invocation follow each other; the report comes with the next invocation at the latest.
const REMEMBERED: usize = 100;

/// The parts of an invocation that were counted already.
#[derive(Default, Debug)]
pub(super) struct Counted {
    pub(super) invocation: bool,
    pub(super) spans: bool,
}

/// The last [`REMEMBERED`] invocations.
#[derive(Default, Debug)]
pub(super) struct Requests(VecDeque<(Box<str>, Counted)>);

impl Requests {
    /// Returns what was counted of this invocation.
    pub(super) fn of(&mut self, request_id: &str) -> &mut Counted {
        let known = self.0.iter().rposition(|(id, _)| **id == *request_id);
        let index = known.unwrap_or_else(|| {
            if self.0.len() == REMEMBERED {
                self.0.pop_front();
            }
            self.0.push_back((request_id.into(), Counted::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }
}
