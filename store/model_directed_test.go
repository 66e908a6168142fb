package store

import (
	"strings"
	"testing"
)

// directed is a world in which nothing happens by chance: three voters, all clocks
// right, no trouble, no repair, and no horizon that the schedule does not raise.
type directed struct {
	*world
	t      *testing.T
	base   Config
	voters [3]*peer // the first leads
	other  *peer    // has no seat
}

func newDirected(t *testing.T, m mutant) *directed {
	t.Helper()
	w := newWorld(1, m)
	w.deletes, w.chaos, w.grace = true, false, 1<<40
	for _, p := range w.peers {
		p.wall = 0
	}
	w.run(2000)
	d := &directed{world: w, t: t, base: w.newest()}
	if !d.base.Stable() || len(d.base.Voters) != len(d.voters) {
		t.Fatalf("in the beginning: %v", d.base)
	}
	for i, v := range d.base.Voters {
		d.voters[i] = w.peer(v.Peer)
		d.voters[i].pulling = true // so that it does not repair by itself
	}
	for _, p := range w.peers {
		if !d.base.IsVoter(p.self) {
			d.other = p
		}
		for !p.locate() {
			d.pass()
		}
	}
	return d
}

// pass lets all that is under way come to its end.
func (d *directed) pass() { d.run(d.now + 200) }

// write puts a value or a tombstone at the members that the writer reaches.
func (d *directed) write(by *peer, tombstone bool, level Level) Version {
	d.t.Helper()
	was := d.acked["k"]
	by.write("k", Record{Key: "k", Position: Route("", "k"), Tombstone: tombstone}, level)
	if d.pass(); d.acked["k"] == was && level != LevelOne {
		d.t.Fatal("the write was not acknowledged")
	}
	return d.acked["k"]
}

// raise goes through the phases of a raise of the horizon to now, up to the vote.
func (d *directed) raise() *Raise {
	d.t.Helper()
	leader := d.voters[0]
	r, err := NewRaise(leader.self, d.base, wall(leader.now()))
	if err != nil {
		d.t.Fatal(err)
	}
	for phase, left := r.Next(); phase != RaisePropose; phase, left = r.Next() {
		for _, v := range left {
			done := func(ok bool) {
				if ok {
					r.Done(v)
				}
			}
			if phase == RaiseCollect {
				leader.collectFrom(d.base, v, d.mutant == raiseUncollect, done)
			} else {
				d.peer(v.Peer).serveHorizon(d.base, v, r.Request(), func(reply any) { done(reply == StatusOK) })
			}
		}
		if d.pass(); phase == first(r.Next()) {
			d.t.Fatalf("phase %d of the raise does not end", phase)
		}
	}
	return r
}

// decide puts the horizon to the vote, until all know it and have dropped what is
// dead.
func (d *directed) decide(r *Raise) {
	d.t.Helper()
	d.voters[0].propose(d.base, r.Value())
	d.pass()
	for _, p := range d.voters {
		if !p.mem.Config.Equal(r.Value()) {
			d.t.Fatalf("%s is at %v", p.self.Peer, p.mem.Config)
		}
	}
}

// split cuts the calls between one peer and some.
func (d *directed) split(p *peer, from ...*peer) {
	for _, q := range from {
		d.cut[[2]int{p.index, q.index}], d.cut[[2]int{q.index, p.index}] = true, true
	}
}

// end has every peer read the key from all members.
func (d *directed) end() error {
	clear(d.cut)
	d.pass()
	for _, p := range d.peers {
		p.read("k", LevelAll)
		d.pass()
	}
	return d.failure
}

// A delete whose coordinator has a slow clock comes, below the horizon, to two voters
// that have confirmed, and not to the third, which holds the value.
func deleteBelow(t *testing.T, m mutant) error {
	d := newDirected(t, m)
	d.write(d.other, false, LevelAll)
	d.other.wall = -1500
	r := d.raise()
	d.split(d.voters[2], d.other, d.voters[1])
	d.write(d.other, true, LevelQuorum)
	d.decide(r)
	return d.end()
}

// A voter has fetched a value that it missed, and is about to store it, while the key
// is deleted, and the delete forgotten by all.
func pullAcross(t *testing.T, m mutant) error {
	d := newDirected(t, m)
	source, late := d.voters[1], d.voters[2]
	d.split(late, d.other)
	d.write(d.other, false, LevelQuorum)
	clear(d.cut)
	pull := NewPull(0, 1, Fingerprint{Count: 1 << 40}, "").By(late.rules(d.base))
	for target := (Target{Incarnation: source.self.Incarnation}); pull.Next().Kind != PullStore; d.pass() {
		var err error
		switch st := pull.Next(); st.Kind {
		case PullPage:
			st.Page.Target = target
			source.serveSync(d.base.Epoch, st.Page, func(reply any) { err = pull.Paged(reply.(SyncReply)) })
		case PullCompare:
			err = pull.Compared([]Version{late.held("k")})
		case PullFetch:
			st.Fetch.Target = target
			source.serveFetch(d.base.Epoch, st.Fetch, func(reply any) { err = pull.Fetched(reply.(FetchReply)) })
		default:
			t.Fatalf("the pull is at %d", st.Kind)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d.write(d.other, true, LevelAll)
	d.decide(d.raise())
	for _, p := range d.voters {
		if v := p.held("k"); !v.IsZero() {
			t.Fatalf("%s still holds %v", p.self.Peer, v)
		}
	}
	late.advance(d.base, source.self, pull, func(bool) {})
	return d.end()
}

// One of the voters misses a delete, and everybody forgets it.
func deleteMissed(by int) func(*testing.T, mutant) error {
	return func(t *testing.T, m mutant) error {
		d := newDirected(t, m)
		d.write(d.other, false, LevelAll)
		d.split(d.voters[by], d.other)
		d.write(d.other, true, LevelQuorum)
		clear(d.cut)
		d.decide(d.raise())
		return d.end()
	}
}

// Schedules in which one rule matters hold with it, and break without.
func TestDirected(t *testing.T) {
	for m, schedule := range map[mutant]func(*testing.T, mutant) error{
		raiseUnclosed: deleteBelow, raiseUncollect: deleteMissed(0), confirmBlindly: deleteMissed(2), latePulls: pullAcross,
	} {
		t.Run(strings.ReplaceAll(string(m), " ", "-"), func(t *testing.T) {
			if err := schedule(t, sound); err != nil {
				t.Errorf("with the rule: %v", err)
			}
			if schedule(t, m) == nil {
				t.Error("without the rule nothing is noticed")
			}
		})
	}
}
