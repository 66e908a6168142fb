package overlay

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Times of the search for peers that are out of sight. What a pause says is its
// upper end: it is drawn from the upper half.
const (
	hintEvery   = 15 * time.Second // peers that dropped out of the view are tried this often
	maxHinted   = 8                // as many at a time
	searchCalm  = time.Minute      // Kademlia is asked this often,
	searchFirst = 5 * time.Second  // sooner after the view has lost peers,
	searchAlone = 15 * time.Second // or shows nobody else
	searchTime  = 20 * time.Second // bounds one search
	hintLasts   = 10 * time.Second // who appears so soon after a hint came by it
	maxOffered  = 3                // former peers that a search starts from besides
)

// means is how a peer that was out of sight came into it.
type means int

const (
	byMemory   means = iota // it was remembered, and tried
	byKademlia              // Kademlia knew it near a position of this peer
	byRing                  // the ring's messages brought it
	waysBack
)

// reunion looks for peers of this ring of which the ring's core does not know:
// after a split each part keeps to itself until one peer hears of one of the
// other part. There are three ways to it. The core itself asks departed peers now and
// then; the driver hints at those that it remembers for longer; and Kademlia, which
// has a table of its own, is asked who is near this peer's positions.
type reunion struct {
	n    *Node
	wake chan struct{} // holds a token while the view has lost peers

	mu     sync.Mutex
	hinted map[chord.PeerID]hint
	counts [waysBack]uint64
}

// hint is what the core was told of a peer.
type hint struct {
	by means
	at time.Time
}

func newReunion(n *Node) *reunion {
	return &reunion{n: n, wake: make(chan struct{}, 1), hinted: make(map[chord.PeerID]hint)}
}

// saw takes in what a new view brought: who is back had been there before.
func (r *reunion) saw(lost, found, back []chord.PeerID) {
	if len(lost) > 0 {
		signal(r.wake)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range found {
		h, ok := r.hinted[id]
		switch {
		case ok && time.Since(h.at) < hintLasts:
			r.counts[h.by]++
		case slices.Contains(back, id):
			r.counts[byRing]++
		}
		delete(r.hinted, id)
	}
}

// stats returns how many peers came back by which means.
func (r *reunion) stats() [waysBack]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// remind hints at peers that dropped out of the view, until ctx ends.
func (r *reunion) remind(ctx context.Context) {
	for sleep(ctx, upperHalf(hintEvery)) {
		r.hint(ctx, r.n.seen.some(maxHinted), byMemory)
	}
}

// run searches until ctx ends: seldom in a calm ring, soon and then ever less
// often after it has lost peers.
func (r *reunion) run(ctx context.Context) {
	pause := searchCalm
	next := time.Now().Add(upperHalf(pause))
	for {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
			r.search(ctx)
			pause = min(2*pause, searchCalm)
			if r.n.view().Len() == 1 {
				pause = min(pause, searchAlone)
			}
			next = time.Now().Add(upperHalf(pause))
		case <-r.wake:
			pause = searchFirst
			if soon := time.Now().Add(upperHalf(pause)); soon.Before(next) {
				next = soon
			}
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// search asks Kademlia who is near one of this peer's positions, and hints at
// those that the ring does not show. The search starts from a few former peers
// too: the part of the ring that one of them is in knows its members better than
// this peer remembers them.
func (r *reunion) search(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	r.n.host.OfferKad(r.n.seen.some(maxOffered)...)
	indexes := r.n.record.get().Indexes
	walk, err := r.n.host.Walk(ctx, chord.Preimage(r.n.self.Peer, indexes[rand.IntN(len(indexes))]))
	if err != nil {
		r.n.log.Debug("search near own position", "err", err)
	}
	view := r.n.view()
	r.hint(ctx, slices.DeleteFunc(walk.Closest, func(id chord.PeerID) bool { _, ok := view.Peer(id); return ok }), byKademlia)
}

// hint tells the core of peers that may be members.
func (r *reunion) hint(ctx context.Context, ids []chord.PeerID, by means) {
	if len(ids) == 0 {
		return
	}
	now := time.Now()
	r.mu.Lock()
	for id, h := range r.hinted {
		if now.Sub(h.at) > hintLasts {
			delete(r.hinted, id)
		}
	}
	for _, id := range ids {
		r.hinted[id] = hint{by: by, at: now}
	}
	r.mu.Unlock()
	r.n.log.Debug("hint at peers out of sight", "peers", len(ids))
	for _, id := range ids {
		err := r.n.members.do(ctx, func(core *chord.Ring, now time.Time) chord.Output {
			return core.Hint(now, chord.Peer{ID: id})
		})
		if err != nil {
			return
		}
	}
}

// upperHalf draws from the upper half of a pause.
func upperHalf(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }
