package chord

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// until runs the rings until a condition holds, a minute at the most, and returns
// how long it took.
func (p *pair) until(what string, cond func() bool) time.Duration {
	p.t.Helper()
	began := p.now
	for p.now.Sub(began) < time.Minute {
		if cond() {
			return p.now.Sub(began)
		}
		p.run(100 * time.Millisecond)
	}
	p.t.Fatalf("not within a minute: %s", what)
	return 0
}

// one reports whether the peers form one ring: from each position to the one that
// it takes for the next, one comes round by way of all.
func (p *pair) one() bool {
	next := map[ID]ID{}
	for _, r := range p.rings {
		for _, s := range r.slots {
			next[s.ID] = s.head().ID
		}
	}
	seen := map[ID]bool{}
	turns := 0
	for at := p.rings["p0"].slots[0].ID; !seen[at]; at = next[at] {
		seen[at] = true
		if next[at].Compare(at) <= 0 {
			turns++
		}
	}
	return len(seen) == len(next) && turns == 1
}

// TestSplitMergesByKeys splits a ring until each side took the other for dead, and
// lets it grow together: no record needs to travel that was known before.
func TestSplitMergesByKeys(t *testing.T) {
	const n = 24
	p := tabledRing(t, n)
	p.races = true
	side := func(id PeerID) bool { return testNumber(id)%2 == 0 }
	p.cut = func(m Message) bool { return side(m.From) != side(m.To) }
	sees := func(want int) func() bool {
		return func() bool {
			for _, r := range p.rings {
				if v := r.View(); v.Len() != want || !v.Complete() {
					return false
				}
			}
			return true
		}
	}
	p.until("each side sees itself", sees(n/2))
	p.run(2 * oldDeath)

	records := 0
	p.cut = func(m Message) bool {
		records += len(m.Fetch)
		return false
	}
	took := p.until("all see all", sees(n))
	took += p.until("one ring", p.one)
	recalled := 0
	for _, r := range p.rings {
		for _, m := range r.table.members {
			if m.recalled {
				recalled++
			}
		}
	}
	t.Logf("one ring after %v; %d readmitted on the word of others", took, recalled)
	if records > 0 {
		t.Errorf("%d records were fetched, all of them were known", records)
	}
	if recalled < n {
		t.Errorf("only %d were readmitted on the word of others", recalled)
	}
}

// TestWordReadmitsOnce shows when the word of others readmits a departed peer.
func TestWordReadmitsOnce(t *testing.T) {
	p := tabledRing(t, 12)
	r := p.rings["p0"]
	p.mute["p5"] = true
	p.until("p5 is gone", func() bool { return r.table.departed["p5"] != nil })
	d := r.table.departed["p5"]
	meet := func() { r.reunion = r.now.Add(reunionSpan) }

	if r.now = d.at.Add(2 * oldDeath); r.recall(d) {
		t.Error("readmitted though no split was seen to end")
	}
	r.now = d.at.Add(oldDeath - 1)
	if meet(); r.recall(d) {
		t.Error("readmitted though others may not have heard of the death yet")
	}
	r.now = d.at.Add(oldDeath)
	d.left = true
	if meet(); r.recall(d) {
		t.Error("readmitted though it said farewell")
	}
	d.left = false
	verify := r.cfg.VerifyPeers
	r.cfg.VerifyPeers = 1000
	if r.recall(d) {
		t.Error("readmitted where all are checked")
	}
	r.cfg.VerifyPeers = verify
	if !r.recall(d) || !r.table.trusted("p5") || r.table.departed["p5"] != nil {
		t.Fatal("not readmitted")
	}
	r.evict(r.table.members["p5"], EventDead)
	r.now = r.now.Add(2 * oldDeath)
	if meet(); r.recall(r.table.departed["p5"]) {
		t.Error("readmitted twice on the word of others")
	}
}

// TestStrangersUnify lets two rings without tables meet that never knew each
// other, through one peer of each.
func TestStrangersUnify(t *testing.T) {
	const n = 32
	p := &pair{t: t, now: start, rings: map[PeerID]*Ring{}, mute: map[PeerID]bool{}, races: true}
	for i := range n {
		r, err := New(Config{SmallRing: -1, TableSize: -1}, testPeer(i, 2), rand.New(rand.NewPCG(5, uint64(i))))
		if err != nil {
			t.Fatal(err)
		}
		p.rings[r.self.ID] = r
		if i < 2 {
			p.carry(r.Create(p.now))
		} else {
			p.carry(r.Join(p.now, []PeerID{PeerID(fmt.Sprintf("p%d", i%2))}))
		}
		p.run(500 * time.Millisecond)
	}
	p.run(time.Minute)
	if p.one() {
		t.Fatal("one ring before they met")
	}
	p.carry(p.rings["p4"].Hint(p.now, Peer{ID: "p7"}))
	t.Logf("one ring after %v", p.until("one ring", p.one))
}

// testNumber is the number of a peer that testPeer made.
func testNumber(id PeerID) (n int) {
	if _, err := fmt.Sscanf(string(id), "p%d", &n); err != nil {
		panic(err)
	}
	return n
}
