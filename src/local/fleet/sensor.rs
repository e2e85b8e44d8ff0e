//! A sensor in the water and its readings.

use super::random::Random;
use super::{PlannedSample, QUEUE_DELAY_MS};
use crate::local::tsdb::Labels;
use crate::model::{Timestamp, Value};

/// Sensors of one customer.
const SENSORS_PER_CUSTOMER: u32 = 2;

/// A sensor: whose it is, and what it measures next. All in the smallest unit, so that the same text comes out on every
/// machine.
pub(super) struct Sensor {
    customer: String,
    device: String,
    /// Tenths of a degree.
    temperature: i64,
    /// Hundredths.
    ph: i64,
    /// Per cent.
    battery: i64,
    /// This one has no clock: its events have no timestamp, and the queue's is taken.
    has_clock: bool,
}

/// What a sensor measured at one time.
pub(super) struct Reading {
    pub(super) customer: String,
    pub(super) device: String,
    pub(super) timestamp: Timestamp,
    temperature: i64,
    ph: i64,
    battery: i64,
    has_clock: bool,
}

// === impl Sensor ===

impl Sensor {
    pub(super) fn new(number: u32, random: &mut Random) -> Self {
        let id = random.next() & 0xff_ffff;
        Self {
            customer: format!("customer{}", number / SENSORS_PER_CUSTOMER + 1),
            // The number keeps them apart where the random part does not.
            device: format!("sensor{}-{id:06x}", number + 1),
            temperature: 80 + random.below(100),
            ph: 650 + random.below(120),
            battery: 60 + random.below(40),
            has_clock: number % 5 != 1,
        }
    }

    pub(super) fn read(&mut self, timestamp: Timestamp, random: &mut Random) -> Reading {
        self.temperature += random.below(7) - 3;
        self.ph += random.below(11) - 5;
        self.battery -= i64::from(random.below(6) == 0);
        Reading {
            customer: self.customer.clone(),
            device: self.device.clone(),
            timestamp,
            temperature: self.temperature,
            ph: self.ph,
            battery: self.battery,
            has_clock: self.has_clock,
        }
    }
}

// === impl Reading ===

impl Reading {
    /// The event: the temperature as a decimal string, the pH as a number, the battery as an integer. Without a clock
    /// the timestamp is left to the queue; a direct event has no queue, so that one always brings its own.
    pub(super) fn event(&self, directly: bool) -> String {
        let timestamp =
            if self.has_clock || directly { format!("\"timestamp\":{},", self.timestamp) } else { String::new() };
        let metrics = format!(
            "{{\"temperature\":\"{}\",\"ph\":{},\"battery\":{}}}",
            decimal(self.temperature, 1),
            decimal(self.ph, 2),
            self.battery
        );
        format!("{{\"dimensions\":{},{timestamp}\"metrics\":{metrics}}}", self.dimensions())
    }

    pub(super) fn dimensions(&self) -> String {
        format!("{{\"customerId\":\"{}\",\"deviceId\":\"{}\"}}", self.customer, self.device)
    }

    /// What the event must become.
    pub(super) fn samples(&self, directly: bool) -> Vec<PlannedSample> {
        let delay = if self.has_clock || directly { 0 } else { QUEUE_DELAY_MS };
        let timestamp = Timestamp(self.timestamp.0 + delay);
        let float = |hundredths: i64, digits| Value::Float(decimal(hundredths, digits).parse().unwrap_or(f64::NAN));
        let values = [
            ("temperature", float(self.temperature, 1)),
            ("ph", float(self.ph, 2)),
            ("battery", Value::Integer(self.battery)),
        ];
        values.map(|(name, value)| PlannedSample { labels: self.labels(name), timestamp, value }).to_vec()
    }

    fn labels(&self, metric: &str) -> Labels {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![label("__name__", metric), label("customerId", &self.customer), label("deviceId", &self.device)]
    }
}

/// `143` with one digit is `14.3`.
fn decimal(value: i64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let sign = if value < 0 { "-" } else { "" };
    let width = digits as usize;
    format!("{sign}{}.{:0width$}", value.unsigned_abs() / unit, value.unsigned_abs() % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        let table = [(143, 1, "14.3"), (705, 2, "7.05"), (700, 2, "7.00"), (-3, 1, "-0.3"), (-123, 2, "-1.23")];
        for (value, digits, expected) in table {
            assert_eq!(decimal(value, digits), expected);
        }
    }
}
