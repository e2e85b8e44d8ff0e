// Prometheus' own parsers of pushed bodies, for tests/exposition.
//
//	textparse < BODIES           for each body, the series and the metadata that Prometheus reads from it
//	textparse texts FILE...      the contents of the files; of a Go file, such as a test, each string literal
//	textparse families FILE...   the same, each metric family of a Go file, given in protobuf's text format, as delimited protobuf
//
// All input and output is JSON, one value a line; bodies are base64.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"math"
	"os"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"
)

type body struct {
	ContentType string `json:"content_type"`
	Bytes       []byte `json:"bytes"`
}

type series struct {
	Labels [][2][]byte `json:"labels"`
	// The bits of the double, in hexadecimal: JSON has no NaN. Of a native histogram: all that it holds.
	Bits      string `json:"bits"`
	Timestamp *int64 `json:"timestamp"`
}

type metadata struct {
	Kind string `json:"kind"`
	Name []byte `json:"name"`
	Text []byte `json:"text"`
}

type parsed struct {
	Series   []series   `json:"series"`
	Metadata []metadata `json:"metadata"`
	Error    *string    `json:"error"`
}

func main() {
	log.SetFlags(0)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	encoder := json.NewEncoder(output)
	switch {
	case len(os.Args) == 1:
		parseAll(json.NewDecoder(bufio.NewReader(os.Stdin)), encoder)
	case os.Args[1] == "texts":
		for _, path := range os.Args[2:] {
			for _, text := range texts(path) {
				must(encoder.Encode([]byte(text)))
			}
		}
	case os.Args[1] == "families":
		for _, path := range os.Args[2:] {
			for _, text := range texts(path) {
				if body := family(path, text); body != nil {
					must(encoder.Encode(body))
				}
			}
		}
	default:
		log.Fatal("usage: textparse [texts|families FILE...]")
	}
}

func parseAll(bodies *json.Decoder, encoder *json.Encoder) {
	for {
		var one body
		err := bodies.Decode(&one)
		if errors.Is(err, io.EOF) {
			return
		}
		must(err)
		must(encoder.Encode(parse(one)))
	}
}

// parse returns what Prometheus reads before the end of the body, or before the first error.
func parse(one body) parsed {
	result := parsed{Series: []series{}, Metadata: []metadata{}}
	failed := func(err error) parsed {
		text := err.Error()
		result.Error = &text
		return result
	}
	options := textparse.ParserOptions{OpenMetricsSkipSTSeries: true, KeepClassicOnClassicAndNativeHistograms: true}
	reader, err := textparse.New(one.Bytes, one.ContentType, labels.NewSymbolTable(), options)
	if err != nil {
		return failed(err)
	}
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return result
		}
		if err != nil {
			return failed(err)
		}
		switch entry {
		case textparse.EntrySeries:
			_, timestamp, value := reader.Series()
			result.Series = append(result.Series, sample(reader, timestamp, bits(value)))
		case textparse.EntryHistogram:
			_, timestamp, integers, floats := reader.Histogram()
			result.Series = append(result.Series, sample(reader, timestamp, native(integers, floats)))
		case textparse.EntryType:
			name, text := reader.Type()
			result.add("type", name, []byte(text))
		case textparse.EntryHelp:
			name, text := reader.Help()
			result.add("help", name, text)
		case textparse.EntryUnit:
			name, text := reader.Unit()
			result.add("unit", name, text)
		}
	}
}

func bits(value float64) string {
	if math.IsNaN(value) {
		value = math.Float64frombits(0x7ff8000000000001)
	}
	return fmt.Sprintf("%016x", math.Float64bits(value))
}

// native returns all that a histogram holds. Empty buckets are left out, because the parser leaves out some of them.
func native(integers *histogram.Histogram, floats *histogram.FloatHistogram) string {
	if integers != nil {
		h := integers
		return fmt.Sprintf("integers schema=%d threshold=%s hint=%d sum=%s count=%d zero=%d negative=%s positive=%s", h.Schema,
			bits(h.ZeroThreshold), h.CounterResetHint, bits(h.Sum), h.Count, h.ZeroCount,
			buckets(h.NegativeSpans, absolute(h.NegativeBuckets)), buckets(h.PositiveSpans, absolute(h.PositiveBuckets)))
	}
	h := floats
	return fmt.Sprintf("floats schema=%d threshold=%s hint=%d sum=%s count=%s zero=%s negative=%s positive=%s", h.Schema,
		bits(h.ZeroThreshold), h.CounterResetHint, bits(h.Sum), bits(h.Count), bits(h.ZeroCount),
		buckets(h.NegativeSpans, shown(h.NegativeBuckets)), buckets(h.PositiveSpans, shown(h.PositiveBuckets)))
}

func absolute(deltas []int64) []string {
	var count int64
	var counts []string
	for _, delta := range deltas {
		count += delta
		counts = append(counts, strconv.FormatInt(count, 10))
	}
	return counts
}

func shown(counts []float64) []string {
	var texts []string
	for _, count := range counts {
		if count == 0 {
			texts = append(texts, "0")
			continue
		}
		texts = append(texts, bits(count))
	}
	return texts
}

func buckets(spans []histogram.Span, counts []string) string {
	var index int64
	var all strings.Builder
	for _, span := range spans {
		index += int64(span.Offset)
		for range span.Length {
			if counts[0] != "0" {
				fmt.Fprintf(&all, "%d:%s,", index, counts[0])
			}
			index, counts = index+1, counts[1:]
		}
	}
	return all.String()
}

func sample(reader textparse.Parser, timestamp *int64, value string) series {
	one := series{Bits: value, Labels: [][2][]byte{}}
	if timestamp != nil {
		copied := *timestamp
		one.Timestamp = &copied
	}
	var set labels.Labels
	reader.Labels(&set)
	set.Range(func(label labels.Label) {
		one.Labels = append(one.Labels, [2][]byte{[]byte(label.Name), []byte(label.Value)})
	})
	return one
}

func (p *parsed) add(kind string, name, text []byte) {
	p.Metadata = append(p.Metadata, metadata{kind, append([]byte{}, name...), append([]byte{}, text...)})
}

// texts returns the string literals of a Go file in their order, or the content of another file.
func texts(path string) []string {
	if !strings.HasSuffix(path, ".go") {
		content, err := os.ReadFile(path)
		must(err)
		return []string{string(content)}
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	must(err)
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			must(err)
			found = append(found, text)
		}
		return true
	})
	return found
}

// family returns a delimited metric family. It returns nil if a string literal of a Go file is none.
func family(path, text string) []byte {
	if !strings.HasSuffix(path, ".go") {
		return []byte(text)
	}
	var message dto.MetricFamily
	if prototext.Unmarshal([]byte(text), &message) != nil || message.GetName() == "" {
		return nil
	}
	var body bytes.Buffer
	_, err := protodelim.MarshalTo(&body, &message)
	must(err)
	return body.Bytes()
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
