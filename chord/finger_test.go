package chord

import (
	"slices"
	"testing"
	"time"
)

// newFingerRing returns a ring that keeps no table, and others by the interval of their
// distance from its anchor, ascending.
func newFingerRing(t *testing.T, classic bool, others int) (*Ring, [512][]Place) {
	t.Helper()
	r := newTestRing(t, 0, 1)
	r.cfg.TableSize, r.cfg.Classic = -1, classic
	r.Create(start)
	var intervals [512][]Place
	for i := range others {
		rec := completed(testPeer(1+i, 1))
		r.table.admit(r.table.insert(rec))
		p := rec.places[0]
		k := ordinal(distance(r.anchor.ID, p.ID))
		intervals[k] = append(intervals[k], p)
	}
	for _, ps := range intervals {
		slices.SortFunc(ps, func(a, b Place) int { return distance(r.anchor.ID, a.ID).Compare(distance(r.anchor.ID, b.ID)) })
	}
	r.usual = rtt{smooth: 100 * time.Millisecond, vary: 10 * time.Millisecond}
	return r, intervals
}

// spanned lets the ring believe that its lists cover such a share of the circle.
func (r *Ring) spanned(share float64) { r.spanAt, r.span = r.revision+1, share }

func (r *Ring) measured(id PeerID, trip time.Duration) {
	r.table.members[id].met().rtt = rtt{smooth: trip, vary: trip / 10}
}

func TestFingerPrefersNearPeers(t *testing.T) {
	const k = 1 // the quarter of the circle from its half on
	for _, c := range []struct {
		name    string
		classic bool
		trips   [3]time.Duration // of the first three of the interval
		want    [2]int
	}{
		{"not measured", false, [3]time.Duration{}, [2]int{0, 1}},
		{"the last is quick", false, [3]time.Duration{170 * time.Millisecond, 180 * time.Millisecond, 20 * time.Millisecond}, [2]int{2, 0}},
		{"hardly any difference", false, [3]time.Duration{101 * time.Millisecond, 100 * time.Millisecond, 99 * time.Millisecond}, [2]int{0, 1}},
		{"classic", true, [3]time.Duration{170 * time.Millisecond, 180 * time.Millisecond, 20 * time.Millisecond}, [2]int{0, 1}},
	} {
		r, intervals := newFingerRing(t, c.classic, 32)
		ps := intervals[k]
		r.fixedFinger(k, ps)
		if asked := r.out[ps[2].Peer] != nil; asked == c.classic {
			t.Errorf("%s: measured: %v", c.name, asked)
		}
		for i, trip := range c.trips {
			if trip > 0 {
				r.measured(ps[i].Peer, trip)
			}
		}
		r.rankFinger()
		if want := (finger{ps[c.want[0]], ps[c.want[1]]}); !slices.Equal(r.fingers[k], want) {
			t.Errorf("%s: finger %d is %v, want %v", c.name, k, r.fingers[k], want)
		}
		r.fixedFinger(k, ps[1:2])
		r.rankFinger()
		if f := r.fingers[k]; !c.classic && f[0] != ps[c.want[0]] {
			t.Errorf("%s: %v took the place of %v", c.name, f[0], ps[c.want[0]])
		}
		if near := intervals[k+1][0]; r.inInterval(k, near) {
			t.Errorf("%s may be finger %d", near.ID.Short(), k)
		}
		if far := intervals[k-1][0]; r.inInterval(k, far) != c.classic {
			t.Errorf("%s: %s may be finger %d: %v", c.name, far.ID.Short(), k, !c.classic)
		}
	}
}

func TestNextHopWeighsRoundTrips(t *testing.T) {
	target := ID{0x80}
	at := func(peer PeerID, before byte) Place { return Place{ID: ID{0x7f, 0xff - before}, Peer: peer} }
	for _, c := range []struct {
		name    string
		classic bool
		trips   map[PeerID]time.Duration
		want    PeerID
	}{
		{"nobody measured", false, nil, "p1"},
		{"the nearest is slow", false, map[PeerID]time.Duration{"p1": 250 * time.Millisecond}, "p2"},
		{"one farther off is quick", false, map[PeerID]time.Duration{"p2": 10 * time.Millisecond, "p1": 130 * time.Millisecond}, "p2"},
		{"one much farther off is quick", false, map[PeerID]time.Duration{"p3": 10 * time.Millisecond}, "p1"},
		{"classic", true, map[PeerID]time.Duration{"p1": time.Second, "p2": time.Millisecond}, "p1"},
	} {
		r, _ := newFingerRing(t, c.classic, 4)
		for id, trip := range c.trips {
			r.measured(id, trip)
		}
		r.spanned(1.0 / (1 << 13)) // 8/256 of the last byte: p1 stands one list before the target, p2 two
		l := &lookup{target: target}
		for _, p := range []Place{at("p1", 0x07), at("p2", 0x0f), at("p3", 0xff)} {
			l.nearer = append(l.nearer, step{p, r.reach(p, target)})
		}
		if got, _ := r.nextNearer(l); got != c.want {
			t.Errorf("%s: %s is asked, want %s", c.name, got, c.want)
		}
		l.asked = []PeerID{c.want}
		if got, ok := r.nextNearer(l); !ok || got == c.want {
			t.Errorf("%s: then %q is asked", c.name, got)
		}
	}
}

// busy lets the ring believe that it is large and changes, or for false is at rest.
func (r *Ring) busy(changes bool) {
	r.cfg.SmallRing = 0
	for _, s := range r.slots {
		s.quiet = quietRounds + 1
		if changes {
			s.quiet = 0
		}
	}
}

// TestOfferedFingers offers places for both halves of a power of two: where much changes, one
// is enough.
func TestOfferedFingers(t *testing.T) {
	const k = 1
	for _, changes := range []bool{true, false} {
		r, intervals := newFingerRing(t, false, 32)
		r.anchor.list = []Place{{ID: plusPow2(r.anchor.ID, 240)}}
		r.busy(changes)
		for _, p := range []Place{intervals[k][0], intervals[k^1][0]} {
			clear(r.out)
			r.offerFinger(r.record(p.Peer))
			if first := p == intervals[k][0]; (r.out[p.Peer] != nil) != (first || !changes) {
				t.Errorf("changes %v: the peer of the first %v is measured: %v", changes, first, r.out[p.Peer] != nil)
			}
		}
		if f := *r.fingerAt(k ^ 1); len(f) == 0 != changes || r.missing(k^1) {
			t.Errorf("changes %v: the other half is %v, missing %v", changes, f, r.missing(k^1))
		}
	}
}

// TestKnownFingers lets a ring take a missing finger of those that it knows: an anchor, though
// others stand nearer, or whoever is there.
func TestKnownFingers(t *testing.T) {
	const k = 1
	r, _ := newFingerRing(t, false, 1)
	from, _ := r.interval(k)
	if r.takeFinger(k) && r.fingers[k] == nil {
		t.Error("took nobody")
	}
	r.fingers = nil
	var anchors, others []Place
	for i := range 32 {
		rec := completed(testPeer(60+i, 4))
		r.table.admit(r.table.insert(rec))
		for j, p := range rec.places {
			switch {
			case !r.inInterval(k, p):
			case j == 0:
				anchors = append(anchors, p)
			default:
				others = append(others, p)
			}
		}
	}
	for _, ps := range [][]Place{anchors, others} {
		slices.SortFunc(ps, func(a, b Place) int { return distance(from, a.ID).Compare(distance(from, b.ID)) })
	}
	if distance(from, anchors[0].ID).Compare(distance(from, others[0].ID)) < 0 {
		t.Fatal("an anchor is the first anyway")
	}
	if !r.takeFinger(k) || !slices.Equal(r.fingers[k], finger{anchors[0]}) {
		t.Errorf("took %v, want %v", r.fingers[k], anchors[0])
	}
	if r.out[anchors[0].Peer] == nil {
		t.Error("nobody measures it")
	}
	clear(r.out)
	r.now = start
	m := r.table.members[anchors[0].Peer]
	m.met().heard = start
	r.measured(anchors[0].Peer, time.Millisecond)
	if r.takeFinger(k); r.out[anchors[0].Peer] != nil {
		t.Error("one that was measured and heard is asked again")
	}
	for _, p := range anchors {
		r.table.members[p.Peer].met().suspect = true
	}
	r.table.changed = true
	i := slices.IndexFunc(others, func(p Place) bool { return r.table.trusted(p.Peer) })
	if !r.takeFinger(k) || r.fingers[k][0] != others[i] {
		t.Errorf("without anchors took %v, want %v", r.fingers[k], others[i])
	}
}

// TestRoundTripsMustLead lets one that stands near and answers quickly have led nowhere: those
// that lead to the target sooner come before others that answer as quickly.
func TestRoundTripsMustLead(t *testing.T) {
	target := ID{0x80}
	r, _ := newFingerRing(t, false, 4)
	r.spanned(0.5)
	r.measured("p1", 250*time.Millisecond)
	r.measured("p2", time.Millisecond)
	l := &lookup{target: target}
	for i, id := range []PeerID{"p1", "p2"} {
		p := Place{ID: ID{0x7f - byte(i)}, Peer: id}
		l.nearer = append(l.nearer, step{p, r.reach(p, target)})
	}
	for futile, want := range []PeerID{"p2", "p1"} {
		l.futile = futile
		if got, _ := r.nextNearer(l); got != want {
			t.Errorf("after %d that led nowhere %s is asked, want %s", futile, got, want)
		}
	}
}

// TestAstray lets a lookup begin anew: it goes by the nearest before the target, whatever the
// reach, and wants to be told of as many as there is room for.
func TestAstray(t *testing.T) {
	r, _ := newFingerRing(t, false, 30)
	for i := range 30 {
		r.table.admit(r.table.insert(completed(testPeer(50+i, 4))))
	}
	r.spanned(0.001)
	differs := false
	for i := range 20 {
		l := &lookup{target: HashID([]byte{byte(i)})}
		for l.starts = 1; l.starts <= 2; l.starts++ {
			var got []Place
			for _, s := range r.approach(l) {
				got = append(got, s.Place)
			}
			nearest := r.preceding(l.target, maxNearer)
			if l.starts == 1 {
				differs = differs || !slices.Equal(got, nearest)
			} else if !slices.Equal(got, nearest) {
				t.Fatalf("begins anew with %v, want %v", got, nearest)
			} else if most := l.most("p1"); most != maxReferal {
				t.Errorf("is told of %d, want %d", most, maxReferal)
			}
		}
	}
	if !differs {
		t.Error("the reach made no difference before")
	}
}
