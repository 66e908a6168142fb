package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// repairing is a ring of which one peer catches up with what it missed while it is measured.
type repairing struct {
	*chorus
}

// missed is how many keys are put while the peer is away.
const missed = 100_000

func startRepairing(ctx context.Context, dir string) (system, error) {
	s, err := startChorus(3)(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := repairing{s.(*chorus)}
	if err := r.ring.Kill(2); err != nil {
		return nil, err
	}
	value := make([]byte, 100)
	var next atomic.Int64
	errs := make(chan error)
	for range 64 {
		go func() {
			for i := next.Add(1); i <= missed; i = next.Add(1) {
				if err := r.put(ctx, fmt.Sprintf("missed-%d", i), value); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 64 {
		err = errors.Join(err, <-errs)
	}
	if err == nil {
		_, err = r.ring.Restart(ctx, 2)
	}
	return r, err
}

// caughtUp reports whether the peer holds what it missed.
func (r repairing) caughtUp(ctx context.Context) (bool, error) {
	status, err := r.ring.Nodes()[2].Status(ctx)
	return err == nil && status.Keys >= missed, err
}

// close tells, too, whether the measurement went on for longer than the repair.
func (r repairing) close() error {
	done, err := r.caughtUp(context.Background())
	if done {
		fmt.Fprintln(os.Stderr, "the peer had caught up before the measurement ended: shorten it with --duration")
	}
	return errors.Join(err, r.chorus.close())
}

// startRepaired is the same ring when the peer has caught up: what it is compared to, since it
// has as much on its disks and has done the same before.
func startRepaired(ctx context.Context, dir string) (system, error) {
	s, err := startRepairing(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := s.(repairing)
	for {
		done, err := r.caughtUp(ctx)
		if done || err != nil {
			return r.chorus, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
