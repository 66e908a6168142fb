package compute

import (
	"errors"
	"fmt"
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// DurableKind is what the driver of a Durable does next.
type DurableKind uint8

// The kinds.
const (
	// DurableIdle: nothing; the last call has its effect, and this peer owns the job.
	DurableIdle DurableKind = iota
	// DurableSwap: set the register to Value if it is at Version, and call Swapped.
	DurableSwap
	// DurableRead: read the register, and call Read.
	DurableRead
	// DurableLost: another owner has the job. This one is to stop, and is over.
	DurableLost
	// DurableOver: the job is final, by whoever made it so; the machine is over.
	DurableOver
)

// DurableStep is one thing to do.
type DurableStep struct {
	Kind    DurableKind
	Version uint64
	Value   []byte
}

// Durable is one peer's part in a durable job: how it comes to own the job, and
// commits results, by compare-and-swap of the job's register. It is a plain data
// structure; one goroutine owns it. One change is under way at a time: a call
// returns what to do, and the answer is handed in, until DurableIdle, DurableLost or
// DurableOver.
//
//	d := compute.NewDurable(self)
//	step := d.Open(code, tasks)       // a new job; or d.Claim(version, value) as it was read
//	for {
//		switch step.Kind {
//		case compute.DurableSwap:     // step = d.Swapped(ok, ...), or d.Unknown() if it is not known
//		case compute.DurableRead:     // step = d.Read(version, value)
//		case compute.DurableIdle:     // run the tasks of d.Ledger().Left(); store some results under
//			step = d.Commit(d.Next(), ...) // the name of the next batch, then commit them
//		}
//	}
//
// Why results are committed exactly once: the register is linearizable, a ledger
// with two results of a task is never proposed, and each proposal replaces
// the very version that it was made from. Who owned the job before cannot commit any
// more, as its proposals were made from older versions; what it stored under
// the names of its own epoch is listed nowhere.
type Durable struct {
	self    chord.PeerID
	epoch   uint64 // in which this peer owns the job; 0: not yet
	version uint64 // of the register, when it said ledger
	ledger  Ledger
	change  change
	seq     uint64 // of the last batch that was proposed
	over    DurableKind
}

// change is what is being proposed.
type change struct {
	kind   changeKind
	batch  Batch
	failed uint32
}

type changeKind uint8

const (
	changeNone changeKind = iota
	changeOpen
	changeClaim
	changeCommit
	changeCancel
)

// NewDurable returns the part of a peer that has none yet.
func NewDurable(self chord.PeerID) *Durable { return &Durable{self: self} }

// Ledger returns the job as the register said last. Do not change it.
func (d *Durable) Ledger() *Ledger { return &d.ledger }

// Epoch returns the epoch in which this peer owns the job, 0 for none.
func (d *Durable) Epoch() uint64 { return d.epoch }

// Version returns the version of the register at which it said Ledger.
func (d *Durable) Version() uint64 { return d.version }

// Next returns the number of the next batch of this epoch.
func (d *Durable) Next() uint64 { return d.seq + 1 }

// Open makes this peer the first owner of a new job of so many tasks.
func (d *Durable) Open(code Code, tasks int) (DurableStep, error) {
	if tasks < 1 || tasks > MaxDurable {
		return DurableStep{}, fmt.Errorf("%w: a durable job has 1 to %d tasks, not %d", ErrBadSpec, MaxDurable, tasks)
	}
	d.change = change{kind: changeOpen}
	d.ledger.Code, d.ledger.Tasks = code.String(), uint32(tasks)
	return d.propose(), nil
}

// Claim makes this peer the next owner of a job whose register was read.
func (d *Durable) Claim(version uint64, value []byte) (DurableStep, error) {
	d.change = change{kind: changeClaim}
	return d.look(version, value)
}

// Commit commits the results of tasks, which lie under the name of batch Next. None
// of them has one yet; failed of them are failures.
func (d *Durable) Commit(tasks []uint32, failed int) (DurableStep, error) {
	done := d.ledger.done()
	tasks = slices.Sorted(slices.Values(tasks))
	for i, t := range tasks {
		if t >= d.ledger.Tasks || done[t] || i > 0 && tasks[i-1] == t {
			return DurableStep{}, fmt.Errorf("commit task %d: it has a result, or is none of the job's", t)
		}
	}
	if d.epoch == 0 || d.over != 0 || len(tasks) == 0 || failed > len(tasks) {
		return DurableStep{}, errors.New("commit without owning the job, or nothing")
	}
	d.seq++
	d.change = change{kind: changeCommit, batch: Batch{Epoch: d.epoch, Seq: d.seq, Tasks: tasks}, failed: uint32(failed)}
	return d.propose(), nil
}

// Cancel ends a job whose register was read; who owns it does not matter.
func (d *Durable) Cancel(version uint64, value []byte) (DurableStep, error) {
	d.change = change{kind: changeCancel}
	return d.look(version, value)
}

// Swapped takes in that the register was set, or, if not, what it says.
func (d *Durable) Swapped(ok bool, version uint64, value []byte) (DurableStep, error) {
	if ok {
		d.ledger, d.version = d.next(), version
		return d.made(), nil
	}
	return d.look(version, value)
}

// Unknown takes in that nobody knows whether the register was set.
func (d *Durable) Unknown() DurableStep { return DurableStep{Kind: DurableRead} }

// Read takes in what the register says: after DurableRead, or at any time between
// changes.
func (d *Durable) Read(version uint64, value []byte) (DurableStep, error) {
	return d.look(version, value)
}

// look goes by what the register says.
func (d *Durable) look(version uint64, value []byte) (DurableStep, error) {
	if version == 0 {
		if d.change.kind != changeOpen {
			return DurableStep{}, fmt.Errorf("%w: the register was never set", ErrNoJob)
		}
		d.version = 0
		return d.propose(), nil
	}
	l, err := DecodeLedger(value)
	if err != nil {
		return DurableStep{}, err
	}
	d.ledger, d.version = l, version
	switch {
	case d.came():
		return d.made(), nil
	case d.epoch > 0 && l.Epoch != d.epoch, d.change.kind == changeOpen:
		return d.end(DurableLost), nil
	case l.State != LedgerRunning:
		return d.end(DurableOver), nil
	case d.change.kind == changeNone:
		return DurableStep{}, nil
	}
	return d.propose(), nil
}

// came reports whether the register says what is being proposed: an attempt whose
// outcome was not known had its effect.
func (d *Durable) came() bool {
	l := &d.ledger
	switch d.change.kind {
	case changeOpen:
		return l.Epoch == 1 && l.Owner == d.self
	case changeCommit:
		return l.lists(d.change.batch.Epoch, d.change.batch.Seq)
	case changeCancel:
		return l.State == LedgerCancelled
	default: // a claim is repeated: it then counts a further epoch, which harms nobody
		return false
	}
}

// next returns the ledger with the change made.
func (d *Durable) next() Ledger {
	l := d.ledger
	switch d.change.kind {
	case changeOpen:
		l.Epoch, l.Owner = 1, d.self
	case changeClaim:
		l.Epoch, l.Owner = l.Epoch+1, d.self
	case changeCommit:
		l.Batches = append(slices.Clip(l.Batches), d.change.batch)
		l.Failed += d.change.failed
		if l.Done() == int(l.Tasks) {
			l.State = LedgerDone
		}
	case changeCancel:
		l.State = LedgerCancelled
	case changeNone:
	}
	return l
}

func (d *Durable) propose() DurableStep {
	l := d.next()
	return DurableStep{Kind: DurableSwap, Version: d.version, Value: l.AppendTo(nil)}
}

// made ends a change that had its effect.
func (d *Durable) made() DurableStep {
	if d.change.kind == changeOpen || d.change.kind == changeClaim {
		d.epoch = d.ledger.Epoch
	}
	d.change = change{}
	switch {
	case d.epoch > 0 && d.ledger.Epoch != d.epoch:
		return d.end(DurableLost)
	case d.ledger.State != LedgerRunning:
		return d.end(DurableOver)
	}
	return DurableStep{}
}

func (d *Durable) end(kind DurableKind) DurableStep {
	d.over = kind
	return DurableStep{Kind: kind}
}
