//! Rules and error texts for labels, for pushes and relayed requests.

use crate::limits::MAX_LABEL_VALUE_BYTES;
use crate::model::{NameError, Reason, Rejection, excerpt};

/// The series in a sentence, in characters.
pub(super) const MAX_SERIES_CHARS: usize = 200;

/// Returns at least as many bytes as a label takes as protobuf.
pub(super) fn label_len(name: &str, value: &str) -> usize {
    name.len() + value.len() + 8
}

/// Rejects a value that is longer than the receiver takes.
pub(super) fn check_value(name: &str, value: &str) -> Result<(), Rejection> {
    if value.len() <= MAX_LABEL_VALUE_BYTES {
        return Ok(());
    }
    let detail = format!(
        "the label {} has a value of {} bytes, at most {MAX_LABEL_VALUE_BYTES} are allowed",
        excerpt(name),
        value.len()
    );
    Err(Rejection::new(Reason::TooLarge, detail))
}

/// Returns the reason of a name that cannot be used: `invalid`, if it is not too long.
pub(super) fn reason_of(error: NameError, invalid: Reason) -> Reason {
    if matches!(error, NameError::TooLong(_)) { Reason::TooLarge } else { invalid }
}
