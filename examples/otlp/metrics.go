// Command metrics sends metrics of a nightly backup with the OpenTelemetry SDK:
//
//	go get go.opentelemetry.io/otel/sdk/metric go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp
//
// The variables of OpenTelemetry name the gateway and the job: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9091 OTEL_SERVICE_NAME=backup
package main

import (
	"context"
	"errors"
	"log"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return err
	}
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(exporter)))
	meter := provider.Meter("backup")
	begun := time.Now()
	files, err := meter.Int64Counter("backup.files", metric.WithUnit("{file}"), metric.WithDescription("Files that were copied."))
	duration, err2 := meter.Float64Gauge("backup.duration", metric.WithUnit("s"), metric.WithDescription("How long the backup took."))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	files.Add(ctx, 1200, metric.WithAttributes(attribute.String("disk", "data")))
	duration.Record(ctx, time.Since(begun).Seconds())
	// A short job sends before it ends. A long one sends every minute by itself.
	return provider.Shutdown(ctx)
}
