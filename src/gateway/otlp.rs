//! Writes an OTLP request of an SDK or a collector to the receiver. The translation is that of Prometheus.
//!
//! * If a data point cannot be translated, it is rejected, and the others are sent. The receiver decides about ages.
//! * An item of the delivery is a data point with all its samples, or the `target_info` of a resource. If the receiver
//!   calls a `target_info` late or a duplicate, it is superseded: another process of the same job and instance has written
//!   it.
//! * With a table a data point with delta temporality becomes an increment in the journal. Table and receiver are written
//!   at the same time. If either fails, the sender repeats everything; the identity of a point makes it count once.
//! * A long request is sent in several tables of samples, each of at most [`MAX_OTLP_TABLE_BYTES`]. A first pass finds all
//!   errors of the request before anything is sent.

mod part;

use self::part::Part;
use super::journal::{self, Journal};
use super::watch::Watch;
use super::{Gateway, Summary, metadata};
use crate::aws::Transport;
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_DOOR_SAMPLES, MAX_OTLP_TABLE_BYTES};
use crate::model::{ItemId, Reason, Rejection, Timestamp};
use crate::otlp::{DeltaRules, Family, Item, Promoted, ReadError, Rules, Texts, Translator, read_json, read_protobuf};
use crate::remote_write::ItemOutcome;
use crate::wire::Metadata;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// A request of a sender, and the bounds of its delivery.
#[derive(Clone, Copy, Debug)]
pub struct Otlp<'r> {
    pub encoding: OtlpEncoding,
    /// Without its content encoding.
    pub body: &'r [u8],
    /// Attributes of the resource that become labels.
    pub promoted: &'r [Promoted],
    /// The labels of the scope are wanted.
    pub scope_labels: bool,
    /// The start of the invocation: the time of data points without one.
    pub now: Timestamp,
    pub request_id: &'r str,
    /// When all requests must be answered.
    pub deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtlpEncoding {
    Protobuf,
    Json,
}

/// The result of a request that can be read.
#[derive(Debug)]
pub struct OtlpDone {
    pub result: OtlpResult,
    pub summary: Summary,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OtlpResult {
    /// All data points are stored, except for those that are rejected for ever. `first` says why, or what else was not taken.
    Stored { rejected_points: u64, first: Option<String> },
    /// Some data points are not stored, and may be later.
    Failed { failure: String, retry_after: Option<Duration> },
}

/// Why nothing of a request is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OtlpError {
    Read(ReadError),
    /// The request would take more than [`MAX_DOOR_PROTOBUF_BYTES`] or [`MAX_DOOR_SAMPLES`] when it is sent.
    TooLarge,
}

impl<T: Transport, D> Gateway<T, D> {
    /// Writes a request of a sender, and returns when every data point has an outcome or the deadline is near.
    pub async fn otlp<'r>(&'r self, request: &Otlp<'r>) -> Result<OtlpDone, OtlpError> {
        let mut watch = Watch::start();
        let mut done = Done::default();
        let mut families = Vec::new();
        let texts = Texts::default();
        let mut next = Some(0);
        while let Some(from) = next {
            let mut part = self.part(request, from, &texts)?;
            done.summary.stages.read += watch.lap();
            done.summary.received = done.summary.received.max(part.items);
            next = part.end;
            metadata::remember(&self.writer, part.families.iter().map(metadata_of));
            families.append(&mut part.families);
            // A future of this size has no place in those of all routes.
            Box::pin(self.write_part(request, part, &mut done, &mut watch)).await;
            if done.summary.errored > 0 {
                break;
            }
        }
        let Done { mut summary, rejected_points, first, warning, failure, retry_after } = done;
        let result = if summary.errored > 0 {
            // The sender repeats the whole request.
            summary.errored = summary.received.saturating_sub(summary.delivered + summary.rejected).max(1);
            let failure = failure.unwrap_or_else(|| "it could not be sent".to_owned());
            OtlpResult::Failed { failure, retry_after }
        } else {
            let Otlp { now, request_id, deadline, .. } = *request;
            let families = families.iter().map(metadata_of);
            summary.sent.requests += metadata::send(&self.writer, families, now, request_id, deadline).await.requests;
            OtlpResult::Stored { rejected_points, first: first.or(warning) }
        };
        summary.messages = 1;
        summary.stages.total = watch.total();
        Ok(OtlpDone { result, summary })
    }

    /// Reads the items from number `from` on that fit into one table.
    fn part<'p>(&'p self, request: &Otlp<'p>, from: u64, texts: &'p Texts) -> Result<Part<'p>, OtlpError> {
        let external = &self.rules.external_labels;
        let Otlp { promoted, scope_labels, now, body, .. } = *request;
        let deltas = self.state.as_ref().map(|_| DeltaRules {
            max_age_ms: self.rules.max_sample_age_ms,
            max_lead_ms: self.rules.max_sample_lead_ms,
        });
        let rules = Rules { promoted, scope_labels, external, now, deltas };
        let journal = self.state.as_ref().map(Journal::new);
        let part = Part::new(external, from, MAX_OTLP_TABLE_BYTES).with_journal(journal, now, request.request_id);
        let mut translator = Translator::new(rules, texts, part);
        match request.encoding {
            OtlpEncoding::Protobuf => read_protobuf(body, &mut translator),
            OtlpEncoding::Json => read_json(body, &mut translator),
        }
        .map_err(OtlpError::Read)?;
        let part = translator.into_sink();
        if part.is_too_large() { Err(OtlpError::TooLarge) } else { Ok(part) }
    }

    async fn write_part<'r>(&'r self, request: &Otlp<'r>, part: Part<'r>, done: &mut Done, watch: &mut Watch) {
        let Part { table, journal, kinds, rejected, mut first, .. } = part;
        let mut points_rejected = 0;
        for reason in rejected {
            done.reject(reason, &mut points_rejected, Item::Point);
        }
        let table = table.finish(&mut |contradiction| {
            first.get_or_insert_with(|| format!("{}: {contradiction}", contradiction.name.as_str()));
            done.reject(Reason::DuplicateTimestamp, &mut points_rejected, kinds[contradiction.item.0 as usize]);
        });
        done.rejected_points += points_rejected;
        if done.first.is_none() {
            done.first = first;
        }
        done.summary.stages.merge += watch.lap();
        let messages = [ItemId(0)];
        // Both are written at the same time, each even if the other fails.
        let (written, journalled) = tokio::join!(
            self.writer.write(&table, &messages, request.request_id, request.deadline),
            journal::write(journal, request.deadline),
        );
        let outcomes = written.delivery.outcomes(|_| false);
        let summary = &mut done.summary;
        summary.stages.encode += written.encoding;
        summary.stages.send += watch.lap().saturating_sub(written.encoding);
        summary.add_delivery(&outcomes, written.sent);
        done.retry_after = written.retry_after.or(done.retry_after);
        for (item, outcome) in outcomes.iter() {
            done.settle(kinds[item.0 as usize], outcome);
        }
        let typed = journalled.events.iter().filter(|(_, is_confirmed)| *is_confirmed).count() as u64;
        done.summary.typed += typed;
        done.summary.delivered += typed;
        done.summary.errored += journalled.events.len() as u64 - typed;
        done.failure = journal::joined(outcomes.failure, journalled.failure);
    }
}

fn metadata_of<'f>(Family { name, metric_type, help, unit }: &'f Family<'_>) -> Metadata<'f> {
    Metadata { family: name.as_str(), metric_type: *metric_type, help, unit }
}

/// The outcomes of the parts that are written.
#[derive(Default)]
struct Done {
    summary: Summary,
    rejected_points: u64,
    /// Says why the first data point is rejected.
    first: Option<String>,
    /// Says why the first `target_info` is.
    warning: Option<String>,
    failure: Option<String>,
    retry_after: Option<Duration>,
}

impl Done {
    fn reject(&mut self, reason: Reason, points: &mut u64, kind: Item) {
        self.summary.rejected += 1;
        self.summary.rejected_by[reason as usize] += 1;
        *points += u64::from(kind == Item::Point);
    }

    fn settle(&mut self, kind: Item, outcome: ItemOutcome<'_>) {
        match outcome {
            ItemOutcome::Delivered => self.summary.delivered += 1,
            ItemOutcome::Errored => self.summary.errored += 1,
            ItemOutcome::Rejected { rejection: Rejection { reason, .. }, .. }
                if kind == Item::TargetInfo && reason.is_like_stored() =>
            {
                self.summary.delivered += 1;
            }
            ItemOutcome::Rejected { rejection, maybe_stored } => {
                self.summary.maybe_stored += u64::from(maybe_stored);
                let mut points = 0;
                self.reject(rejection.reason, &mut points, kind);
                self.rejected_points += points;
                let slot = if kind == Item::Point { &mut self.first } else { &mut self.warning };
                slot.get_or_insert_with(|| rejection.detail.to_string());
            }
        }
    }
}

impl fmt::Display for OtlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::TooLarge => write!(
                f,
                "the request takes more than {MAX_DOOR_PROTOBUF_BYTES} bytes or {MAX_DOOR_SAMPLES} samples when it is \
                 sent; send fewer data points at once"
            ),
        }
    }
}

impl std::error::Error for OtlpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::TooLarge => None,
        }
    }
}
