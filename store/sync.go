package store

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrBadPeer reports an answer that no correct peer gives.
var ErrBadPeer = errors.New("peer broke the protocol")

// maxFetch bounds the keys of one FetchRequest that a Pull makes.
const maxFetch = 512

// PullKind is what a Pull wants next.
type PullKind uint8

const (
	// PullPage: send Page to the source, give its reply to Paged.
	PullPage PullKind = iota
	// PullCompare: look up which versions of Entries are held here (zero: none),
	// give them to Compared, in order.
	PullCompare
	// PullFetch: send Fetch to the source, give its reply to Fetched.
	PullFetch
	// PullStore: store Records here as repairs, synced; then call Stored.
	PullStore
	// PullDone: all that the source held when the pull began is held here.
	PullDone
)

// PullStep is one want of a Pull.
type PullStep struct {
	Kind    PullKind
	Page    SyncRequest // Target is left to the driver, here and in Fetch
	Entries []Entry
	Fetch   FetchRequest
	Records []View
}

// Pull is the machine that makes one replica of a shard hold everything that
// another one holds: it walks through the source's versions in pages and
// fetches the records that are newer than its own. A pull that starts at the
// beginning ends at once where the fingerprints agree.
//
// Only the records that differ travel, but every version does, or, of a pull
// made by NewRepair, those of the keys named. It is one shard, one source, one
// epoch; when a reply's status is not StatusOK the driver ends it, and may resume
// another one at Cursor.
type Pull struct {
	shard  ShardID
	shards int
	local  Fingerprint
	paths  []uint64 // not nil: of these keys only, ascending
	rules  Rules
	passed int
	kind   PullKind
	cursor string // all up to here is stored
	page   []Entry
	more   bool
	want   []Entry // of the page: still to be fetched
	fetch  int     // how many of want were asked for
	done   int     // how many of those the reply covered
	views  []View
	pulled int
}

// NewPull returns a pull of a shard in a ring of shards shards, from after the
// full key after, "" being the start. local is the shard's fingerprint here.
func NewPull(shard ShardID, shards int, local Fingerprint, after string) *Pull {
	return &Pull{shard: shard, shards: shards, local: local, cursor: after}
}

// Rules tell which of the source's records a pull leaves there.
type Rules struct {
	// Now is the time here. Dead entries (Entry.Dead) of keys that are not held are
	// not wanted: this replica has done with them.
	Now     time.Time
	Horizon uint64 // of the configuration
	// Latest is the newest clock that is believed, 0: all are; at least what
	// State.Settled says. A newer record was stamped by a wrong clock, or this peer's
	// is wrong: it is not wanted, and counted as Passed.
	Latest uint64
}

// By sets the rules of a pull that begins. Without, all records are wanted.
func (p *Pull) By(r Rules) *Pull {
	p.rules = r
	return p
}

// Passed counts the records that were passed over for their clock. A pull with
// any did not make this replica hold all that the source did.
func (p *Pull) Passed() int { return p.passed }

// NewRepair returns a pull of just the keys with certain paths, which a Diff
// found.
func NewRepair(shard ShardID, shards int, paths []uint64) *Pull {
	paths = append([]uint64{}, paths...)
	slices.Sort(paths)
	return &Pull{shard: shard, shards: shards, paths: paths}
}

// Next returns what the pull wants. It stays the same until it is answered.
func (p *Pull) Next() PullStep {
	st := PullStep{Kind: p.kind}
	switch p.kind {
	case PullPage:
		st.Page = SyncRequest{After: p.cursor, Paths: p.paths, Limit: MaxPageBytes}
	case PullCompare:
		st.Entries = p.page
	case PullFetch:
		p.fetch = min(len(p.want), maxFetch)
		st.Fetch.Keys = make([]string, p.fetch)
		for i, e := range p.want[:p.fetch] {
			st.Fetch.Keys[i] = e.Key
		}
	case PullStore:
		st.Records = p.views
	case PullDone:
	}
	return st
}

// Paged takes in the source's answer to PullPage.
func (p *Pull) Paged(r SyncReply) error {
	if p.kind != PullPage {
		return errors.New("pull: page not asked for")
	}
	if len(r.Entries) > MaxPage || r.More && len(r.Entries) == 0 {
		return fmt.Errorf("page of %d entries: %w", len(r.Entries), ErrBadPeer)
	}
	after := p.cursor
	for _, e := range r.Entries {
		if e.Key <= after || len(e.Key) > MaxKey || e.Version.IsZero() {
			return fmt.Errorf("page out of order at %q: %w", e.Key, ErrBadPeer)
		}
		if _, asked := slices.BinarySearch(p.paths, PathOf(e.Key)); p.paths != nil && !asked {
			return fmt.Errorf("key %q not asked for: %w", e.Key, ErrBadPeer)
		}
		after = e.Key
	}
	agree := p.paths == nil && p.cursor == "" && r.Fingerprint == p.local
	if agree || len(r.Entries) == 0 {
		p.kind = PullDone
		return nil
	}
	p.page, p.more, p.kind = r.Entries, r.More, PullCompare
	return nil
}

// Compared takes in the versions that are held here of the entries of
// PullCompare.
func (p *Pull) Compared(held []Version) error {
	if p.kind != PullCompare || len(held) != len(p.page) {
		return errors.New("pull: versions not asked for")
	}
	p.want = p.want[:0]
	for i, e := range p.page {
		switch {
		case !held[i].Less(e.Version), held[i].IsZero() && e.Dead(p.rules.Horizon, p.rules.Now):
		case p.rules.Latest > 0 && e.Version.Clock > p.rules.Latest:
			p.passed++
		default:
			p.want = append(p.want, e)
		}
	}
	p.proceed()
	return nil
}

// Fetched takes in the source's answer to PullFetch.
func (p *Pull) Fetched(r FetchReply) error {
	if p.kind != PullFetch {
		return errors.New("pull: records not asked for")
	}
	if r.Done < 1 || r.Done > p.fetch || len(r.Records) > r.Done {
		return fmt.Errorf("fetch of %d keys covers %d: %w", p.fetch, r.Done, ErrBadPeer)
	}
	p.views = p.views[:0]
	next := 0
	for _, b := range r.Records {
		v, err := OpenRecord(b)
		if err == nil {
			err = v.Verify()
		}
		if err != nil {
			return fmt.Errorf("fetch: %w: %w", err, ErrBadPeer)
		}
		for next < r.Done && !v.isFull(p.want[next].Key) {
			next++ // no longer held at the source
		}
		if next == r.Done || v.Version().Less(p.want[next].Version) || Shard(v.Position(), p.shards) != p.shard.Index(p.shards) {
			return fmt.Errorf("fetch: record not asked for: %w", ErrBadPeer)
		}
		next++
		if p.rules.Latest > 0 && v.Version().Clock > p.rules.Latest {
			p.passed++
			continue
		}
		p.views = append(p.views, v)
	}
	p.done, p.kind = r.Done, PullStore
	return nil
}

// Stored tells that the records of PullStore are on stable storage, or that
// newer ones were held.
func (p *Pull) Stored() {
	if p.kind != PullStore {
		return
	}
	p.pulled += len(p.views)
	p.views = nil
	p.want = p.want[p.done:]
	p.proceed()
}

// proceed fetches the rest of the page, or goes on to the next one.
func (p *Pull) proceed() {
	if len(p.want) > 0 {
		p.kind = PullFetch
		return
	}
	p.cursor = p.page[len(p.page)-1].Key
	p.page = nil
	p.kind = PullPage
	if !p.more {
		p.kind = PullDone
	}
}

// Cursor returns the full key up to which everything is stored here.
func (p *Pull) Cursor() string { return p.cursor }

// Pulled counts the records stored.
func (p *Pull) Pulled() int { return p.pulled }

// Budget bounds a page that a replica puts together, by bytes. Its first item
// always fits.
type Budget struct {
	left  int
	taken bool
}

// NewBudget returns a budget of limit bytes, MaxPageBytes where limit is not
// between 1 and that.
func NewBudget(limit int) Budget {
	if limit < 1 || limit > MaxPageBytes {
		limit = MaxPageBytes
	}
	return Budget{left: limit}
}

// Take reports whether an item of n bytes still fits, and counts it if so.
func (b *Budget) Take(n int) bool {
	if b.taken && n > b.left {
		return false
	}
	b.left -= n
	b.taken = true
	return true
}

// Size returns about how many bytes e takes in a page.
func (e Entry) Size() int { return len(e.Key) + 40 }
