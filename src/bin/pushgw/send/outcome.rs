//! The outcome of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Sent,
    /// The function reports so.
    Stored,
    /// The function or the receiver will never store it as it is.
    Rejected {
        reason: String,
        detail: String,
    },
    /// Nobody can send it as it is; the error text.
    Failed(String),
    /// It was not sent, or nobody knows; it may work later.
    Unsent(Unsent),
}

/// Why a message is not there yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unsent {
    pub(crate) error_text: String,
    /// An error that passes: another try makes sense now.
    pub(crate) may_pass: bool,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn unsent(error_text: impl Into<String>, may_pass: bool) -> Self {
        Self::Unsent(Unsent { error_text: error_text.into(), may_pass })
    }

    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unsent(unsent) if unsent.may_pass)
    }

    /// Returns true if nothing more is to be done for it.
    pub(crate) fn is_settled(&self) -> bool {
        !matches!(self, Self::Unsent(_))
    }
}
