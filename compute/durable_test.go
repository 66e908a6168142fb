package compute

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chorus-net/chorus/chord"
)

// durableWorld is a register, and peers that believe, rightly or not, that a durable
// job is theirs. Swaps may be lost, may have their effect although nobody hears of
// it, and may have it late.
type durableWorld struct {
	t       *testing.T
	rng     *rand.Rand
	version uint64
	value   []byte
	late    []DurableStep // swaps on their way
	owners  []*durableOwner
	did     map[string]int
	calm    bool // nothing goes wrong any more
}

type durableOwner struct {
	id   chord.PeerID
	d    *Durable
	step DurableStep
}

// set makes a change of the register, which must be one that may follow.
func (w *durableWorld) set(st DurableStep) bool {
	if w.version != st.Version {
		return false
	}
	l, err := DecodeLedger(st.Value)
	if err != nil {
		w.t.Fatalf("proposed: %v", err)
	}
	if w.version > 0 {
		was, err := DecodeLedger(w.value)
		if err != nil {
			w.t.Fatal(err)
		}
		switch {
		case was.State != LedgerRunning:
			w.t.Fatalf("a final job was changed: %+v, then %+v", was, l)
		case l.Epoch < was.Epoch || l.Epoch == was.Epoch && l.Owner != was.Owner:
			w.t.Fatalf("epoch %d of %s, then %d of %s", was.Epoch, was.Owner, l.Epoch, l.Owner)
		case len(l.Batches) < len(was.Batches) || cmp.Diff(was.Batches, l.Batches[:len(was.Batches)], cmpopts.EquateEmpty()) != "":
			w.t.Fatalf("results were taken back: %+v, then %+v", was, l)
		case len(l.Batches) > len(was.Batches) && l.Batches[len(l.Batches)-1].Epoch != was.Epoch:
			w.t.Fatalf("results of epoch %d were committed in epoch %d", l.Batches[len(l.Batches)-1].Epoch, was.Epoch)
		}
	}
	w.version, w.value = w.version+1, bytes.Clone(st.Value)
	w.did["changes"]++
	return true
}

// act lets an owner take its next step.
func (w *durableWorld) act(o *durableOwner) {
	var err error
	switch o.step.Kind {
	case DurableSwap:
		switch fate := w.rng.IntN(8); {
		case w.calm || fate < 5:
			ok := w.set(o.step)
			o.step, err = o.d.Swapped(ok, w.version, w.value)
		case fate == 5: // it has its effect, and nobody hears of it
			w.set(o.step)
			o.step = o.d.Unknown()
			w.did["unheard"]++
		case fate == 6:
			w.late = append(w.late, o.step)
			o.step = o.d.Unknown()
			w.did["late"]++
		default:
			o.step = o.d.Unknown()
			w.did["lost"]++
		}
	case DurableRead:
		o.step, err = o.d.Read(w.version, w.value)
	case DurableIdle:
		if left := o.d.Ledger().Left(); len(left) > 0 && o.d.Epoch() > 0 {
			w.rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
			left = left[:1+w.rng.IntN(len(left))]
			o.step, err = o.d.Commit(left, w.rng.IntN(len(left)+1))
			w.did["commits"]++
		}
	case DurableLost:
		w.did["deposed"]++
		w.claim(o)
	case DurableOver:
	}
	if err != nil && !errors.Is(err, ErrNoJob) {
		w.t.Fatal(err)
	}
}

// claim makes a peer, in a new life, take the job over.
func (w *durableWorld) claim(o *durableOwner) {
	if w.version == 0 {
		return
	}
	o.d = NewDurable(o.id)
	step, err := o.d.Claim(w.version, w.value)
	if err != nil {
		w.t.Fatal(err)
	}
	o.step = step
	w.did["claims"]++
}

// Whoever believes that it owns a job, and whatever becomes of swaps: each task gets
// one result, none is taken back, and the job ends.
func TestDurableOwners(t *testing.T) {
	did := make(map[string]int)
	for seed := range uint64(2000) {
		w := &durableWorld{t: t, rng: rand.New(rand.NewPCG(seed, 0)), did: did}
		tasks := 1 + w.rng.IntN(12)
		for i := range 3 {
			w.owners = append(w.owners, &durableOwner{id: chord.PeerID(fmt.Sprint("p", i)), d: NewDurable(chord.PeerID(fmt.Sprint("p", i)))})
		}
		first := w.owners[0]
		var err error
		if first.step, err = first.d.Open(Code{Func: "f/v1"}, tasks); err != nil {
			t.Fatal(err)
		}
		cancels := w.rng.IntN(4) == 0
		for i := 0; i < 40; i++ {
			o := w.owners[w.rng.IntN(len(w.owners))]
			switch fate := w.rng.IntN(20); {
			case fate == 0, fate < 3 && o != first:
				w.claim(o) // it suspects the owner, or starts anew
			case fate == 3 && len(w.late) > 0:
				w.set(w.late[0])
				w.late = w.late[1:]
			case fate == 4 && cancels && w.version > 0:
				o.d = NewDurable(o.id)
				if o.step, err = o.d.Cancel(w.version, w.value); err != nil {
					t.Fatal(err)
				}
				w.did["cancels"]++
			default:
				w.act(o)
			}
		}
		w.calm = true
		if w.version == 0 { // nobody has heard of the job but the one who opens it
			for range 10 {
				w.act(first)
			}
		}
		o := w.owners[w.rng.IntN(len(w.owners))]
		w.claim(o)
		for range 50 {
			w.act(o)
		}
		l, err := DecodeLedger(w.value)
		if err != nil || l.State == LedgerRunning || !cancels && (l.State != LedgerDone || l.Done() != tasks) {
			t.Fatalf("seed %d: %+v, %v", seed, l, err)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%v", did)
	for _, what := range []string{"changes", "unheard", "late", "lost", "commits", "deposed", "claims", "cancels"} {
		if did[what] == 0 {
			t.Errorf("nothing was %s", what)
		}
	}
}

func TestDurableRefuses(t *testing.T) {
	d := NewDurable("me")
	if _, err := d.Open(Code{Func: "f/v1"}, MaxDurable+1); !errors.Is(err, ErrBadSpec) {
		t.Errorf("a job too large: %v", err)
	}
	if _, err := d.Claim(0, nil); !errors.Is(err, ErrNoJob) {
		t.Errorf("a job that is none: %v", err)
	}
	if _, err := d.Claim(1, []byte("nonsense")); !errors.Is(err, ErrBadLedger) {
		t.Errorf("nonsense: %v", err)
	}
	d = NewDurable("me")
	if _, err := d.Open(Code{Func: "f/v1"}, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit([]uint32{0}, 0); err == nil {
		t.Error("committed before it owned the job")
	}
	if st, err := d.Swapped(true, 1, nil); err != nil || st.Kind != DurableIdle || d.Epoch() != 1 {
		t.Fatalf("opened: %+v, %v", st, err)
	}
	for _, tasks := range [][]uint32{nil, {2}, {1, 1}} {
		if _, err := d.Commit(tasks, 0); err == nil {
			t.Errorf("committed %v", tasks)
		}
	}
}

func TestLedgerGolden(t *testing.T) {
	l := Ledger{Epoch: 3, Owner: "anna", Code: "f/v1", Tasks: 300, Failed: 1, Batches: []Batch{
		{Epoch: 1, Seq: 1, Tasks: []uint32{0, 7, 299}}, {Epoch: 3, Seq: 2, Tasks: []uint32{1}},
	}}
	const golden = "010003" + "04616e6e61" + "04662f7631" + "ac02" + "01" + "02" + "010103" + "0007a402" + "030201" + "01"
	b := l.AppendTo(nil)
	if got := fmt.Sprintf("%x", b); got != golden {
		t.Errorf("written as %s, want %s", got, golden)
	}
	back, err := DecodeLedger(b)
	if diff := cmp.Diff(l, back); diff != "" || err != nil {
		t.Errorf("read: %v\n%s", err, diff)
	}
	if l.Done() != 4 || len(l.Left()) != 296 || l.Left()[0] != 2 {
		t.Errorf("%d done, left %v...", l.Done(), l.Left()[:3])
	}
	for _, bad := range []Ledger{
		{Epoch: 0, Owner: "a", Tasks: 1},
		{Epoch: 1, Tasks: 1},
		{Epoch: 1, Owner: "a", Tasks: 0},
		{Epoch: 1, Owner: "a", Tasks: MaxDurable + 1},
		{Epoch: 1, Owner: "a", Tasks: 1, State: LedgerDone},
		{Epoch: 1, Owner: "a", Tasks: 1, State: LedgerCancelled + 1},
		{Epoch: 1, Owner: "a", Tasks: 2, Failed: 1},
		{Epoch: 1, Owner: "a", Tasks: 2, Batches: []Batch{{Epoch: 2, Seq: 1, Tasks: []uint32{0}}}},
		{Epoch: 1, Owner: "a", Tasks: 3, Batches: []Batch{{Epoch: 1, Seq: 1, Tasks: []uint32{0}}, {Epoch: 1, Seq: 2, Tasks: []uint32{0}}}},
		{Epoch: 1, Owner: "a", Tasks: 3, Batches: []Batch{{Epoch: 1, Seq: 2, Tasks: []uint32{0}}, {Epoch: 1, Seq: 1, Tasks: []uint32{1}}}},
		{Epoch: 1, Owner: "a", Tasks: 2, Batches: []Batch{{Epoch: 1, Seq: 1, Tasks: []uint32{2}}}},
	} {
		if back, err := DecodeLedger(bad.AppendTo(nil)); !errors.Is(err, ErrBadLedger) {
			t.Errorf("%+v reads as %+v, %v", bad, back, err)
		}
	}
}

// What was read and is written again reads as the same.
func FuzzLedger(f *testing.F) {
	l := Ledger{Epoch: 3, Owner: "anna", Code: "f/v1", Tasks: 30, Batches: []Batch{{Epoch: 1, Seq: 1, Tasks: []uint32{0, 7, 29}}}}
	f.Add(l.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := DecodeLedger(b)
		if err != nil {
			return
		}
		again, err := DecodeLedger(l.AppendTo(nil))
		if diff := cmp.Diff(l, again); diff != "" || err != nil {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
