package worker

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	maxPrimes = 1e12
	// sieveSegment is how many odd numbers are sieved at a time: a byte each, so
	// that a segment stays in a core's nearest caches.
	sieveSegment = 128 << 10
)

// primes counts the primes up to its input with a segmented sieve.
func primes(ctx context.Context, input []byte) ([]byte, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(input)), 10, 64)
	if err != nil || n < 0 || n > maxPrimes {
		return nil, fmt.Errorf("input %.20q: want a number from 0 to 10^12", input)
	}
	count, err := countPrimes(ctx, n)
	if err != nil {
		return nil, err
	}
	return strconv.AppendInt(nil, count, 10), nil
}

func countPrimes(ctx context.Context, n int64) (int64, error) {
	if n < 2 {
		return 0, nil
	}
	base := oddPrimes(int64(math.Sqrt(float64(n))) + 1)
	next := make([]int64, len(base)) // the next odd multiple of each to be crossed out
	for i, p := range base {
		next[i] = p * p
	}
	count := int64(1) // the two
	size := min(sieveSegment, n/2)
	composite := make([]bool, size)
	for low := int64(3); low <= n; low += 2 * size {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		clear(composite)
		high := low + 2*size // exclusive
		for i, p := range base {
			if p*p >= high {
				break
			}
			k := (next[i] - low) / 2
			for ; k < size; k += p {
				composite[k] = true
			}
			next[i] = low + 2*k
		}
		last := min((n-low)/2+1, size)
		for _, c := range composite[:last] {
			if !c {
				count++
			}
		}
	}
	return count, nil
}

// oddPrimes lists the odd primes up to n, which is small.
func oddPrimes(n int64) []int64 {
	composite := make([]bool, n+1)
	var list []int64
	for i := int64(3); i <= n; i += 2 {
		if composite[i] {
			continue
		}
		list = append(list, i)
		for k := i * i; k <= n; k += 2 * i {
			composite[k] = true
		}
	}
	return list
}
