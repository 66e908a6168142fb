package model

import (
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// replicas is how many peers hold each key where stored load is measured.
const replicas = 3

// search is a lookup under way, as the observer sees it.
type search struct {
	at     *Peer
	target chord.ID
	owners []chord.PeerID // all that owned the target since it began
}

// lookupKey names a lookup.
type lookupKey struct {
	at *Peer
	id uint64
}

// note takes the owner of the moment.
func (s *search) note(o *owners) {
	if id := o.of(s.target); !slices.Contains(s.owners, id) {
		s.owners = append(s.owners, id)
	}
}

// look starts a lookup.
func (x *experiment) look(at *Peer, target chord.ID) {
	s := &search{at: at, target: target}
	s.note(&x.owners)
	x.begun = s
	id := x.Lookup(at, target)
	if x.begun != nil {
		x.looks[lookupKey{at, id}] = s
		x.begun = nil
	}
}

// moved notes the owners of what is looked for.
func (x *experiment) moved() {
	for _, s := range x.looks {
		s.note(&x.owners)
	}
}

// ended counts a lookup. Its answer is right if the peer that it names was the
// owner at some moment between its start and its end: no answer that travels can
// promise more.
func (x *experiment) ended(at *Peer, res chord.LookupResult) {
	s := x.looks[lookupKey{at, res.ID}]
	if s == nil {
		s, x.begun = x.begun, nil
	}
	delete(x.looks, lookupKey{at, res.ID})
	l := &x.rep.Lookups
	l.Timeouts += res.Timeouts
	l.MostTimeouts = max(l.MostTimeouts, res.Timeouts)
	l.Hedges += res.Hedges
	l.Messages += uint64(2*res.Requests - res.Timeouts)
	if res.Err != nil {
		l.Failed++
		return
	}
	x.hops += res.Hops
	if res.Hops <= 1 {
		x.oneHop++
	}
	if !slices.Contains(s.owners, res.Owner.ID) {
		l.WrongOwner++
	}
	if res.Owner.ID != x.owners.of(res.Target) {
		l.Outdated++
	}
}

// close sums up when all lookups had time to end.
func (x *experiment) close() {
	l := &x.rep.Lookups
	for key := range x.looks {
		if key.at.Up() {
			l.Failed++
		} else {
			l.Abandoned++
		}
	}
	if n := l.N - l.Failed - l.Abandoned; n > 0 {
		l.MeanHops = float64(x.hops) / float64(n)
		l.OneHop = float64(x.oneHop) / float64(n)
	}
}
