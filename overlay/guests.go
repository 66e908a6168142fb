package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

const (
	maxGuestCalls     = 128     // of guests that a member has under way, half of its workers
	maxGuestCallsEach = 32      // of one guest
	maxGuestWatches   = 16      // of one guest at one member
	maxGuestJobs      = 4096    // of all guests, that a member knows the submitters of
	maxGuestTasks     = 1 << 14 // unfinished ones of one guest at one member
)

// guests answers those who have a pass of a role below member, on behalf of a member: each
// call carries out what the Node's method does, if the registry finds that the caller's role
// is enough for it. Calls that take a member are here to be refused by their role.
//
// A guest sees the jobs that it submitted, and no others.
type guests struct {
	n     *Node
	desk  *desk
	stash stash

	mu    sync.Mutex
	busy  map[chord.PeerID]int // calls under way
	total int
	jobs  map[compute.ID]chord.PeerID // who submitted them
	asked map[chord.PeerID]int        // tasks of jobs that are being submitted
}

func newGuests(n *Node) *guests {
	return &guests{n: n, desk: newDesk(n.ctx, n), busy: make(map[chord.PeerID]int), jobs: make(map[compute.ID]chord.PeerID), asked: make(map[chord.PeerID]int)}
}

// register adds the calls of guests, each with the role that it takes.
func (g *guests) register(add func(rpc.Method, rpc.Spec, rpc.Handler)) {
	d := g.desk
	own := map[rpc.Method]rpc.Handler{
		wire.MethodCtlSubmit: answers(d, 0, rpc.Spec{}, g.submit).handle,
		wire.MethodCtlJob:    answers(d, 0, rpc.Spec{}, ownJob(g, d.job)).handle,
		wire.MethodCtlJobs:   answers(d, 0, rpc.Spec{}, g.list).handle,
		wire.MethodCtlWait:   answers(d, 0, rpc.Spec{}, ownJob(g, d.wait)).handle,
		wire.MethodCtlCancel: answers(d, 0, rpc.Spec{}, ownJob(g, d.cancelJob)).handle,
	}
	for _, call := range d.calls() {
		if call.spec.Role == rpc.RoleControl {
			continue
		}
		if h := own[call.method]; h != nil {
			call.handle = h
		}
		if call.spec.Role == rpc.RoleMember {
			call.handle = notByProxy // so that no peer writes, or signs, for another
		}
		most := call.spec.MaxBytes
		if most == 0 {
			most = rpc.DefaultMaxBytes
		}
		add(call.method, rpc.Spec{Name: "guest." + call.spec.Name, Role: call.spec.Role, MaxBytes: min(most, wire.MaxParcel) + 64}, g.answer(call.handle, most))
	}
	add(wire.MethodParcel, rpc.Spec{Name: "guest.parcel", Role: rpc.RoleSubmit, MaxBytes: wire.MaxParcel + 64}, g.bounded(g.parcel))
	add(wire.MethodRest, rpc.Spec{Name: "guest.rest", Role: rpc.RoleRead}, g.bounded(g.rest))
}

// notByProxy answers members, who carry such calls out themselves.
func notByProxy(context.Context, *rpc.Request) ([]byte, error) {
	return nil, &rpc.Error{Code: rpc.CodeUnavailable, Message: "a member makes this call by itself"}
}

var errGuestsBusy = &rpc.Error{Code: rpc.CodeBusy, Message: "too many calls of guests are under way"}

// bounded leaves workers to others, however much guests ask for.
func (g *guests) bounded(h rpc.Handler) rpc.Handler {
	return func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		g.mu.Lock()
		full := g.total >= maxGuestCalls || g.busy[req.From] >= maxGuestCallsEach
		if !full {
			g.total++
			g.busy[req.From]++
		}
		g.mu.Unlock()
		if full {
			return nil, errGuestsBusy
		}
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.total--
			if g.busy[req.From]--; g.busy[req.From] == 0 {
				delete(g.busy, req.From)
			}
		}()
		return h(ctx, req)
	}
}

// answer makes the handler of a call out of that of its message, which has up to most bytes.
func (g *guests) answer(h rpc.Handler, most int) rpc.Handler {
	return g.bounded(func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		p, err := wire.ParseParcel(req.Payload)
		if err != nil {
			return nil, err
		}
		message := p.Part
		if p.ID != ([16]byte{}) {
			first, ok := g.stash.take(stashKey{req.From, p.ID})
			if !ok || len(first) != int(p.At) {
				return nil, errNoParcel
			}
			message = append(first, p.Part...)
		}
		if len(message) > most {
			return nil, rpc.ErrTooLarge
		}
		req.Park() // it may wait for others; its own bound holds it
		whole := rpc.Request{From: req.From, Header: req.Header, Payload: message}
		reply, err := h(withCaller(ctx, req.From, req.Role), &whole)
		if err != nil {
			return nil, err
		}
		return g.wrap(req.From, reply)
	})
}

// wrap puts an answer into a parcel, and keeps the rest of a large one.
func (g *guests) wrap(to chord.PeerID, reply []byte) ([]byte, error) {
	p := wire.Parcel{Part: reply}
	if len(reply) > wire.MaxParcel {
		rand.Read(p.ID[:]) // it does not fail
		if err := g.stash.add(stashKey{to, p.ID}, 0, reply); err != nil {
			return nil, err
		}
		p.At, p.Part = uint32(len(reply)), reply[:wire.MaxParcel]
	}
	return wire.AppendParcel(make([]byte, 0, len(p.Part)+32), p), nil
}

// parcel takes a part of a request.
func (g *guests) parcel(_ context.Context, req *rpc.Request) ([]byte, error) {
	p, err := wire.ParseParcel(req.Payload)
	if err != nil {
		return nil, err
	}
	if p.ID == ([16]byte{}) || len(p.Part) == 0 {
		return nil, errNoParcel
	}
	return nil, g.stash.add(stashKey{req.From, p.ID}, p.At, p.Part)
}

// rest hands out a part of an answer.
func (g *guests) rest(_ context.Context, req *rpc.Request) ([]byte, error) {
	p, err := wire.ParseParcel(req.Payload)
	if err != nil {
		return nil, err
	}
	part, err := g.stash.part(stashKey{req.From, p.ID}, p.At, wire.MaxParcel)
	if err != nil {
		return nil, err
	}
	return wire.AppendParcel(nil, wire.Parcel{Part: part}), nil
}

// caller is the peer on whose behalf a call is carried out.
type caller struct {
	id   chord.PeerID
	role rpc.Role
}

type callerKey struct{}

func withCaller(ctx context.Context, id chord.PeerID, role rpc.Role) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{id, role})
}

// callerOf returns the peer on whose behalf a call of guests' is carried out; nobody where it is
// this peer's owner.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// submit starts a job of a guest's. It gets no grant: what its modules do, they would do with a
// member's right to write keys.
func (g *guests) submit(ctx context.Context, in JobSpec, body []byte) (any, []byte, error) {
	by := callerOf(ctx)
	if in.Grant != "" && !by.role.Allows(rpc.RoleMember) {
		return nil, nil, &client.Error{
			Code: client.CodeRefused, Message: fmt.Sprintf("submit: a granted namespace can be written to, which needs role member, caller has %s", by.role),
			Fix: "submit without --grant, and put what the tasks need into their inputs",
		}
	}
	if in.Each != "" && len(in.Inputs) == 0 { // listed here, to count them
		keys, err := g.n.eachKey(ctx, in.Each)
		if err != nil {
			return nil, nil, err
		}
		in.Inputs, in.Keys, in.Each = keys, true, ""
	}
	g.ask(by.id, len(in.Inputs))
	defer g.ask(by.id, -len(in.Inputs))
	if err := g.roomFor(ctx, by.id); err != nil {
		return nil, nil, err
	}
	in.Code.Module = body
	id, err := g.n.submitAs(ctx, in, by.id)
	if err != nil {
		return nil, nil, err
	}
	g.mu.Lock()
	g.jobs[id] = by.id
	g.mu.Unlock()
	return wire.ControlName{ID: id.String()}, nil, nil
}

// ask counts tasks that a guest is about to submit, or has submitted if they are fewer than none.
func (g *guests) ask(guest chord.PeerID, tasks int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked[guest] += tasks; g.asked[guest] == 0 {
		delete(g.asked, guest)
	}
}

// roomFor refuses what a guest is about to submit if that makes too many tasks under way. It forgets the
// submitters of jobs that the scheduler has forgotten.
func (g *guests) roomFor(ctx context.Context, guest chord.PeerID) error {
	g.mu.Lock()
	tasks := g.asked[guest]
	known := make([]compute.ID, 0, len(g.jobs))
	own := make(map[compute.ID]bool)
	for id, by := range g.jobs {
		known = append(known, id)
		own[id] = by == guest
	}
	g.mu.Unlock()
	for id, mine := range own {
		if mine {
			tasks += g.n.durables.left(id)
		}
	}
	var gone []compute.ID
	err := g.n.tasks.look(ctx, func(core scheduler) {
		for _, id := range known {
			st, ok := core.Job(id)
			if !ok {
				gone = append(gone, id)
			}
			if own[id] {
				tasks += st.Tasks - st.Done - st.Failed
			}
		}
	})
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.jobs) >= maxGuestJobs {
		for _, id := range gone {
			delete(g.jobs, id)
		}
	}
	if tasks > maxGuestTasks || len(g.jobs) >= maxGuestJobs {
		return &client.Error{
			Code: client.CodeOverloaded, Message: fmt.Sprintf("submit: a guest has at most %d tasks under way at one member", maxGuestTasks),
			Fix: "peer job ls (wait for one to end), or submit fewer tasks at a time",
		}
	}
	return nil
}

// owns reports whether a guest submitted a job: here or, if it is durable, anywhere.
func (g *guests) owns(ctx context.Context, guest chord.PeerID, id compute.ID) (bool, error) {
	g.mu.Lock()
	by, known := g.jobs[id]
	g.mu.Unlock()
	if known {
		return by == guest, nil
	}
	rec, err := g.n.lookUp(ctx, durableSpace, id.String()+"/spec", store.LevelQuorum)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	spec, err := wire.ParseDurableSpec(rec.Value)
	return err == nil && spec.Submitter == guest, err
}

// ownJob makes a handler about a job one for the jobs of the caller alone.
func ownJob(g *guests, fn func(context.Context, wire.ControlName, []byte) (any, []byte, error)) func(context.Context, wire.ControlName, []byte) (any, []byte, error) {
	return func(ctx context.Context, in wire.ControlName, body []byte) (any, []byte, error) {
		id, err := parseJob(in.ID)
		if err != nil {
			return nil, nil, err
		}
		switch mine, err := g.owns(ctx, callerOf(ctx).id, id); {
		case err != nil:
			return nil, nil, err
		case !mine:
			return nil, nil, errNoJob(id)
		}
		return fn(ctx, in, body)
	}
}

// list returns the jobs that a guest submitted here.
func (g *guests) list(ctx context.Context, _ empty, _ []byte) (any, []byte, error) {
	by := callerOf(ctx).id
	mine := []Job{}
	for _, j := range g.n.Jobs() {
		id, err := compute.ParseID(j.ID)
		if err != nil {
			return nil, nil, err
		}
		g.mu.Lock()
		if g.jobs[id] == by {
			mine = append(mine, j)
		}
		g.mu.Unlock()
	}
	return mine, nil, nil
}
