package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

const (
	guestContacts = 3 // members that a guest keeps connections to
	guestDials    = 4 // that it tries at a time
	guestTend     = time.Second
	guestPing     = 5 * time.Second
	guestMisses   = 2                // pings that time out before a contact is dropped
	guestLearn    = 10 * time.Second // between looks at who is in the ring
	guestReturns  = 5 * time.Second  // to find somebody, before it runs without
)

// guest is the part of a Node whose pass has a role below member. It is in no ring: it holds no
// positions and keys, votes and runs nothing, serves no calls, and listens nowhere. It keeps
// connections to a few members, whichever answer, and has them carry out its calls: they decide
// what its role allows.
type guest struct {
	n      *Node
	role   passes.Role
	client *client.Client // makes calls at any member
	wake   chan struct{}  // holds a token while there is something to tend
	view   atomic.Pointer[chord.View]

	mu       sync.Mutex
	contacts []*contact
	changed  chan struct{} // closed when contacts change
	first    []chord.PeerID
	learnt   time.Time
	holders  map[compute.ID]chord.PeerID // the members that have its jobs
}

// contact is a member that answers. Its context ends when it does so no more.
type contact struct {
	id     chord.PeerID
	ctx    context.Context //nolint:containedctx // calls there end with it
	cancel context.CancelFunc
	misses int // pings in a row without an answer, as tend counts
}

// isGuest reports whether this peer's pass makes it less than a member.
func (n *Node) isGuest() bool { return n.door != nil && n.door.role() < passes.Member }

// role returns what this peer's own pass says.
func (d *door) role() passes.Role {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.chain.Right().Role
}

// visit starts a peer that is a guest.
func (n *Node) visit(ctx context.Context, contacts []bootstrap.Contact) error {
	g := &guest{n: n, role: n.door.role(), wake: make(chan struct{}, 1), changed: make(chan struct{}), holders: make(map[compute.ID]chord.PeerID)}
	g.client = client.New(anyMember{g})
	g.view.Store(chord.NewView(n.self.Peer, nil))
	n.guest = g
	n.cfg.Listen = nil
	n.seen.init()
	if err := n.openHost(ctx); err != nil {
		return err
	}
	n.host.OnDisconnect(g.lost)
	g.first = n.introduceContacts(contacts)
	n.up.Store(true)
	if err := g.meet(ctx, contacts); err != nil {
		return err
	}
	n.group.start(func() { g.run(n.ctx) })
	n.group.start(func() { n.rememberPeers(n.ctx) })
	n.group.start(func() { n.spread.run(n.ctx) })
	return n.openControl()
}

// meet returns when a member answers. One that was a guest before starts without.
func (g *guest) meet(ctx context.Context, contacts []bootstrap.Contact) error {
	end := time.Now().Add(guestReturns)
	for {
		g.tend(ctx)
		if len(g.ids()) > 0 || g.n.returning && time.Now().After(end) {
			return nil
		}
		if !sleep(ctx, joinPing/4) {
			return noAnswer(contacts, ctx.Err())
		}
	}
}

// run tends the contacts until ctx ends.
func (g *guest) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-g.wake:
		case <-time.After(guestTend):
		case <-ctx.Done():
			return
		}
		g.tend(ctx)
	}
}

// tend drops contacts that do not answer, finds others, and learns now and then who is in the
// ring.
func (g *guest) tend(ctx context.Context) {
	g.mu.Lock()
	contacts := slices.Clone(g.contacts)
	g.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range contacts {
		wg.Go(func() {
			switch _, err := g.n.roundTrip(ctx, c.id, guestPing); {
			case err == nil:
				c.misses = 0
			case ctx.Err() != nil:
			case errors.Is(err, context.DeadlineExceeded) && c.misses+1 < guestMisses:
				c.misses++ // it may be busy
			default:
				g.lost(c.id)
			}
		})
	}
	wg.Wait()
	ids := g.ids()
	if len(ids) < guestContacts {
		g.find(ctx, guestContacts-len(ids))
	}
	if ids = g.ids(); len(ids) > 0 && (g.view.Load().Len() == 0 || time.Since(g.learnt) > guestLearn) {
		g.learn(ctx, ids[rand.IntN(len(ids))])
	}
}

// find adds up to n members that answer.
func (g *guest) find(ctx context.Context, n int) {
	have := g.ids()
	var others []chord.PeerID
	for _, id := range append(g.known(), g.first...) {
		if !slices.Contains(have, id) && !slices.Contains(others, id) {
			others = append(others, id)
		}
	}
	others = others[:min(len(others), max(n, guestDials))]
	var wg sync.WaitGroup
	for _, id := range others {
		wg.Go(func() {
			if _, err := g.n.roundTrip(ctx, id, guestPing); err == nil {
				g.add(id)
			}
		})
	}
	wg.Wait()
}

// known lists the members of the ring, in random order.
func (g *guest) known() []chord.PeerID {
	var ids []chord.PeerID
	for p := range g.view.Load().All() {
		if p.ID != g.n.self.Peer {
			ids = append(ids, p.ID)
		}
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

// learn asks a contact who is in the ring.
func (g *guest) learn(ctx context.Context, from chord.PeerID) {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	peers, err := call(ctx, g.n, from, rpc.Header{Method: wire.MethodPeers}, nil, wire.ParsePeers)
	if peers = g.n.verified(peers); err != nil || len(peers) == 0 {
		g.n.log.Debug("ask for peers", "peer", g.n.label(from), "err", err)
		return
	}
	g.learnt = time.Now()
	for _, p := range peers {
		g.n.host.AddPeer(p.ID, p.Addrs)
	}
	v := chord.NewView(g.n.self.Peer, peers)
	g.view.Store(v)
	g.n.seen.update(v)
}

// ids lists the contacts.
func (g *guest) ids() []chord.PeerID {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := make([]chord.PeerID, len(g.contacts))
	for i, c := range g.contacts {
		ids[i] = c.id
	}
	return ids
}

// add takes a member among the contacts, if there is room.
func (g *guest) add(id chord.PeerID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.contacts) >= guestContacts || slices.ContainsFunc(g.contacts, func(c *contact) bool { return c.id == id }) {
		return
	}
	c := &contact{id: id}
	c.ctx, c.cancel = context.WithCancel(g.n.ctx)
	g.contacts = append(g.contacts, c)
	g.notify()
}

// lost takes a member off the contacts, and ends the calls under way there.
func (g *guest) lost(id chord.PeerID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range g.contacts {
		if c.id == id {
			c.cancel()
			g.contacts = slices.Delete(g.contacts, i, i+1)
			g.notify()
			signal(g.wake)
			return
		}
	}
}

// notify tells those who wait for a contact, under the lock.
func (g *guest) notify() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// pick returns a contact that was not tried, and waits for one until ctx ends.
func (g *guest) pick(ctx context.Context, tried []chord.PeerID) (*contact, error) {
	for {
		g.mu.Lock()
		changed := g.changed
		for _, c := range g.contacts {
			if !slices.Contains(tried, c.id) {
				g.mu.Unlock()
				return c, nil
			}
		}
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-g.n.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// refuses is the error of what a guest has no part in.
func (g *guest) refuses(verb, fix string) error {
	return &client.Error{
		Code: client.CodeRefused, Fix: fix,
		Message: fmt.Sprintf("%s: this peer is a guest of ring %q, with role %s, and no member", verb, g.n.ring.Name, g.role),
	}
}
