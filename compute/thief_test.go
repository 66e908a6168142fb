package compute

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// news is what a thief knows of a peer: its queue, how old that is, and how far away it is.
type news struct {
	queued uint32
	age    time.Duration
	rtt    time.Duration
}

// informed returns a thief that knows these peers, "a", "b" and so on.
func informed(t *testing.T, known ...news) *Scheduler {
	t.Helper()
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "thief", Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	s.now = time.Minute
	var ns []Neighbor
	for i, n := range known {
		ns = append(ns, Neighbor{ID: chord.PeerID('a' + rune(i)), RTT: n.rtt})
	}
	s.setNeighbors(ns)
	for i, n := range known {
		p := s.peers.get(chord.PeerID('a' + rune(i)))
		p.loadAt = s.now - n.age
		p.load = Load{Peer: p.id, Seq: 1, Lanes: []Lane{{Cap: "f/v1", Queued: n.queued}, {Cap: "g/v1", Queued: 1000}}}
	}
	return s
}

// News of a queue count for half as much every two seconds, and for nothing in the end.
func TestScoreAges(t *testing.T) {
	for _, x := range []struct {
		news
		want int
	}{
		{news{queued: 64}, 64},
		{news{queued: 64, age: loadHalf - 1}, 64},
		{news{queued: 64, age: loadHalf}, 32},
		{news{queued: 64, age: 2 * loadHalf}, 16},
		{news{queued: 1, age: loadHalf}, 0},
		{news{queued: 64, age: maxAge}, 2},
		{news{queued: 64, age: maxAge + 1}, 0},
		{news{queued: 0}, 0},
	} {
		s := informed(t, x.news)
		if got := s.score(s.peers.get("a")); got != x.want {
			t.Errorf("%+v: score %d, want %d", x.news, got, x.want)
		}
	}
}

// Of two peers that have work the thief takes the more loaded one, the nearer if they are about
// alike; who has none is asked only if nobody has.
func TestPick(t *testing.T) {
	far, near := 80*time.Millisecond, time.Millisecond
	for _, x := range []struct {
		a, b news
		want chord.PeerID
	}{
		{news{queued: 100}, news{queued: 10}, "a"},
		{news{queued: 10}, news{queued: 100}, "b"},
		{news{queued: 100, rtt: far}, news{queued: 10, rtt: near}, "a"},
		{news{queued: 100, rtt: far}, news{queued: 90, rtt: near}, "b"},
		{news{queued: 90, rtt: near}, news{queued: 100, rtt: far}, "a"},
		{news{queued: 100}, news{queued: 99}, "a"},
		{news{queued: 100, age: 3 * loadHalf}, news{queued: 50}, "b"}, // 12 by now
		{news{queued: 100, age: maxAge + 1}, news{queued: 1}, "b"},
		{news{queued: 0}, news{queued: 1}, "b"},
		{news{queued: 0}, news{queued: 0}, ""},
		{news{queued: 0}, news{queued: 9, age: maxAge + 1}, "b"}, // it may have work, and the other has none
	} {
		s := informed(t, x.a, x.b)
		for range 20 { // whichever is drawn first
			var got chord.PeerID
			if p := s.pick(); p != nil {
				got = p.id
			}
			if got != x.want {
				t.Errorf("%+v: picked %q", x, got)
				break
			}
		}
	}
}
