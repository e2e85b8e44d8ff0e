//! Makes typed metrics of the function from records.
//!
//! * No label has the id of a request or an environment. So the metrics of all environments add up to one series.
//! * An invocation counts once, by `runtimeDone` or by `report`, whichever comes first. Its spans count once, too, because
//!   both records may have them.

use super::pending::{Pending, Place};
use super::record::{Record, Span, SpanKind, Status};
use super::requests::Requests;
use crate::limits::MAX_TELEMETRY_TYPES;
use crate::model::{
    Label, LabelName, LabelSet, Layout, MetricName, Observation, Timestamp, TypedMetric, Update, Value,
};
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use std::borrow::Cow;

/// The labels and the layout of a function's metrics.
#[derive(Clone, Debug)]
pub struct PlatformRules {
    /// The labels of every metric: the name of the function, and its version if it is asked for.
    pub labels: LabelSet<'static>,
    /// The layout of all histograms.
    pub layout: Layout,
    /// True if records of the function's log are counted.
    pub logs: bool,
}

/// Turns the records of one environment into typed metrics.
#[derive(Debug)]
pub struct Platform {
    rules: PlatformRules,
    requests: Requests,
    /// The types that were seen: at most [`MAX_TELEMETRY_TYPES`] become values of a label.
    types: HashSet<Box<str>, RandomState>,
    places: Places,
}

impl Platform {
    pub fn new(rules: PlatformRules) -> Self {
        Self { rules, requests: Requests::default(), types: HashSet::default(), places: Places::default() }
    }

    /// Adds the metrics of a record that came at `now`.
    pub fn observe(&mut self, kind: &str, record: &Record<'_>, now: Timestamp, pending: &mut Pending) {
        let Self { rules, requests, types, places } = self;
        let kind = known_type(types, kind);
        let mut out = Out { rules, now, pending, places };
        out.count("lambda_telemetry_events_total", "Records that the Telemetry API delivered.", ("type", kind), 1);
        match record {
            // SnapStart initialises when a version is published. An environment that starts from it is restored.
            Record::InitStart { kind: Some(kind), .. } if kind == "snap-start" => {}
            Record::InitStart { phase: Some(phase), .. } if phase != "init" => {}
            Record::InitStart { kind, .. } => out.cold_start(kind.as_deref().unwrap_or("unknown")),
            Record::RestoreStart => out.cold_start("snap-start"),
            Record::InitReport { phase, duration } => {
                let phase = Some(("phase", phase.as_deref().unwrap_or("unknown")));
                out.observe("lambda_init_duration_seconds", "The initialisation of an environment.", phase, *duration);
            }
            Record::RestoreReport { duration } => {
                out.observe("lambda_restore_duration_seconds", "The restore of a snapshot.", None, *duration);
            }
            Record::RuntimeDone { request_id, status, produced_bytes, spans } => {
                out.invocation(requests, request_id.as_deref(), *status, spans);
                let help = "The size of the function's response.";
                out.observe("lambda_produced_bytes", help, None, *produced_bytes);
            }
            Record::Report { request_id, status, duration, billed_duration, memory_size, max_memory_used, spans } => {
                out.invocation(requests, request_id.as_deref(), *status, spans);
                out.observe("lambda_duration_seconds", "The duration of an invocation.", None, *duration);
                let help = "The duration that AWS bills for an invocation.";
                out.observe("lambda_billed_duration_seconds", help, None, *billed_duration);
                let help = "The most memory that the environment has used.";
                out.observe("lambda_max_memory_used_bytes", help, None, *max_memory_used);
                out.gauge("lambda_memory_size_bytes", "The memory that the function has.", *memory_size);
            }
            Record::LogsDropped { records, bytes } => {
                let help = "Records that the Telemetry API dropped, because the extension was too slow.";
                out.add("lambda_telemetry_dropped_records_total", help, &[], *records);
                let help = "Bytes that the Telemetry API dropped, because the extension was too slow.";
                out.add("lambda_telemetry_dropped_bytes_total", help, &[], *bytes);
            }
            Record::Log { level } if out.rules.logs => {
                let level = level.as_deref().map(known_level);
                let labels = [("type", "function"), ("level", level.unwrap_or_default())];
                out.add("lambda_log_records_total", "Lines of the function's log.", &labels, 1);
            }
            Record::Log { .. } | Record::Other => {}
        }
    }
}

/// Returns the type as a label has it.
fn known_type<'k>(types: &mut HashSet<Box<str>, RandomState>, kind: &'k str) -> &'k str {
    if kind.is_empty() {
        return "unreadable";
    }
    if !types.contains(kind) {
        if types.len() == MAX_TELEMETRY_TYPES || kind.len() > 64 {
            return "other";
        }
        types.insert(kind.into());
    }
    kind
}

/// The levels of Lambda's JSON logs: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>. A function can
/// write any text as its level.
fn known_level(level: &str) -> &'static str {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];
    LEVELS.into_iter().find(|known| level.eq_ignore_ascii_case(known)).unwrap_or("other")
}

/// The places of series by the names of their metrics and their own values of labels. An invocation adds to the same ten series as the one
/// before.
#[derive(Default, Debug)]
struct Places(Vec<(&'static str, Box<str>, Place)>);

/// The series of all metrics here, unless AWS adds phases without end.
const MAX_PLACES: usize = 128;

impl Places {
    fn of(&mut self, name: &'static str, value: &str) -> Option<&mut Place> {
        let found = self.0.iter_mut().find(|(known, of, _)| std::ptr::eq(*known, name) && **of == *value);
        found.map(|(.., place)| place)
    }

    fn remember(&mut self, name: &'static str, value: &str, place: Place) {
        if let Some(known) = self.of(name, value) {
            *known = place;
        } else if self.0.len() < MAX_PLACES {
            self.0.push((name, value.into(), place));
        }
    }
}

/// Adds metrics of one record.
struct Out<'o> {
    rules: &'o PlatformRules,
    now: Timestamp,
    pending: &'o mut Pending,
    places: &'o mut Places,
}

impl Out<'_> {
    fn invocation(&mut self, requests: &mut Requests, request_id: Option<&str>, status: Status, spans: &[Span]) {
        // A record without the id of its request cannot be told from another one of the same invocation.
        let Some(request_id) = request_id else { return };
        let counted = requests.of(request_id);
        if !std::mem::replace(&mut counted.invocation, true) {
            let help = "Invocations of the function.";
            self.count("lambda_invocations_total", help, ("status", status.as_str()), 1);
        }
        if spans.is_empty() || std::mem::replace(&mut counted.spans, true) {
            return;
        }
        for span in spans {
            let (name, help) = match span.kind {
                SpanKind::ResponseLatency => {
                    ("lambda_response_latency_seconds", "The time until the function's response began.")
                }
                SpanKind::ResponseDuration => {
                    ("lambda_response_duration_seconds", "The time that the function's response took.")
                }
                SpanKind::RuntimeOverhead => {
                    ("lambda_runtime_overhead_seconds", "The time from the response until the runtime was ready again.")
                }
            };
            self.observe(name, help, None, Some(span.duration));
        }
    }

    fn cold_start(&mut self, kind: &str) {
        let kind = match kind {
            "on-demand" | "provisioned-concurrency" | "snap-start" | "lambda-managed-instances" => kind,
            _ => "other",
        };
        self.count("lambda_cold_starts_total", "Environments that were started.", ("type", kind), 1);
    }

    fn count(&mut self, name: &'static str, help: &'static str, label: (&str, &str), by: u64) {
        self.add(name, help, &[label], by);
    }

    fn add(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], by: u64) {
        let by = Value::Integer(i64::try_from(by).unwrap_or(i64::MAX));
        self.send(name, help, labels, Update::Counter(by));
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.send(name, help, &[], Update::Gauge(Value::Float(value)));
        }
    }

    fn observe(&mut self, name: &'static str, help: &'static str, label: Option<(&str, &str)>, value: Option<f64>) {
        if let Some(value) = value {
            let observations = vec![Observation { value, count: 1 }];
            let update = Update::Histogram { layout: self.rules.layout.clone(), observations };
            self.send(name, help, label.as_slice(), update);
        }
    }

    fn send(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], update: Update) {
        // If there are two labels, the first is the same for all series of a name.
        let value = labels.last().map_or("", |(_, value)| *value);
        if let Some(place) = self.places.of(name, value)
            && self.pending.add_at(*place, &update, self.now).is_some()
        {
            return;
        }
        let Ok(metric_name) = MetricName::as_is(Cow::Borrowed(name)) else { return };
        let own = labels.iter().filter_map(|(name, value)| {
            let name = LabelName::as_is(Cow::Borrowed(*name)).ok()?;
            Some(Label { name, value: Cow::Borrowed(*value) })
        });
        let Ok(mut labels) = LabelSet::new(own.collect()) else { return };
        labels.add_missing(&self.rules.labels);
        let help = Some(Cow::Borrowed(help));
        let metric = TypedMetric { name: metric_name, labels, update, help, time: self.now, id: None };
        if let (_, Some(place)) = self.pending.add_and_place(&metric) {
            self.places.remember(name, value, place);
        }
    }
}
