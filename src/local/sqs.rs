//! A client of SQS, and what its errors mean.

use crate::aws::sdk_http_client;
use crate::config::{Env, Vars as _};
use crate::dead_letter::{queue_error_in_words, queue_region};
use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Region;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use url::Url;

/// Why a call of SQS, or one entry of it, failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// In words: `AWS.SimpleQueueService.NonExistentQueue: The specified queue does not exist.`
    pub words: String,
    /// Whether it may work later: throttling, 5xx, a network fault.
    pub may_pass: bool,
}

/// A client for the queue at `url`: of the region in the URL, else the usual one. Where the URL is not one of AWS and no
/// endpoint is set in the environment, the host in the URL is the endpoint. It tries each call `tries` times.
pub async fn client(url: &Url, tries: u32) -> Client {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(sdk_http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(tries));
    if let Some(region) = queue_region(url) {
        loader = loader.region(Region::new(region.to_owned()));
    } else if !has_endpoint() {
        loader = loader.endpoint_url(url.origin().ascii_serialization());
    }
    Client::new(&loader.load().await)
}

fn has_endpoint() -> bool {
    ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"].iter().any(|name| Env.get(name).is_some())
}

// === impl Failed ===

impl Failed {
    /// Of one entry of a batch: the fault is the sender's, or the queue's and passes.
    #[must_use]
    pub fn entry(code: &str, message: Option<&str>, is_senders: bool) -> Self {
        Self { words: format!("{code}: {}", message.unwrap_or("no message")), may_pass: !is_senders }
    }
}

impl<E> From<SdkError<E>> for Failed
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let may_pass = match (&error, status) {
            (SdkError::ConstructionFailure(_), _) => false,
            (_, Some(400..500)) => is_throttling(error.code()),
            _ => true,
        };
        Self { words: queue_error_in_words(&error), may_pass }
    }
}

/// Throttling is answered with 400 and 403 too.
fn is_throttling(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.contains("Throttl") || code.contains("OverLimit") || code.contains("TooManyRequests"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::http::StatusCode;

    fn answered(status: u16, code: &str) -> Failed {
        let meta = aws_sdk_sqs::error::ErrorMetadata::builder().code(code).message("words").build();
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), "".into());
        SdkError::service_error(ReceiveMessageError::generic(meta), response).into()
    }

    #[test]
    fn what_may_work_later_is_told_from_what_never_will() {
        let table = [
            (400, "QueueDoesNotExist", false),
            (403, "AccessDenied", false),
            (400, "RequestThrottled", true),
            (403, "ThrottlingException", true),
            (400, "OverLimit", true),
            (500, "InternalError", true),
            (503, "ServiceUnavailable", true),
        ];
        for (status, code, may_pass) in table {
            assert_eq!(answered(status, code), Failed { words: format!("{code}: words"), may_pass }, "{code}");
        }
    }
}
