package overlay

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

// Bounds of an outbox.
const (
	// One call carries a peer's writes at a time: those that come meanwhile gather,
	// and share the next one and its sync. Where a call takes longer than patience,
	// on a long way, another may set out, up to maxSenders.
	patience   = 5 * time.Millisecond
	maxSenders = 8
	// gatherYields is how often a sender lets other goroutines add their writes
	// before it goes, as long as they do add some.
	gatherYields = 3
	// maxGathered and maxGatheredBytes bound what a call carries.
	maxGathered      = 512
	maxGatheredBytes = 256 << 10
	// A larger record gains nothing from company.
	maxCompanion = 16 << 10
	// maxOutbox bounds the writes that wait for a peer.
	maxOutbox = 4096
)

var errOutboxFull = errors.New("too many writes wait for the peer")

// outboxes gather the writes for each peer, this one included, so that those
// made at the same time share a call and a sync.
type outboxes struct {
	n *Node

	mu sync.Mutex
	to map[chord.PeerID]*outbox
}

// outbox is what waits for one peer. The lock of outboxes guards it.
type outbox struct {
	peer    chord.PeerID
	waiting parcel
	senders int
	left    time.Time // when the last sender set out
}

// parcel is writes, and where their answers go.
type parcel struct {
	writes  []wire.Write
	slots   []slot[store.WriteReply] // slots[i] is of writes[i]
	payload []byte                   // memory for their encoding
}

func (p *parcel) add(w wire.Write, s slot[store.WriteReply]) {
	p.writes, p.slots = append(p.writes, w), append(p.slots, s)
}

// empty forgets the writes and keeps the memory.
func (p *parcel) empty() {
	clear(p.writes)
	clear(p.slots)
	p.writes, p.slots = p.writes[:0], p.slots[:0]
	if cap(p.payload) > maxGatheredBytes {
		p.payload = nil
	}
}

func newOutboxes(n *Node) *outboxes {
	return &outboxes{n: n, to: make(map[chord.PeerID]*outbox)}
}

// send sends a record to a voter; the answer goes into the slot.
func (o *outboxes) send(to store.Voter, id store.ShardID, by goesBy, record []byte, s slot[store.WriteReply]) error {
	if by.push || len(record) > maxCompanion {
		return apart(o.n, func(ctx context.Context, to store.Voter, by goesBy) (store.WriteReply, error) {
			return o.n.askWrite(ctx, to, id, by, record, false)
		})(to, by, s)
	}
	w := wire.Write{Shard: id, Epoch: by.config.Epoch, Request: store.WriteRequest{Target: by.target(to), Record: record}}
	o.mu.Lock()
	defer o.mu.Unlock()
	box := o.to[to.Peer]
	if box == nil {
		box = &outbox{peer: to.Peer}
		o.to[to.Peer] = box
	}
	if len(box.waiting.writes) >= maxOutbox {
		return errOutboxFull
	}
	if now := time.Now(); box.senders == 0 || box.senders < maxSenders && now.Sub(box.left) > patience {
		box.left = now
		if !o.n.group.start(func() { o.carry(box) }) {
			return ErrClosed
		}
		box.senders++
	}
	box.waiting.add(w, s)
	return nil
}

// carry is a sender: it carries what waits in a box until nothing does.
func (o *outboxes) carry(box *outbox) {
	for p := new(parcel); o.gather(box, p); p.empty() {
		o.deliver(box.peer, p)
	}
}

// gather takes what goes with the next call to p, which is empty. A box that is empty loses
// its sender, and goes with the last one.
func (o *outboxes) gather(box *outbox, p *parcel) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := &box.waiting
	for before, i := 0, 0; before < len(w.writes) && len(w.writes) < maxGathered && i < gatherYields; i++ {
		before = len(w.writes)
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
	}
	if len(w.writes) == 0 {
		if box.senders--; box.senders == 0 {
			delete(o.to, box.peer)
		}
		return false
	}
	n, bytes := 0, 0
	for n < len(w.writes) && n < maxGathered && bytes < maxGatheredBytes {
		bytes += len(w.writes[n].Request.Record)
		n++
	}
	// The box goes on with the memory that p had.
	*p, *w = *w, *p
	for i := n; i < len(p.writes); i++ {
		w.add(p.writes[i], p.slots[i])
	}
	clear(p.writes[n:])
	clear(p.slots[n:])
	p.writes, p.slots = p.writes[:n], p.slots[:n]
	box.left = time.Now()
	return true
}

// deliver makes the call and hands the answers in.
func (o *outboxes) deliver(to chord.PeerID, p *parcel) {
	results, err := o.askWrites(to, p)
	for i, s := range p.slots {
		if err != nil {
			s.fill(store.WriteReply{}, err)
		} else {
			s.fill(results[i].Reply, results[i].Err)
		}
	}
}

func (o *outboxes) askWrites(to chord.PeerID, p *parcel) ([]wire.WriteResult, error) {
	n := o.n
	if to == n.self.Peer {
		return n.replica.writes(n.ctx, p.writes), nil
	}
	h := rpc.Header{Method: wire.MethodWrites, Deadline: time.Now().Add(opTimeout)}
	p.payload = wire.AppendWrites(p.payload[:0], p.writes)
	results, err := call(n.ctx, n, to, h, p.payload, wire.ParseWriteResults)
	if err == nil && len(results) != len(p.writes) {
		err = fmt.Errorf("%d results of %d writes: %w", len(results), len(p.writes), store.ErrBadPeer)
	}
	return results, err
}
