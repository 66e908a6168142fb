package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/chorus-net/chorus/store"
)

// CASTicket stands for a request to a register that has its place in the queue.
type CASTicket struct {
	ticket Ticket
	reply  *store.CASReply
}

// Wait returns the register's answer when what it changed is on disk. It is called
// once. When ctx ends first the change may still happen.
func (t *CASTicket) Wait(ctx context.Context) (store.CASReply, error) {
	if _, err := t.ticket.Wait(ctx); err != nil {
		return store.CASReply{}, err
	}
	return *t.reply, nil
}

// QueueCAS has a register answer a request that passes its Check, in the order of
// the queue and by what is on disk then. The request is kept until it is
// answered. An error of the ticket is the disk's, or store.Register's for a request
// that no correct proposer makes.
//
// What was accepted is a record of store.RegisterNamespace, which may be applied,
// scanned and removed like others: a newer one that is applied is merged. What was only
// promised lies beside it until something is accepted at that ballot or above, or
// the shard is dropped.
func (s *Store) QueueCAS(shard store.ShardID, q *store.CASRequest) (CASTicket, error) {
	if want := store.Shard(store.Route(q.Namespace, q.Key), s.opts.Shards); shard.Index(s.opts.Shards) != want {
		return CASTicket{}, fmt.Errorf("register of shard %d came to shard %d", want, shard)
	}
	r := newRequest(stepRegister, shard, recordKey(shard, q.Namespace, q.Key), nil)
	r.cas, r.reply = q, new(store.CASReply)
	reply := r.reply
	t, err := s.enqueue(r)
	return CASTicket{t, reply}, err
}

// step has a register answer and plans what it changes.
func (c *committer) step(r *request, full error) error {
	promise := promiseKey(r.shard, r.cas.Namespace, r.cas.Key)
	reg, err := c.register(r.key, promise)
	if err != nil {
		return err
	}
	before := reg
	reply, changed, err := reg.Step(r.cas)
	if err != nil {
		return err
	}
	switch *r.reply = reply; {
	case !changed:
		return nil
	case full != nil:
		return full
	case reg.Accepted == before.Accepted:
		c.set(promise, seal(encodePromise(reg.Promised)), change{})
		return nil
	}
	rec := reg.Record(r.cas.Key)
	b := rec.AppendTo(make([]byte, 0, rec.Size()))
	v, err := store.OpenRecord(b)
	if err != nil {
		return err
	}
	if r.outcome, err = c.put(&request{shard: r.shard, key: r.key, value: b, record: v}); err != nil {
		return err
	}
	if before.Promised.Compare(before.Accepted) > 0 {
		c.set(promise, nil, change{}) // the record says as much
	}
	return nil
}

// register puts together what is held of a register, this group's own changes
// included.
func (c *committer) register(key, promise string) (reg store.Register, err error) {
	b, found, err := c.pending(key)
	if err != nil {
		return reg, err
	}
	if found {
		v, err := openStored(b)
		if err == nil {
			reg, err = store.RegisterOf(v)
		}
		if err != nil {
			return store.Register{}, corruptKey(key, err)
		}
	}
	if b, found, err = c.pending(promise); err != nil || !found {
		return reg, err
	}
	if b, err = unseal(b); err != nil || len(b) != promiseSize {
		return store.Register{}, &CorruptError{Key: promise, Err: errors.Join(err, errors.New("promise of a register"))}
	}
	if p := decodePromise(b); p.Compare(reg.Promised) > 0 {
		reg.Promised = p
	}
	return reg, nil
}

// pending returns what will be at a key when this group is committed.
func (c *committer) pending(key string) (value []byte, found bool, err error) {
	if at, ok := c.index[key]; ok {
		return c.ops[at].value, c.ops[at].value != nil, nil
	}
	found, err = c.engine.view(key, func(b []byte) error {
		value = append([]byte{}, b...)
		return nil
	})
	return value, found, classify(err)
}

// A promise on disk: epoch, counter and proposer of the ballot, 8 bytes each,
// big-endian, sealed.
const promiseSize = 24

func encodePromise(b store.CASBallot) []byte {
	p := binary.BigEndian.AppendUint64(make([]byte, 0, promiseSize), b.Epoch)
	p = binary.BigEndian.AppendUint64(p, b.Counter)
	return binary.BigEndian.AppendUint64(p, b.Proposer)
}

func decodePromise(p []byte) store.CASBallot {
	return store.CASBallot{
		Epoch:  binary.BigEndian.Uint64(p),
		Ballot: store.Ballot{Counter: binary.BigEndian.Uint64(p[8:]), Proposer: binary.BigEndian.Uint64(p[16:])},
	}
}

// dropPromises forgets the promises of a shard's registers.
func (s *Store) dropPromises(ctx context.Context, shard store.ShardID) error {
	var keys []string
	err := s.read(func(e engine) error {
		return e.walk(string(appendShard(nil, promiseSpace, shard)), "", func(k []byte, _ func() ([]byte, error)) bool {
			keys = append(keys, string(k))
			return true
		})
	})
	w := window{ctx: ctx}
	for _, key := range keys {
		if w.add(func() (Ticket, error) { return s.enqueue(newRequest(eraseValue, shard, key, nil)) }) != nil {
			break
		}
	}
	_, waited := w.wait()
	return errors.Join(err, waited)
}
