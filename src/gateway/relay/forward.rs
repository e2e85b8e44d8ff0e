//! Sends a request of 1.0 as it came, if 1.0 is sent. If the receiver refuses it, the relay takes it apart.

use super::{Counts, Relay, RelayResult, Relayed};
use crate::aws::Transport;
use crate::gateway::watch::Watch;
use crate::gateway::{Gateway, Stages, Summary};
use crate::limits::MAX_REQUEST_BLOCK_BYTES;
use crate::remote_write::{Answered, Disposition, Sender, describe};
use crate::wire::Version;
use crate::wire::incoming::unchanged;
use bytes::Bytes;

impl<T: Transport, D> Gateway<T, D> {
    /// Sends the request as it came, and returns when every sample has an outcome.
    ///
    /// # Errors
    /// The answers to the request, the last of which refuses something of it. There are none if it cannot be sent as it came.
    pub(super) async fn forward(
        &self,
        relay: &Relay<'_>,
        sender: &mut Sender<'_, T>,
    ) -> Result<Relayed, Vec<Answered>> {
        let mut watch = Watch::start();
        let may_stay = [relay.version, sender.version()] == [Version::V1; 2]
            && self.rules.external_labels.as_slice().is_empty()
            && relay.block.len() <= MAX_REQUEST_BLOCK_BYTES;
        let Some(found) = may_stay.then(|| unchanged(relay.protobuf)).flatten() else { return Err(Vec::new()) };
        let mut stages = Stages { read: watch.lap(), ..Stages::default() };
        let mut answers = Vec::new();
        let block = Bytes::copy_from_slice(relay.block);
        let last = sender.send(&block, Version::V1, |answer| answers.push(answer.clone())).await;
        stages.send = watch.lap();
        stages.total = watch.total();
        let count = found.samples + found.histograms;
        let summary = Summary { received: count, messages: 1, sent: sender.sent(), stages, ..Summary::default() };
        let failure = match last {
            Ok(answer) => match Disposition::of(&answer) {
                Disposition::Stored => {
                    let summary = Summary { delivered: count, samples: count, series: found.series, ..summary };
                    let written = Counts { samples: found.samples, histograms: found.histograms, exemplars: 0 };
                    return Ok(Relayed { result: RelayResult::Stored, written, summary });
                }
                Disposition::Refused | Disposition::TooLarge => {
                    answers.push(answer);
                    return Err(answers);
                }
                _ => {
                    sender.log(&answer);
                    describe(&answer)
                }
            },
            Err(out_of) => out_of.to_string(),
        };
        Ok(Relayed {
            result: RelayResult::Failed { failure, retry_after: sender.retry_after() },
            written: Counts::default(),
            summary: Summary { errored: count, ..summary },
        })
    }
}
