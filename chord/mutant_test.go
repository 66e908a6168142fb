package chord_test

import (
	"errors"
	"testing"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/netsim/model"
)

// TestMutantsAreCaught shows that the schedules can fail: each planted fault
// violates the invariant, or keeps a ring from ever being perfect, soon.
func TestMutantsAreCaught(t *testing.T) {
	const within = 60
	for _, mutant := range chord.Mutants {
		t.Run(mutant.Name, func(t *testing.T) {
			t.Parallel()
			if mutant.Slow && testing.Short() {
				t.Skip("a few seconds")
			}
			for seed := mutant.From; seed < mutant.From+within; seed++ {
				_, err := model.Schedule{Seed: seed, Each: mutant.Plant}.Run()
				if errors.Is(err, model.ErrViolation) {
					t.Logf("caught by schedule %d: %v", seed, err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Errorf("not caught by %d schedules", within)
		})
	}
}

// TestLocalInvariants checks the state of every core throughout a few
// schedules of each kind.
func TestLocalInvariants(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		s := model.Schedule{Seed: seed, Rough: seed%2 == 0}
		s.AfterCall = func(r *chord.Ring) error { return r.Check() }
		if _, err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}
}
