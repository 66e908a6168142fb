package overlay

import (
	"sync/atomic"
	"testing"
	"time"

	passes "github.com/chorus-net/chorus/bootstrap/pass"
)

// A pass that comes to its end ends the connections that it opened, at the next recheck.
func TestPassExpires(t *testing.T) {
	var ahead atomic.Int64
	clocked := func(c *Config) {
		gossiping(c)
		c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	nodes := closedRing(t, 2, clocked)
	home := t.TempDir()
	at := func(c *Config) { clocked(c); c.Home, c.Engine = home, "memory" }
	brief, err := inClosed(t, nodes[0], at)
	if err != nil {
		t.Fatal(err)
	}
	ada := nodes[0].door
	now := ada.now()
	chain, err := ada.grant(passes.Link{Key: brief.door.key, Right: passes.Right{Role: passes.Member}, Issued: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it remembers peers", func() bool { return brief.view().Len() == 3 })
	if err := brief.home.SavePass(chain); err != nil {
		t.Fatal(err)
	}
	if err := brief.Close(); err != nil {
		t.Fatal(err)
	}
	brief, err = inClosed(t, nodes[0], func(c *Config) { at(c); c.Peers = nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		eventually(t, "it is in the ring", func() bool { return calls(t, brief, n) && calls(t, n, brief) })
	}
	ahead.Store(int64(2 * time.Hour))
	for _, n := range nodes {
		eventually(t, "its connections end", func() bool {
			return !n.host.Connected(brief.self.Peer) && !calls(t, brief, n) && !calls(t, n, brief)
		})
	}
	if !calls(t, nodes[0], nodes[1]) {
		t.Error("members whose pass has no end do not hear each other")
	}
}
