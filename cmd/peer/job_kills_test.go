package main

import (
	"flag"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

var jobKills = flag.Int("jobkills", 3, "how many processes TestJobKills kills, beyond 100 of them in up to 5 rings at a time")

// Processes are killed with -9 while they own or run tasks: each job that was taken on
// ends with one right result for each task, and all peers show the same ones, whoever was killed.
func TestJobKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	rings := min(1+*jobKills/100, 5) // they wait for most of the time
	for ring := range rings {
		kills := (*jobKills + ring) / rings
		t.Run(fmt.Sprintf("ring%d", ring+1), func(t *testing.T) {
			t.Parallel()
			killJobs(t, kills)
		})
	}
}

func killJobs(t *testing.T, kills int) {
	x := &jobKilling{killing: newKilling(t, "anna", "bert", "carl", "dora", "emil")}
	rng := x.rng()
	for trial := range kills {
		owner := rng.IntN(len(x.peers))
		victim, durable := owner, true
		if trial%3 > 0 { // a worker, not the owner
			victim, durable = (owner+1+rng.IntN(len(x.peers)-1))%len(x.peers), trial%3 == 1
		}
		spec := client.JobSpec{Code: client.Code{Func: "sleep"}, Durable: durable}
		for i := range 20 {
			spec.Inputs = append(spec.Inputs, fmt.Appendf(nil, "%dms", 200+10*i))
		}
		id := x.submit(owner, spec)
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond) // when it is killed
		if code := x.peers[victim].signal(syscall.SIGKILL); code != -1 {
			t.Fatalf("exit status %d of a killed process", code)
		}
		killed := time.Now()
		viewer := owner
		if viewer == victim {
			viewer = (victim + 1) % len(x.peers)
		}
		job := x.ended(viewer, id, killed)
		x.check(spec, job)
		x.peers[victim] = x.peers[victim].start()
		if durable {
			for i := range x.peers {
				x.same(job, x.ended(i, id, time.Time{}))
			}
		}
	}
	t.Logf("%d kills, of %d owners; another owned the job at most %v later; %d attempts were lost, and the slowest job ended after %v",
		kills, x.owners, x.resumed.Round(time.Millisecond), x.lost, x.slowest.Round(time.Millisecond))
}

// jobKilling is a ring of processes that has jobs while some of them are killed.
type jobKilling struct {
	*killing

	owners, lost     int
	resumed, slowest time.Duration
}

// submit has a peer take a job on.
func (x *jobKilling) submit(at int, spec client.JobSpec) (id string) {
	x.t.Helper()
	eventually(x.t, time.Minute, func() bool {
		c, err := x.links[at].client(x.t.Context())
		if err == nil {
			id, err = c.Submit(x.t.Context(), spec)
		}
		return err == nil
	}, func() string { return "a job is not taken on" })
	return id
}

// ended waits for the end of a job as a peer sees it; if there was a kill, it notes what came of that.
func (x *jobKilling) ended(at int, id string, killed time.Time) (job client.Job) {
	x.t.Helper()
	var last error
	owned := false
	eventually(x.t, 2*time.Minute, func() bool {
		c, err := x.links[at].client(x.t.Context())
		if err == nil {
			job, err = c.Job(x.t.Context(), id)
		}
		if last = err; err != nil {
			return false
		}
		if !killed.IsZero() && job.Epoch > 1 && !owned {
			owned = true
			x.owners++
			x.resumed = max(x.resumed, time.Since(killed))
		}
		return job.Ended()
	}, func() string { return fmt.Sprintf("the job has not ended: %v; %+v", last, job) })
	if !killed.IsZero() {
		x.slowest = max(x.slowest, time.Since(killed))
	}
	return job
}

// check looks at the results of a job, one for each task.
func (x *jobKilling) check(spec client.JobSpec, job client.Job) {
	x.t.Helper()
	if job.State != "done" || job.Done != len(spec.Inputs) || job.Tasks != len(spec.Inputs) || len(job.Results) != len(spec.Inputs) {
		x.t.Fatalf("job %s is %s: %d of %d done, %d results: %+v", job.ID, job.State, job.Done, len(spec.Inputs), len(job.Results), job)
	}
	for i, r := range job.Results {
		if r.Index != i || r.State != "done" || string(r.Output) != string(spec.Inputs[i]) {
			x.t.Errorf("task %d of job %s: %+v", i, job.ID, r)
		}
		for _, a := range r.History {
			if a.Outcome == "lost" {
				x.lost++
			}
		}
	}
}

// same checks that two peers show the same attempts as those that count.
func (x *jobKilling) same(a, b client.Job) {
	x.t.Helper()
	if !slices.EqualFunc(a.Results, b.Results, func(a, b client.TaskResult) bool {
		return a.Task == b.Task && a.Peer == b.Peer && a.MS == b.MS && string(a.Output) == string(b.Output)
	}) {
		x.t.Errorf("two peers show other results of job %s:\n%+v\n%+v", a.ID, a.Results, b.Results)
	}
}
