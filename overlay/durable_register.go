package overlay

import (
	"context"
	"errors"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

// settleDurable does what a machine wants until it wants nothing more.
func (n *Node) settleDurable(ctx context.Context, id compute.ID, d *compute.Durable, step compute.DurableStep) (compute.DurableStep, error) {
	for {
		var err error
		switch step.Kind {
		case compute.DurableSwap:
			step, err = n.swapDurable(ctx, id, d, step)
		case compute.DurableRead:
			var version uint64
			var value []byte
			if version, value, err = n.readDurable(ctx, id); err == nil {
				step, err = d.Read(version, value)
			} else if sleep(ctx, durableRetries) {
				err = nil // the quorum comes back, or the context ends
			}
		default:
			return step, nil
		}
		if err != nil {
			return step, err
		}
	}
}

func (n *Node) swapDurable(ctx context.Context, id compute.ID, d *compute.Durable, step compute.DurableStep) (compute.DurableStep, error) {
	bounded, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	verdict, state, err := n.swap(bounded, "swap", durableKey(id), store.Change{Expect: step.Version, Value: step.Value})
	if err != nil || verdict == store.Unsure {
		return d.Unknown(), ctx.Err()
	}
	return d.Swapped(verdict == store.Applied, state.Version, state.Value)
}

// readDurable reads the register of a job; version 0 says that there is none.
func (n *Node) readDurable(ctx context.Context, id compute.ID) (version uint64, value []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	_, state, err := n.swap(ctx, "read", durableKey(id), store.Change{Read: true})
	return state.Version, state.Value, err
}

// cancelDurable ends a job, whoever owns it.
func (n *Node) cancelDurable(ctx context.Context, id compute.ID) error {
	version, value, err := n.readDurable(ctx, id)
	if err != nil {
		return err
	}
	d := compute.NewDurable(n.self.Peer)
	step, err := d.Cancel(version, value)
	if err == nil {
		_, err = n.settleDurable(ctx, id, d, step)
	}
	if errors.Is(err, compute.ErrNoJob) {
		return errNoJob(id)
	}
	if err != nil {
		return err
	}
	// The owner hears of it now; if not, when it commits.
	q := wire.DurableQuery{Jobs: []compute.ID{id}, Versions: []uint64{d.Version()}}
	if owner := d.Ledger().Owner; owner != n.self.Peer {
		n.durables.askOwner(ctx, owner, q)
	} else if j, _ := n.durables.find(id); j != nil {
		j.heard(d.Version())
	}
	return nil
}
