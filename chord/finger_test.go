package chord

import (
	"slices"
	"testing"
	"time"
)

// newFingerRing returns a ring that keeps no table, and others by the exponent
// of their distance from its position, ascending.
func newFingerRing(t *testing.T, classic bool, others int) (*Ring, [256][]Place) {
	t.Helper()
	r := newTestRing(t, 0, 1)
	r.cfg.TableSize, r.cfg.Classic = -1, classic
	r.Create(start)
	var octaves [256][]Place
	for i := range others {
		rec := completed(testPeer(1+i, 1))
		r.table.admit(r.table.insert(rec))
		p := rec.places[0]
		k := distance(r.slots[0].ID, p.ID).bits() - 1
		octaves[k] = append(octaves[k], p)
	}
	r.usual = rtt{smooth: 100 * time.Millisecond, vary: 10 * time.Millisecond}
	return r, octaves
}

func (r *Ring) measured(id PeerID, trip time.Duration) {
	r.table.members[id].met().rtt = rtt{smooth: trip, vary: trip / 10}
}

func TestFingerPrefersNearPeers(t *testing.T) {
	const k = 255
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
		r, octaves := newFingerRing(t, c.classic, 16)
		ps := octaves[k]
		slices.SortFunc(ps, func(a, b Place) int { return distance(r.slots[0].ID, a.ID).Compare(distance(r.slots[0].ID, b.ID)) })
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
		if r.inInterval(k, octaves[k-1][0]) {
			t.Errorf("%s may be finger %d", octaves[k-1][0].ID.Short(), k)
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
		l := &lookup{target: target, nearer: []Place{at("p1", 0x07), at("p2", 0x0f), at("p3", 0xff)}}
		if got, _ := r.nextNearer(l); got != c.want {
			t.Errorf("%s: %s is asked, want %s", c.name, got, c.want)
		}
		l.asked = []PeerID{c.want}
		if got, ok := r.nextNearer(l); !ok || got == c.want {
			t.Errorf("%s: then %q is asked", c.name, got)
		}
	}
}
