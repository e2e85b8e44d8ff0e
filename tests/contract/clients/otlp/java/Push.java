import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.sdk.metrics.Aggregation;
import io.opentelemetry.sdk.metrics.InstrumentSelector;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.View;
import io.opentelemetry.sdk.metrics.export.AggregationTemporalitySelector;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Sends metrics with the OpenTelemetry SDK. README.md has the arguments. */
public class Push {
    public static void main(String[] arguments) {
        var url = arguments[0];
        var job = arguments[1];
        var exporter = OtlpHttpMetricExporter.builder().setEndpoint(url + "/v1/metrics");
        // Only the SDK's autoconfiguration, which has more dependencies, reads these variables.
        if ("gzip".equals(System.getenv("OTEL_EXPORTER_OTLP_COMPRESSION"))) {
            exporter.setCompression("gzip");
        }
        if ("delta".equals(System.getenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"))) {
            exporter.setAggregationTemporalitySelector(AggregationTemporalitySelector.deltaPreferred());
        }
        var resource = Resource.create(Attributes.of(
                AttributeKey.stringKey("service.namespace"), "shop", AttributeKey.stringKey("service.name"), job,
                AttributeKey.stringKey("service.instance.id"), "one", AttributeKey.stringKey("deployment.environment.name"), "test"));
        var provider = SdkMeterProvider.builder()
                .setResource(resource)
                .registerMetricReader(PeriodicMetricReader.builder(exporter.build()).build())
                .registerView(InstrumentSelector.builder().setName("client.native").build(),
                        View.builder().setAggregation(Aggregation.base2ExponentialBucketHistogram()).build())
                .build();
        var meter = provider.meterBuilder("client").setInstrumentationVersion("1.2").build();
        meter.counterBuilder("client.orders").setUnit("1").setDescription("Orders taken.").build()
                .add(3, Attributes.of(AttributeKey.stringKey("kind"), "new"));
        var queue = meter.upDownCounterBuilder("client.queue.length").setUnit("{order}").build();
        queue.add(5);
        queue.add(-2);
        meter.gaugeBuilder("client.temperature").setUnit("Cel").build().set(-12.5);
        var latency = meter.histogramBuilder("client.latency").setUnit("s")
                .setExplicitBucketBoundariesAdvice(List.of(0.1, 1.0, 5.0)).build();
        var exponential = meter.histogramBuilder("client.native").setUnit("s").build();
        for (var seconds : new double[] {0.0625, 0.5, 0.5, 7}) {
            latency.record(seconds, Attributes.of(AttributeKey.longKey("http.response.status_code"), 200L));
            exponential.record(seconds);
        }
        var isSent = provider.forceFlush().join(20, TimeUnit.SECONDS).isSuccess();
        provider.shutdown().join(20, TimeUnit.SECONDS);
        System.exit(isSent ? 0 : 1);
    }
}
