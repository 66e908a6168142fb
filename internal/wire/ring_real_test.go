package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/chord"
)

// realMessages returns the encodings of what peers of a large ring and of a small one
// send to each other while they join, look up and leave, the shape of each once.
func realMessages(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, small := range []int{0, -1} {
		all = append(all, converse(t, chord.Config{Ring: 7, SmallRing: small, SuccessorPeers: 3})...)
	}
	return all
}

// converse lets eight peers talk for a while, through the encoding.
func converse(t testing.TB, cfg chord.Config) [][]byte {
	const peers, step, steps = 8, 50 * time.Millisecond, 600
	now := time.UnixMilli(1_700_000_000_000)
	rings := make(map[chord.PeerID]*chord.Ring)
	shapes := make(map[string]bool)
	var kept [][]byte
	var under, next []chord.Message
	took := func(out chord.Output) {
		for _, m := range out.Messages {
			b := AppendRing(nil, &m)
			if s := shape(&m); !shapes[s] {
				shapes[s] = true
				kept = append(kept, b)
			}
			back, err := ParseRing(b)
			if err != nil {
				t.Fatalf("a real message cannot be read: %v\n%+v", err, m)
			}
			back.From, back.To, back.Ring = m.From, m.To, m.Ring
			next = append(next, back)
		}
	}
	ids := make([]chord.PeerID, peers)
	for i := range peers {
		p := signedPeer(t, fmt.Sprintf("peer-%d", i), 0, uint32(1+i))
		r, err := chord.New(cfg, p, rand.New(rand.NewPCG(1, uint64(i))))
		if err != nil {
			t.Fatal(err)
		}
		ids[i], rings[p.ID] = p.ID, r
	}
	for n := range steps {
		switch i := n / 40; {
		case n == 0:
			took(rings[ids[0]].Create(now))
		case n%40 == 0 && i < peers:
			took(rings[ids[i]].Join(now, ids[:1]))
		case n == 400:
			took(rings[ids[1]].Leave(now))
		case n > 360 && n%20 == 0:
			_, out := rings[ids[2]].Lookup(now, chord.HashID([]byte{byte(n)}))
			took(out)
		}
		for _, id := range ids {
			if r := rings[id]; !r.Deadline().IsZero() && !now.Before(r.Deadline()) {
				took(r.Tick(now))
			}
		}
		now = now.Add(step)
		under, next = next, nil
		for _, m := range under {
			took(rings[m.To].Step(now, m))
		}
	}
	return kept
}

// shape tells messages apart by what they hold.
func shape(m *chord.Message) string {
	return fmt.Sprint(m.Kind, m.Member, m.Left, m.Who, m.New, m.Know > 0, min(len(m.Peers), 3), min(len(m.Wants), 2), min(len(m.Notes), 2),
		len(m.Finds), len(m.Vets), len(m.Sync), min(len(m.States), 2), len(m.Found), len(m.Synced) > 0, len(m.News), len(m.Keys) > 0, len(m.Fetch) > 0, len(m.Events))
}

// TestRealMessages says what the messages are that the fuzzer starts from.
func TestRealMessages(t *testing.T) {
	all := realMessages(t)
	kinds := make(map[chord.Kind]int)
	for _, b := range all {
		m, err := ParseRing(b)
		if err != nil {
			t.Fatal(err)
		}
		kinds[m.Kind]++
		again, err := ParseRing(AppendRing(nil, &m))
		if diff := cmp.Diff(m, again, plainRecords); err != nil || diff != "" {
			t.Fatalf("%v (-first +second):\n%s", err, diff)
		}
	}
	t.Logf("%d messages by kind: %v", len(all), kinds)
	for _, k := range []chord.Kind{chord.KindAsk, chord.KindReply, chord.KindLeave, chord.KindTell} {
		if kinds[k] == 0 {
			t.Errorf("no message of kind %d among %v", k, kinds)
		}
	}
}
