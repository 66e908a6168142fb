package wire

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chorus-net/chorus/chord"
)

var rewriteRing = flag.Bool("rewrite-ring", false, "rewrite the golden bytes of ring messages; read the diff")

// fakeSign stands for a peer's key: the signature is the domain.
func fakeSign(domain string, _ []byte) ([]byte, error) { return []byte(domain), nil }

func fakeVerify(_ chord.PeerID, domain string, _, sig []byte) error {
	if string(sig) != domain {
		return errors.New("not this peer's signature")
	}
	return nil
}

func signedPeer(t testing.TB, id string, indexes ...uint32) chord.Peer {
	t.Helper()
	p := chord.Peer{
		ID: chord.PeerID(id), Incarnation: 0x0102030405060708, Seq: 1700000000000,
		Indexes: indexes, Weight: 100, Addrs: []string{"/ip4/192.0.2.1/udp/4747/quic-v1"},
	}
	rec, err := SignPeer(p, []byte("slot"), fakeSign)
	if err != nil {
		t.Fatal(err)
	}
	p.Record = rec
	return p
}

// plainRecords compares records by what is signed.
var plainRecords = cmpopts.IgnoreUnexported(chord.Record{})

// ringMessages are messages with every field in use.
func ringMessages(t testing.TB) map[string]chord.Message {
	a, b := signedPeer(t, "peer-a", 0, 7), signedPeer(t, "peer-b", 1023)
	return map[string]chord.Message{
		"ask": {
			Kind: chord.KindAsk, Req: 77, Member: true, Know: 5, Digest: 0xd1,
			Peers: []*chord.Record{chord.NewRecord(a)},
			Wants: []chord.Want{{Index: 3}, {Index: 7, Have: 0xabc}, {Index: 9, Holds: []uint32{1, 1 << 31}}},
			Notes: []chord.Note{{Yours: 3, Mine: 7}},
			Finds: []chord.ID{chord.HashID([]byte("x"))},
			Most:  3, New: true, Part: 5, Fetch: []uint32{7, 1 << 31}, Anchors: true,
			News:   []chord.News{{Kind: chord.EventAlive, Until: 5}, {Kind: chord.EventDead, At: 1 << 63, Mark: 9, Until: 6}},
			Sync:   make([]uint64, 64),
			Vets:   []chord.PeerID{"peer-d", "peer-e"},
			Events: []chord.Event{{Kind: chord.EventDead, Peer: "peer-c", Incarnation: 4, Seq: 2}},
		},
		"reply": {
			Kind: chord.KindReply, Req: 77, Member: true, Who: true, Digest: 0xd2,
			Peers: []*chord.Record{chord.NewRecord(a), chord.NewRecord(b)},
			States: []chord.State{
				{Index: 3, Digest: 0xabc, Same: true},
				{Index: 7, Digest: 0xdef, Base: 0xabd, Version: 300, HasPred: true, Pred: chord.Ref{Peer: 1, Index: 1023}, List: []chord.Ref{{Peer: 0, Index: 7}, {Peer: chord.Known, Index: 8}, {Peer: 1, Index: 1023}}},
			},
			Found:  []chord.Found{{Done: true, Nodes: []chord.Ref{{Peer: 1, Index: 1023}}}, {}},
			Synced: []uint32{0, 63}, Keys: []uint32{1, 2}, Rate: 1650, Narrow: true, Meet: true,
		},
		"leave": {Kind: chord.KindLeave, Left: true},
	}
}

func TestRingGolden(t *testing.T) {
	for name, m := range ringMessages(t) {
		got := hex.EncodeToString(AppendRing(nil, &m))
		path := filepath.Join("testdata", "ring-"+name+".hex")
		if *rewriteRing {
			if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != strings.TrimSpace(string(want)) {
			t.Errorf("%s is written as\n%s, want\n%s", name, got, want)
		}
		b, err := hex.DecodeString(got)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseRing(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(m, back, plainRecords); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
}

func TestPeerRecordGolden(t *testing.T) {
	p := signedPeer(t, "peer-a", 0, 7)
	const want = "0a33" + // the signed part: format, ID, incarnation, seq, indexes, weight, credential, address
		"0802" + "1206706565722d61" + "190807060504030201" + "2080d095ffbc31" + "2a020007" + "3064" +
		"4204736c6f74" + "520b04c00002019102128bcd03" +
		"121463686f7275732f706565722d7265636f72642f31" // the signature
	if got := hex.EncodeToString(p.Record); got != want {
		t.Errorf("record is written as\n%s, want\n%s", got, want)
	}
	back, err := ParsePeer(p.Record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, back); diff != "" {
		t.Errorf("record (-signed +read):\n%s", diff)
	}
	if err := VerifyPeer(p.Record, fakeVerify); err != nil {
		t.Error(err)
	}
	forged := append([]byte(nil), p.Record...)
	forged[len(forged)-1] ^= 1
	if err := VerifyPeer(forged, fakeVerify); err == nil {
		t.Error("a forged signature passed")
	}
}

func FuzzParseRing(f *testing.F) {
	for _, m := range ringMessages(f) {
		f.Add(AppendRing(nil, &m))
	}
	for _, b := range realMessages(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseRing(b)
		if err != nil {
			return
		}
		again, err := ParseRing(AppendRing(nil, &m))
		if err != nil {
			t.Fatalf("what was read is not read again: %v", err)
		}
		if diff := cmp.Diff(m, again, plainRecords); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	})
}

func FuzzParsePeers(f *testing.F) {
	f.Add(AppendPeers(nil, []chord.Peer{signedPeer(f, "peer-a", 0, 7), signedPeer(f, "peer-b", 1023)}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		peers, err := ParsePeers(b)
		if err != nil {
			return
		}
		again, err := ParsePeers(AppendPeers(nil, peers))
		if err != nil {
			t.Fatalf("parse what was parsed: %v", err)
		}
		if diff := cmp.Diff(peers, again); diff != "" {
			t.Fatalf("came back different (-first +second):\n%s", diff)
		}
	})
}
