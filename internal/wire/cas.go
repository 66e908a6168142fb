package wire

import (
	"errors"

	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// AppendCASRequest appends the encoding of r.
func AppendCASRequest(b []byte, r *store.CASRequest) []byte {
	m := &pb.CASRequest{
		Incarnation: r.Incarnation, Push: encodeConfig(r.Push), Key: r.Key, Ballot: encodeCASBallot(r.Ballot), Accept: r.Accept,
	}
	if r.Accept {
		m.State = encodeCASState(r.State)
	}
	return appendMessage(b, m)
}

// ParseCASRequest reads a CASRequest. Whether a correct proposer makes it is for its
// Check to say.
func ParseCASRequest(b []byte) (store.CASRequest, error) {
	var m pb.CASRequest
	if err := m.UnmarshalVT(b); err != nil {
		return store.CASRequest{}, malformed("register request", err)
	}
	if !m.Accept && m.State != nil {
		return store.CASRequest{}, malformed("register request", errors.New("a prepare with a state"))
	}
	t, err := parseTarget(m.Incarnation, m.Push)
	return store.CASRequest{
		Target: t, Namespace: store.RegisterNamespace, Key: m.Key,
		Ballot: decodeCASBallot(m.Ballot), Accept: m.Accept, State: decodeCASState(m.State),
	}, err
}

// AppendCASReply appends the encoding of r.
func AppendCASReply(b []byte, r *store.CASReply) []byte {
	return appendMessage(b, &pb.CASReply{
		Status: uint32(r.Status), Promised: encodeCASBallot(r.Promised), Accepted: encodeCASBallot(r.Accepted),
		State: encodeCASState(r.State), Config: encodeConfig(r.Config),
	})
}

// ParseCASReply reads a CASReply, whose value aliases b.
func ParseCASReply(b []byte) (store.CASReply, error) {
	var m pb.CASReply
	if err := parseMessage(b, &m, "register reply"); err != nil {
		return store.CASReply{}, err
	}
	status, c, err := parseStatus(m.Status, m.Config)
	return store.CASReply{
		Status: status, Promised: decodeCASBallot(m.Promised), Accepted: decodeCASBallot(m.Accepted),
		State: decodeCASState(m.State), Config: c,
	}, err
}

func encodeCASBallot(b store.CASBallot) *pb.CASBallot {
	if b.IsZero() {
		return nil
	}
	return &pb.CASBallot{Epoch: b.Epoch, Counter: b.Counter, Proposer: b.Proposer}
}

func decodeCASBallot(m *pb.CASBallot) store.CASBallot {
	if m == nil {
		return store.CASBallot{}
	}
	return store.CASBallot{Epoch: m.Epoch, Ballot: store.Ballot{Counter: m.Counter, Proposer: m.Proposer}}
}

func encodeCASState(s store.CASState) *pb.CASState {
	if s.Version == 0 && s.Dot == (store.Dot{}) && len(s.Value) == 0 {
		return nil
	}
	return &pb.CASState{Version: s.Version, Actor: s.Dot.Actor, Counter: s.Dot.Counter, Value: s.Value}
}

func decodeCASState(m *pb.CASState) store.CASState {
	if m == nil {
		return store.CASState{}
	}
	s := store.CASState{Version: m.Version, Dot: store.Dot{Actor: m.Actor, Counter: m.Counter}}
	if len(m.Value) > 0 {
		s.Value = m.Value
	}
	return s
}
