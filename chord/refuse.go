package chord

import (
	"errors"
	"fmt"
	"time"
)

// Reason is why a message, or a record in one, was refused.
type Reason uint8

// The reasons, each with its error.
const (
	ReasonMessage     Reason = iota // ErrMessage
	ReasonPeer                      // ErrPeer
	ReasonOtherRing                 // ErrOtherRing
	ReasonMisrouted                 // ErrMisrouted
	ReasonUnsolicited               // ErrUnsolicited
	ReasonFuture                    // ErrFuture
	ReasonRestless                  // ErrRestless
	Reasons                         // how many there are
)

// Reasons to refuse a record; test with errors.Is.
var (
	ErrFuture   = errors.New("peer record of the future")
	ErrRestless = errors.New("peer record that changes too often")
)

const (
	// maxAhead is how far the Seq of a record may lie ahead of our clock: a record of
	// a far future would keep later ones of its peer out.
	maxAhead = 10 * time.Minute

	// A peer's record may change once in changePause, and changeBurst times at once.
	changePause = time.Second
	changeBurst = 4
)

// String returns the reason as a word for metrics and logs.
func (x Reason) String() string {
	return [...]string{"malformed", "record", "other-ring", "misrouted", "unsolicited", "future", "restless"}[x]
}

// ReasonOf returns the reason in an error of Output.Refused.
func ReasonOf(err error) Reason {
	for x, of := range [Reasons]error{ErrMessage, ErrPeer, ErrOtherRing, ErrMisrouted, ErrUnsolicited, ErrFuture, ErrRestless} {
		if errors.Is(err, of) {
			return Reason(x)
		}
	}
	return ReasonMessage
}

// refuse counts what a peer sent and we do not take.
func (r *Ring) refuse(from PeerID, err error) {
	r.stats.Refused++
	r.stats.RefusedBy[ReasonOf(err)]++
	r.result.Refused, r.result.RefusedFrom = err, from
}

// ahead reports whether a record claims to be of the future.
func (r *Ring) ahead(rec *Record) bool {
	now := max(0, r.now.Add(maxAhead).UnixMilli())
	return rec.Seq > uint64(now)
}

// changes reports whether a member's record may change once more now, and counts
// that. One that changes all the time keeps what it has.
func (r *Ring) changes(from PeerID, p *member) bool {
	c := p.met()
	next := c.changed
	if next.Before(r.now) {
		next = r.now
	}
	next = next.Add(changePause)
	if next.Sub(r.now) > changeBurst*changePause {
		r.refuse(from, fmt.Errorf("%w: of %x", ErrRestless, string(p.peer.ID)))
		return false
	}
	c.changed = next
	return true
}
