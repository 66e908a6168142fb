package wire

import (
	"fmt"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

// maxRingPeers bounds the records of one ring message.
const maxRingPeers = 1 << 10

// AppendRing appends the encoding of a ring message. From, To and Ring are the
// connection's to tell.
func AppendRing(b []byte, m *chord.Message) []byte {
	p := &pb.RingMessage{
		Kind: pb.RingKind(m.Kind), Req: m.Req, Member: m.Member, Left: m.Left, Who: m.Who,
		Know: m.Know, Digest: m.Digest, Sync: m.Sync, Synced: m.Synced, Most: m.Most,
		New: m.New, Narrow: m.Narrow, Keys: m.Keys, Fetch: m.Fetch, Rate: m.Rate, Part: m.Part,
		Meet: m.Meet, Anchors: m.Anchors,
	}
	for i := range m.Peers {
		p.Peers = append(p.Peers, m.Peers[i].Record)
	}
	for _, w := range m.Wants {
		p.Wants = append(p.Wants, &pb.RingMessage_Want{Index: w.Index, Have: w.Have, Holds: w.Holds})
	}
	for _, n := range m.Notes {
		p.Notes = append(p.Notes, &pb.RingMessage_Note{Yours: n.Yours, Mine: n.Mine})
	}
	for _, f := range m.Finds {
		p.Finds = append(p.Finds, f[:])
	}
	for _, id := range m.Vets {
		p.Vets = append(p.Vets, []byte(id))
	}
	for _, s := range m.States {
		p.States = append(p.States, encodeState(s))
	}
	for _, f := range m.Found {
		p.Found = append(p.Found, &pb.RingMessage_Found{Done: f.Done, Nodes: encodeRefs(f.Nodes)})
	}
	for _, n := range m.News {
		p.News = append(p.News, &pb.RingMessage_News{Kind: uint32(n.Kind), Peer: n.Peer, At: n.At, Mark: n.Mark, Until: n.Until})
	}
	for _, e := range m.Events {
		p.Events = append(p.Events, &pb.RingMessage_Event{
			Kind: uint32(e.Kind), Peer: []byte(e.Peer), Incarnation: e.Incarnation, Seq: e.Seq,
		})
	}
	return appendMessage(b, p)
}

// ParseRing reads a ring message. It checks the form of its parts; the core
// checks their meaning, and the signatures of its peers are the driver's to check.
func ParseRing(b []byte) (chord.Message, error) {
	var p pb.RingMessage
	if err := parseMessage(b, &p, "ring message"); err != nil {
		return chord.Message{}, err
	}
	if p.Kind < 0 || p.Kind > pb.RingKind_RING_KIND_TELL {
		return chord.Message{}, malformed("ring message", fmt.Errorf("kind %d", p.Kind))
	}
	peers, err := parsePeerList(p.Peers, maxRingPeers)
	if err != nil {
		return chord.Message{}, err
	}
	m := chord.Message{
		Kind: chord.Kind(p.Kind), Req: p.Req, Member: p.Member, Left: p.Left, Who: p.Who,
		Know: p.Know, Digest: p.Digest, Sync: p.Sync, Synced: p.Synced, Most: p.Most,
		New: p.New, Narrow: p.Narrow, Keys: p.Keys, Fetch: p.Fetch, Rate: p.Rate, Part: p.Part,
		Meet: p.Meet, Anchors: p.Anchors,
	}
	for i := range peers {
		m.Peers = append(m.Peers, chord.NewRecord(peers[i]))
	}
	for _, w := range p.Wants {
		m.Wants = append(m.Wants, chord.Want{Index: w.Index, Have: w.Have, Holds: w.Holds})
	}
	for _, n := range p.Notes {
		m.Notes = append(m.Notes, chord.Note{Yours: n.Yours, Mine: n.Mine})
	}
	for _, f := range p.Finds {
		if len(f) != len(chord.ID{}) {
			return chord.Message{}, malformed("ring message", fmt.Errorf("position of %d bytes", len(f)))
		}
		m.Finds = append(m.Finds, chord.ID(f))
	}
	for _, id := range p.Vets {
		m.Vets = append(m.Vets, chord.PeerID(id))
	}
	for _, s := range p.States {
		m.States = append(m.States, decodeState(s))
	}
	for _, f := range p.Found {
		m.Found = append(m.Found, chord.Found{Done: f.Done, Nodes: decodeRefs(f.Nodes)})
	}
	for _, n := range p.News {
		if n.Kind > 255 {
			return chord.Message{}, malformed("ring message", fmt.Errorf("news of kind %d", n.Kind))
		}
		m.News = append(m.News, chord.News{Kind: chord.EventKind(n.Kind), Peer: n.Peer, At: n.At, Mark: n.Mark, Until: n.Until})
	}
	for _, e := range p.Events {
		if e.Kind > 255 {
			return chord.Message{}, malformed("ring message", fmt.Errorf("event of kind %d", e.Kind))
		}
		m.Events = append(m.Events, chord.Event{
			Kind: chord.EventKind(e.Kind), Peer: chord.PeerID(e.Peer), Incarnation: e.Incarnation, Seq: e.Seq,
		})
	}
	return m, nil
}

func encodeState(s chord.State) *pb.RingMessage_State {
	p := &pb.RingMessage_State{
		Index: s.Index, Digest: s.Digest, Base: s.Base, Version: s.Version, Same: s.Same, List: encodeRefs(s.List),
	}
	if s.HasPred {
		p.Pred = 1 + encodeRef(s.Pred)
	}
	return p
}

func decodeState(p *pb.RingMessage_State) chord.State {
	s := chord.State{
		Index: p.Index, Digest: p.Digest, Base: p.Base, Version: p.Version, Same: p.Same, List: decodeRefs(p.List),
	}
	if p.Pred > 0 {
		s.HasPred, s.Pred = true, decodeRef(p.Pred-1)
	}
	return s
}

// indexBits hold the index of a position in an encoded reference.
const indexBits = 10

var _ [chord.MaxIndex]struct{} = [1 << indexBits]struct{}{}

func encodeRef(r chord.Ref) uint32 {
	if r.Peer == chord.Known {
		return r.Index<<1 | 1
	}
	return r.Peer<<(1+indexBits) | r.Index<<1
}

func decodeRef(v uint32) chord.Ref {
	if v&1 == 1 {
		return chord.Ref{Peer: chord.Known, Index: v >> 1}
	}
	return chord.Ref{Peer: v >> (1 + indexBits), Index: v >> 1 & (1<<indexBits - 1)}
}

func encodeRefs(refs []chord.Ref) []uint32 {
	if len(refs) == 0 {
		return nil
	}
	list := make([]uint32, len(refs))
	for i, r := range refs {
		list[i] = encodeRef(r)
	}
	return list
}

func decodeRefs(list []uint32) []chord.Ref {
	if len(list) == 0 {
		return nil
	}
	refs := make([]chord.Ref, len(list))
	for i, v := range list {
		refs[i] = decodeRef(v)
	}
	return refs
}
