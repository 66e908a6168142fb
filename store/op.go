package store

import "errors"

// Outcome says where an operation stands.
type Outcome uint8

const (
	// Running: go on; replies will come.
	Running Outcome = iota
	// Done: the quorum is reached.
	Done
	// Failed: the quorum is out of reach; Missing tells who did not answer.
	Failed
	// Stamp (writes only): a replica holds a newer version, Newest. Move the
	// clock past it, stamp the record anew and call Again.
	Stamp
	// Outbid (registers only): another change has a higher ballot. Pause for a
	// random while and call Again.
	Outbid
)

// Step is what the driver of an operation does next.
type Step struct {
	Outcome Outcome
	// Send names the members to send the request to, now. Its reply, or its
	// failure, goes back to the machine with the round of this step.
	Send Set
	// Push is the part of Send whose requests carry the configuration.
	Push Set
	// Brief is the part of Send that is asked for a brief reply (reads only).
	Brief Set
	// Round numbers the step's requests.
	Round uint32
}

// plus returns a step that sends what either does.
func (st Step) plus(t Step) Step {
	st.Send |= t.Send
	st.Push |= t.Push
	return st
}

// maxReferrals bounds how often an operation follows a referral.
const maxReferrals = 32

// Quorum is what all operations on a shard share: whom to ask under which
// configuration, and who answered how.
//
// Invariants: acks and failed are disjoint parts of sent, as is pushed of sent. A
// member of sent in neither of the first two has not answered.
type Quorum struct {
	config    Config
	members   []Voter
	level     Level
	tally     Tally
	round     uint32
	referrals int
	ended     bool
	patient   bool
	latest    uint64

	sent, acks, failed, pushed, skewed Set
	// Members of failed whose answers count after all, should they be a quorum.
	doubted Set
}

// Believe makes the operation doubt versions whose clock is above latest, 0 being
// none: one replica that tells of such a one has a wrong clock, or had. If a
// quorum does, it is this peer's that is wrong. It is called before Start.
func (q *Quorum) Believe(latest uint64) { q.latest = latest }

// Patient makes the operation fail only when all members have answered, or failed
// to, for a caller that wants to know of all who did. It is called before Start.
func (q *Quorum) Patient() { q.patient = true }

// doubts reports whether a version is too far ahead to be taken from one replica.
func (q *Quorum) doubts(v Version) bool { return q.latest > 0 && v.Clock > q.latest }

// begin starts a round under c, forgetting all answers.
func (q *Quorum) begin(c Config) {
	*q = Quorum{config: c, members: c.Members(), level: q.level, tally: NewTally(c, q.level), round: q.round + 1, referrals: q.referrals, patient: q.patient, latest: q.latest}
}

// send marks members as asked.
func (q *Quorum) send(s Set) Step {
	q.sent |= s
	q.acks, q.failed, q.doubted = q.acks&^s, q.failed&^s, q.doubted&^s
	return Step{Send: s, Push: s & q.pushed, Round: q.round}
}

// waiting returns the members that have not answered.
func (q *Quorum) waiting() Set { return q.sent &^ (q.acks | q.failed) }

// late reports whether an answer of member i in a round is not waited for.
func (q *Quorum) late(round uint32, i int) bool {
	return round != q.round || q.ended || i < 0 || i >= len(q.members) || !q.waiting().Has(i)
}

// refused takes in a status other than StatusOK of member i. It returns the
// members to ask again, and whether a new configuration was adopted, which
// began a new round.
func (q *Quorum) refused(i int, s Status, newer Config) (again Set, adopted bool) {
	switch s {
	case StatusReferral:
		if newer.Epoch > q.config.Epoch && newer.Check() == nil && q.referrals < maxReferrals {
			q.referrals++
			q.begin(newer)
			return 0, true
		}
	case StatusBehind:
		if !q.pushed.Has(i) {
			q.pushed |= bit(i)
			return bit(i), false
		}
	case StatusSkewed:
		q.skewed |= bit(i)
	default: // not a member, or nonsense
	}
	q.failed |= bit(i)
	return 0, false
}

// settle completes a step with the outcome that the answers amount to.
func (q *Quorum) settle(st Step) Step {
	switch {
	case q.tally.Reached(q.acks):
		q.ended = true
		return Step{Outcome: Done, Round: q.round}
	case q.tally.Impossible(q.failed&^q.doubted) && (!q.patient || q.waiting() == 0), q.doubted != 0 && q.waiting() == 0:
		q.ended = true
		return Step{Outcome: Failed, Round: q.round}
	}
	st.Round = q.round
	return st
}

// Config returns the configuration that the operation goes by: newer than the
// one it started with after a referral, which the caller should remember.
func (q *Quorum) Config() Config { return q.config }

// Member returns the member with an index of a step's sets.
func (q *Quorum) Member(i int) Voter { return q.members[i] }

// Acks returns the members whose answers count.
func (q *Quorum) Acks() Set { return q.acks }

// Missing returns the members that were asked, and failed, refused or have not
// answered.
func (q *Quorum) Missing() Set { return q.sent &^ q.acks }

// Failed returns the members that failed or refused; those of Missing beside
// them have not answered yet.
func (q *Quorum) Failed() Set { return q.failed }

// Skewed returns the members that refused a write for its clock.
func (q *Quorum) Skewed() Set { return q.skewed }

// Need returns how many answers the operation takes and of how many voters; in
// a joint configuration those of Voters, while Next has a quorum of its own.
func (q *Quorum) Need() (need, of int) {
	need, _ = q.tally.Need()
	return need, len(q.config.Voters)
}

// check states the invariants of an operation.
func (q *Quorum) check() error {
	switch {
	case q.acks&q.failed != 0:
		return errors.New("a member counts twice")
	case (q.acks|q.failed|q.pushed)&^q.sent != 0:
		return errors.New("a member counts that was not asked")
	case q.sent&^q.tally.Members() != 0:
		return errors.New("a stranger was asked")
	case !q.ended && q.tally.Reached(q.acks):
		return errors.New("a quorum answered, and the operation goes on")
	case !q.ended && q.waiting() == 0:
		return errors.New("an operation waits for nothing")
	}
	return nil
}
