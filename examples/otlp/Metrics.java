import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;

/**
 * Sends metrics of a nightly backup with the OpenTelemetry SDK: opentelemetry-sdk-extension-autoconfigure and opentelemetry-exporter-otlp
 * of the group io.opentelemetry.
 *
 * <p>The variables of OpenTelemetry name the gateway and the job: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9091 OTEL_SERVICE_NAME=backup
 */
public class Metrics {
    public static void main(String[] arguments) {
        // Variables win over these. Without them the SDK sends by gRPC, and traces and logs, too.
        var defaults = Map.of("otel.exporter.otlp.protocol", "http/protobuf", "otel.traces.exporter", "none", "otel.logs.exporter", "none");
        var configured = AutoConfiguredOpenTelemetrySdk.builder().addPropertiesSupplier(() -> defaults).disableShutdownHook().build();
        // A short job sends before it ends: at the end of this block. A long one sends every minute by itself.
        try (var sdk = configured.getOpenTelemetrySdk()) {
            var meter = sdk.getMeter("backup");
            var begun = Instant.now();
            meter.counterBuilder("backup.files").setUnit("{file}").setDescription("Files that were copied.").build()
                    .add(1200, Attributes.of(AttributeKey.stringKey("disk"), "data"));
            meter.gaugeBuilder("backup.duration").setUnit("s").setDescription("How long the backup took.").build()
                    .set(Duration.between(begun, Instant.now()).toNanos() / 1e9);
        }
    }
}
