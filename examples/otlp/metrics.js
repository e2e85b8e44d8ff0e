// Sends metrics of a nightly backup with the OpenTelemetry SDK:
//   npm install @opentelemetry/sdk-metrics @opentelemetry/resources @opentelemetry/exporter-metrics-otlp-proto
//
// The variables of OpenTelemetry name the gateway and the job: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9091 OTEL_SERVICE_NAME=backup
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { OTLPMetricExporter } = require("@opentelemetry/exporter-metrics-otlp-proto");
const { detectResources, envDetector, resourceFromAttributes } = require("@opentelemetry/resources");

const provider = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() })],
  resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }).merge(detectResources({ detectors: [envDetector] })),
});
const meter = provider.getMeter("backup");
const begun = performance.now();
meter.createCounter("backup.files", { unit: "{file}", description: "Files that were copied." }).add(1200, { disk: "data" });
meter.createGauge("backup.duration", { unit: "s", description: "How long the backup took." }).record((performance.now() - begun) / 1000);
// A short job sends before it ends. A long one sends every minute by itself.
provider.shutdown();
