package model

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// joinStep is the virtual time from one batch of joiners to the next in a ring
// without tables, or a small one.
const joinStep = 500 * time.Millisecond

// joinPace is from one joiner to the next, on average, in a large ring with tables:
// news of more would pass the budget, so that peers went without tables for a while
// and newcomers chose their positions by a part of the ring.
const joinPace = 250 * time.Millisecond

// stand starts the peers as members of a ring at rest, each with positions chosen for
// the ring of those before it.
func (x *experiment) stand() {
	roster := chord.NewRoster()
	for len(x.peers) < x.s.Peers {
		p := x.Add([]uint32{0})
		if !x.s.unchosen {
			p.Record.Indexes = roster.Choose(p.Record.ID, x.s.Positions)
		}
		roster.Add(p.Record)
	}
	x.Stand(x.peers)
}

// choosePatience is how long a newcomer waits for its guide to hear of those before it,
// where it counts how well it chooses its positions.
const choosePatience = 30 * time.Second

// informed reports whether the guide sees all who have joined.
func (x *experiment) informed() bool {
	if x.guide == nil || !x.guide.Member() || x.s.FingersOnly {
		return true
	}
	n, _ := x.guide.Ring.Sees()
	return n == len(x.peers)
}

// form starts the peers, each with positions chosen for the ring as it is, and
// waits until they agree.
func (x *experiment) form(ctx context.Context) error {
	if x.s.Formed {
		x.stand()
		return nil
	}
	x.Create(x.newcomer())
	for len(x.peers) < x.s.Peers {
		n := x.batch()
		for range n {
			contact := x.pick(1)
			x.Join(x.newcomer(), contact...)
		}
		if err := x.pass(ctx, "joining", float64(len(x.peers))/float64(x.s.Peers), x.step(n)); err != nil {
			return err
		}
		if x.s.Keys > 0 {
			if _, err := x.RunUntil(choosePatience, joinStep, x.informed); err != nil {
				return err
			}
		}
	}
	limit := 5*time.Minute + time.Duration(x.s.Peers)*100*time.Millisecond
	end := x.Now() + limit
	for x.Now() < end && !x.whole() {
		if err := x.pass(ctx, "agreeing", 1-float64(end-x.Now())/float64(limit), x.pause()); err != nil {
			return err
		}
	}
	var err error
	if !x.whole() {
		err = fmt.Errorf("form a ring of %d: not agreed after %v: %w", x.s.Peers, x.Now(), x.Converged())
	}
	x.rep.FormS = x.Now().Seconds()
	return err
}

// step is the time to let pass after so many have joined.
func (x *experiment) step(joined int) time.Duration {
	const small = 64
	if x.s.FingersOnly || len(x.peers) <= small {
		return joinStep
	}
	return max(joinStep, time.Duration(joined)*joinPace)
}

// batch is how many join at a time: so few of those that there are that
// neighbours seldom join together, or as many while the ring is small; one after
// another where it counts how they choose their positions.
func (x *experiment) batch() int {
	const few, share = 16, 16
	if x.s.Keys > 0 {
		return 1
	}
	n := len(x.owners.members)
	return min(max(few, n/share), n, x.s.Peers-len(x.peers))
}

// pause is the virtual time from one look at the whole ring to the next.
func (x *experiment) pause() time.Duration {
	const look, easy = 250 * time.Millisecond, 2000
	return look * time.Duration(1+x.s.Peers/easy)
}

// whole reports whether all that are up are members of one perfect ring.
func (x *experiment) whole() bool {
	for _, p := range x.peers {
		if p.Up() && !p.Member() {
			return false
		}
	}
	return x.Converged() == nil
}

// pick returns up to n distinct members at random.
func (x *experiment) pick(n int) []*Peer {
	ms := x.owners.members
	n = min(n, len(ms))
	ps := make([]*Peer, 0, n)
	for len(ps) < n {
		if p := ms[x.rng.IntN(len(ms))]; !slices.Contains(ps, p) {
			ps = append(ps, p)
		}
	}
	return ps
}

// newcomer makes a peer with positions chosen by a member's view. Where all see
// all it is always the same member, as a ring that shows views works more.
func (x *experiment) newcomer() *Peer {
	p := x.Add([]uint32{0})
	if x.s.unchosen {
		return p
	}
	if x.guide == nil || !x.guide.Member() || x.s.FingersOnly {
		x.guide = nil
		if ms := x.pick(1); len(ms) > 0 {
			x.guide = ms[0]
		}
	}
	view := chord.NewView(p.Record.ID, nil)
	if x.guide != nil {
		view = x.guide.Ring.View()
	}
	p.Record.Indexes = chord.NewIndexes(view, p.Record.ID, x.s.Positions)
	return p
}
