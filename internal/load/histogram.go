package load

import (
	"math"
	"math/bits"
	"time"
)

const (
	stepBits = 6 // 64 steps between a power of two and the next
	steps    = 1 << stepBits
	// buckets covers times up to 2^41 ns, 36 minutes; longer ones count as that.
	buckets = (42 - stepBits) * steps
)

// histogram counts times in buckets of 1 part in 64.
type histogram struct {
	counts [buckets]uint64
	total  uint64
}

func (h *histogram) record(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile returns the time that a share q of the recorded ones do not exceed,
// 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return upper(i)
		}
	}
	return 0
}

// bucket returns the bucket of a time: one a nanosecond up to 64 ns, then 64 to
// each doubling.
func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < steps {
		return int(n)
	}
	exponent := bits.Len64(n) - 1 - stepBits
	return min((exponent<<stepBits)+int(n>>exponent), buckets-1)
}

// upper returns the longest time of a bucket.
func upper(i int) time.Duration {
	if i < 2*steps {
		return time.Duration(i)
	}
	exponent := i>>stepBits - 1
	return time.Duration((uint64(i-exponent<<stepBits)+1)<<exponent - 1)
}
