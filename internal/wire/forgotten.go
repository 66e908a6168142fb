package wire

import (
	"fmt"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// Bounds of who is forgotten at a time.
const (
	MaxForgotten = 1024
	MaxForces    = 1024
)

// Forgotten lists voters whom the operator retired.
type Forgotten struct {
	Voters []store.Voter
	Forces []Force
}

// Force is the operator's word that a voter will not come back, even if no majority
// is left without it.
type Force struct {
	Voter store.Voter
	By    chord.PeerID // the peer that was told
	At    time.Time    // in whole milliseconds, by that peer's clock
	Done  bool         // no shard counts on the voter any more, or it is back
}

// AppendForgotten appends the encoding of f.
func AppendForgotten(b []byte, f *Forgotten) []byte {
	m := &pb.Forgotten{Voters: make([]*pb.Voter, len(f.Voters)), Forces: make([]*pb.Force, len(f.Forces))}
	for i, v := range f.Voters {
		m.Voters[i] = encodeVoter(v)
	}
	for i, force := range f.Forces {
		m.Forces[i] = &pb.Force{Voter: encodeVoter(force.Voter), By: []byte(force.By), At: force.At.UnixMilli(), Done: force.Done}
	}
	return appendMessage(b, m)
}

// ParseForgotten reads a Forgotten, of up to MaxForgotten voters and MaxForces forces.
func ParseForgotten(b []byte) (f Forgotten, err error) {
	var m pb.Forgotten
	if err := parseMessage(b, &m, "forgotten"); err != nil {
		return f, err
	}
	if len(m.Voters) > MaxForgotten || len(m.Forces) > MaxForces {
		return f, malformed("forgotten", fmt.Errorf("%d voters and %d forces", len(m.Voters), len(m.Forces)))
	}
	for _, v := range m.Voters {
		voter, err := parseVoter(v, "forgotten")
		if err != nil {
			return Forgotten{}, err
		}
		f.Voters = append(f.Voters, voter)
	}
	for _, p := range m.Forces {
		voter, err := parseVoter(p.Voter, "forgotten")
		if err == nil && len(p.By) > store.MaxPeerID {
			err = malformed("forgotten", fmt.Errorf("peer ID of %d bytes", len(p.By)))
		}
		if err != nil {
			return Forgotten{}, err
		}
		f.Forces = append(f.Forces, Force{Voter: voter, By: chord.PeerID(string(p.By)), At: time.UnixMilli(p.At), Done: p.Done})
	}
	return f, nil
}

func encodeVoter(v store.Voter) *pb.Voter {
	return &pb.Voter{Peer: []byte(v.Peer), Incarnation: v.Incarnation}
}

// parseVoter checks a voter of the message named what.
func parseVoter(v *pb.Voter, what string) (store.Voter, error) {
	if v == nil || len(v.Peer) == 0 || len(v.Peer) > store.MaxPeerID {
		return store.Voter{}, malformed(what, fmt.Errorf("voter with a peer ID of %d bytes", len(v.GetPeer())))
	}
	return store.Voter{Peer: chord.PeerID(string(v.Peer)), Incarnation: v.Incarnation}, nil
}
