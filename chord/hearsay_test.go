package chord_test

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/netsim/model"
)

// TestHearsayOfJoiners lets a peer join a ring in which others are believed: it does not
// ask each of those of whom it hears whether they live.
func TestHearsayOfJoiners(t *testing.T) {
	w := model.NewWorld(chord.Config{VerifyPeers: 8, SmallRing: -1}, 1)
	for range 40 {
		w.Add([]uint32{0, 1, 2})
	}
	w.Stand(w.Peers())
	p := w.Add([]uint32{0, 1, 2})
	probes := 0
	w.OnMessage = func(from *model.Peer, m *chord.Message) {
		if from == p && m.Kind == chord.KindAsk && len(m.Wants)+len(m.Notes)+len(m.Finds)+len(m.Sync)+len(m.Fetch)+len(m.News) == 0 {
			probes++
		}
	}
	w.Join(p, w.Peers()[0])
	if ok, err := w.RunUntil(time.Minute, 100*time.Millisecond, p.Member); !ok {
		t.Fatalf("not a member: %v", err)
	}
	if err := w.Run(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if n, _ := p.Ring.Sees(); n < 20 || probes > n/2 {
		t.Errorf("it sees %d peers and asked %d of them whether they live", n, probes)
	}
}
