package chord

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// largeRing is a ring of n peers with one position each that is maintained as a
// large one is.
func largeRing(t *testing.T, n int) *pair {
	t.Helper()
	p := &pair{t: t, now: start, rings: map[PeerID]*Ring{}, mute: map[PeerID]bool{}}
	for i := range n {
		r, err := New(Config{SmallRing: -1, SuccessorPeers: 2, TableSize: -1}, testPeer(i, 1), rand.New(rand.NewPCG(2, uint64(i))))
		if err != nil {
			t.Fatal(err)
		}
		id := PeerID(fmt.Sprintf("p%d", i))
		p.rings[id] = r
		if i == 0 {
			p.carry(r.Create(p.now))
		} else {
			p.carry(r.Join(p.now, []PeerID{"p0"}))
		}
		p.run(time.Second)
	}
	p.run(20 * time.Second)
	return p
}

// overheard returns what r sends to a peer within a while, carried on.
func (p *pair) overheard(r *Ring, to PeerID, d time.Duration) []Message {
	var ms []Message
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(10 * time.Millisecond)
		out := r.Tick(p.now)
		for _, m := range out.Messages {
			if m.To == to {
				ms = append(ms, m)
			}
		}
		p.carry(out)
	}
	return ms
}

// awaitCalm lets time pass until no round of any peer comes within d.
func (p *pair) awaitCalm(d time.Duration) {
	p.t.Helper()
	for range 10_000 {
		calm := true
		for _, r := range p.rings {
			calm = calm && r.stabiliseAt.Sub(p.now) > d
		}
		if calm {
			return
		}
		p.run(10 * time.Millisecond)
	}
	p.t.Fatal("a round is always near")
}

func TestChangesAreToldOnce(t *testing.T) {
	p := largeRing(t, 3)
	for _, id := range []PeerID{"p0", "p1", "p2"} {
		r := p.rings[id]
		p.awaitCalm(5 * tellPause)
		s := r.slots[0]
		if len(s.list) != 2 || s.pred == nil {
			t.Fatalf("%s is followed by %v", id, s.list)
		}
		pred, digest := s.pred.Peer, r.stateDigest(s)
		if s.watcher != pred || s.watched != digest {
			t.Fatalf("%s last told %s", id, s.watcher)
		}
		// A change is told to the predecessor, by reference to what it holds.
		old := s.list
		r.setList(s, old[:1])
		ms := p.overheard(r, pred, 2*tellPause)
		i := slices.IndexFunc(ms, func(m Message) bool { return m.Kind == KindTell })
		if i < 0 {
			t.Fatalf("%s tells %s nothing: %+v", id, pred, ms)
		}
		st := ms[i].States[0]
		if len(ms[i].Peers) > 0 || st.Base != digest || len(st.List) != 1 || st.List[0].Peer != Known {
			t.Errorf("%s tells more than what is new: %+v", id, ms[i])
		}
		if got := p.rings[pred].slots[0].last; got.digest != r.stateDigest(s) {
			t.Errorf("%s was not understood by %s", id, pred)
		}
		if again := p.overheard(r, pred, 2*tellPause); slices.ContainsFunc(again, func(m Message) bool { return m.Kind == KindTell }) {
			t.Errorf("%s tells it again", id)
		}
		p.run(20 * time.Second)
	}
}

func TestForgedTellsChangeNothing(t *testing.T) {
	p := largeRing(t, 3)
	r := p.rings["p0"]
	head := r.slots[0].head()
	other := r.slots[0].list[1].Peer
	tell := func(from PeerID, st State) Message {
		return Message{Kind: KindTell, From: from, To: "p0", Member: true, Know: r.record(from).mark(), States: []State{st}}
	}
	stale := tell(head.Peer, State{Index: head.Index, Digest: 7})
	stale.Know++
	for name, c := range map[string]struct {
		m    Message
		want error
	}{
		"of no successor":      {tell(other, State{Index: 0, Digest: 7}), ErrUnsolicited},
		"of another position":  {tell(head.Peer, State{Index: 9, Digest: 7}), ErrUnsolicited},
		"of a former life":     {stale, ErrUnsolicited},
		"of a stranger":        {Message{Kind: KindTell, From: "p9", To: "p0", Member: true, Peers: []*Record{NewRecord(testPeer(9, 1))}}, ErrUnsolicited},
		"of an unknown entry":  {tell(head.Peer, State{Digest: 7, Base: r.slots[0].last.digest, List: []Ref{{Known, 9}}}), ErrMessage},
		"without end":          {Message{Kind: KindAsk, From: head.Peer, To: "p0", Wants: []Want{{Holds: make([]uint32, maxHolds+1)}}}, ErrMessage},
		"known without a base": {tell(head.Peer, State{Digest: 7, List: []Ref{{Known, 0}}}), ErrMessage},
	} {
		before := snap(r)
		if out := r.Step(p.now, c.m); !errors.Is(out.Refused, c.want) || len(out.Messages) > 0 {
			t.Errorf("%s: refused with %v, want %v; %d messages", name, out.Refused, c.want, len(out.Messages))
		}
		if after := snap(r); fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("%s changed the state: %+v, %+v", name, before, after)
		}
	}
	// One that refers to a state which we do not hold makes us ask.
	out := r.Step(p.now, tell(head.Peer, State{Index: head.Index, Digest: 7, Base: 9, List: []Ref{{Known, 0}}}))
	if out.Refused != nil || len(out.Messages) != 1 || len(out.Messages[0].Wants) != 1 {
		t.Errorf("an unknown base: %v, %+v", out.Refused, out.Messages)
	}
	p.run(5 * time.Second)
	// One that reminds us of what we were told does, too.
	out = r.Step(p.now, tell(head.Peer, State{Index: head.Index, Same: true}))
	if out.Refused != nil || len(out.Messages) != 1 || len(out.Messages[0].Wants) != 1 {
		t.Errorf("a reminder: %v, %+v", out.Refused, out.Messages)
	}
	// One that was overtaken changes nothing.
	list := slices.Clone(r.slots[0].list)
	r.slots[0].last.version.change += 10
	if r.Step(p.now, tell(head.Peer, State{Index: head.Index, Digest: 7, Version: 1})); !slices.Equal(list, r.slots[0].list) {
		t.Errorf("an old state was taken: %v", r.slots[0].list)
	}
}
