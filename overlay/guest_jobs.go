package overlay

import (
	"context"
	"errors"
	"slices"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/overlay/client"
)

const (
	maxHolders  = 4096 // jobs of which a guest knows who has them
	maxInquired = 64   // members that are asked for a job of which it does not
)

// noting is a connection to any member that notes which one it was.
type noting struct {
	anyMember
	at *chord.PeerID
}

// Call implements client.Conn.
func (c noting) Call(ctx context.Context, h rpc.Header, payload []byte) (reply []byte, err error) {
	reply, *c.at, err = c.g.send(ctx, h, payload)
	return reply, err
}

// submit has a member submit a job, and remembers which.
func (g *guest) submit(ctx context.Context, spec JobSpec) (string, error) {
	var at chord.PeerID
	name, err := client.New(noting{anyMember{g}, &at}).Submit(ctx, spec)
	if err != nil {
		return "", err
	}
	id, err := parseJob(name)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for other := range g.holders { // any will do: who has it is asked for
		if len(g.holders) < maxHolders {
			break
		}
		delete(g.holders, other)
	}
	g.holders[id] = at
	return name, nil
}

// ofJob has the member do something that has a job: the one that submitted it or, if that is
// gone or not known, any that knows it.
func (g *guest) ofJob(ctx context.Context, name string, do func(*client.Client) error) error {
	id, err := parseJob(name)
	if err != nil {
		return err
	}
	g.mu.Lock()
	holder, held := g.holders[id]
	g.mu.Unlock()
	var members []chord.PeerID
	if held {
		members = append(members, holder)
	}
	for _, other := range append(g.ids(), g.known()...) {
		if len(members) < maxInquired && !slices.Contains(members, other) {
			members = append(members, other)
		}
	}
	err = errNoJob(id)
	for _, member := range members {
		bad := do(g.at(member))
		switch {
		case bad == nil || ctx.Err() != nil:
			return bad
		case errors.Is(bad, ErrNotFound):
		case errors.Is(bad, &client.Error{Code: client.CodeNoAnswer}):
			if member == holder {
				err = lostJob(id)
			}
		default:
			return bad
		}
	}
	return err
}

// lostJob is the error of a job that went with its member.
func lostJob(id compute.ID) error {
	return &client.Error{
		Code: client.CodeNotFound, Message: "job " + id.String() + ": the member that had it does not answer, and no other knows it",
		Fix: "peer submit --durable (such a job outlives the member that takes it)",
	}
}

func (g *guest) wait(ctx context.Context, id string) (j Job, err error) {
	err = g.ofJob(ctx, id, func(c *client.Client) (err error) { j, err = c.Wait(ctx, id); return err })
	return j, err
}

func (g *guest) job(id string) (j Job, err error) {
	err = g.ofJob(g.n.ctx, id, func(c *client.Client) (err error) { j, err = c.Job(g.n.ctx, id); return err })
	return j, err
}

func (g *guest) cancel(id string) error {
	return g.ofJob(g.n.ctx, id, func(c *client.Client) error { return c.CancelJob(g.n.ctx, id) })
}

// list returns the jobs that the members know which this guest turned to.
func (g *guest) list() []Job {
	members := g.ids()
	g.mu.Lock()
	for _, holder := range g.holders {
		if !slices.Contains(members, holder) {
			members = append(members, holder)
		}
	}
	g.mu.Unlock()
	all := []Job{}
	for _, member := range members[:min(len(members), maxInquired)] {
		jobs, err := g.at(member).Jobs(g.n.ctx)
		if err != nil {
			g.n.log.Debug("list jobs", "peer", g.n.label(member), "err", err)
		}
		all = append(all, jobs...)
	}
	return all
}
