// Package model runs the pure cores of peers under an event queue: hundreds or
// thousands of peers in one goroutine and in virtual time, with a network whose
// delays, losses, doubles, splits and failures come from a seed. A run is
// therefore repeated exactly by its seed, and a failure that was found once can be
// replayed for ever, as a transcript that a person can read.
//
// It owns the simulated network and clock, the all-knowing checks (the ring's
// invariant, who really owns a key), random schedules and the figures of a run. It
// owns no protocol: the cores are those that the real peers run.
//
// A World is driven by hand, a Schedule plays a random history and checks the
// ring's invariant after every step, and Run measures lookups, traffic and healing
// for the command line. Nothing here is safe for concurrent use; separate Worlds
// are independent.
//
//	w := model.NewWorld(chord.Config{}, seed)
//	a, b := w.Add([]uint32{0, 1}), w.Add([]uint32{0, 1})
//	w.Create(a)
//	w.Join(b, a)
//	ok, err := w.RunUntil(10*time.Second, 100*time.Millisecond, func() bool { return w.Converged() == nil })
package model
