package overlay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// place is where an operation on a key goes. It belongs to the operation.
type place struct {
	verb, key string // for errors
	rule      string // the namespace whose N the key goes by
	shard     store.ShardID
	config    store.Config // the newest known of the shard
}

// ruling returns the namespace whose N a key goes by: its own, but of a register and
// of what is noted about a large value that of the key in question. "" stands for
// all that has the ring's N for ever: an owned namespace is one, of which anybody but its
// owner could decide otherwise. (A chunk does not name its key; whoever
// stores or asks for one knows it.)
func ruling(ns, name string) string {
	if ns == store.RegisterNamespace || ns == largeSpace {
		ns, _ = store.SplitKey(name)
	}
	if strings.HasPrefix(ns, "_") || store.IsOwned(ns) {
		return ""
	}
	return ns
}

// bank returns the bank of the shards that have n voters; 0 stands for the ring's N.
func (n *Node) bank(copies int) int {
	if copies == n.ring.Replicas {
		return 0
	}
	return copies
}

// copies returns how many voters a shard is to have.
func (n *Node) copies(id store.ShardID) int {
	if bank := id.Bank(n.ring.Shards); bank != 0 {
		return bank
	}
	return n.ring.Replicas
}

// shardOf returns the shard of a position, by what this peer knows of the N of a
// namespace. It may be wrong, and is if the settings cannot be read: replicas that
// know better refuse.
func (n *Node) shardOf(ctx context.Context, rule string, at chord.ID) store.ShardID {
	id := store.Shard(at, n.ring.Shards)
	if rule == "" {
		return id
	}
	ns, err := n.namespaces.soon(ctx, rule)
	if bank := n.bank(ns.Replicas); err == nil && store.CheckBank(bank, n.ring.Shards) == nil {
		return id.In(bank, n.ring.Shards)
	}
	return id
}

// shardsOf is shardOf for many keys: it looks at the settings of each namespace once.
func (n *Node) shardsOf(ctx context.Context) func(rule string, at chord.ID) store.ShardID {
	banks := make(map[string]int)
	return func(rule string, at chord.ID) store.ShardID {
		bank, known := banks[rule]
		if !known {
			bank = n.shardOf(ctx, rule, at).Bank(n.ring.Shards)
			banks[rule] = bank
		}
		return store.Shard(at, n.ring.Shards).In(bank, n.ring.Shards)
	}
}

// find returns the place of a key, whose position may be another than its name says.
func (n *Node) find(ctx context.Context, verb, rule, key string, at chord.ID) (_ *place, err error) {
	p := &place{verb: verb, key: key, rule: rule, shard: n.shardOf(ctx, rule, at)}
	p.config, err = n.configOf(ctx, p.shard)
	return p, p.of(err)
}

// again tells where an operation that too few replicas answered goes on. An error is
// how it ends; why is what was wrong with a replica. One that was silent is asked again
// for as long as the caller waits.
func (n *Node) again(ctx context.Context, p *place, q *store.Quorum, why error) error {
	if errors.Is(why, errElsewhere) {
		return n.reroute(ctx, p)
	}
	newer, found := n.newerConfig(ctx, p.shard, q.Config())
	switch {
	case ctx.Err() != nil || !found && !silence(why):
		return n.unanswered(ctx, p.verb, p.key, q, why)
	case found:
		p.config = newer
	default:
		p.config = q.Config()
	}
	return nil
}

// reroute moves a place out of a shard whose replicas fence its namespace off. While
// the namespace is between two banks it waits.
func (n *Node) reroute(ctx context.Context, p *place) error {
	for between := 0; ; {
		has, err := n.namespaces.decided(ctx, p.rule)
		if err == nil {
			if bank := n.bank(has.N); bank != p.shard.Bank(n.ring.Shards) {
				p.shard = p.shard.In(bank, n.ring.Shards)
				p.config, err = n.configOf(ctx, p.shard)
				return p.of(err)
			}
			if has.Want == 0 { // whoever wanted another N gave up, and left fences behind
				_, err := n.giveUp(ctx, p.rule, has, p.shard)
				return p.of(err)
			}
			between = has.Want
		}
		switch {
		case between == 0:
			return p.of(err)
		case !sleep(ctx, fencePoll):
			return &client.Error{
				Code:    client.CodeNamespaceClosed,
				Message: fmt.Sprintf("%s %q: the namespace is being given %d replicas", p.verb, p.key, between),
				Fix:     fmt.Sprintf("peer ns set %s --n %d (which finishes that, or gives it up)", p.rule, between),
			}
		}
	}
}

// of says of what operation an error is.
func (p *place) of(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", p.verb, p.key, err)
}

// fencePoll is how often an operation looks whether a namespace has its N.
const fencePoll = 50 * time.Millisecond
