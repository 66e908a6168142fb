package disk

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/chorus-net/chorus/store"
)

// Outcome tells what became of a record that was to be stored or removed.
type Outcome struct {
	// Stored: it was written (or, by Remove, removed). Not so when the version
	// held was the same already, or newer.
	Stored bool
	// Held is the version that is on disk now: the record's own, or a newer one,
	// by which it is superseded. It is zero if nothing is held.
	Held store.Version
}

// Superseded reports whether the version held is newer than v, the version of
// the record in question.
func (o Outcome) Superseded(v store.Version) bool { return v.Less(o.Held) }

// Apply stores an encoded record if it is newer than what is held of its key,
// and returns when that is on disk. The record is copied.
func (s *Store) Apply(ctx context.Context, shard store.ShardID, record []byte) (Outcome, error) {
	t, err := s.Queue(shard, record)
	if err != nil {
		return Outcome{}, err
	}
	return t.Wait(ctx)
}

// Queue is the first half of Apply: it gives the record its place in the queue
// and does not block. What is queued first is on disk first, or in the same
// instant: a caller that holds its own lock while it decides and queues has its
// decisions on disk in their order. It fails with ErrBusy when too much waits.
func (s *Store) Queue(shard store.ShardID, record []byte) (Ticket, error) {
	puts := [1]Put{{Shard: shard, Record: record}}
	s.QueueMany(puts[:])
	return puts[0].Ticket, puts[0].Err
}

// Put is a record for QueueMany, which sets Ticket or Err.
type Put struct {
	Shard  store.ShardID
	Record []byte // encoded; it is copied
	Ticket Ticket
	Err    error
}

// QueueMany is Queue for several records: they get their places at once, and
// share a commit as far as one has room for them.
func (s *Store) QueueMany(puts []Put) {
	requests := make([]*request, 0, len(puts))
	for i := range puts {
		p := &puts[i]
		r, err := s.newPut(p.Shard, p.Record)
		if err != nil {
			p.Err = fmt.Errorf("store record: %w", err)
			continue
		}
		p.Ticket = Ticket{r}
		requests = append(requests, r)
	}
	taken, err := s.queue.push(requests...)
	if err == nil {
		return
	}
	for i, at := 0, 0; i < len(puts); i++ {
		p := &puts[i]
		if p.Err != nil {
			continue
		}
		if at >= taken {
			p.Ticket.r.recycle()
			p.Ticket, p.Err = Ticket{}, err
		}
		at++
	}
}

// newPut makes a request of a record that it checks and copies.
func (s *Store) newPut(shard store.ShardID, record []byte) (*request, error) {
	r := newRequest(putRecord, shard, "", record)
	v, err := store.OpenRecord(r.value)
	if err == nil {
		err = v.Verify()
	}
	if err == nil {
		err = s.checkShard(shard, v)
	}
	if err != nil {
		r.recycle()
		return nil, err
	}
	r.record = v
	r.key = viewKey(shard, v)
	return r, nil
}

func (s *Store) checkShard(shard store.ShardID, v store.View) error {
	if want := store.Shard(v.Position(), s.opts.Shards); shard.Index(s.opts.Shards) != want {
		return fmt.Errorf("record of shard %d came to shard %d", want, shard)
	}
	if v.Version().IsZero() {
		return errors.New("record has no version")
	}
	return nil
}

func (s *Store) enqueue(r *request) (Ticket, error) {
	if _, err := s.queue.push(r); err != nil {
		r.recycle()
		return Ticket{}, err
	}
	return Ticket{r}, nil
}

// ApplyMany is Apply for many records of one shard, as a synchronisation brings
// them: those that one commit has room for share it. It returns an outcome for each,
// and the first error.
func (s *Store) ApplyMany(ctx context.Context, shard store.ShardID, records [][]byte) ([]Outcome, error) {
	puts := make([]Put, len(records))
	for i, b := range records {
		puts[i] = Put{Shard: shard, Record: b}
	}
	s.QueueMany(puts)
	w := window{ctx: ctx, outcomes: make([]Outcome, 0, len(records))}
	for i := range puts {
		p := &puts[i]
		again := false // there was no room for it, nor for those after it
		// An error stays with the window; those that have their place are waited for.
		_ = w.add(func() (Ticket, error) {
			if again {
				return s.Queue(shard, p.Record)
			}
			again = true
			return p.Ticket, p.Err
		})
	}
	return w.wait()
}

// window collects tickets, and waits for the oldest when the queue is full.
type window struct {
	ctx      context.Context //nolint:containedctx // lives as long as one call
	waiting  []Ticket
	outcomes []Outcome
	err      error
}

func (w *window) add(queue func() (Ticket, error)) error {
	for {
		t, err := queue()
		if err == nil {
			w.waiting = append(w.waiting, t)
			return nil
		}
		if !errors.Is(err, ErrBusy) || len(w.waiting) == 0 {
			w.err = errors.Join(w.err, err)
			return err
		}
		w.oldest()
		if w.err != nil {
			return w.err
		}
	}
}

func (w *window) oldest() {
	o, err := w.waiting[0].Wait(w.ctx)
	w.waiting = w.waiting[1:]
	if w.outcomes = append(w.outcomes, o); w.err == nil {
		w.err = err
	}
}

func (w *window) wait() ([]Outcome, error) {
	for len(w.waiting) > 0 {
		w.oldest()
	}
	return w.outcomes, w.err
}

// Remove forgets a record, if it is still of version v: a tombstone that all
// have confirmed, a value that expired. With the zero version it forgets a
// record that fails its checksum.
func (s *Store) Remove(ctx context.Context, shard store.ShardID, ns, key string, v store.Version) (Outcome, error) {
	t, err := s.queueRemove(shard, recordKey(shard, ns, key), v)
	if err != nil {
		return Outcome{}, err
	}
	return t.Wait(ctx)
}

func (s *Store) queueRemove(shard store.ShardID, key string, v store.Version) (Ticket, error) {
	r := newRequest(remove, shard, key, nil)
	r.version = v
	return s.enqueue(r)
}

// DropShard removes the records of a shard that it finds, and what its registers
// promised, and leaves the shard's own state alone. If it fails half-way, calling it
// again goes on.
func (s *Store) DropShard(ctx context.Context, shard store.ShardID) error {
	if err := s.dropPromises(ctx, shard); err != nil {
		return fmt.Errorf("drop shard %d: %w", shard, err)
	}
	return s.DropUntil(ctx, shard, math.MaxUint64)
}

// DropUntil is DropShard for records whose versions' clocks are not above one, and
// for those that cannot be read.
func (s *Store) DropUntil(ctx context.Context, shard store.ShardID, clock uint64) error {
	for after := ""; ; {
		page, err := s.Scan(shard, Query{After: after})
		if err != nil {
			return err
		}
		for _, full := range page.Corrupt {
			page.Entries = append(page.Entries, store.Entry{Key: full})
		}
		w := window{ctx: ctx}
		for _, e := range page.Entries {
			if e.Version.Clock > clock {
				continue
			}
			ns, key := store.SplitKey(e.Key)
			if w.add(func() (Ticket, error) {
				return s.queueRemove(shard, recordKey(shard, ns, key), e.Version)
			}) != nil {
				break
			}
		}
		if _, err := w.wait(); err != nil {
			return fmt.Errorf("drop shard %d: %w", shard, err)
		}
		if !page.More {
			return nil
		}
		after = page.Last
	}
}
