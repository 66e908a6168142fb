package chord

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// tabledRing is a ring of n peers that is maintained as a large one is, with
// tables that need no check of each peer.
func tabledRing(t *testing.T, n int) *pair {
	t.Helper()
	p := &pair{t: t, now: start, rings: map[PeerID]*Ring{}, mute: map[PeerID]bool{}}
	for i := range n {
		r, err := New(Config{SmallRing: -1, VerifyPeers: 1}, testPeer(i, 2), rand.New(rand.NewPCG(3, uint64(i))))
		if err != nil {
			t.Fatal(err)
		}
		p.rings[PeerID(fmt.Sprintf("p%d", i))] = r
		if i == 0 {
			p.carry(r.Create(p.now))
		} else {
			p.carry(r.Join(p.now, []PeerID{"p0"}))
		}
		p.run(500 * time.Millisecond)
	}
	p.run(time.Minute)
	for id, r := range p.rings {
		if v := r.View(); v.Len() != n || !v.Complete() {
			t.Fatalf("%s sees %d peers of %d, complete: %v", id, v.Len(), n, v.Complete())
		}
	}
	return p
}

// TestNewsReachEverybodyOnce passes events on along the tree and counts how
// often each peer is told.
func TestNewsReachEverybodyOnce(t *testing.T) {
	const n = 40
	p := tabledRing(t, n)
	for from, r := range p.rings {
		origin := item{newsKey: newsKey{at: r.rng.Uint64(), mark: 1, gone: true}, kind: EventDead, until: r.self.standing(), due: p.now}
		told := map[PeerID]int{}
		type task struct {
			at *Ring
			it item
		}
		queue := []task{{r, origin}}
		for len(queue) > 0 {
			next := queue[0]
			queue = queue[1:]
			next.at.now = p.now
			next.at.items = []item{next.it}
			next.at.passOn()
			for id, o := range next.at.out {
				delete(next.at.out, id)
				for _, it := range o.news {
					told[id]++
					queue = append(queue, task{p.rings[id], it})
				}
			}
		}
		if len(told) != n-1 || told[from] > 0 {
			t.Errorf("%s reaches %d of %d", from, len(told), n-1)
		}
		for id, k := range told {
			if k != 1 {
				t.Errorf("%s is told %d times", id, k)
			}
		}
	}
}

func TestJoinAndDeathAreNewsToAll(t *testing.T) {
	const n = 12
	p := tabledRing(t, n)
	late, err := New(Config{SmallRing: -1, VerifyPeers: 1}, testPeer(n, 2), rand.New(rand.NewPCG(3, n)))
	if err != nil {
		t.Fatal(err)
	}
	p.rings[late.self.ID] = late
	p.carry(late.Join(p.now, []PeerID{"p3"}))
	p.run(3 * time.Second)
	for id, r := range p.rings {
		if v := r.View(); v.Len() != n+1 {
			t.Errorf("%s sees %d peers 3 s after a join, want %d", id, v.Len(), n+1)
		}
	}
	p.mute["p5"] = true
	p.run(30 * time.Second)
	delete(p.rings, "p5")
	for id, r := range p.rings {
		if v := r.View(); v.Len() != n {
			t.Errorf("%s sees %d peers 30 s after a death, want %d", id, v.Len(), n)
		}
	}
}

func TestForgedNewsAreHints(t *testing.T) {
	p := tabledRing(t, 12)
	r := p.rings["p0"]
	head := r.slots[0].head().Peer
	from := PeerID("p1")
	if head == from {
		from = "p2"
	}
	req := uint64(1 << 40)
	news := func(ns ...News) Message {
		req++
		return Message{Kind: KindAsk, From: from, To: "p0", Req: req, Member: true, News: ns}
	}
	end := func(id PeerID) News {
		rec := r.record(id)
		k := rec.newsKey(true)
		return News{Kind: EventDead, At: k.at, Mark: k.mark, Until: r.self.standing() + 1}
	}
	for name, m := range map[string]Message{
		"too many":         news(make([]News, maxNews+1)...),
		"kind 0":           news(News{}),
		"without a record": news(News{Kind: EventAlive, Peer: 1}),
		"keys":             {Kind: KindAsk, From: from, To: "p0", Fetch: make([]uint32, maxFetch+1)},
		"part":             {Kind: KindAsk, From: from, To: "p0", Part: buckets},
	} {
		before := snap(r)
		if out := r.Step(p.now, m); !errors.Is(out.Refused, ErrMessage) || fmt.Sprint(before) != fmt.Sprint(snap(r)) {
			t.Errorf("%s: refused with %v", name, out.Refused)
		}
	}
	// A neighbour that is said to be dead is asked, and stays.
	out := r.Step(p.now, news(end(head)))
	asked := false
	for _, m := range out.Messages {
		asked = asked || m.To == head && m.Kind == KindAsk
	}
	if !asked || r.View().Len() != 12 {
		t.Errorf("a forged end of %s: asked %v, %d peers", head, asked, r.View().Len())
	}
	out.Messages = slices.DeleteFunc(out.Messages, func(m Message) bool { return m.Kind == KindReply })
	p.carry(out)
	// The same news are not carried again, nor those of our own end.
	items := len(r.items)
	r.Step(p.now, news(end(head)))
	r.Step(p.now, news(end("p0"), end(head)))
	if len(r.items) > items {
		t.Errorf("%d items to carry, %d before", len(r.items), items)
	}
	p.run(20 * time.Second)
	for id, x := range p.rings {
		if n := x.View().Len(); n != 12 {
			t.Errorf("%s sees %d peers after lies", id, n)
		}
	}
}

// TestBudgetNarrowsAndWidens lets a ring change too fast for the budget and
// then not at all.
func TestBudgetNarrowsAndWidens(t *testing.T) {
	p := tabledRing(t, 12)
	r := p.rings["p0"]
	for range 40 {
		p.run(2 * time.Second)
		r.budget.listed += 1000
	}
	if v := r.View(); !r.narrow || v.Complete() {
		t.Fatalf("narrow %v, complete %v at %.0f events a second", r.narrow, v.Complete(), r.budget.events)
	}
	if out := r.Refresh(p.now, []PeerID{"p1"}); !out.Messages[0].Narrow || len(out.Messages[0].Sync) > 0 {
		t.Errorf("does not say that it keeps no table: %+v", out.Messages[0])
	}
	p.run(5 * time.Minute)
	if v := r.View(); r.narrow || !v.Complete() || v.Len() != 12 {
		t.Fatalf("narrow %v, complete %v, %d peers, at %.2f events a second", r.narrow, v.Complete(), v.Len(), r.budget.events)
	}
}

// TestRefreshAsksThem covers the driver's request to ask peers how they see the
// ring now.
func TestRefreshAsksThem(t *testing.T) {
	p := tabledRing(t, 6)
	r := p.rings["p0"]
	r.table.members["p4"].met().digest = 7
	agree, of, differ := r.Agreement()
	if agree != 4 || of != 5 || len(differ) != 1 || differ[0] != "p4" {
		t.Fatalf("%d of %d agree, %v differ", agree, of, differ)
	}
	out := r.Refresh(p.now, append(differ, "p0", "nobody"))
	if len(out.Messages) != 1 || out.Messages[0].To != "p4" || out.Messages[0].Kind != KindAsk {
		t.Fatalf("Refresh sends %+v", out.Messages)
	}
	if again := r.Refresh(p.now, differ); len(again.Messages) != 0 {
		t.Errorf("asked again while the answer is under way: %+v", again.Messages)
	}
	p.carry(out)
	if agree, of, _ := r.Agreement(); agree != of {
		t.Errorf("%d of %d agree after the answer", agree, of)
	}
}
