// Package compute decides where tasks run: any peer submits, idle peers steal
// from busy ones, and what a dead peer took runs again. Nobody conducts.
//
// It owns queues, stealing, the state of jobs at the peer that submitted them,
// and the protocol between peers. It does not run code (packages worker and
// wasm below it do), knows no network, and keeps nothing on disk: a job lives
// as long as its submitter. What outlives that is a [Ledger], and whose it is a
// [Durable] decides.
//
// # Driving a Scheduler
//
// [Scheduler] is a plain data structure: no goroutine, lock, channel or clock.
// One goroutine owns it and calls it with the current time; every call returns an
// [Output] that the caller carries out before, or concurrently with, the next call:
//
//	s, err := compute.New(compute.Config{Self: id, Slots: 8, Funcs: names}, time.Now(), rng)
//	timer := time.NewTimer(0)
//	for {
//		var out compute.Output
//		select {
//		case m := <-received: // Message.From is who sent it, as the connection says
//			out, err = s.Step(time.Now(), m)
//		case r := <-ran: // a worker is done
//			out = s.Ran(time.Now(), r)
//		case <-timer.C:
//			out = s.Tick(time.Now())
//		}
//		// Send out.Send; start out.Run; stop out.Stop; tell who waits for out.Finished.
//		timer.Reset(time.Until(s.Deadline())) // stop it if Deadline is zero
//	}
//
// The driver's duties:
//
//   - Call Tick at Deadline. A Deadline served more than a second late counts as
//     a pause of the whole process: no timer runs in that time.
//   - Set Message.From from the authenticated connection, never from the wire.
//   - Start each task of Output.Run at once and report it by Ran exactly once,
//     also when Output.Stop ended it early. A slot is taken until then. A run is
//     named by task and attempt.
//   - Send messages without waiting for them. They may be lost, repeated and
//     reordered; losing one costs time, never a task.
//   - Call SetPeers when the ring's view changes, and now and then for the round
//     trips; in a ring beyond a few hundred peers, with fingers and successors only.
//   - Call PeerDown when a connection to a peer breaks for good or the ring drops
//     it. Without it a lease runs out after Config.Lease. A wrong PeerDown costs
//     runs, never results.
//   - Read the results of jobs in Output.Finished before the next Submit, which
//     may forget the oldest finished jobs to make room.
//   - Do not change what is handed in or out: inputs and outputs are shared.
//
// Ran takes several results and a driver that has gathered several should pass
// them together: they then share messages.
//
// # Parts that a peer plays
//
// Owner: the peer that submitted a job keeps its state and decides. Holder: a
// peer that has tasks in its queue or on its workers. Victim: a holder that gives tasks
// away. Thief: a peer that asks for them. Sleeper: a peer that found nothing
// and waits to be woken by its lifelines.
//
// # Messages
//
//	Load     gossip; with Register: wake me; with Busy: you woke me for nothing
//	Wake     victim to sleeper: there is work here
//	Steal    thief to victim: what I can run, and how much room I have
//	Give     victim to thief: tasks, or none. One transfer has one number
//	Taken    thief to victim: forget the transfer (or: Pending, Unknown, refused ones)
//	Hold     holder to owner: I have these attempts
//	Held     owner to holder: noted; drop those
//	Result   holder to owner: outcomes
//	Settled  owner to holder: outcomes noted; the parts of those do not count
//	Cancel   owner to holder: drop a job, or some attempts
//	Return   stopping holder to owner: take these back
//
// A steal is two messages, Steal and Give, until the task runs. A third, Taken,
// lets the victim forget. When the victim is not the owner, Hold and Held come
// between, so five in all; a task that ends within Config.Locate is located by
// its Result instead.
//
//	thief                victim                owner
//	  | ---- Steal -------> |                    |
//	  | <--- Give --------- |  keeps copies      |
//	  | ---- Hold -------------------------->    |
//	  | <--- Held ---------------------------    |
//	  | ---- Taken -------> |  forgets           |
//	  | ---- Result ------------------------>    |
//	  | <--- Settled ------------------------    |
//
// # Stealing
//
// A worker takes from the top of the queue, a thief gets half from the bottom,
// of those tasks whose function it has: half of their number, and no more than half of the
// work that they are thought to be. A part is half of what was divided in two; so of a task
// that divides itself again and again the largest part goes, and the victim keeps as much. A peer steals when a worker is free and
// nothing here is for it, one steal at a time: from the more loaded of two peers
// drawn from the gossiped loads, the nearer if they are about alike; without news, from one
// drawn at random. After Config.Tries failures, and one more where nobody answered, it
// registers on its lifelines and
// falls silent. A peer with a surplus wakes a few sleepers, nearest first; each takes
// half and wakes others in turn. Most of those registered have found work elsewhere when
// the ring is busy: one that says so makes room for the next at once. A victim keeps what it would itself start
// within a round trip to the thief, or a millisecond, from what it has seen tasks of that function
// take, and of parts the smaller ones that come to as much. It keeps joins, too, if they are
// over sooner than a steal and a worker will soon be free; what stays it neither tells of nor
// wakes anybody for.
//
// Tasks may name peers that have their data (Task.Near). The owner gives them away
// unasked when the job is submitted, each to the least busy of those that it names,
// unless that has much more to do than the least busy peer. From then on they may be stolen like others.
//
// Of the tasks that wait at a peer those of a higher priority start first, and a thief is
// given half of each priority, the highest first. One start in eight is for the lower one
// that has waited longest, so none waits for ever.
//
// Tasks whose function a peer lacks wait in its queue for thieves that have it.
// Gossip marks them as starved, and a sleeper that hears of such a queue steals
// from it unasked.
//
// # Ownership
//
// Each try at a task is an attempt with a number. Exactly one attempt of an
// unfinished task is current; a result counts if it is of the current attempt,
// whoever brings it, and the first one settles it. Each time an attempt changes hands
// its hop grows; the owner believes the report with the highest hop and has
// the others dropped. So a stale or late attempt changes nothing.
//
//	         given                    result
//	queued ---------> away ---------------------> done, failed
//	  |  ^             |  peer down, silent, returned
//	  |  +-------------+  (next attempt)
//	  +---> running ----> done, failed; or queued for the next attempt
//
// A holder renews its lease with every message; Hold goes out each Config.Renew
// if nothing else does. A peer that is down or silent for Config.Lease has lost
// what it had, and it runs again; so does a task that its holder does not name for
// Config.Unnamed, though it is heard of. Nor may it name one for ever: a run that goes on
// well beyond the task's time limit is lost, and so is a task that waits there while
// somebody else has nothing to do; the next attempt avoids that peer. What was never given
// away nobody has by its word, and no hop is believed beyond Config.MaxHops. A greater Session says that a peer has
// restarted, or has given up on this owner, with the same effect.
//
// An error from the code is final after Spec.MaxErrors of them, by default the first. A crash
// counts apart, and after Config.MaxCrashes the task fails. The attempt after either avoids
// the peers where the task failed before, until Config.Avoid has passed without a taker. An
// attempt lost with its peer while it ran counts towards Config.MaxLost.
//
// # Division
//
// A run may divide its task into parts (Result.Fork) instead of ending it. The
// parts are tasks of the job with the same code. When all are done the task runs
// once more, somewhere, to join what they put out (Task.Join). Parts may be
// divided in turn. A part that fails for good fails the whole; the rest is cancelled.
// So is what is left of a job whose Spec.Deadline passes, wherever it is.
//
//	running --- divided ---> forked --- last part done ---> queued, to join
//
// The owner of the job owns the parts too, so nothing more can be lost than of any
// other task. They need not travel for that: the holder that has divided a task keeps
// the parts in its own queue and starts on them, and tells the owner with the
// Result. Until the owner's Settled says whether the division counts, the parts are
// provisional: they are not given away, and neither they nor their results are told of.
// If the division does not count, because the task is with somebody else by now, they
// are dropped. Parts are named after the attempt that made them, so those of two
// attempts, which may have divided a task in different ways, never mix.
//
// # Copies
//
// A task may run in several copies, each at another peer. A copy is a task with attempts
// of its own and the peers that have others on its list of those to stay away from
// (Task.Avoid, with Task.Apart); its parent is the task that it is a copy of.
//
// A backup is a copy of a task whose run is suspiciously long: none of its job waits at the
// owner any more, and it has run for twice as long as 95% of those that are done, and
// for Config.Straggler. While fewer than five are done it must have run for four times as long as
// the longest of them; the task of a job of one has no backup, as nothing tells what is usual. It goes to a worker that has nothing else to do, once for each task.
// Whichever ends first settles the task, and the other is stopped.
//
// A job with Spec.Verify has so many copies of each task, and the task waits for
// them like for parts. A copy is made when the ones before it have ended or are known to run,
// so that it can be told where not to go; should two yet come from one peer, the later answer does
// not count. What more than half of the copies answer, output or error, is the
// task's result; without a majority it fails. So code must depend on its input alone, and
// what is verified may not be divided. As long as too few peers can run it, the job waits.
//
// # Durable jobs
//
// A job may keep its state where it outlives its owner: in a register that changes by
// compare-and-swap (package store), and in records beside it. The register holds a
// [Ledger]: the epoch, which counts owners, who the present one is, and which
// batches of results are committed.
//
//	            open                claim                   claim
//	(no job) ---------> epoch 1 ------------> epoch 2 ------------> ...
//	                     | commit              | commit
//	                     v                     v
//	                  results of batches 1.1, 1.2 ...  2.1, 2.2 ... until all have one: done
//
// An owner runs the tasks that have no result like those of any job, stores some
// results under the name of its next batch, and commits the batch by a swap of the
// version that it knows. If another has claimed the job since, that version is gone, the
// swap fails, and the owner stops. So at any time any number of peers may believe that
// the job is theirs, and run its tasks; each task gets one result. What nobody
// lists, stored by an owner that was deposed, is never seen.
//
// Who claims, and when, is the driver's to decide, and costs work if it is wrong, never
// results. Package overlay lets the voters of the register ask the owner twice a second;
// the first one claims the job if that does not answer, or does not know it, twice, and
// each further one a second later. It asks the other voters before, as the owner may be out of
// its reach alone, and has more patience with each epoch that committed nothing.
//
// # Invariants
//
//   - A ledger has each task in at most one batch, and is final when all are. Its
//     epoch, its batches and its state never go back.
//   - An unfinished task is in one state: in this peer's queue, on one of its workers,
//     away at one peer, or forked, with at least one unfinished part or copy.
//   - If the owner thinks that a task is at a peer in its present session, that
//     peer has it in hand, or keeps a copy of it that it gave away, or has its
//     result; or a transfer to that peer is still kept by the victim.
//   - What a victim gave is kept until the owner knows who has it.
//   - At most one attempt of a task is in a peer's hands.
//   - Nothing is sent while all queues are empty and all workers idle, except
//     the slow refresh of registrations.
//   - Every queue and table has a bound in Config or beside its type.
package compute
