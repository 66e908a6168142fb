package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table lays out rows in aligned columns. Columns whose title ends in a tab
// hold numbers and are aligned to the right.
type table struct {
	titles []string
	right  []bool
	rows   [][]string
}

func newTable(titles ...string) *table {
	t := &table{right: make([]bool, len(titles))}
	for i, title := range titles {
		name, right := strings.CutSuffix(title, "\t")
		t.titles = append(t.titles, name)
		t.right[i] = right
	}
	return t
}

// row adds a row with a cell for each title.
func (t *table) row(cells ...any) {
	row := make([]string, len(t.titles))
	for i := range row {
		row[i] = fmt.Sprint(cells[i])
	}
	t.rows = append(t.rows, row)
}

// write prints the titles in the style of the console, then the rows.
func (t *table) write(c *console, w io.Writer) {
	widths := make([]int, len(t.titles))
	for _, row := range append([][]string{t.titles}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	fmt.Fprintln(w, c.style(w, bold, t.line(widths, t.titles)))
	for _, row := range t.rows {
		fmt.Fprintln(w, t.line(widths, row))
	}
}

func (t *table) line(widths []int, row []string) string {
	var b strings.Builder
	for i, cell := range row {
		if i > 0 {
			b.WriteString("  ")
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.right[i] {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// optional is a value, or "" for its zero.
func optional[T comparable](v T) any {
	var zero T
	if v == zero {
		return ""
	}
	return v
}

// fields prints "name  value" lines, aligned. Pairs with an empty value are
// left out.
func fields(w io.Writer, pairs ...any) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i].(string)))
	}
	for i := 0; i < len(pairs); i += 2 {
		if value := fmt.Sprint(pairs[i+1]); value != "" {
			fmt.Fprintf(w, "%-*s  %s\n", width, pairs[i], value)
		}
	}
}
