package overlay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

// metaForgotten is the name of the value on disk that lists forgotten voters.
const metaForgotten = "ring/forgotten"

// keepForces is how many forces that have done their work are remembered, so that
// the status can tell of them.
const keepForces = 64

// forgotten are the voters that the operator retired: the shards go on without
// them, and without replacements where there are none; by force even where no
// majority is left. What was forced stays on record.
type forgotten struct {
	save func(ctx context.Context, list []byte) error

	saving chan struct{} // a token; whoever holds it may change what follows
	mu     sync.Mutex
	set    map[store.Voter]bool
	forces []wire.Force // in the order in which they were heard of
}

// loadForgotten returns those whom the disk lists.
func loadForgotten(b []byte, save func(context.Context, []byte) error) (*forgotten, error) {
	list, err := wire.ParseForgotten(b)
	if err != nil {
		return nil, fmt.Errorf("forgotten voters: %w", err)
	}
	f := &forgotten{save: save, saving: make(chan struct{}, 1), set: make(map[store.Voter]bool), forces: list.Forces}
	for _, v := range list.Voters {
		f.set[v] = true
	}
	return f, nil
}

func (f *forgotten) has(v store.Voter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set[v]
}

// forced reports whether a voter is forgotten by force.
func (f *forgotten) forced(v store.Voter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.force(v) != nil
}

// forcing reports whether anybody is forgotten by a force that is not done.
func (f *forgotten) forcing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.forces, func(force wire.Force) bool { return !force.Done })
}

// knows reports whether a force is on record.
func (f *forgotten) knows(force wire.Force) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.forces, func(g wire.Force) bool { return g.Voter == force.Voter && g.At.Equal(force.At) })
}

// force returns the force of a voter that is not done, or nil. Whoever calls it
// holds the lock.
func (f *forgotten) force(v store.Voter) *wire.Force {
	for i := range f.forces {
		if force := &f.forces[i]; force.Voter == v && !force.Done {
			return force
		}
	}
	return nil
}

// list returns who is forgotten, in the order of their peers, and all forces that
// are remembered.
func (f *forgotten) list() wire.Forgotten {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := wire.Forgotten{Voters: make([]store.Voter, 0, len(f.set)), Forces: slices.Clone(f.forces)}
	for v := range f.set {
		list.Voters = append(list.Voters, v)
	}
	slices.SortFunc(list.Voters, func(v, w store.Voter) int {
		return cmp.Or(cmp.Compare(v.Peer, w.Peer), cmp.Compare(v.Incarnation, w.Incarnation))
	})
	return list
}

// active is list without the forces that are done: what others need to know.
func (f *forgotten) active() wire.Forgotten {
	list := f.list()
	list.Forces = slices.DeleteFunc(list.Forces, func(force wire.Force) bool { return force.Done })
	return list
}

// mark adds to the list, as much as there is room for, and returns when that is on
// disk. It reports whether anything was new.
func (f *forgotten) mark(ctx context.Context, more wire.Forgotten) (bool, error) {
	return f.change(ctx, func() (changed bool) {
		for _, v := range more.Voters {
			if !f.set[v] && len(f.set) < wire.MaxForgotten {
				f.set[v], changed = true, true
			}
		}
		for _, force := range more.Forces {
			if !force.Done && f.set[force.Voter] && f.force(force.Voter) == nil && len(f.forces) < wire.MaxForces {
				f.forces, changed = append(f.forces, force), true
			}
		}
		return changed
	})
}

// unmark takes voters off the list. Their forces are done.
func (f *forgotten) unmark(ctx context.Context, voters []store.Voter) error {
	_, err := f.change(ctx, func() (changed bool) {
		for _, v := range voters {
			changed = changed || f.set[v]
			delete(f.set, v)
			if force := f.force(v); force != nil {
				force.Done = true
			}
		}
		done := 0
		for _, force := range slices.Backward(f.forces) {
			if force.Done {
				done++
			}
		}
		f.forces = slices.DeleteFunc(f.forces, func(force wire.Force) bool {
			if force.Done && done > keepForces {
				done--
				return true
			}
			return false
		})
		return changed
	})
	return err
}

// change runs fn under the lock, and returns when what it changed is on disk.
func (f *forgotten) change(ctx context.Context, fn func() bool) (changed bool, err error) {
	select {
	case f.saving <- struct{}{}:
		defer func() { <-f.saving }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	f.mu.Lock()
	changed = fn()
	f.mu.Unlock()
	if !changed {
		return false, nil
	}
	list := f.list()
	return true, f.save(ctx, wire.AppendForgotten(nil, &list))
}
