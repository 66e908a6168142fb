package worker

import (
	"context"

	"github.com/chorus-net/chorus/compute"
)

// Divided is a Go function whose tasks may be divided into parts that run
// wherever a peer is idle, and may be divided in turn. Like Func, both of its
// functions are called many times at once, must not keep or change what they are
// handed, and should return soon after ctx ends.
type Divided struct {
	// Work does some of a task and returns what that gave. If work is left it
	// returns the inputs of the parts into which that is divided, at most
	// compute.MaxFork: the first one is what this peer goes on with, the last one
	// is the first to be stolen, and should be large.
	Work func(ctx context.Context, input []byte) (output []byte, parts [][]byte, err error)
	// Join makes one output of what Work gave and of the outputs of the parts, in
	// their order.
	Join func(ctx context.Context, output []byte, parts [][]byte) ([]byte, error)
}

// RegisterDivided adds a function whose tasks may be divided; see Register.
func (r *Registry) RegisterDivided(name string, d Divided) error {
	return r.add(name, func(ctx context.Context, t *compute.Task) (compute.Result, error) {
		if t.Join {
			out, err := d.Join(ctx, t.Input, t.Parts)
			return compute.Result{Output: out}, err
		}
		out, parts, err := d.Work(ctx, t.Input)
		return compute.Result{Output: out, Fork: parts}, err
	})
}
