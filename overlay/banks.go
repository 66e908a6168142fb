package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// bankSpace holds the registers "_bank/N", each of which decides once and for all the
// first configurations of the shards of a bank. The bank comes into being with it.
const bankSpace = "_bank"

// bankJSON is the value of such a register: the voters of each shard, as indexes
// into the table of all.
type bankJSON struct {
	Format int         `json:"format"`
	Voters []voterJSON `json:"voters"`
	Shards [][]int     `json:"shards"`
}

type voterJSON struct {
	Peer        []byte `json:"peer"`
	Incarnation uint64 `json:"incarnation"`
}

// banks remembers the first configurations of banks, which never change.
type banks struct {
	mu    sync.Mutex
	first [store.MaxN + 1][]store.Config // by bank and index
}

// openBank makes the bank of N voters if there is none yet, and returns when a
// majority of the voters of each of its shards knows its configuration.
func (n *Node) openBank(ctx context.Context, copies int) error {
	if err := store.CheckBank(copies, n.ring.Shards); err != nil {
		return usage("set namespace: %w", err)
	}
	first, err := n.firstConfigs(ctx, copies)
	if err == nil && first == nil {
		first, err = n.bearBank(ctx, copies)
	}
	if err != nil {
		return fmt.Errorf("shards of %d replicas: %w", copies, err)
	}
	ids := n.bankOf(copies)
	return n.each(ctx, len(ids), func(ctx context.Context, i int) error { return n.teach(ctx, ids[i], first[i]) })
}

// firstConfigs returns the first configurations of the shards of a bank; nil if the
// bank is not there.
func (n *Node) firstConfigs(ctx context.Context, bank int) ([]store.Config, error) {
	n.banks.mu.Lock()
	first := n.banks.first[bank]
	n.banks.mu.Unlock()
	if first != nil {
		return first, nil
	}
	_, state, err := n.swap(ctx, "read", bankKey(bank), store.Change{Read: true})
	if err != nil || state.Version == 0 {
		return nil, err
	}
	return n.keepBank(bank, state.Value)
}

func bankKey(bank int) string { return fmt.Sprintf("%s/%d", bankSpace, bank) }

// keepBank reads what the register of a bank says, and remembers it.
func (n *Node) keepBank(bank int, value []byte) ([]store.Config, error) {
	first, err := parseBank(value, n.ring.Shards)
	if err != nil {
		return nil, err
	}
	n.banks.mu.Lock()
	defer n.banks.mu.Unlock()
	n.banks.first[bank] = first
	return first, nil
}

// parseBank reads the first configurations of a bank of a number of shards.
func parseBank(value []byte, shards int) ([]store.Config, error) {
	var doc bankJSON
	err := json.Unmarshal(value, &doc)
	switch {
	case err != nil:
		return nil, err
	case doc.Format != 1:
		return nil, fmt.Errorf("format %d is of another release", doc.Format)
	case len(doc.Shards) != shards:
		return nil, fmt.Errorf("voters of %d shards, the ring has %d", len(doc.Shards), shards)
	}
	first := make([]store.Config, shards)
	for i, set := range doc.Shards {
		c := store.Config{Epoch: 1}
		for _, at := range set {
			if at < 0 || at >= len(doc.Voters) {
				return nil, errors.New("a voter that is not listed")
			}
			v := doc.Voters[at]
			c.Voters = append(c.Voters, store.Voter{Peer: chord.PeerID(v.Peer), Incarnation: v.Incarnation})
		}
		if err := c.Check(); err != nil {
			return nil, fmt.Errorf("shard %d: %w", i, err)
		}
		first[i] = c
	}
	return first, nil
}

// bearBank decides the first configurations of a bank: the peers to which the ring
// gives its shards now. If somebody else does at the same time, one of the two counts.
func (n *Node) bearBank(ctx context.Context, copies int) ([]store.Config, error) {
	doc, at := bankJSON{Format: 1}, make(map[chord.PeerID]int)
	view := n.view()
	for _, id := range n.bankOf(copies) {
		var set []int
		for _, p := range view.Successors(store.ShardStart(id, n.ring.Shards), 2*copies+1) {
			if len(set) == copies || p.Weight == 0 || view.Suspect(p.ID) {
				continue
			}
			if _, known := at[p.ID]; !known {
				at[p.ID] = len(doc.Voters)
				doc.Voters = append(doc.Voters, voterJSON{[]byte(p.ID), p.Incarnation})
			}
			set = append(set, at[p.ID])
		}
		doc.Shards = append(doc.Shards, set)
	}
	value, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if _, err := parseBank(value, n.ring.Shards); err != nil {
		return nil, err
	}
	_, state, err := n.swap(ctx, "swap", bankKey(copies), store.Change{Value: value})
	if err != nil {
		return nil, err
	}
	return n.keepBank(copies, state.Value)
}

// teach makes a majority of the voters of a shard's first configuration know it, or
// one that came after it.
func (n *Node) teach(ctx context.Context, id store.ShardID, first store.Config) error {
	n.remember(id, store.Config{}, first)
	c := n.shards.config(id)
	var mu sync.Mutex
	var wg sync.WaitGroup
	told, errs := 0, []error(nil)
	for _, v := range c.Voters {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, configTimeout)
			defer cancel()
			_, err := n.askLearn(ctx, v, store.ShardInfo{Shard: id, Config: c})
			mu.Lock()
			defer mu.Unlock()
			if errs = append(errs, err); err == nil {
				told++
			}
		})
	}
	wg.Wait()
	if told >= store.Majority(len(c.Voters)) {
		return nil
	}
	if _, found := n.newerConfig(ctx, id, c); found {
		return nil // it has moved on from there
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	return quorumLost("prepare", fmt.Sprintf("shard %d", id), errors.Join(errs...).Error())
}
