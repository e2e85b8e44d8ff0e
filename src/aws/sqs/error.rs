//! Why a call of SQS, or one entry of a batch, failed, and whether it may work later.

use crate::aws::causes;
use crate::limits::MAX_SERVICE_ERROR_CHARS;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::BatchResultErrorEntry;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a call, or one entry of it, failed.
#[derive(Clone, Debug)]
pub enum SqsError {
    /// SQS answered with an error, or did not answer.
    Call {
        /// `QueueDoesNotExist: The specified queue does not exist.`, or the causes if SQS did not answer.
        text: String,
        /// False for 4xx without throttling, and for a call that cannot be made.
        may_work_later: bool,
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// SQS did not take this entry of a batch.
    Entry { code: String, message: String, is_senders_fault: bool },
    /// The queue confirmed another body than was sent.
    Corrupted,
    /// A part of the answer is missing. If the answer does not name an entry, the entry may be done or not.
    Missing(&'static str),
    /// No answer in time.
    Timeout,
    /// There was no time left to begin the call.
    NotBegun,
    /// Body and attributes of a message are longer than [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES).
    TooLong,
}

impl SqsError {
    /// Returns whether the same call may work later.
    pub fn may_work_later(&self) -> bool {
        match self {
            Self::Call { may_work_later, .. } => *may_work_later,
            Self::Entry { is_senders_fault, .. } => !is_senders_fault,
            Self::Corrupted | Self::Missing(_) | Self::Timeout | Self::NotBegun => true,
            Self::TooLong => false,
        }
    }

    /// Returns whether one entry failed, in a call that succeeded, and may work if it is sent again.
    pub(super) fn is_entrys_and_may_work(&self) -> bool {
        matches!(self, Self::Entry { is_senders_fault: false, .. } | Self::Corrupted | Self::Missing(_))
    }

    /// Returns whether the queue cannot be reached now, whatever is sent to it.
    pub(super) fn is_queues(&self) -> bool {
        matches!(self, Self::Timeout | Self::Call { may_work_later: true, .. })
    }

    pub(super) fn of_entry(entry: &BatchResultErrorEntry) -> Self {
        Self::Entry {
            code: cut(entry.code()),
            message: cut(entry.message().unwrap_or("no message")),
            is_senders_fault: entry.sender_fault(),
        }
    }
}

impl<E> From<SdkError<E>> for SqsError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let may_work_later = match (&error, status) {
            (SdkError::ConstructionFailure(_), _) => false,
            (_, Some(400..500)) => is_throttling(error.code()),
            _ => true,
        };
        let text = match error.code() {
            Some(code) => format!("{code}: {}", error.message().unwrap_or("no message")),
            None => causes(&error),
        };
        Self::Call { text: cut(&text), may_work_later, cause: Arc::new(error) }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_SERVICE_ERROR_CHARS).collect()
}

/// SQS answers throttling with 400 and 403 too.
fn is_throttling(code: Option<&str>) -> bool {
    code.is_some_and(|code| ["Throttl", "OverLimit", "TooManyRequests"].iter().any(|word| code.contains(word)))
}

impl fmt::Display for SqsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { text, .. } => f.write_str(text),
            Self::Entry { code, message, .. } => write!(f, "{code}: {message}"),
            Self::Corrupted => f.write_str("the queue confirmed another body than the one that was sent"),
            Self::Missing(what) => write!(f, "the answer of the queue does not have {what}"),
            Self::Timeout => f.write_str("the queue did not answer in time"),
            Self::NotBegun => f.write_str("no time left to send it"),
            Self::TooLong => {
                write!(f, "body and attributes are longer than the {} bytes of SQS", super::MAX_MESSAGE_BYTES)
            }
        }
    }
}

impl Error for SqsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Call { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::error::ErrorMetadata;
    use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;

    fn answered(status: u16, code: &str) -> SqsError {
        let meta = ErrorMetadata::builder().code(code).message("text").build();
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), "".into());
        SdkError::service_error(ReceiveMessageError::generic(meta), response).into()
    }

    fn unanswered(error: SdkError<ReceiveMessageError, HttpResponse>) -> SqsError {
        error.into()
    }

    #[test]
    fn tells_what_may_work_later_from_what_never_will() {
        let entry = |code, is_senders_fault| {
            let entry = BatchResultErrorEntry::builder().id("0").code(code).message("text");
            SqsError::of_entry(&entry.sender_fault(is_senders_fault).build().unwrap())
        };
        let refused = || ConnectorError::io("connection refused".into());
        let table = [
            (answered(400, "QueueDoesNotExist"), false, "QueueDoesNotExist: text"),
            (answered(403, "AccessDenied"), false, "AccessDenied: text"),
            (answered(400, "RequestThrottled"), true, "RequestThrottled: text"),
            (answered(403, "ThrottlingException"), true, "ThrottlingException: text"),
            (answered(400, "OverLimit"), true, "OverLimit: text"),
            (answered(500, "InternalError"), true, "InternalError: text"),
            (answered(503, "ServiceUnavailable"), true, "ServiceUnavailable: text"),
            (unanswered(SdkError::dispatch_failure(refused())), true, "connection refused"),
            (unanswered(SdkError::timeout_error("too late")), true, "too late"),
            (unanswered(SdkError::construction_failure("no queue URL")), false, "no queue URL"),
            (entry("InvalidMessageContents", true), false, "InvalidMessageContents: text"),
            (entry("InternalError", false), true, "InternalError: text"),
            (SqsError::Missing("the result of this entry"), true, "does not have the result of this entry"),
            (SqsError::Corrupted, true, "another body"),
            (SqsError::Timeout, true, "in time"),
            (SqsError::NotBegun, true, "no time left"),
            (SqsError::TooLong, false, "1048576 bytes"),
        ];
        for (error, may_work_later, text) in table {
            assert_eq!(error.may_work_later(), may_work_later, "{error:?}");
            assert!(error.to_string().contains(text), "{error} {error:?}");
            assert_eq!(error.source().is_some(), matches!(error, SqsError::Call { .. }), "{error:?}");
        }
    }
}
