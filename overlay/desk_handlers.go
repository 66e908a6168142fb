package overlay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// empty is the document of requests that say nothing.
type empty struct{}

// calls lists what the desk answers. The role is what a guest needs for it; what takes
// control is for this peer's owner alone, who may call all.
func (d *desk) calls() []deskCall {
	list := []deskCall{
		answers(d, wire.MethodCtlPut, rpc.Spec{Name: "put", Role: rpc.RoleMember, MaxBytes: maxPutRequest}, inTime(d.put)),
		answers(d, wire.MethodCtlGet, rpc.Spec{Name: "get", Role: rpc.RoleRead}, inTime(d.get)),
		answers(d, wire.MethodCtlSwap, rpc.Spec{Name: "swap", Role: rpc.RoleMember, MaxBytes: maxPutRequest}, inTime(d.swap)),
		answers(d, wire.MethodCtlRegister, rpc.Spec{Name: "register", Role: rpc.RoleRead}, inTime(d.readRegister)),
		answers(d, wire.MethodCtlNamespace, rpc.Spec{Name: "namespace", Role: rpc.RoleRead}, d.namespace),
		answers(d, wire.MethodCtlNamespaces, rpc.Spec{Name: "namespaces", Role: rpc.RoleRead}, d.namespaces),
		answers(d, wire.MethodCtlSetNamespace, rpc.Spec{Name: "setnamespace", Role: rpc.RoleMember}, d.setNamespace),
		answers(d, wire.MethodCtlDel, rpc.Spec{Name: "del", Role: rpc.RoleMember}, inTime(d.del)),
		answers(d, wire.MethodCtlList, rpc.Spec{Name: "list", Role: rpc.RoleRead}, inTime(d.list)),
		answers(d, wire.MethodCtlSubmit, rpc.Spec{Name: "submit", Role: rpc.RoleSubmit, MaxBytes: wire.MaxControl}, d.submit),
		answers(d, wire.MethodCtlJob, rpc.Spec{Name: "job", Role: rpc.RoleSubmit}, d.job),
		answers(d, wire.MethodCtlJobs, rpc.Spec{Name: "jobs", Role: rpc.RoleSubmit}, d.jobs),
		answers(d, wire.MethodCtlWait, rpc.Spec{Name: "wait", Role: rpc.RoleSubmit}, d.wait),
		answers(d, wire.MethodCtlCancel, rpc.Spec{Name: "cancel", Role: rpc.RoleSubmit}, d.cancelJob),
		answers(d, wire.MethodCtlTop, rpc.Spec{Name: "top", Role: rpc.RoleSubmit}, d.top),
		answers(d, wire.MethodCtlStatus, rpc.Spec{Name: "status", Role: rpc.RoleControl}, d.status),
		answers(d, wire.MethodCtlRing, rpc.Spec{Name: "ring", Role: rpc.RoleRead}, d.ring),
		answers(d, wire.MethodCtlPing, rpc.Spec{Name: "ping", Role: rpc.RoleControl}, d.ping),
		answers(d, wire.MethodCtlTrace, rpc.Spec{Name: "trace", Role: rpc.RoleRead}, d.trace),
		answers(d, wire.MethodCtlLookup, rpc.Spec{Name: "lookup", Role: rpc.RoleMember}, d.lookups),
		answers(d, wire.MethodCtlForget, rpc.Spec{Name: "forget", Role: rpc.RoleControl}, d.forget),
		answers(d, wire.MethodCtlInvite, rpc.Spec{Name: "invite", Role: rpc.RoleControl}, d.invite),
		answers(d, wire.MethodCtlRevoke, rpc.Spec{Name: "revoke", Role: rpc.RoleControl}, d.revoke),
		answers(d, wire.MethodCtlRotate, rpc.Spec{Name: "rotate", Role: rpc.RoleControl}, d.rotate),
		answers(d, wire.MethodCtlGrant, rpc.Spec{Name: "grant", Role: rpc.RoleControl}, d.grant),
		answers(d, wire.MethodCtlDoctor, rpc.Spec{Name: "doctor", Role: rpc.RoleControl}, d.doctor),
		answers(d, wire.MethodCtlLeave, rpc.Spec{Name: "leave", Role: rpc.RoleControl}, d.leave),
	}
	return slices.Concat(list, d.streamCalls(), d.watchCalls())
}

func putOptionsOf(in wire.ControlPut) []PutOption {
	opts := []PutOption{WithW(Level(in.W)), WithTTL(time.Duration(in.TTLms) * time.Millisecond)}
	if in.Forever {
		opts = append(opts, WithoutTTL())
	}
	return opts
}

func (d *desk) put(ctx context.Context, in wire.ControlPut, body []byte) (any, []byte, error) {
	receipt, err := d.node.Put(ctx, in.Key, body, putOptionsOf(in)...)
	return receipt, nil, err
}

func (d *desk) get(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	record, err := d.node.Get(ctx, in.Key, WithR(Level(in.R)))
	value := record.Value
	record.Value = nil
	return record, value, err
}

// swap tells of a conflict in its document, which carries the register, as an error
// would not.
func (d *desk) swap(ctx context.Context, in wire.ControlSwap, body []byte) (any, []byte, error) {
	reg, err := d.node.CompareAndSwap(ctx, in.Key, in.Version, body)
	conflict := errors.Is(err, ErrConflict)
	if conflict {
		err = nil
	}
	return wire.ControlSwapped{Conflict: conflict, Version: reg.Version}, reg.Value, err
}

func (d *desk) readRegister(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	reg, err := d.node.ReadRegister(ctx, in.Key)
	return wire.ControlSwapped{Version: reg.Version}, reg.Value, err
}

func (d *desk) del(ctx context.Context, in wire.ControlPut, _ []byte) (any, []byte, error) {
	receipt, err := d.node.Delete(ctx, in.Key, putOptionsOf(in)...)
	return receipt, nil, err
}

func (d *desk) list(ctx context.Context, in wire.ControlList, _ []byte) (any, []byte, error) {
	keys, err := d.node.List(ctx, in.Prefix, in.After, in.Limit)
	return keys, nil, err
}

func (d *desk) namespace(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	ns, err := d.node.Namespace(ctx, in.ID)
	return ns, nil, err
}

func (d *desk) namespaces(ctx context.Context, in wire.ControlList, _ []byte) (any, []byte, error) {
	list, err := d.node.Namespaces(ctx, in.After, in.Limit)
	return list, nil, err
}

func (d *desk) setNamespace(ctx context.Context, in Namespace, _ []byte) (any, []byte, error) {
	receipt, err := d.node.SetNamespace(ctx, in)
	return receipt, nil, err
}

func (d *desk) submit(ctx context.Context, in JobSpec, body []byte) (any, []byte, error) {
	in.Code.Module = body
	id, err := d.node.Submit(ctx, in)
	return wire.ControlName{ID: id}, nil, err
}

func (d *desk) job(_ context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	job, err := d.node.Job(in.ID)
	return job, nil, err
}

func (d *desk) jobs(context.Context, empty, []byte) (any, []byte, error) {
	return d.node.Jobs(), nil, nil
}

// wait answers when the job has ended, or with its state after a while.
func (d *desk) wait(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	bounded, cancel := context.WithTimeout(ctx, waitAtOnce)
	defer cancel()
	job, err := d.node.Wait(bounded, in.ID)
	if bounded.Err() != nil && ctx.Err() == nil {
		job, err = d.node.Job(in.ID)
	}
	return job, nil, err
}

func (d *desk) cancelJob(_ context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	return nil, nil, d.node.CancelJob(in.ID)
}

func (d *desk) top(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	peers, err := d.node.Top(ctx)
	return peers, nil, err
}

func (d *desk) status(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	status, err := d.node.Status(ctx)
	return status, nil, err
}

func (d *desk) ring(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	ring, err := d.node.Ring(ctx)
	return ring, nil, err
}

func (d *desk) ping(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	pong, err := d.node.Ping(ctx, in.ID)
	return pong, nil, err
}

func (d *desk) trace(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	trace, err := d.node.Trace(ctx, in.Key)
	return trace, nil, err
}

func (d *desk) lookups(ctx context.Context, in client.LookupSpec, _ []byte) (any, []byte, error) {
	lookups, err := d.node.Lookups(ctx, in)
	return lookups, nil, err
}

func (d *desk) forget(ctx context.Context, in client.ForgetSpec, _ []byte) (any, []byte, error) {
	f, err := d.node.Forget(ctx, in)
	return f, nil, err
}

func (d *desk) invite(ctx context.Context, in client.InviteSpec, _ []byte) (any, []byte, error) {
	invitation, err := d.node.Invite(ctx, in)
	return invitation, nil, err
}

func (d *desk) revoke(ctx context.Context, in wire.ControlName, _ []byte) (any, []byte, error) {
	revoked, err := d.node.Revoke(ctx, in.ID)
	return revoked, nil, err
}

func (d *desk) rotate(ctx context.Context, in wire.ControlRotate, _ []byte) (any, []byte, error) {
	rotation, err := d.node.RotateKey(ctx, time.Duration(in.OverlapMs)*time.Millisecond)
	return rotation, nil, err
}

func (d *desk) grant(ctx context.Context, in client.GrantSpec, _ []byte) (any, []byte, error) {
	g, err := d.node.Grant(ctx, in)
	return g, nil, err
}

func (d *desk) doctor(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	diagnosis, err := d.node.Doctor(ctx)
	return diagnosis, nil, err
}

// leave hands the peer's keys over and closes the peer behind the answer: Close
// waits for this handler, and sends what it returned before the socket goes.
func (d *desk) leave(ctx context.Context, in client.LeaveSpec, _ []byte) (any, []byte, error) {
	if !in.Force {
		if err := d.node.refuseOpenJobs(); err != nil {
			return nil, nil, err
		}
	}
	if err := d.node.handOver(ctx); err != nil {
		return nil, nil, err
	}
	go func() {
		if err := d.node.Close(); err != nil {
			d.node.log.Error("close after leaving", "err", err)
		}
	}()
	return nil, nil, nil
}
