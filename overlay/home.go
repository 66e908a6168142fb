package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// findRing settles which ring this peer belongs to, and returns the peers of it
// that it may turn to: those given and those remembered.
func (n *Node) findRing(ctx context.Context) ([]bootstrap.Contact, error) {
	places, err := bootstrap.ParsePlaces(n.cfg.Peers)
	if err != nil {
		return nil, homeError(err)
	}
	book := &bootstrap.Book{}
	if n.home != nil {
		book = n.home.Book()
	}
	f := finder{n: n, places: places, book: book, rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	named := slices.Concat(places.Contacts, places.Relays)
	for _, c := range named {
		n.given = append(n.given, c.Addrs...)
	}
	f.contacts = bootstrap.Order(named, book.Contacts(), f.rng)
	have, err := n.homeRing()
	switch {
	case err == nil:
		n.ring, n.returning = have, true
		err = f.checkRing(ctx)
	case !errors.Is(err, bootstrap.ErrNoRing):
	case len(places.Tokens) > 0:
		err = f.redeem(ctx)
	case len(places.Contacts) > 0:
		err = f.joinRing(ctx)
	case n.cfg.Create:
		err = n.createRing()
	}
	if err != nil {
		return nil, homeError(err)
	}
	return f.contacts, n.checkName(n.ring)
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
func (n *Node) createRing() error {
	if n.cfg.Open {
		ring, err := bootstrap.NewRing(n.cfg.Ring, passes.Key{}, n.cfg.Shards, n.cfg.Replicas, time.Now())
		if err != nil {
			return usage("create ring: %w", err)
		}
		n.ring = ring
		if n.home == nil {
			return nil
		}
		return n.home.Create(ring)
	}
	ring, ringKey, err := bootstrap.NewClosedRing(n.cfg.Ring, n.cfg.Shards, n.cfg.Replicas, n.cfg.now())
	if err != nil {
		return usage("create ring: %w", err)
	}
	n.ring = ring
	if n.home != nil {
		if err := n.home.CreateClosed(ring, ringKey, n.cfg.now()); err != nil {
			return err
		}
		n.door, err = n.openDoor(ring)
		return err
	}
	if n.door, err = n.newDoor(ring); err != nil {
		return err
	}
	n.door.ringKey = ringKey
	n.door.chain, err = bootstrap.NewPass(ring, ringKey, n.key, n.cfg.now())
	return err
}

func (n *Node) homeRing() (bootstrap.Ring, error) {
	if n.home == nil {
		return bootstrap.Ring{}, bootstrap.ErrNoRing
	}
	return n.home.Ring()
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
func noAnswer(contacts []bootstrap.Contact, cause error) error {
	var who []string
	for _, c := range contacts[:min(len(contacts), 3)] {
		who = append(who, c.String())
	}
	return &client.Error{
		Code:    client.CodeNoAnswer,
		Message: fmt.Sprintf("no peer of the ring let this one in (%s): %v", strings.Join(who, ", "), cause),
		Fix:     "peer status (on another host of the ring, for its addresses)",
	}
}

// Names of values that the disk keeps beside the records.
const (
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
		if err := store.CheckBank(r.Shard.Bank(d.Shards()), d.Shards()); err != nil {
			return nil, fmt.Errorf("state of shard %d: %w: %w", r.Shard, err, disk.ErrCorrupt)
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
