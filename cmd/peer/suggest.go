package main

import (
	"fmt"
	"strings"
)

// didYouMean returns `, did you mean "word"?` for the word nearest to s, or
// nothing if none is near.
func didYouMean(s string, words []string) string {
	best, bestDistance := "", len(s)/3+2
	for _, w := range words {
		d := distance(s, w)
		if strings.HasPrefix(w, s) && s != "" {
			d = 1
		}
		if d < bestDistance {
			best, bestDistance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// distance is the number of edits between a and b: a byte put in, left out or
// replaced, or two neighbours swapped (optimal string alignment).
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
