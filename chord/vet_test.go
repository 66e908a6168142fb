package chord

import (
	"slices"
	"testing"
	"time"
)

// trio is a ring of three in which p0 and p2 cannot hear each other.
func trio(t *testing.T) *pair {
	t.Helper()
	p := newPair(t)
	p.rings["p2"] = newTestRing(t, 2, 4)
	p.carry(p.rings["p2"].Join(p.now, []PeerID{"p0"}))
	p.run(5 * time.Second)
	for id, r := range p.rings {
		if n := r.View().Len(); n != 3 {
			t.Fatalf("%s sees %d peers", id, n)
		}
	}
	p.cut = func(m Message) bool { return m.From == "p0" && m.To == "p2" || m.From == "p2" && m.To == "p0" }
	return p
}

// What a helper says delays an eviction, for a bounded time.
func TestHelperVouches(t *testing.T) {
	p := trio(t)
	r := p.rings["p0"]
	p.run(10 * time.Second)
	if v := r.View(); v.Len() != 3 || !v.Suspect("p2") {
		t.Fatalf("%d peers, suspect %v, after 10 s in which p1 heard of p2", v.Len(), v.Suspect("p2"))
	}
	if s := r.Stats(); s.Vouched == 0 || p.rings["p1"].Stats().Vetted == 0 {
		t.Fatalf("p1 did not vouch: %+v", s)
	}
	p.run(10 * time.Second)
	if n := r.View().Len(); n != 2 {
		t.Errorf("%d peers after 20 s of silence", n)
	}
}

// A helper that says nothing changes nothing.
func TestHelperIsSilent(t *testing.T) {
	p := trio(t)
	cut := p.cut
	p.cut = func(m Message) bool { return cut(m) || m.To == "p2" }
	p.run(8 * time.Second)
	if n := p.rings["p0"].View().Len(); n != 2 {
		t.Errorf("%d peers after 8 s of silence", n)
	}
}

// A word that nobody asked for does not count, nor does a second one.
func TestUnaskedWord(t *testing.T) {
	p := trio(t)
	p.run(3 * time.Second)
	r := p.rings["p0"]
	m := r.table.members["p2"]
	word := Event{Kind: EventHeard, Peer: "p2", Incarnation: 1, Seq: 1}
	m.helpers, m.suspicion.heardOf = []PeerID{"p1"}, time.Time{}
	r.heardOf("p9", word)
	r.heardOf("p1", Event{Kind: EventHeard, Peer: "p2", Incarnation: 7})
	r.heardOf("p1", Event{Kind: EventHeard, Peer: "p9"})
	if !m.suspicion.heardOf.IsZero() {
		t.Fatal("a word that nobody asked for counts")
	}
	r.heardOf("p1", word)
	first := m.suspicion.heardOf
	if !first.Equal(r.now) {
		t.Fatal("the word of a helper does not count")
	}
	r.now = r.now.Add(time.Millisecond)
	r.heardOf("p1", word)
	if !m.suspicion.heardOf.Equal(first) {
		t.Error("a helper's second word counts")
	}
}

// A helper probes a few of an asker's suspects a second, of those that it knows.
func TestVetIsBounded(t *testing.T) {
	p := newPair(t)
	r := p.rings["p1"]
	for i := 10; i < 30; i++ {
		r.admit(r.table.insert(completed(testPeer(i, 4))))
	}
	ask := func() (probed []PeerID) {
		m := Message{Kind: KindAsk, From: "p0", To: "p1", Req: 1, Member: true, Vets: []PeerID{"p99", "p0", "p1"}} // a stranger, the asker, the helper
		for i := 10; i < 22; i++ {
			m.Vets = append(m.Vets, testPeer(i, 1).ID)
		}
		for _, out := range r.Step(p.now, m).Messages {
			if out.Kind == KindAsk && out.To != "p0" && slices.Contains(m.Vets, out.To) {
				probed = append(probed, out.To)
			}
		}
		return probed
	}
	if got := ask(); len(got) != vetsOfOne {
		t.Errorf("probed %v, want %d", got, vetsOfOne)
	}
	if got := ask(); len(got) != 0 {
		t.Errorf("probed %v in the same second", got)
	}
	p.now = p.now.Add(vetSpan)
	if got := ask(); len(got) != vetsOfOne {
		t.Errorf("probed %v a second later, want %d", got, vetsOfOne)
	}
	r.vetting.prune(p.now.Add(2 * vetKept))
	if n := len(r.vetting.suspects); n != 0 {
		t.Errorf("%d suspects are kept", n)
	}
}
