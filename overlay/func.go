package overlay

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
)

// AnyFunc is a registered Go function of any type; Func makes one. Peers
// advertise the names of their functions, and a task goes only to a peer that
// has its function.
type AnyFunc interface {
	// Name is the function's name and version, "resize/v1".
	Name() string
	run(ctx context.Context, input []byte) ([]byte, error)
}

// Function is a Go function that tasks may run, typed for the caller.
type Function[In, Out any] struct {
	name string
	fn   func(context.Context, In) (Out, error)
}

// Func names fn so that peers which register it under the same name may run
// its tasks. The name carries a version, "resize/v1": two peers that register
// one name must mean the same function. Inputs and outputs travel as JSON,
// except []byte, which travels as it is.
func Func[In, Out any](name string, fn func(context.Context, In) (Out, error)) *Function[In, Out] {
	return &Function[In, Out]{name: name, fn: fn}
}

var _ AnyFunc = (*Function[[]byte, []byte])(nil)

// Name returns the name that the function was registered under.
func (f *Function[In, Out]) Name() string { return f.name }

func (f *Function[In, Out]) run(ctx context.Context, input []byte) ([]byte, error) {
	var in In
	if err := decodeValue(input, &in); err != nil {
		return nil, fmt.Errorf("read input of %s: %w", f.name, err)
	}
	out, err := f.fn(ctx, in)
	if err != nil {
		return nil, err
	}
	b, err := encodeValue(out)
	if err != nil {
		return nil, fmt.Errorf("write output of %s: %w", f.name, err)
	}
	return b, nil
}

// Submit starts one task for each input, at least one, and returns at once
// with a handle on the job. The tasks run wherever a peer is idle.
func (f *Function[In, Out]) Submit(ctx context.Context, n *Node, in ...In) (*Handle[Out], error) {
	inputs := make([][]byte, len(in))
	for i, v := range in {
		b, err := encodeValue(v)
		if err != nil {
			return nil, fmt.Errorf("write input %d of %s: %w", i, f.name, err)
		}
		inputs[i] = b
	}
	id, err := n.Submit(ctx, JobSpec{Code: Code{Func: f.name}, Inputs: inputs})
	if err != nil {
		return nil, err
	}
	return &Handle[Out]{node: n, id: id}, nil
}

// Handle follows a job of typed tasks.
type Handle[Out any] struct {
	node *Node
	id   string
}

// ID returns the job's ID, as `peer job show` takes it.
func (h *Handle[Out]) ID() string { return h.id }

// Wait returns the output of the job's first task once the job has ended.
func (h *Handle[Out]) Wait(ctx context.Context) (Out, error) {
	outs, err := h.WaitAll(ctx)
	if err != nil {
		var zero Out
		return zero, err
	}
	return outs[0], nil
}

// WaitAll returns the outputs of all tasks, in the order of their inputs, once
// the job has ended. A task that failed makes it return that task's error.
func (h *Handle[Out]) WaitAll(ctx context.Context) ([]Out, error) {
	job, err := h.node.Wait(ctx, h.id)
	if err != nil {
		return nil, err
	}
	outs := make([]Out, len(job.Results))
	for i, r := range job.Results {
		if r.Error != "" {
			return nil, &TaskError{Job: h.id, Index: r.Index, Peer: r.Peer, Reason: r.Error}
		}
		if err := decodeValue(r.Output, &outs[i]); err != nil {
			return nil, fmt.Errorf("read output of task %d: %w", r.Index, err)
		}
	}
	if len(outs) == 0 {
		return nil, &TaskError{Job: h.id, Reason: "the job ended without a result: " + job.State}
	}
	return outs, nil
}

var bytesType = reflect.TypeFor[[]byte]()

func encodeValue[T any](v T) ([]byte, error) {
	if reflect.TypeFor[T]() == bytesType {
		return any(v).([]byte), nil
	}
	return json.Marshal(v)
}

func decodeValue[T any](b []byte, v *T) error {
	if p, ok := any(v).(*[]byte); ok {
		*p = b
		return nil
	}
	return json.Unmarshal(b, v)
}
