package overlay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// holding is a function whose runs last until they are stopped; it counts those under
// way.
func holding(running *atomic.Int64) AnyFunc {
	return Func("hold/v1", func(ctx context.Context, in []byte) ([]byte, error) {
		if len(in) > 0 {
			return in, nil
		}
		running.Add(1)
		defer running.Add(-1)
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

// A job that is not done by its deadline ends as expired, whether durable or not, and
// nothing of it runs on anywhere.
func TestDeadlineStopsTasksEverywhere(t *testing.T) {
	var running atomic.Int64
	cfg := Config{Workers: 2, Funcs: []AnyFunc{holding(&running)}}
	a := joinTest(t, nil, cfg)
	joinTest(t, a, cfg)
	for _, durable := range []bool{false, true} {
		inputs := make([][]byte, 6)
		inputs[0] = []byte("brief")
		id, err := a.Submit(t.Context(), JobSpec{
			Code: Code{Func: "hold"}, Inputs: inputs, Durable: durable, Priority: 3, Deadline: 1500 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		job, err := a.Wait(t.Context(), id)
		if err != nil || job.State != "expired" || !strings.Contains(job.Why, "deadline") || job.Done > 1 || job.Priority != 3 || job.Deadline.IsZero() {
			t.Errorf("durable %t: %+v, %v", durable, job, err)
		}
		if e := job.Results[5].Error; !strings.Contains(e, "deadline") {
			t.Errorf("durable %t: the error of a task: %q", durable, e)
		}
		soon(t, "its tasks stop", func() error {
			if n := running.Load(); n > 0 {
				return fmt.Errorf("%d tasks run on", n)
			}
			return nil
		})
	}
	for _, spec := range []JobSpec{{Priority: 10}, {Priority: -10}, {Priority: 256}, {Deadline: -1}} {
		spec.Code, spec.Inputs = Code{Func: "hold"}, make([][]byte, 1)
		if id, err := a.Submit(t.Context(), spec); codeOf(err) != string(client.CodeUsage) {
			t.Errorf("%+v: %s, %v", spec, id, err)
		}
	}
}

// A task that several peers run has the answer of most of them, and the job says who
// answered otherwise.
func TestVerifiedJobNamesLiars(t *testing.T) {
	answer := func(prefix string) AnyFunc {
		return Func("say/v1", func(_ context.Context, in []byte) ([]byte, error) { return append([]byte(prefix), in...), nil })
	}
	a := joinTest(t, nil, Config{Workers: 1, Funcs: []AnyFunc{answer("so ")}})
	joinTest(t, a, Config{Workers: 1, Funcs: []AnyFunc{answer("so ")}})
	liar := joinTest(t, a, Config{Workers: 1, Funcs: []AnyFunc{answer("not so ")}})
	for _, durable := range []bool{false, true} {
		id, err := a.Submit(t.Context(), JobSpec{Code: Code{Func: "say"}, Inputs: numbered(8), Verify: 3, Durable: durable})
		if err != nil {
			t.Fatal(err)
		}
		job, err := a.Wait(t.Context(), id)
		if err != nil || job.State != "done" || job.Done != 8 || job.Verify != 3 {
			t.Fatalf("durable %t: %+v, %v", durable, job, err)
		}
		for i, r := range job.Results {
			if want := fmt.Sprintf("so input %d", i); string(r.Output) != want || len(r.Votes) != 3 || r.Peer == liar.ID() {
				t.Errorf("durable %t: %+v", durable, r)
			}
			peers := make(map[string]bool)
			for _, v := range r.Votes {
				if peers[v.Peer] = true; v.Agrees == (v.Peer == liar.ID()) {
					t.Errorf("durable %t, task %d: votes %+v", durable, i, r.Votes)
				}
			}
			if len(peers) != 3 {
				t.Errorf("durable %t, task %d: votes %+v", durable, i, r.Votes)
			}
		}
	}
	id, err := a.Submit(t.Context(), JobSpec{Code: Code{Func: "say"}, Inputs: numbered(1), Verify: 4})
	if err != nil {
		t.Fatal(err)
	}
	soon(t, "it says that it waits for a fourth peer", func() error {
		if job, err := a.Job(id); err != nil || job.State != "waiting" || job.Able != 3 || !strings.Contains(job.Why, "4 different peers") {
			return fmt.Errorf("%+v, %w", job, err)
		}
		return nil
	})
}

// A job does not wait for a task that hangs at one peer: another runs it, and the
// first run is stopped.
func TestStragglerIsOvertaken(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%t", durable), func(t *testing.T) { stragglerIsOvertaken(t, durable) })
	}
}

func stragglerIsOvertaken(t *testing.T, durable bool) {
	var stuck, running atomic.Int64
	hang := Func("work/v1", func(ctx context.Context, _ []byte) ([]byte, error) {
		stuck.Add(1)
		running.Add(1)
		defer running.Add(-1)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	work := Func("work/v1", func(ctx context.Context, in []byte) ([]byte, error) {
		for stuck.Load() == 0 { // the other one takes one, too
			if !sleep(ctx, 5*time.Millisecond) {
				return nil, ctx.Err()
			}
		}
		return append([]byte("got "), in...), nil
	})
	a := joinTest(t, nil, Config{})
	joinTest(t, a, Config{Workers: 1, Funcs: []AnyFunc{work}})
	slow := joinTest(t, a, Config{Workers: 1, Funcs: []AnyFunc{hang}})
	id, err := a.Submit(t.Context(), JobSpec{Code: Code{Func: "work"}, Inputs: numbered(100), Durable: durable})
	if err != nil {
		t.Fatal(err)
	}
	job, err := a.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := complete(job, 100); err != nil || job.Backups == 0 || job.Overtook == 0 || job.ByPeer[slow.ID()] > 0 {
		t.Errorf("%v; %d backups, %d first, %v", err, job.Backups, job.Overtook, job.ByPeer)
	}
	soon(t, "the task that hangs is stopped", func() error {
		if n := running.Load(); n > 0 {
			return fmt.Errorf("%d run on", n)
		}
		return nil
	})
}

// A job of a prefix has a task for each key under it, and most run where their key is.
func TestEachKeyAtItsReplicas(t *testing.T) {
	say := Func("say/v1", func(ctx context.Context, in []byte) ([]byte, error) {
		sleep(ctx, time.Millisecond)
		return append([]byte("got "), in...), nil
	})
	cfg := Config{Workers: 1, Funcs: []AnyFunc{say}}
	a := joinTest(t, nil, cfg)
	nodes := []*Node{a}
	for range 4 {
		nodes = append(nodes, joinTest(t, a, cfg))
	}
	const keys = 60
	for i := range keys {
		if _, err := a.Put(t.Context(), fmt.Sprintf("photos/%03d", i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Put(t.Context(), "other", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, durable := range []bool{false, true} {
		id, err := nodes[1].Submit(t.Context(), JobSpec{Code: Code{Func: "say"}, Each: "photos/", Durable: durable})
		if err != nil {
			t.Fatal(err)
		}
		job, err := nodes[1].Wait(t.Context(), id)
		if err != nil || job.State != "done" || job.Done != keys {
			t.Fatalf("durable %t: %+v, %v", durable, job, err)
		}
		near := 0
		for i, r := range job.Results {
			key := fmt.Sprintf("photos/%03d", i)
			if string(r.Output) != "got "+key {
				t.Errorf("task %d: %q", i, r.Output)
			}
			for _, p := range a.nearKeys(t.Context(), [][]byte{[]byte(key)})[0] {
				if a.label(p) == r.Peer {
					near++
				}
			}
		}
		t.Logf("%d of %d ran where their key is", near, keys)
		if !durable && job.Near != near {
			t.Errorf("%d ran where their key is, %d are counted", near, job.Near)
		}
	}
	// Where nobody is busy, a task goes to its key.
	key := []byte("photos/000")
	replicas := a.nearKeys(t.Context(), [][]byte{key})[0]
	for _, n := range nodes {
		if slices.Contains(replicas, n.self.Peer) {
			continue
		}
		soon(t, "a task of a key runs at a replica", func() error {
			id, err := n.Submit(t.Context(), JobSpec{Code: Code{Func: "say"}, Inputs: [][]byte{key}, Keys: true})
			if err != nil {
				return err
			}
			if job, err := n.Wait(t.Context(), id); err != nil || job.Near != 1 || job.Results[0].Peer == n.ID() {
				return fmt.Errorf("%+v, %w", job, err)
			}
			return nil
		})
	}
	for code, spec := range map[string]JobSpec{
		string(client.CodeNotFound): {Each: "nothing/"},
		string(client.CodeUsage):    {Each: "photos/", Inputs: numbered(1)},
	} {
		spec.Code.Func = "say"
		if id, err := a.Submit(t.Context(), spec); codeOf(err) != code {
			t.Errorf("%+v: %s, %v", spec, id, err)
		}
	}
}

// A task that crashes wherever it runs is tried a few times, and then given up with the
// peer and the reason of each attempt; the others of its job go on.
func TestPoisonIsGivenUp(t *testing.T) {
	poison := Func("poison/v1", func(_ context.Context, in []byte) ([]byte, error) {
		if len(in) == 0 {
			panic("it is poison")
		}
		return in, nil
	})
	cfg := Config{Workers: 1, Funcs: []AnyFunc{poison}}
	a := joinTest(t, nil, cfg)
	nodes := map[string]bool{a.ID(): true, joinTest(t, a, cfg).ID(): true, joinTest(t, a, cfg).ID(): true}
	for _, durable := range []bool{false, true} {
		id, err := a.Submit(t.Context(), JobSpec{Code: Code{Func: "poison"}, Inputs: [][]byte{nil, []byte("food")}, Durable: durable})
		if err != nil {
			t.Fatal(err)
		}
		job, err := a.Wait(t.Context(), id)
		if err != nil || job.State != "failed" || job.Done != 1 || job.Failed != 1 || len(job.Results) != 2 {
			t.Fatalf("durable %t: %+v, %v", durable, job, err)
		}
		bad := job.Results[0]
		if bad.State != "failed" || !strings.Contains(bad.Error, "it is poison") || string(job.Results[1].Output) != "food" {
			t.Errorf("durable %t: %+v", durable, job.Results)
		}
		crashed := 0
		for _, h := range bad.History {
			if h.Outcome == "crashed" {
				if crashed++; !strings.Contains(h.Error, "it is poison") || !nodes[h.Peer] {
					t.Errorf("durable %t: an attempt %+v", durable, h)
				}
			}
		}
		if crashed != 5 {
			t.Errorf("durable %t: %d attempts crashed: %+v", durable, crashed, bad.History)
		}
	}
}

// A task whose code returns an error runs again as often as its job allows, at another
// peer, and all attempts are known with their reasons.
func TestRetries(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%t", durable), func(t *testing.T) { retries(t, durable) })
	}
}

func retries(t *testing.T, durable bool) {
	var met sync.Map // inputs that failed once
	cfg := Config{Workers: 1, Funcs: []AnyFunc{Func("moody/v1", func(_ context.Context, in []byte) ([]byte, error) {
		if _, again := met.LoadOrStore(string(in), true); !again || len(in) == 0 {
			return nil, fmt.Errorf("not in the mood for %q", in)
		}
		return in, nil
	})}}
	a := joinTest(t, nil, cfg)
	joinTest(t, a, cfg)
	run := func(input string, retries int) client.TaskResult {
		t.Helper()
		id, err := a.Submit(t.Context(), JobSpec{Code: Code{Func: "moody"}, Inputs: [][]byte{[]byte(input)}, Retries: retries, Durable: durable})
		if err != nil {
			t.Fatal(err)
		}
		job, err := a.Wait(t.Context(), id)
		if err != nil || len(job.Results) != 1 || job.State != job.Results[0].State {
			t.Fatalf("%+v, %v", job, err)
		}
		return job.Results[0]
	}
	failures := func(r client.TaskResult) (at []string) {
		for _, h := range r.History {
			if h.Outcome == "error" {
				if at = append(at, h.Peer); !strings.Contains(h.Error, "not in the mood") {
					t.Errorf("an attempt %+v", h)
				}
			}
		}
		return at
	}

	// A run may be lost with what it said, and a peer that is slow leaves the task to the
	// one it failed at: then another job shows it.
	n := 0
	soon(t, "a task fails at one peer and ends at another", func() error {
		n++
		input := fmt.Sprintf("walk %d", n)
		r := run(input, 1)
		if r.State != "done" || string(r.Output) != input {
			t.Fatalf("with a retry: %+v", r)
		}
		last := r.History[len(r.History)-1]
		if at := failures(r); len(at) != 1 || last.Outcome != "ok" || last.Peer != r.Peer || at[0] == r.Peer {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	for retries := range 2 {
		if r := run("", retries); r.State != "failed" || len(failures(r)) != 1+retries || !strings.Contains(r.Error, "not in the mood") {
			t.Errorf("%d retries used up: %+v", retries, r)
		}
	}
	for _, retries := range []int{-1, 9} {
		id, err := a.Submit(t.Context(), JobSpec{Code: Code{Func: "moody"}, Inputs: numbered(1), Retries: retries, Durable: durable})
		if codeOf(err) != string(client.CodeUsage) || !strings.Contains(err.Error(), "up to 8") {
			t.Errorf("%d retries: %s, %v", retries, id, err)
		}
	}
}
