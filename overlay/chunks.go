package overlay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// The namespaces of large values. A chunk is "_chunk/SCOPE/HASH", both in hex,
// where the scope stands for the key of the value: only one manifest can refer to
// a chunk. "_large/KEY" is there while chunks of KEY may be.
const (
	chunkSpace = "_chunk"
	largeSpace = "_large"
)

// chunkTimes are the ages that keep chunks apart from garbage. All peers of a
// ring must have the same; doc.go says why they are safe.
type chunkTimes struct {
	reuse  time.Duration // a put relies on a chunk that is there up to this age
	commit time.Duration // and becomes visible while none of its chunks is older
	keep   time.Duration // no chunk is forgotten before this age
	sweep  time.Duration // between two looks for garbage
}

var defaultChunkTimes = chunkTimes{reuse: 12 * time.Hour, commit: 18 * time.Hour, keep: 24 * time.Hour, sweep: time.Hour}

const (
	chunkTries = 5 // of a put, each of which may take as long as an operation
	chunkPause = 200 * time.Millisecond
)

// chunkScope returns what the names of a value's chunks begin with.
func chunkScope(key string) string {
	ns, name := store.SplitKey(key)
	at := store.Route(ns, name)
	return fmt.Sprintf("%x/", at[:16])
}

// chunkName returns the name of a chunk in its namespace.
func chunkName(key string, h chunk.Hash) string { return chunkScope(key) + hex.EncodeToString(h[:]) }

// begin notes that chunks of key may be there from now on, for those who look
// for garbage. It comes before the first chunk.
func (n *Node) begin(ctx context.Context, key string, opts []PutOption) error {
	ns, name := store.SplitKey(key)
	if err := checkKey(ns, name); err != nil {
		return err
	}
	if err := n.owned.mayWrite(ctx, ns); err != nil {
		return err // before the chunks are stored
	}
	o := client.NewPutOptions(opts...)
	if o.W == client.LevelSloppy {
		return sloppyLarge(key)
	}
	level, _, err := n.writeOptions(ctx, ns, o)
	if err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	if len(largeSpace)+1+len(key) > store.MaxKey {
		return &client.Error{
			Code:    client.CodeKeyTooLong,
			Message: fmt.Sprintf("key %.40q: %d bytes, the limit is %d for a value of this size", key, len(key), store.MaxKey-len(largeSpace)-1),
		}
	}
	if level == store.LevelOne {
		level = store.LevelQuorum // the namespace must not be given another N between the chunks and their manifest
	}
	_, err = n.write(ctx, ns, store.Record{Namespace: largeSpace, Key: key, Position: store.Route(largeSpace, key)}, level)
	return err
}

// putChunk stores a chunk of the value under key, unless as many voters as the
// level asks for hold it already, and not for long.
func (n *Node) putChunk(ctx context.Context, key string, w Level, data []byte) (client.Kept, error) {
	ns, _ := store.SplitKey(key)
	level, _, err := n.writeOptions(ctx, ns, client.PutOptions{W: w, Forever: true})
	if err != nil {
		return client.Kept{}, fmt.Errorf("put %q: %w", key, err)
	}
	if len(data) < 1 || len(data) > chunk.Size {
		return client.Kept{}, usage("put %q: a chunk of %d bytes", key, len(data))
	}
	if _, err := n.namespaces.of(ctx, ns); err != nil { // see findChunk
		return client.Kept{}, fmt.Errorf("put %q: %w", key, err)
	}
	name := chunkName(key, sha256.Sum256(data))
	if v := n.chunkHeld(ctx, key, name, level); !v.IsZero() {
		return client.Kept{Version: v.String(), Reused: true}, nil
	}
	rec := store.Record{Namespace: chunkSpace, Key: name, Position: store.Route(chunkSpace, name), Value: data}
	for try := 1; ; try++ {
		once, cancel := context.WithTimeout(ctx, opTimeout)
		r, err := n.write(once, ns, rec, level)
		cancel()
		if err == nil {
			return client.Kept{Version: r.Version}, nil
		}
		// Storing a chunk twice is storing it once. A disk with much to do may let the
		// time of an operation pass, too.
		again := errors.Is(err, ErrQuorum) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
		if !again || try == chunkTries || !sleep(ctx, chunkPause) {
			return client.Kept{}, fmt.Errorf("put %q: store a chunk: %w", key, err)
		}
	}
}

// chunkHeld returns the version of a chunk that as many voters hold as a write
// of the level would take, or zero if they do not, or if it is too old to be
// relied upon. Voters that do not answer are voters that do not hold it.
func (n *Node) chunkHeld(ctx context.Context, key, name string, level store.Level) store.Version {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	p, err := n.findChunk(ctx, "put", key, name)
	if err != nil {
		return store.Version{}
	}
	shard, c := p.shard, p.config
	members, by := c.Members(), goesBy{config: c, until: time.Now().Add(opTimeout)}
	full := store.JoinKey(chunkSpace, name)
	versions := make([]store.Version, len(members))
	_ = n.each(ctx, len(members), func(ctx context.Context, i int) error {
		r, err := n.askScan(ctx, members[i], shard, by, store.ScanRequest{Prefix: full, Limit: 1})
		if err == nil && r.Status == store.StatusOK && len(r.Entries) == 1 && r.Entries[0].Key == full && !r.Entries[0].Deleted {
			versions[i] = r.Entries[0].Version
		}
		return nil
	})
	newest := slices.MaxFunc(versions, store.Version.Compare)
	var holders store.Set
	for i, v := range versions {
		if v == newest {
			holders |= 1 << i
		}
	}
	if newest.IsZero() || !store.NewTally(c, level).Reached(holders) || time.Since(newest.Time()) > n.chunkTimes.reuse {
		return store.Version{}
	}
	return newest
}

// findChunk is find for a chunk of the value under key. The settings of its namespace
// must be known: no replica can tell where a chunk belongs.
func (n *Node) findChunk(ctx context.Context, verb, key, name string) (*place, error) {
	ns, _ := store.SplitKey(key)
	if _, err := n.namespaces.of(ctx, ns); err != nil {
		return nil, fmt.Errorf("%s %q: %w", verb, key, err)
	}
	return n.find(ctx, verb, ns, key, store.Route(chunkSpace, name))
}

// getChunk returns a chunk of the value under key. Any replica will do whose
// bytes match the hash; the nearest is asked first, the next when one fails or
// is slow.
func (n *Node) getChunk(ctx context.Context, key string, h chunk.Hash, size int) (_ []byte, err error) {
	defer n.meter.end("get", n.meter.begin(), &err)
	name := chunkName(key, h)
	p, err := n.findChunk(ctx, "get", key, name)
	if err != nil {
		return nil, err
	}
	shard, c := p.shard, p.config
	for try := 1; ; {
		s := chunkSearch{n: n, shard: shard, name: name, hash: h, size: size}
		data, newer := s.run(ctx, c)
		switch {
		case data != nil:
			return data, nil
		case n.ctx.Err() != nil:
			return nil, ErrClosed
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		found := newer.Epoch > c.Epoch
		if !found {
			newer, found = n.newerConfig(ctx, shard, c)
		}
		if found {
			n.remember(shard, c, newer)
			c = newer
			continue
		}
		if !s.silent || try == chunkTries || !sleep(ctx, chunkPause) {
			return nil, s.failed(key)
		}
		try++
	}
}

// chunkSearch asks the replicas of a chunk for it.
type chunkSearch struct {
	n      *Node
	shard  store.ShardID
	name   string
	hash   chunk.Hash
	size   int
	why    []string // what was wrong with each replica
	lack   bool     // it was that they do not have it, with all of them
	silent bool     // some were waited for in vain
}

// failed is the error of a search that ended without the chunk.
func (s *chunkSearch) failed(key string) error {
	why := strings.Join(s.why, "; ")
	if s.lack {
		return damaged(key, fmt.Errorf("no replica has chunk %x of it: %s", s.hash[:4], why))
	}
	return quorumLost("get", key, fmt.Sprintf("no replica with chunk %x of it answered: %s", s.hash[:4], why))
}

// chunkAnswer is what one replica said.
type chunkAnswer struct {
	data  []byte
	lacks bool // it has none, or none that is right
	newer store.Config
	err   error
	from  store.Voter
}

// run asks the members of c until one has the chunk. If none has, it returns
// the newest configuration that they know.
func (s *chunkSearch) run(ctx context.Context, c store.Config) (data []byte, newer store.Config) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	members := slices.Clone(c.Members())
	slices.SortStableFunc(members, func(a, b store.Voter) int { return s.n.near(a) - s.n.near(b) })
	answers := make(chan chunkAnswer, len(members))
	asked, waiting := 0, 0
	slow := time.NewTicker(s.n.hedgeAfter(c) + chunkPause/4) // a chunk takes longer than a round trip
	defer slow.Stop()
	s.lack = true
	for next := true; ; next = true {
		if next && asked < len(members) {
			to := members[asked]
			asked++
			if s.n.group.start(func() { answers <- s.ask(ctx, to, c) }) {
				waiting++
			}
		}
		if waiting == 0 {
			return nil, newer
		}
		select {
		case a := <-answers:
			waiting--
			switch {
			case a.err == nil && a.data != nil:
				return a.data, newer
			case a.newer.Epoch > newer.Epoch:
				newer = a.newer
			}
			s.lack = s.lack && a.lacks
			s.silent = s.silent || silence(a.err)
			s.why = append(s.why, fmt.Sprintf("%s %v", s.n.label(a.from.Peer), a.err))
		case <-slow.C:
		case <-ctx.Done():
			s.lack, s.silent = false, true
			s.why = append(s.why, fmt.Sprintf("%d of %d replicas did not answer in time", waiting, len(members)))
			return nil, newer
		}
	}
}

// ask asks one replica and checks what it says.
func (s *chunkSearch) ask(ctx context.Context, to store.Voter, c store.Config) (a chunkAnswer) {
	a.from = to
	by := goesBy{config: c, push: true}
	var r store.ReadReply
	if r, a.err = s.n.askRead(ctx, to, s.shard, by, chunkSpace, s.name); a.err != nil {
		return a
	}
	a.newer = r.Config
	switch {
	case r.Status != store.StatusOK:
		a.err = fmt.Errorf("answered %s", r.Status)
	case len(r.Record) == 0:
		a.err = errors.New("has none")
		a.lacks = true
	default:
		a.data, a.err = s.check(r.Record)
		a.lacks = a.err != nil
	}
	if errors.Is(a.err, chunk.ErrMismatch) {
		s.n.log.Warn("a replica's chunk is not what its name says", "peer", s.n.label(to.Peer), "key", s.name)
	}
	return a
}

// check returns the bytes of the chunk that a record holds, if they are the ones
// that were asked for.
func (s *chunkSearch) check(record []byte) ([]byte, error) {
	v, err := store.OpenRecord(record)
	if err == nil {
		err = v.Verify()
	}
	if err != nil {
		return nil, err
	}
	if v.Tombstone() || !v.Is(chunkSpace, s.name) {
		return nil, errors.New("has none")
	}
	return v.Value(), chunk.Check(s.hash, s.size, v.Value())
}
