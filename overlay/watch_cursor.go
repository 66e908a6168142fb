package overlay

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// watchPlace is a position in a voter's log, and the shards that are followed
// there: all their changes before it were read.
type watchPlace struct {
	run, at uint64
	when    time.Time // all that had been acknowledged by then is before that
	shards  wire.ShardSet
}

// cursorJSON is a cursor; it travels in base64.
type cursorJSON struct {
	Format int         `json:"f"`
	Prefix []byte      `json:"p"` // may end within a character
	Shards int         `json:"n"`
	Places []placeJSON `json:"v"`
	// Since is until when the shards outside of Places were followed, in Unix
	// milliseconds; 0: they never were.
	Since int64 `json:"t,omitempty"`
}

type placeJSON struct {
	Peer        []byte `json:"p"`
	Incarnation uint64 `json:"i"`
	Run         uint64 `json:"r"`
	At          uint64 `json:"a"`
	When        int64  `json:"t"` // Unix milliseconds
	Shards      []byte `json:"s"`
}

// cursorFormat is that of cursors which tell times, and prefixes byte by byte.
const cursorFormat = 3

// maxCursor bounds the text of a cursor.
const maxCursor = 1 << 20

// Cursor returns where another watch of the prefix goes on, at this peer or at
// another one: behind all events that Next returned. Some may show again.
func (w *Watch) Cursor() string {
	if w.remote != nil {
		return w.remote.w.Cursor()
	}
	doc := cursorJSON{Format: cursorFormat, Prefix: []byte(w.spec.Prefix), Shards: w.n.ring.Shards}
	for v, p := range w.places {
		if !p.shards.Empty() {
			doc.Places = append(doc.Places, placeJSON{Peer: []byte(v.Peer), Incarnation: v.Incarnation, Run: p.run, At: p.at, When: p.when.UnixMilli(), Shards: p.shards})
		}
	}
	for _, at := range w.lost {
		if doc.Since == 0 || at.UnixMilli() < doc.Since {
			doc.Since = at.UnixMilli()
		}
	}
	slices.SortFunc(doc.Places, func(a, b placeJSON) int { return cmp.Compare(string(a.Peer), string(b.Peer)) })
	b, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("overlay: marshal cursor: %v", err)) // it is plain data
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// apply moves the cursor.
func (w *Watch) apply(m *watchMove) {
	p := w.places[m.voter]
	if p == nil {
		p = new(watchPlace)
		w.places[m.voter] = p
	}
	p.run, p.at, p.when = m.run, m.at, m.when
	for id := range m.remove.All() {
		p.shards.Remove(id)
		w.lost[id] = m.when
	}
	for id := range m.add.All() {
		p.shards.Add(id)
		delete(w.lost, id)
	}
	if p.shards.Empty() {
		delete(w.places, m.voter)
	}
}

// parseCursor reads the cursor of a spec: its places, of which an empty one has none,
// and until when the other shards were followed.
func parseCursor(spec client.WatchSpec, shards int) (places map[store.Voter]*watchPlace, since time.Time, err error) {
	places = make(map[store.Voter]*watchPlace)
	if spec.Cursor == "" {
		return places, since, nil
	}
	bad := func(why string) error {
		return usage("watch %q: the cursor %s", spec.Prefix, why)
	}
	if len(spec.Cursor) > maxCursor {
		return nil, since, bad("is too long")
	}
	b, err := base64.RawURLEncoding.DecodeString(spec.Cursor)
	var doc cursorJSON
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	switch {
	case err != nil || doc.Format != cursorFormat:
		return nil, since, bad("is not one of this release")
	case string(doc.Prefix) != spec.Prefix:
		return nil, since, bad(fmt.Sprintf("is of prefix %q", doc.Prefix))
	case doc.Shards != shards:
		return nil, since, bad("is of another ring")
	}
	var seen wire.ShardSet
	for _, p := range doc.Places {
		if len(p.Peer) < 1 || len(p.Peer) > store.MaxPeerID {
			return nil, since, bad("names a peer that is none")
		}
		for id := range wire.ShardSet(p.Shards).All() {
			if store.CheckBank(id.Bank(shards), shards) != nil || seen.Has(id) {
				return nil, since, bad("names a shard that is not there, or twice")
			}
			seen.Add(id)
		}
		v := store.Voter{Peer: chord.PeerID(p.Peer), Incarnation: p.Incarnation}
		if places[v] != nil {
			return nil, since, bad("names a peer twice")
		}
		places[v] = &watchPlace{run: p.Run, at: p.At, when: time.UnixMilli(p.When), shards: p.Shards}
	}
	if doc.Since != 0 {
		since = time.UnixMilli(doc.Since)
	}
	return places, since, nil
}
