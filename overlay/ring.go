package overlay

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/drive"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
)

const ringCallTimeout = 5 * time.Second

// ring drives the ring core: its goroutine owns the core, messages go out as
// casts, and the newest view is there for everybody.
type ring struct {
	n       *Node
	method  rpc.Method
	changed func() // runs on the loop when the view has changed

	core *chord.Ring // the loop's
	loop *drive.Loop[*chord.Ring, chord.Message, chord.Output]
	view atomic.Pointer[chord.View]

	lookups  map[uint64]chan<- chord.LookupResult // under way; the loop's
	refusals map[refusal]time.Time                // when they were logged; the loop's

	joined   chan struct{} // closed when the peer is a member
	joinOnce sync.Once
}

func newRing(n *Node, method rpc.Method, cfg chord.Config, self chord.Peer, changed func()) (*ring, error) {
	core, err := chord.New(cfg, self, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	if err != nil {
		return nil, err
	}
	r := &ring{
		n: n, method: method, changed: changed, core: core,
		lookups: make(map[uint64]chan<- chord.LookupResult), refusals: make(map[refusal]time.Time), joined: make(chan struct{}),
	}
	r.view.Store(core.View())
	r.loop = drive.New(core, r.output, drive.Config{})
	return r, nil
}

// do gives the core a command.
func (r *ring) do(ctx context.Context, fn func(core *chord.Ring, now time.Time) chord.Output) error {
	return r.n.orClosed(r.loop.Act(ctx, fn))
}

// output does what a call of the core asks for. It runs on the loop.
func (r *ring) output(out chord.Output) {
	if out.Refused != nil {
		r.refused(out.RefusedFrom, out.Refused)
	}
	for _, p := range out.Learned {
		r.n.host.AddPeer(p.ID, p.Addrs)
	}
	for i := range out.Messages {
		r.send(out.Messages[i])
	}
	if out.Changed {
		r.view.Store(r.core.View())
		r.changed()
	}
	for _, res := range out.Lookups {
		if to, ok := r.lookups[res.ID]; ok {
			delete(r.lookups, res.ID)
			to <- res // has room
		}
	}
	if out.Joined {
		r.joinOnce.Do(func() { close(r.joined) })
	}
}

// refusal is what a peer's bad messages have in common.
type refusal struct {
	peer   chord.PeerID
	reason chord.Reason
}

const (
	refusalPause = time.Hour // before the same refusal is logged again
	maxRefusals  = 1 << 10   // that are remembered
)

// refused logs what a peer sent that was not taken, once for each reason: who
// keeps sending it must not fill the log. It runs on the loop.
func (r *ring) refused(from chord.PeerID, err error) {
	now := time.Now()
	key := refusal{from, chord.ReasonOf(err)}
	if last, ok := r.refusals[key]; ok && now.Sub(last) < refusalPause {
		return
	}
	if len(r.refusals) >= maxRefusals {
		maps.DeleteFunc(r.refusals, func(_ refusal, last time.Time) bool { return now.Sub(last) >= refusalPause })
		if len(r.refusals) >= maxRefusals {
			return
		}
	}
	r.refusals[key] = now
	r.n.log.Warn("ring message refused", "peer", r.n.label(from), "reason", key.reason.String(), "err", err)
}

// send casts a message, off the loop: it may have to dial first.
func (r *ring) send(m chord.Message) {
	r.n.group.start(func() {
		ctx, cancel := context.WithTimeout(r.n.ctx, ringCallTimeout)
		defer cancel()
		if err := r.n.host.Cast(ctx, m.To, rpc.Header{Method: r.method}, wire.AppendRing(nil, &m)); err != nil {
			r.unreachable(m.To)
		}
	})
}

// lookup finds the owner of a position.
func (r *ring) lookup(ctx context.Context, target chord.ID) (chord.LookupResult, error) {
	found := make(chan chord.LookupResult, 1)
	err := r.do(ctx, func(core *chord.Ring, now time.Time) chord.Output {
		id, out := core.Lookup(now, target)
		r.lookups[id] = found
		return out
	})
	if err != nil {
		return chord.LookupResult{}, err
	}
	select {
	case res := <-found:
		return res, nil
	case <-ctx.Done():
		return chord.LookupResult{}, ctx.Err()
	case <-r.n.ctx.Done():
		return chord.LookupResult{}, ErrClosed
	}
}

// unreachable tells the core that a peer could not be reached.
func (r *ring) unreachable(id chord.PeerID) {
	err := r.do(r.n.ctx, func(core *chord.Ring, now time.Time) chord.Output { return core.Unreachable(now, id) })
	if err != nil && r.n.ctx.Err() == nil {
		r.n.log.Debug("report unreachable peer", "err", err)
	}
}

// receive handles a message that arrived.
func (r *ring) receive(_ context.Context, req *rpc.Request) ([]byte, error) {
	m, err := wire.ParseRing(req.Payload)
	if err != nil {
		return nil, fmt.Errorf("read ring message: %w", err)
	}
	for i := range m.Peers {
		if !r.n.signatures.valid(m.Peers[i].Record) {
			return nil, fmt.Errorf("ring message: record %d: bad signature", i)
		}
	}
	m.From, m.To, m.Ring = req.From, r.n.self.Peer, ringNumber(r.n.ring)
	return nil, r.loop.Post(m)
}

// agreement tells how many of the other peers see the same ring. Peers that
// seem not to are asked, and given a moment to answer.
func (r *ring) agreement(ctx context.Context) (agree, of int, differ []chord.PeerID, err error) {
	for range 2 {
		err = r.loop.Act(ctx, func(core *chord.Ring, now time.Time) chord.Output {
			agree, of, differ = core.Agreement()
			return core.Refresh(now, differ)
		})
		if err != nil || len(differ) == 0 || !sleep(ctx, agreePause) {
			break
		}
	}
	return agree, of, differ, r.n.orClosed(err)
}

// agreePause is long enough for an answer on a quick network.
const agreePause = 50 * time.Millisecond
