package wire

import (
	"fmt"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

// maxRingPeers bounds the records of one ring message.
const maxRingPeers = 1 << 10

// AppendRing appends the encoding of a ring message. From and To are the
// connection's to tell.
func AppendRing(b []byte, m *chord.Message) []byte {
	p := &pb.RingMessage{
		Kind: pb.RingKind(m.Kind), Ring: m.Ring, Req: m.Req, Member: m.Member, Left: m.Left, Who: m.Who,
		Know: m.Know, Digest: m.Digest, Sync: m.Sync, Synced: m.Synced,
	}
	for i := range m.Peers {
		p.Peers = append(p.Peers, m.Peers[i].Record)
	}
	for _, w := range m.Wants {
		p.Wants = append(p.Wants, &pb.RingMessage_Want{Index: w.Index, Have: w.Have})
	}
	for _, n := range m.Notes {
		p.Notes = append(p.Notes, &pb.RingMessage_Note{Yours: n.Yours, Mine: n.Mine})
	}
	for _, f := range m.Finds {
		p.Finds = append(p.Finds, f[:])
	}
	for _, s := range m.States {
		p.States = append(p.States, encodeState(s))
	}
	for _, f := range m.Found {
		p.Found = append(p.Found, &pb.RingMessage_Found{Done: f.Done, Nodes: encodeRefs(f.Nodes)})
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
	if p.Kind < 0 || p.Kind > pb.RingKind_RING_KIND_LEAVE {
		return chord.Message{}, malformed("ring message", fmt.Errorf("kind %d", p.Kind))
	}
	peers, err := parsePeerList(p.Peers, maxRingPeers)
	if err != nil {
		return chord.Message{}, err
	}
	m := chord.Message{
		Kind: chord.Kind(p.Kind), Ring: p.Ring, Req: p.Req, Member: p.Member, Left: p.Left, Who: p.Who,
		Know: p.Know, Digest: p.Digest, Sync: p.Sync, Synced: p.Synced,
	}
	for i := range peers {
		m.Peers = append(m.Peers, chord.NewRecord(peers[i]))
	}
	for _, w := range p.Wants {
		m.Wants = append(m.Wants, chord.Want{Index: w.Index, Have: w.Have})
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
	for _, s := range p.States {
		m.States = append(m.States, decodeState(s))
	}
	for _, f := range p.Found {
		m.Found = append(m.Found, chord.Found{Done: f.Done, Nodes: decodeRefs(f.Nodes)})
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
	p := &pb.RingMessage_State{Index: s.Index, Digest: s.Digest, Same: s.Same, List: encodeRefs(s.List)}
	if s.HasPred {
		p.Pred = &pb.RingMessage_Ref{Peer: s.Pred.Peer, Index: s.Pred.Index}
	}
	return p
}

func decodeState(p *pb.RingMessage_State) chord.State {
	s := chord.State{Index: p.Index, Digest: p.Digest, Same: p.Same, List: decodeRefs(p.List)}
	if p.Pred != nil {
		s.HasPred, s.Pred = true, chord.Ref{Peer: p.Pred.Peer, Index: p.Pred.Index}
	}
	return s
}

func encodeRefs(refs []chord.Ref) []*pb.RingMessage_Ref {
	if len(refs) == 0 {
		return nil
	}
	list := make([]*pb.RingMessage_Ref, len(refs))
	for i, r := range refs {
		list[i] = &pb.RingMessage_Ref{Peer: r.Peer, Index: r.Index}
	}
	return list
}

func decodeRefs(list []*pb.RingMessage_Ref) []chord.Ref {
	if len(list) == 0 {
		return nil
	}
	refs := make([]chord.Ref, len(list))
	for i, r := range list {
		refs[i] = chord.Ref{Peer: r.Peer, Index: r.Index}
	}
	return refs
}
