"""Sends metrics with the OpenTelemetry SDK. README.md has the arguments."""
import sys

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

url, job = sys.argv[1:]
exporter = OTLPMetricExporter(endpoint=f"{url}/v1/metrics")
resource = Resource({"service.namespace": "shop", "service.name": job, "service.instance.id": "one", "deployment.environment.name": "test"})
native = View(instrument_type=Histogram, instrument_name="client.native", aggregation=ExponentialBucketHistogramAggregation())
provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)], resource, views=[native])
meter = provider.get_meter("client", "1.2")
meter.create_counter("client.orders", "1", "Orders taken.").add(3, {"kind": "new"})
queue = meter.create_up_down_counter("client.queue.length", "{order}")
queue.add(5)
queue.add(-2)
meter.create_gauge("client.temperature", "Cel").set(-12.5)
latency = meter.create_histogram("client.latency", "s", explicit_bucket_boundaries_advisory=[0.1, 1, 5])
exponential = meter.create_histogram("client.native", "s")
for seconds in 0.0625, 0.5, 0.5, 7:
    latency.record(seconds, {"http.response.status_code": 200})
    exponential.record(seconds)
sys.exit(0 if provider.force_flush() else 1)
