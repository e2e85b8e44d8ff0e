//! The queue of `serve`: its options, with the limits of Lambda, and the poller.

use super::log::Log;
use crate::exit::CommandError;
use crate::view;
use amp_push_gateway::aws::sqs::{Queue, QueueAttributes};
use amp_push_gateway::local::event_source::{self, Observer, Settings};
use amp_push_gateway::local::invoke_endpoint::Function;
use clap::builder::RangedU64ValueParser;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Tries of one call, and the longest time for all of them.
const TRIES: u32 = 3;
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Lambda gives a batch of a FIFO queue no more messages, and no window to gather them.
const MAX_FIFO_BATCH: usize = 10;
const DEFAULT_BATCH: usize = 50;
/// In seconds.
const DEFAULT_WINDOW: u64 = 20;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Arguments {
    /// Also poll this SQS queue, as Lambda's event source mapping does.
    #[arg(long, value_name = "URL")]
    queue_url: Option<Url>,
    /// The most messages of a batch: up to 10,000, or up to 10 for a FIFO queue. Default: 50, or 10 for a FIFO queue.
    #[arg(long, value_name = "NUMBER", requires = "queue_url", value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    batch_size: Option<usize>,
    /// How long a batch gathers messages, in seconds: up to 300, but at most half of the queue's visibility timeout.
    /// With 0 the function gets the messages of one receive call at once, at most ten. Default: 20. A FIFO queue
    /// allows only 0.
    #[arg(long, value_name = "SECONDS", requires = "queue_url", value_parser = clap::value_parser!(u64).range(0..=300))]
    batch_window: Option<u64>,
    /// Batches in flight at a time.
    #[arg(long, value_name = "NUMBER", requires = "queue_url", default_value_t = 2, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    concurrency: usize,
}

/// A queue that answered, ready to be polled.
pub(super) struct Polled {
    pub(super) attributes: QueueAttributes,
    pub(super) settings: Settings,
    pub(super) queue: Queue,
}

/// Asks the queue for its attributes; returns `None` without `--queue-url`.
pub(super) async fn prepare(arguments: &Arguments, timeout: Duration) -> Result<Option<Polled>, CommandError> {
    let Some(url) = &arguments.queue_url else { return Ok(None) };
    let queue = Queue::at(url, TRIES, CALL_TIMEOUT);
    let settings = settings(arguments, queue.is_fifo(), timeout)?;
    let attributes = queue.attributes().await.map_err(|error| {
        CommandError::failed(format!(
            "the attributes of {url} cannot be read: {error}; expected the URL of an SQS queue, and permission for \
             sqs:GetQueueAttributes, sqs:ReceiveMessage and sqs:DeleteMessage"
        ))
    })?;
    if attributes.visibility_timeout < timeout + settings.window_on(&attributes) {
        view::note(&format!(
            "warning: the queue shows a message again after {} s, and a batch may take longer: {} s to gather and {} s \
             in the function; messages may be handled twice (a shorter --timeout or --batch-window, or a longer \
             visibility timeout)",
            attributes.visibility_timeout.as_secs(),
            settings.window_on(&attributes).as_secs(),
            timeout.as_secs()
        ));
    }
    Ok(Some(Polled { attributes, settings, queue }))
}

fn settings(arguments: &Arguments, fifo: bool, timeout: Duration) -> Result<Settings, CommandError> {
    let (batch_size, window) = match (fifo, arguments.batch_size, arguments.batch_window) {
        (true, Some(size), _) if size > MAX_FIFO_BATCH => {
            return Err(CommandError::usage(format!(
                "--batch-size {size}: Lambda takes at most {MAX_FIFO_BATCH} messages of a FIFO queue at a time"
            )));
        }
        (true, _, Some(window @ 1..)) => {
            return Err(CommandError::usage(format!(
                "--batch-window {window}: Lambda gathers no batches of a FIFO queue; only 0 is allowed there"
            )));
        }
        (true, size, _) => (size.unwrap_or(MAX_FIFO_BATCH), 0),
        (false, size, window) => (size.unwrap_or(DEFAULT_BATCH), window.unwrap_or(DEFAULT_WINDOW)),
    };
    let window = Duration::from_secs(window);
    Ok(Settings { batch_size, window, concurrency: arguments.concurrency, timeout })
}

pub(super) async fn run<F: Function>(
    polled: Option<Polled>,
    shutdown: impl Future<Output = ()>,
    function: Arc<F>,
    log: Log,
) {
    let Some(Polled { attributes, settings, queue, .. }) = polled else { return };
    let observer: Observer = Arc::new(move |batch| log.batch(batch));
    event_source::run(Arc::new(queue), attributes, shutdown, function, settings, observer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(fifo: bool, batch_size: Option<usize>, batch_window: Option<u64>) -> Result<(usize, u64), CommandError> {
        let arguments = Arguments { queue_url: None, batch_size, batch_window, concurrency: 2 };
        let settings = settings(&arguments, fifo, Duration::from_secs(30))?;
        Ok((settings.batch_size, settings.window.as_secs()))
    }

    #[test]
    fn batches_are_what_lambda_allows_for_the_kind_of_queue() {
        let table = [
            (false, None, None, (50, 20)),
            (false, Some(10_000), Some(0), (10_000, 0)),
            (true, None, None, (10, 0)),
            (true, Some(3), Some(0), (3, 0)),
        ];
        for (fifo, size, window, expected) in table {
            assert_eq!(settled(fifo, size, window).unwrap(), expected, "{fifo} {size:?} {window:?}");
        }
        assert!(settled(true, Some(11), None).unwrap_err().to_string().starts_with("--batch-size 11:"));
        assert!(settled(true, None, Some(20)).unwrap_err().to_string().starts_with("--batch-window 20:"));
    }
}
