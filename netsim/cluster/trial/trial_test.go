package trial

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	var told []string
	r, err := Run(t.Context(), Settings{
		Peers:    3,
		Network:  simnet.Settings{Latency: time.Millisecond, Loss: 0.01, Seed: 1},
		Duration: 1200 * time.Millisecond,
		Split:    200 * time.Millisecond,
		Callers:  3,
		Tell:     func(line string) { told = append(told, line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost+r.Stale+r.Unread > 0 {
		t.Errorf("faults: %q", r.Faults)
	}
	if r.Puts == 0 || r.Gets == 0 || r.Keys != 3*keysEach || r.AgreedS <= 0 || r.Packets.Sent == 0 || r.Packets.Cut == 0 {
		t.Errorf("nothing was tried: %+v", r)
	}
	if story := strings.Join(told, "\n"); !strings.Contains(story, "splits into 1 and 2 peers") {
		t.Errorf("was told %q", story)
	}
}

// TestFaultsAreSeen claims acknowledgements that never were.
func TestFaultsAreSeen(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Settings{Peers: 1, Node: overlay.Config{Workers: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := newLoad(c, 1)
	caller := l.callers[0]
	caller.put(t.Context(), 0)
	caller.acked[0]++          // newer than what is there
	caller.acked[1] = 1        // never written
	caller.put(t.Context(), 2) // fine
	l.readAll(t.Context())
	var r Result
	l.report(&r)
	if r.Stale != 1 || r.Lost != 1 || r.Unread != 0 || len(r.Faults) != 2 || r.Puts != 2 {
		t.Errorf("found %+v", r)
	}
	c.Nodes()[0].Kill()
	l.readAll(t.Context())
	l.report(&r)
	if r.Unread != keysEach {
		t.Errorf("%d keys unread at a dead peer, want %d", r.Unread, keysEach)
	}
}

func TestSettings(t *testing.T) {
	for name, s := range map[string]Settings{
		"no peers":      {Duration: time.Second},
		"no time":       {Peers: 1},
		"long split":    {Peers: 2, Duration: time.Second, Split: 600 * time.Millisecond},
		"minus callers": {Peers: 1, Duration: time.Second, Callers: -1},
	} {
		if _, err := Run(t.Context(), s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Settings{Peers: 1, Duration: time.Second}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
