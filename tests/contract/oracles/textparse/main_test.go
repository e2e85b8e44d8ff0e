package main

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// BenchmarkParse parses EXPOSITION_FILE and builds each label set, as a scrape does. tests/speed/exposition runs it.
func BenchmarkParse(b *testing.B) {
	body, err := os.ReadFile(os.Getenv("EXPOSITION_FILE"))
	if err != nil {
		b.Fatal(err)
	}
	symbols := labels.NewSymbolTable()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		reader, err := textparse.New(body, "text/plain", symbols, textparse.ParserOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for {
			entry, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if entry == textparse.EntrySeries {
				var set labels.Labels
				reader.Series()
				reader.Labels(&set)
			}
		}
	}
}
