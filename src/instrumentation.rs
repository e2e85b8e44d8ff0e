//! Logs and own metrics.
//!
//! Log lines are JSON on standard output, one an event of `tracing`. Beside them one line for each invocation is log and
//! [embedded metrics](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html)
//! in one: CloudWatch makes metrics of it by itself. It is printed whatever the log filter says.

mod metric_line;

pub use metric_line::{Invoked, metric_line};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is heard before the settings are known.
#[must_use]
pub fn errors_only() -> Targets {
    Targets::new().with_default(tracing_subscriber::filter::LevelFilter::ERROR)
}

/// Tells of panics by their place alone: their messages can quote what was being read.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: a defect of the gateway");
    }));
}

/// Sends log lines that pass `filter`, and panics, to standard output, for the rest of the process.
pub fn init(filter: Targets) {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false).with_ansi(false);
    // A second call, in tests, finds a subscriber and changes nothing.
    let _set = tracing_subscriber::registry().with(filter).with(lines).try_init();
    log_panics();
}
