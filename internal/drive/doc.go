// Package drive owns a pure core from one goroutine.
//
// A core (the ring, the scheduler) is a plain data structure: it is handed a
// message and the time and answers with plain data. A [Loop] gives it the three
// things that it lacks: a bounded inbox, a clock and an owner. It knows nothing
// of what the messages mean, of networks or of disks: the output goes to one
// callback, which hands it to those who send and store.
//
// Rules:
//
//   - The core belongs to the loop's goroutine from [New] on. Whoever wants to
//     look at it or to command it does so in a function passed to [Loop.Do] or
//     [Loop.Act], which runs there.
//   - The callback runs there too, once for each step, tick and act, in their
//     order. It must not block, nor call Do, Act or Close: that would wait for
//     itself. It may Post.
//   - [Loop.Post] never blocks. A full inbox answers [ErrFull] at once, and the
//     refusal is counted.
//   - Calls may come from any goroutine; what one goroutine posts and asks for
//     happens in that order.
//
// An idle loop sleeps: it wakes when the core's Deadline comes, and not at all
// while that is zero.
//
//	loop := drive.New(ring, send, drive.Config{})
//	defer loop.Close()
//	err := loop.Post(msg)                                   // from the network
//	err = loop.Do(ctx, func(r *chord.Ring) { view = r.View() }) // a question
//	err = loop.Act(ctx, func(r *chord.Ring, now time.Time) chord.Output {
//		return r.Leave(now) // a command: its output goes to send
//	})
package drive
