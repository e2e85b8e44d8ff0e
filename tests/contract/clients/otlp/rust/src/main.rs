//! Sends metrics with the OpenTelemetry SDK. ../../README.md has the arguments.

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, PeriodicReader, SdkMeterProvider, Stream};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (url, job) = (arguments.next().ok_or("no url")?, arguments.next().ok_or("no job")?);
    let is_json = std::env::var("PUSH_FORMAT").is_ok_and(|format| format == "json");
    let protocol = if is_json { Protocol::HttpJson } else { Protocol::HttpBinary };
    let exporter = MetricExporter::builder()
        .with_http()
        .with_protocol(protocol)
        .with_endpoint(format!("{url}/v1/metrics"))
        .build()?;
    let attributes = [
        ("service.namespace", "shop".to_owned()),
        ("service.name", job),
        ("service.instance.id", "one".to_owned()),
        ("deployment.environment.name", "test".to_owned()),
    ];
    let resource =
        Resource::builder_empty().with_attributes(attributes.map(|(key, value)| KeyValue::new(key, value))).build();
    let native = |instrument: &Instrument| {
        let aggregation = Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
        let is_native = instrument.name() == "client.native";
        is_native.then(|| Stream::builder().with_aggregation(aggregation).build().ok()).flatten()
    };
    let reader = PeriodicReader::builder(exporter).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).with_view(native).build();
    let meter = provider.meter("client");
    let orders = meter.u64_counter("client.orders").with_unit("1").with_description("Orders taken.").build();
    orders.add(3, &[KeyValue::new("kind", "new")]);
    let queue = meter.i64_up_down_counter("client.queue.length").with_unit("{order}").build();
    queue.add(5, &[]);
    queue.add(-2, &[]);
    meter.f64_gauge("client.temperature").with_unit("Cel").build().record(-12.5, &[]);
    let latency = meter.f64_histogram("client.latency").with_unit("s").with_boundaries(vec![0.1, 1.0, 5.0]).build();
    let exponential = meter.f64_histogram("client.native").with_unit("s").build();
    for seconds in [0.0625, 0.5, 0.5, 7.0] {
        latency.record(seconds, &[KeyValue::new("http.response.status_code", 200)]);
        exponential.record(seconds, &[]);
    }
    provider.force_flush()?;
    provider.shutdown()?;
    Ok(())
}
