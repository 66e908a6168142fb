package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// findRing settles which ring this peer belongs to, and returns the peers of it
// that it may turn to: those given and those remembered.
func (n *Node) findRing(ctx context.Context) ([]bootstrap.Contact, error) {
	given, err := bootstrap.ParseContacts(n.cfg.Peers)
	if err != nil {
		return nil, homeError(err)
	}
	book := &bootstrap.Book{}
	if n.home != nil {
		book = n.home.Book()
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	contacts := bootstrap.Order(given, book.Contacts(), rng)
	have, err := n.homeRing()
	switch {
	case err == nil:
		n.ring, n.returning = have, true
		err = n.checkRing(ctx, given, rng)
	case !errors.Is(err, bootstrap.ErrNoRing):
	case len(given) > 0:
		err = n.joinRing(ctx, contacts, given, book, rng)
	case n.cfg.Create:
		err = n.createRing()
	}
	if err != nil {
		return nil, homeError(err)
	}
	return contacts, n.checkName(n.ring)
}

// checkName refuses a ring of another name than the one asked for.
func (n *Node) checkName(r bootstrap.Ring) error {
	if n.cfg.Ring == "" || n.cfg.Ring == r.Name || n.cfg.Create {
		return nil
	}
	return &client.Error{
		Code:    client.CodeWrongRing,
		Message: fmt.Sprintf("the ring is called %q, not %q", r.Name, n.cfg.Ring),
		Fix:     "leave the ring's name out, or use the address of a peer of the other ring",
	}
}

// createRing makes a new ring and the home one of it.
func (n *Node) createRing() (err error) {
	if n.ring, err = bootstrap.NewRing(n.cfg.Ring, n.cfg.Shards, n.cfg.Replicas, time.Now()); err != nil {
		return usage("create ring: %w", err)
	}
	if n.home == nil {
		return nil
	}
	return n.home.Create(n.ring)
}

func (n *Node) homeRing() (bootstrap.Ring, error) {
	if n.home == nil {
		return bootstrap.Ring{}, bootstrap.ErrNoRing
	}
	return n.home.Ring()
}

// checkRing refuses peers of another ring than the home's, as far as they
// answer soon. It is no failure if none does: they may be down as well.
func (n *Node) checkRing(ctx context.Context, given []bootstrap.Contact, rng *rand.Rand) error {
	if len(given) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ring, err := n.askRing(ctx, given, rng)
	if err != nil {
		n.log.Info("peers to join by do not answer", "err", err)
		return nil
	}
	return n.home.Join(ring)
}

// askRing asks contacts what their ring is until one answers.
func (n *Node) askRing(ctx context.Context, contacts []bootstrap.Contact, rng *rand.Rand) (bootstrap.Ring, error) {
	return bootstrap.Find(ctx, contacts, rng, func(ctx context.Context, c bootstrap.Contact) (bootstrap.Ring, error) {
		var errs []error
		for _, addr := range c.Multiaddrs() {
			text, err := p2p.AskRing(ctx, n.cfg.Host, addr)
			if err == nil {
				return bootstrap.ParseRing(text)
			}
			errs = append(errs, err)
		}
		return bootstrap.Ring{}, errors.Join(errs...)
	})
}

// joinRing asks the contacts what their ring is, and makes the home one of it.
// The contacts are kept first: a home that belongs to a ring and knows nobody
// would take itself for the ring's first.
func (n *Node) joinRing(ctx context.Context, contacts, given []bootstrap.Contact, book *bootstrap.Book, rng *rand.Rand) error {
	ring, err := n.askRing(ctx, contacts, rng)
	if err != nil {
		return err
	}
	if err := n.checkName(ring); err != nil {
		return err // the home stays free to join another one
	}
	n.ring = ring
	if n.home == nil {
		return nil
	}
	for _, c := range given {
		book.Seen(c, time.Now())
	}
	if err := n.home.SaveBook(book); err != nil {
		return err
	}
	return n.home.Join(ring)
}

// homeError gives an error of the home the form that people meet.
func homeError(err error) error {
	var e *bootstrap.Error
	if errors.As(err, &e) {
		return &client.Error{Code: client.ErrorCode(e.Code), Message: e.Message, Fix: e.Fix}
	}
	return err
}

// listenError explains why a host did not start.
func listenError(err error) error {
	var op *net.OpError
	inUse := errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "address already in use")
	if inUse || errors.As(err, &op) && errors.Is(op.Err, syscall.EADDRINUSE) {
		return &client.Error{
			Code: client.CodePortInUse, Message: err.Error(),
			Fix: "peer run --listen /ip4/0.0.0.0/tcp/0 --listen /ip4/0.0.0.0/udp/0/quic-v1 (any free port), or stop the other program",
		}
	}
	return err
}

// noAnswer is the error of a peer that found nobody of its ring in time.
func noAnswer(peers []string, cause error) error {
	who := "the peers that the home remembers"
	if len(peers) > 0 {
		who = strings.Join(peers, ", ")
	}
	return &client.Error{
		Code:    client.CodeNoAnswer,
		Message: fmt.Sprintf("no peer of the ring let this one in (%s): %v", who, cause),
		Fix:     "peer status (on another host of the ring, for its addresses)",
	}
}

// Names of values that the disk keeps beside the records.
const (
	metaIndexes = "ring/indexes"  // positions of the peer: 4 bytes each
	metaCeiling = "clock/ceiling" // no version above it was issued
	metaFounder = "ring/founder"  // the peer started the ring: "begun", then "done"
)

// founding tells whether this peer is the first of its ring and has yet to
// become the voter of all its shards.
func (n *Node) founding(ctx context.Context, contacts []bootstrap.Contact, saved int) (bool, error) {
	b, found, err := n.disk.GetMeta(metaFounder)
	switch {
	case err != nil:
		return false, err
	case found:
		return string(b) == "begun", nil
	case len(contacts) > 0 || saved > 0:
		return false, nil
	}
	return true, n.disk.PutMeta(ctx, metaFounder, []byte("begun"))
}

// loadStates returns what the disk keeps of the shards.
func loadStates(d *disk.Store) (map[store.ShardID]store.State, error) {
	registers, err := d.LoadRegisters()
	if err != nil {
		return nil, err
	}
	states := make(map[store.ShardID]store.State, len(registers))
	for _, r := range registers {
		s, err := store.DecodeState(r.State)
		if err != nil {
			return nil, fmt.Errorf("state of shard %d: %w", r.Shard, err)
		}
		states[r.Shard] = s
	}
	return states, nil
}

func loadCeiling(d *disk.Store) (uint64, error) {
	b, found, err := d.GetMeta(metaCeiling)
	if err != nil || !found {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("clock ceiling of %d bytes: %w", len(b), disk.ErrCorrupt)
	}
	return binary.BigEndian.Uint64(b), nil
}

func saveCeiling(ctx context.Context, d *disk.Store, ceiling uint64) error {
	return d.PutMeta(ctx, metaCeiling, binary.BigEndian.AppendUint64(nil, ceiling))
}

// indexes returns the peer's position indexes: those on disk or, for a new
// peer, ones that suit the ring that a contact shows. They are kept before they
// are used.
func (n *Node) indexes(ctx context.Context, contacts []bootstrap.Contact) ([]uint32, error) {
	b, found, err := n.disk.GetMeta(metaIndexes)
	if err != nil {
		return nil, diskError(err)
	}
	if found && len(b) > 0 && len(b)%4 == 0 {
		var list []uint32
		for ; len(b) > 0; b = b[4:] {
			list = append(list, binary.BigEndian.Uint32(b))
		}
		return list, nil
	}
	view := chord.NewView(n.self.Peer, n.askPeers(ctx, contacts))
	list := chord.NewIndexes(view, n.self.Peer, n.cfg.Positions)
	b = nil
	for _, i := range list {
		b = binary.BigEndian.AppendUint32(b, i)
	}
	return list, diskError(n.disk.PutMeta(ctx, metaIndexes, b))
}
