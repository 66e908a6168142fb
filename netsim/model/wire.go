package model

import (
	"math/bits"
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// What carries a message: IPv4 and UDP headers, a QUIC packet with a short
// header (flags, a connection ID of 4 bytes, a packet number of 2, the tag of the
// cipher), and in it the header of a STREAM frame. Acknowledgements of QUIC's own
// are not counted.
const (
	packetHeaders = 20 + 8 + 1 + 4 + 2 + 16
	streamHeader  = 8
	packetRoom    = 1200 // bytes of frames in one packet
	frameHeader   = 10   // of package rpc, with the envelope of a cast
)

// Peers of a model have short names and no keys. On the wire they count as what
// real ones are: Ed25519 identities and signatures, sequence numbers that are
// times in milliseconds, a name of six letters, and the endpoint of a peer that
// listens on one IPv4 address, by QUIC and by TCP at one port.
const (
	identity  = 38
	publicKey = 32
	signature = 64
	sequence  = 6
	label     = 6
	endpoint  = 6
)

// packets returns the bytes that n bytes of frames take on the network.
func packets(n int) int {
	return n + streamHeader + (n+packetRoom-1)/packetRoom*packetHeaders
}

// wireBytes returns what the messages of one call take on the network. Those to one
// peer share packets.
func wireBytes(ms []chord.Message) int {
	sum := 0
	for i := range ms {
		to := ms[i].To
		if slices.ContainsFunc(ms[:i], func(m chord.Message) bool { return m.To == to }) {
			continue
		}
		n := 0
		for k := range ms[i:] {
			if m := &ms[i+k]; m.To == to {
				n += WireSize(m)
			}
		}
		sum += packets(n)
	}
	return sum
}

// WireSize returns the bytes of the frame in which a message travels: the header
// of package rpc and the encoding of package wire, to the byte, of a ring whose
// peers are real.
func WireSize(m *chord.Message) int {
	const kind, flag, fixed, short = 2, 2, 9, 5
	n := frameHeader + kind
	n += number(m.Req)
	for _, set := range [...]bool{m.Member, m.Left, m.Who} {
		if set {
			n += flag
		}
	}
	n += number(uint64(m.Know))
	if m.Digest != 0 {
		n += fixed
	}
	for i := range m.Peers {
		n += field(recordSize(m.Peers[i]))
	}
	for _, w := range m.Wants {
		n += field(number(uint64(w.Index)) + optional(w.Have != 0, short) + optional(len(w.Holds) > 0, field(4*len(w.Holds))))
	}
	for _, x := range m.Notes {
		n += field(number(uint64(x.Yours)) + number(uint64(x.Mine)))
	}
	n += len(m.Finds)*field(len(chord.ID{})) + len(m.Vets)*(1+field(identity))
	for _, v := range [...]uint32{m.Most, m.Rate, m.Part} {
		n += optional(v > 0, 1+number(uint64(v)))
	}
	n += optional(m.New, 1+flag) + optional(m.Narrow, 1+flag) + optional(m.Meet, 1+flag) + optional(m.Anchors, 1+flag)
	for _, keys := range [...][]uint32{m.Keys, m.Fetch} {
		n += optional(len(keys) > 0, 1+field(4*len(keys)))
	}
	for _, x := range m.News {
		n += 1 + field(number(uint64(x.Kind))+number(uint64(x.Peer))+optional(x.At != 0, fixed)+
			number(uint64(x.Mark))+optional(x.Until != 0, short))
	}
	if len(m.Sync) > 0 {
		n += field(8 * len(m.Sync))
	}
	for i := range m.States {
		s := &m.States[i]
		body := number(uint64(s.Index)) + optional(s.Digest != 0, short) + optional(s.Base != 0, short) +
			number(s.Version) + optional(s.Same, flag) + refs(s.List)
		if s.HasPred {
			body += 1 + varint(1+ref(s.Pred))
		}
		n += field(body)
	}
	for i := range m.Found {
		n += field(optional(m.Found[i].Done, flag) + refs(m.Found[i].Nodes))
	}
	if len(m.Synced) > 0 {
		body := 0
		for _, b := range m.Synced {
			body += varint(uint64(b))
		}
		n += 1 + field(body)
	}
	for _, e := range m.Events {
		n += 1 + field(number(uint64(e.Kind))+field(identity)+fixed+1+sequence)
	}
	return n
}

// recordSize returns the bytes of a signed record.
func recordSize(p *chord.Record) int {
	const format, incarnation = 2, 9
	gaps, last := 0, uint32(0)
	for _, x := range p.Indexes {
		gaps += varint(uint64(x - last))
		last = x
	}
	body := format + field(publicKey) + incarnation + 1 + sequence + field(gaps) + number(uint64(p.Weight)) +
		field(label) + field(endpoint)
	return field(body) + field(signature)
}

// field returns the bytes of a field of n bytes with its tag, which takes one
// byte, and its length.
func field(n int) int { return 1 + varint(uint64(n)) + n }

// number returns the bytes of a numeric field: none for 0.
func number(v uint64) int { return optional(v != 0, 1+varint(v)) }

func optional(set bool, n int) int {
	if set {
		return n
	}
	return 0
}

// ref returns how a reference to a position is encoded.
func ref(r chord.Ref) uint64 {
	if r.Peer == chord.Known {
		return uint64(r.Index)<<1 | 1
	}
	return uint64(r.Peer)<<11 | uint64(r.Index)<<1
}

func refs(list []chord.Ref) int {
	if len(list) == 0 {
		return 0
	}
	n := 0
	for _, r := range list {
		n += varint(ref(r))
	}
	return field(n)
}

// varint returns the bytes of a number in protobuf.
func varint(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }
