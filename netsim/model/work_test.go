package model

import (
	"testing"
	"time"
)

func TestRunWork(t *testing.T) {
	for _, s := range []WorkSettings{
		{Workload: WorkUTS, Peers: 16, Work: 20 * time.Second, Grain: 200 * time.Millisecond},
		{Workload: WorkBag, Peers: 16, Work: 20 * time.Second, Grain: 200 * time.Millisecond},
		{Workload: WorkBag, Peers: 16, Work: 20 * time.Second, Grain: 200 * time.Millisecond, Kill: 3},
		{Workload: WorkUTS, Peers: 16, Work: 20 * time.Second, Grain: 200 * time.Millisecond, Kill: 3},
		{Workload: WorkPareto, Peers: 16, Work: 30 * time.Second, Grain: 500 * time.Millisecond},
	} {
		t.Run(string(s.Workload), func(t *testing.T) {
			rep, err := RunWork(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if !rep.Right || rep.Done != rep.Tasks || rep.Killed != s.Kill || rep.AfterQuiet > 0 {
				t.Errorf("%+v", rep)
			}
			if s.Kill == 0 && (rep.Refused > 0 || rep.Reruns > 0) {
				t.Errorf("%d messages were refused and %d attempts lost where all is well", rep.Refused, rep.Reruns)
			}
			if rep.Efficiency < 0.5 || rep.Efficiency > 1.01 {
				t.Errorf("efficiency %.2f: %+v", rep.Efficiency, rep)
			}
			again, err := RunWork(t.Context(), s)
			if again.WallS = rep.WallS; err != nil || again != rep {
				t.Errorf("the same seed gave\n%+v and\n%+v, %v", rep, again, err)
			}
		})
	}
}
