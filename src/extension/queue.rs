//! Sends to the gateway's queue: one message for a dispatch, or a few.
//!
//! * If the queue did not confirm a message, the extension keeps it, and sends it again with the same ids. The message also
//!   keeps its time, unless the queue has certainly not taken it.
//! * Everything here may be dropped at any await. Nothing is lost then, and nothing counts twice.

use super::wall_clock;
use crate::aws::sqs::{QueueSender, SendError};
use crate::aws::{FunctionCredentials, HttpTransport};
use crate::model::Timestamp;
use crate::telemetry::{PendingSeries, TypedMessage, cut};
use std::collections::VecDeque;
use std::time::Duration;
use url::Url;

/// The gateway's queue.
#[derive(Debug)]
pub(super) struct Queue {
    sender: QueueSender<HttpTransport, FunctionCredentials>,
    unsent: VecDeque<Unsent>,
    /// The number of the next event.
    next: u64,
}

#[derive(Debug)]
struct Unsent {
    message: TypedMessage,
    time: Timestamp,
    /// The queue may have it.
    maybe_sent: bool,
}

impl Queue {
    pub(super) fn new(url: &Url, http: &HttpTransport) -> Self {
        let sender = QueueSender::new(url, http.clone(), FunctionCredentials::default());
        Self { sender, unsent: VecDeque::new(), next: 1 }
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn load(&mut self, series: Vec<PendingSeries>, environment: &str) {
        let time = wall_clock();
        let messages = cut(series, environment, &mut self.next).into_iter();
        self.unsent.extend(messages.map(|message| Unsent { message, time, maybe_sent: false }));
    }

    /// Sends all messages, each within `timeout`. Returns how many series the queue will never take.
    pub(super) async fn send(&mut self, environment: &str, timeout: Duration) -> Result<u64, SendError> {
        let mut dropped = 0;
        while let Some(unsent) = self.unsent.front_mut() {
            let was_maybe_sent = unsent.maybe_sent;
            if !was_maybe_sent {
                unsent.time = wall_clock();
            }
            unsent.maybe_sent = true;
            let body = unsent.message.body(environment, unsent.time);
            let first = unsent.message.first_id(environment);
            match send(&self.sender, &body, environment, &first, timeout).await {
                Ok(()) => _ = self.unsent.pop_front(),
                Err(error) if error.is_of_message() => {
                    tracing::error!(
                        error = error.to_string(),
                        "the queue takes no such message: its metrics are dropped"
                    );
                    dropped += unsent.message.series_count() as u64;
                    self.unsent.pop_front();
                }
                Err(error) => {
                    unsent.maybe_sent = was_maybe_sent || !error.is_not_sent();
                    if error.is_of_credentials() {
                        self.sender.forget_credentials().await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(dropped)
    }
}

/// Sends a message, and again at once if the connection had been closed while the environment was frozen: because of
/// the ids it counts once.
async fn send(
    sender: &QueueSender<HttpTransport, FunctionCredentials>,
    body: &str,
    environment: &str,
    first: &str,
    timeout: Duration,
) -> Result<(), SendError> {
    match sender.send(body, environment, first, timeout).await {
        Err(error) if error.is_broken_connection() => sender.send(body, environment, first, timeout).await,
        other => other,
    }
}
