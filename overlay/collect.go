package overlay

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// collectPage is how many chunks of a value are asked for at a time in each
// shard: a replica reads the chunks that it lists.
const collectPage = 8

// collect looks for chunks that nothing refers to, in the background, until the
// context ends: in each shard that this peer leads, for each "_large/KEY".
func (n *Node) collect(ctx context.Context) {
	for sleep(ctx, n.chunkTimes.sweep/2+rand.N(n.chunkTimes.sweep)) {
		for id := range n.shards.all() {
			if err := n.collectShard(ctx, id); err != nil {
				n.log.Debug("collect chunks", "shard", id, "err", err)
			}
		}
	}
}

// collectShard looks after the large values that a shard lists, if this peer
// leads it.
func (n *Node) collectShard(ctx context.Context, id store.ShardID) error {
	for after := ""; n.leads(id) && ctx.Err() == nil; {
		page, more, _, err := n.replica.page(id, disk.Query{Prefix: largeSpace + "/", After: after})
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Deleted {
				continue
			}
			// What fails is tried again by the next sweep.
			if err := n.collectValue(ctx, id, e); err != nil {
				n.log.Debug("collect chunks", "key", e.Key, "err", err)
			}
		}
		if !more {
			return nil
		}
		after = page[len(page)-1].Key
	}
	return ctx.Err()
}

// leads reports whether this peer is the first live voter of a shard at rest.
func (n *Node) leads(id store.ShardID) bool {
	c, view := n.shards.config(id), n.view()
	if !c.Stable() {
		return false
	}
	for _, v := range c.Voters {
		if v == n.self {
			return true
		}
		if p, ok := view.Peer(v.Peer); ok && p.Incarnation == v.Incarnation && !view.Suspect(v.Peer) {
			return false
		}
	}
	return false
}

// collectValue forgets the chunks of one key that its manifest does not list, if
// something changed since the last time. note is the record "_large/KEY". Its value
// is the version of KEY for which there was nothing to forget any more, or since when
// KEY is known to be gone.
func (n *Node) collectValue(ctx context.Context, id store.ShardID, note store.Entry) error {
	_, key := store.SplitKey(note.Key)
	noted, found, err := n.disk.Get(id, largeSpace, key)
	if err != nil || !found || noted.Version != note.Version {
		return err
	}
	now, bank := time.Now(), id.Bank(n.ring.Shards)
	ns, name := store.SplitKey(key)
	rec, err := n.lookUp(ctx, ns, name, store.LevelQuorum)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		if v, err := store.ParseVersion(rec.Version); err != nil || now.Sub(v.Time()) < n.chunkTimes.sweep {
			return err // somebody may still read what was there before
		}
	} else {
		// So may somebody here; the record does not tell since when, if it is there.
		since, ok := goneSince(noted.Value)
		if !ok || since.After(now.Add(store.DefaultSkew)) {
			noted.Value = appendGone(nil, now)
			return n.replaceExactly(ctx, bank, noted)
		}
		if now.Sub(since) < n.chunkTimes.sweep {
			return nil
		}
	}
	refers := make(map[string]bool)
	if rec.Large {
		if string(noted.Value) == rec.Version {
			return nil
		}
		m, err := chunk.ParseManifest(rec.Value)
		if err != nil {
			return err
		}
		for _, h := range m.Hashes {
			refers[store.JoinKey(chunkSpace, chunkName(key, h))] = true
		}
	}
	// A voter that missed the tombstone of a chunk may be all that has it, and passes it
	// on to the others when they have dropped theirs. So the note leads here until every
	// voter has said that it has none.
	for _, level := range []store.Level{store.LevelQuorum, store.LevelAll} {
		met, err := n.collectChunks(ctx, n.newMerge(chunkSpace+"/"+chunkScope(key), "", collectPage).in(bank).at(level), refers, now.Add(-n.chunkTimes.keep))
		if err != nil || met > 0 {
			return err
		}
	}
	switch {
	case now.Sub(noted.Version.Time()) < n.chunkTimes.keep:
		return nil // what an upload stores that began with this note may be yet to come
	case rec.Large:
		noted.Value = []byte(rec.Version)
	default:
		noted.Tombstone, noted.Value = true, nil
	}
	return n.replaceExactly(ctx, bank, noted)
}

// What the note of a key that is gone says begins with goneMark, which no version
// does, in front of Unix milliseconds.
const goneMark = "gone "

// appendGone appends what a note says of a key that is gone since a time.
func appendGone(b []byte, since time.Time) []byte {
	return strconv.AppendInt(append(b, goneMark...), since.UnixMilli(), 10)
}

// goneSince reads what a note says; ok is false if it does not say that its key is
// gone.
func goneSince(note []byte) (since time.Time, ok bool) {
	ms, ok := strings.CutPrefix(string(note), goneMark)
	if !ok {
		return time.Time{}, false
	}
	at, err := strconv.ParseInt(ms, 10, 64)
	return time.UnixMilli(at), err == nil
}

// collectChunks forgets the chunks among keys that are not referred to and older than
// a time, and returns how many it met that are not referred to.
func (n *Node) collectChunks(ctx context.Context, keys *merge, refers map[string]bool, before time.Time) (met int, err error) {
	for {
		e, ok, err := keys.next(ctx)
		switch {
		case err != nil || !ok:
			return met, err
		case refers[e.Key]:
			continue
		}
		met++
		if e.Version.Time().After(before) {
			continue
		}
		ns, name := store.SplitKey(e.Key)
		err = n.replaceExactly(ctx, keys.bank, store.Record{
			Namespace: ns, Key: name, Position: store.Route(ns, name), Version: e.Version, Tombstone: true,
		})
		if err != nil {
			return met, err
		}
	}
}

// replaceExactly writes a record in the place of one version of its key in a bank,
// rec.Version: whatever was, or is, written after that version stays, wherever
// the two meet.
func (n *Node) replaceExactly(ctx context.Context, bank int, rec store.Record) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	old := rec.Version
	if err := n.stamp(ctx, &rec); err != nil { // for a dot of its own
		return err
	}
	rec.Version = justAfter(old)
	encoded := rec.AppendTo(make([]byte, 0, rec.Size()))
	shard := store.Shard(rec.Position, n.ring.Shards).In(bank, n.ring.Shards)
	c, err := n.configOf(ctx, shard)
	if err != nil {
		return err
	}
	w := new(store.Write)
	ask := apart(n, func(ctx context.Context, to store.Voter, by goesBy) (store.WriteReply, error) {
		return n.askWrite(ctx, to, shard, by, encoded, false)
	})
	end, why := runOp(ctx, n, w, w.Start(c, store.LevelQuorum, rec.Version), ask, 0, nil)
	n.remember(shard, c, w.Config())
	if end == store.Done || end == store.Stamp { // Stamp: it was replaced by something newer
		return nil
	}
	return n.unanswered(ctx, "replace", strings.ToValidUTF8(rec.Key, ""), &w.Quorum, why)
}

// replacedExactly reports whether a record is of the kind that replaceExactly
// writes: no horizon keeps it out.
func replacedExactly(v store.View) bool {
	ns := string(v.Namespace())
	return ns == chunkSpace || ns == largeSpace
}

// justAfter returns the version that comes right after v.
func justAfter(v store.Version) store.Version {
	if v.Writer < math.MaxUint64 {
		return store.Version{Clock: v.Clock, Writer: v.Writer + 1}
	}
	return store.Version{Clock: v.Clock + 1}
}
