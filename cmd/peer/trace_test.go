package main

import (
	"strings"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

// testPing pings a peer by its name, by its ID, and oneself.
func testPing(t *testing.T, from, to *process) {
	var status client.Status
	to.doc(&status, "status")
	for _, who := range []string{status.Name, status.ID, shortID(status.ID)} {
		var pong client.Pong
		from.doc(&pong, "ping", who)
		if pong.Peer != status.ID || pong.RTTus <= 0 || pong.Via != client.ViaDirect || pong.Transport != "tcp" {
			t.Errorf("ping %s: %+v", who, pong)
		}
	}
	if out := from.ok("ping", status.Name); !strings.Contains(out, "ms, direct over tcp (/ip4/127.0.0.1/") {
		t.Errorf("ping: %s", out)
	}
	if out := to.ok("ping", status.Name); !strings.Contains(out, "is the peer that was asked") {
		t.Errorf("ping of oneself: %s", out)
	}
}

// testTrace traces a key in a ring of three peers, which all keep it.
func testTrace(t *testing.T, p *process) {
	var doc map[string]any
	p.doc(&doc, "trace", "greeting")
	keysOf(t, "trace", doc, "key", "position", "shard", "epoch", "voters", "owner", "one_hop", "walks")
	var trace client.Trace
	p.doc(&trace, "trace", "greeting")
	if len(trace.Voters) != 3 || len(trace.Walks) != 2 || !trace.OneHop {
		t.Errorf("trace: %+v", trace)
	}
	out := p.ok("trace", "greeting")
	for _, word := range []string{"position", trace.Position, "KEPT BY", "ada", "bob", "cyd", "alive", "CHORUS ASKS", "KADEMLIA ASKS", "in all", "Chorus found ", "Kademlia found "} {
		if !strings.Contains(out, word) {
			t.Errorf("trace lacks %q:\n%s", word, out)
		}
	}
	out = p.ok("ring", "-v")
	var ring client.Ring
	p.doc(&ring, "ring")
	for _, peer := range ring.Peers {
		for _, at := range peer.Positions {
			if !strings.Contains(out, at) {
				t.Errorf("ring -v lacks position %s of %s:\n%s", at, peer.Name, out)
			}
		}
	}
}

func TestBenchLookup(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a ring")
	}
	var doc struct {
		Peers, Lookups, Positions, Callers int
		Via                                string
		Ways                               []client.Lookups
	}
	newShell(t).doc(&doc, "bench", "lookup", "--peers", "4", "--positions", "2", "--n", "20")
	if doc.Peers != 4 || doc.Lookups != 20 || doc.Positions != 2 || doc.Via != "process" || len(doc.Ways) != 3 {
		t.Fatalf("bench lookup: %+v", doc)
	}
	for i, way := range client.Ways() {
		if l := doc.Ways[i]; l.Way != way || l.N != 20 || l.Failed > 0 || l.P99us <= 0 {
			t.Errorf("%+v", l)
		}
	}
}

func TestArcShare(t *testing.T) {
	at := func(digit string) string { return digit + strings.Repeat("0", 63) }
	for _, c := range []struct {
		from, to string
		want     float64
	}{{"0", "8", 0.5}, {"8", "0", 0.5}, {"c", "4", 0.5}, {"4", "4", 1}, {"e", "f", 0.0625}} {
		if got := arcShare(at(c.from), at(c.to)); got != c.want {
			t.Errorf("from %s to %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestRingNamesWhoDisagrees(t *testing.T) {
	ring := client.Ring{
		Peers: []client.PeerInfo{{ID: "id-of-ada", Name: "ada"}, {ID: "id-of-bob", Name: "bob"}}, Agree: 1, Of: 2, Disagrees: []string{"id-of-bob"},
	}
	var out strings.Builder
	c := newConsole()
	c.printRing(&out, ring)
	if !strings.HasSuffix(out.String(), "1 of 2 agree; another ring is seen by bob\n") {
		t.Errorf("ring:\n%s", out.String())
	}
}
