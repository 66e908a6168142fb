package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

func TestSize(t *testing.T) {
	for _, c := range []struct {
		text  string
		bytes int64
		back  string
	}{
		{"0", 0, "0"},
		{"4096", 4096, "4KiB"},
		{"500MB", 500e6, "500000000"},
		{"10GiB", 10 << 30, "10GiB"},
		{"1.5 KiB", 1536, "1536"},
		{"7 B", 7, "7"},
		{"2TiB", 2 << 40, "2TiB"},
	} {
		var s size
		if err := s.Set(c.text); err != nil || int64(s) != c.bytes || s.String() != c.back {
			t.Errorf("%q: %d, %v, %q; want %d, %q", c.text, int64(s), err, s.String(), c.bytes, c.back)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "10 gigs", "1e30GiB", "NaN"} {
		if s := new(size); s.Set(text) == nil {
			t.Errorf("%q is taken for %d bytes", text, int64(*s))
		}
	}
}

// A peer keeps as much as its quota allows, says so beyond, and has room again
// after a delete.
func TestQuota(t *testing.T) {
	s := newShell(t)
	s.ok("init", "--open")
	s.start("--quota", "20KiB")
	value := strings.Repeat("x", 4<<10)
	for i := range 4 {
		s.ok("put", fmt.Sprintf("k/%d", i), value)
	}
	s.run("put", "k/4", value).fails(client.CodeQuotaExceeded, "storage quota is used up", "fix: peer del")
	s.ok("del", "k/0")
	s.ok("put", "k/4", value)
	if got := s.ok("get", "k/4"); strings.TrimSpace(got) != value {
		t.Errorf("get: %q", got)
	}
	s.ok("del", "no/such/key")
}
