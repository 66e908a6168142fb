package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// copiesJSON is the value of the register "_ns/NS", which decides the N of a
// namespace. It is empty until somebody wants another than the ring's.
type copiesJSON struct {
	Format int `json:"format"`
	// N is what is decided, for ever; 0: the ring's, so far.
	N int `json:"n,omitempty"`
	// Want is what the namespace is being closed for; 0: nobody is at it.
	Want int `json:"want,omitempty"`
	// At is the clock of the fences of this attempt, or of the end of the last one.
	// It grows from one to the next, so that what comes late of an attempt is older
	// than what the next did.
	At uint64 `json:"at"`
}

// copies is what the register of a namespace says, and the register's version.
type copies struct {
	copiesJSON
	version uint64
}

// decided reads what is decided of the N of a namespace, and remembers it.
func (s *namespaces) decided(ctx context.Context, name string) (copies, error) {
	if name == "" {
		return copies{}, nil
	}
	_, state, err := s.n.swap(ctx, "read", store.JoinKey(settingsSpace, name), store.Change{Read: true})
	if err != nil {
		return copies{}, fmt.Errorf("replicas of namespace %q: %w", name, err)
	}
	return s.parse(name, state)
}

// parse reads a register's state.
func (s *namespaces) parse(name string, state store.CASState) (copies, error) {
	has := copies{version: state.Version}
	if state.Version == 0 {
		return has, nil
	}
	err := json.Unmarshal(state.Value, &has.copiesJSON)
	if err == nil && has.Format != 1 {
		err = fmt.Errorf("format %d is of another release", has.Format)
	}
	for _, n := range [2]int{has.N, has.Want} {
		if err == nil {
			err = store.CheckBank(n, s.n.ring.Shards)
		}
	}
	if err != nil {
		return copies{}, fmt.Errorf("replicas of namespace %q: %w", name, err)
	}
	if has.N != 0 {
		s.keepCopies(name, has.N)
	}
	return has, s.n.clock.observe(store.Version{Clock: has.At})
}

// decide sets the register of a namespace, unless somebody else did since has was
// read. In either case it returns what it is then; mine is false, too, if there is no
// telling whose change it was.
func (s *namespaces) decide(ctx context.Context, name string, has copies, to copiesJSON) (now copies, mine bool, err error) {
	to.Format = 1
	value, err := json.Marshal(to)
	if err != nil {
		return copies{}, false, err
	}
	verdict, state, err := s.n.swap(ctx, "swap", store.JoinKey(settingsSpace, name), store.Change{Expect: has.version, Value: value})
	switch {
	case err != nil:
		return copies{}, false, fmt.Errorf("replicas of namespace %q: %w", name, err)
	case verdict == store.Unsure:
		now, err = s.decided(ctx, name)
	default:
		now, err = s.parse(name, state)
	}
	return now, verdict == store.Applied, err
}

// setCopies gives a namespace an N of its own. Once it has one it keeps it, and it
// gets none when it has keys. The documentation of package store says why no two peers
// ever keep its keys in different places.
func (n *Node) setCopies(ctx context.Context, name string, want int) error {
	for {
		has, err := n.namespaces.decided(ctx, name)
		switch {
		case err != nil:
			return err
		case has.N == want:
			return nil
		case has.N != 0:
			return copiesFixed(name, fmt.Sprintf("its keys have %d replicas, which was decided before the first", has.N))
		}
		if err := n.openBank(ctx, want); err != nil {
			return err
		}
		at, err := n.clock.next(ctx)
		if err != nil {
			return n.orClosed(err)
		}
		has, mine, err := n.namespaces.decide(ctx, name, has, copiesJSON{Want: want, At: at})
		if err != nil {
			return err
		}
		if !mine {
			continue // whoever came first may want the same
		}
		switch err := n.fenceOff(ctx, name, at); {
		case errors.Is(err, errOvertaken):
			continue
		case errors.Is(err, errHolds):
			if mine, err := n.giveUp(ctx, name, has, n.bankOf(0)...); err != nil {
				return err
			} else if !mine {
				continue
			}
			return copiesFixed(name, "it has keys, or what is left of large values")
		case err != nil:
			return fmt.Errorf("set namespace %q: %w", name, err)
		}
		if _, mine, err = n.namespaces.decide(ctx, name, has, copiesJSON{N: want, At: at}); err != nil || mine {
			return err
		}
	}
}

// copiesFixed refuses another N.
func copiesFixed(name, why string) error {
	return &client.Error{
		Code:    client.CodeReplicasFixed,
		Message: fmt.Sprintf("set namespace %q: %s", name, why),
		Fix:     "peer ns set OTHER --n N (a namespace without keys), and put the keys there",
	}
}

// bankOf lists the shards of a bank.
func (n *Node) bankOf(bank int) []store.ShardID {
	ids := make([]store.ShardID, n.ring.Shards)
	for i := range ids {
		ids[i] = store.ShardID(i).In(bank, n.ring.Shards)
	}
	return ids
}

// fenceOff writes the fences of a namespace, to a majority in each shard of bank 0.
// The error is errHolds if one of them has a key of it.
func (n *Node) fenceOff(ctx context.Context, name string, at uint64) error {
	ids := n.bankOf(0)
	return n.each(ctx, len(ids), func(ctx context.Context, i int) error {
		rec := n.fenceRecord(ids[i], name, at)
		return n.writeAt(ctx, ids[i], rec, func(shard store.ShardID, encoded []byte) ask[store.WriteReply] {
			return apart(n, func(ctx context.Context, to store.Voter, by goesBy) (store.WriteReply, error) {
				return n.askFence(ctx, to, shard, by, encoded)
			})
		})
	})
}

// giveUp ends an attempt to give a namespace another N, and takes its fences out of
// some shards; unless somebody else goes on with it.
func (n *Node) giveUp(ctx context.Context, name string, has copies, from ...store.ShardID) (mine bool, err error) {
	at, err := n.clock.next(ctx)
	if err != nil {
		return false, n.orClosed(err)
	}
	if _, mine, err = n.namespaces.decide(ctx, name, has, copiesJSON{At: at}); err != nil || !mine {
		return false, err
	}
	return true, n.each(ctx, len(from), func(ctx context.Context, i int) error {
		rec := n.fenceRecord(from[i], name, at)
		rec.Tombstone = true
		err := n.writeAt(ctx, from[i], rec, func(shard store.ShardID, encoded []byte) ask[store.WriteReply] {
			return func(to store.Voter, by goesBy, s slot[store.WriteReply]) error {
				return n.outboxes.send(to, shard, by, encoded, s)
			}
		})
		if errors.Is(err, errOvertaken) {
			return nil
		}
		return err
	})
}

func (n *Node) fenceRecord(id store.ShardID, name string, at uint64) store.Record {
	return store.Record{
		Namespace: fenceSpace, Key: name, Position: store.ShardStart(id, n.ring.Shards),
		Version: store.Version{Clock: at, Writer: n.self.Incarnation}, Dot: store.Dot{Actor: n.self.Incarnation, Counter: at},
	}
}

// writeAt writes a record at the version that it has, and no other. The error is
// errOvertaken if a newer one is there, or the shard is settled beyond it.
func (n *Node) writeAt(ctx context.Context, shard store.ShardID, rec store.Record, ask func(store.ShardID, []byte) ask[store.WriteReply]) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	p := &place{verb: "fence", key: rec.Key, shard: shard}
	var err error
	if p.config, err = n.configOf(ctx, shard); err != nil {
		return err
	}
	encoded := rec.AppendTo(make([]byte, 0, rec.Size()))
	for {
		w := new(store.Write)
		end, why := runOp(ctx, n, w, w.Start(p.config, store.LevelQuorum, rec.Version), ask(shard, encoded), 0, nil)
		n.remember(shard, p.config, w.Config())
		switch {
		case end == store.Done:
			return nil
		case end == store.Stamp:
			return errOvertaken
		case errors.Is(why, errHolds):
			return why
		}
		if err := n.again(ctx, p, &w.Quorum, why); err != nil {
			return err
		}
	}
}

var errOvertaken = errors.New("another attempt has begun")

// askFence asks a replica to fence a namespace off.
func (n *Node) askFence(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, record []byte) (store.WriteReply, error) {
	req := store.WriteRequest{Target: by.target(to), Record: record}
	if to.Peer == n.self.Peer {
		return n.replica.fence(ctx, id, by.config.Epoch, req)
	}
	return call(ctx, n, to.Peer, shardHeader(wire.MethodFence, id, by), wire.AppendWriteRequest(nil, &req), wire.ParseWriteReply)
}

func (n *Node) replicaFence(ctx context.Context, id store.ShardID, epoch uint64, r store.WriteRequest) (store.WriteReply, error) {
	return n.replica.fence(ctx, id, epoch, r)
}
