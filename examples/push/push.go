// Pushes what a job did, with client_golang: GATEWAY_URL=https://... [GATEWAY_USER=... GATEWAY_PASSWORD=...] go run push.go
package main

import (
	"log"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

func gauge(name, help string, value float64) prometheus.Collector {
	one := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	one.Set(value)
	return one
}

func main() {
	started := time.Now()
	// The job does its work here.
	pusher := push.New(os.Getenv("GATEWAY_URL"), "backup").Grouping("instance", "db-1").
		Collector(gauge("backup_size_bytes", "Size of the backup.", 4096)).
		Collector(gauge("backup_duration_seconds", "Duration of the backup.", time.Since(started).Seconds())).
		Collector(gauge("backup_last_success_timestamp_seconds", "When the backup succeeded.", float64(time.Now().Unix())))
	if user := os.Getenv("GATEWAY_USER"); user != "" {
		pusher.BasicAuth(user, os.Getenv("GATEWAY_PASSWORD"))
	}
	if err := pusher.Push(); err != nil {
		log.Fatal(err)
	}
}
