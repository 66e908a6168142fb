package chord

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIndexAgainstTwin changes an index and its slow twin, a sorted slice, alike,
// and checks that copies keep what they showed.
func TestIndexAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		k := rapid.IntRange(1, 8).Draw(t, "positions")
		var recs []*Record
		for i := range rapid.IntRange(1, 120).Draw(t, "peers") {
			recs = append(recs, completed(testPeer(i, k)))
		}
		x, twin := newPositions(), []ID(nil)
		held := make(map[*Record]bool)
		type copied struct {
			positions
			ids []ID
		}
		var copies []copied
		for range 300 {
			rec := recs[rng.IntN(len(recs))]
			if held[rec] {
				x.dropAll(rec)
				twin = slices.DeleteFunc(twin, func(id ID) bool { return slices.ContainsFunc(rec.places, func(p Place) bool { return p.ID == id }) })
			} else {
				x.addAll(rec)
				for _, p := range rec.places {
					twin = append(twin, p.ID)
				}
				slices.SortFunc(twin, ID.Compare)
			}
			held[rec] = !held[rec]
			if err := x.index.check(); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(20) == 0 {
				copies = append(copies, copied{positions{x.freeze()}, slices.Clone(twin)})
			}
		}
		copies = append(copies, copied{x, twin})
		for _, c := range copies {
			if got := forward(&c.index); !slices.Equal(got, c.ids) {
				t.Fatalf("%d positions, want %d", len(got), len(c.ids))
			}
			if got := backward(&c.index); !slices.Equal(got, c.ids) {
				t.Fatalf("%d positions backwards, want %d", len(got), len(c.ids))
			}
			if len(c.ids) == 0 {
				continue
			}
			target := HashID([]byte{byte(rng.Uint32())})
			n, _ := slices.BinarySearchFunc(c.ids, target, ID.Compare)
			if got, want := c.get(c.from(target)).place().ID, c.ids[n%len(c.ids)]; got != want {
				t.Fatalf("%s is followed by %s, want %s", target.Short(), got.Short(), want.Short())
			}
			if got := c.get(c.nth(n % len(c.ids))).place().ID; got != c.ids[n%len(c.ids)] {
				t.Fatalf("position %d is %s", n, got.Short())
			}
		}
	})
}

func forward(x *index) (ids []ID) {
	for at := (cursor{}); len(ids) < x.count; at = x.next(at) {
		ids = append(ids, x.get(at).place().ID)
	}
	return ids
}

func backward(x *index) (ids []ID) {
	for at := (cursor{}); len(ids) < x.count; {
		at = x.prev(at)
		ids = append(ids, x.get(at).place().ID)
	}
	slices.Reverse(ids)
	return ids
}

// TestMovedRecordIsFiledAnew gives a member other positions, and with them
// another part of the table.
func TestMovedRecordIsFiledAnew(t *testing.T) {
	tab := newTable("self")
	old := completed(testPeer(1, 1))
	m := tab.insert(old)
	tab.admit(m)
	for i := range uint32(20) {
		p := old.Peer
		p.Seq, p.Indexes = p.Seq+1+uint64(i), []uint32{i}
		tab.replace(m, completed(p))
		if ms := tab.inBucket(m.peer.part); len(ms) != 1 || ms[0] != m {
			t.Fatalf("index %d: %d members in part %d", i, len(ms), m.peer.part)
		}
	}
	if tab.remove(m); tab.index.count != 0 || tab.digest != 0 {
		t.Fatalf("%d positions, digest %x are left", tab.index.count, tab.digest)
	}
}
