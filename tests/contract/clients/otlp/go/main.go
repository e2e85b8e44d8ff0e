// Command push sends metrics with the OpenTelemetry SDK. README.md has the arguments.
package main

import (
	"context"
	"log"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

func main() {
	url, job := os.Args[1], os.Args[2]
	ctx := context.Background()
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(url+"/v1/metrics"))
	must(err)
	native := sdk.NewView(sdk.Instrument{Name: "client.native"},
		sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})
	provider := sdk.NewMeterProvider(sdk.WithView(native), sdk.WithReader(sdk.NewPeriodicReader(exporter)),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.namespace", "shop"), attribute.String("service.name", job),
			attribute.String("service.instance.id", "one"), attribute.String("deployment.environment.name", "test"))))
	meter := provider.Meter("client", metric.WithInstrumentationVersion("1.2"))
	orders, err := meter.Int64Counter("client.orders", metric.WithUnit("1"), metric.WithDescription("Orders taken."))
	must(err)
	orders.Add(ctx, 3, metric.WithAttributes(attribute.String("kind", "new")))
	queue, err := meter.Int64UpDownCounter("client.queue.length", metric.WithUnit("{order}"))
	must(err)
	queue.Add(ctx, 5)
	queue.Add(ctx, -2)
	temperature, err := meter.Float64Gauge("client.temperature", metric.WithUnit("Cel"))
	must(err)
	temperature.Record(ctx, -12.5)
	latency, err := meter.Float64Histogram("client.latency", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1, 5))
	must(err)
	exponential, err := meter.Float64Histogram("client.native", metric.WithUnit("s"))
	must(err)
	for _, seconds := range []float64{0.0625, 0.5, 0.5, 7} {
		latency.Record(ctx, seconds, metric.WithAttributes(attribute.Int("http.response.status_code", 200)))
		exponential.Record(ctx, seconds)
	}
	must(provider.ForceFlush(ctx))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
