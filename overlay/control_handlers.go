package overlay

import (
	"context"
	"errors"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// empty is the document of requests that say nothing.
type empty struct{}

// register fills the registry: one handler a method.
func (c *control) register() {
	handle(c, wire.MethodCtlPut, rpc.Spec{Name: "control.put", MaxBytes: maxPutRequest}, c.put)
	handle(c, wire.MethodCtlGet, rpc.Spec{Name: "control.get"}, c.get)
	handle(c, wire.MethodCtlSwap, rpc.Spec{Name: "control.swap", MaxBytes: maxPutRequest}, c.swap)
	handle(c, wire.MethodCtlRegister, rpc.Spec{Name: "control.register"}, c.readRegister)
	c.registerStreams()
	c.registerWatches()
	handle(c, wire.MethodCtlNamespace, rpc.Spec{Name: "control.namespace"}, c.namespace)
	handle(c, wire.MethodCtlNamespaces, rpc.Spec{Name: "control.namespaces"}, c.namespaces)
	handle(c, wire.MethodCtlSetNamespace, rpc.Spec{Name: "control.setnamespace"}, c.setNamespace)
	handle(c, wire.MethodCtlDel, rpc.Spec{Name: "control.del"}, c.del)
	handle(c, wire.MethodCtlList, rpc.Spec{Name: "control.list"}, c.list)
	handle(c, wire.MethodCtlSubmit, rpc.Spec{Name: "control.submit", MaxBytes: wire.MaxControl}, c.submit)
	handle(c, wire.MethodCtlJob, rpc.Spec{Name: "control.job"}, c.job)
	handle(c, wire.MethodCtlJobs, rpc.Spec{Name: "control.jobs"}, c.jobs)
	handle(c, wire.MethodCtlWait, rpc.Spec{Name: "control.wait"}, c.wait)
	handle(c, wire.MethodCtlCancel, rpc.Spec{Name: "control.cancel"}, c.cancelJob)
	handle(c, wire.MethodCtlTop, rpc.Spec{Name: "control.top"}, c.top)
	handle(c, wire.MethodCtlStatus, rpc.Spec{Name: "control.status"}, c.status)
	handle(c, wire.MethodCtlRing, rpc.Spec{Name: "control.ring"}, c.ring)
	handle(c, wire.MethodCtlPing, rpc.Spec{Name: "control.ping"}, c.ping)
	handle(c, wire.MethodCtlTrace, rpc.Spec{Name: "control.trace"}, c.trace)
	handle(c, wire.MethodCtlLookup, rpc.Spec{Name: "control.lookup"}, c.lookups)
	handle(c, wire.MethodCtlForget, rpc.Spec{Name: "control.forget"}, c.forget)
	handle(c, wire.MethodCtlInvite, rpc.Spec{Name: "control.invite"}, c.invite)
	handle(c, wire.MethodCtlRevoke, rpc.Spec{Name: "control.revoke"}, c.revoke)
	handle(c, wire.MethodCtlRotate, rpc.Spec{Name: "control.rotate"}, c.rotate)
	handle(c, wire.MethodCtlDoctor, rpc.Spec{Name: "control.doctor"}, c.doctor)
	handle(c, wire.MethodCtlLeave, rpc.Spec{Name: "control.leave"}, c.leave)
}

func putOptionsOf(in wire.ControlPut) []PutOption {
	opts := []PutOption{WithW(Level(in.W)), WithTTL(time.Duration(in.TTLms) * time.Millisecond)}
	if in.Forever {
		opts = append(opts, WithoutTTL())
	}
	return opts
}

func (c *control) put(ctx context.Context, in wire.ControlPut, body []byte) (any, []byte, error) {
	receipt, err := c.node.Put(ctx, in.Key, body, putOptionsOf(in)...)
	return receipt, nil, err
}

func (c *control) get(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	record, err := c.node.Get(ctx, in.Key, WithR(Level(in.R)))
	value := record.Value
	record.Value = nil
	return record, value, err
}

// swap tells of a conflict in its document, which carries the register, as an error
// would not.
func (c *control) swap(ctx context.Context, in wire.ControlSwap, body []byte) (any, []byte, error) {
	reg, err := c.node.CompareAndSwap(ctx, in.Key, in.Version, body)
	conflict := errors.Is(err, ErrConflict)
	if conflict {
		err = nil
	}
	return wire.ControlSwapped{Conflict: conflict, Version: reg.Version}, reg.Value, err
}

func (c *control) readRegister(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	reg, err := c.node.ReadRegister(ctx, in.Key)
	return wire.ControlSwapped{Version: reg.Version}, reg.Value, err
}

func (c *control) del(ctx context.Context, in wire.ControlPut, _ []byte) (any, []byte, error) {
	receipt, err := c.node.Delete(ctx, in.Key, putOptionsOf(in)...)
	return receipt, nil, err
}

func (c *control) list(ctx context.Context, in wire.ControlList, _ []byte) (any, []byte, error) {
	keys, err := c.node.List(ctx, in.Prefix, in.After, in.Limit)
	return keys, nil, err
}

func (c *control) namespace(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	ns, err := c.node.Namespace(ctx, in.ID)
	return ns, nil, err
}

func (c *control) namespaces(ctx context.Context, in wire.ControlList, _ []byte) (any, []byte, error) {
	list, err := c.node.Namespaces(ctx, in.After, in.Limit)
	return list, nil, err
}

func (c *control) setNamespace(ctx context.Context, in Namespace, _ []byte) (any, []byte, error) {
	receipt, err := c.node.SetNamespace(ctx, in)
	return receipt, nil, err
}

func (c *control) submit(ctx context.Context, in JobSpec, body []byte) (any, []byte, error) {
	in.Code.Module = body
	id, err := c.node.Submit(ctx, in)
	return wire.ControlName{ID: id}, nil, err
}

func (c *control) job(_ context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	job, err := c.node.Job(in.ID)
	return job, nil, err
}

func (c *control) jobs(context.Context, empty, []byte) (any, []byte, error) {
	return c.node.Jobs(), nil, nil
}

// wait answers when the job has ended, or with its state after a while.
func (c *control) wait(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	bounded, cancel := context.WithTimeout(ctx, waitAtOnce)
	defer cancel()
	job, err := c.node.Wait(bounded, in.ID)
	if bounded.Err() != nil && ctx.Err() == nil {
		job, err = c.node.Job(in.ID)
	}
	return job, nil, err
}

func (c *control) cancelJob(_ context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	return nil, nil, c.node.CancelJob(in.ID)
}

func (c *control) top(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	peers, err := c.node.Top(ctx)
	return peers, nil, err
}

func (c *control) status(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	status, err := c.node.Status(ctx)
	return status, nil, err
}

func (c *control) ring(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	ring, err := c.node.Ring(ctx)
	return ring, nil, err
}

func (c *control) ping(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	pong, err := c.node.Ping(ctx, in.ID)
	return pong, nil, err
}

func (c *control) trace(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	trace, err := c.node.Trace(ctx, in.Key)
	return trace, nil, err
}

func (c *control) lookups(ctx context.Context, in client.LookupSpec, _ []byte) (any, []byte, error) {
	lookups, err := c.node.Lookups(ctx, in)
	return lookups, nil, err
}

func (c *control) forget(ctx context.Context, in client.ForgetSpec, _ []byte) (any, []byte, error) {
	f, err := c.node.Forget(ctx, in)
	return f, nil, err
}

func (c *control) invite(ctx context.Context, in client.InviteSpec, _ []byte) (any, []byte, error) {
	invitation, err := c.node.Invite(ctx, in)
	return invitation, nil, err
}

func (c *control) revoke(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	revoked, err := c.node.Revoke(ctx, in.ID)
	return revoked, nil, err
}

func (c *control) rotate(ctx context.Context, in wire.ControlRotate, _ []byte) (any, []byte, error) {
	rotation, err := c.node.RotateKey(ctx, time.Duration(in.OverlapMs)*time.Millisecond)
	return rotation, nil, err
}

func (c *control) doctor(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	diagnosis, err := c.node.Doctor(ctx)
	return diagnosis, nil, err
}

// leave hands the peer's keys over and closes the peer behind the answer: Close
// waits for this handler, and sends what it returned before the socket goes.
func (c *control) leave(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	if err := c.node.handOver(ctx); err != nil {
		return nil, nil, err
	}
	go func() {
		if err := c.node.Close(); err != nil {
			c.log.Error("close after leaving", "err", err)
		}
	}()
	return nil, nil, nil
}
