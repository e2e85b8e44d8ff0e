//! Sends metrics of a nightly backup with the OpenTelemetry SDK:
//!
//! ```text
//! cargo add opentelemetry opentelemetry_sdk
//! cargo add opentelemetry-otlp --no-default-features --features metrics,http-proto,reqwest-blocking-client
//! ```
//!
//! The variables of OpenTelemetry name the gateway and the job: `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9091 OTEL_SERVICE_NAME=backup`

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let exporter = MetricExporter::builder().with_http().build()?;
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).build();
    let meter = provider.meter("backup");
    let begun = Instant::now();
    let files = meter.u64_counter("backup.files").with_unit("{file}").with_description("Files that were copied.");
    files.build().add(1_200, &[KeyValue::new("disk", "data")]);
    let duration = meter.f64_gauge("backup.duration").with_unit("s").with_description("How long the backup took.");
    duration.build().record(begun.elapsed().as_secs_f64(), &[]);
    // A short job sends before it ends. A long one sends every minute by itself.
    provider.shutdown()?;
    Ok(())
}
