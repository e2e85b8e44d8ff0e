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
    /// It can never be sent as it is, with the error text.
    Failed(String),
    /// It was not sent, or it is not known if it was; it may work later. If the error passes, another try makes sense now.
    Unsent {
        error_text: String,
        may_pass: bool,
    },
}

impl Outcome {
    pub(crate) fn unsent(error_text: impl Into<String>, may_pass: bool) -> Self {
        Self::Unsent { error_text: error_text.into(), may_pass }
    }

    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unsent { may_pass: true, .. })
    }
}
