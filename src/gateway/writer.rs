//! Writes sample tables to the receiver. Every use case with samples ends here.

use super::metadata::Known;
use crate::aws::Transport;
use crate::config::RemoteWriteSettings;
use crate::limits::MAX_REQUESTS;
use crate::model::ItemId;
use crate::remote_write::{Answered, Delivery, Gate, Manner, Origin, RemoteWriteClient, Sender, Sent, deliver};
use crate::series::SampleTable;
use crate::wire;
use bytes::Bytes;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// One for the life of the process.
#[derive(Debug)]
pub(super) struct Writer<T> {
    client: RemoteWriteClient<T>,
    limits: wire::Limits,
    /// The metadata of families.
    pub(super) known: Known,
    /// The encoder of the last invocation, so that its memory is used again.
    encoder: Mutex<wire::Encoder>,
}

/// The result of a write.
#[derive(Debug)]
pub(super) struct Written<'t, 'a> {
    pub(super) delivery: Delivery<'t, 'a>,
    pub(super) sent: Sent,
    /// The receiver's last `Retry-After`, if an answer had one.
    pub(super) retry_after: Option<Duration>,
    /// The time that encoding took.
    pub(super) encoding: Duration,
}

impl<T: Transport> Writer<T> {
    pub(super) fn new(settings: &RemoteWriteSettings, transport: T) -> Result<Self, http::uri::InvalidUri> {
        let client = RemoteWriteClient::new(&settings.url, transport)?.with_version(settings.version);
        Ok(Self { client, limits: wire::Limits::default(), known: Known::default(), encoder: Mutex::default() })
    }

    /// Returns the version that the receiver takes, as far as it is known.
    pub(super) fn version(&self) -> wire::Version {
        self.client.version()
    }

    /// Sends all samples of `table` before `deadline`. `messages` has the first item of each message.
    pub(super) async fn write<'t, 'a>(
        &self,
        table: &'t SampleTable<'a>,
        messages: &'t [ItemId],
        request_id: &str,
        deadline: Instant,
    ) -> Written<'t, 'a> {
        self.write_within(MAX_REQUESTS, None, table, messages, request_id, deadline).await
    }

    /// Sends at most `max_requests`, each if `gate` is open.
    pub(super) async fn write_within<'t, 'a>(
        &self,
        max_requests: u64,
        gate: Option<&dyn Gate>,
        table: &'t SampleTable<'a>,
        messages: &'t [ItemId],
        request_id: &str,
        deadline: Instant,
    ) -> Written<'t, 'a> {
        let sender = self.sender(request_id, deadline).with_max_requests(max_requests).with_gate(gate);
        self.write_with(sender, Origin::Items, &[], table, messages).await
    }

    /// Returns a sender of its own for one invocation.
    pub(super) fn sender<'s>(&'s self, request_id: &'s str, deadline: Instant) -> Sender<'s, T> {
        Sender::new(&self.client, request_id, deadline)
    }

    /// Sends all samples of `table`. `answers` are those to one request with all of them, which `sender` has sent before.
    pub(super) async fn write_with<'t, 'a>(
        &self,
        mut sender: Sender<'_, T>,
        origin: Origin<'_>,
        answers: &[Answered],
        table: &'t SampleTable<'a>,
        messages: &'t [ItemId],
    ) -> Written<'t, 'a> {
        let mut encoder = std::mem::take(&mut *self.encoder.lock().unwrap_or_else(PoisonError::into_inner));
        let Self { limits, known, .. } = self;
        let manner = Manner { limits, encoder: &mut encoder, families: known, origin, answers };
        // Boxed: every future that waits for it would hold its kilobytes.
        let (delivery, encoding) = Box::pin(deliver(&mut sender, table, messages, manner)).await;
        *self.encoder.lock().unwrap_or_else(PoisonError::into_inner) = encoder.trimmed();
        Written { delivery, sent: sender.sent(), retry_after: sender.retry_after(), encoding }
    }

    /// Sends one block of 1.0, once.
    pub(super) async fn send(&self, block: Bytes, timeout: Duration) -> Answered {
        self.client.send(block, wire::Version::V1, timeout).await
    }

    pub(super) async fn warm(&self) {
        self.client.warm().await;
    }

    pub(super) async fn ping(&self, timeout: Duration) -> Answered {
        self.client.ping(timeout).await
    }

    #[cfg(test)]
    pub(super) fn limit(&mut self, limits: wire::Limits) {
        self.limits = limits;
    }
}
