//! The dead-letter queue on SQS. The client is built when the first letter is: it costs a start of the function
//! nothing.

use super::letter::{DeadLetter, MAX_MESSAGE_BYTES, NO_GROUP};
use super::{DeadLetterQueue, is_fifo};
use crate::aws::{causes, sdk_http_client};
use aws_config::BehaviorVersion;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Region;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Entries of one `SendMessageBatch`.
const BATCH: usize = 10;

/// A batch that is given less time than this is not begun.
const SHORTEST_SEND: Duration = Duration::from_millis(50);

/// Characters of an error's words that are repeated, for each message that it keeps from being put aside.
const MAX_WORDS: usize = 300;

/// A queue of SQS.
#[derive(Debug)]
pub struct SqsDeadLetters {
    url: String,
    region: Option<String>,
    client: OnceCell<Client>,
}

// === impl SqsDeadLetters ===

impl SqsDeadLetters {
    /// The queue at `url`; FIFO where it ends in `.fifo`. Its region is the one in the URL, else the usual one.
    #[must_use]
    pub fn new(url: &url::Url) -> Self {
        Self { url: url.as_str().to_owned(), region: queue_region(url).map(str::to_owned), client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        let build = || async {
            let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(sdk_http_client());
            if let Some(region) = &self.region {
                loader = loader.region(Region::new(region.clone()));
            }
            Client::new(&loader.load().await)
        };
        self.client.get_or_init(build).await
    }

    /// An entry of a batch and its size, or why the letter cannot be one.
    fn entry(&self, number: usize, letter: DeadLetter) -> Result<(SendMessageBatchRequestEntry, usize), String> {
        let too_long = |_| format!("body and attributes are longer than the {MAX_MESSAGE_BYTES} bytes of SQS");
        let attributes = letter.attributes().map_err(too_long)?;
        let size = letter.size_with(&attributes);
        let mut entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(letter.body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            entry = entry.message_attributes(name, value.map_err(|error| error.to_string())?);
        }
        if is_fifo(&self.url) {
            entry = entry
                .message_group_id(letter.group_id.unwrap_or_else(|| NO_GROUP.to_owned()))
                .message_deduplication_id(letter.deduplication_id);
        }
        Ok((entry.build().map_err(|error| error.to_string())?, size))
    }

    /// Sends one batch; `numbers` are the places of its letters in `results`.
    async fn send(
        &self,
        batch: Vec<SendMessageBatchRequestEntry>,
        deadline: Instant,
        results: &mut [Result<(), String>],
    ) {
        if is_short(deadline) {
            return;
        }
        let numbers: Vec<_> = batch.iter().filter_map(|entry| entry.id().parse::<usize>().ok()).collect();
        let request = async {
            let client = self.client().await;
            client.send_message_batch().queue_url(&self.url).set_entries(Some(batch)).send().await
        };
        let answer = match tokio::time::timeout_at(deadline, Box::pin(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let words = queue_error_in_words(&error);
                return numbers.iter().for_each(|&number| results[number] = Err(words.clone()));
            }
            Err(_) => {
                return numbers.iter().for_each(|&number| results[number] = Err("no answer in time".to_owned()));
            }
        };
        // A letter that the answer does not name is not there.
        for &number in &numbers {
            results[number] = Err("the queue did not say".to_owned());
        }
        for sent in answer.successful() {
            if let Some(result) = sent.id().parse::<usize>().ok().and_then(|number| results.get_mut(number)) {
                *result = Ok(());
            }
        }
        for failed in answer.failed() {
            if let Some(result) = failed.id().parse::<usize>().ok().and_then(|number| results.get_mut(number)) {
                *result = Err(format!("{}: {}", failed.code(), failed.message().unwrap_or("no message")));
            }
        }
    }
}

impl DeadLetterQueue for SqsDeadLetters {
    async fn put(&self, letters: Vec<DeadLetter>, deadline: Instant) -> Vec<Result<(), String>> {
        let mut results = vec![Err("no time left to send it".to_owned()); letters.len()];
        let (mut batch, mut batch_size) = (Vec::new(), 0);
        for (number, letter) in letters.into_iter().enumerate() {
            if is_short(deadline) {
                break;
            }
            let (entry, size) = match self.entry(number, letter) {
                Ok(entry) => entry,
                Err(words) => {
                    results[number] = Err(words);
                    continue;
                }
            };
            if batch.len() == BATCH || batch_size + size > MAX_MESSAGE_BYTES {
                self.send(std::mem::take(&mut batch), deadline, &mut results).await;
                batch_size = 0;
            }
            batch.push(entry);
            batch_size += size;
        }
        if !batch.is_empty() {
            self.send(batch, deadline, &mut results).await;
        }
        results
    }
}

fn is_short(deadline: Instant) -> bool {
    deadline.saturating_duration_since(Instant::now()) < SHORTEST_SEND
}

/// `QueueDoesNotExist: The specified queue does not exist.`, or the causes where the queue did not answer; cut to a bound.
pub fn queue_error_in_words(error: &(impl std::error::Error + ProvideErrorMetadata)) -> String {
    let words = match (error.code(), error.message()) {
        (Some(code), message) => format!("{code}: {}", message.unwrap_or("no message")),
        _ => causes(error),
    };
    words.chars().take(MAX_WORDS).collect()
}

/// The region in `https://sqs.<region>.amazonaws.com/…`, so that a queue of another region is asked there.
#[must_use]
pub fn queue_region(url: &url::Url) -> Option<&str> {
    let rest = url.host_str()?.strip_prefix("sqs.")?;
    let (region, domain) = rest.split_once('.')?;
    domain.starts_with("amazonaws.com").then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_a_queue_is_read_from_its_url() {
        let table = [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", Some("cn-north-1")),
            ("http://127.0.0.1:5000/123456789012/q", None),
        ];
        for (url, region) in table {
            assert_eq!(queue_region(&url::Url::parse(url).unwrap()), region, "{url}");
        }
    }
}
