package disk

import (
	"fmt"
	"runtime"
	"time"

	"github.com/chorus-net/chorus/store"
)

// committer writes. It owns the engine's write side, and runs in one goroutine:
// whatever waits in the queue when it comes back from the disk becomes the next
// group, so that a lone write waits for nobody and many share one sync.
type committer struct {
	s      *Store
	engine engine

	// Of the group at hand, kept to reuse their memory.
	group   []*request
	ops     []op
	changes []change       // changes[i] is what ops[i] does to the totals
	index   map[string]int // key to ops
	look    look
	growth  int64 // bytes that the group adds

	roomy time.Time // when the file system was last found to have room

	number uint64                 // of the last commit, or attempt at one
	dirty  bool                   // the stored totals are gone
	failed bool                   // a commit failed: the engine's files may not be what it thinks
	doubt  map[store.ShardID]bool // shards whose totals may be wrong
}

// change is what an op does to its shard's totals.
type change struct {
	record   bool
	shard    store.ShardID
	view     store.View // for the names of the key
	old, now held
	lost     bool // old could not be read
}

func (c *committer) run() {
	defer close(c.s.stopped)
	for {
		var ok bool
		if c.group, ok = c.s.queue.take(c.group[:0]); !ok {
			return
		}
		err := c.commit()
		if c.s.crashed.Load() {
			err = ErrClosed // nobody hears from the dead
		}
		for i, r := range c.group {
			if r.err == nil {
				r.err = err
			}
			c.group[i] = nil
			r.done <- struct{}{}
		}
		if len(c.group) > 1 {
			runtime.Gosched() // those who were just answered may have more
		}
	}
}

// commit brings the group to the disk. Its error is for every request that has
// none of its own.
func (c *committer) commit() error {
	if c.failed {
		if err := c.reopen(true); err != nil {
			return classify(err)
		}
	}
	c.plan()
	if len(c.ops) == 0 {
		return nil
	}
	if !c.dirty {
		c.ops = append(c.ops, op{key: totalsKey})
		c.changes = append(c.changes, change{})
	}
	c.number++
	number := sealNumber(c.number)
	c.ops = append(c.ops, op{commitKey, number})
	c.changes = append(c.changes, change{})
	size := 0
	for _, o := range c.ops {
		size += o.size()
	}
	if err := c.engine.commit(c.ops); err != nil {
		c.failed = true
		for _, ch := range c.changes {
			c.mark(ch)
		}
		c.count()
		if l := c.s.opts.Listener; l != nil {
			l.Doubt()
		}
		return fmt.Errorf("commit: %w", classify(err))
	}
	c.dirty = true
	if c.s.folder != nil && !c.s.opts.NoSync {
		if err := c.s.folder.noteCommitted(number); err != nil {
			c.s.opts.Logger.Debug("note commit", "err", err)
		}
	}
	c.account()
	if c.engine.settle(size) {
		if err := c.reopen(false); err != nil {
			c.failed = true
			c.s.opts.Logger.Warn("reopen storage engine", "err", err)
		}
	}
	return nil
}

// plan decides what the group changes: ops, with one for each key.
func (c *committer) plan() {
	clear(c.ops)
	clear(c.changes)
	clear(c.index)
	c.ops, c.changes, c.growth = c.ops[:0], c.changes[:0], 0
	full, fullest := c.room()
	for _, r := range c.group {
		switch r.kind {
		case putRecord:
			if r.err = full; r.err == nil {
				r.outcome, r.err = c.put(r)
			}
		case putValue:
			if r.err = fullest; r.err == nil {
				c.set(r.key, r.value, change{})
			}
		case eraseValue:
			c.set(r.key, nil, change{})
		case stepRegister:
			r.err = c.step(r, full)
		case remove:
			if r.err = fullest; r.err == nil {
				r.outcome, r.err = c.remove(r)
			}
		case barrier:
		}
	}
}

// roomEvery is how often the file system is asked for its free space: in less
// time not much of the reserve can be used up.
const roomEvery = 20 * time.Millisecond

// room tells why records are refused, if there is no room for them, and why even
// what keeps a peer in its ring is, which may use half of the reserve.
func (c *committer) room() (full, fullest error) {
	now := time.Now()
	if now.Sub(c.roomy) < roomEvery {
		return nil, nil
	}
	if full = c.s.space(c.s.opts.Reserve); full != nil {
		return full, c.s.space(c.s.opts.Reserve / 2)
	}
	c.roomy = now
	return nil, nil
}

// put plans to store a record that is newer than what is held.
func (c *committer) put(r *request) (Outcome, error) {
	ch, err := c.current(r)
	if err != nil {
		return Outcome{}, err
	}
	next := heldOf(r.record)
	if !ch.lost && next.version.Compare(ch.now.version) <= 0 {
		return Outcome{Held: ch.now.version}, nil
	}
	grows := next.bytes - ch.now.bytes
	// A tombstone is let in: it is how room is made, here or at other replicas.
	if quota := c.s.opts.Quota; quota > 0 && grows > 0 && !next.tombstone && c.s.Totals().Bytes+c.growth+grows > quota {
		return Outcome{}, fmt.Errorf("%w: %d bytes", ErrQuota, quota)
	}
	c.growth += grows
	ch.view, ch.now = r.record, next
	c.set(r.key, r.value, ch)
	return Outcome{Stored: true, Held: next.version}, nil
}

// remove plans to forget a record of a certain version, or, of none, one that
// cannot be read.
func (c *committer) remove(r *request) (Outcome, error) {
	ch, err := c.current(r)
	if err != nil {
		return Outcome{}, err
	}
	unreadable := ch.lost && ch.now.version.IsZero()
	if ch.now.version != r.version || r.version.IsZero() && !unreadable {
		return Outcome{Held: ch.now.version}, nil
	}
	c.growth -= ch.now.bytes
	ch.now = held{}
	c.set(r.key, nil, ch)
	return Outcome{Stored: true}, nil
}

// current returns what is held of r's key, this group's own changes included, as
// a change from what the disk holds.
func (c *committer) current(r *request) (change, error) {
	if at, ok := c.index[r.key]; ok {
		return c.changes[at], nil
	}
	c.look.change, c.look.remove = change{record: true, shard: r.shard}, r.kind == remove
	if _, err := c.engine.view(r.key, c.look.at); err != nil {
		return change{}, corruptKey(r.key, err)
	}
	ch := c.look.change
	if ch.lost {
		c.s.damage.Add(1)
	}
	ch.now = ch.old
	return ch, nil
}

// look takes in what an engine holds of a key. There is one, since a closure for each
// record would cost more than what it does.
type look struct {
	change change
	remove bool                    // the change needs the names of the key
	at     func(held []byte) error // read, for engine.view
}

func (l *look) read(held []byte) error {
	v, err := store.OpenRecord(held)
	if err == nil {
		err = v.Verify()
	}
	if err != nil {
		l.change.lost = true // and a good copy of it, or a newer one, may take its place
		return nil           //nolint:nilerr // lost says it
	}
	l.change.old = heldOf(v)
	if l.remove {
		l.change.view, err = store.OpenRecord(append([]byte(nil), held...))
	}
	return err
}

func (c *committer) set(key string, value []byte, ch change) {
	if at, ok := c.index[key]; ok {
		c.ops[at].value, c.changes[at] = value, ch
		return
	}
	c.index[key] = len(c.ops)
	c.ops = append(c.ops, op{key, value})
	c.changes = append(c.changes, ch)
}

// account brings the totals up to what was committed.
func (c *committer) account() {
	c.s.totals.apply(c.changes)
	for _, ch := range c.changes {
		if ch.lost {
			c.mark(ch)
		}
	}
	c.count()
	if l := c.s.opts.Listener; l != nil {
		for _, ch := range c.changes {
			if ch.record && ch.now != ch.old && !ch.now.version.IsZero() {
				l.Changed(ch.shard, ch.view)
			}
		}
	}
}

func (c *committer) mark(ch change) {
	if ch.record {
		c.doubt[ch.shard] = true
	}
}

// count sums up anew the shards whose totals are in doubt. After a failed
// commit they remain so until the engine has been opened again.
func (c *committer) count() {
	for shard := range c.doubt {
		t, err := countShard(c.engine, shard)
		if err != nil {
			c.s.opts.Logger.Warn("recount shard", "shard", shard, "err", err)
			continue
		}
		c.s.totals.set(shard, t)
		if !c.failed {
			delete(c.doubt, shard)
		}
	}
}

// reopen closes the engine and opens it again: because it wants to, or because a
// commit failed and what it has in memory may differ from its files. Reads wait
// meanwhile; if it does not open they fail until it does.
func (c *committer) reopen(failed bool) error {
	s := c.s
	if failed {
		if err := s.probe(); err != nil {
			return err // reads go on with what there is
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crashed.Load() {
		return ErrClosed
	}
	if c.engine != nil {
		if err := closeEngine(c.engine); err != nil {
			s.opts.Logger.Debug("close storage engine", "err", err)
		}
	}
	e, err := openEngine(s.engineDir(), s.opts, failed)
	if err != nil {
		c.engine, s.engine, s.engineErr = nil, nil, classify(err)
		return err
	}
	c.engine, s.engine, c.failed = e, e, false
	c.count()
	return nil
}
