package store

// Rank orders the members that a read may ask: lower is better (nearer). Nil
// keeps the order of the configuration.
type Rank func(Voter) int

// Asker is the part of a read that picks whom to ask: as few as the quorum
// takes, best rank first, and a spare for each that fails or is slow.
type Asker struct {
	Quorum
	rank  Rank
	order [2 * MaxVoters]uint8
}

// restart begins a round under c.
func (a *Asker) restart(c Config) Step {
	a.begin(c)
	for i := range a.members {
		j := i
		for ; j > 0 && a.rank != nil && a.rank(a.members[a.order[j-1]]) > a.rank(a.members[i]); j-- {
			a.order[j] = a.order[j-1]
		}
		a.order[j] = uint8(i)
	}
	return a.fill(0)
}

// fill asks members until those that answered or still may suffice. Members of
// slow are not relied upon.
func (a *Asker) fill(slow Set) Step {
	hope := (a.acks | a.waiting()) &^ slow
	var ask Set
	for _, i := range a.order[:len(a.members)] {
		if !a.sent.Has(int(i)) && a.tally.Helps(hope, int(i)) {
			hope |= bit(int(i))
			ask |= bit(int(i))
		}
	}
	return a.send(ask)
}

// dismiss takes in a refusal of member i and asks for a replacement, or begins
// a new round, having adopted a newer configuration.
func (a *Asker) dismiss(i int, s Status, newer Config) (st Step, adopted bool) {
	again, adopted := a.refused(i, s, newer)
	if adopted {
		return Step{}, true
	}
	st = a.send(again)
	return st.plus(a.fill(0)), false
}

// Read is the machine of one quorum read: it asks R replicas, spare ones as
// needed, and keeps the newest record. Of R replicas only the best ranked is
// asked for a large value; should another hold a newer version, that one is
// asked again. It is driven like Write and does not allocate while the
// configuration is stable.
type Read struct {
	Asker
	ns, key string
	brief   Set // members whose last request was brief
	known   Set // members of which held is known
	held    [2 * MaxVoters]Version
	version Version // of record
	record  []byte

	doubtful Version // the newest that is doubted, and its record if that is known
	aside    []byte
}

// Start begins a read of a key under c at level l.
func (r *Read) Start(c Config, l Level, ns, key string, rank Rank) Step {
	*r = Read{Asker: Asker{Quorum: Quorum{latest: r.latest, round: r.round}}, ns: ns, key: key}
	r.rank, r.level = rank, l
	return r.restart(c)
}

// restart begins a round: all but the best ranked member are asked briefly.
func (r *Read) restart(c Config) Step {
	st := r.Asker.restart(c)
	r.brief, r.known = st.Send&^bit(int(r.order[0])), 0
	r.version, r.record, r.doubtful, r.aside = Version{}, nil, Version{}, nil
	return r.conclude(st)
}

// Reply takes in the answer of member i. Answers that come after the end still
// count for Stale.
func (r *Read) Reply(round uint32, i int, reply ReadReply) Step {
	if r.late(round, i) {
		if r.ended && round == r.round && i >= 0 && i < len(r.members) && reply.Status == StatusOK && !r.known.Has(i) {
			r.held[i] = reply.Version
			r.known |= bit(i)
		}
		return r.idle()
	}
	switch {
	case reply.Status != StatusOK:
		return r.replace(i, reply.Status, reply.Config)
	case !r.valid(i, reply):
		return r.Fail(round, i)
	case r.doubts(reply.Version):
		return r.doubt(i, reply)
	}
	r.acks |= bit(i)
	r.known |= bit(i)
	r.held[i] = reply.Version
	if len(reply.Record) > 0 && r.version.Compare(reply.Version) < 0 {
		r.version, r.record = reply.Version, reply.Record
	}
	return r.conclude(Step{})
}

// doubt puts an answer aside, and does without it unless it turns out that a
// quorum answers like that.
func (r *Read) doubt(i int, reply ReadReply) Step {
	r.doubted |= bit(i)
	r.held[i] = reply.Version
	if r.doubtful.Less(reply.Version) || r.doubtful == reply.Version && r.aside == nil {
		r.doubtful, r.aside = reply.Version, reply.Record
	}
	if !r.tally.Reached(r.doubted) {
		doubted := r.doubted
		st := r.replace(i, StatusSkewed, Config{})
		r.doubted = doubted
		return st
	}
	r.acks |= r.doubted
	r.known |= r.doubted
	r.failed &^= r.doubted
	if len(r.aside) > 0 && r.version.Less(r.doubtful) {
		r.version, r.record = r.doubtful, r.aside
	}
	r.doubted, r.latest = 0, 0
	return r.conclude(Step{})
}

// valid reports whether a reply holds what it says, of the key asked for.
func (r *Read) valid(i int, reply ReadReply) bool {
	if len(reply.Record) == 0 {
		return reply.Version.IsZero() || r.brief.Has(i)
	}
	v, err := OpenRecord(reply.Record)
	return err == nil && v.Is(r.ns, r.key) && v.Version() == reply.Version && v.Verify() == nil
}

// Fail tells that member i did not answer: the call failed.
func (r *Read) Fail(round uint32, i int) Step {
	if r.late(round, i) {
		return r.idle()
	}
	return r.replace(i, statusEnd, Config{})
}

// Hedge asks spare replicas beside those that have not answered: for a driver
// that finds them slow.
func (r *Read) Hedge() Step {
	if r.ended {
		return r.idle()
	}
	return r.conclude(r.fill(r.waiting()))
}

// replace does without member i. Spares are asked for whole records.
func (r *Read) replace(i int, s Status, newer Config) Step {
	st, adopted := r.dismiss(i, s, newer)
	if adopted {
		return r.restart(r.config)
	}
	return r.conclude(st)
}

// conclude completes a step. A quorum that left its newest record out, as too
// large for a brief reply, does not end the read: a holder is asked again.
func (r *Read) conclude(st Step) Step {
	if i := r.lacking(); i < 0 || !r.tally.Reached(r.acks) {
		st = r.settle(st)
	} else if !r.asked().Has(i) {
		r.brief &^= bit(i)
		st = st.plus(r.send(bit(i)))
	}
	st.Round = r.round
	st.Brief = st.Send & r.brief
	return st
}

// asked returns the members that answered, and were asked again for the record.
func (r *Read) asked() Set { return r.waiting() & r.known &^ r.brief }

// lacking returns a member that answered with the newest version, if that is
// newer than the record at hand, preferring one that was asked again; or -1.
func (r *Read) lacking() int {
	best, newest := -1, r.version
	for i := range r.asked().All() {
		if newest.Less(r.held[i]) {
			best, newest = i, r.held[i]
		}
	}
	for i := range r.acks.All() {
		if newest.Less(r.held[i]) {
			best, newest = i, r.held[i]
		}
	}
	return best
}

// check states the invariants of a read.
func (r *Read) check() error {
	if r.asked() != 0 || r.ended {
		return nil // checked while it asks for versions
	}
	return r.Quorum.check()
}

// idle is the step that changes nothing.
func (r *Read) idle() Step {
	st := Step{Round: r.round}
	if r.ended {
		st.Outcome = Failed
		if r.tally.Reached(r.acks) {
			st.Outcome = Done
		}
	}
	return st
}

// Result returns the newest record, encoded and verified, and its version;
// nothing and the zero Version if the quorum holds none. The record may be a
// tombstone or expired. It is valid once Done.
func (r *Read) Result() (record []byte, v Version) { return r.record, r.version }

// Stale returns the members that are known to hold an older version than the
// result, or none: they want a WriteRequest marked Repair.
func (r *Read) Stale() Set {
	var s Set
	for i := range r.known.All() {
		if r.held[i].Less(r.version) {
			s |= bit(i)
		}
	}
	return s
}
