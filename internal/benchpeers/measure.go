package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chorus-net/chorus/internal/load"
)

// system is something that keeps values.
type system interface {
	put(ctx context.Context, key string, value []byte) error
	// get fails with errors.ErrUnsupported where nothing can be read.
	get(ctx context.Context, key string) error
	// calls is how many calls there were between peers, 0 if nobody counts.
	calls(ctx context.Context) (uint64, error)
	close() error
}

// figure is what one operation took, by so many callers at once.
type figure struct {
	System   string
	Op       string
	Callers  int
	P50, P99 float64 // us
	Rate     float64 // a second
	CPU      float64 // us of processor time an operation, of all peers and callers
	Calls    float64 // between peers, an operation
	Failed   uint64
}

// measure puts and gets. Gets read what the puts before them wrote.
func measure(ctx context.Context, name string, s system, bytes int, callers []int, duration time.Duration) ([]figure, error) {
	var figures []figure
	value := make([]byte, bytes)
	for _, n := range callers {
		key := func(i uint64) string { return fmt.Sprintf("bench-%d-%d", n, i) }
		put, written, err := one(ctx, s, fmt.Sprintf("%s-put-%d", name, n), n, duration, func(ctx context.Context, i uint64) error {
			return s.put(ctx, key(i), value)
		})
		if err != nil {
			return nil, fmt.Errorf("put by %d callers: %w", n, err)
		}
		put.System, put.Op = name, "put"
		figures = append(figures, put)
		if errors.Is(s.get(ctx, key(0)), errors.ErrUnsupported) {
			continue
		}
		const prime = 2654435761
		get, _, err := one(ctx, s, fmt.Sprintf("%s-get-%d", name, n), n, duration, func(ctx context.Context, i uint64) error {
			return s.get(ctx, key(i*prime%written))
		})
		if err != nil {
			return nil, fmt.Errorf("get by %d callers: %w", n, err)
		}
		get.System, get.Op = name, "get"
		figures = append(figures, get)
	}
	return figures, nil
}

// one measures an operation, after a tenth of the time to get warm.
func one(ctx context.Context, s system, name string, callers int, duration time.Duration, op func(context.Context, uint64) error) (figure, uint64, error) {
	warm, err := load.Run(ctx, load.Settings{Callers: callers, Duration: duration / 10}, op)
	if err != nil {
		return figure{}, 0, err
	}
	calls, err := s.calls(ctx)
	if err != nil {
		return figure{}, 0, err
	}
	stop, err := profile(name)
	if err != nil {
		return figure{}, 0, err
	}
	busy := cpuTime()
	r, err := load.Run(ctx, load.Settings{Callers: callers, Duration: duration, First: warm.Next}, op)
	busy = cpuTime() - busy
	if err := errors.Join(err, stop()); err != nil {
		return figure{}, 0, err
	}
	after, err := s.calls(ctx)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	ops := float64(r.Ops + r.Failed)
	return figure{
		Callers: callers, P50: us(r.P50), P99: us(r.P99), Rate: r.PerSecond(),
		CPU: us(busy) / ops, Calls: float64(after-calls) / ops, Failed: r.Failed,
	}, r.Next, err
}

// profiles is the folder of CPU profiles; "": none are made.
var profiles string

// profile begins a CPU profile of that name, if any is wanted; stop ends it.
func profile(name string) (stop func() error, err error) {
	if profiles == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(profiles, name+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
