package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// submitSleeps submits tasks that sleep.
func submitSleeps(t *testing.T, ctx context.Context, node *overlay.Node, n int, d time.Duration) string {
	t.Helper()
	inputs := make([][]byte, n)
	for i := range inputs {
		inputs[i] = []byte(d.String())
	}
	id, err := node.Submit(ctx, overlay.JobSpec{Code: overlay.Code{Func: "sleep"}, Inputs: inputs})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// awaitTasksAt waits until a peer holds tasks of a job.
func awaitTasksAt(t *testing.T, owner *overlay.Node, job, peer string) {
	t.Helper()
	eventually(t, "tasks at "+peer, func() error {
		j, err := owner.Job(job)
		if err != nil {
			return err
		}
		for _, r := range j.Results {
			if r.State == "away" && r.Peer == peer {
				return nil
			}
		}
		if j.Ended() {
			t.Fatalf("the job ended before %s had tasks: %v", peer, j.ByPeer)
		}
		return fmt.Errorf("%d of %d done", j.Done, j.Tasks)
	})
}

// allDone checks that each task of a job has exactly one good result.
func allDone(t *testing.T, j overlay.Job) {
	t.Helper()
	if j.State != "done" || j.Done != j.Tasks || j.Failed != 0 || len(j.Results) != j.Tasks {
		t.Errorf("job is %s: %d of %d done, %d failed, %d results, %s", j.State, j.Done, j.Tasks, j.Failed, len(j.Results), j.Why)
	}
	sum := 0
	for _, n := range j.ByPeer {
		sum += n
	}
	if sum != j.Tasks {
		t.Errorf("%d tasks by peer, want %d: %v", sum, j.Tasks, j.ByPeer)
	}
	for i, r := range j.Results {
		if r.Index != i || r.State != "done" || r.Error != "" || len(r.Output) == 0 {
			t.Errorf("result %d: %+v", i, r)
		}
	}
}

// A thousand tasks submitted at one of five peers run on all of them.
func TestTasksSpread(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 5, Node: overlay.Config{Workers: 2}})
	owner := c.Nodes()[2]
	began := time.Now()
	sleeps := submitSleeps(t, ctx, owner, 800, 10*time.Millisecond)
	primes := make([][]byte, 200)
	for i := range primes {
		primes[i] = []byte("1000")
	}
	counted, err := owner.Submit(ctx, overlay.JobSpec{Code: overlay.Code{Func: "primes"}, Inputs: primes})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{sleeps, counted} {
		j, err := owner.Wait(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		allDone(t, j)
		t.Logf("%s: after %v, by %v", j.Code, time.Since(began).Round(time.Millisecond), j.ByPeer)
		if id == sleeps && len(j.ByPeer) != 5 {
			t.Errorf("only %d of 5 peers took part", len(j.ByPeer))
		}
		if id == counted && string(j.Results[199].Output) != "168" {
			t.Errorf("%s primes below 1000", j.Results[199].Output)
		}
	}
	if jobs := owner.Jobs(); len(jobs) != 2 || jobs[0].ID != counted {
		t.Errorf("jobs: %+v", jobs)
	}
}

// Tasks of a peer that dies while it holds and runs them run again.
func TestTasksSurviveKill(t *testing.T) {
	long(t)
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 4, Node: overlay.Config{Workers: 2}})
	owner, victim := c.Nodes()[0], c.Nodes()[3]
	job := submitSleeps(t, ctx, owner, 300, 20*time.Millisecond)
	awaitTasksAt(t, owner, job, victim.ID())
	if err := c.Kill(3); err != nil {
		t.Fatal(err)
	}
	j, err := owner.Wait(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	allDone(t, j)
	again := 0
	for _, r := range j.Results {
		if r.Attempts > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("no task ran again")
	}
}

// A task goes only to a peer that has its function; without one it waits, and
// says so, until such a peer joins.
func TestTasksFindTheirFunction(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 3, Node: overlay.Config{Workers: 2}})
	owner := c.Nodes()[0]
	shout := overlay.Func("shout/v1", func(_ context.Context, s string) (string, error) { return s + "!", nil })
	handle, err := shout.Submit(ctx, owner, "a", "b", "c", "d")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job waits", func() error {
		j, err := owner.Job(handle.ID())
		if err != nil || j.State != "waiting" || j.Why == "" {
			return fmt.Errorf("state %s, why %q, %w", j.State, j.Why, err)
		}
		t.Log(j.Why)
		return nil
	})
	able, err := overlay.Join(ctx, overlay.Config{
		Name: "able", Peers: owner.Addrs(), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Funcs: []overlay.AnyFunc{shout},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer able.Close()
	outs, err := handle.WaitAll(ctx)
	if err != nil || fmt.Sprint(outs) != "[a! b! c! d!]" {
		t.Errorf("got %q, %v", outs, err)
	}
	j, err := owner.Job(handle.ID())
	if err != nil || j.ByPeer[able.ID()] != 4 {
		t.Errorf("by peer: %v, %v", j.ByPeer, err)
	}
	// Submitted at a peer that knows of it by now, and at the one that has it.
	for _, node := range []*overlay.Node{c.Nodes()[1], able} {
		h, err := shout.Submit(ctx, node, "x")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := h.Wait(ctx); err != nil || out != "x!" {
			t.Errorf("at %s: %q, %v", node.Name(), out, err)
		}
	}
}

// Errors and panics of a task reach who waits for it, limits hold, and a job
// can be cancelled.
func TestTasksFail(t *testing.T) {
	t.Parallel()
	sad := overlay.Func("sad/v1", func(_ context.Context, why string) (string, error) {
		if why == "panic" {
			panic("at the disco")
		}
		return "", errors.New(why)
	})
	c, ctx := start(t, cluster.Settings{Peers: 3, Node: overlay.Config{Workers: 2, Funcs: []overlay.AnyFunc{sad}}})
	owner := c.Nodes()[1]
	for _, why := range []string{"out of luck", "panic"} {
		h, err := sad.Submit(ctx, owner, why)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Wait(ctx)
		var failed *overlay.TaskError
		if !errors.As(err, &failed) || failed.Job != h.ID() || failed.Index != 0 || failed.Peer == "" {
			t.Errorf("%s: %v", why, err)
		}
		if want := map[string]string{"panic": "at the disco"}[why]; err != nil && !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s: %v", why, err)
		}
	}
	id, err := owner.Submit(ctx, overlay.JobSpec{Code: overlay.Code{Func: "sleep"}, Inputs: [][]byte{[]byte("1h"), []byte("1ms")}, Time: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	j, err := owner.Wait(ctx, id)
	if err != nil || j.State != "failed" || j.Done != 1 || j.Failed != 1 || j.Results[0].Error == "" {
		t.Errorf("over its time limit: %+v, %v", j, err)
	}

	job := submitSleeps(t, ctx, owner, 100, time.Hour)
	awaitTasksAt(t, owner, job, c.Nodes()[0].ID())
	if err := owner.CancelJob(job); err != nil {
		t.Fatal(err)
	}
	if j, err = owner.Wait(ctx, job); err != nil || j.State != "cancelled" {
		t.Errorf("cancelled job is %s, %v", j.State, err)
	}
	eventually(t, "all workers are free", func() error {
		for _, n := range c.Live() {
			s, err := n.Status(ctx)
			if err != nil || s.Tasks.Running+s.Tasks.Queued > 0 {
				return fmt.Errorf("%s: %+v, %w", n.Name(), s.Tasks, err)
			}
		}
		return nil
	})
	if err := owner.CancelJob(job); err != nil {
		t.Errorf("cancelled twice: %v", err)
	}
	for what, err := range map[string]error{
		"job of another peer": c.Nodes()[0].CancelJob(job),
		"wait":                second(c.Nodes()[0].Wait(ctx, job)),
		"look":                second(c.Nodes()[0].Job(job)),
	} {
		if client.AsError(err) == nil || client.AsError(err).Code != client.CodeNotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"", "no spaces", "version/v0"} {
		_, err := owner.Submit(ctx, overlay.JobSpec{Code: overlay.Code{Func: name}, Inputs: [][]byte{nil}})
		if client.AsError(err) == nil || client.AsError(err).Code != client.CodeUsage {
			t.Errorf("function %q: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
