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
	waiting []letter
	senders int
	left    time.Time // when the last sender set out
}

// letter is a write, and where its answer goes.
type letter struct {
	write wire.Write
	slot  slot[store.WriteReply]
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
	if len(box.waiting) >= maxOutbox {
		return errOutboxFull
	}
	if now := time.Now(); box.senders == 0 || box.senders < maxSenders && now.Sub(box.left) > patience {
		box.left = now
		if !o.n.group.start(func() { o.carry(box) }) {
			return ErrClosed
		}
		box.senders++
	}
	box.waiting = append(box.waiting, letter{w, s})
	return nil
}

// carry is a sender: it carries what waits in a box until nothing does.
func (o *outboxes) carry(box *outbox) {
	for {
		letters := o.gather(box)
		if len(letters) == 0 {
			return
		}
		o.deliver(box.peer, letters)
	}
}

// gather takes what goes with the next call. A box that is empty loses its
// sender, and goes with the last one.
func (o *outboxes) gather(box *outbox) []letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	for before, i := 0, 0; before < len(box.waiting) && len(box.waiting) < maxGathered && i < gatherYields; i++ {
		before = len(box.waiting)
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
	}
	if len(box.waiting) == 0 {
		if box.senders--; box.senders == 0 {
			delete(o.to, box.peer)
		}
		return nil
	}
	n, bytes := 0, 0
	for n < len(box.waiting) && n < maxGathered && bytes < maxGatheredBytes {
		bytes += len(box.waiting[n].write.Request.Record)
		n++
	}
	letters := box.waiting[:n:n]
	box.left = time.Now()
	if box.waiting = box.waiting[n:]; len(box.waiting) == 0 {
		box.waiting = nil
	}
	return letters
}

// deliver makes the call and hands the answers in.
func (o *outboxes) deliver(to chord.PeerID, letters []letter) {
	writes := make([]wire.Write, len(letters))
	for i := range letters {
		writes[i] = letters[i].write
	}
	results, err := o.askWrites(to, writes)
	for i := range letters {
		if err != nil {
			letters[i].slot.fill(store.WriteReply{}, err)
		} else {
			letters[i].slot.fill(results[i].Reply, results[i].Err)
		}
	}
}

func (o *outboxes) askWrites(to chord.PeerID, writes []wire.Write) ([]wire.WriteResult, error) {
	n := o.n
	if to == n.self.Peer {
		return n.replica.writes(n.ctx, writes), nil
	}
	h := rpc.Header{Method: wire.MethodWrites, Deadline: time.Now().Add(opTimeout)}
	results, err := call(n.ctx, n, to, h, wire.AppendWrites(nil, writes), wire.ParseWriteResults)
	if err == nil && len(results) != len(writes) {
		err = fmt.Errorf("%d results of %d writes: %w", len(results), len(writes), store.ErrBadPeer)
	}
	return results, err
}
