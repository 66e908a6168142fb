package overlay

import (
	"context"
	"fmt"
	"strings"
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
