package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// operation is one of the store's quorum machines.
type operation[R any] interface {
	Reply(round uint32, i int, r R) store.Step
	Fail(round uint32, i int) store.Step
	Config() store.Config
	Member(i int) store.Voter
	Missing() store.Set
}

// ask sends a request to one member of an operation and returns at once; the
// answer goes into the slot. It does not fill the slot itself: what cannot even
// be sent is an error.
type ask[R any] func(to store.Voter, by goesBy, s slot[R]) error

// goesBy is the configuration that a request goes by, and how it is sent.
type goesBy struct {
	config store.Config
	push   bool // send the configuration along
	brief  bool // leave out a large value
	// until ends the call; zero: the context does. A deadline in the envelope
	// costs less than a context of its own for each replica.
	until time.Time
}

// target names the voter that a request is for.
func (g goesBy) target(to store.Voter) store.Target {
	t := store.Target{Incarnation: to.Incarnation}
	if g.push {
		t.Push = g.config
	}
	return t
}

// opTimeout bounds an operation that its caller does not bound, and each call that one
// makes.
const opTimeout = 5 * time.Second

// bounded bounds an operation whose caller has not.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, opTimeout)
}

// silence reports whether a replica was waited for in vain, and may yet answer: it was not
// out of reach, and refused nothing.
func silence(why error) bool { return errors.Is(why, context.DeadlineExceeded) }

// runOp runs an operation from its first step to its end or the context's. It
// returns how the operation ended; why is the first failure of a replica.
// Each time that hedge has passed, unless it is 0, slow is called for more
// requests: the spare replicas may be as slow as those that they stand in for.
//
// Answers are taken in by the goroutines that bring them, so that the caller
// wakes but once. When runOp has returned none is any more.
func runOp[R any](ctx context.Context, n *Node, op operation[R], st store.Step, ask ask[R], hedge time.Duration, slow func() store.Step) (end store.Outcome, why error) {
	r := &run[R]{n: n, op: op, ask: ask, until: time.Now().Add(opTimeout), ended: make(chan struct{})}
	r.step(func() store.Step { return st })
	var late <-chan time.Time
	if hedge > 0 {
		t := time.NewTicker(hedge)
		defer t.Stop()
		late = t.C
	}
	for {
		select {
		case <-r.ended:
			return r.end, r.why
		case <-late:
			r.step(slow)
		case <-ctx.Done():
			return r.leave(ctx.Err())
		}
	}
}

// run is an operation under way.
type run[R any] struct {
	n     *Node
	ask   ask[R]
	until time.Time
	ended chan struct{} // closed when end is not Running

	mu   sync.Mutex
	op   operation[R] // nil: over, nobody is to touch it any more
	end  store.Outcome
	why  error
	says bool // why is what a replica answered
}

// slot is where the answer of one member goes.
type slot[R any] struct {
	run   *run[R]
	round uint32
	i     int         // of the round's members; a later round may have others
	from  store.Voter // which member that is
}

// fill hands in the member's answer, or why there is none.
func (s slot[R]) fill(reply R, err error) {
	r := s.run
	r.step(func() store.Step {
		if err == nil {
			return r.op.Reply(s.round, s.i, reply)
		}
		return r.failed(s, err)
	})
}

// failed is the step for a member that did not answer, under the lock.
func (r *run[R]) failed(s slot[R], err error) store.Step {
	code, _ := lacksRoom(err)
	says := code != "" || errors.Is(err, errElsewhere) || errors.Is(err, errHolds) // more than that another was out of reach
	if r.why == nil || says || silence(err) && !silence(r.why) && !r.says {
		r.says = says
		r.why = fmt.Errorf("%s: %w", r.n.label(s.from.Peer), err)
	}
	return r.op.Fail(s.round, s.i)
}

// step takes a step of the operation, unless it is over.
func (r *run[R]) step(next func() store.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.op != nil {
		r.take(next())
	}
}

// take does what a step asks for, under the lock.
func (r *run[R]) take(st store.Step) {
	if st.Outcome != store.Running {
		r.op, r.end = nil, st.Outcome
		close(r.ended)
		return
	}
	if st.Send == 0 {
		return
	}
	c := r.op.Config()
	for i := range st.Send.All() {
		to, by := r.op.Member(i), goesBy{config: c, push: st.Push.Has(i), brief: st.Brief.Has(i), until: r.until}
		s := slot[R]{r, st.Round, i, to}
		if err := r.ask(to, by, s); err != nil {
			if r.take(r.failed(s, err)); r.op == nil {
				return
			}
		}
	}
}

// leave gives an operation up that has not ended.
func (r *run[R]) leave(because error) (store.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.op = nil
	return r.end, cmp.Or(r.why, because)
}

// apart makes an ask of a call that blocks: it runs on a goroutine of its own,
// with a context that outlives the operation.
func apart[R any](n *Node, call func(ctx context.Context, to store.Voter, by goesBy) (R, error)) ask[R] {
	return func(to store.Voter, by goesBy, s slot[R]) error {
		if !n.group.start(func() { s.fill(call(n.ctx, to, by)) }) {
			return ErrClosed
		}
		return nil
	}
}

// list names members of an operation, this peer left out: its own answer comes
// late if anything.
func (n *Node) list(b *strings.Builder, sep string, q *store.Quorum, members store.Set) {
	for i := range members.All() {
		if v := q.Member(i); v != n.self {
			b.WriteString(sep + n.label(v.Peer))
			sep = ", "
		}
	}
}

// shortOf says which replicas an operation lacked, and why it did.
func (n *Node) shortOf(q *store.Quorum, why error) string {
	need, of := q.Need()
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d replicas are needed", need, of)
	n.list(&b, "; out of reach ", q, q.Failed())
	n.list(&b, "; no answer from ", q, q.Missing()&^q.Failed())
	if q.Skewed() != 0 {
		fmt.Fprintf(&b, "; the clock of this peer, or of some of them, is off by more than %v", store.DefaultSkew)
	}
	if why != nil {
		b.WriteString(" (" + why.Error() + ")")
	}
	return b.String()
}

// unanswered is the error of an operation on a key that was not answered by
// enough replicas.
func (n *Node) unanswered(ctx context.Context, verb, key string, q *store.Quorum, why error) error {
	switch {
	case n.ctx.Err() != nil:
		return fmt.Errorf("%s %q: %w", verb, key, ErrClosed)
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s %q: %w", verb, key, ctx.Err())
	}
	how := n.shortOf(q, why)
	if code, fix := lacksRoom(why); code != "" {
		return &client.Error{Code: code, Message: fmt.Sprintf("%s %q: %s", verb, key, how), Fix: fix}
	}
	return quorumLost(verb, key, how)
}
