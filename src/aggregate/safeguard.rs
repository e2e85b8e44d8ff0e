//! The rules that make every event count once. Only tests turn one of them off, and `src/gateway/chaos.rs` must then find
//! the mistake.

/// A rule that a tick or an invocation keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Safeguard {
    /// The journal is read from two minutes before the cursor.
    Margin,
    /// Each try of a journal put has a key of its own.
    FreshKeys,
    /// Items of one shard are put one after another.
    PutsInOrder,
    /// Identities of earlier ticks are remembered.
    Identities,
    /// The time for which they are remembered is measured from the cursor.
    IdentitiesFromCursor,
    /// An event that is owed as a dead letter is remembered like one that was counted.
    OwedAreRemembered,
    /// Dead letters that are owed are the same arrays each time.
    SameArrays,
    /// Items are folded in the order of their keys.
    KeyOrder,
    /// The head is replaced only if it is the one that was read.
    CompareAndSwap,
    /// A tick looks for a newer head before each request.
    NewerHead,
    /// Zeros are sent in separate requests.
    ZerosApart,
    /// Values of new series wait until their zeros are settled.
    ValuesWait,
    /// A zero is later than the last marker of its series.
    ZeroBehindMarker,
    /// Only one writer writes a series.
    OneWriter,
}

impl Safeguard {
    #[cfg(not(test))]
    pub const fn is_kept(self) -> bool {
        true
    }

    #[cfg(test)]
    pub fn is_kept(self) -> bool {
        BROKEN.with(|broken| broken.get() != Some(self))
    }
}

#[cfg(test)]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Safeguard>> = const { std::cell::Cell::new(None) };
}

/// Turns a rule off for this thread, and all the others on.
#[cfg(test)]
pub(crate) fn break_safeguard(safeguard: Option<Safeguard>) {
    BROKEN.with(|broken| broken.set(safeguard));
}
