package overlay

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute"
)

// Five peers that have shared a job, and have nothing more to do, say nothing of tasks
// but gossip.
func TestIdlePeersSendNoSteals(t *testing.T) {
	var began atomic.Int64
	meet := Func("meet/v1", func(ctx context.Context, in []byte) ([]byte, error) {
		for began.Add(1); began.Load() < 3; { // more than one peer has workers
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
		return in, nil
	})
	cfg := Config{Workers: 2, Funcs: []AnyFunc{meet}}
	nodes := []*Node{joinTest(t, nil, cfg)}
	for range 4 {
		nodes = append(nodes, joinTest(t, nodes[0], cfg))
	}
	id, err := nodes[2].Submit(t.Context(), JobSpec{Code: Code{Func: "meet"}, Inputs: make([][]byte, 40)})
	if err != nil {
		t.Fatal(err)
	}
	if job, err := nodes[2].Wait(t.Context(), id); err != nil || job.State != "done" {
		t.Fatalf("%+v, %v", job, err)
	}
	sent := func() (by [compute.KindReturn + 1]uint64) {
		t.Helper()
		for _, n := range nodes {
			err := n.tasks.look(t.Context(), func(core scheduler) {
				for k, sum := range core.Stats().Sent {
					by[k] += sum
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return by
	}
	const quiet = 4 * time.Second // many times what a thief, a victim or a sleeper waits for
	// What the job left to say takes a while, so one window of many must be quiet: peers that
	// ask for work all the time have none.
	soon(t, "a while without a word of tasks", func() error {
		before := sent()
		time.Sleep(quiet)
		for k, n := range sent() {
			if kind := compute.Kind(k); kind != compute.KindLoad && n > before[k] {
				return fmt.Errorf("%d messages %s in %v", n-before[k], kind, quiet)
			}
		}
		return nil
	})
	if all := sent(); all[compute.KindSteal] == 0 || all[compute.KindGive] == 0 || all[compute.KindLoad] == 0 {
		t.Errorf("nothing was counted: %v", all)
	}
}
