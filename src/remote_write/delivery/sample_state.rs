//! The state of one sample, in two bytes.

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct SampleState {
    settled: Settled,
    maybe_stored: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Settled {
    #[default]
    Pending,
    Stored,
    Refused,
}

impl SampleState {
    pub(super) fn settled(self) -> Settled {
        self.settled
    }

    pub(super) fn is_pending(self) -> bool {
        self.settled == Settled::Pending
    }

    /// It was in a request whose answer does not say whether it is stored.
    pub(super) fn is_maybe_stored(self) -> bool {
        self.maybe_stored
    }

    pub(super) fn set_stored(&mut self) {
        self.settled = Settled::Stored;
    }

    pub(super) fn set_refused(&mut self) {
        self.settled = Settled::Refused;
    }

    pub(super) fn set_maybe_stored(&mut self) {
        self.maybe_stored = true;
    }
}
