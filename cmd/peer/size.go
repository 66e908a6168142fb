package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a flag whose value is a number of bytes: "4096", "500MB", "10GiB".
type size int64

var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

func (s *size) Type() string { return "bytes" }

// String writes the largest binary unit that divides the size.
func (s *size) String() string {
	for i := 3; i >= 0; i-- {
		if u := units[i]; *s != 0 && int64(*s)%u.bytes == 0 {
			return strconv.FormatInt(int64(*s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

func (s *size) Set(text string) error {
	number, unit := text, int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if bytes := n * float64(unit); err == nil && bytes >= 0 && bytes < math.MaxInt64 {
		*s = size(bytes)
		return nil
	}
	return fmt.Errorf("%q is no size: give a number and a unit, such as 500MB or 10GiB", text)
}
