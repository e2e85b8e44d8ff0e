// Prometheus' own translation of OTLP, for tests/otlp.rs.
//
//	otlp < REQUESTS    for each request, the samples that Prometheus stores of it
//
// All input and output is JSON, one value a line; bodies are base64. Prometheus gives up a metric at its first error, and so the
// requests of a test hold one error at most.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"strings"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

type request struct {
	IsJSON  bool     `json:"is_json"`
	Bytes   []byte   `json:"bytes"`
	Promote []string `json:"promote"`
	Scope   bool     `json:"scope"`
}

// Samples of one request that are kept. A request of two points whose times are centuries apart has more of target_info than any memory
// holds.
const maxSamples = 5_000

var errTooMany = errors.New("too many samples")

type sample struct {
	Labels    map[string]string `json:"labels"`
	Timestamp int64             `json:"timestamp"`
	// The bits of the double, in hexadecimal: JSON has no NaN.
	Bits string `json:"bits,omitempty"`
	// The fields of a native histogram.
	Histogram string `json:"histogram,omitempty"`
	Family    string `json:"family"`
	Type      string `json:"type"`
	Unit      string `json:"unit"`
	Help      string `json:"help"`
}

type translated struct {
	Samples []sample `json:"samples"`
	// The body cannot be read.
	Unreadable string `json:"unreadable,omitempty"`
	// Errors of the translation.
	Errors []string `json:"errors"`
}

type appender struct {
	storage.AppenderV2
	result *translated
}

func (a appender) Append(_ storage.SeriesRef, set labels.Labels, _, timestamp int64, value float64, h *histogram.Histogram, _ *histogram.FloatHistogram, options storage.AOptions) (storage.SeriesRef, error) {
	if len(a.result.Samples) == maxSamples {
		return 0, errTooMany
	}
	one := sample{
		Labels: set.Map(), Timestamp: timestamp, Family: options.MetricFamilyName,
		Type: string(options.Metadata.Type), Unit: options.Metadata.Unit, Help: options.Metadata.Help,
	}
	if h == nil {
		one.Bits = fmt.Sprintf("%016x", math.Float64bits(value))
	} else {
		one.Histogram = fmt.Sprintf("schema %d zero %016x:%d count %d sum %016x hint %d + %v %v - %v %v",
			h.Schema, math.Float64bits(h.ZeroThreshold), h.ZeroCount, h.Count, math.Float64bits(h.Sum), h.CounterResetHint,
			h.PositiveSpans, h.PositiveBuckets, h.NegativeSpans, h.NegativeBuckets)
	}
	a.result.Samples = append(a.result.Samples, one)
	return 0, nil
}

func main() {
	log.SetFlags(0)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	encoder := json.NewEncoder(output)
	decoder := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var one request
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return
		}
		must(err)
		must(encoder.Encode(translate(one)))
	}
}

func translate(one request) translated {
	result := translated{Samples: []sample{}, Errors: []string{}}
	body := pmetricotlp.NewExportRequest()
	read := body.UnmarshalProto
	if one.IsJSON {
		read = body.UnmarshalJSON
	}
	if err := read(one.Bytes); err != nil {
		result.Unreadable = err.Error()
		return result
	}
	converter := prometheusremotewrite.NewPrometheusConverter(appender{result: &result})
	_, err := converter.FromMetrics(context.Background(), body.Metrics(), prometheusremotewrite.Settings{
		AddMetricSuffixes:                    true,
		LabelNameUnderscoreSanitization:      true,
		LabelNamePreserveMultipleUnderscores: true,
		PromoteScopeMetadata:                 one.Scope,
		PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(
			config.OTLPConfig{PromoteResourceAttributes: one.Promote}),
	})
	if err != nil {
		result.Errors = strings.Split(err.Error(), "\n")
	}
	return result
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
