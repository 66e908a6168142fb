package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/netsim/model"
)

// real makes a model's peer what it would be outside of it: an Ed25519
// identity, a time for sequence number, a name, addresses and a signature.
func real(t *testing.T, p chord.Peer) chord.Peer {
	t.Helper()
	seed := sha256.Sum256([]byte(p.ID))
	key := ed25519.NewKeyFromSeed(seed[:])
	p.ID = chord.PeerID("\x00\x24\x08\x01\x12\x20" + string(key.Public().(ed25519.PublicKey)))
	p.Seq += 1_700_000_000_000
	p.Name = "k3Xw9Q"
	p.Addrs = []string{"/ip4/192.0.2.17/udp/4747/quic-v1", "/ip4/192.0.2.17/tcp/4747"}
	rec, err := SignPeer(p, nil, func(domain string, data []byte) ([]byte, error) {
		return ed25519.Sign(key, append([]byte(domain), data...)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Record = rec
	return p
}

// TestModelCountsRealBytes encodes what the peers of a model say to each other
// while they join and die, as real peers would, and compares the sizes.
func TestModelCountsRealBytes(t *testing.T) {
	const frameHeader = 4 + 2 + 4 // length, format, envelope of a cast
	for _, table := range []int{0, -1} {
		w := model.NewWorld(chord.Config{TableSize: table}, 1)
		kinds := map[string]int{}
		n := 0
		w.OnSend = func(m *chord.Message) {
			sent := *m
			sent.Peers, sent.Events = nil, slices.Clone(m.Events)
			for _, p := range m.Peers {
				sent.Peers = append(sent.Peers, chord.NewRecord(real(t, p.Peer)))
			}
			for i := range sent.Events {
				sent.Events[i].Peer = real(t, chord.Peer{ID: m.Events[i].Peer, Seq: 1, Indexes: []uint32{0}}).ID
				sent.Events[i].Seq += 1_700_000_000_000
			}
			sent.Vets = nil
			for _, id := range m.Vets {
				sent.Vets = append(sent.Vets, real(t, chord.Peer{ID: id, Seq: 1, Indexes: []uint32{0}}).ID)
			}
			if got, want := model.WireSize(m), frameHeader+len(AppendRing(nil, &sent)); got != want {
				t.Fatalf("%s: counted %d bytes, takes %d", model.Describe(m), got, want)
			}
			n++
			for what, is := range map[string]bool{
				"records": len(m.Peers) > 0, "wants": len(m.Wants) > 0, "notes": len(m.Notes) > 0, "finds": len(m.Finds) > 0,
				"states": len(m.States) > 0, "found": len(m.Found) > 0, "events": len(m.Events) > 0, "synced": len(m.Synced) > 0,
				"vets": len(m.Vets) > 0,
			} {
				if is {
					kinds[what]++
				}
			}
		}
		for i := range 12 {
			p := w.Add([]uint32{uint32(i), 7 + 80*uint32(i)})
			if i == 0 {
				w.Create(p)
				continue
			}
			w.Join(p, w.Peers()[0])
			if err := w.Run(400 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		w.Crash(w.Peers()[3])
		w.Lookup(w.Peers()[0], chord.HashID([]byte("x")))
		if err := w.Run(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		w.Net.Evidence = false
		w.Crash(w.Peers()[5])
		if err := w.Run(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		t.Logf("table of %d: %d messages, %v", table, n, kinds)
		if table == 0 && len(kinds) != 9 {
			t.Errorf("compared only messages with %v", kinds)
		}
	}
}

func TestAddressesKeepTheirText(t *testing.T) {
	for _, a := range []string{
		"/ip4/192.0.2.1/udp/4747/quic-v1", "/ip6/2001:db8::1/tcp/4747", "/dns4/peer.example/tcp/4747",
		"/ip4/192.0.2.1/udp/4747/quic-v1/p2p/12D3KooWGRUVh6AiNyRdAVmMYYvvvKMNo5cdp8Cdu1sXw3cEgyVV/p2p-circuit",
	} {
		bin, err := encodeAddrs([]string{a})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeAddrs(append(bin, []byte("no address"))); err != nil || len(back) != 1 || back[0] != a {
			t.Errorf("%s comes back as %q, %v", a, back, err)
		}
	}
	if b, err := encodeAddrs([]string{"192.0.2.1:4747"}); err == nil {
		t.Errorf("no multiaddr is encoded as %x", b)
	}
}
