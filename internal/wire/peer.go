package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

// PeerDomain is what the signature of a peer record is for.
const PeerDomain = "chorus/peer-record/1"

// Bounds of a peer record. Those of its positions are package chord's.
const (
	peerFormat    = 2
	maxPeerID     = 128
	maxPeerAddrs  = 16
	maxPeerAddr   = 512
	maxPeerName   = 64
	maxCredential = 8 << 10
	maxPeerRecord = 32 << 10
)

// keyID stands before an Ed25519 public key in the ID of its peer, as libp2p makes it.
const (
	keyID  = "\x00\x24\x08\x01\x12\x20"
	keyLen = 32
)

// SignPeer returns the record of p, signed: what Peer.Record holds. sign signs
// data for a domain with the peer's key. Addresses that are no multiaddrs are an
// error.
func SignPeer(p chord.Peer, credential []byte, sign func(domain string, data []byte) ([]byte, error)) ([]byte, error) {
	addrs, err := encodeAddrs(p.Addrs)
	if err != nil {
		return nil, err
	}
	m := pb.PeerRecord{
		Format: peerFormat, Incarnation: p.Incarnation, Seq: p.Seq, Gaps: gaps(p.Indexes),
		Weight: p.Weight, Credential: credential, Name: p.Name,
	}
	m.Endpoints, m.Addrs = splitEndpoints(addrs)
	if key, ok := strings.CutPrefix(string(p.ID), keyID); ok && len(key) == keyLen {
		m.Key = []byte(key)
	} else {
		m.Id = []byte(p.ID)
	}
	body := appendMessage(nil, &m)
	sig, err := sign(PeerDomain, body)
	if err != nil {
		return nil, err
	}
	return appendMessage(nil, &pb.SignedPeer{Record: body, Signature: sig}), nil
}

// ParsePeer reads a signed peer record, which its Record then holds. The
// signature is not checked: VerifyPeer does.
func ParsePeer(b []byte) (chord.Peer, error) {
	p, _, err := openPeer(b)
	return p, err
}

// VerifyPeer checks the signature of a signed peer record by verify.
func VerifyPeer(b []byte, verify func(id chord.PeerID, domain string, data, sig []byte) error) error {
	p, signed, err := openPeer(b)
	if err != nil {
		return err
	}
	return verify(p.ID, PeerDomain, signed.Record, signed.Signature)
}

func openPeer(b []byte) (chord.Peer, *pb.SignedPeer, error) {
	if len(b) > maxPeerRecord {
		return chord.Peer{}, nil, malformed("peer record", fmt.Errorf("%d bytes", len(b)))
	}
	var signed pb.SignedPeer
	if err := parseMessage(b, &signed, "signed peer record"); err != nil {
		return chord.Peer{}, nil, err
	}
	var m pb.PeerRecord
	if err := m.UnmarshalVT(signed.Record); err != nil {
		return chord.Peer{}, nil, malformed("peer record", err)
	}
	if err := checkPeer(&m); err != nil {
		return chord.Peer{}, nil, malformed("peer record", err)
	}
	addrs, err := decodeAddrs(slices.Concat(joinEndpoints(m.Endpoints), m.Addrs))
	if err != nil {
		return chord.Peer{}, nil, malformed("peer record", err)
	}
	id := string(m.Id)
	if len(m.Key) > 0 {
		id = keyID + string(m.Key)
	}
	p := chord.Peer{
		ID: chord.PeerID(id), Incarnation: m.Incarnation, Seq: m.Seq, Indexes: sums(m.Gaps),
		Weight: m.Weight, Addrs: addrs, Name: m.Name, Record: append([]byte(nil), b...),
	}
	return p, &signed, nil
}

func checkPeer(m *pb.PeerRecord) error {
	switch {
	case m.Format != peerFormat:
		return fmt.Errorf("format %d, this version knows format %d", m.Format, peerFormat)
	case len(m.Key) == 0 && (len(m.Id) == 0 || len(m.Id) > maxPeerID):
		return fmt.Errorf("peer ID of %d bytes", len(m.Id))
	case len(m.Key) > 0 && (len(m.Key) != keyLen || len(m.Id) > 0):
		return fmt.Errorf("key of %d bytes, beside a peer ID of %d", len(m.Key), len(m.Id))
	case len(m.Gaps) == 0 || len(m.Gaps) > chord.MaxIndexes:
		return fmt.Errorf("%d positions", len(m.Gaps))
	case len(m.Addrs)+2*len(m.Endpoints) > maxPeerAddrs:
		return fmt.Errorf("%d addresses", len(m.Addrs)+2*len(m.Endpoints))
	case len(m.Name) > maxPeerName:
		return fmt.Errorf("name of %d bytes", len(m.Name))
	case len(m.Credential) > maxCredential:
		return errors.New("credential too long")
	}
	for _, a := range m.Addrs {
		if len(a) > maxPeerAddr {
			return fmt.Errorf("address of %d bytes", len(a))
		}
	}
	for _, e := range m.Endpoints {
		if len(e) != ip4Len+portLen && len(e) != ip6Len+portLen {
			return fmt.Errorf("endpoint of %d bytes", len(e))
		}
	}
	return nil
}

// gaps returns the first of ascending indexes, and by how much each next one is more.
func gaps(indexes []uint32) []uint32 {
	gs := slices.Clone(indexes)
	for i := len(gs) - 1; i > 0; i-- {
		gs[i] -= gs[i-1]
	}
	return gs
}

// sums undoes gaps.
func sums(gs []uint32) []uint32 {
	indexes := slices.Clone(gs)
	for i := 1; i < len(indexes); i++ {
		indexes[i] += indexes[i-1]
	}
	return indexes
}

// AppendPeers appends the encoding of the signed records of peers.
func AppendPeers(b []byte, peers []chord.Peer) []byte {
	m := &pb.Peers{Peers: make([][]byte, len(peers))}
	for i, p := range peers {
		m.Peers[i] = p.Record
	}
	return appendMessage(b, m)
}

// maxPeers bounds the records that ParsePeers reads.
const maxPeers = 1 << 12

// ParsePeers reads up to 4,096 signed peer records.
func ParsePeers(b []byte) ([]chord.Peer, error) {
	var m pb.Peers
	if err := parseMessage(b, &m, "peers"); err != nil {
		return nil, err
	}
	return parsePeerList(m.Peers, maxPeers)
}

func parsePeerList(records [][]byte, most int) ([]chord.Peer, error) {
	if len(records) > most {
		return nil, malformed("peers", fmt.Errorf("%d records", len(records)))
	}
	if len(records) == 0 {
		return nil, nil
	}
	peers := make([]chord.Peer, len(records))
	for i, r := range records {
		var err error
		if peers[i], err = ParsePeer(r); err != nil {
			return nil, err
		}
	}
	return peers, nil
}
