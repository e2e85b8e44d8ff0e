"""Sends metrics of a nightly backup with the OpenTelemetry SDK. pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http

The variables of OpenTelemetry name the gateway and the job: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9091 OTEL_SERVICE_NAME=backup
"""
import time

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
meter = provider.get_meter("backup")
begun = time.monotonic()
meter.create_counter("backup.files", "{file}", "Files that were copied.").add(1_200, {"disk": "data"})
meter.create_gauge("backup.duration", "s", "How long the backup took.").set(time.monotonic() - begun)
# A short job sends before it ends. A long one sends every minute by itself.
provider.shutdown()
