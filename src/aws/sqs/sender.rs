//! `SendMessage` by the JSON protocol of SQS, for programs that are too small for the SDK
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
//!
//! It does not try again.

use super::{ANY_REGION, is_fifo, region_of};
use crate::aws::json_service::{CallError, JsonService, Protocol, ServiceError, endpoint_of_environment, whole_body};
use crate::aws::{Credentialed, Signed, Signer, Transport, TransportError, region_of_environment};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::time::Duration;
use url::Url;

const PROTOCOL: Protocol =
    Protocol { target: "AmazonSQS", content_type: "application/x-amz-json-1.0", read_body: whole_body::<{ 64 << 10 }> };

/// Codes of errors about this message alone: it is never taken.
const CODES_OF_BAD_MESSAGES: [&str; 4] =
    ["InvalidMessageContents", "InvalidParameterValue", "InvalidParameterValueException", "MessageTooLong"];

/// Sends to one queue.
#[derive(Debug)]
pub struct QueueSender<T, C> {
    url: Url,
    service: JsonService<T, C>,
}

/// Why the queue did not confirm a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    Call(CallError),
    /// The queue confirmed another body.
    OtherDigest,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage<'a> {
    queue_url: &'a str,
    message_body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_deduplication_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(rename = "MD5OfMessageBody")]
    digest: &'a str,
}

impl<T: Transport, C: Credentialed> QueueSender<T, C> {
    /// A queue that is not at AWS is asked at the host of its URL, unless the environment sets an endpoint.
    pub fn new(url: &Url, transport: T, credentials: C) -> Self {
        let region = region_of(url.host_str().unwrap_or_default()).map(str::to_owned);
        let region = region.or_else(region_of_environment).unwrap_or_else(|| ANY_REGION.to_owned());
        let endpoint = endpoint_of_environment("AWS_ENDPOINT_URL_SQS");
        let endpoint = endpoint.unwrap_or_else(|| format!("{}/", url.origin().ascii_serialization()));
        let transport = Signed::new(transport, Some(Signer { service: "sqs", region, credentials }));
        let service = JsonService { protocol: PROTOCOL, endpoint: endpoint.parse().unwrap_or_default(), transport };
        Self { url: url.clone(), service }
    }

    /// Sends `body` once. A FIFO queue takes two messages of one `group` and `deduplication_id` once.
    pub async fn send(
        &self,
        body: &str,
        group: &str,
        deduplication_id: &str,
        timeout: Duration,
    ) -> Result<(), SendError> {
        let fifo = is_fifo(self.url.path());
        let call = SendMessage {
            queue_url: self.url.as_str(),
            message_body: body,
            message_group_id: fifo.then_some(group),
            message_deduplication_id: fifo.then_some(deduplication_id),
        };
        // Only numbers and texts are in it.
        let json = serde_json::to_vec(&call).unwrap_or_default();
        let answer = self.service.call("SendMessage", json.into(), timeout).await.map_err(SendError::Call)?;
        let sent: Sent<'_> = serde_json::from_slice(&answer).map_err(|_| SendError::Call(CallError::Unreadable))?;
        if sent.digest == digest(body) { Ok(()) } else { Err(SendError::OtherDigest) }
    }

    pub async fn forget_credentials(&self) {
        self.service.transport.forget_credentials().await;
    }
}

fn digest(body: &str) -> String {
    let mut text = String::with_capacity(32);
    for byte in Md5::digest(body) {
        // A String takes all.
        let _written = write!(text, "{byte:02x}").is_ok();
    }
    text
}

impl SendError {
    /// Reports whether the queue has certainly not taken the message.
    pub fn is_not_sent(&self) -> bool {
        match self {
            Self::Call(CallError::Transport(TransportError::Connect(_) | TransportError::Credentials(_))) => true,
            Self::Call(CallError::Service(ServiceError { status, .. })) => (400..500).contains(status),
            _ => false,
        }
    }

    /// Reports whether the queue will never take this message, whatever becomes of others.
    pub fn is_of_message(&self) -> bool {
        let Self::Call(CallError::Service(ServiceError { code, .. })) = self else { return false };
        CODES_OF_BAD_MESSAGES.contains(&code.as_str())
    }

    /// Reports whether other credentials may help.
    pub fn is_of_credentials(&self) -> bool {
        matches!(self, Self::Call(CallError::Service(ServiceError { status: 401 | 403, .. })))
    }

    /// Reports whether the connection was closed while it was not used: the next try has another one.
    pub fn is_broken_connection(&self) -> bool {
        matches!(self, Self::Call(CallError::Transport(TransportError::Network(_))))
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(CallError::Transport(error)) => error.fmt(f),
            Self::Call(CallError::Service(error)) => write!(f, "SQS answered {error}"),
            Self::Call(CallError::Unreadable) => f.write_str("the answer does not have the form of SQS"),
            Self::OtherDigest => f.write_str("SQS confirmed the digest of another message"),
        }
    }
}

impl std::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Answer, CredentialsSource, ReadBody};
    use aws_credential_types::Credentials;
    use bytes::Bytes;
    use http::Request;
    use std::sync::Mutex;

    struct Fake {
        answer: Result<(u16, &'static str), TransportError>,
        seen: Mutex<Vec<Request<Bytes>>>,
    }

    impl Transport for &Fake {
        async fn send(&self, request: Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
            self.seen.lock().unwrap().push(request);
            let (status, body) = self.answer.clone()?;
            Ok(Answer { status, body: Bytes::from_static(body.as_bytes()), ..Answer::default() })
        }
    }

    fn send(
        url: &str,
        answer: Result<(u16, &'static str), TransportError>,
    ) -> (Result<(), SendError>, Vec<Request<Bytes>>) {
        let fake = Fake { answer, seen: Mutex::default() };
        let credentials = CredentialsSource::Fixed(Credentials::new("AKID", "secret", None, None, "test"));
        let sender = QueueSender::new(&Url::parse(url).unwrap(), &fake, credentials);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let sent = runtime.block_on(sender.send("[1]", "group", "dedup", Duration::from_secs(1)));
        (sent, fake.seen.into_inner().unwrap())
    }

    #[test]
    fn sends_to_the_host_and_the_region_of_the_queue() {
        let confirmed = Ok((200, r#"{"MessageId":"m","MD5OfMessageBody":"35dba5d75538a9bbe0b4da4422759a0e"}"#));
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/metrics";
        let (sent, seen) = send(url, confirmed.clone());
        assert_eq!(sent, Ok(()));
        let request = &seen[0];
        assert_eq!(request.uri(), "https://sqs.eu-west-1.amazonaws.com/");
        assert_eq!(request.headers()["x-amz-target"], "AmazonSQS.SendMessage");
        assert_eq!(request.body(), format!(r#"{{"QueueUrl":"{url}","MessageBody":"[1]"}}"#).as_bytes());
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.contains("/eu-west-1/sqs/aws4_request"), "{authorization}");
        let (_, seen) = send("http://127.0.0.1:9324/000000000000/metrics.fifo", confirmed);
        assert_eq!(seen[0].uri(), "http://127.0.0.1:9324/");
        let body = String::from_utf8(seen[0].body().to_vec()).unwrap();
        assert!(body.ends_with(r#""MessageGroupId":"group","MessageDeduplicationId":"dedup"}"#), "{body}");
    }

    #[test]
    fn tells_what_was_certainly_not_sent_and_what_never_will_be() {
        let denied = r#"{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"no"}"#;
        let contents = r#"{"__type":"com.amazonaws.sqs#InvalidMessageContents","message":"no","Message":"no"}"#;
        // (answer, certainly not sent, of this message alone, of the credentials)
        let table = [
            (Ok((403, denied)), [true, false, true]),
            (Ok((400, contents)), [true, true, false]),
            (Ok((500, "")), [false, false, false]),
            (Ok((200, r#"{"MD5OfMessageBody":"0"}"#)), [false, false, false]),
            (Ok((200, "<html>")), [false, false, false]),
            (Err(TransportError::Timeout), [false, false, false]),
            (Err(TransportError::Network("reset".to_owned())), [false, false, false]),
            (Err(TransportError::Connect("refused".to_owned())), [true, false, false]),
        ];
        for (answer, expected) in table {
            let error = send("http://127.0.0.1:1/q", answer).0.unwrap_err();
            assert_eq!([error.is_not_sent(), error.is_of_message(), error.is_of_credentials()], expected, "{error}");
        }
    }
}
