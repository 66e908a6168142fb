package model

import (
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// consecutive returns the indexes 0 to k-1.
func consecutive(k int) []uint32 {
	is := make([]uint32, k)
	for i := range is {
		is[i] = uint32(i)
	}
	return is
}

// formed starts n peers at once and waits until they agree.
func formed(t *testing.T, n, k int, within time.Duration) *World {
	t.Helper()
	w := NewWorld(chord.Config{}, uint64(n))
	for range n {
		w.Add(consecutive(k))
	}
	w.Create(w.peers[0])
	for _, p := range w.peers[1:] {
		w.Join(p, w.peers[0])
	}
	w.await(t, "agree", within, func() bool { return len(w.Members()) == n && w.Agreed() })
	w.await(t, "perfect", 20*time.Second, func() bool { return w.Converged() == nil })
	return w
}

// await fails the test if the condition does not come to hold in time.
func (w *World) await(t *testing.T, what string, within time.Duration, cond func() bool) {
	t.Helper()
	began := w.Now()
	ok, err := w.RunUntil(within, 50*time.Millisecond, cond)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Fatalf("%s: not within %v: %v", what, within, w.Converged())
	}
	t.Logf("%s: %v", what, w.Now()-began)
}

func TestFormation(t *testing.T) {
	for _, c := range []struct {
		n, k          int
		agree, silent time.Duration // limits: to agree, and to notice a death without evidence
	}{
		{1, 1, time.Second, 0},
		{1, 8, time.Second, 0},
		{2, 1, time.Second, 9 * time.Second},
		{3, 8, time.Second, 9 * time.Second},
		{5, 1, 2 * time.Second, 9 * time.Second},
		{5, 8, 2 * time.Second, 9 * time.Second},
		{20, 8, 5 * time.Second, 11 * time.Second},
		{60, 4, 8 * time.Second, 20 * time.Second},
	} {
		t.Run(fmt.Sprintf("n=%d/k=%d", c.n, c.k), func(t *testing.T) {
			w := formed(t, c.n, c.k, c.agree)
			if c.n == 1 {
				return
			}
			w.await(t, "calm", 20*time.Second, func() bool { return w.Now() > 15*time.Second })
			w.Crash(w.peers[c.n-1])
			w.await(t, "crash", 2*time.Second, w.Agreed)
			w.Net.Evidence = false
			w.Crash(w.peers[0])
			w.await(t, "silent crash", c.silent, w.Agreed)
			w.await(t, "perfect", 10*time.Second, func() bool { return w.Converged() == nil })
		})
	}
}

// TestCalmIsQuiet bounds what five idle peers send.
func TestCalmIsQuiet(t *testing.T) {
	w := formed(t, 5, 8, 3*time.Second)
	if err := w.Run(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	messages, bytes := w.Messages, w.Bytes
	if err := w.Run(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	perSecond := float64(w.Messages-messages) / 30 / 5
	if perSecond > 10 {
		t.Errorf("%.1f messages/s a peer", perSecond)
	}
	t.Logf("%.1f messages/s, %.0f B/s a peer", perSecond, float64(w.Bytes-bytes)/30/5)
}

// TestCalmFingersAreQuiet bounds what idle peers without tables send: most of
// those that they ask do not know them, and need not.
func TestCalmFingersAreQuiet(t *testing.T) {
	x := &experiment{
		World: NewWorld(chord.Config{TableSize: -1}, 3),
		s:     Settings{Peers: 48, Positions: 4, FingersOnly: true}.withDefaults(), rep: &Report{},
	}
	if err := x.form(t.Context()); err != nil {
		t.Fatal(err)
	}
	messages := x.Messages
	if err := x.World.Run(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if perSecond := float64(x.Messages-messages) / 20 / 48; perSecond > 10 {
		t.Errorf("%.1f messages/s a peer", perSecond)
	}
}

// TestRestart brings a peer back with the identity that it had.
func TestRestart(t *testing.T) {
	w := formed(t, 5, 4, 3*time.Second)
	for _, away := range []time.Duration{100 * time.Millisecond, 20 * time.Second} {
		w.Crash(w.peers[3])
		if err := w.Run(away); err != nil {
			t.Fatal(err)
		}
		w.Rejoin(w.peers[3], w.peers[0], w.peers[1])
		w.await(t, fmt.Sprintf("back after %v", away), 4*time.Second, func() bool {
			return w.peers[3].Member() && w.Agreed()
		})
		w.await(t, "perfect", 10*time.Second, func() bool { return w.Converged() == nil })
	}
}

// TestBlackout stops all peers and starts them again: nobody is a member, so
// somebody has to begin.
func TestBlackout(t *testing.T) {
	w := formed(t, 5, 4, 3*time.Second)
	for _, p := range w.peers {
		w.Crash(p)
	}
	for i, p := range w.peers {
		w.Rejoin(p, append(w.peers[:i:i], w.peers[i+1:]...)...)
	}
	w.await(t, "all back", 20*time.Second, func() bool { return len(w.Members()) == 5 && w.Converged() == nil })
}

// TestHintMerges makes one ring of two that know nothing of each other.
func TestHintMerges(t *testing.T) {
	w := NewWorld(chord.Config{}, 4)
	for range 12 {
		w.Add(consecutive(4))
	}
	w.Create(w.peers[0])
	w.Create(w.peers[1])
	for i, p := range w.peers[2:] {
		w.Join(p, w.peers[i%2])
	}
	if err := w.Run(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if n := w.peers[0].Ring.View().Len(); n != 6 {
		t.Fatalf("first ring has %d peers", n)
	}
	w.Hint(w.peers[2], w.peers[5])
	w.await(t, "one ring", 10*time.Second, func() bool { return w.Converged() == nil })
}

// TestOtherRingsStayApart lets peers of two rings hear of each other.
func TestOtherRingsStayApart(t *testing.T) {
	w := NewWorld(chord.Config{}, 6)
	for i := range 8 {
		w.cfg.Ring = uint64(i % 2)
		if p := w.Add(consecutive(3)); i < 2 {
			w.Create(p)
		} else {
			w.Join(p, w.peers[i%2])
		}
	}
	for round := range 20 {
		a, b := w.peers[round%8], w.peers[(round+1+2*(round/8))%8]
		w.Hint(a, b)
		w.Hint(b, a)
		if err := w.Run(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range w.Members() {
		v := p.Ring.View()
		if v.Len() != 4 {
			t.Errorf("%s sees %d peers, want 4", p, v.Len())
		}
		for _, q := range v.Peers() {
			if w.find(q.ID).Number%2 != p.Number%2 {
				t.Errorf("%s sees %s of the other ring", p, q.ID)
			}
		}
		if p.Ring.Stats().Refused == 0 {
			t.Errorf("%s refused nothing", p)
		}
	}
	if n := len(w.Members()); n != 8 {
		t.Errorf("%d members, want 8", n)
	}
}

// TestCrashOfManyAtOnce takes all but one of a small ring, and r-1 of a larger.
func TestCrashOfManyAtOnce(t *testing.T) {
	for _, c := range []struct{ n, victims int }{{5, 4}, {9, 8}, {30, 7}} {
		w := formed(t, c.n, 4, 10*time.Second)
		for _, p := range w.peers[1 : 1+c.victims] {
			w.Crash(p)
		}
		w.await(t, fmt.Sprintf("%d of %d gone", c.victims, c.n), 3*time.Second, w.Agreed)
		w.await(t, "perfect", 10*time.Second, func() bool { return w.Converged() == nil })
	}
}
