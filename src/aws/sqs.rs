//! One client of SQS for everybody.
//!
//! * A batch call takes any number of entries and returns one result for each, in the order of the entries. An entry that
//!   an answer does not name counts as failed.
//! * The client is built with the first call: a queue costs the start of the function nothing.
//! * Limits: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>.

mod error;
mod message;

pub use error::SqsError;
pub use message::{Attribute, MAX_MESSAGE_BYTES, OutgoingMessage, ReceivedMessage, size_of_attributes};

use super::sdk_http_client;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, ChangeMessageVisibilityBatchResultEntry as Shown,
    DeleteMessageBatchRequestEntry, DeleteMessageBatchResultEntry as Deleted, MessageSystemAttributeName,
    QueueAttributeName, SendMessageBatchResultEntry as Sent,
};
use std::iter::Peekable;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use url::Url;

pub use crate::limits::MAX_BATCH_MESSAGES as MAX_ENTRIES;

/// Longest call, with all its tries, if nobody sets another time; a function runs no longer.
const LONGEST_CALL: Duration = Duration::from_mins(15);

/// A call that is given less time than this is not begun.
const SHORTEST_CALL: Duration = Duration::from_millis(50);

/// The visibility timeout of a queue that does not report one: SQS's own default.
const DEFAULT_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// A queue of SQS.
#[derive(Debug)]
pub struct Queue {
    url: Url,
    client: OnceCell<Client>,
    tries: Option<u32>,
    timeout: Duration,
    at_its_url: bool,
}

/// The attributes of a queue that somebody here needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueAttributes {
    pub arn: String,
    /// How long a message that was received is hidden from others.
    pub visibility_timeout: Duration,
    /// About how many messages are on it, without those in flight.
    pub length: u64,
}

/// Returns whether a queue, by its name, URL or ARN, is a FIFO queue: SQS demands exactly this ending.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a rule of SQS, and no file")]
pub fn is_fifo(queue: &str) -> bool {
    queue.ends_with(".fifo")
}

impl Queue {
    /// The queue at `url`, asked as the SDK's own settings say. Its region is the one in the URL, else the usual one.
    pub fn new(url: &Url) -> Self {
        Self { url: url.clone(), client: OnceCell::new(), tries: None, timeout: LONGEST_CALL, at_its_url: false }
    }

    /// The same for the command line: a call is tried `tries` times, within `timeout` in all. A queue whose URL is not of
    /// AWS is asked at that URL, unless the environment sets an endpoint.
    pub fn at(url: &Url, tries: u32, timeout: Duration) -> Self {
        Self { tries: Some(tries), timeout, at_its_url: true, ..Self::new(url) }
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn is_fifo(&self) -> bool {
        is_fifo(self.url.path())
    }

    /// Sends messages, before `deadline` if there is one. A message that is too long, or whose turn comes too late, is not
    /// sent.
    pub async fn send(
        &self,
        messages: impl IntoIterator<Item = OutgoingMessage>,
        deadline: Option<Instant>,
    ) -> Vec<Result<(), SqsError>> {
        let mut messages = messages.into_iter().peekable();
        let mut results = Vec::new();
        while let Some(first) = messages.next() {
            if first.size() > MAX_MESSAGE_BYTES {
                results.push(Err(SqsError::TooLong));
            } else {
                results.extend(self.send_batch(batch(first, &mut messages), deadline).await);
            }
        }
        results
    }

    async fn send_batch(&self, batch: Vec<OutgoingMessage>, deadline: Option<Instant>) -> Vec<Result<(), SqsError>> {
        let count = batch.len();
        let entries: Vec<_> =
            batch.into_iter().enumerate().filter_map(|(index, message)| message.into_entry(index)).collect();
        let request = async {
            let request = self.client().await.send_message_batch().queue_url(self.url.as_str());
            request.set_entries(Some(entries)).send().await
        };
        match self.call(Box::pin(request), deadline).await {
            Ok(answer) => in_order(count, answer.successful().iter().map(Sent::id), answer.failed()),
            Err(error) => vec![Err(error); count],
        }
    }

    /// Deletes messages by their receipts.
    pub async fn delete(&self, receipts: &[String]) -> Vec<Result<(), SqsError>> {
        let mut results = Vec::with_capacity(receipts.len());
        for receipts in receipts.chunks(MAX_ENTRIES) {
            let entry = |(index, receipt): (usize, &String)| {
                DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt).build().ok()
            };
            let entries = receipts.iter().enumerate().filter_map(entry).collect();
            let request = async {
                let request = self.client().await.delete_message_batch().queue_url(self.url.as_str());
                request.set_entries(Some(entries)).send().await
            };
            match self.call(Box::pin(request), None).await {
                Ok(answer) => {
                    let done = answer.successful().iter().map(Deleted::id);
                    results.extend(in_order(receipts.len(), done, answer.failed()));
                }
                Err(error) => results.extend(vec![Err(error); receipts.len()]),
            }
        }
        results
    }

    /// Shows hidden messages, by their receipts, to others at once.
    pub async fn show(&self, receipts: &[String]) -> Vec<Result<(), SqsError>> {
        let mut results = Vec::with_capacity(receipts.len());
        for receipts in receipts.chunks(MAX_ENTRIES) {
            let entry = |(index, receipt): (usize, &String)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                entry.receipt_handle(receipt).visibility_timeout(0).build().ok()
            };
            let entries = receipts.iter().enumerate().filter_map(entry).collect();
            let request = async {
                let request = self.client().await.change_message_visibility_batch().queue_url(self.url.as_str());
                request.set_entries(Some(entries)).send().await
            };
            match self.call(Box::pin(request), None).await {
                Ok(answer) => {
                    let done = answer.successful().iter().map(Shown::id);
                    results.extend(in_order(receipts.len(), done, answer.failed()));
                }
                Err(error) => results.extend(vec![Err(error); receipts.len()]),
            }
        }
        results
    }

    /// Receives up to `most` messages, and no more than ten, with all their attributes. It waits up to `wait` for the
    /// first. They are hidden from others for `hidden_for`, else for the queue's visibility timeout.
    pub async fn receive(
        &self,
        most: usize,
        wait: Duration,
        hidden_for: Option<Duration>,
    ) -> Result<Vec<ReceivedMessage>, SqsError> {
        let seconds = |duration: Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let request = async {
            let request = self.client().await.receive_message().queue_url(self.url.as_str());
            request
                .max_number_of_messages(i32::try_from(most.clamp(1, MAX_ENTRIES)).unwrap_or(1))
                .wait_time_seconds(seconds(wait))
                .set_visibility_timeout(hidden_for.map(seconds))
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .message_attribute_names("All")
                .send()
                .await
        };
        let answer = self.call(Box::pin(request), None).await?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(ReceivedMessage::from).collect())
    }

    /// Asks the queue for its attributes.
    pub async fn attributes(&self) -> Result<QueueAttributes, SqsError> {
        use QueueAttributeName::{ApproximateNumberOfMessages, QueueArn, VisibilityTimeout};
        let request = async {
            let request = self.client().await.get_queue_attributes().queue_url(self.url.as_str());
            let names = vec![QueueArn, VisibilityTimeout, ApproximateNumberOfMessages];
            request.set_attribute_names(Some(names)).send().await
        };
        let mut attributes = self.call(Box::pin(request), None).await?.attributes.unwrap_or_default();
        let number = |name| attributes.get(&name).and_then(|text| text.parse().ok());
        let visibility_timeout = number(VisibilityTimeout).map_or(DEFAULT_VISIBILITY_TIMEOUT, Duration::from_secs);
        let length = number(ApproximateNumberOfMessages).unwrap_or(0);
        let arn = attributes.remove(&QueueArn).ok_or(SqsError::Missing("the ARN of the queue"))?;
        Ok(QueueAttributes { arn, visibility_timeout, length })
    }

    /// Waits for an answer until `deadline`, and no longer than a call may take.
    async fn call<T, E>(
        &self,
        // Boxed: the SDK's futures are large, and nested deeply.
        request: Pin<Box<dyn Future<Output = Result<T, SdkError<E>>> + Send + '_>>,
        deadline: Option<Instant>,
    ) -> Result<T, SqsError>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let now = Instant::now();
        let end = deadline.map_or(now + self.timeout, |deadline| deadline.min(now + self.timeout));
        if end < now + SHORTEST_CALL {
            return Err(SqsError::NotBegun);
        }
        match tokio::time::timeout_at(end, request).await {
            Ok(answer) => answer.map_err(SqsError::from),
            Err(_) => Err(SqsError::Timeout),
        }
    }

    async fn client(&self) -> &Client {
        let build = || async {
            let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(sdk_http_client());
            if let Some(tries) = self.tries {
                loader = loader.retry_config(RetryConfig::standard().with_max_attempts(tries));
            }
            if let Some(region) = region_of(&self.url) {
                loader = loader.region(Region::new(region.to_owned()));
            } else if self.at_its_url && !has_endpoint() {
                loader = loader.endpoint_url(self.url.origin().ascii_serialization());
            }
            Client::new(&loader.load().await)
        };
        self.client.get_or_init(build).await
    }
}

/// Returns `first` and those of the messages after it that fit into one call with it.
fn batch(first: OutgoingMessage, rest: &mut Peekable<impl Iterator<Item = OutgoingMessage>>) -> Vec<OutgoingMessage> {
    let mut size = first.size();
    let mut batch = vec![first];
    while batch.len() < MAX_ENTRIES
        && let Some(next) = rest.next_if(|next| size + next.size() <= MAX_MESSAGE_BYTES)
    {
        size += next.size();
        batch.push(next);
    }
    batch
}

/// Returns the region in `https://sqs.<region>.amazonaws.com/…`, so that a queue of another region is asked there.
fn region_of(url: &Url) -> Option<&str> {
    let rest = url.host_str()?.strip_prefix("sqs.")?;
    let (region, domain) = rest.split_once('.')?;
    domain.starts_with("amazonaws.com").then_some(region)
}

/// Returns whether the environment says where SQS is.
fn has_endpoint() -> bool {
    ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|url| !url.is_empty()))
}

/// Returns the results of `count` entries, whose ids are their indices. An answer names the ids that are `done` and the
/// entries that `failed`.
fn in_order<'a>(
    count: usize,
    done: impl Iterator<Item = &'a str>,
    failed: &'a [BatchResultErrorEntry],
) -> Vec<Result<(), SqsError>> {
    let mut results = vec![Err(SqsError::Missing("the result of this entry")); count];
    let done = done.map(|id| (id, Ok(())));
    for (id, result) in done.chain(failed.iter().map(|entry| (entry.id(), Err(SqsError::of_entry(entry))))) {
        if let Some(place) = id.parse::<usize>().ok().and_then(|index| results.get_mut(index)) {
            *place = result;
        }
    }
    results
}

#[cfg(test)]
mod tests;
