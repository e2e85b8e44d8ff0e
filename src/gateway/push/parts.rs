//! The samples of a push to the receiver, in parts: a table of a million series takes more memory than a function has.
//!
//! * A push of one part is judged while its table is filled. A longer one is judged as a whole before its first part is sent.
//! * An item of a delivery is a series, in the order of the body. The last item of all is the gateway's own `push_time_seconds`.
//! * After a part that failed no further one is sent: the sender sends all of them again.

use super::judge::{Judge, Judged, Repeated, shown};
use super::{Gateway, PUSH_TIME, Push, PushError, has_time, metadata_of, names_of_metadata, taken};
use crate::aws::Transport;
use crate::exposition::{Family, Place, SampleValue, Series};
use crate::gateway::watch::Watch;
use crate::gateway::writer::Written;
use crate::gateway::{Summary, metadata};
use crate::limits::MAX_REQUESTS;
use crate::model::{ItemId, LabelSet, MetricName, Reason, Rejection, Timestamp, Value};
use crate::series::{SampleTable, SampleTableBuilder};
use crate::wire::Version;
use std::borrow::Cow;
use std::iter::Peekable;
use std::time::Duration;

/// The series and labels of a part. Its table takes up to 10 MB.
const MAX_PART: usize = 150_000;

/// The series that are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    /// All, and the push time.
    All,
    /// Only series with a time of their own.
    Timed,
}

/// The outcome of all parts.
#[derive(Debug)]
pub(super) enum PartsResult {
    Stored,
    /// The receiver refused some samples for ever. It has all others.
    Refused {
        reason: Reason,
        first: String,
    },
    Failed {
        failure: String,
        retry_after: Option<Duration>,
    },
}

impl<T: Transport, D> Gateway<T, D> {
    /// Writes series, and adds their numbers to `summary`. `judged` are the repeated series of a push that has been judged.
    pub(super) async fn write_parts(
        &self,
        push: &Push<'_>,
        common: &LabelSet<'_>,
        judged: Option<&Repeated>,
        which: Which,
        summary: &mut Summary,
    ) -> Result<PartsResult, PushError> {
        let mut watch = Watch::start();
        let is_one_part = || taken(push.body).map(|(.., series)| weight(series)).sum::<usize>() <= MAX_PART;
        let own = match judged {
            None if !is_one_part() => Judge::new(push, &self.rules, common).all()?,
            _ => Repeated::default(),
        };
        if self.writer.version() == Version::V2 {
            metadata::remember(&self.writer, names_of_metadata(push.body).iter().map(metadata_of));
        }
        let repeated = judged.unwrap_or(&own);
        let mut wanted = wanted(push, which, repeated);
        let mut judge = Judge::new(push, &self.rules, common);
        let mut first = None;
        loop {
            let part = next_part(&mut wanted);
            let is_last = wanted.peek().is_none();
            let mut table = read(&mut judge, &part, common)?;
            summary.received += part.len() as u64;
            if is_last && which == Which::All {
                summary.received += 1;
                let own = MetricName::as_is(Cow::Borrowed(PUSH_TIME)).ok();
                table.add(item(part.len()), LabelSet::default(), own.map(|name| (name, push.now, seconds(push.now))));
            }
            summary.stages.read += watch.lap();
            let table = finish(&part, table)?;
            summary.stages.merge += watch.lap();
            let left = MAX_REQUESTS.saturating_sub(summary.sent.requests);
            let messages = [ItemId(0)];
            let Push { request_id, deadline, .. } = *push;
            let written = self.writer.write_within(left, None, &table, &messages, request_id, deadline).await;
            let Written { delivery, sent, retry_after, encoding } = written;
            let outcomes = delivery.outcomes(|_| false);
            summary.stages.encode += encoding;
            summary.stages.send += watch.lap().saturating_sub(encoding);
            summary.add_delivery(&outcomes, sent);
            let series = |item: ItemId| part.get(item.0 as usize).map(|(_, series)| *series);
            let refused = summary.count(&outcomes, |item, reason| is_superseded(series(item), reason), |_| {});
            if summary.errored > 0 {
                let rest = wanted.count() as u64 + u64::from(which == Which::All && !is_last);
                summary.received += rest;
                summary.errored += rest;
                let failure = outcomes.failure.unwrap_or_else(|| "it could not be sent".to_owned());
                return Ok(PartsResult::Failed { failure, retry_after });
            }
            if let (None, Some((item, rejection))) = (&first, refused) {
                let text = match series(item) {
                    Some(series) => format!("{}: {}: {}", series.place(), shown(series), rejection.detail),
                    None => format!("{PUSH_TIME}: {}", rejection.detail),
                };
                first = Some((rejection.reason, text));
            }
            if is_last {
                break;
            }
        }
        // Repeated series are stored with the first of them.
        if which == Which::All {
            summary.received += repeated.count();
            summary.delivered += repeated.count();
        }
        Ok(match first {
            None => PartsResult::Stored,
            Some((reason, first)) => PartsResult::Refused { reason, first },
        })
    }
}

type OfFamily<'p> = (Family<'p>, Series<'p>);

/// The series that no part has yet.
type Wanted<'w, 'p> = Peekable<Box<dyn Iterator<Item = OfFamily<'p>> + Send + 'w>>;

fn wanted<'w, 'p: 'w>(push: &Push<'p>, which: Which, repeated: &'w Repeated) -> Wanted<'w, 'p> {
    let is_wanted = move |series| which == Which::All || has_time(series);
    let wanted = taken(push.body).filter(move |(position, _, series)| is_wanted(*series) && !repeated.has(*position));
    let wanted: Box<dyn Iterator<Item = OfFamily<'p>> + Send + 'w> =
        Box::new(wanted.map(|(_, family, series)| (family, series)));
    wanted.peekable()
}

/// Returns at least one series, if there is one.
fn next_part<'p>(wanted: &mut Wanted<'_, 'p>) -> Vec<OfFamily<'p>> {
    let mut part = Vec::new();
    let mut left = MAX_PART;
    while let Some(one) = wanted.next_if(|(_, series)| part.is_empty() || weight(*series) <= left) {
        left = left.saturating_sub(weight(one.1));
        part.push(one);
    }
    part
}

fn weight(series: Series<'_>) -> usize {
    1 + series.labels().len()
}

/// Judges the series of a part, and puts them into a table.
fn read<'t, 'p: 't>(
    judge: &mut Judge<'_, 'p>,
    part: &[OfFamily<'p>],
    common: &'t LabelSet<'t>,
) -> Result<SampleTableBuilder<'t>, PushError> {
    let mut table = SampleTableBuilder::with_capacity(part.len() + 1).with_common_labels(common);
    for (number, &(family, series)) in part.iter().enumerate() {
        let Judged { name, labels, timestamp } = judge.series(family, series)?;
        match series.value() {
            SampleValue::Float(value) => table.add(item(number), labels, [(name, timestamp, Value::Float(value))]),
            SampleValue::Histogram(histogram) => {
                table.add_histograms(item(number), labels, [(name, timestamp, histogram.clone())]);
            }
        }
    }
    Ok(table)
}

/// Sorts the samples. One series with two values at one time fails the push.
fn finish<'t>(part: &[OfFamily<'_>], table: SampleTableBuilder<'t>) -> Result<SampleTable<'t>, PushError> {
    let mut error = None;
    let table = table.finish(&mut |contradiction| {
        let detail = format!("{contradiction}, another series of this push");
        let rejection = Rejection::new(Reason::DuplicateTimestamp, detail);
        let series = part.get(contradiction.item.0 as usize);
        let (place, series) =
            series.map_or((Place::Line(0), PUSH_TIME.to_owned()), |(_, series)| (series.place(), shown(*series)));
        error.get_or_insert(PushError::Series { place, series, rejection });
    });
    error.map_or(Ok(table), Err)
}

/// Reports whether a newer push replaced the sample before it was written.
fn is_superseded(series: Option<Series<'_>>, reason: Reason) -> bool {
    !series.is_some_and(has_time) && reason.is_like_stored()
}

fn item(number: usize) -> ItemId {
    ItemId(u32::try_from(number).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into the 53 bits of a double")]
fn seconds(time: Timestamp) -> Value {
    Value::Float(time.0 as f64 / 1_000.0)
}
