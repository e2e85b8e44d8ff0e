// Pushes with client_golang. ../README.md has the arguments.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/expfmt"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(verb, url, job, number string, pairs []string) error {
	orders, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return err
	}
	pusher := push.New(url, job)
	for _, collector := range metrics(orders) {
		pusher.Collector(collector)
	}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		pusher.Grouping(name, value)
	}
	switch os.Getenv("PUSH_FORMAT") {
	case "text":
		pusher.Format(expfmt.NewFormat(expfmt.TypeTextPlain))
	case "openmetrics":
		pusher.Format(expfmt.NewFormat(expfmt.TypeOpenMetrics))
	}
	if user := os.Getenv("PUSH_USER"); user != "" {
		pusher.BasicAuth(user, os.Getenv("PUSH_PASSWORD"))
	}
	switch verb {
	case "push":
		return pusher.Push()
	case "pushadd":
		return pusher.Add()
	case "delete":
		return pusher.Delete()
	}
	return fmt.Errorf("no verb: %s", verb)
}

func metrics(orders float64) []prometheus.Collector {
	taken := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "client_orders_total", Help: "Orders taken."}, []string{"kind"})
	// Not every format has exemplars; the gateway drops them.
	taken.WithLabelValues("new").(prometheus.ExemplarAdder).AddWithExemplar(orders, prometheus.Labels{"trace_id": "4bf92f3577b34da6"})
	temperature := prometheus.NewGauge(prometheus.GaugeOpts{Name: "client_temperature_celsius", Help: "Where the clients are."})
	temperature.Set(-12.5)
	latency := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "client_latency_seconds", Help: "Time to an answer.", Buckets: []float64{0.1, 1, 5}})
	// Text and OpenMetrics have no native histograms: there it is a histogram with one bucket.
	native := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "client_native_seconds", Help: "Time to an answer, in native buckets.", NativeHistogramBucketFactor: 1.1})
	for _, seconds := range []float64{0.0625, 0.5, 0.5, 7} {
		latency.Observe(seconds)
		native.Observe(seconds)
	}
	size := prometheus.NewSummary(prometheus.SummaryOpts{
		Name: "client_size_bytes", Help: "Size of an order.", Objectives: map[float64]float64{0.5: 0.05}})
	for _, bytes := range []float64{10, 20, 30} {
		size.Observe(bytes)
	}
	return []prometheus.Collector{taken, temperature, latency, native, size}
}
