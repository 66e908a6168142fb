package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/chorus-net/chorus/overlay/client"
)

// Peer is whoever serves registers: an overlay.Node, or a client of one.
type Peer interface {
	CompareAndSwap(ctx context.Context, key string, version uint64, value []byte) (client.Register, error)
	ReadRegister(ctx context.Context, key string) (client.Register, error)
}

// Registers is the history of some registers. The zero Registers is empty.
type Registers struct {
	mu     sync.Mutex
	clock  int64 // numbers calls and returns in their order
	ops    map[string][]porcupine.Operation
	counts Counts
}

// Counts says how much a history holds.
type Counts struct {
	Applied, Conflicts, Reads int
	Unknown                   int // swaps whose outcome was not told
	Failed                    int // reads that failed; they say nothing
}

// call is what was asked for, told what the answer was.
type (
	call struct {
		read   bool
		expect uint64
		value  string
	}
	told struct {
		known    bool
		conflict bool
		state    state
	}
	state struct {
		version uint64
		value   string
	}
)

// Swap swaps at a peer, keeps what that said, and returns it.
func (h *Registers) Swap(ctx context.Context, p Peer, key string, version uint64, value []byte) (client.Register, error) {
	began := h.tick()
	reg, err := p.CompareAndSwap(ctx, key, version, value)
	conflict := errors.Is(err, client.ErrConflict)
	t := told{known: err == nil || conflict, conflict: conflict, state: stateOf(reg)}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case conflict:
		h.counts.Conflicts++
	case err == nil:
		h.counts.Applied++
	default:
		h.counts.Unknown++
	}
	h.add(key, call{expect: version, value: string(value)}, t, began)
	return reg, err
}

// Read reads at a peer, keeps what that said, and returns it.
func (h *Registers) Read(ctx context.Context, p Peer, key string) (client.Register, error) {
	began := h.tick()
	reg, err := p.ReadRegister(ctx, key)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.counts.Failed++
		return reg, err
	}
	h.counts.Reads++
	h.add(key, call{read: true}, told{known: true, state: stateOf(reg)}, began)
	return reg, nil
}

func stateOf(r client.Register) state { return state{r.Version, string(r.Value)} }

func (h *Registers) tick() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	return h.clock
}

// add notes a call that has returned, under the lock.
func (h *Registers) add(key string, in call, out told, began int64) {
	if h.ops == nil {
		h.ops = make(map[string][]porcupine.Operation)
	}
	h.clock++
	ended := h.clock
	if !out.known {
		ended = math.MaxInt64
	}
	h.ops[key] = append(h.ops[key], porcupine.Operation{ClientId: len(h.ops[key]), Input: in, Call: began, Output: out, Return: ended})
}

// Counts returns how much the history holds.
func (h *Registers) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

// Check reports the first register whose history no register can have, or that
// could not be decided in time, which is given for each.
func (h *Registers) Check(each time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(h.ops)) {
		switch porcupine.CheckOperationsTimeout(register, possible(h.ops[key]), each) {
		case porcupine.Illegal:
			return fmt.Errorf("register %q: its history of %d calls is not linearizable", key, len(h.ops[key]))
		case porcupine.Unknown:
			return fmt.Errorf("register %q: its history of %d calls was not decided in %v", key, len(h.ops[key]), each)
		case porcupine.Ok:
		}
	}
	return nil
}

// register is one register, for porcupine.
var register = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(now, in, out any) (bool, any) {
		s, c, t := now.(state), in.(call), out.(told)
		next := state{c.expect + 1, c.value}
		switch {
		case c.read:
			return s == t.state, s
		case !t.known && s.version != c.expect:
			return true, s
		case !t.known:
			return true, next
		case t.conflict:
			return s == t.state && s.version != c.expect, s
		default:
			return s.version == c.expect && t.state == next, next
		}
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// possible leaves out swaps of unknown outcome that cannot have happened, as
// somebody saw that another made the version they would have made: each of them
// would double the checker's work.
func possible(ops []porcupine.Operation) []porcupine.Operation {
	made := make(map[uint64]string)
	for _, op := range ops {
		if t := op.Output.(told); t.known {
			made[t.state.version] = t.state.value
		}
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op porcupine.Operation) bool {
		c, t := op.Input.(call), op.Output.(told)
		value, seen := made[c.expect+1]
		return !t.known && seen && value != c.value
	})
}
