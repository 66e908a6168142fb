package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chorus-net/chorus/store"
)

// answer is a replica's reply to a request of an operation, or its failure.
type answer[R any] struct {
	round uint32
	i     int
	reply R
	err   error
}

// operation is one of the store's quorum machines.
type operation[R any] interface {
	Reply(round uint32, i int, r R) store.Step
	Fail(round uint32, i int) store.Step
	Config() store.Config
	Member(i int) store.Voter
	Missing() store.Set
}

// send asks one member of an operation. It is called from a goroutine of its
// own, with a context that outlives the operation: what was sent to a slow
// replica still arrives there.
type send[R any] func(ctx context.Context, to store.Voter, by goesBy) (R, error)

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

// opTimeout bounds an operation that its caller does not bound.
const opTimeout = 5 * time.Second

// runOp runs an operation from its first step to its end or the context's. It
// returns how the operation ended; why is the first failure of a replica.
// Each time that hedge has passed, unless it is 0, slow is called for more
// requests: the spare replicas may be as slow as those that they stand in for.
func runOp[R any](ctx context.Context, n *Node, op operation[R], st store.Step, ask send[R], hedge time.Duration, slow func() store.Step) (end store.Outcome, why error) {
	answers := make(chan answer[R], 8*store.MaxVoters)
	var late <-chan time.Time
	if hedge > 0 {
		t := time.NewTicker(hedge)
		defer t.Stop()
		late = t.C
	}
	for {
		launch(n, op, st, ask, answers)
		if st.Outcome != store.Running {
			return st.Outcome, why
		}
		select {
		case a := <-answers:
			if a.err != nil {
				if why == nil {
					why = fmt.Errorf("%s: %w", n.label(op.Member(a.i).Peer), a.err)
				}
				st = op.Fail(a.round, a.i)
			} else {
				st = op.Reply(a.round, a.i, a.reply)
			}
		case <-late:
			st = slow()
		case <-ctx.Done():
			return store.Running, cmp.Or(why, ctx.Err())
		}
	}
}

// launch sends what a step asks for.
func launch[R any](n *Node, op operation[R], st store.Step, ask send[R], answers chan<- answer[R]) {
	if st.Send == 0 {
		return
	}
	c, until := op.Config(), time.Now().Add(opTimeout)
	for i := range st.Send.All() {
		to, by := op.Member(i), goesBy{config: c, push: st.Push.Has(i), brief: st.Brief.Has(i), until: until}
		started := n.group.start(func() {
			r, err := ask(n.ctx, to, by)
			select {
			case answers <- answer[R]{round: st.Round, i: i, reply: r, err: err}:
			default: // the operation was answered more often than its queue holds: it is long over
			}
		})
		if !started {
			answers <- answer[R]{round: st.Round, i: i, err: ErrClosed}
		}
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
		fmt.Fprintf(&b, "; the clock of this peer is more than %v ahead of theirs", store.DefaultSkew)
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
	return quorumLost(verb, key, n.shortOf(q, why))
}
