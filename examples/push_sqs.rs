//! Puts metrics on the gateway's SQS queue.
//!
//! ```sh
//! cargo run --example push_sqs -- --queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/amp-push-events
//! ```
//!
//! Region, credentials and `AWS_ENDPOINT_URL_SQS` come from the environment, as with every AWS SDK.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde_json::{Value, json};

/// SQS accepts ten messages a call, and 1 MiB in all. A message may be one event or a JSON array of events. Arrays of
/// small events cost less, but if the gateway rejects one event, it dead-letters the whole message.
const BATCH: usize = 10;
const ATTEMPTS: u32 = 5;

const USAGE: &str = "usage: push_sqs --queue-url URL [--count NUMBER]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (queue_url, count) = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("push_sqs: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };

    let sqs = sqs_client().await;
    let pushed = push(&sqs, &queue_url, readings(count)).await;
    println!("{} events sent", pushed.sent);
    for (event, reason) in &pushed.failed {
        eprintln!("not sent: {reason}: {event}");
    }
    if pushed.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In a program of your own leave `http_client` out: `aws-config` has one by default. This package has its own, as it
/// needs no second TLS library.
async fn sqs_client() -> Client {
    let http_client = amp_push_gateway::aws::sdk_http_client();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client).load().await;
    Client::new(&config)
}

/// Returns events as a small fleet of water sensors would send them.
fn readings(count: usize) -> Vec<Value> {
    (0..count)
        .map(|number| {
            json!({
                // Each combination of dimensions is a time series of its own: use few values, and no request ids.
                "dimensions": {
                    "customerId": format!("customer{}", number % 3 + 1),
                    "deviceId": format!("tank-{}", number + 1),
                },
                // Milliseconds. An event without a timestamp gets the time at which SQS received the message.
                "timestamp": milliseconds_since_epoch(),
                "metrics": {"temperature": 14.3, "ph": 6.7},
            })
        })
        .collect()
}

/// How many events SQS accepted, and the other events, each with the reason.
struct Pushed {
    sent: usize,
    failed: Vec<(Value, String)>,
}

async fn push(sqs: &Client, queue_url: &str, events: Vec<Value>) -> Pushed {
    let mut pushed = Pushed { sent: 0, failed: Vec::new() };
    for batch in events.chunks(BATCH) {
        let waiting = batch.iter().cloned().enumerate().map(|(id, event)| (id.to_string(), event)).collect();
        push_batch(sqs, queue_url, waiting, &mut pushed).await;
    }
    pushed
}

/// Sends the events of one call under their ids, and sends those again that SQS could not accept at the moment.
async fn push_batch(sqs: &Client, queue_url: &str, mut waiting: BTreeMap<String, Value>, pushed: &mut Pushed) {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        let entries = waiting.iter().map(|(id, event)| {
            SendMessageBatchRequestEntry::builder()
                .id(id)
                .message_body(event.to_string())
                .build()
                .expect("id and body are set")
        });
        let answer =
            match sqs.send_message_batch().queue_url(queue_url).set_entries(Some(entries.collect())).send().await {
                Ok(answer) => answer,
                // The whole call failed, after the SDK's own attempts.
                Err(error) => {
                    let reason = DisplayErrorContext(error).to_string();
                    pushed.failed.extend(waiting.into_values().map(|event| (event, reason.clone())));
                    return;
                }
            };
        // The call succeeds although single entries fail, so the SDK's own retry does not see them.
        for entry in answer.successful() {
            if waiting.remove(entry.id()).is_some() {
                pushed.sent += 1;
            }
        }
        // `SenderFault`: the entry itself is wrong, so another attempt would fail too.
        for entry in answer.failed().iter().filter(|entry| entry.sender_fault()) {
            if let Some(event) = waiting.remove(entry.id()) {
                pushed.failed.push((event, entry.message().unwrap_or(entry.code()).to_owned()));
            }
        }
        if waiting.is_empty() {
            return;
        }
    }
    let reason = format!("not accepted after {ATTEMPTS} attempts");
    pushed.failed.extend(waiting.into_values().map(|event| (event, reason.clone())));
}

fn milliseconds_since_epoch() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit for 584 million years")
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<(String, usize), Box<dyn Error>> {
    let (mut queue_url, mut count) = (None, 25);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--queue-url" => queue_url = Some(value()?),
            "--count" => count = value()?.parse()?,
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    Ok((queue_url.ok_or("--queue-url is missing")?, count))
}
