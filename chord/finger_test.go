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
