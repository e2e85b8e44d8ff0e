//! Logs and metrics of the gateway itself.
//!
//! Log lines are JSON on standard output, one for each event of `tracing`. One more line for each invocation is a log line and
//! [embedded metrics](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html):
//! CloudWatch makes metrics of it. It is printed whatever the log filter is.

mod metric_line;

pub use metric_line::{Invoked, metric_line};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log filter until the settings are known.
pub fn errors_only() -> Targets {
    Targets::new().with_default(tracing_subscriber::filter::LevelFilter::ERROR)
}

/// Logs panics by their location alone: their messages can quote what was being read.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panic: a defect of the gateway");
    }));
}

/// Writes log lines that pass `filter`, and panics, to standard output.
pub fn init(filter: Targets) {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false).with_ansi(false);
    // A second call, in tests, changes nothing.
    let _set = tracing_subscriber::registry().with(filter).with(lines).try_init();
    log_panics();
}
