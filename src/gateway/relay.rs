//! Relay: sends a remote-write request of a sender to the receiver.
//!
//! * Names are not translated. If the receiver would not take a series, it is rejected, and the others are sent. A native
//!   histogram that contradicts itself is rejected, too: Prometheus 3.5 answers 500 to it, and a sender would repeat it for
//!   ever.
//! * An item of the delivery is a sample, in the order of the request. So a sender of 2.0 learns how many samples were
//!   written.
//! * The receiver decides about ages. Stale markers and native histograms stay as they are. Exemplars are left out, because AMP takes none;
//!   from 2.0 to 2.0 they stay.
//! * A request of which nothing would change is sent as it came ([`forward`]). It is taken apart only if the receiver refuses it.
//! * If 2.0 is sent, the sender gets the receiver's answer and counts, as if the gateway were not there ([`Origin::Sender`]).

mod forward;

use super::label_rules::{MAX_SERIES_CHARS, check_value, label_len, reason_of};
use super::watch::Watch;
use super::{Gateway, Stages, Summary, metadata};
use crate::aws::Transport;
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_DOOR_SAMPLES, MAX_EXCERPT_CHARS, MAX_LABELS};
use crate::model::{
    ItemId, Label, LabelName, LabelSet, METRIC_NAME_LABEL, MetricName, Reason, Rejection, STALE_MARKER, Timestamp,
    Value, excerpt,
};
use crate::remote_write::Origin;
use crate::series::{SampleTableBuilder, SeriesId};
use crate::wire::incoming::{Part, ReadError, Series, read_v1, read_v2, read_v2_with_exemplars};
use crate::wire::{Exemplar, Exemplars, Metadata, Version};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// A decoded request of a sender, and the bounds of its delivery.
#[derive(Clone, Copy, Debug)]
pub struct Relay<'r> {
    pub version: Version,
    /// The snappy block as it came.
    pub block: &'r [u8],
    /// The block unpacked.
    pub protobuf: &'r [u8],
    /// The start of the invocation.
    pub now: Timestamp,
    pub request_id: &'r str,
    /// When all requests must be answered.
    pub deadline: Instant,
}

/// The result of a request that can be read.
#[derive(Debug)]
pub struct Relayed {
    pub result: RelayResult,
    pub written: Counts,
    pub summary: Summary,
}

/// Counts of what a request holds, or of what is written of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    pub samples: u64,
    pub histograms: u64,
    /// They count as written, as in a Prometheus that stores none.
    pub exemplars: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RelayResult {
    Stored,
    /// Some samples are rejected for ever. All others are stored.
    Rejected {
        rejected: u64,
        of: u64,
        first: String,
    },
    /// Some samples are not stored, and may be later.
    Failed {
        failure: String,
        retry_after: Option<Duration>,
    },
}

/// Why nothing of a request is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RelayError {
    Read(ReadError),
    /// The request would take more than [`MAX_DOOR_PROTOBUF_BYTES`] or [`MAX_DOOR_SAMPLES`] when it is sent.
    TooLarge,
}

impl<T: Transport, D> Gateway<T, D> {
    /// Writes a request of a sender, and returns when every sample has an outcome or the deadline is near.
    pub async fn relay<'r>(&'r self, relay: &Relay<'r>) -> Result<Relayed, RelayError> {
        let mut sender = self.writer.sender(relay.request_id, relay.deadline).passing_on();
        let answers = match self.forward(relay, &mut sender).await {
            Ok(relayed) => return Ok(relayed),
            Err(answers) => answers,
        };
        let mut stages = Stages::default();
        let mut watch = Watch::start();
        let mut incoming = Incoming::new(&self.rules.external_labels);
        read(relay, sender.version(), &mut incoming).map_err(RelayError::Read)?;
        if incoming.is_too_large {
            return Err(RelayError::TooLarge);
        }
        stages.read = watch.lap();
        let Incoming { table, kinds, mut rejected, mut first, families, exemplars, read_exemplars, .. } = incoming;
        let table = table.finish(&mut |contradiction| {
            let (reason, name) = (Reason::DuplicateTimestamp, contradiction.name.as_str());
            first.get_or_insert_with(|| format!("{}: {contradiction}", excerpt(name)));
            rejected.add(reason);
        });
        stages.merge = watch.lap();
        let messages = [ItemId(0)];
        metadata::remember(&self.writer, families.iter().copied());
        let origin = Exemplars::new(read_exemplars);
        let written = self.writer.write_with(sender, Origin::Sender(&origin), &answers, &table, &messages).await;
        let outcomes = written.delivery.outcomes(|_| false);
        stages.encode = written.encoding;
        stages.send = watch.lap().saturating_sub(written.encoding);

        let mut counts = Counts { exemplars, ..Counts::default() };
        let mut summary = Summary {
            received: rejected.without_item + kinds.len() as u64,
            samples: outcomes.samples,
            series: outcomes.series,
            sent: written.sent,
            messages: 1,
            stages,
            rejected: rejected.count,
            rejected_by: rejected.by_reason,
            ..Summary::default()
        };
        let refused = summary.count(
            &outcomes,
            |_, _| false,
            |item| match kinds[item.0 as usize] {
                Kind::Sample => counts.samples += 1,
                Kind::Histogram => counts.histograms += 1,
            },
        );
        for counted in &outcomes.counted {
            counts.samples += counted.samples;
            counts.histograms += counted.histograms;
            summary.accept(counted.reason, counted.samples + counted.histograms);
        }
        let first = first.or_else(|| refused.map(|(_, rejection)| rejection.detail.to_string()));
        let result = if summary.errored > 0 {
            let failure = outcomes.failure.clone().unwrap_or_else(|| "it could not be sent".to_owned());
            RelayResult::Failed { failure, retry_after: written.retry_after }
        } else {
            let Relay { now, request_id, deadline, .. } = *relay;
            let families = families.into_iter();
            summary.sent.requests += metadata::send(&self.writer, families, now, request_id, deadline).await.requests;
            match first {
                Some(first) => RelayResult::Rejected { rejected: summary.rejected, of: summary.received, first },
                None => RelayResult::Stored,
            }
        };
        summary.stages.total = watch.total();
        Ok(Relayed { result, written: counts, summary })
    }
}

/// Reads a request. Only 2.0 can pass exemplars on.
fn read<'r>(relay: &Relay<'r>, sent: Version, incoming: &mut Incoming<'r>) -> Result<(), ReadError> {
    let each: &mut dyn FnMut(Part<'_, 'r>) = &mut |part| incoming.take(part);
    match (relay.version, sent) {
        (Version::V1, _) => read_v1(relay.protobuf, each),
        (Version::V2, Version::V1) => read_v2(relay.protobuf, each),
        (Version::V2, Version::V2) => read_v2_with_exemplars(relay.protobuf, each),
    }
}

/// The kind of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Sample,
    Histogram,
}

/// Counts of samples that the gateway itself rejects.
#[derive(Default)]
struct Rejected {
    count: u64,
    /// Samples in no item: their series or their histogram is rejected.
    without_item: u64,
    by_reason: [u64; Reason::ALL.len()],
}

impl Rejected {
    fn add(&mut self, reason: Reason) {
        self.count += 1;
        self.by_reason[reason as usize] += 1;
    }
}

/// The request as it is read.
struct Incoming<'a> {
    external: &'a LabelSet<'static>,
    table: SampleTableBuilder<'a>,
    /// The kind of each item.
    kinds: Vec<Kind>,
    rejected: Rejected,
    /// Says why the first sample is rejected.
    first: Option<String>,
    families: Vec<Metadata<'a>>,
    exemplars: u64,
    read_exemplars: Vec<(SeriesId, Exemplar<'a>)>,
    bytes: usize,
    is_too_large: bool,
}

impl<'a> Incoming<'a> {
    fn new(external: &'a LabelSet<'static>) -> Self {
        Self {
            external,
            table: SampleTableBuilder::default().with_common_labels(external),
            kinds: Vec::new(),
            rejected: Rejected::default(),
            first: None,
            families: Vec::new(),
            exemplars: 0,
            read_exemplars: Vec::new(),
            bytes: 0,
            is_too_large: false,
        }
    }

    fn take(&mut self, part: Part<'_, 'a>) {
        match part {
            Part::Series(series) => self.series(series),
            Part::Metadata(family) => self.families.push(family),
        }
    }

    fn series(&mut self, series: &mut Series<'a>) {
        self.exemplars += series.exemplars as u64;
        let count = series.samples.len() + series.histograms.len();
        if count + series.read_exemplars.len() == 0 || self.is_too_large {
            return;
        }
        let labels: usize = series.labels.iter().map(|(name, value)| label_len(name, value)).sum();
        let external: usize =
            self.external.as_slice().iter().map(|label| label_len(label.name.as_str(), &label.value)).sum();
        let of_exemplar = |exemplar: &Exemplar<'_>| -> usize {
            24 + exemplar.labels.iter().map(|(name, value)| label_len(name, value)).sum::<usize>()
        };
        let of_exemplars: usize = series.read_exemplars.iter().map(of_exemplar).sum();
        self.bytes = self.bytes.saturating_add(24 * count + labels + external + of_exemplars);
        self.is_too_large = self.bytes > MAX_DOOR_PROTOBUF_BYTES || self.kinds.len() + count > MAX_DOOR_SAMPLES;
        if self.is_too_large {
            return;
        }
        let (name, labels) = match named(&series.labels, self.external) {
            Ok(named) => named,
            Err(_) if count == 0 => return,
            Err(Rejection { reason, detail }) => {
                for _ in 0..count {
                    self.rejected.add(reason);
                }
                self.rejected.without_item += count as u64;
                self.first.get_or_insert_with(|| format!("{}: {detail}", shown(&series.labels)));
                return;
            }
        };
        let Self { rejected, first, .. } = self;
        series.histograms.retain(|(time, histogram)| {
            let Err(error) = histogram.check() else { return true };
            rejected.add(Reason::InvalidValue);
            rejected.without_item += 1;
            first.get_or_insert_with(|| format!("{}, time {}: {error}", excerpt(name.as_str()), time.0));
            false
        });
        let count = series.samples.len() + series.histograms.len();
        let first = self.kinds.len();
        let item = |position: usize| ItemId(u32::try_from(first + position).unwrap_or(u32::MAX));
        let samples = series.samples.iter().enumerate();
        let samples = samples.map(|(i, &(time, bits))| (item(i), time, value(bits)));
        let behind = series.samples.len();
        let histograms = series.histograms.drain(..).enumerate();
        let histograms = histograms.map(|(i, (time, histogram))| (item(behind + i), time, histogram));
        let id = self.table.add_series(&name, labels, samples, histograms);
        self.read_exemplars.extend(series.read_exemplars.drain(..).map(|exemplar| (id, exemplar)));
        self.kinds.resize(first + behind, Kind::Sample);
        self.kinds.resize(first + count, Kind::Histogram);
    }
}

fn value(bits: u64) -> Value {
    if bits == STALE_MARKER { Value::StaleMarker } else { Value::Float(f64::from_bits(bits)) }
}

/// Returns the name and the other labels of a series.
fn named<'a>(
    labels: &[(&'a str, &'a str)],
    external: &LabelSet<'_>,
) -> Result<(MetricName<'a>, LabelSet<'a>), Rejection> {
    let mut metric = None;
    let mut others = Vec::with_capacity(labels.len());
    for &(name, value) in labels {
        if name == METRIC_NAME_LABEL {
            if metric.replace(value).is_some() {
                return Err(Rejection::new(Reason::LabelCollision, "the label __name__ is given twice"));
            }
            continue;
        }
        let name = LabelName::classic(name).map_err(|error| {
            Rejection::new(reason_of(error, Reason::InvalidLabelName), format!("the label {}: {error}", excerpt(name)))
        })?;
        check_value(name.as_str(), value)?;
        others.push(Label { name, value: Cow::Borrowed(value) });
    }
    let metric = metric.unwrap_or_default();
    let metric = MetricName::classic(metric).map_err(|error| {
        let detail = format!("the metric's name (the label __name__) {}: {error}", excerpt(metric));
        Rejection::new(reason_of(error, Reason::InvalidMetricName), detail)
    })?;
    let set = LabelSet::new(others).map_err(|error| {
        Rejection::new(Reason::LabelCollision, format!("the label {} is given twice", excerpt(error.name.as_str())))
    })?;
    let missing = external.as_slice().iter().filter(|label| set.get(label.name.as_str()).is_none()).count();
    let count = set.as_slice().len() + missing + 1;
    if count > MAX_LABELS {
        let detail = format!("{count} labels with __name__ and external labels, at most {MAX_LABELS} are allowed");
        return Err(Rejection::new(Reason::TooManyLabels, detail));
    }
    Ok((metric, set))
}

/// Returns the labels of a series, cut to a bound.
fn shown(labels: &[(&str, &str)]) -> String {
    let mut text = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        if text.len() > MAX_SERIES_CHARS {
            text.push('…');
            break;
        }
        text.push_str(if i > 0 { "," } else { "" });
        text.extend(name.chars().take(MAX_EXCERPT_CHARS));
        text.push('=');
        text.push_str(&excerpt(value));
    }
    text.push('}');
    text
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::TooLarge => write!(
                f,
                "the request takes more than {MAX_DOOR_PROTOBUF_BYTES} bytes or {MAX_DOOR_SAMPLES} samples when it is \
                 sent; send fewer at once"
            ),
        }
    }
}

impl std::error::Error for RelayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::TooLarge => None,
        }
    }
}
