package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

// TestKeyedRecordGolden says how the record of a usual peer is written: its key instead of
// its ID, the gaps of its indexes, and endpoints instead of pairs of addresses.
func TestKeyedRecordGolden(t *testing.T) {
	p := chord.Peer{
		ID: chord.PeerID(keyID + strings.Repeat("k", keyLen)), Incarnation: 5, Seq: 1700000000000, Indexes: []uint32{3, 130, 1023}, Weight: 100, Name: "k3Xw9Q",
		Addrs: []string{
			"/ip4/192.0.2.1/udp/4747/quic-v1", "/ip4/192.0.2.1/tcp/4747",
			"/ip6/2001:db8::1/udp/4747/quic-v1", "/ip6/2001:db8::1/tcp/4747", "/dns4/peer.example/tcp/4747",
		},
	}
	b, err := SignPeer(p, nil, fakeSign)
	if err != nil {
		t.Fatal(err)
	}
	p.Record = b
	want := "0a73" + // format, incarnation, seq, gaps, weight
		"0802" + "190500000000000000" + "2080d095ffbc31" + "2a04037ffd06" + "3064" +
		"4a066b3358773951" + // the name
		"5211360c706565722e6578616d706c6506128b" + // the address that is no endpoint
		"5a20" + strings.Repeat("6b", keyLen) + // the key
		"6206c0000201128b" + "621220010db8000000000000000000000001128b" + // endpoints
		"121463686f7275732f706565722d7265636f72642f31" // the signature
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("record is written as\n%s, want\n%s", got, want)
	}
	back, err := ParsePeer(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, back); diff != "" {
		t.Errorf("record (-signed +read):\n%s", diff)
	}
}

func TestEndpoints(t *testing.T) {
	for _, addrs := range [][]string{
		{},
		{"/ip4/192.0.2.1/tcp/4747"},
		{"/ip4/192.0.2.1/udp/4747/quic-v1"},
		{"/ip4/192.0.2.1/udp/4747/quic-v1", "/ip4/192.0.2.1/tcp/4748"},                               // two ports
		{"/ip4/192.0.2.1/udp/4747/quic-v1", "/ip4/192.0.2.2/tcp/4747"},                               // two hosts
		{"/ip4/192.0.2.1/udp/4747/quic-v1", "/ip4/192.0.2.1/tcp/4747", "/ip4/192.0.2.1/tcp/4747/ws"}, // an endpoint and more
		{"/ip6/2001:db8::1/udp/4747/quic-v1", "/ip6/2001:db8::1/tcp/4747", "/ip6/2001:db8::1/udp/4747/webrtc-direct"},
	} {
		bin, err := encodeAddrs(addrs)
		if err != nil {
			t.Fatal(err)
		}
		endpoints, rest := splitEndpoints(bin)
		back, err := decodeAddrs(append(joinEndpoints(endpoints), rest...))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(back, " ") != strings.Join(addrs, " ") {
			t.Errorf("%q comes back as %q", addrs, back)
		}
	}
}

func TestPeerRecordRefusesMalformed(t *testing.T) {
	good := func() *pb.PeerRecord {
		return &pb.PeerRecord{Format: peerFormat, Key: bytes.Repeat([]byte("k"), keyLen), Gaps: []uint32{1}, Endpoints: [][]byte{{192, 0, 2, 1, 18, 139}}}
	}
	if _, err := ParsePeer(appendMessage(nil, &pb.SignedPeer{Record: appendMessage(nil, good())})); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*pb.PeerRecord){
		"older format":       func(m *pb.PeerRecord) { m.Format-- },
		"no identity":        func(m *pb.PeerRecord) { m.Key = nil },
		"two identities":     func(m *pb.PeerRecord) { m.Id = []byte("peer-a") },
		"short key":          func(m *pb.PeerRecord) { m.Key = m.Key[1:] },
		"no positions":       func(m *pb.PeerRecord) { m.Gaps = nil },
		"too many positions": func(m *pb.PeerRecord) { m.Gaps = make([]uint32, chord.MaxIndexes+1) },
		"endpoint":           func(m *pb.PeerRecord) { m.Endpoints[0] = m.Endpoints[0][1:] },
		"too many endpoints": func(m *pb.PeerRecord) { m.Endpoints = make([][]byte, maxPeerAddrs/2+1) },
	} {
		m := good()
		spoil(m)
		if _, err := ParsePeer(appendMessage(nil, &pb.SignedPeer{Record: appendMessage(nil, m)})); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", what, err)
		}
	}
}
