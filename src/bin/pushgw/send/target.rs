//! Whom messages are sent to.

use super::function::{self, Function};
use super::judge::Wants;
use super::outcome::Outcome;
use super::packing::Limits;
use super::queue::{self, Queue};
use super::receiver::Receiver;
use crate::fault::Fault;
use amp_push_gateway::local::invoke_endpoint::{MAX_ASYNC_BYTES, MAX_SYNC_BYTES};
use std::time::Duration;
use url::Url;

/// Events that go together in one direct payload. A refused one is told by its number, so that many may go together; few
/// enough that one that fails does not make thousands go twice.
const MAX_EVENTS: usize = 500;

/// One of three.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[expect(clippy::doc_markdown, reason = "this is the help text, which knows no markup")]
pub(super) struct Arguments {
    /// Send to this SQS queue: the message body is the event.
    #[arg(long, value_name = "URL", group = "target")]
    queue_url: Option<Url>,
    /// The group of the messages; a FIFO queue wants one, and keeps the order of those that share it. The deduplication id
    /// is made of the message and its position, so that what is sent again within five minutes is there once.
    #[arg(long, value_name = "ID", conflicts_with_all = ["function_name", "remote_write_url"])]
    group_id: Option<String>,
    /// Invoke this Lambda function: a name, or an ARN, which names its region too.
    #[arg(long, value_name = "NAME", group = "target")]
    function_name: Option<String>,
    /// Where Lambda is, for example http://127.0.0.1:9001 of `pushgw serve`. Default: AWS_ENDPOINT_URL_LAMBDA, else
    /// AWS_ENDPOINT_URL, else Lambda in the region AWS_REGION.
    #[arg(long, value_name = "URL", conflicts_with_all = ["queue_url", "remote_write_url"])]
    endpoint_url: Option<Url>,
    /// Let Lambda take the events and store them later: what becomes of them is not told here.
    #[arg(long, conflicts_with_all = ["queue_url", "remote_write_url"])]
    asynchronous: bool,
    /// Write to this receiver, through the function's own handler in this process, with settings from the environment as for
    /// the Lambda function (REMOTE_WRITE_AUTH, SIGV4_REGION and so on).
    #[arg(long, value_name = "URL", group = "target")]
    remote_write_url: Option<String>,
    /// The time that one invocation, or one call of the queue, may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
}

/// A message with its number among all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
}

/// Who takes messages.
#[derive(Debug)]
pub(super) enum Target {
    Queue(Queue),
    Function(Function),
    Receiver(Box<Receiver>),
}

// === impl Target ===

impl Target {
    pub(super) async fn new(arguments: &Arguments) -> Result<Self, Fault> {
        let timeout = Duration::from_secs(arguments.timeout);
        if let Some(url) = &arguments.queue_url {
            return Ok(Self::Queue(Queue::new(url, arguments.group_id.clone(), timeout).await?));
        }
        if let Some(name) = &arguments.function_name {
            let endpoint = arguments.endpoint_url.clone();
            let invocation =
                if arguments.asynchronous { function::Kind::Asynchronous } else { function::Kind::Synchronous };
            return Ok(Self::Function(Function::new(name, endpoint, invocation, timeout)?));
        }
        Ok(Self::Receiver(Box::new(Receiver::new(arguments.remote_write_url.as_deref(), timeout)?)))
    }

    /// In words; a file of progress belongs to it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Queue(queue) => format!("the queue {}", queue.url()),
            Self::Function(function) => format!("the function {}", function.name()),
            Self::Receiver(receiver) => format!("the receiver {}", receiver.url()),
        }
    }

    /// What it wants of each message.
    pub(super) fn wants(&self) -> Wants {
        Wants { bytes: self.max_bytes(), sqs: matches!(self, Self::Queue(_)) }
    }

    /// What one call takes.
    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Queue(_) => Limits { count: queue::MAX_ENTRIES, bytes: queue::MAX_BYTES, around: 0 },
            // A comma, and the brackets together.
            _ => Limits { count: MAX_EVENTS, bytes: self.max_bytes() - 1, around: 1 },
        }
    }

    fn max_bytes(&self) -> usize {
        match self {
            Self::Queue(_) => queue::MAX_BYTES,
            Self::Function(function) if function.is_asynchronous() => MAX_ASYNC_BYTES,
            Self::Function(_) | Self::Receiver(_) => MAX_SYNC_BYTES,
        }
    }

    /// Sends messages within its limits, once, and answers for each, in order.
    pub(super) async fn send(&self, messages: &[Numbered<'_>]) -> Vec<Outcome> {
        match self {
            Self::Queue(queue) => queue.send(messages).await,
            Self::Function(function) => function.send(messages).await,
            Self::Receiver(receiver) => receiver.send(messages).await,
        }
    }
}
