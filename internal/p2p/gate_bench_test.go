package p2p_test

import (
	"testing"

	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// A warm call costs the same behind a gate as without one: the pass is checked with the
// handshake, and never again.
func BenchmarkWarmCall(b *testing.B) {
	for name, gate := range map[string]func() p2p.Gate{
		"ring=open":   func() p2p.Gate { return nil },
		"ring=closed": func() p2p.Gate { return newGate("member") },
	} {
		b.Run(name, func(b *testing.B) {
			edit := func(c *p2p.Config) { c.Gate = gate() }
			x, y := start(b, edit), start(b, edit)
			connect(b, x, y)
			payload := make([]byte, 100)
			for b.Loop() {
				if _, err := x.Call(b.Context(), y.ID(), rpc.Header{Method: methodEcho}, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
