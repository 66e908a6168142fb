package overlay

import (
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// abreast remembers up to when this peer holds what the other voters of its
// shards held. All that was acknowledged before the oldest such time of a shard is
// here: no voter that took part in it is left out, since each of them was asked
// after that time, and was a voter of the configuration that this peer goes by.
type abreast struct {
	mu sync.Mutex
	at map[store.ShardID][]abreastOf
}

// abreastOf is a voter all of whose records of a time are here.
type abreastOf struct {
	voter store.Voter
	when  time.Time
}

// note takes in that this peer holds what the voter of c that is a peer held at a
// time, when both went by c.
func (a *abreast) note(id store.ShardID, c store.Config, peer chord.PeerID, when time.Time) {
	i := slices.IndexFunc(c.Voters, func(v store.Voter) bool { return v.Peer == peer })
	if i < 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = make(map[store.ShardID][]abreastOf)
	}
	of := slices.DeleteFunc(a.at[id], func(o abreastOf) bool { return o.voter == c.Voters[i] || !c.IsVoter(o.voter) })
	a.at[id] = append(of, abreastOf{c.Voters[i], when})
}

// since returns up to when self holds all that was acknowledged under c: the zero
// time if that is not known, and now if it is the only voter.
func (a *abreast) since(id store.ShardID, c store.Config, self store.Voter, now time.Time) time.Time {
	if !c.IsVoter(self) {
		return time.Time{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, v := range c.Voters {
		if v == self {
			continue
		}
		i := slices.IndexFunc(a.at[id], func(o abreastOf) bool { return o.voter == v })
		if i < 0 {
			return time.Time{}
		}
		if when := a.at[id][i].when; when.Before(now) {
			now = when
		}
	}
	return now
}

// abreast returns for how long this peer has not been known to hold all that was
// acknowledged in shards of which it is a voter; 0 if that is not known of one.
func (n *Node) abreast(shards []store.ShardID) time.Duration {
	now := time.Now()
	oldest := now
	for _, id := range shards {
		when := n.puller.abreast.since(id, n.shards.config(id), n.self, now)
		if when.IsZero() {
			return 0
		}
		if when.Before(oldest) {
			oldest = when
		}
	}
	return now.Sub(oldest).Truncate(time.Millisecond) + time.Millisecond
}
