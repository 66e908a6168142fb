package overlay

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// TestPositionsAreChosenOnce restarts a peer with another weight and another number of
// positions in its settings: it stands where it stood, as its keys do, says so, and
// announces the weight that it has. A new home chooses.
func TestPositionsAreChosenOnce(t *testing.T) {
	const kept = "weight not changed"
	home := t.TempDir()
	at := func(home string, positions, weight int) (stands []string, announced uint32, log string) {
		var out bytes.Buffer
		n := joinTest(t, nil, Config{Home: home, Positions: positions, Weight: weight, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		ring, err := n.Ring(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		self, _ := n.view().Peer(n.self.Peer)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		return ring.Peers[0].Positions, self.Weight, out.String()
	}
	first, weight, log := at(home, 4, 150)
	if len(first) != 6 || weight != 150 || strings.Contains(log, kept) {
		t.Fatalf("%d positions and weight %d, want 6 and 150; log %s", len(first), weight, log)
	}
	for _, c := range []struct {
		positions, weight int
		says              bool
	}{{4, 300, true}, {9, 0, false}, {9, 150, false}} {
		again, weight, log := at(home, c.positions, c.weight)
		if !slices.Equal(again, first) || weight != 150 || strings.Contains(log, kept) != c.says {
			t.Errorf("%+v: stands at %v, after a restart at %v with weight %d; log %s", c, first, again, weight, log)
		}
	}
	if other, weight, _ := at(t.TempDir(), 9, 0); len(other) != 9 || weight != 100 {
		t.Errorf("%d positions and weight %d in a new home, want 9 and 100", len(other), weight)
	}
}

// TestWeightOfOldHome opens a home that keeps positions and no weight: they are taken for
// those of an ordinary peer.
func TestWeightOfOldHome(t *testing.T) {
	home := t.TempDir()
	n := joinTest(t, nil, Config{Home: home, Weight: 50})
	if err := n.disk.DropMeta(t.Context(), metaWeight); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := joinTest(t, nil, Config{Home: home, Weight: 50})
	if p := again.record.get(); p.Weight != 100 || len(p.Indexes) != 4 {
		t.Errorf("weight %d and %d positions, want 100 and 4", p.Weight, len(p.Indexes))
	}
}
