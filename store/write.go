package store

// Write is the machine of one quorum write: it sends a record to all members
// of the shard's configuration and is done when enough have stored it. It is
// owned by the goroutine of its request and does not allocate while the
// configuration is stable. The zero value is ready to Start.
//
//	var w store.Write
//	step := w.Start(config, store.LevelQuorum, record.Version)
//	for step.Outcome == store.Running {
//		... send to each of step.Send, wait for a reply from i ...
//		step = w.Reply(round, i, reply) // or w.Fail(round, i)
//	}
type Write struct {
	Quorum
	version Version
	newest  Version
	stamped bool
	synced  Set
	over    Set
	stale   Set // members of acks that refused the version as settled
	stales  int // rounds that ended so
}

// maxStale bounds how often a write is stamped anew because its version is
// settled already.
const maxStale = 4

// Start begins a write of version v under c at level l. Answers to one that it was used
// for before do not count: rounds count on.
func (w *Write) Start(c Config, l Level, v Version) Step {
	*w = Write{Quorum: Quorum{latest: w.latest, patient: w.patient, round: w.round}, version: v}
	w.level = l
	w.begin(c)
	return w.all()
}

// Again goes on after the outcome Stamp with the version that the record has
// now. Replicas that hold a still newer one count as having answered from
// here: the writes are concurrent, and this one is superseded.
func (w *Write) Again(v Version) Step {
	w.version = v
	if w.stale == 0 {
		w.stamped = true
	} else {
		w.stales++ // those did not say what they hold
	}
	w.begin(w.config)
	return w.all()
}

// all starts the round's requests.
func (w *Write) all() Step {
	w.synced, w.over, w.stale = 0, 0, 0
	return w.conclude(w.send(w.tally.Members()))
}

// Reply takes in the answer of member i.
func (w *Write) Reply(round uint32, i int, r WriteReply) Step {
	if w.late(round, i) {
		return w.idle()
	}
	switch {
	case r.Status == StatusOK:
		w.ack(i, r.Synced)
	case r.Status == StatusStale && w.version.Clock <= r.Version.Clock && !w.doubts(r.Version):
		if w.newest.Less(r.Version) {
			w.newest = r.Version
		}
		w.stale |= bit(i)
		w.ack(i, false)
	case r.Status == StatusSuperseded && w.doubts(r.Version):
		_, _ = w.refused(i, StatusSkewed, Config{})
	case r.Status == StatusSuperseded && w.version.Less(r.Version):
		if w.newest.Less(r.Version) {
			w.newest = r.Version
		}
		w.over |= bit(i)
		w.ack(i, r.Synced)
	default:
		again, adopted := w.refused(i, r.Status, r.Config)
		if adopted {
			return w.all()
		}
		return w.conclude(w.send(again))
	}
	return w.conclude(Step{})
}

// conclude completes a step. The first round, if a newer version showed, ends
// with Stamp, and only once a quorum answered: then Newest is at least as new as
// all that was acknowledged before the write began.
func (w *Write) conclude(st Step) Step {
	st = w.settle(st)
	if st.Outcome == Done {
		if st.Outcome = w.outcome(); st.Outcome == Done {
			w.acks &^= w.stale
		}
	}
	return st
}

// Fail tells that member i did not answer: the call failed.
func (w *Write) Fail(round uint32, i int) Step {
	if w.late(round, i) {
		return w.idle()
	}
	w.failed |= bit(i)
	return w.conclude(Step{})
}

func (w *Write) ack(i int, synced bool) {
	w.acks |= bit(i)
	if synced {
		w.synced |= bit(i)
	}
}

// idle is the step that changes nothing.
func (w *Write) idle() Step {
	st := Step{Round: w.round}
	if w.ended {
		st.Outcome = w.outcome()
	}
	return st
}

// outcome is how a write that ended did.
func (w *Write) outcome() Outcome {
	switch {
	case !w.tally.Reached(w.acks):
		return Failed
	case !w.tally.Reached(w.acks &^ w.stale):
		if w.stales == maxStale {
			return Failed
		}
		return Stamp
	case w.over != 0 && !w.stamped:
		return Stamp
	default:
		return Done
	}
}

// Version returns the version being written.
func (w *Write) Version() Version { return w.version }

// Newest returns the newest version that a replica answered with, or zero.
func (w *Write) Newest() Version { return w.newest }

// Synced returns the acknowledging members that hold the record, or a newer
// one, on stable storage.
func (w *Write) Synced() Set { return w.synced }

// Stored returns the members that hold the record, or a newer one: the
// acknowledging ones, also of a write that has failed or goes on.
func (w *Write) Stored() Set { return w.acks &^ w.stale }

// Lacks returns how many members more than Stored the level takes.
func (w *Write) Lacks() int { return w.tally.Lacks(w.Stored()) }

// Superseded returns the acknowledging members that hold a newer version.
func (w *Write) Superseded() Set { return w.over }
