//! Makes the events of simulated devices. A good event comes with the samples that must be stored, a broken one with the
//! reason of its rejection.
//!
//! Pure and seeded: the same seed and times give the same events. The expected results follow from the contract of events,
//! without the code under test.

use amp_push_gateway::local::tsdb::Labels;
use amp_push_gateway::model::{METRIC_NAME_LABEL, Reason, Timestamp, Value};
use fastrand::Rng;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

/// Three hours: AMP accepts samples of the last hour.
const TOO_OLD_MS: i64 = 3 * 3_600_000;

/// A metric that devices measure. Values are counted in its last decimal place, so that every machine writes the same text.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) literal: Literal,
    pub(crate) first: Range<i64>,
    /// From one measurement to the next.
    pub(crate) change: RangeInclusive<i64>,
}

/// How an event writes a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Literal {
    Integer,
    /// A number with so many decimal places.
    Number(u32),
    DecimalString(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// Without the name of the metric.
    labels: Labels,
    metrics: Arc<[Metric]>,
    values: Vec<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct PlannedEvent {
    pub(crate) text: String,
    pub(crate) expected: Expected,
}

#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Stored(Vec<PlannedSample>),
    /// A direct caller reads the reason in the report, a queue's message becomes a dead letter.
    Rejected(Reason),
    /// The caller gets a function error of this type.
    Returned(Reason),
}

/// A sample that must be stored, bit for bit.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSample {
    pub(crate) labels: Labels,
    pub(crate) timestamp: Timestamp,
    /// It has the type of the event.
    pub(crate) value: Value,
}

impl Device {
    pub(crate) fn new(labels: &[(&str, &str)], metrics: &Arc<[Metric]>, rng: &mut Rng) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let values = metrics.iter().map(|metric| rng.i64(metric.first.clone())).collect();
        Self { labels: labels.iter().map(owned).collect(), metrics: Arc::clone(metrics), values }
    }

    pub(crate) fn measure(&mut self, rng: &mut Rng) {
        for (metric, value) in self.metrics.iter().zip(&mut self.values) {
            *value += rng.i64(metric.change.clone());
        }
    }

    /// Returns the event of the last measurement; without `has_timestamp` the queue gives it the time `at`.
    pub(crate) fn event(&self, at: Timestamp, has_timestamp: bool) -> PlannedEvent {
        let measured = || self.metrics.iter().zip(&self.values);
        let pairs: Vec<_> =
            measured().map(|(metric, &value)| format!("\"{}\":{}", metric.name, metric.literal.text(value))).collect();
        let sample = |(metric, &value): (&Metric, &i64)| {
            let name = (METRIC_NAME_LABEL.to_owned(), metric.name.clone());
            let labels = std::iter::once(name).chain(self.labels.iter().cloned()).collect();
            PlannedSample { labels, timestamp: at, value: metric.literal.value(value) }
        };
        let text = self.text(has_timestamp.then_some(at), &pairs.join(","));
        PlannedEvent { text, expected: Expected::Stored(measured().map(sample).collect()) }
    }

    /// Returns an event that must be rejected for `reason`; for [`Reason::DuplicateTimestamp`] if a good event of the same
    /// batch has the time `at`.
    pub(crate) fn broken(&self, reason: Reason, at: Timestamp) -> PlannedEvent {
        let name = &self.metrics[0].name;
        let text = match reason {
            Reason::InvalidJson => format!("{name}=14.3"),
            Reason::InvalidEvent => self.text(Some(at), ""),
            Reason::TooOld => self.text(Some(Timestamp(at.0 - TOO_OLD_MS)), &format!("\"{name}\":1")),
            Reason::InvalidMetricName => self.text(Some(at), "\"__reserved\":1"),
            Reason::MetricCollision => self.text(Some(at), "\"battery-level\":87,\"battery_level\":86"),
            Reason::DuplicateTimestamp => self.text(Some(at), &format!("\"{name}\":\"99999.9\"")),
            // That is `invalid_value`.
            _ => self.text(Some(at), &format!("\"{name}\":\"n/a\"")),
        };
        PlannedEvent { text, expected: Expected::Rejected(reason) }
    }

    fn text(&self, timestamp: Option<Timestamp>, metrics: &str) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let timestamp = timestamp.map_or(String::new(), |timestamp| format!("\"timestamp\":{timestamp},"));
        format!("{{\"dimensions\":{{{}}},{timestamp}\"metrics\":{{{metrics}}}}}", labels.join(","))
    }
}

impl Expected {
    pub(crate) fn samples(&self) -> Option<&[PlannedSample]> {
        if let Self::Stored(samples) = self { Some(samples) } else { None }
    }
}

impl Literal {
    fn text(self, value: i64) -> String {
        match self {
            Self::Integer => value.to_string(),
            Self::Number(digits) => decimal(value, digits),
            Self::DecimalString(digits) => format!("\"{}\"", decimal(value, digits)),
        }
    }

    fn value(self, value: i64) -> Value {
        match self {
            Self::Integer => Value::Integer(value),
            Self::Number(digits) | Self::DecimalString(digits) => {
                Value::Float(decimal(value, digits).parse().unwrap_or(f64::NAN))
            }
        }
    }
}

/// `143` with one digit is `14.3`.
fn decimal(value: i64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let (sign, width) = (if value < 0 { "-" } else { "" }, digits as usize);
    format!("{sign}{}.{:0width$}", value.unsigned_abs() / unit, value.unsigned_abs() % unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::event::{EventTimes, Rules, read_message};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn device() -> Device {
        let metric = |name: &str, literal| Metric { name: name.to_owned(), literal, first: -900..900, change: -9..=9 };
        let literals = [Literal::Integer, Literal::Number(2), Literal::DecimalString(1)];
        let metrics = ["a", "b", "c"].iter().zip(literals).map(|(name, literal)| metric(name, literal)).collect();
        Device::new(&[("device", "d1")], &metrics, &mut Rng::with_seed(7))
    }

    #[test]
    fn the_gateway_reads_each_good_event_as_it_is_planned() {
        let (mut device, mut rng) = (device(), Rng::with_seed(8));
        for _ in 0..100 {
            device.measure(&mut rng);
            let PlannedEvent { text, expected: Expected::Stored(samples) } = device.event(NOW, true) else { panic!() };
            read_message(&text, &EventTimes { now: NOW, sent: None }, &Rules::default(), &mut |parsed| {
                let event = parsed.event.unwrap().plain().unwrap();
                assert_eq!((event.metrics.len(), event.timestamp), (samples.len(), NOW));
                for ((name, value), sample) in event.metrics.iter().zip(&samples) {
                    assert_eq!(name.as_str(), sample.labels[0].1);
                    assert_eq!(format!("{value:?}"), format!("{:?}", sample.value));
                }
            });
        }
    }

    #[test]
    fn the_gateway_rejects_each_broken_event_for_its_reason() {
        let reasons = [
            Reason::InvalidJson,
            Reason::InvalidEvent,
            Reason::TooOld,
            Reason::InvalidMetricName,
            Reason::MetricCollision,
            Reason::InvalidValue,
        ];
        for reason in reasons {
            let text = device().broken(reason, NOW).text;
            read_message(&text, &EventTimes { now: NOW, sent: None }, &Rules::default(), &mut |parsed| {
                assert_eq!(parsed.event.unwrap_err().reason, reason, "{text}");
            });
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        let table = [(143, 1, "14.3"), (705, 2, "7.05"), (700, 2, "7.00"), (-3, 1, "-0.3"), (-123, 2, "-1.23")];
        for (value, digits, expected) in table {
            assert_eq!(decimal(value, digits), expected);
        }
    }
}
