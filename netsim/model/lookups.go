package model

import (
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// replicas is how many peers hold each key where stored load is measured.
const replicas = 3

// search is a lookup under way, as the observer sees it.
type search struct {
	at     *Peer
	began  time.Duration
	target chord.ID
	owners []chord.PeerID // all that owned the target since it began
}

// lookupKey names a lookup.
type lookupKey struct {
	at *Peer
	id uint64
}

// askKey names a request.
type askKey struct {
	from, to chord.PeerID
	req      uint64
}

// note takes the owner of the moment.
func (s *search) note(o *owners) {
	if id := o.of(s.target); !slices.Contains(s.owners, id) {
		s.owners = append(s.owners, id)
	}
}

// nextLookup starts lookups at random peers, one after another.
func (x *experiment) nextLookup() {
	if x.s.Lookups == 0 {
		return
	}
	x.After(time.Duration(x.keys.ExpFloat64()/x.s.Lookups*float64(time.Second)), func() {
		if !x.running {
			return
		}
		if ms := x.owners.members; len(ms) > 0 {
			at := x.peers[x.keys.IntN(len(x.peers))] // the same in every ring of so many
			for !at.Member() || x.liars.lie[at] != honest {
				at = ms[x.keys.IntN(len(ms))]
			}
			x.rep.Lookups.N++
			x.look(at, x.wanted())
		}
		x.nextLookup()
	})
}

// target draws a position.
func (x *experiment) target() (id chord.ID) {
	for i := range id {
		id[i] = byte(x.keys.UintN(256))
	}
	return id
}

// place gives keys to their owners and the peers behind those, and returns how many each
// peer holds, by its Number, and the most of them over the mean.
func (x *experiment) place(keys int) (held []int, load float64) {
	held = make([]int, len(x.peers))
	most, sum := 0, 0
	for range keys {
		var holders []*Peer
		x.owners.from(x.target(), func(o owner) bool {
			if !slices.Contains(holders, o.peer) {
				holders = append(holders, o.peer)
				held[o.peer.Number]++
				most = max(most, held[o.peer.Number])
				sum++
			}
			return len(holders) < replicas
		})
	}
	return held, float64(most) * float64(len(x.owners.members)) / float64(sum)
}

// look starts a lookup.
func (x *experiment) look(at *Peer, target chord.ID) {
	s := &search{at: at, began: x.Now(), target: target}
	s.note(&x.owners)
	x.begun = s
	x.targets[target] = true
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
	delete(x.targets, res.Target)
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
	x.took += x.Now() - s.began
	if res.Hops <= 1 {
		x.oneHop++
	}
	switch {
	case slices.Contains(s.owners, res.Owner.ID):
	case x.liars.passable(&x.owners, res):
		l.Bypassed++
	default:
		l.WrongOwner++
		if x.healed > 0 && s.began >= x.healed {
			x.rep.WrongHealed++
		}
	}
	if res.Owner.ID != x.owners.of(res.Target) {
		l.Outdated++
	}
}

// sent counts the bytes of a message that carries requests or answers of the
// lookups.
func (x *experiment) sent(from *Peer, m *chord.Message) {
	x.overheard(m)
	switch m.Kind {
	case chord.KindAsk:
		if !slices.ContainsFunc(m.Finds, func(id chord.ID) bool { return x.targets[id] }) {
			return
		}
		x.asks[askKey{from.Record.ID, m.To, m.Req}] = true
	case chord.KindReply:
		key := askKey{m.To, from.Record.ID, m.Req}
		if !x.asks[key] {
			return
		}
		delete(x.asks, key)
	case chord.KindLeave, chord.KindTell:
		return
	}
	x.rep.Lookups.Bytes += uint64(packets(WireSize(m)))
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
	if n := l.N - l.Abandoned; n > 0 {
		l.Right = float64(n-l.Failed-l.WrongOwner) / float64(n)
	}
	if n := l.N - l.Failed - l.Abandoned; n > 0 {
		l.MeanHops = float64(x.hops) / float64(n)
		l.OneHop = float64(x.oneHop) / float64(n)
		l.MeanMS = x.took.Seconds() * 1000 / float64(n)
	}
}
