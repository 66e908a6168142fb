package overlay

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// status returns what there is to know of a guest.
func (g *guest) status() Status {
	n := g.n
	s := Status{
		ID: n.ID(), Name: n.Name(), Ring: n.ring.Name, Role: g.role.String(), Version: Version(), Addrs: []string{},
		UptimeS: time.Since(n.started).Seconds(), Peers: n.view().Len(), Calls: n.host.Stats().Calls, Functions: []string{},
	}
	for _, id := range g.ids() {
		s.Via = append(s.Via, n.label(id))
	}
	return s
}

// diagnose looks at what a guest needs: members that answer, the clock, its pass, limits.
func (g *guest) diagnose(ctx context.Context) (client.Diagnosis, error) {
	n := g.n
	bounded, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	ids := g.ids()
	visits := make([]visit, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { visits[i] = n.visitPeer(bounded, id) })
	}
	wg.Wait()
	d := client.Diagnosis{Checks: []client.Check{
		fine("role", "a guest with role %s: members carry out its calls; it keeps no keys, runs no tasks and lets nobody in", g.role),
		g.checkContacts(),
		checkClock(n.cfg.now(), visits),
		n.checkDoor(visits),
		checkLimits(n.host.Libp2p().Network().Conns()),
	}}
	return d, n.orClosed(ctx.Err())
}

// checkContacts tells which members carry out the guest's calls.
func (g *guest) checkContacts() client.Check {
	ids := g.ids()
	var names []string
	for _, id := range ids {
		names = append(names, g.n.label(id))
	}
	known := len(g.known())
	switch {
	case len(ids) == 0:
		return broken("peers", "start a member, or open its ports to this host (peer doctor there); a new token has new addresses", "none of %d members answers", known)
	case len(ids) < min(guestContacts, known):
		return odd("peers", "peer ring (shows the addresses); start those that are down, or open their ports to this host", "%d of %d members answer: %s", len(ids), known, strings.Join(names, ", "))
	default:
		return fine("peers", "calls go to %s, of %d members", strings.Join(names, ", "), known)
	}
}
