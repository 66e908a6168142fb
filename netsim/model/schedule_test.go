package model

import (
	"flag"
	"os"
	"testing"
)

var (
	schedules = flag.Int("schedules", 200, "random schedules of each kind")
	firstSeed = flag.Uint64("seed", 1, "seed of the first schedule")
	trace     = flag.Bool("transcript", false, "print the transcript of the first schedule")
)

func TestCleanSchedules(t *testing.T) { runSchedules(t, false) }

func TestRoughSchedules(t *testing.T) { runSchedules(t, true) }

func runSchedules(t *testing.T, rough bool) {
	failed := 0
	var sum Done
	for i := range *schedules {
		s := Schedule{Seed: *firstSeed + uint64(i), Rough: rough}
		if *trace && i == 0 {
			s.Trace = os.Stdout
		}
		done, err := s.Run()
		sum.Steps += done.Steps
		sum.Joins += done.Joins
		sum.Rejoins += done.Rejoins
		sum.Wipes += done.Wipes
		sum.Crashes += done.Crashes
		sum.Leaves += done.Leaves
		sum.Refused += done.Refused
		sum.Splits += done.Splits
		sum.Virtual += done.Virtual
		sum.Converged = max(sum.Converged, done.Converged)
		sum.CrashedAtOnce = max(sum.CrashedAtOnce, done.CrashedAtOnce)
		if err != nil {
			failed++
			t.Errorf("%v (%+v)", err, done)
			if failed > 10 {
				break
			}
		}
	}
	t.Logf("%d failed; %+v", failed, sum)
}
