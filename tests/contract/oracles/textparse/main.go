// Prometheus' own parsers of the text formats, for tests/exposition.rs.
//
//	textparse < BODIES       for each body, the series and the metadata that Prometheus reads from it
//	textparse texts FILE...  the contents of the files; of a Go file, such as a test, each string literal
//
// All input and output is JSON, one value a line; bodies are base64.
package main

import (
	"bufio"
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

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type body struct {
	ContentType string `json:"content_type"`
	Bytes       []byte `json:"bytes"`
}

type series struct {
	Labels [][2][]byte `json:"labels"`
	// The bits of the double, in hexadecimal: JSON has no NaN.
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
	default:
		log.Fatal("usage: textparse [texts FILE...]")
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
	options := textparse.ParserOptions{OpenMetricsSkipSTSeries: true}
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
			result.Series = append(result.Series, sample(reader))
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

func sample(reader textparse.Parser) series {
	_, timestamp, value := reader.Series()
	one := series{Bits: fmt.Sprintf("%016x", math.Float64bits(value)), Labels: [][2][]byte{}}
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

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
