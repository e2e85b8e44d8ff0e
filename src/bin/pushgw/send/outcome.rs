//! What became of one message that was to be sent.

/// The outcome of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It is there.
    Sent,
    /// Whoever took it will never store it as it is: the function's or the receiver's reason and words.
    Rejected(String),
    /// It cannot be sent as it is, whoever tries; in words.
    Failed(String),
    /// It was not sent, or it is not known that it was; it may work later. In words.
    Unsent(Unsent),
}

/// Why a message is not there yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unsent {
    pub(super) words: String,
    /// Whether another try makes sense now.
    pub(super) may_pass: bool,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn unsent(words: impl Into<String>, may_pass: bool) -> Self {
        Self::Unsent(Unsent { words: words.into(), may_pass })
    }

    /// Whether it is to be tried again at once.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unsent(unsent) if unsent.may_pass)
    }

    /// Whether nothing more is to be done for it.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self, Self::Unsent(_))
    }
}
