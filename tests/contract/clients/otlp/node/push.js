// Sends metrics with the OpenTelemetry SDK. README.md has the arguments.
const { AggregationType, MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const format = process.env.PUSH_FORMAT === "json" ? "http" : "proto";
const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${format}`);
const { diag, DiagConsoleLogger, DiagLogLevel } = require("@opentelemetry/api");

const [url, job] = process.argv.slice(2);
diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
const provider = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url: `${url}/v1/metrics` }), exportIntervalMillis: 60000 })],
  resource: resourceFromAttributes({
    "service.namespace": "shop", "service.name": job, "service.instance.id": "one", "deployment.environment.name": "test",
  }),
  views: [{ instrumentName: "client.native", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const meter = provider.getMeter("client", "1.2");
meter.createCounter("client.orders", { unit: "1", description: "Orders taken." }).add(3, { kind: "new" });
const queue = meter.createUpDownCounter("client.queue.length", { unit: "{order}" });
queue.add(5);
queue.add(-2);
meter.createGauge("client.temperature", { unit: "Cel" }).record(-12.5);
const latency = meter.createHistogram("client.latency", { unit: "s", advice: { explicitBucketBoundaries: [0.1, 1, 5] } });
const native = meter.createHistogram("client.native", { unit: "s" });
for (const seconds of [0.0625, 0.5, 0.5, 7]) {
  latency.record(seconds, { "http.response.status_code": 200 });
  native.record(seconds);
}
provider.forceFlush().then(() => provider.shutdown()).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
