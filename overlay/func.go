package overlay

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/chorus-net/chorus/compute/worker"
)

// AnyFunc is a registered Go function of any type; Func makes one. Peers
// advertise the names of their functions, and a task goes only to a peer that
// has its function.
type AnyFunc interface {
	// Name is the function's name and version, "resize/v1".
	Name() string
	register(r *worker.Registry) error
}

// Function is a Go function that tasks may run, typed for the caller.
type Function[In, Out any] struct {
	name string
	fn   func(context.Context, In) (Out, error)
	// Of one that divides its tasks, instead of fn.
	work func(context.Context, In) (Out, []In, error)
	join func(context.Context, Out, []Out) (Out, error)
}

// Func names fn so that peers which register it under the same name may run
// its tasks. The name carries a version, "resize/v1": two peers that register
// one name must mean the same function. Inputs and outputs travel as JSON,
// except []byte, which travels as it is.
func Func[In, Out any](name string, fn func(context.Context, In) (Out, error)) *Function[In, Out] {
	return &Function[In, Out]{name: name, fn: fn}
}

// Divide names a function whose tasks may be divided, for work that splits into
// parts of unknown size: searches, sorts, trees. A task is handed to work, which does
// some of it and returns what that gave and, if work is left, the inputs of the parts
// into which that is divided: at most 1,024, the one to go on with first, the largest
// last. The parts are tasks like any other: they wait at the peer that made them until
// it gets to them or an idle peer steals them, and may be divided again. Once all
// parts are done, join makes one output of what work gave and of theirs, in their
// order. Work and join may run anywhere, and again where a peer was lost, so they
// should depend on their inputs alone. The outputs that meet in one join have 1 MiB.
//
//	sum := overlay.Divide("sum/v1", func(_ context.Context, r Range) (int, []Range, error) {
//		if r.Len() <= 1000 {
//			return r.Sum(), nil, nil
//		}
//		low, high := r.Halve()
//		return 0, []Range{low, high}, nil
//	}, func(_ context.Context, sum int, parts []int) (int, error) {
//		for _, n := range parts {
//			sum += n
//		}
//		return sum, nil
//	})
func Divide[In, Out any](name string, work func(context.Context, In) (Out, []In, error),
	join func(context.Context, Out, []Out) (Out, error),
) *Function[In, Out] {
	return &Function[In, Out]{name: name, work: work, join: join}
}

var _ AnyFunc = (*Function[[]byte, []byte])(nil)

// Name returns the name that the function was registered under.
func (f *Function[In, Out]) Name() string { return f.name }

func (f *Function[In, Out]) register(r *worker.Registry) error {
	if f.work != nil {
		return r.RegisterDivided(f.name, worker.Divided{Work: f.runWork, Join: f.runJoin})
	}
	return r.Register(f.name, f.run)
}

func (f *Function[In, Out]) run(ctx context.Context, input []byte) ([]byte, error) {
	in, err := f.input(input)
	if err != nil {
		return nil, err
	}
	out, err := f.fn(ctx, in)
	if err != nil {
		return nil, err
	}
	return f.output(out)
}

func (f *Function[In, Out]) runWork(ctx context.Context, input []byte) ([]byte, [][]byte, error) {
	in, err := f.input(input)
	if err != nil {
		return nil, nil, err
	}
	out, rest, err := f.work(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	b, err := f.output(out)
	if err != nil {
		return nil, nil, err
	}
	parts := make([][]byte, len(rest))
	for i, part := range rest {
		if parts[i], err = encodeValue(part); err != nil {
			return nil, nil, fmt.Errorf("write part %d of %s: %w", i, f.name, err)
		}
	}
	return b, parts, nil
}

func (f *Function[In, Out]) runJoin(ctx context.Context, output []byte, parts [][]byte) ([]byte, error) {
	var own Out
	if err := decodeValue(output, &own); err != nil {
		return nil, fmt.Errorf("read what %s gave: %w", f.name, err)
	}
	outs := make([]Out, len(parts))
	for i, p := range parts {
		if err := decodeValue(p, &outs[i]); err != nil {
			return nil, fmt.Errorf("read output of part %d of %s: %w", i, f.name, err)
		}
	}
	joined, err := f.join(ctx, own, outs)
	if err != nil {
		return nil, err
	}
	return f.output(joined)
}

func (f *Function[In, Out]) input(b []byte) (in In, err error) {
	if err := decodeValue(b, &in); err != nil {
		return in, fmt.Errorf("read input of %s: %w", f.name, err)
	}
	return in, nil
}

func (f *Function[In, Out]) output(out Out) ([]byte, error) {
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
