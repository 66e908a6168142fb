package worker

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/chorus-net/chorus/compute"
)

// attempt is a task on a worker, or about to be. The fields below report are
// guarded by the pool's lock.
type attempt struct {
	task   compute.Task
	ctx    context.Context
	cancel context.CancelCauseFunc
	report func(compute.Result)

	started   time.Time
	worker    int
	elapsed   time.Duration
	timer     *time.Timer
	ending    bool // its context has been cancelled
	reported  bool
	abandoned bool
}

func (a *attempt) key() key { return key{a.task.ID, a.task.Attempt} }

func (a *attempt) send(r compute.Result) {
	r.Task, r.Attempt, r.Elapsed = a.task.ID, a.task.Attempt, a.elapsed
	r.Started, r.Worker = a.started, uint16(a.worker)
	a.report(r)
}

// failed is the result of an attempt whose context has ended.
func (a *attempt) failed() compute.Result {
	return compute.Result{Err: context.Cause(a.ctx).Error()}
}

// run runs the code of an attempt and returns how it went.
func (p *Pool) run(a *attempt) (r compute.Result) {
	if a.ctx.Err() != nil {
		return a.failed()
	}
	defer func() {
		if v := recover(); v != nil {
			p.mu.Lock()
			p.panics++
			p.mu.Unlock()
			r = compute.Result{Crashed: true, Err: fmt.Sprintf("panic: %v", v), Log: panicStack(debug.Stack())}
		}
	}()
	if a.task.Code.Func == "" {
		return p.runModule(a)
	}
	return p.runFunc(a)
}

func (p *Pool) runFunc(a *attempt) compute.Result {
	run := p.cfg.Registry.lookup(a.task.Code.Func)
	if run == nil {
		return compute.Result{Crashed: true, Err: "this peer does not have the function " + a.task.Code.Func}
	}
	r, err := run(a.ctx, &a.task)
	switch {
	case err != nil && a.ctx.Err() != nil:
		return a.failed()
	case err != nil:
		return compute.Result{Err: errorText(err)}
	}
	return p.bounded(a, r)
}

func (p *Pool) runModule(a *attempt) compute.Result {
	if p.cfg.Modules == nil {
		return compute.Result{Crashed: true, Err: "this peer has no sandbox for WebAssembly"}
	}
	r := p.cfg.Modules.RunModule(a.ctx, &a.task)
	if !r.OK() && a.ctx.Err() != nil {
		f := a.failed()
		f.Log = r.Log
		return f
	}
	return p.bounded(a, r)
}

// bounded makes an output over its limit an error.
func (p *Pool) bounded(a *attempt, r compute.Result) compute.Result {
	limit := int64(p.cfg.Output)
	if own := a.task.Limits.Output; own > 0 {
		limit = min(limit, own)
	}
	if int64(len(r.Output)) > limit {
		r.Err = fmt.Sprintf("output of %d bytes, the limit is %d", len(r.Output), limit)
		r.Output, r.Fork = nil, nil
	}
	return r
}

// errorText never is empty, which would mean success.
func errorText(err error) string {
	if s := err.Error(); s != "" {
		return s
	}
	return fmt.Sprintf("error of type %T", err)
}

// panicStack trims the stack of a goroutine that panicked to the function's
// own part, 8 KiB at most.
func panicStack(stack []byte) []byte {
	const limit = 8 << 10
	if i := bytes.Index(stack, []byte("\npanic(")); i >= 0 {
		stack = stack[i+1:]
		for range 2 { // the panic's own two lines
			if _, rest, ok := bytes.Cut(stack, []byte("\n")); ok {
				stack = rest
			}
		}
	}
	if i := bytes.Index(stack, []byte("compute/worker.(*Pool).runFunc")); i >= 0 {
		stack = stack[:bytes.LastIndexByte(stack[:i], '\n')+1]
	}
	return bytes.Clone(stack[:min(len(stack), limit)])
}
