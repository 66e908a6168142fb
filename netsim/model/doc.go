// Package model runs the pure cores of peers under an event queue: hundreds or
// thousands of peers in one process and in virtual time, with a network whose
// delays, losses, doubles, splits and failures come from a seed. A run is
// therefore repeated exactly by its seed, and a failure that was found once can be
// replayed for ever, as a transcript that a person can read.
//
// It owns the simulated network and clock, the all-knowing checks (the ring's
// invariant, who really owns a key), random schedules and the figures of a run. It
// owns no protocol: the cores are those that the real peers run.
//
// # What a clean schedule assumes
//
// Corrected Chord assumes that failures are detected without error, that no crash
// takes all live entries of a list, and that more than r peers keep a principal: a
// position that no list skips. There a query and the change that it leads to are one
// step. Here a message lies between them, so what the paper says of a list that is
// held is said here of one that was told, from the moment at which it was told:
//
//   - A list under way to whoever asked for it, and one that a joiner keeps until it
//     has found its last place, count like those of members: crashes must leave them
//     a live entry, and positions that they skip are no principals.
//   - A peer that failed is gone from a list with the query that it left unanswered.
//     So while news of its former life may be under way, an entry that names a peer
//     which came back counts neither as live nor as principal. Without this a peer
//     could come back between the last probe and the end of its time-out, and a
//     true report would be a false one. No protocol without a bound on clocks and
//     delays can do better: the next query finds it alive.
//
// Members tell others now and then that somebody has died who lives: a report is no
// failure.
//
// That is all; and in exchange more is checked than the paper's invariant: a
// principal remains one while it lives. Half of the schedules drop the condition on
// lists and instead let fewer than r peers go within the time that a repair takes at
// most (12 s, or 40 s where maintenance spares bytes), which fails a protocol whose
// lists decay; they begin from a perfect ring.
// Some crashes hit a ring at rest, whatever remains of it: up to r-1 peers, or all but
// one of those that one list names. Then, and in rings too small for the paper, the
// shape of the ring is what crashes must leave, and what is checked at every step:
// the first live successors form one ordered ring to which all else leads. In a ring
// too small they must leave every list another live peer, too, unless one peer is all
// that remains.
//
// Left in peace a ring must be perfect within 90 s, one that was split, starved of
// messages and struck at will within 4 minutes.
//
// In a ring with liars Run also reads records of owned namespaces, see OwnedReport: lookups are
// the ring's, the read and the check of what replicas answer are the store's, and each peer whom
// the ring names as one of a key's replicas, if it is honest, holds the record that was written last.
// How records get there is not modelled, nor how they move; liars answer before others.
//
// RunWork has schedulers share tasks, as WorkSettings say. A World is driven by hand, a Schedule plays a random history and checks the
// ring's invariant after every step, and Run measures lookups, traffic and healing
// for the command line. Nothing here is safe for concurrent use; separate Worlds
// are independent. In rings of 500 peers and more Run lets as many goroutines as there are
// processors, four at most, call the cores (package ahead): that changes no bit of what it finds.
//
//	w := model.NewWorld(chord.Config{}, seed)
//	a, b := w.Add([]uint32{0, 1}), w.Add([]uint32{0, 1})
//	w.Create(a)
//	w.Join(b, a)
//	ok, err := w.RunUntil(10*time.Second, 100*time.Millisecond, func() bool { return w.Converged() == nil })
package model
