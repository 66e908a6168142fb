package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

const (
	drainTimeout = 1500 * time.Millisecond // for tasks of others to go back to them
	goneTimeout  = 8 * time.Second
	leavePoll    = 50 * time.Millisecond
	farewell     = time.Second // for those who check to hear that this peer left
)

// Close stops the peer and keeps its data for the next start: stopping is not
// leaving. Tasks of other peers go back to them. It takes 10 s at the most and
// may be called repeatedly.
func (n *Node) Close() error {
	n.end.Do(func() { n.endErr = n.shut() })
	if n.disk != nil {
		// The disk of a peer that was killed lets go of its files in its own time.
		select {
		case <-n.disk.Gone():
		case <-time.After(goneTimeout):
		}
	}
	return n.endErr
}

func (n *Node) shut() error {
	var errs []error
	if n.tasks != nil {
		n.drain()
	}
	n.up.Store(false)
	n.cancel()
	if n.control != nil {
		errs = append(errs, n.control.close())
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	errs = append(errs, n.stopParts())
	if n.disk != nil {
		errs = append(errs, n.disk.Close())
	}
	if n.home != nil {
		errs = append(errs, n.home.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop peer: %w", err)
	}
	return nil
}

// stopParts ends the loops, the workers and all goroutines of the node.
func (n *Node) stopParts() error {
	var errs []error
	if n.members != nil {
		errs = append(errs, n.members.loop.Close())
	}
	if n.plain != nil {
		errs = append(errs, n.plain.loop.Close())
	}
	if n.tasks != nil {
		errs = append(errs, n.tasks.loop.Close())
	}
	if n.workers != nil {
		errs = append(errs, n.workers.close())
	}
	n.group.close()
	return errors.Join(errs...)
}

// drain gives tasks of other peers back, as far as that is quick.
func (n *Node) drain() {
	ctx, cancel := context.WithTimeout(n.ctx, drainTimeout)
	defer cancel()
	err := n.tasks.loop.Act(ctx, func(core scheduler, now time.Time) compute.Output { return core.Drain(now) })
	for err == nil {
		var drained bool
		if err = n.tasks.loop.Do(ctx, func(core scheduler) { drained = core.Drained() }); err != nil || drained {
			return
		}
		if !sleep(ctx, leavePoll/5) {
			return
		}
	}
}

// Kill ends the peer as the death of its process would, for simulations:
// sockets are closed, goroutines cut, nothing is flushed or announced. The home
// can be used again afterwards.
func (n *Node) Kill() {
	n.end.Do(func() {
		n.up.Store(false)
		if n.disk != nil {
			n.disk.Crash()
		}
		n.cancel()
		n.host.Kill()
		if n.control != nil {
			n.control.kill()
		}
		n.endErr = n.stopParts()
		if n.home != nil {
			n.endErr = errors.Join(n.endErr, n.home.Close())
		}
	})
}

// Leave hands everything that the peer keeps over to others, leaves the ring
// for good and stops. The error is ErrLastPeer if there is nobody to hand over
// to: the peer goes on then. Jobs that were submitted here end with it, unless they are
// durable.
func (n *Node) Leave(ctx context.Context) error {
	if err := n.handOver(ctx); err != nil {
		return err
	}
	return n.Close()
}

// ErrLastPeer refuses the leave of a ring's last peer.
var ErrLastPeer error = &client.Error{
	Code:    client.CodeLastPeer,
	Message: "leave: there is no other peer to hand the keys over to",
	Fix:     "stop the peer instead (its data is kept), or join another peer first",
}

// namedJobs bounds the jobs that an error names.
const namedJobs = 8

// refuseOpenJobs returns an error if there are jobs that would end with this peer.
func (n *Node) refuseOpenJobs() error {
	if n.guest != nil {
		return nil
	}
	var open []string
	for _, j := range n.Jobs() {
		if !j.Durable && !j.Ended() {
			open = append(open, j.ID)
		}
	}
	if len(open) == 0 {
		return nil
	}
	names := strings.Join(open[:min(len(open), namedJobs)], ", ")
	if more := len(open) - namedJobs; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return &client.Error{
		Code:    client.CodeJobsOpen,
		Message: "leave: jobs that were submitted here have not ended, and would end with this peer: " + names,
		Fix:     "peer job get " + open[0] + " (waits for its end), or peer leave --force; jobs submitted with --durable outlive their peer",
	}
}

// handOver says in the peer's record that it wants no keys, waits until no
// shard depends on it, and tells its neighbours that it leaves.
func (n *Node) handOver(ctx context.Context) error {
	if n.guest != nil {
		return n.guest.refuses("leave", "stop it, and remove its home: it keeps nothing for others")
	}
	if n.view().Len() < 2 {
		return ErrLastPeer
	}
	weigh := func(weight uint32) func(*chord.Peer) { return func(p *chord.Peer) { p.Weight = weight } }
	if err := n.publish(ctx, weigh(0)); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	n.mover.kick()
	for {
		left := n.seats()
		if len(left) == 0 {
			break
		}
		if !sleep(ctx, leavePoll) {
			return errors.Join(n.stillSeated(left, ctx.Err()), n.publish(n.ctx, weigh(n.record.weight)))
		}
	}
	n.drain()
	err := n.members.do(ctx, func(core *chord.Ring, now time.Time) chord.Output { return core.Leave(now) })
	if err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	sleep(ctx, farewell)
	return nil
}

// seats lists the shards that still count on this peer: as a member, or as the
// one who knows that it is none any more.
func (n *Node) seats() []store.ShardID {
	var ids []store.ShardID
	for id := range n.shards.all() {
		if n.shards.wasSeated(id) && (n.shards.config(id).IsMember(n.self) || !n.mover.atRest(id)) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (n *Node) stillSeated(ids []store.ShardID, why error) error {
	var waits []string
	c := n.shards.config(ids[0])
	for _, v := range c.Members() {
		if p, ok := n.view().Peer(v.Peer); !ok || p.Incarnation != v.Incarnation {
			waits = append(waits, n.label(v.Peer))
		}
	}
	slices.Sort(waits)
	text := fmt.Sprintf("leave: %d shards still count on this peer (%v)", len(ids), why)
	if len(waits) > 0 {
		text += fmt.Sprintf("; out of reach: %v", waits)
	}
	return &client.Error{Code: client.CodeTimeout, Message: text, Fix: "peer ring, then peer leave again with a longer --timeout"}
}
