package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// Node is one peer of a ring, or a guest of one: a peer whose token had a role below member. A
// guest has members carry out its calls, and what its role does not allow fails with code
// "refused". Its methods may be called from any goroutine.
type Node struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	home    *bootstrap.Home // nil in memory
	ring    bootstrap.Ring
	given   []string // addresses in Config.Peers
	door    *door    // nil in an open ring
	spread  *spread  // nil in an open ring
	// returning: the home belonged to the ring before this start.
	returning bool
	key       crypto.PrivKey
	self      store.Voter

	ctx    context.Context //nolint:containedctx // the node's life; calls have their own
	cancel context.CancelFunc
	group  group
	end    sync.Once
	endErr error
	up     atomic.Bool // handlers answer

	disk       *disk.Store
	host       *p2p.Host
	clock      *clock
	shards     *shards
	replica    *replica
	mover      *mover
	puller     *puller
	forgotten  *forgotten
	outboxes   *outboxes
	members    *ring
	plain      *ring // of textbook Chord; nil without Config.PlainChord
	tasks      *tasks
	durables   *durables
	workers    *workers
	modules    *modules // nil if the program is not lent
	chunkTimes chunkTimes
	hints      *hints
	unsettled  *unsettled
	namespaces *namespaces
	fences     *fences
	banks      banks
	changes    *changeLog
	control    *control // nil without a home
	guest      *guest   // nil in a member
	owned      *owned
	seen       peersSeen
	reunion    *reunion
	meter      *meter // nil if Config.Metrics is off
	signatures signatures
	labels     sync.Map // chord.PeerID to string
	record     ownRecord
}

// Join starts a peer and makes it a member of a ring: the one that its home
// belongs to, the one that Config.Peers lead to, or a new one if Config.Create
// says so. The context bounds joining only; the peer runs until Close, Leave or
// Kill.
func Join(ctx context.Context, cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, usage("%w", err)
	}
	n := &Node{cfg: cfg, log: cfg.Logger, started: time.Now(), chunkTimes: defaultChunkTimes, changes: newChangeLog(), unsettled: newUnsettled()}
	if cfg.chunkTimes != (chunkTimes{}) {
		n.chunkTimes = cfg.chunkTimes
	}
	n.durables = newDurables(n)
	n.changes.system = n.systemChanged
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.join(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// join starts the parts, from the disk up to the control socket.
func (n *Node) join(ctx context.Context) error {
	if err := n.openHome(); err != nil {
		return err
	}
	contacts, err := n.findRing(ctx)
	if err != nil {
		return err
	}
	if n.isGuest() {
		return n.visit(ctx, contacts)
	}
	if err := n.openDisk(ctx, len(contacts) > 0); err != nil {
		return err
	}
	if err := n.openHost(ctx); err != nil {
		return err
	}
	first, err := n.openShards(ctx, contacts)
	if err != nil {
		return err
	}
	if err := n.openTasks(); err != nil {
		return err
	}
	if err := n.enter(ctx, contacts, first); err != nil {
		return err
	}
	n.group.start(func() { n.followView(n.ctx) })
	n.group.start(func() { n.mover.run(n.ctx) })
	n.group.start(func() { n.puller.run(n.ctx) })
	n.group.start(func() { (&reclaimer{n}).run(n.ctx) })
	n.group.start(func() { n.hints.run(n.ctx) })
	n.group.start(func() { n.rememberPeers(n.ctx) })
	n.group.start(func() { n.announceAddrs(n.ctx) })
	n.group.start(func() { n.reunion.remind(n.ctx) })
	n.group.start(func() { n.reunion.run(n.ctx) })
	n.group.start(func() { n.collect(n.ctx) })
	n.group.start(func() { n.durables.run(n.ctx) })
	if n.spread != nil {
		n.group.start(func() { n.spread.run(n.ctx) })
	}
	n.waitSeated(ctx)
	return n.openControl()
}

// openHome takes the home and the identity in it.
func (n *Node) openHome() (err error) {
	if n.cfg.Home != "" {
		if n.home, err = bootstrap.OpenHome(n.cfg.Home); err != nil {
			return homeError(err)
		}
	}
	switch {
	case n.cfg.Host != nil:
		n.key = n.cfg.Host.Peerstore().PrivKey(n.cfg.Host.ID())
	case n.home != nil:
		n.key, err = n.home.Identity()
	default:
		n.key, err = bootstrap.NewIdentity(rand.Reader)
	}
	if err != nil {
		return homeError(err)
	}
	if n.key == nil {
		return errors.New("config Host: the host does not have its own private key")
	}
	n.self.Peer, err = p2p.IDOf(n.key)
	return err
}

func (n *Node) openHost(ctx context.Context) (err error) {
	if n.cfg.Metrics {
		if n.meter, err = newMeter(); err != nil {
			return err
		}
	}
	cfg := p2p.Config{
		Key: n.key, Listen: n.cfg.Listen, Ring: n.ring.ID[:], Registry: n.registry(), Host: n.cfg.Host, DisableKad: n.guest != nil,
		Profile: p2p.Profile(n.cfg.Profile), Given: n.given, Metrics: n.meter.registerer(), MaxMemory: n.cfg.MaxMemory, MaxFiles: n.cfg.MaxFiles,
	}
	if n.door != nil {
		cfg.Gate = n.door
		n.spread = newSpread(n)
		n.door.announce = n.spread.learnt
	}
	if n.host, err = p2p.New(ctx, cfg); err != nil {
		return listenError(err)
	}
	if n.door != nil {
		return nil // it introduces itself to nobody
	}
	about, err := n.ring.Marshal()
	if err != nil {
		return err
	}
	n.host.Introduce(about)
	return nil
}

// openShards loads what this peer knows of the shards, makes its record, and
// readies what works on them. It reports whether this peer is the first of its
// ring.
func (n *Node) openShards(ctx context.Context, contacts []bootstrap.Contact) (first bool, err error) {
	saved, err := loadStates(n.disk)
	if err != nil {
		return false, diskError(err)
	}
	if first, err = n.founding(ctx, contacts, len(saved)); err != nil {
		return false, diskError(err)
	}
	floor, err := loadCeiling(n.disk)
	if err != nil {
		return false, diskError(err)
	}
	list, _, err := n.disk.GetMeta(metaForgotten)
	if err != nil {
		return false, diskError(err)
	}
	n.forgotten, err = loadForgotten(list, func(ctx context.Context, b []byte) error { return n.disk.PutMeta(ctx, metaForgotten, b) })
	if err != nil {
		return false, err
	}
	n.clock = newClock(floor, func(ctx context.Context, ceiling uint64) error { return saveCeiling(ctx, n.disk, ceiling) })
	n.owned = newOwned(n)
	n.shards = newShards(n.self, n.disk, n.ring.Shards, saved)
	n.shards.dropped = n.recordsDropped
	if n.fences, err = loadFences(n.disk, n.shards); err != nil {
		return false, diskError(err)
	}
	n.mover, n.puller, n.outboxes = newMover(n), newPuller(n), newOutboxes(n)
	n.replica = &replica{
		shards: n.shards, disk: n.disk, clock: n.clock, fences: n.fences, pace: newPace(),
		moved: n.configMoved, corrupt: n.puller.damage, signed: n.owned.check, now: n.cfg.now,
	}
	if n.hints, err = loadHints(n); err != nil {
		return false, diskError(err)
	}
	n.namespaces = newNamespaces(n)
	n.seen.init()
	n.record.moved = make(chan struct{}, 1)
	n.reunion = newReunion(n)
	record, err := n.makeRecord(ctx, contacts)
	if err != nil {
		return false, err
	}
	n.members, err = newRing(n, wire.MethodRing, chord.Config{Ring: ringNumber(n.ring), Wary: n.door == nil}, record, n.viewChanged)
	if err != nil {
		return false, err
	}
	n.host.OnDisconnect(n.members.unreachable)
	n.host.OnAddrs(func() { signal(n.record.moved) })
	return first, n.openPlain()
}

// enter makes the peer a member of the ring.
func (n *Node) enter(ctx context.Context, contacts []bootstrap.Contact, first bool) error {
	ids := n.answering(ctx, n.introduceContacts(contacts))
	n.up.Store(true)
	if first {
		if err := n.bear(ctx); err != nil {
			return err
		}
	}
	err := n.members.do(ctx, func(core *chord.Ring, now time.Time) chord.Output {
		switch {
		case first, n.returning && len(ids) == 0:
			return core.Create(now)
		case n.returning:
			return core.Rejoin(now, ids)
		default:
			return core.Join(now, ids)
		}
	})
	if err != nil {
		return fmt.Errorf("enter ring: %w", err)
	}
	select {
	case <-n.members.joined:
	case <-ctx.Done():
		return noAnswer(contacts, ctx.Err())
	}
	n.learnConfigs(ctx, ids)
	return n.enterPlain(ctx, ids)
}

// bear makes this peer the one voter of all shards of a new ring.
func (n *Node) bear(ctx context.Context) error {
	genesis := store.Genesis(n.self)
	var wg sync.WaitGroup
	errs := make([]error, n.ring.Shards)
	for i := range n.ring.Shards {
		wg.Go(func() { _, errs[i] = n.shards.observe(ctx, store.ShardID(i), genesis) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return diskError(err)
	}
	return diskError(n.disk.PutMeta(ctx, metaFounder, []byte("done")))
}

// ID returns the peer's ID, as libp2p writes it.
func (n *Node) ID() string { return n.label(n.self.Peer) }

// Name returns what people call the peer.
func (n *Node) Name() string {
	if n.cfg.Name != "" {
		return n.cfg.Name
	}
	id := n.ID()
	return id[max(0, len(id)-6):]
}

// Addrs returns the multiaddrs that other peers join by: each ends in /p2p/ and
// the peer's ID.
func (n *Node) Addrs() []string {
	addrs := n.host.Addrs()
	for i := range addrs {
		addrs[i] += "/p2p/" + n.ID()
	}
	return addrs
}

// Done returns a channel that is closed when the peer begins to stop, for
// whatever reason: Close, Leave, Kill, or a leave asked for over its socket.
func (n *Node) Done() <-chan struct{} { return n.ctx.Done() }

// Alive reports whether the peer runs: it has not begun to stop.
func (n *Node) Alive() bool { return n.up.Load() }

// label names a peer for people and scripts. Peers of the ring have their
// names ready: each receipt holds several.
func (n *Node) label(id chord.PeerID) string {
	if name, ok := n.labels.Load(id); ok {
		return name.(string)
	}
	name := p2p.FormatPeerID(id)
	if n.members != nil || n.guest != nil {
		if _, ok := n.view().Peer(id); ok {
			n.labels.Store(id, name)
		}
	}
	return name
}

// view returns the ring as this peer sees it.
func (n *Node) view() *chord.View {
	if n.guest != nil {
		return n.guest.view.Load()
	}
	return n.members.view.Load()
}

// viewChanged runs on the ring's loop.
func (n *Node) viewChanged() {
	n.mover.kick()
	n.hints.kick()
	n.seen.kick()
}

// configMoved is told when a shard's configuration changed.
func (n *Node) configMoved(id store.ShardID) {
	n.puller.catchUp(id, n.shards.config(id))
	n.mover.touch(id)
}

// systemChanged is told of records of the system that were written, by the
// goroutine that writes.
func (n *Node) systemChanged(id store.ShardID, v store.View) {
	n.durables.changed(id, v)
	n.fences.changed(id, v)
}

// recordsDropped is told when records of a shard were dropped.
func (n *Node) recordsDropped(id store.ShardID) {
	if err := n.fences.dropped(n.disk, id); err != nil {
		n.log.Warn("look for fences", "shard", id, "err", err)
	}
}

// openControl serves the control socket of the home.
func (n *Node) openControl() (err error) {
	if n.home == nil {
		return nil
	}
	n.control, err = serveControl(n.home.Dir(), n, n.log)
	return err
}
