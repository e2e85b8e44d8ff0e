//! Remembers the invocations whose records came last.

use foldhash::fast::RandomState;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;

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
pub(super) struct Requests {
    last: VecDeque<Request>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Request {
    /// Hashes are compared before ids: nearly every id is a new one, and differs in its hash.
    hash: u64,
    id: Box<str>,
    counted: Counted,
}

impl Requests {
    /// Returns what was counted of this invocation.
    pub(super) fn of(&mut self, request_id: &str) -> &mut Counted {
        let hash = self.hasher.hash_one(request_id);
        let known = self.last.iter().rposition(|one| one.hash == hash && *one.id == *request_id);
        let index = known.unwrap_or_else(|| {
            if self.last.len() == REMEMBERED {
                self.last.pop_front();
            }
            self.last.push_back(Request { hash, id: request_id.into(), counted: Counted::default() });
            self.last.len() - 1
        });
        &mut self.last[index].counted
    }
}
