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

// distance is the number of single-byte edits between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
