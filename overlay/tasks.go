package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/drive"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
)

// scheduler makes compute.Scheduler a core that a loop can drive: what Step
// refuses is counted there and dropped.
type scheduler struct {
	*compute.Scheduler
	refused func(error)
}

func (s scheduler) Step(now time.Time, m compute.Message) compute.Output {
	out, err := s.Scheduler.Step(now, m)
	if err != nil {
		s.refused(err)
	}
	return out
}

// runner runs attempts at tasks; compute/worker's pool does.
type runner interface {
	// Start runs a task and reports its result once, from another goroutine.
	Start(t compute.Task, report func(compute.Result))
	// Stop ends a run early.
	Stop(compute.Ref)
}

// tasks drives the scheduler core: its goroutine owns the core, messages go out
// as casts, and runs go to the workers.
type tasks struct {
	n    *Node
	loop *drive.Loop[scheduler, compute.Message, compute.Output]
	work runner

	mu      sync.Mutex
	waiters map[compute.ID][]chan struct{} // closed when the job has ended
}

func newTasks(n *Node, cfg compute.Config, work runner) (*tasks, error) {
	core, err := compute.New(cfg, time.Now(), rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	if err != nil {
		return nil, err
	}
	t := &tasks{n: n, work: work, waiters: make(map[compute.ID][]chan struct{})}
	refused := func(err error) { n.log.Debug("task message refused", "err", err) }
	t.loop = drive.New(scheduler{core, refused}, t.output, drive.Config{Inbox: 16 << 10})
	return t, nil
}

// look runs fn on the loop, to look at the core.
func (t *tasks) look(ctx context.Context, fn func(core scheduler)) error {
	return t.n.orClosed(t.loop.Do(ctx, fn))
}

// act gives the core a command.
func (t *tasks) act(ctx context.Context, fn func(core scheduler, now time.Time) compute.Output) error {
	return t.n.orClosed(t.loop.Act(ctx, fn))
}

// output does what a call of the core asks for. It runs on the loop.
func (t *tasks) output(out compute.Output) {
	for i := range out.Send {
		t.send(out.Send[i])
	}
	for _, task := range out.Run {
		t.work.Start(task, t.ran)
	}
	for _, ref := range out.Stop {
		t.work.Stop(ref)
	}
	t.n.durables.stir(out.Changed)
	if len(out.Finished) > 0 {
		t.finished(out.Finished)
	}
}

// send casts a message, off the loop: it may have to dial first. A peer that
// cannot be reached is the ring's to notice, and messages are repeated.
func (t *tasks) send(m compute.Message) {
	payload := wire.AppendTask(nil, &m)
	t.n.group.start(func() {
		ctx, cancel := context.WithTimeout(t.n.ctx, opTimeout)
		defer cancel()
		if err := t.n.host.Cast(ctx, m.To, rpc.Header{Method: wire.MethodTask}, payload); err != nil {
			t.n.log.Debug("send task message", "kind", m.Kind.String(), "err", err)
		}
	})
}

// ran hands the result of a run to the core, however full its inbox is: a slot
// whose result is lost never comes free.
func (t *tasks) ran(r compute.Result) {
	for {
		err := t.loop.Act(t.n.ctx, func(core scheduler, now time.Time) compute.Output { return core.Ran(now, r) })
		if !errors.Is(err, drive.ErrFull) || !sleep(t.n.ctx, time.Millisecond) {
			return // told, or the peer stops
		}
	}
}

// receive handles a message that arrived.
func (t *tasks) receive(_ context.Context, req *rpc.Request) ([]byte, error) {
	m, err := wire.ParseTask(req.Detach())
	if err != nil {
		return nil, fmt.Errorf("read task message: %w", err)
	}
	m.From, m.To = req.From, t.n.self.Peer
	return nil, t.loop.Post(m)
}

// setPeers tells the core whom it may steal from.
func (t *tasks) setPeers(ctx context.Context, ns []compute.Neighbor) {
	err := t.loop.Act(ctx, func(core scheduler, now time.Time) compute.Output { return core.SetPeers(now, ns) })
	if err != nil && ctx.Err() == nil {
		t.n.log.Error("update peers of the scheduler", "err", err)
	}
}

// peerDown tells the core that a peer is gone for now.
func (t *tasks) peerDown(id chord.PeerID) {
	err := t.loop.Act(t.n.ctx, func(core scheduler, now time.Time) compute.Output { return core.PeerDown(now, id) })
	if err != nil && t.n.ctx.Err() == nil {
		t.n.log.Error("report peer to the scheduler", "err", err)
	}
}

func (t *tasks) submit(ctx context.Context, spec compute.Spec) (id compute.ID, err error) {
	var refused error
	err = t.act(ctx, func(core scheduler, now time.Time) (out compute.Output) {
		id, out, refused = core.Submit(now, spec)
		return out
	})
	if err == nil {
		err = refused
	}
	return id, err
}

// finished wakes those who wait for jobs.
func (t *tasks) finished(ids []compute.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		for _, c := range t.waiters[id] {
			close(c)
		}
		delete(t.waiters, id)
	}
}

// wait returns when a job is final.
func (t *tasks) wait(ctx context.Context, id compute.ID) error {
	c := make(chan struct{})
	t.mu.Lock()
	t.waiters[id] = append(t.waiters[id], c)
	t.mu.Unlock()
	defer t.forget(id, c)
	// The job may have ended before it was waited for.
	var known, final bool
	err := t.look(ctx, func(core scheduler) {
		st, ok := core.Job(id)
		known, final = ok, !st.Finished.IsZero()
	})
	switch {
	case err != nil:
		return err
	case !known:
		return errNoJob(id)
	case final:
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.n.ctx.Done():
		return ErrClosed
	}
}

// forget takes back a waiter.
func (t *tasks) forget(id compute.ID, c chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.waiters[id]
	for i := range list {
		if list[i] == c {
			t.waiters[id] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(t.waiters[id]) == 0 {
		delete(t.waiters, id)
	}
}
