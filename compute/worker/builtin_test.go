package worker

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chorus-net/chorus/compute"
)

func TestBuiltins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry()
		if err := r.AddBuiltins(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ fn, in, out, err string }{
			{fn: "echo", in: "x", out: "x"},
			{fn: "sha256", in: "abc", out: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
			{fn: "wordcount", in: "To be, or not to BE: that's 2 be.", out: "be 3\nto 2\n2 1\nnot 1\nor 1\ns 1\nthat 1\n"},
			{fn: "wordcount", in: "", out: ""},
			{fn: "wordcount", in: "\xff", err: "not UTF-8"},
			{fn: "primes", in: "1000000\n", out: "78498"},
			{fn: "primes", in: "-1", err: "want a number"},
			{fn: "primes", in: "1000000000001", err: "want a number"},
			{fn: "primes", in: "many", err: "want a number"},
			{fn: "sleep", in: "1.5s", out: "1.5s"},
			{fn: "sleep", in: "2h", err: "want a duration"},
			{fn: "sleep", in: "soon", err: "want a duration"},
		} {
			ran, err := r.lookup(c.fn+"/v1")(t.Context(), &compute.Task{Input: []byte(c.in)})
			out := ran.Output
			if string(out) != c.out || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s(%q): %q, %v", c.fn, c.in, out, err)
			}
		}
	})
}

// TestPrimes compares the sieve with trial division, and across segments with
// published counts.
func TestPrimes(t *testing.T) {
	count := int64(0)
	for n := int64(0); n < 2000; n++ {
		prime := n > 1
		for d := int64(2); d*d <= n; d++ {
			prime = prime && n%d != 0
		}
		if prime {
			count++
		}
		if got, err := countPrimes(t.Context(), n); got != count || err != nil {
			t.Fatalf("primes up to %d: %d, %v, want %d", n, got, err, count)
		}
	}
	for n, want := range map[int64]int64{10_000_000: 664579, 100_000_000: 5761455} {
		if got, err := countPrimes(t.Context(), n); got != want || err != nil {
			t.Errorf("primes up to %d: %d, %v, want %d", n, got, err, want)
		}
	}
	// At the seams of segments.
	for _, n := range []int64{2*sieveSegment + 1, 2*sieveSegment + 2, 2*sieveSegment + 3, 4*sieveSegment + 3} {
		a, _ := countPrimes(t.Context(), n)
		b := int64(len(oddPrimes(n)) + 1)
		if a != b {
			t.Errorf("primes up to %d: %d, a plain sieve says %d", n, a, b)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := primes(ctx, []byte("1000000")); err == nil {
		t.Error("a cancelled count went on")
	}
}

func BenchmarkPrimes(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000, 100_000_000} {
		b.Run("n="+strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := countPrimes(b.Context(), int64(n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
