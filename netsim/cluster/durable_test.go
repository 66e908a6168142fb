package cluster_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

var kills = flag.Int("kills", 20, "how many owners of durable jobs TestDurableKills kills")

// Owners of durable jobs are killed at any time, from the moment that the job was
// taken on: each job ends, with one right result for each task.
func TestDurableKills(t *testing.T) {
	long(t)
	t.Parallel()
	ctx := t.Context()
	c, _ := start(t, cluster.Settings{Peers: 5, Dir: t.TempDir(), Node: overlay.Config{Workers: 2, ReplaceAfter: time.Minute}})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var slowest, resumed time.Duration
	continued := 0
	for trial := range *kills {
		const tasks = 12
		spec := overlay.JobSpec{Code: overlay.Code{Func: "echo"}, Durable: true}
		if trial%2 == 0 {
			spec.Code.Func = "sleep"
		}
		for i := range tasks {
			input := fmt.Sprintf("trial %d, task %d", trial, i)
			if spec.Code.Func == "sleep" {
				input = fmt.Sprintf("%dms", 20+10*i)
			}
			spec.Inputs = append(spec.Inputs, []byte(input))
		}
		victim := rng.IntN(5)
		id, err := c.Nodes()[victim].Submit(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond) // when it is killed
		began := time.Now()
		if err := c.Kill(victim); err != nil {
			t.Fatal(err)
		}
		var job overlay.Job
		var after time.Duration // when another peer owned it
		eventually(t, "the job ends", func() (err error) {
			job, err = c.Nodes()[(victim+1)%5].Job(id)
			if err == nil && job.Epoch > 1 && after == 0 {
				after = time.Since(began)
			}
			if err == nil && !job.Ended() {
				err = fmt.Errorf("%d of %d done at %s, epoch %d", job.Done, job.Tasks, job.Owner, job.Epoch)
			}
			return err
		})
		slowest, resumed = max(slowest, time.Since(began)), max(resumed, after)
		if job.Epoch > 1 {
			continued++
		}
		allDone(t, job)
		for i, r := range job.Results {
			if string(r.Output) != string(spec.Inputs[i]) {
				t.Errorf("trial %d: task %d put out %q", trial, i, r.Output)
			}
		}
		if _, err := c.Restart(ctx, victim); err != nil {
			t.Fatal(err)
		}
		agree(t, c)
	}
	t.Logf("%d jobs, %d of them continued by others, at most %v after the kill; the slowest ended after %v",
		*kills, continued, resumed.Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// While the network is split both parts may hold the owner of a durable job to be theirs.
// Results are committed once, and both parts see the same ones in the end.
func TestDurablePartition(t *testing.T) {
	long(t)
	t.Parallel()
	c, starting := start(t, cluster.Settings{
		Peers:   5,
		Network: &simnet.Settings{Latency: 2 * time.Millisecond, Seed: 5},
		// With five replicas, the majority of every register is in the larger part.
		Node: overlay.Config{Workers: 2, Replicas: 5, ReplaceAfter: time.Minute},
	})
	ctx, nodes := t.Context(), c.Nodes()
	const keys = 160 // in each of the 16 shards, which all have their voters then
	put(t, starting, nodes, "k/", keys)
	settled(t, starting, c, "k/", keys, 5)
	const jobs, tasks = 3, 10
	var ids []string
	for range jobs {
		spec := overlay.JobSpec{Code: overlay.Code{Func: "sleep"}, Durable: true}
		for i := range tasks {
			spec.Inputs = append(spec.Inputs, fmt.Appendf(nil, "%dms", 300+i))
		}
		id, err := nodes[4].Submit(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	// The owner is in the smaller part, and goes on.
	c.Network().Partition([]int{0, 1, 2}, []int{3, 4})
	eventually(t, "the larger part continues the jobs", func() error {
		for _, id := range ids {
			if j, err := nodes[0].Job(id); err != nil || j.Epoch == 1 && !j.Ended() {
				return fmt.Errorf("job of epoch %d, %v", j.Epoch, err)
			}
		}
		return nil
	})
	c.Network().Heal()
	agree(t, c)
	for _, id := range ids {
		var first overlay.Job
		for i, node := range nodes {
			job, err := node.Wait(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			allDone(t, job)
			if i == 0 {
				first = job
			}
			for k, r := range job.Results {
				if string(r.Output) != fmt.Sprintf("%dms", 300+k) || r.Peer != first.Results[k].Peer || r.MS != first.Results[k].MS {
					t.Errorf("result %d at %s: %+v, at another %+v", k, node.Name(), r, first.Results[k])
				}
			}
		}
		t.Logf("job of epoch %d", first.Epoch)
	}
}

// One pair of peers cannot reach each other, and a third reaches both: each has a durable job,
// and the other keeps its register. Neither takes the other's job away from it for ever.
func TestDurablePair(t *testing.T) {
	long(t)
	t.Parallel()
	c, starting := start(t, cluster.Settings{
		Peers:   3,
		Network: &simnet.Settings{Latency: 2 * time.Millisecond, Seed: 5},
		Node:    overlay.Config{Workers: 2, Replicas: 3, ReplaceAfter: time.Minute},
	})
	ctx, nodes := t.Context(), c.Nodes()
	put(t, starting, nodes, "k/", 160)
	settled(t, starting, c, "k/", 160, 3)
	var ids []string
	for owner := range 2 {
		spec := overlay.JobSpec{Code: overlay.Code{Func: "sleep"}, Durable: true}
		for i := range 2 {
			spec.Inputs = append(spec.Inputs, fmt.Appendf(nil, "%dms", 8000+i)) // for longer than a peer waits for an owner
		}
		id, err := nodes[owner].Submit(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	c.Network().Cut(0, 1)
	for _, id := range ids {
		var job overlay.Job
		eventually(t, "the job ends", func() (err error) {
			if job, err = nodes[2].Job(id); err == nil && !job.Ended() {
				err = fmt.Errorf("%d of %d done, epoch %d", job.Done, job.Tasks, job.Epoch)
			}
			return err
		})
		allDone(t, job)
		t.Logf("the job ended in epoch %d", job.Epoch)
	}
}
