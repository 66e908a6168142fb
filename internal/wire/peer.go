package wire

import (
	"errors"
	"fmt"

	"github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

// PeerDomain is what the signature of a peer record is for.
const PeerDomain = "chorus/peer-record/1"

// Bounds of a peer record. Those of its positions are package chord's.
const (
	peerFormat    = 1
	maxPeerID     = 128
	maxPeerAddrs  = 16
	maxPeerAddr   = 512
	maxPeerName   = 64
	maxCredential = 8 << 10
	maxPeerRecord = 32 << 10
)

// SignPeer returns the record of p, signed: what Peer.Record holds. sign signs
// data for a domain with the peer's key. Addresses that are no multiaddrs are an
// error.
func SignPeer(p chord.Peer, credential []byte, sign func(domain string, data []byte) ([]byte, error)) ([]byte, error) {
	addrs, err := encodeAddrs(p.Addrs)
	if err != nil {
		return nil, err
	}
	body := appendMessage(nil, &pb.PeerRecord{
		Format: peerFormat, Id: []byte(p.ID), Incarnation: p.Incarnation, Seq: p.Seq,
		Indexes: p.Indexes, Weight: p.Weight, Addrs: addrs, Credential: credential, Name: p.Name,
	})
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
	addrs, err := decodeAddrs(m.Addrs)
	if err != nil {
		return chord.Peer{}, nil, malformed("peer record", err)
	}
	p := chord.Peer{
		ID: chord.PeerID(m.Id), Incarnation: m.Incarnation, Seq: m.Seq, Indexes: m.Indexes,
		Weight: m.Weight, Addrs: addrs, Name: m.Name, Record: append([]byte(nil), b...),
	}
	return p, &signed, nil
}

func checkPeer(m *pb.PeerRecord) error {
	switch {
	case m.Format != peerFormat:
		return fmt.Errorf("format %d, this version knows format %d", m.Format, peerFormat)
	case len(m.Id) == 0 || len(m.Id) > maxPeerID:
		return fmt.Errorf("peer ID of %d bytes", len(m.Id))
	case len(m.Indexes) == 0 || len(m.Indexes) > chord.MaxIndexes:
		return fmt.Errorf("%d positions", len(m.Indexes))
	case len(m.Addrs) > maxPeerAddrs:
		return fmt.Errorf("%d addresses", len(m.Addrs))
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
	return nil
}

// encodeAddrs returns the binary form of multiaddrs, a third of the text.
func encodeAddrs(addrs []string) ([][]byte, error) {
	if len(addrs) == 0 {
		return nil, nil
	}
	bin := make([][]byte, len(addrs))
	for i, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("encode address %q: %w", s, err)
		}
		bin[i] = a.Bytes()
	}
	return bin, nil
}

// decodeAddrs returns the text of binary multiaddrs. One of a kind that this
// version does not know is left out: the others may do.
func decodeAddrs(bin [][]byte) ([]string, error) {
	var addrs []string
	for _, b := range bin {
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			continue
		}
		s := a.String()
		if len(s) > maxPeerAddr {
			return nil, fmt.Errorf("address of %d characters", len(s))
		}
		addrs = append(addrs, s)
	}
	return addrs, nil
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
