//! The client of SQS.
//!
//! * A batch call takes any number of entries, and returns one result for each, in order. If an answer does not name an
//!   entry, that entry has failed.
//! * The client sends an entry again if it failed without a mistake of the sender, or if the queue confirmed another
//!   digest. The SDK repeats calls that fail. If a call hangs, it ends early enough for another.
//! * If the URL of a queue is not of AWS, calls go to the host in the URL, unless the environment sets an endpoint.
//! * The first call builds the client, so that a queue does not slow down the start of the function.
//! * Limits: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>.

mod error;
mod message;
#[cfg(feature = "extension")]
mod sender;

pub use error::SqsError;
pub use message::{Attribute, MAX_MESSAGE_BYTES, OutgoingMessage, ReceivedMessage, size_of_attributes};
#[cfg(feature = "extension")]
pub use sender::{QueueSender, SendError};

use super::json_service::endpoint_of_environment;
use super::region_of_environment;
use super::sdk_config::{ClientSettings, sdk_config};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
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

/// Times that an entry is sent, if the queue fails to take it.
const ENTRY_TRIES: u32 = 3;

/// The wait before an entry is sent again; it doubles, and half of it is random.
const ENTRY_WAIT: Duration = Duration::from_millis(100);

/// Longest try of a call that may be tried again.
const LONGEST_TRY: Duration = Duration::from_secs(30);

/// The region for a queue that is not at AWS, if the environment has none: it must be in the signature.
const ANY_REGION: &str = "us-east-1";

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
}

/// The attributes of a queue that the program uses.
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
    /// The queue at `url`. Calls are tried as often as the SDK's own settings say.
    pub fn new(url: &Url) -> Self {
        Self { url: url.clone(), client: OnceCell::new(), tries: None, timeout: LONGEST_CALL }
    }

    /// The same for the command line: a call is tried `tries` times, within `timeout` in all.
    pub fn at(url: &Url, tries: u32, timeout: Duration) -> Self {
        Self { tries: Some(tries), timeout, ..Self::new(url) }
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn is_fifo(&self) -> bool {
        is_fifo(self.url.path())
    }

    /// Sends messages, before `deadline` if there is one. A message that is too long, or whose turn comes too late, is not
    /// sent. If the queue cannot be reached, it sends no more: the next call would wait as long.
    pub async fn send(
        &self,
        messages: impl IntoIterator<Item = OutgoingMessage>,
        deadline: Option<Instant>,
    ) -> Vec<Result<(), SqsError>> {
        let mut messages = messages.into_iter().peekable();
        let mut results = Vec::new();
        let mut unreachable = None;
        while let Some(first) = messages.next() {
            if first.size() > MAX_MESSAGE_BYTES {
                results.push(Err(SqsError::TooLong));
            } else if deadline.is_some_and(|deadline| Instant::now() + SHORTEST_CALL > deadline) {
                results.push(Err(SqsError::NotBegun));
            } else if let Some(error) = &unreachable {
                results.push(Err(SqsError::clone(error)));
            } else {
                let sent = self.send_batch(&batch(first, &mut messages), deadline).await;
                unreachable = sent.iter().find_map(|result| result.clone().err().filter(SqsError::is_queues));
                results.extend(sent);
            }
        }
        results
    }

    async fn send_batch(&self, batch: &[OutgoingMessage], deadline: Option<Instant>) -> Vec<Result<(), SqsError>> {
        let mut results = self.try_batch(&batch.iter().collect::<Vec<_>>(), deadline).await;
        let mut wait = ENTRY_WAIT;
        for _ in 1..self.tries.unwrap_or(ENTRY_TRIES).min(ENTRY_TRIES) {
            let is_left =
                |result: &Result<(), SqsError>| matches!(result, Err(error) if error.is_entrys_and_may_work());
            let left: Vec<usize> = (0..batch.len()).filter(|&index| is_left(&results[index])).collect();
            let jittered = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
            if left.is_empty() || deadline.is_some_and(|deadline| Instant::now() + jittered + SHORTEST_CALL > deadline)
            {
                break;
            }
            tokio::time::sleep(jittered).await;
            wait *= 2;
            let again: Vec<_> = left.iter().map(|&index| &batch[index]).collect();
            for (index, result) in left.into_iter().zip(self.try_batch(&again, deadline).await) {
                results[index] = result;
            }
        }
        results
    }

    async fn try_batch(&self, batch: &[&OutgoingMessage], deadline: Option<Instant>) -> Vec<Result<(), SqsError>> {
        let entries: Vec<_> = batch.iter().enumerate().filter_map(|(index, message)| message.entry(index)).collect();
        let mut timeouts = TimeoutConfig::builder();
        timeouts.set_operation_attempt_timeout(self.longest_try(deadline));
        let request = async {
            let request = self.client().await.send_message_batch().queue_url(self.url.as_str());
            let config = aws_sdk_sqs::config::Builder::new().timeout_config(timeouts.build());
            request.set_entries(Some(entries)).customize().config_override(config).send().await
        };
        let answer = match self.call(Box::pin(request), deadline).await {
            Ok(answer) => answer,
            Err(error) => return vec![Err(error); batch.len()],
        };
        let mut results = in_order(batch.len(), answer.successful().iter().map(Sent::id), answer.failed());
        for sent in answer.successful() {
            let index = sent.id().parse().unwrap_or(usize::MAX);
            let (Some(message), digits) = (batch.get(index), sent.md5_of_message_body()) else { continue };
            // A stand-in for SQS may give none.
            if !digits.is_empty() && !message.has_md5(digits) {
                results[index] = Err(SqsError::Corrupted);
            }
        }
        results
    }

    /// Returns how long one try of a call may take: half of its time, if another may follow.
    fn longest_try(&self, deadline: Option<Instant>) -> Option<Duration> {
        let remaining = deadline.map_or(self.timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
        (self.tries != Some(1)).then(|| (remaining.min(self.timeout) / 2).clamp(SHORTEST_CALL, LONGEST_TRY))
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
            let host = self.url.host_str().unwrap_or_default();
            let region = region_of(host).map(str::to_owned).or_else(region_of_environment);
            let settings = ClientSettings {
                region: region.unwrap_or_else(|| ANY_REGION.to_owned()),
                endpoint: (!has_usual_host(host) && !has_endpoint()).then(|| self.url.origin().ascii_serialization()),
                retries: retry_config(self.tries),
            };
            Client::new(&sdk_config(settings).await)
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

/// The names of AWS's hosts end in one of these.
const DOMAINS_OF_AWS: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn"];

/// Returns the region in the host of a queue at AWS, so that a queue of another region is asked there:
/// <https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>, and VPC endpoints.
pub fn region_of(host: &str) -> Option<&str> {
    let name = DOMAINS_OF_AWS.iter().find_map(|domain| host.strip_suffix(domain))?;
    if name == "queue" {
        return Some("us-east-1");
    }
    let region = name.strip_prefix("sqs.").or_else(|| name.strip_prefix("sqs-fips."));
    let region = region.or_else(|| name.strip_suffix(".queue"));
    let region = region.or_else(|| Some(name.strip_suffix(".vpce")?.rsplit_once(".sqs.")?.1));
    region.filter(|region| !region.is_empty() && !region.contains('.'))
}

/// Returns whether the SDK finds this host by its region. Other hosts (FIPS, dual stack, VPC endpoints, other services that speak
/// as SQS does) are asked as the URL names them.
fn has_usual_host(host: &str) -> bool {
    let Some(region) = region_of(host) else { return false };
    let domain = host.strip_prefix("sqs.").and_then(|rest| rest.strip_prefix(region));
    matches!(domain, Some(".amazonaws.com" | ".amazonaws.com.cn"))
        || host
            .strip_suffix(".amazonaws.com")
            .is_some_and(|name| name == "queue" || name.strip_suffix(".queue").is_some())
}

/// Returns the retries that the caller wants, else those of the environment. The SDK would panic if the variables are wrong.
fn retry_config(tries: Option<u32>) -> RetryConfig {
    let var = |name| std::env::var(name).unwrap_or_default();
    let config = match var("AWS_RETRY_MODE").as_str() {
        "adaptive" => RetryConfig::adaptive(),
        _ => RetryConfig::standard(),
    };
    match tries.or_else(|| var("AWS_MAX_ATTEMPTS").parse().ok().filter(|tries| *tries > 0)) {
        Some(tries) => config.with_max_attempts(tries),
        None => config,
    }
}

/// Returns whether the environment says where SQS is.
fn has_endpoint() -> bool {
    endpoint_of_environment("AWS_ENDPOINT_URL_SQS").is_some()
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
