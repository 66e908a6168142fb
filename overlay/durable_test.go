package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/store"
)

// answering is a function whose runs wait until their number is below a bound, and
// are counted. Runs at a peer that was killed go on: they must not use anything up.
func answering(bound, runs *atomic.Int64) AnyFunc {
	return Func("answer/v1", func(ctx context.Context, in []byte) ([]byte, error) {
		runs.Add(1)
		n, err := strconv.ParseInt(string(in[bytes.LastIndexByte(in, ' ')+1:]), 10, 64)
		for err == nil && n >= bound.Load() {
			if !sleep(ctx, 5*time.Millisecond) {
				return nil, ctx.Err()
			}
		}
		if bytes.HasPrefix(in, []byte("bad")) {
			return nil, errors.New("bad input")
		}
		return append([]byte("got "), in...), nil
	})
}

// numbered makes n inputs.
func numbered(n int) [][]byte {
	inputs := make([][]byte, n)
	for i := range inputs {
		inputs[i] = fmt.Appendf(nil, "input %d", i)
	}
	return inputs
}

// complete reports what is wrong with the results of a job of numbered inputs.
func complete(j Job, n int) error {
	if j.State != "done" || j.Done != n || len(j.Results) != n {
		return fmt.Errorf("job %+v", j)
	}
	for i, r := range j.Results {
		if want := fmt.Sprintf("got input %d", i); string(r.Output) != want || r.Index != i || r.State != "done" || r.Peer == "" {
			return fmt.Errorf("result %d: %+v", i, r)
		}
	}
	return nil
}

// A durable job outlives the peer that it was submitted at, and the one that continued
// it; any peer shows its results, each of them once.
func TestDurableOutlives(t *testing.T) {
	const tasks = 40
	var bound, runs atomic.Int64
	cfg := Config{Workers: tasks, Funcs: []AnyFunc{answering(&bound, &runs)}, ReplaceAfter: time.Second}
	nodes := []*Node{joinTest(t, nil, cfg)}
	for range 4 {
		nodes = append(nodes, joinTest(t, nodes[0], cfg))
	}
	soon(t, "five peers", func() error { return alike(nodes, 3) })
	ctx := t.Context()
	id, err := nodes[0].Submit(ctx, JobSpec{Code: Code{Func: "answer"}, Inputs: numbered(tasks), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	live := nodes
	for done := int64(10); done < 30; done += 10 {
		bound.Store(done)
		var job Job
		soon(t, fmt.Sprintf("%d results", done), func() error {
			var err error
			if job, err = live[len(live)-1].Job(id); err == nil && int64(job.Done) < done {
				err = fmt.Errorf("%d done at %s, epoch %d", job.Done, job.Owner, job.Epoch)
			}
			return err
		})
		at := slices.IndexFunc(live, func(n *Node) bool { return n.label(n.self.Peer) == job.Owner })
		if at < 0 {
			t.Fatalf("the owner is %s, of epoch %d", job.Owner, job.Epoch)
		}
		live[at].Kill()
		live = slices.Delete(slices.Clone(live), at, at+1)
		soon(t, "the others have its seats", func() error { return alike(live, 3) })
	}
	bound.Store(tasks)
	for _, n := range live {
		job, err := n.Wait(ctx, id)
		if err == nil {
			err = complete(job, tasks)
		}
		if err != nil || job.Epoch < 3 {
			t.Errorf("at %s, epoch %d: %v", n.Name(), job.Epoch, err)
		}
	}
	t.Logf("%d runs of %d tasks", runs.Load(), tasks)
}

// Who is deposed, in the belief that it owns the job, commits nothing and stops.
func TestDurableDeposed(t *testing.T) {
	var bound, runs atomic.Int64
	cfg := Config{Workers: 8, Funcs: []AnyFunc{answering(&bound, &runs)}}
	a := joinTest(t, nil, cfg)
	b := joinTest(t, a, cfg)
	ctx := t.Context()
	text, err := a.Submit(ctx, JobSpec{Code: Code{Func: "answer"}, Inputs: numbered(6), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	id, err := compute.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := a.durables.find(id)
	b.durables.mu.Lock()
	b.durables.owned[id] = nil
	b.durables.mu.Unlock()
	if !b.group.start(func() { b.durables.resume(b.ctx, id) }) {
		t.Fatal("closed")
	}
	soon(t, "another owner", func() error {
		if j, _ := b.durables.find(id); j == nil {
			return errors.New("not yet")
		}
		return nil
	})
	bound.Store(6) // both have results, and want to commit them
	for _, n := range []*Node{a, b} {
		job, err := n.Wait(ctx, text)
		if err == nil {
			err = complete(job, 6)
		}
		if err != nil || job.Owner != b.label(b.self.Peer) || job.Epoch < 2 {
			t.Errorf("at %s: %v, owner %s of epoch %d", n.Name(), err, job.Owner, job.Epoch)
		}
	}
	soon(t, "the first owner stops", func() error {
		if j, _ := a.durables.find(id); j == old {
			return errors.New("it goes on")
		}
		return nil
	})
}

func TestDurableEnds(t *testing.T) {
	var bound, runs atomic.Int64
	cfg := Config{Workers: 8, Funcs: []AnyFunc{answering(&bound, &runs)}}
	a := joinTest(t, nil, cfg)
	b := joinTest(t, a, cfg)
	ctx := t.Context()
	submit := func(inputs ...[]byte) string {
		t.Helper()
		id, err := a.Submit(ctx, JobSpec{Code: Code{Func: "answer"}, Inputs: inputs, Durable: true})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	cancelled := submit(numbered(3)...)
	if err := b.CancelJob(cancelled); err != nil {
		t.Fatal(err)
	}
	if job, err := a.Wait(ctx, cancelled); err != nil || job.State != "cancelled" || job.Results[0].State != "cancelled" {
		t.Errorf("cancelled at another peer: %+v, %v", job, err)
	}
	soon(t, "its tasks stop", func() error {
		if s := a.Jobs(); len(s) > 0 && s[0].State == "running" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	bound.Store(3)
	failed := submit([]byte("bad 0"), []byte("good 1"))
	if job, err := b.Wait(ctx, failed); err != nil || job.State != "failed" || job.Failed != 1 || job.Done != 1 ||
		!strings.Contains(job.Results[0].Error, "bad input") || string(job.Results[1].Output) != "got good 1" {
		t.Errorf("one of two failed: %+v, %v", job, err)
	}
	if job, err := b.Job(strings.Repeat("0", 32)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a job that is none: %+v, %v", job, err)
	}
	if err := b.CancelJob(strings.Repeat("0", 32)); !errors.Is(err, ErrNotFound) {
		t.Errorf("cancel a job that is none: %v", err)
	}
	for _, inputs := range [][][]byte{nil, make([][]byte, compute.MaxDurable+1), {make([]byte, maxDurableBlob+1)}} {
		if id, err := a.Submit(ctx, JobSpec{Code: Code{Func: "answer"}, Inputs: inputs, Durable: true}); err == nil {
			t.Errorf("a job of %d inputs was taken: %s", len(inputs), id)
		}
	}
}

// Who continues a job first, by who else keeps it and who owned it.
func TestRankOf(t *testing.T) {
	a, b, c, d := store.Voter{Peer: "a", Incarnation: 1}, store.Voter{Peer: "b"}, store.Voter{Peer: "c"}, store.Voter{Peer: "d"}
	voters := []store.Voter{a, b, c}
	for _, x := range []struct {
		self  store.Voter
		owner chord.PeerID
		gone  chord.PeerID
		want  int
	}{
		{self: a, owner: "d", want: 0},
		{self: b, owner: "d", want: 1},
		{self: c, owner: "d", want: 2},
		{self: c, owner: "a", want: 1}, // the owner is silent, gone or not
		{self: c, owner: "a", gone: "a", want: 1},
		{self: c, owner: "a", gone: "b", want: 0},
		{self: c, owner: "c", want: 2}, // its own job of a former life
		{self: d, owner: "a", want: -1},
		{self: store.Voter{Peer: "a", Incarnation: 2}, owner: "d", want: -1}, // of another life
	} {
		live := func(id chord.PeerID) bool { return id != x.gone }
		if got := rankOf(x.self, voters, x.owner, live); got != x.want {
			t.Errorf("rank of %s after %s, without %q: %d, want %d", x.self.Peer, x.owner, x.gone, got, x.want)
		}
	}
}

// How often an owner must miss before its job is taken over, by how many other keepers would do
// that first and how many epochs committed nothing.
func TestDue(t *testing.T) {
	batch := func(epoch uint64) []compute.Batch { return []compute.Batch{{Epoch: 1}, {Epoch: epoch}} }
	for _, x := range []struct {
		rank    int
		epoch   uint64
		batches []compute.Batch
		want    int
	}{
		{rank: 0, epoch: 1, want: maxMisses},
		{rank: 2, epoch: 1, want: 3 * maxMisses},
		{rank: 0, epoch: 2, want: maxMisses}, // the first owner may have died at once
		{rank: 0, epoch: 3, want: 2 * maxMisses},
		{rank: 1, epoch: 4, want: 8 * maxMisses},
		{rank: 0, epoch: 100, want: maxMisses << maxVain},
		{rank: 0, epoch: 100, batches: batch(100), want: maxMisses},
		{rank: 0, epoch: 100, batches: batch(98), want: maxMisses},
		{rank: 0, epoch: 100, batches: batch(97), want: 2 * maxMisses},
	} {
		h := heldJob{rank: x.rank, ledger: compute.Ledger{Epoch: x.epoch, Batches: x.batches}}
		for h.misses = 0; !h.due(); h.misses++ {
			if h.misses > 1000 {
				break
			}
		}
		if h.misses != x.want {
			t.Errorf("%+v: due after %d misses", x, h.misses)
		}
	}
	if h := (heldJob{rank: -1, misses: 1000}); h.due() {
		t.Error("who does not keep a job takes it over")
	}
}

// Of jobs that ended so many are kept, for as long as their results; of others all.
func TestEndedDurablesAreBounded(t *testing.T) {
	k := newDurables(nil)
	start := time.Unix(1e9, 0)
	id := func(i int) (id compute.ID) {
		id[0], id[1], id[2] = byte(i), byte(i>>8), byte(i>>16)
		return id
	}
	const open, all = 3, maxEnded + 100
	for i := range all {
		h := heldJob{version: 1, ledger: compute.Ledger{Epoch: 1, Tasks: 1}}
		k.note(id(i), h, start)
		if i >= open {
			h.version, h.ledger.State = 2, compute.LedgerDone
			k.note(id(i), h, start.Add(time.Duration(i)))
			k.note(id(i), h, start.Add(time.Duration(i))) // repair writes it anew
		}
	}
	if len(k.held) != open+maxEnded || k.held[id(open)] != nil || k.held[id(all-1)] == nil || k.held[id(0)] == nil {
		t.Errorf("%d of %d are held", len(k.held), all)
	}
	if k.trim(start.Add(durableLife)); len(k.held) != open+maxEnded {
		t.Errorf("%d are held on the last day", len(k.held))
	}
	if k.trim(start.Add(durableLife + time.Second)); len(k.held) != open || len(k.ended) != 0 {
		t.Errorf("%d are held after their results", len(k.held))
	}
}
