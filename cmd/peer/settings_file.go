package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/chorus-net/chorus/overlay/client"
)

// entry is one line of a config file: a value, a list of values, or the header
// of a table.
type entry struct {
	key    string // dotted, with that of its table
	line   int
	table  bool
	list   bool
	values []string // one, unless it is a list
}

// readConfig returns the entries of a config file in order. A file that does
// not exist has none.
func readConfig(path string) ([]entry, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, nil
	case err != nil:
		return nil, &client.Error{Code: client.CodeBadConfig, Message: err.Error()}
	}
	return parseConfig(path, text)
}

// parseConfig reads text, which path names in errors. Decoding finds what is
// wrong with the document; the parser below it knows the line of each key,
// which errors and `config show` report.
func parseConfig(path string, text []byte) ([]entry, error) {
	var syntax *toml.DecodeError
	var discard map[string]any
	if err := toml.Unmarshal(text, &discard); errors.As(err, &syntax) {
		line, column := syntax.Position()
		where := fmt.Sprintf("column %d", column)
		if key := syntax.Key(); len(key) > 0 {
			where = fmt.Sprintf("key %q", strings.Join(key, "."))
		}
		return nil, badConfig(path, line, "%s: %s", where, strings.TrimPrefix(syntax.Error(), "toml: "))
	} else if err != nil {
		return nil, &client.Error{Code: client.CodeBadConfig, Message: fmt.Sprintf("%s: %v", path, err)}
	}

	var entries []entry
	var table string
	parser := new(unstable.Parser)
	parser.Reset(text)
	for parser.NextExpression() {
		node := parser.Expression()
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			key, line := keyOf(parser, node)
			entries = append(entries, entry{key: key, line: line, table: true})
			table = key + "."
		case unstable.KeyValue:
			entries = appendValue(entries, parser, table, node)
		default:
			// The parser yields no other kind at the top.
		}
	}
	return entries, parser.Error()
}

// appendValue appends the entry of a key and its value, or those of an inline
// table.
func appendValue(entries []entry, parser *unstable.Parser, table string, node *unstable.Node) []entry {
	key, line := keyOf(parser, node)
	e := entry{key: table + key, line: line}
	switch value := node.Value(); value.Kind {
	case unstable.InlineTable:
		e.table = true
		entries = append(entries, e)
		for it := value.Children(); it.Next(); {
			entries = appendValue(entries, parser, e.key+".", it.Node())
		}
		return entries
	case unstable.Array:
		e.list = true
		for it := value.Children(); it.Next(); {
			e.values = append(e.values, string(it.Node().Data))
		}
	default:
		e.values = []string{string(value.Data)}
	}
	return append(entries, e)
}

// keyOf returns the dotted key of a node and the line it stands on.
func keyOf(parser *unstable.Parser, node *unstable.Node) (string, int) {
	var parts []string
	line := 0
	for it := node.Key(); it.Next(); {
		part := it.Node()
		if line == 0 {
			line = parser.Shape(part.Raw).Start.Line
		}
		parts = append(parts, string(part.Data))
	}
	return strings.Join(parts, "."), line
}

func badConfig(path string, line int, format string, args ...any) error {
	return &client.Error{
		Code:    client.CodeBadConfig,
		Message: fmt.Sprintf("%s:%d: %s", path, line, fmt.Sprintf(format, args...)),
		Fix:     fmt.Sprintf("${EDITOR:-vi} +%d %s", line, path),
	}
}
