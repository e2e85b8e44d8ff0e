//! The target of messages: a queue, a function or a receiver.

use super::direct_invocation::payload;
use super::function::Function;
use super::outcome::Outcome;
use super::packing::Limits;
use super::queue::Queue;
use super::receiver::Receiver;
use crate::environment::Overrides;
use crate::exit::CommandError;
use amp_push_gateway::aws::sqs::{MAX_ENTRIES, MAX_MESSAGE_BYTES};
use amp_push_gateway::config;
use amp_push_gateway::local::invoke_endpoint::{MAX_ASYNC_BYTES, MAX_SYNC_BYTES};
use std::time::Duration;
use url::Url;

/// Events of one direct payload. The answer has the number of a rejected event, so many events may go together. But
/// if a payload fails, only so many events are sent again.
const MAX_EVENTS: usize = 500;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Arguments {
    /// Send to this SQS queue: the message body is the event.
    #[arg(long, value_name = "URL", group = "target")]
    queue_url: Option<Url>,
    /// The group of the messages. A FIFO queue needs one, and keeps the order of messages of one group. The
    /// deduplication id is made of the message and its position. If the same run sends a message again within five
    /// minutes, the queue drops the copy.
    #[arg(long, value_name = "ID", conflicts_with_all = ["function_name", "remote_write_url"])]
    group_id: Option<String>,
    /// Invoke this Lambda function: its name, or its ARN, which also names the region.
    #[arg(long, value_name = "NAME", group = "target")]
    function_name: Option<String>,
    /// The endpoint of Lambda, for example http://127.0.0.1:9001 of `pushgw serve`. Default: AWS_ENDPOINT_URL_LAMBDA, else
    /// AWS_ENDPOINT_URL, else Lambda in the region AWS_REGION.
    #[arg(long, value_name = "URL", conflicts_with_all = ["queue_url", "remote_write_url"])]
    endpoint_url: Option<Url>,
    /// Invoke the function asynchronously. This command then cannot report the outcomes of the events.
    #[arg(long, conflicts_with_all = ["queue_url", "remote_write_url"])]
    asynchronous: bool,
    /// Write to this receiver, through the function's code in this process. Settings come from the environment as for
    /// the Lambda function (REMOTE_WRITE_AUTH, REMOTE_WRITE_VERSION, SIGV4_REGION and so on).
    #[arg(long, value_name = "URL", group = "target")]
    remote_write_url: Option<String>,
    /// The time that one invocation, or one call of the queue, may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
}

/// A message with its number among all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered<'a> {
    pub(crate) number: u64,
    pub(crate) text: &'a str,
}

#[derive(Debug)]
pub(crate) enum Target {
    Queue(Queue),
    Function(Function),
    Receiver(Box<Receiver>),
}

impl Target {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, CommandError> {
        let timeout = Duration::from_secs(arguments.timeout);
        if let Some(url) = &arguments.queue_url {
            return Ok(Self::Queue(Queue::new(url, arguments.group_id.clone(), timeout)?));
        }
        if let Some(name) = &arguments.function_name {
            let mut function = Function::new(name, arguments.endpoint_url.clone(), timeout)?;
            function.asynchronous = arguments.asynchronous;
            return Ok(Self::Function(function));
        }
        // There is no dead-letter queue: the answer says what is rejected.
        let hidden = [config::ENV_DEAD_LETTER_QUEUE_URL, config::ENV_LATE_SAMPLES];
        let vars = Overrides::default().receiver(arguments.remote_write_url.as_deref()).without(&hidden);
        Ok(Self::Receiver(Box::new(Receiver::new(&vars.settings()?, timeout)?)))
    }

    /// Takes over the name of the run that is resumed.
    pub(super) fn set_run(&mut self, run: &str) {
        if let Self::Queue(queue) = self {
            run.clone_into(&mut queue.run);
        }
    }

    /// A file of progress belongs to it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Queue(queue) => format!("the queue {}", queue.inner.url()),
            Self::Function(function) => format!("the function {}", function.name()),
            Self::Receiver(receiver) => format!("the receiver {}", receiver.url),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        let array = |bytes| Limits { count: MAX_EVENTS, bytes, is_array: true };
        match self {
            Self::Queue(_) => Limits { count: MAX_ENTRIES, bytes: MAX_MESSAGE_BYTES, is_array: false },
            Self::Function(function) if function.asynchronous => array(MAX_ASYNC_BYTES),
            Self::Function(_) | Self::Receiver(_) => array(MAX_SYNC_BYTES),
        }
    }

    /// Sends messages within its limits, once. Returns an outcome for each, in order.
    pub(crate) async fn send(&self, messages: &[Numbered<'_>]) -> Vec<Outcome> {
        let texts: Vec<_> = messages.iter().map(|message| message.text).collect();
        match self {
            Self::Queue(queue) => queue.send(messages).await,
            Self::Function(function) => function.send(payload(&texts), texts.len()).await,
            Self::Receiver(receiver) => receiver.send(payload(&texts), texts.len()).await,
        }
    }
}
