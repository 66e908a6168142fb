package p2p

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/chorus-net/chorus/chord"
)

// Reachability tells whether other peers can open connections to this one.
type Reachability string

// What is known of it.
const (
	// ReachLocal: the host listens on loopback alone, runs on a ready or a simulated network,
	// and does nothing to be reached.
	ReachLocal Reachability = "local"
	// ReachUnknown: no peer beyond the host's own subnets is connected.
	ReachUnknown Reachability = "unknown"
	// ReachPublic: those that were asked opened connections to it.
	ReachPublic Reachability = "public"
	// ReachPrivate: they could not; others reach it through relays.
	ReachPrivate Reachability = "private"
)

// Reach is how other peers reach this one.
type Reach struct {
	State  Reachability
	Asked  int            // peers whose answers that rests on
	Relays []chord.PeerID // that hand on to this peer
	WAN    bool           // addresses of private ranges are neither announced nor dialled
}

const (
	maxVerdicts = 3                // peers whose answers count
	verdictFor  = 10 * time.Minute // before a peer is asked again
	settleTime  = 4 * time.Second  // bounds Settle
	reachTick   = time.Minute      // between looks at what has to be renewed
	reachRetry  = 5 * time.Second  // before the next look for relays, where there are too few
	subnetsFor  = 10 * time.Second // that the machine's networks are remembered
)

// reach finds out whether others can open connections to this host and, where they cannot, keeps
// slots at relays. It owns one goroutine. Where all peers are in the host's own subnets it asks
// nobody, and sends nothing.
type reach struct {
	h        *Host
	ranges   *ranges
	protocol protocol.ID
	wake     chan struct{} // holds a token when there may be something to do

	mu       sync.Mutex
	verdicts map[peer.ID]verdict
	nets     []netip.Prefix // that this machine is in
	netsAt   time.Time
	settled  chan struct{} // closed when there is a first verdict, and a relay if one is needed; then nil
	onAddrs  []func()

	relay   relayService // the goroutine's
	slots   *slots
	punches *punches
}

func newReach(h *Host, r *ranges, prefix protocol.ID) *reach {
	return &reach{
		h: h, ranges: r, protocol: prefix + dialBackSuffix, wake: make(chan struct{}, 1),
		verdicts: make(map[peer.ID]verdict), settled: make(chan struct{}), slots: newSlots(h.host),
	}
}

// start begins to watch the host's connections.
func (r *reach) start() {
	r.h.host.SetStreamHandler(r.protocol, newDialBack(r.h.ctx, r.h.isAdmitted).serve)
	r.h.host.Network().Notify(&network.NotifyBundle{ConnectedF: r.connected, DisconnectedF: r.disconnected})
	r.h.wg.Go(func() { r.run(r.h.ctx) })
}

// connected looks at a new connection: its peer may be one to ask, one that calls can now be made
// to without a relay, or one to find such a way to.
func (r *reach) connected(_ network.Network, c network.Conn) {
	if isRelayed(c.RemoteMultiaddr()) {
		r.kick()
		return
	}
	r.h.straighten(c.RemotePeer())
	if r.isFar(c.RemoteMultiaddr()) {
		r.kick()
	}
}

func (r *reach) disconnected(_ network.Network, c network.Conn) {
	if r.slots.has(c.RemotePeer()) {
		r.kick()
	}
}

func (r *reach) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine.
func (r *reach) run(ctx context.Context) {
	defer r.relay.close()
	defer func() { r.punches.close() }()
	for pause := time.Duration(0); ; {
		timer := time.NewTimer(pause)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
		pause = r.look(ctx)
	}
}

// look asks who is to be asked, draws the consequences, and returns when to look again.
func (r *reach) look(ctx context.Context) time.Duration {
	far := r.far()
	r.ask(ctx, far)
	state, open := r.judge()
	hidden := state == ReachPrivate
	if state != ReachUnknown {
		r.punches = r.punches.begin(r)
	}
	r.relay.set(r.h, !hidden)
	pause := r.punches.again(r.h)
	if hidden {
		if r.slots.keep(ctx, far) < wantRelays {
			pause = min(pause, reachRetry)
		}
	} else {
		r.slots.drop()
	}
	relayed := r.slots.addrs()
	if r.ranges.found(hidden, r.isSeen(), open, relayed) {
		r.tell()
	}
	if state == ReachPublic || hidden && len(relayed) > 0 {
		r.mu.Lock()
		if r.settled != nil {
			close(r.settled)
			r.settled = nil
		}
		r.mu.Unlock()
	}
	return pause
}

// ask has peers dial back until enough have answered.
func (r *reach) ask(ctx context.Context, far []peer.ID) {
	r.mu.Lock()
	fresh := func(id peer.ID) bool { return time.Since(r.verdicts[id].at) < verdictFor }
	n := 0
	for id := range r.verdicts {
		if fresh(id) {
			n++
		}
	}
	var next []peer.ID
	for _, id := range far {
		if !fresh(id) && n+len(next) < maxVerdicts {
			next = append(next, id)
		}
	}
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, id := range next {
		wg.Go(func() {
			v, err := r.h.askDialBack(ctx, id)
			if err != nil {
				return // busy, or gone: another is asked when the next one connects
			}
			if r.h.cfg.walled {
				v.open = nil
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.take(id, v)
		})
	}
	wg.Wait()
}

// take notes a verdict, under the lock. An old one holds until a new one takes its place.
func (r *reach) take(id peer.ID, v verdict) {
	r.verdicts[id] = v
	if len(r.verdicts) <= maxVerdicts {
		return
	}
	for other, o := range r.verdicts {
		if o.at.Before(v.at) {
			id, v = other, o
		}
	}
	delete(r.verdicts, id)
}

// judge tells what most of those say that were asked, and where they reached this host.
func (r *reach) judge() (Reachability, []ma.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	votes := make(map[string]int)
	for _, v := range r.verdicts {
		for _, a := range ma.Unique(slices.Clone(v.open)) {
			votes[string(a.Bytes())]++
		}
	}
	var open []ma.Multiaddr
	for b, n := range votes {
		if a, err := ma.NewMultiaddrBytes([]byte(b)); err == nil && 2*n > len(r.verdicts) {
			open = append(open, a)
		}
	}
	slices.SortFunc(open, ma.Multiaddr.Compare)
	switch {
	case len(r.verdicts) == 0:
		return ReachUnknown, nil
	case len(open) > 0:
		return ReachPublic, open
	default:
		return ReachPrivate, nil
	}
}

// isSeen reports whether most of those that were asked see this host at a public address. One that lies
// is outvoted, once others were asked.
func (r *reach) isSeen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, v := range r.verdicts {
		if manet.IsPublicAddr(v.seen) {
			n++
		}
	}
	return 2*n > len(r.verdicts)
}

// far returns the peers beyond this machine's subnets to whom there is a connection without a
// relay, those first that have answered already.
func (r *reach) far() []peer.ID {
	var ids []peer.ID
	for _, c := range r.h.host.Network().Conns() {
		if a := c.RemoteMultiaddr(); !isRelayed(a) && r.isFar(a) && r.h.isAdmitted(c.RemotePeer()) && !slices.Contains(ids, c.RemotePeer()) {
			ids = append(ids, c.RemotePeer())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rank := func(id peer.ID) int {
		if _, ok := r.verdicts[id]; ok {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ids, func(a, b peer.ID) int { return cmp.Compare(rank(a), rank(b)) })
	return ids
}

// isFar reports whether an address is beyond this machine's subnets. In another subnet than
// before, nothing that was found out holds any more.
func (r *reach) isFar(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	at, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	return !slices.ContainsFunc(r.networks(), func(p netip.Prefix) bool { return p.Contains(at.Unmap()) })
}

// networks returns the networks that this machine is in, as they were a moment ago.
func (r *reach) networks() []netip.Prefix {
	r.mu.Lock()
	nets, at := r.nets, r.netsAt
	r.mu.Unlock()
	if time.Since(at) <= subnetsFor {
		return nets
	}
	nets = r.near()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nets != nil && !slices.Equal(nets, r.nets) {
		clear(r.verdicts)
	}
	r.nets, r.netsAt = nets, time.Now()
	return nets
}

// near returns the networks that this machine is in.
func (r *reach) near() []netip.Prefix {
	if r.h.cfg.near != nil {
		return r.h.cfg.near()
	}
	list := []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return list
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}

// tell tells those who want to know that other addresses are announced.
func (r *reach) tell() {
	r.mu.Lock()
	callbacks := r.onAddrs
	r.mu.Unlock()
	for _, f := range callbacks {
		f()
	}
}

// OnAddrs adds a callback for changes of what Addrs returns, as far as reachability and
// relays bring them.
func (h *Host) OnAddrs(f func()) {
	if h.reach == nil {
		return
	}
	h.reach.mu.Lock()
	defer h.reach.mu.Unlock()
	h.reach.onAddrs = append(h.reach.onAddrs, f)
}

// Reach tells how other peers reach this one.
func (h *Host) Reach() Reach {
	if h.reach == nil {
		return Reach{State: ReachLocal, WAN: h.ranges != nil && h.ranges.isWAN()}
	}
	state, _ := h.reach.judge()
	h.reach.mu.Lock()
	asked := len(h.reach.verdicts)
	h.reach.mu.Unlock()
	return Reach{State: state, Asked: asked, Relays: h.reach.slots.relays(), WAN: h.ranges.isWAN()}
}

// Settle connects to peers of which it knows the addresses, if these are beyond this machine's
// subnets, and waits until it is known whether others can reach this host, with relays in
// place if they cannot. It gives up after 4 s. Among neighbours it returns at once.
func (h *Host) Settle(ctx context.Context, ids []chord.PeerID) {
	if h.reach == nil {
		return
	}
	far := slices.DeleteFunc(slices.Clone(ids), func(id chord.PeerID) bool {
		return !slices.ContainsFunc(h.host.Peerstore().Addrs(peer.ID(id)), h.reach.isFar)
	})
	h.reach.mu.Lock()
	settled := h.reach.settled
	h.reach.mu.Unlock()
	if len(far) == 0 || settled == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	far = far[:min(len(far), maxVerdicts)]
	var dials sync.WaitGroup
	for _, id := range far {
		dials.Go(func() { _, _ = h.streamTo(ctx, peer.ID(id), noDeadline) })
	}
	silent := make(chan struct{})
	h.spawn(func() {
		dials.Wait()
		if !slices.ContainsFunc(far, h.Connected) {
			close(silent)
		}
	})
	select {
	case <-settled: // who connects is asked
	case <-silent:
	case <-ctx.Done():
	}
}
