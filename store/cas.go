package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
)

// RegisterNamespace holds the registers: that of key "ns/key" is the record
// "_cas/ns/key". No put reaches it, so a key's records of different classes
// never meet.
const RegisterNamespace = "_cas"

// MaxRegister bounds the value of a register, in bytes.
const MaxRegister = MaxValue - registerHeader

// CASBallot numbers an attempt at changing a register. The epoch of its
// configuration orders first: an attempt at a later epoch outranks all of
// earlier ones, so promises need not move with the shard.
type CASBallot struct {
	Epoch uint64 // up to 2^32-1, as is Counter
	Ballot
}

// Compare returns -1, 0 or +1.
func (a CASBallot) Compare(b CASBallot) int {
	if c := cmp.Compare(a.Epoch, b.Epoch); c != 0 {
		return c
	}
	return a.Ballot.Compare(b.Ballot)
}

// IsZero reports whether a stands for "none".
func (a CASBallot) IsZero() bool { return a == CASBallot{} }

// Version returns a as the version of a record; it orders as ballots do.
func (a CASBallot) Version() Version {
	return Version{Clock: a.Epoch<<32 | a.Counter, Writer: a.Proposer}
}

// valid reports whether a proposer can have made a.
func (a CASBallot) valid() bool {
	return a.Epoch > 0 && a.Epoch < 1<<32 && a.Counter > 0 && a.Counter < 1<<32
}

// CASState is what a register says. The zero CASState says that it was never
// set.
type CASState struct {
	Version uint64 // counts the changes
	Dot     Dot    // names the change that made it
	Value   []byte
}

// check reports what no correct proposer proposes.
func (s CASState) check() error {
	switch {
	case len(s.Value) > MaxRegister:
		return ErrValueTooLarge
	case (s.Version == 0) != (s.Dot == Dot{}), s.Version == 0 && len(s.Value) > 0:
		return errors.New("version, dot and value do not go together")
	}
	return nil
}

// Register is what a replica keeps of one register: CASPaxos' acceptor. The zero
// Register promised and accepted nothing. What changed must be on stable storage
// before the answer leaves the peer.
type Register struct {
	Promised CASBallot // at least Accepted
	Accepted CASBallot // zero: nothing was accepted
	State    CASState  // what was accepted
}

// CASRequest asks a replica to prepare or, with Accept set, to accept State.
// Its ballot's epoch is that of the call's envelope.
type CASRequest struct {
	Target
	Namespace string // of the record: RegisterNamespace
	Key       string // of the record: the register's full key
	Ballot    CASBallot
	Accept    bool
	State     CASState
}

// CASReply answers a CASRequest: StatusOK; StatusOutbid, with the ballot that
// won in Promised; or what State.Admit says.
type CASReply struct {
	Status   Status
	Promised CASBallot
	Accepted CASBallot // to prepare: what was accepted, and State with it
	State    CASState
	Config   Config // StatusReferral
}

// Check reports why a request cannot come from a correct proposer at an epoch,
// or nil.
func (q *CASRequest) Check(epoch uint64) error {
	if q.Namespace != RegisterNamespace {
		return fmt.Errorf("register in namespace %q", q.Namespace)
	}
	if err := CheckKey(q.Namespace, q.Key); err != nil {
		return err
	}
	if !q.Ballot.valid() || q.Ballot.Epoch != epoch {
		return fmt.Errorf("register ballot %v at epoch %d", q.Ballot, epoch)
	}
	return q.State.check()
}

// Step answers an admitted request that passes Check. An error is one more
// request that no correct proposer makes; it changes nothing.
func (r *Register) Step(q *CASRequest) (reply CASReply, changed bool, err error) {
	c := q.Ballot.Compare(r.Promised)
	switch {
	case c < 0, c == 0 && !q.Accept:
		// An equal ballot is refused: it may be that of a proposer that restarted
		// and forgot, or of another change by the same peer.
		return CASReply{Status: StatusOutbid, Promised: r.Promised}, false, nil
	case !q.Accept:
		r.Promised = q.Ballot
		return CASReply{Status: StatusOK, Promised: r.Promised, Accepted: r.Accepted, State: r.State}, true, nil
	case q.Ballot == r.Accepted: // a repetition
		if q.State.Version != r.State.Version || q.State.Dot != r.State.Dot {
			return CASReply{}, false, fmt.Errorf("register ballot %v carries two states", q.Ballot)
		}
		return CASReply{Status: StatusOK, Promised: r.Promised}, false, nil
	}
	r.Promised, r.Accepted, r.State = q.Ballot, q.Ballot, q.State
	return CASReply{Status: StatusOK, Promised: r.Promised}, true, nil
}

// Merge takes in what another replica accepted, if it is newer. Promises stay:
// each binds the replica that gave it.
func (r *Register) Merge(o Register) (changed bool) {
	if o.Accepted.Compare(r.Accepted) <= 0 {
		return false
	}
	r.Accepted, r.State = o.Accepted, o.State
	if r.Promised.Compare(r.Accepted) < 0 {
		r.Promised = r.Accepted
	}
	return true
}

// check states the invariants of an acceptor.
func (r *Register) check() error {
	switch {
	case r.Accepted.Compare(r.Promised) > 0:
		return errors.New("accepted above the promise")
	case !r.Promised.IsZero() && !r.Promised.valid(), !r.Accepted.IsZero() && !r.Accepted.valid():
		return errors.New("ballot out of bounds")
	case r.Accepted.IsZero() && r.State.Version != 0:
		return errors.New("state without a ballot")
	}
	return r.State.check()
}

// Record returns the record by which r, once it accepted something, is listed,
// compared and handed over; RegisterOf reads it. Its value keeps no promise, so
// equal versions mean equal records.
func (r *Register) Record(key string) Record {
	moved := Register{Promised: r.Accepted, Accepted: r.Accepted, State: r.State}
	return Record{
		Class: ClassPaxos, Namespace: RegisterNamespace, Key: key, Position: Route(RegisterNamespace, key),
		Version: r.Accepted.Version(), Dot: r.State.Dot, Value: moved.AppendTo(nil),
	}
}

// RegisterOf reads the register of a record that Record made.
func RegisterOf(v View) (Register, error) {
	if v.Class() != ClassPaxos || string(v.Namespace()) != RegisterNamespace {
		return Register{}, fmt.Errorf("record is no register: %w", ErrCorrupt)
	}
	r, err := DecodeRegister(v.Value())
	if err == nil && (r.Accepted.IsZero() || r.Accepted.Version() != v.Version()) {
		err = fmt.Errorf("register and its record differ: %w", ErrCorrupt)
	}
	if err != nil {
		return Register{}, err
	}
	return r, nil
}

// An encoded register, integers big-endian: format byte 1; the promised and the
// accepted ballot, each epoch, counter and proposer (8 bytes each); version, dot
// actor and dot counter (8 bytes each); the value.
const (
	registerFormat = 1
	registerHeader = 1 + 9*8
)

// AppendTo appends the encoding of r to b.
func (r *Register) AppendTo(b []byte) []byte {
	b = append(b, registerFormat)
	for _, x := range r.numbers() {
		b = binary.BigEndian.AppendUint64(b, *x)
	}
	return append(b, r.State.Value...)
}

// numbers are the fields of the encoding, in order.
func (r *Register) numbers() [9]*uint64 {
	p, a, s := &r.Promised, &r.Accepted, &r.State
	return [9]*uint64{
		&p.Epoch, &p.Counter, &p.Proposer, &a.Epoch, &a.Counter, &a.Proposer,
		&s.Version, &s.Dot.Actor, &s.Dot.Counter,
	}
}

// DecodeRegister reads exactly one register. Its value aliases b.
func DecodeRegister(b []byte) (Register, error) {
	if len(b) < registerHeader || b[0] != registerFormat {
		return Register{}, fmt.Errorf("register format: %w", ErrCorrupt)
	}
	var r Register
	for i, x := range r.numbers() {
		*x = binary.BigEndian.Uint64(b[1+8*i:])
	}
	if len(b) > registerHeader {
		r.State.Value = b[registerHeader:]
	}
	if err := r.check(); err != nil {
		return Register{}, fmt.Errorf("register: %w: %w", err, ErrCorrupt)
	}
	return r, nil
}
