package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// A durable job outlives the process that it was submitted to: another one continues
// it, and any peer shows and gets it.
func TestDurableJobOutlivesProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	peers := startPeers(t, "anna", "bert", "carl", "dora")
	const tasks = 10
	var submitted struct {
		Job   string
		Tasks int
	}
	peers[0].doc(&submitted, "submit", "sleep", "--input", "30{i}ms", "--n", fmt.Sprint(tasks), "--durable", "--wait=false")
	if submitted.Tasks != tasks {
		t.Fatalf("submitted %+v", submitted)
	}
	if out := peers[1].ok("job", "show", submitted.Job); !strings.Contains(out, "the 1st to have this durable job") {
		t.Errorf("job show at another peer:\n%s", out)
	}
	peers[0].signal(syscall.SIGKILL)
	killed := time.Now()
	var job client.Job
	eventually(t, time.Minute, func() bool {
		peers[2].doc(&job, "job", "show", submitted.Job)
		return job.Epoch > 1 || job.Ended()
	}, func() string { return fmt.Sprintf("nobody continues it: %+v", job) })
	t.Logf("continued %v after the kill", time.Since(killed).Round(time.Millisecond))
	var want strings.Builder
	for i := range tasks {
		fmt.Fprintf(&want, "30%dms", i)
	}
	for _, p := range peers[1:] {
		if out := p.ok("job", "get", submitted.Job, "--timeout", "2m"); out != want.String() {
			t.Errorf("job get at %s: %q", p.home, out)
		}
	}
	peers[1].doc(&job, "job", "show", submitted.Job)
	listed := peers[1].ok("job", "ls") + peers[2].ok("job", "ls") + peers[3].ok("job", "ls") // its voters are three of four
	if n := strings.Count(listed, submitted.Job); n < 2 || strings.Count(listed, "sleep/v1") != n {
		t.Errorf("job ls at the others:\n%s", listed)
	}
	if job.State != "done" || job.Done != tasks || !job.Durable {
		t.Errorf("in the end: %+v", job)
	}
	peers[3].run("job", "show", strings.Repeat("0", 32)).fails(client.CodeNotFound)
}
