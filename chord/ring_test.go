package chord

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testPeer(n, positions int) Peer {
	p := Peer{ID: PeerID(fmt.Sprintf("p%d", n)), Incarnation: 1, Seq: 1, Weight: 100}
	for i := range positions {
		p.Indexes = append(p.Indexes, uint32(i))
	}
	return p
}

func newTestRing(t testing.TB, n, positions int) *Ring {
	t.Helper()
	r, err := New(Config{}, testPeer(n, positions), rand.New(rand.NewPCG(1, uint64(n))))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pair is two rings that exchange messages at once.
type pair struct {
	t     testing.TB
	now   time.Time
	rings map[PeerID]*Ring
	mute  map[PeerID]bool
	cut   func(Message) bool // messages that get lost; nil: none
	races bool               // tells may come from peers that are successors no more
}

func (p *pair) carry(out Output) {
	p.t.Helper()
	queue := out.Messages
	for n := 0; len(queue) > 0; n++ {
		if n > 10_000 {
			p.t.Fatal("messages without end")
		}
		m := queue[0]
		queue = queue[1:]
		r := p.rings[m.To]
		if r == nil || p.mute[m.To] || p.mute[m.From] || p.cut != nil && p.cut(m) {
			continue
		}
		o := r.Step(p.now, m)
		if o.Refused != nil && !(p.races && m.Kind == KindTell && errors.Is(o.Refused, ErrUnsolicited)) {
			p.t.Fatalf("%s refuses: %v", m.To, o.Refused)
		}
		if err := r.check(); err != nil {
			p.t.Fatalf("%s: %v", m.To, err)
		}
		queue = append(queue, o.Messages...)
	}
}

func (p *pair) run(d time.Duration) {
	p.t.Helper()
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(10 * time.Millisecond)
		for _, id := range slices.Sorted(maps.Keys(p.rings)) {
			if r := p.rings[id]; r != nil && !p.mute[id] && !r.Deadline().IsZero() && !p.now.Before(r.Deadline()) {
				p.carry(r.Tick(p.now))
			}
		}
	}
}

func newPair(t testing.TB) *pair {
	p := &pair{t: t, now: start, rings: map[PeerID]*Ring{}, mute: map[PeerID]bool{}}
	for i := range 2 {
		p.rings[PeerID(fmt.Sprintf("p%d", i))] = newTestRing(t, i, 4)
	}
	p.carry(p.rings["p0"].Create(p.now))
	p.carry(p.rings["p1"].Join(p.now, []PeerID{"p0"}))
	p.run(time.Second)
	return p
}

func TestPairAgrees(t *testing.T) {
	p := newPair(t)
	a, b := p.rings["p0"].View(), p.rings["p1"].View()
	if a.Len() != 2 || a.Digest() != b.Digest() {
		t.Fatalf("views of %d and %d peers, digests %x and %x", a.Len(), b.Len(), a.Digest(), b.Digest())
	}
	if agree, of, _ := p.rings["p0"].Agreement(); agree != 1 || of != 1 {
		t.Fatalf("%d of %d agree", agree, of)
	}
	if sum := a.Owns("p0") + a.Owns("p1"); sum < 0.999999 || sum > 1.000001 {
		t.Fatalf("shares add up to %v", sum)
	}
}

// TestLateFarewell has a farewell of a peer's former life arrive when it is back: it is
// asked, and stays.
func TestLateFarewell(t *testing.T) {
	p := newPair(t)
	r := p.rings["p0"]
	farewell := Message{Kind: KindLeave, From: "p1", To: "p0", Left: true, Know: r.record("p1").mark() ^ 1}
	asked := len(r.requests)
	out := r.Step(p.now, farewell)
	if len(r.requests) != asked+1 {
		t.Errorf("%d requests, want %d", len(r.requests), asked+1)
	}
	p.carry(out)
	p.run(time.Second)
	if v := r.View(); v.Len() != 2 || r.Stats().Evicted != 0 {
		t.Fatalf("a farewell of another life: %d peers, %d evicted", v.Len(), r.Stats().Evicted)
	}
	farewell.Know ^= 1
	if r.Step(p.now, farewell); r.View().Len() != 1 {
		t.Fatal("a farewell of this life changes nothing")
	}
}

func TestOneLossEvictsNobody(t *testing.T) {
	p := newPair(t)
	r := p.rings["p0"]
	p.carry(r.Unreachable(p.now, "p1"))
	if v := r.View(); v.Len() != 2 {
		t.Fatal("evicted on one word of the driver")
	}
	p.mute["p1"] = true
	p.run(1500 * time.Millisecond)
	if v := r.View(); v.Len() != 2 || !v.Suspect("p1") {
		t.Fatalf("%d peers, suspect %v", v.Len(), v.Suspect("p1"))
	}
	p.mute["p1"] = false
	p.run(2 * time.Second)
	if v := r.View(); v.Len() != 2 || v.Suspect("p1") {
		t.Fatal("an answer did not clear the suspect")
	}
}

func TestSilenceEvictsAndReturnReadmits(t *testing.T) {
	p := newPair(t)
	r := p.rings["p0"]
	p.mute["p1"] = true
	p.run(5 * time.Second)
	if n := r.View().Len(); n != 2 {
		t.Fatalf("%d peers after 5 s of silence", n)
	}
	p.run(3 * time.Second)
	if n := r.View().Len(); n != 1 {
		t.Fatalf("%d peers after 8 s of silence", n)
	}
	p.mute["p1"] = false
	p.run(5 * time.Second)
	if n := r.View().Len(); n != 2 || r.Stats().Readmitted != 1 {
		t.Fatalf("%d peers, %+v", n, r.Stats())
	}
}

func TestLeaveIsImmediate(t *testing.T) {
	p := newPair(t)
	p.carry(p.rings["p1"].Leave(p.now))
	if n := p.rings["p0"].View().Len(); n != 1 {
		t.Fatalf("%d peers right after a farewell", n)
	}
	p.run(time.Second)
	if n := p.rings["p0"].View().Len(); n != 1 {
		t.Fatalf("%d peers a second after a farewell", n)
	}
}
