package compute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// MaxDurable bounds the tasks of a durable job: its ledger is written anew with
// each commit.
const MaxDurable = 4096

// LedgerState says whether a durable job goes on. Numbers are part of the format.
type LedgerState uint8

// The states. All but LedgerRunning are final.
const (
	LedgerRunning   LedgerState = 0
	LedgerDone      LedgerState = 1 // every task has its result, well or not
	LedgerCancelled LedgerState = 2
)

// Ledger is what the register of a durable job says: who may commit results, and
// which are committed. The results themselves are kept elsewhere, a record for each
// batch, which counts if and because the ledger lists it.
type Ledger struct {
	// Epoch counts the owners; only the present one's commits are taken.
	Epoch   uint64
	Owner   chord.PeerID
	State   LedgerState
	Code    string // for people: [Code.String]
	Tasks   uint32 // of the job
	Failed  uint32 // of those with a result
	Batches []Batch
}

// Batch names results that were committed at once: those of some tasks, by the
// owner of an epoch, as its number Seq.
type Batch struct {
	Epoch, Seq uint64
	Tasks      []uint32 // their indexes, ascending
}

// Done returns how many tasks have a result.
func (l *Ledger) Done() int {
	n := 0
	for i := range l.Batches {
		n += len(l.Batches[i].Tasks)
	}
	return n
}

// Left returns the indexes of the tasks that have no result, ascending.
func (l *Ledger) Left() []uint32 {
	done := l.done()
	var left []uint32
	for i := range l.Tasks {
		if !done[i] {
			left = append(left, i)
		}
	}
	return left
}

func (l *Ledger) done() []bool {
	done := make([]bool, l.Tasks)
	for i := range l.Batches {
		for _, t := range l.Batches[i].Tasks {
			done[t] = true
		}
	}
	return done
}

// lists reports whether a batch is committed.
func (l *Ledger) lists(epoch, seq uint64) bool {
	return slices.ContainsFunc(l.Batches, func(b Batch) bool { return b.Epoch == epoch && b.Seq == seq })
}

// check states the invariants: no task has two results.
func (l *Ledger) check() error {
	switch {
	case l.Epoch == 0 || l.Owner == "" || len(l.Owner) > MaxPeerID:
		return fmt.Errorf("epoch %d, owner of %d bytes", l.Epoch, len(l.Owner))
	case len(l.Code) > MaxFuncName:
		return fmt.Errorf("code of %d bytes", len(l.Code))
	case l.State > LedgerCancelled:
		return fmt.Errorf("state %d", l.State)
	case l.Tasks == 0 || l.Tasks > MaxDurable:
		return fmt.Errorf("%d tasks", l.Tasks)
	}
	seen := make([]bool, l.Tasks)
	n := uint32(0)
	for i := range l.Batches {
		b := &l.Batches[i]
		if b.Epoch == 0 || b.Epoch > l.Epoch || len(b.Tasks) == 0 || i > 0 && !l.Batches[i-1].before(b) {
			return fmt.Errorf("batch %d of epoch %d is out of place", b.Seq, b.Epoch)
		}
		for k, t := range b.Tasks {
			if t >= l.Tasks || k > 0 && t <= b.Tasks[k-1] || seen[t] {
				return fmt.Errorf("task %d has two results, or is none of the job's", t)
			}
			seen[t] = true
			n++
		}
	}
	if l.Failed > n || (l.State == LedgerDone) != (n == l.Tasks) {
		return fmt.Errorf("%d of %d tasks have results, %d failed, state %d", n, l.Tasks, l.Failed, l.State)
	}
	return nil
}

// before reports whether b was committed before c.
func (b *Batch) before(c *Batch) bool {
	return b.Epoch < c.Epoch || b.Epoch == c.Epoch && b.Seq < c.Seq
}

// An encoded ledger: format byte 1, the state, then as unsigned varints epoch,
// length of the owner, the owner's bytes, length and bytes of the code, tasks, failed, batches; of each batch
// epoch, number, tasks, and each index less the one before it.
const ledgerFormat = 1

// AppendTo appends the encoding of l to b.
func (l *Ledger) AppendTo(b []byte) []byte {
	b = append(b, ledgerFormat, byte(l.State))
	b = binary.AppendUvarint(b, l.Epoch)
	b = binary.AppendUvarint(b, uint64(len(l.Owner)))
	b = append(b, l.Owner...)
	b = binary.AppendUvarint(b, uint64(len(l.Code)))
	b = append(b, l.Code...)
	for _, n := range []uint64{uint64(l.Tasks), uint64(l.Failed), uint64(len(l.Batches))} {
		b = binary.AppendUvarint(b, n)
	}
	for i := range l.Batches {
		batch := &l.Batches[i]
		for _, n := range []uint64{batch.Epoch, batch.Seq, uint64(len(batch.Tasks))} {
			b = binary.AppendUvarint(b, n)
		}
		last := uint32(0)
		for _, t := range batch.Tasks {
			b = binary.AppendUvarint(b, uint64(t-last))
			last = t
		}
	}
	return b
}

// ErrBadLedger is wrapped by DecodeLedger.
var ErrBadLedger = errors.New("bad ledger")

// DecodeLedger reads exactly one ledger.
func DecodeLedger(b []byte) (Ledger, error) {
	var l Ledger
	if len(b) < 2 || b[0] != ledgerFormat {
		return l, fmt.Errorf("%w: format", ErrBadLedger)
	}
	l.State = LedgerState(b[1])
	r := varints{rest: b[2:]}
	l.Epoch = r.next(1 << 62)
	l.Owner = chord.PeerID(r.bytes(int(r.next(MaxPeerID))))
	l.Code = string(r.bytes(int(r.next(MaxFuncName))))
	l.Tasks = uint32(r.next(MaxDurable))
	l.Failed = uint32(r.next(MaxDurable))
	// A batch has at least one task, and no task is in two.
	left := int(l.Tasks)
	for range r.next(uint64(left)) {
		batch := Batch{Epoch: r.next(1 << 62), Seq: r.next(1 << 62)}
		n := int(r.next(uint64(left)))
		left -= n
		at := uint32(0)
		for range n {
			at += uint32(r.next(MaxDurable))
			batch.Tasks = append(batch.Tasks, at)
		}
		l.Batches = append(l.Batches, batch)
	}
	if r.bad || len(r.rest) > 0 {
		return Ledger{}, fmt.Errorf("%w: cut short, or too long", ErrBadLedger)
	}
	if err := l.check(); err != nil {
		return Ledger{}, fmt.Errorf("%w: %w", ErrBadLedger, err)
	}
	return l, nil
}

// varints reads numbers, and notes when there is none.
type varints struct {
	rest []byte
	bad  bool
}

func (r *varints) next(limit uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > limit || r.bad {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *varints) bytes(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
