package store

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

// Version orders the writes of a key: hybrid logical clock first, writer next.
// It is a total order, and the zero Version is older than all others: it
// stands for "no record".
type Version struct {
	// Clock is a hybrid logical clock: milliseconds since 1970 in the upper 48
	// bits, a counter in the lower 16.
	Clock uint64
	// Writer is the incarnation of the peer that coordinated the write.
	Writer uint64
}

// Compare returns -1, 0 or +1 as v is older than, the same as, or newer than w.
func (v Version) Compare(w Version) int {
	if c := cmp.Compare(v.Clock, w.Clock); c != 0 {
		return c
	}
	return cmp.Compare(v.Writer, w.Writer)
}

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// IsZero reports whether v stands for "no record".
func (v Version) IsZero() bool { return v == Version{} }

// Time returns the wall-clock part of v.
func (v Version) Time() time.Time { return time.UnixMilli(int64(v.Clock >> 16)) }

// String returns clock and writer as 16 hex digits each, joined by a dash; it
// sorts as versions do.
func (v Version) String() string {
	var b [33]byte // by hand, since every receipt has one
	for i := range 16 {
		b[i] = hexDigits[v.Clock>>(60-4*i)&15]
		b[17+i] = hexDigits[v.Writer>>(60-4*i)&15]
	}
	b[16] = '-'
	return string(b[:])
}

const hexDigits = "0123456789abcdef"

// ParseVersion reads what String wrote.
func ParseVersion(s string) (Version, error) {
	if len(s) != 33 || s[16] != '-' {
		return Version{}, fmt.Errorf("parse version %q: want 16 hex digits, a dash, 16 hex digits", s)
	}
	clock, err := parseHex(s[:16])
	if err != nil {
		return Version{}, fmt.Errorf("parse version %q: %w", s, err)
	}
	writer, err := parseHex(s[17:])
	if err != nil {
		return Version{}, fmt.Errorf("parse version %q: %w", s, err)
	}
	return Version{Clock: clock, Writer: writer}, nil
}

// parseHex reads lower-case digits only, so that a version has one spelling.
func parseHex(s string) (uint64, error) {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, fmt.Errorf("%q is not a lower-case hex digit", c)
		}
	}
	return strconv.ParseUint(s, 16, 64)
}
