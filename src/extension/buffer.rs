//! The metrics of this environment since the last dispatch: of the platform, and the function's own.
//!
//! Listeners fill it, and the loop of the extension empties it. While it is locked, nothing waits.

use super::gauges::Gauges;
use super::unread::Unread;
use crate::event::{Event, EventTimes, Rules, read_message};
use crate::gateway::{ListedEvent, Report};
use crate::limits::{MAX_LISTED_REJECTIONS, MAX_NAME_BYTES};
use crate::model::{
    Label, LabelName, LabelSet, Layout, MetricName, Reason, Rejection, Timestamp, TypedMetric, Update, Value,
};
use crate::telemetry::{
    Added, Line, LineUpdate, Pending, PendingSeries, Platform, PlatformRules, Record, read_lines, read_records,
};
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The longest suffix of a name: `_bucket`.
const LONGEST_SUFFIX: usize = 7;

/// Lines of `StatsD` that are dropped and logged, in the life of an environment. The others are only counted.
const MAX_LOGGED_LINES: u32 = 20;

/// Deliveries that cannot be read and are logged, in the life of an environment.
const MAX_LOGGED_DELIVERIES: u32 = 20;

#[derive(Debug)]
pub(super) struct Buffer {
    inner: Mutex<Inner>,
    /// `seen` has changed.
    has_seen: Notify,
    rules: Rules,
    layout: Layout,
    /// The records of the initialisation are left out, because each environment that is restored from the snapshot
    /// would repeat them.
    skips_initialisation: bool,
}

#[derive(Debug)]
struct Inner {
    platform: Platform,
    pending: Pending,
    gauges: Gauges,
    waiting: Waiting,
    unread: Unread,
    seen: Seen,
    /// Tasks that wait for a record.
    watchers: u32,
    logged_lines: u32,
    logged_deliveries: u32,
    /// Metrics that did not reach `pending`.
    dropped: u64,
}

/// The records and metrics that wait.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Waiting {
    pub(super) records: u32,
    /// When the first of them came.
    pub(super) since: Option<Instant>,
}

/// A count of the extension itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnCount {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) outcome: Option<&'static str>,
    pub(super) count: u64,
}

/// The invocations that were seen last.
#[derive(Default, Debug)]
struct Seen {
    /// The function has answered.
    answered: String,
    /// Its report is here.
    reported: String,
}

impl Buffer {
    pub(super) fn new(platform: PlatformRules, skips_initialisation: bool) -> Self {
        let layout = platform.layout.clone();
        let rules = Rules { external_labels: platform.labels.clone(), ..Rules::default() };
        let inner = Inner {
            platform: Platform::new(platform),
            pending: Pending::default(),
            gauges: Gauges::default(),
            waiting: Waiting::default(),
            unread: Unread::default(),
            seen: Seen::default(),
            watchers: 0,
            logged_lines: 0,
            logged_deliveries: 0,
            dropped: 0,
        };
        Self { inner: Mutex::new(inner), has_seen: Notify::new(), rules, layout, skips_initialisation }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the records of a delivery, up to an error in it. They are read later if nobody waits for them.
    pub(super) fn add_delivery(&self, body: &[u8], now: Timestamp) {
        let mut inner = self.lock();
        let is_kept = inner.unread.keep(body, now);
        inner.waiting.since.get_or_insert_with(Instant::now);
        if !is_kept || inner.watchers > 0 {
            self.read_deliveries(&mut inner);
        }
        if !is_kept {
            self.read_delivery(&mut inner, body, now);
        }
    }

    /// Reads the deliveries that were kept.
    fn read_deliveries(&self, inner: &mut Inner) {
        let mut unread = std::mem::take(&mut inner.unread);
        unread.read(|body, came| self.read_delivery(inner, body, came));
        // Its memory is used again.
        inner.unread = unread;
        if inner.waiting.records == 0 {
            inner.waiting.since = None;
        }
    }

    fn read_delivery(&self, inner: &mut Inner, body: &[u8], came: Timestamp) {
        let mut has_seen = false;
        let Inner { platform, pending, waiting, seen, .. } = &mut *inner;
        let read = read_records(body, &mut |kind, record| {
            if self.skips_initialisation && kind.starts_with("platform.init") {
                return;
            }
            has_seen |= seen.note(&record);
            platform.observe(kind, &record, came, pending);
            waiting.add();
        });
        if has_seen {
            self.has_seen.notify_waiters();
        }
        if let Err(error) = read {
            inner.log_delivery(&error.to_string());
        }
    }

    /// Logs that a delivery could not be taken.
    pub(super) fn log_delivery(&self, problem: &str) {
        self.lock().log_delivery(problem);
    }

    /// Adds the lines of a datagram.
    pub(super) fn add_datagram(&self, datagram: &[u8], now: Timestamp) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        read_lines(datagram, &self.layout, &mut |line| match line {
            Ok(line) => inner.add_line(line, &self.rules.external_labels, now),
            Err(error) => {
                inner.dropped += 1;
                if inner.logged_lines < MAX_LOGGED_LINES {
                    inner.logged_lines += 1;
                    tracing::warn!(error = error.to_string(), "a StatsD line is dropped");
                }
            }
        });
    }

    /// Adds the typed metrics of a message, and reports as the gateway does.
    pub(super) fn add_events(&self, text: &str, now: Timestamp) -> Report<'static> {
        let mut report = Report::default();
        let times = EventTimes { now, sent: None };
        // Reading may take long, so the buffer is not locked meanwhile.
        let mut metrics = Vec::new();
        read_message(text, &times, &self.rules, &mut |parsed| {
            let metric = parsed.event.and_then(|event| match event {
                Event::Typed(metric) => Ok(metric.into_owned()),
                Event::Plain(_) => Err(Rejection::new(
                    Reason::InvalidEvent,
                    "the extension takes typed metrics, which have the key type; send other events to the gateway",
                )),
            });
            metrics.push(metric);
        });
        let mut inner = self.lock();
        for (index, metric) in metrics.into_iter().enumerate() {
            let added = metric.and_then(|metric| match inner.add_own(&metric) {
                Added::Yes => Ok(()),
                Added::Dropped => Err(Rejection::new(
                    Reason::SeriesLimit,
                    "too many series or values wait for the next dispatch, or the series has another type",
                )),
            });
            match added {
                Ok(()) => {
                    report.accepted += 1;
                    report.typed += 1;
                }
                Err(Rejection { reason, detail, .. }) => {
                    report.rejected_count += 1;
                    if report.rejected.len() < MAX_LISTED_REJECTIONS {
                        let reason = Cow::Borrowed(reason.as_str());
                        report.rejected.push(ListedEvent { index, reason, detail: Cow::Owned(detail.into_owned()) });
                    }
                }
            }
        }
        report
    }

    /// Returns what waits.
    pub(super) fn waiting(&self) -> Waiting {
        let mut inner = self.lock();
        self.read_deliveries(&mut inner);
        inner.waiting
    }

    /// Returns what waits without reading a delivery. It may be a few records too many.
    pub(super) fn most_waiting(&self) -> Waiting {
        let inner = self.lock();
        let Waiting { records, since } = inner.waiting;
        Waiting { records: records.saturating_add(inner.unread.most_records()), since }
    }

    /// Returns everything that waits, with metrics of the extension itself among them. Returns nothing if nothing else waits.
    pub(super) fn take(&self, own: &[OwnCount], now: Timestamp) -> Vec<PendingSeries> {
        let mut inner = self.lock();
        self.read_deliveries(&mut inner);
        inner.waiting = Waiting::default();
        let dropped = inner.pending.take_dropped() + std::mem::take(&mut inner.dropped);
        if inner.pending.is_empty() && dropped == 0 {
            return Vec::new();
        }
        let lost = OwnCount {
            name: "lambda_extension_dropped_metrics_total",
            help: "Metrics that the extension dropped.",
            outcome: None,
            count: dropped,
        };
        // The extension's own counters have room after all others are taken.
        let mut series = inner.pending.take();
        for own in own.iter().chain([&lost]).filter(|own| own.count > 0) {
            if let Some(metric) = self.own_counter(*own, now) {
                inner.pending.add(&metric);
            }
        }
        series.extend(inner.pending.take());
        series
    }

    /// Counts metrics that were lost after the buffer.
    pub(super) fn count_dropped(&self, metrics: u64) {
        self.lock().dropped += metrics;
    }

    fn own_counter(&self, own: OwnCount, time: Timestamp) -> Option<TypedMetric<'_>> {
        let OwnCount { name, help, outcome, count } = own;
        let label = outcome.and_then(|outcome| {
            Some(Label { name: LabelName::classic("outcome").ok()?, value: Cow::Borrowed(outcome) })
        });
        let mut labels = LabelSet::new(label.into_iter().collect()).ok()?;
        labels.add_missing(&self.rules.external_labels);
        let update = Update::Counter(Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
        let name = MetricName::classic(name).ok()?;
        Some(TypedMetric { name, labels, update, help: Some(Cow::Borrowed(help)), time, id: None })
    }

    /// Waits until the function has answered this invocation.
    pub(super) async fn answered(&self, request_id: &str) {
        self.until_seen(|seen| seen.answered == request_id).await;
    }

    /// Waits until the report of this invocation is here.
    pub(super) async fn reported(&self, request_id: &str) {
        self.until_seen(|seen| seen.reported == request_id).await;
    }

    async fn until_seen(&self, is_it: impl Fn(&Seen) -> bool) {
        let _watcher = Watcher::new(self);
        loop {
            // No notification is lost between here and the wait.
            let has_seen = self.has_seen.notified();
            if is_it(&self.lock().seen) {
                return;
            }
            has_seen.await;
        }
    }
}

/// A task that waits for a record. While there is one, each delivery is read when it comes.
struct Watcher<'b>(&'b Buffer);

impl<'b> Watcher<'b> {
    fn new(buffer: &'b Buffer) -> Self {
        let mut inner = buffer.lock();
        inner.watchers += 1;
        buffer.read_deliveries(&mut inner);
        Self(buffer)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.lock().watchers -= 1;
    }
}

impl Seen {
    /// Reports whether the record tells that an invocation was answered.
    fn note(&mut self, record: &Record<'_>) -> bool {
        match record {
            Record::RuntimeDone { request_id: Some(id), .. } => id.as_ref().clone_into(&mut self.answered),
            Record::Report { request_id: Some(id), .. } => {
                id.as_ref().clone_into(&mut self.answered);
                id.as_ref().clone_into(&mut self.reported);
            }
            _ => return false,
        }
        true
    }
}

impl Waiting {
    fn add(&mut self) {
        self.records = self.records.saturating_add(1);
        self.since.get_or_insert_with(Instant::now);
    }
}

impl Inner {
    fn log_delivery(&mut self, problem: &str) {
        if self.logged_deliveries < MAX_LOGGED_DELIVERIES {
            self.logged_deliveries += 1;
            tracing::warn!(error = problem, "a delivery of the Telemetry API cannot be read");
        }
    }

    fn add_line(&mut self, line: Line<'_>, function: &LabelSet<'static>, now: Timestamp) {
        let Line { name, labels, update } = line;
        let mut labels = labels.into_owned();
        labels.add_missing(function);
        let labels = labels;
        let update = match update {
            LineUpdate::Typed(update) => update,
            LineUpdate::GaugeChange(by) => match self.gauges.change(&name, &labels, by) {
                Some(value) => Update::Gauge(Value::Float(value)),
                None => return self.dropped += 1,
            },
        };
        let is_histogram = matches!(update, Update::Histogram { .. });
        // The gateway would reject it, and the others of its message would be in a dead letter, too.
        if is_histogram && (labels.get("le").is_some() || name.as_str().len() + LONGEST_SUFFIX > MAX_NAME_BYTES) {
            return self.dropped += 1;
        }
        self.add_own(&TypedMetric { name, labels, update, help: None, time: now, id: None });
    }

    fn add_own(&mut self, metric: &TypedMetric<'_>) -> Added {
        if let Update::Gauge(value) = &metric.update {
            self.gauges.set(&metric.name, &metric.labels, *value);
        }
        let added = self.pending.add(metric);
        self.waiting.add();
        added
    }
}

#[cfg(test)]
mod tests;
