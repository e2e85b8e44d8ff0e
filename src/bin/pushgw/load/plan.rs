//! The size of a load, within bounds. Pure.

use super::stream::ALL_BROKEN;
use crate::exit::CommandError;
use clap::builder::RangedU64ValueParser;
use std::time::Duration;

/// Samples that the ledger holds.
const MAX_SAMPLES: u64 = 2_000_000;
/// Without a number of events or a time.
const DURATION: u64 = 10;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Plan {
    /// Events a second.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) rate: u32,
    /// How long to send, in seconds. Default: 10.
    #[arg(long, value_name = "SECONDS", conflicts_with = "count", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) duration: Option<u64>,
    /// How many events to send, instead of --duration.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=2_000_000))]
    pub(super) count: Option<u64>,
    /// How many devices take turns. Each has its own series.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) devices: u32,
    /// How many metrics each event has.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) metrics: u32,
    /// The share of events that are broken, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub(super) broken: u64,
    /// How many events go into one message, as an array.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=500))]
    pub(super) events_per_message: usize,
    /// The seed of names, of values, and of the choice of broken events.
    #[arg(long, value_name = "NUMBER", default_value_t = 42)]
    pub(super) seed: u64,
}

impl Plan {
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let (count, rate, metrics, devices) = (self.count(), self.rate, self.metrics, self.devices);
        let samples = count * u64::from(metrics);
        if samples > MAX_SAMPLES {
            return Err(CommandError::usage(format!(
                "{count} events of {metrics} metrics are {samples} samples; `load` can look for at most \
                 {MAX_SAMPLES}: expected less of --rate, --duration, --count or --metrics"
            )));
        }
        let times = u64::from(devices) * 1_000;
        if u64::from(rate) > times {
            return Err(CommandError::usage(format!(
                "--rate {rate}: {devices} devices can send at most {times} events a second, each one in a millisecond; \
                 expected more --devices"
            )));
        }
        Ok(())
    }

    pub(super) fn count(&self) -> u64 {
        self.count.unwrap_or_else(|| u64::from(self.rate) * self.duration.unwrap_or(DURATION))
    }

    /// Returns how many events are due after `elapsed`.
    pub(super) fn due(&self, elapsed: Duration) -> u64 {
        let due = elapsed.as_millis() * u128::from(self.rate) / 1_000 + 1;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.count())
    }

    pub(super) fn lasts(&self) -> Duration {
        Duration::from_millis(self.count().saturating_mul(1_000) / u64::from(self.rate))
    }
}

/// Returns `0.05` in millionths.
fn share(text: &str) -> Result<u64, &'static str> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let share = share.ok_or("expected a number from 0 to 1")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1")]
    Ok((share * f64::from(ALL_BROKEN)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let (rate, devices, metrics, broken, seed) = (100, 1, 1, 0, 1);
        Plan { rate, duration: None, count: None, devices, metrics, broken, events_per_message: 1, seed }
    }

    #[test]
    fn events_are_due_at_their_rate_and_no_more_than_asked_for() {
        let plan = plan();
        assert!(plan.check().is_ok());
        assert_eq!((plan.count(), plan.lasts()), (1_000, Duration::from_secs(10)));
        let table = [(0, 1), (9, 1), (10, 2), (1_000, 101), (9_990, 1_000), (60_000, 1_000)];
        for (milliseconds, due) in table {
            assert_eq!(plan.due(Duration::from_millis(milliseconds)), due, "{milliseconds}");
        }
    }

    #[test]
    fn loads_out_of_bounds_are_refused_with_what_to_change() {
        for (plan, expected) in [
            (Plan { count: Some(100_000), metrics: 21, ..plan() }, "--metrics"),
            (Plan { rate: 1_001, ..plan() }, "--devices"),
        ] {
            let text = plan.check().unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!([share("0"), share("0.25"), share("1")], [Ok(0), Ok(250_000), Ok(ALL_BROKEN.into())]);
        assert!(["-0.1", "1.1", "NaN", "x", ""].iter().all(|text| share(text).is_err()));
    }
}
