package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fakeShard is a shard's records by full key, as a disk would keep them.
type fakeShard map[string][]byte

func (s fakeShard) put(full string, v Version) {
	ns, key := SplitKey(full)
	r := Record{Namespace: ns, Key: key, Position: Route(ns, key), Version: v, Value: []byte(full)}
	s[full] = r.AppendTo(nil)
}

func (s fakeShard) version(full string) Version {
	b, ok := s[full]
	if !ok {
		return Version{}
	}
	v, err := OpenRecord(b)
	if err != nil {
		panic(err)
	}
	return v.Version()
}

func (s fakeShard) fingerprint() (f Fingerprint) {
	for full := range s {
		ns, key := SplitKey(full)
		f = f.Plus(FingerprintOf([]byte(ns), []byte(key), s.version(full)))
	}
	return f
}

func (s fakeShard) keysAfter(after string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s)), func(k string) bool { return k <= after })
}

func (s fakeShard) page(req SyncRequest, limit int) (r SyncReply) {
	r.Fingerprint = s.fingerprint()
	budget := NewBudget(limit)
	for _, k := range s.keysAfter(req.After) {
		e := Entry{Key: k, Version: s.version(k)}
		if !budget.Take(e.Size()) {
			r.More = true
			return r
		}
		r.Entries = append(r.Entries, e)
	}
	return r
}

func (s fakeShard) fetch(req FetchRequest, limit int) (r FetchReply) {
	budget := NewBudget(limit)
	for _, k := range req.Keys {
		if b, ok := s[k]; ok {
			if !budget.Take(len(b)) {
				return r
			}
			r.Records = append(r.Records, b)
		}
		r.Done++
	}
	return r
}

// pullStep drives one step of a pull between two shards.
func pullStep(p *Pull, from, to fakeShard, pageBytes, fetchBytes int) (done bool, err error) {
	switch st := p.Next(); st.Kind {
	case PullPage:
		return false, p.Paged(from.page(st.Page, pageBytes))
	case PullCompare:
		held := make([]Version, len(st.Entries))
		for i, e := range st.Entries {
			held[i] = to.version(e.Key)
		}
		return false, p.Compared(held)
	case PullFetch:
		return false, p.Fetched(from.fetch(st.Fetch, fetchBytes))
	case PullStore:
		for _, v := range st.Records {
			full := JoinKey(string(v.Namespace()), string(v.Key()))
			if to.version(full).Less(v.Version()) {
				to[full] = v.Raw()
			}
		}
		p.Stored()
		return false, nil
	default:
		return true, nil
	}
}

// Whatever the two hold, and whatever is written to both meanwhile, in the end
// the puller holds all that the source held at the start; also where it was
// interrupted and resumed at its cursor.
func TestPull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) fakeShard {
			s := fakeShard{}
			for _, i := range rapid.SliceOfDistinct(rapid.IntRange(0, 30), rapid.ID).Draw(t, name) {
				s.put(fmt.Sprintf("ns%d/%d", i%3, i), Version{Clock: uint64(1 + (i*7+len(name))%5)})
			}
			return s
		}
		from, to := draw("from"), draw("destination")
		start := maps.Clone(from)
		pageBytes := rapid.IntRange(1, 400).Draw(t, "page")
		fetchBytes := rapid.IntRange(1, 600).Draw(t, "fetch")
		p := NewPull(0, 1, to.fingerprint(), "")
		for steps := 0; ; steps++ {
			if steps > 500 {
				t.Fatal("no end")
			}
			done, err := pullStep(p, from, to, pageBytes, fetchBytes)
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			switch rapid.IntRange(0, 9).Draw(t, "meanwhile") {
			case 0:
				from.put(fmt.Sprintf("ns1/%d", rapid.IntRange(0, 30).Draw(t, "key")), Version{Clock: 10})
			case 1:
				to.put(fmt.Sprintf("ns1/%d", rapid.IntRange(0, 30).Draw(t, "key")), Version{Clock: 11})
			case 2:
				keys := from.keysAfter("")
				if len(keys) > 0 { // as when an expired record is dropped
					k := rapid.SampledFrom(keys).Draw(t, "dropped")
					delete(from, k)
					delete(start, k)
				}
			case 3:
				p = NewPull(0, 1, to.fingerprint(), p.Cursor())
			}
		}
		for full := range start {
			if to.version(full).Less(start.version(full)) {
				t.Fatalf("%s: held %v, the source had %v", full, to.version(full), start.version(full))
			}
		}
	})
}

// Equal shards cost one exchange; different ones move only what differs.
func TestPullCost(t *testing.T) {
	from, to := fakeShard{}, fakeShard{}
	for i := range 1000 {
		k := fmt.Sprintf("ns/%04d", i)
		from.put(k, Version{Clock: 5})
		to.put(k, Version{Clock: 5})
	}
	run := func() (p *Pull, steps int) {
		p = NewPull(0, 1, to.fingerprint(), "")
		for {
			done, err := pullStep(p, from, to, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if done {
				return p, steps
			}
			steps++
		}
	}
	if p, steps := run(); steps != 1 || p.Pulled() != 0 {
		t.Errorf("equal shards: %d steps, %d pulled", steps, p.Pulled())
	}
	from.put("ns/0500", Version{Clock: 6})
	to.put("ns/0600", Version{Clock: 6})
	if p, _ := run(); p.Pulled() != 1 {
		t.Errorf("one difference: %d pulled", p.Pulled())
	}
}

func TestPullRefusesLies(t *testing.T) {
	e := func(k string) Entry { return Entry{Key: k, Version: Version{Clock: 2}} }
	for name, r := range map[string]SyncReply{
		"out of order":    {Entries: []Entry{e("b"), e("a")}},
		"twice":           {Entries: []Entry{e("a"), e("a")}},
		"before cursor":   {Entries: []Entry{e("")}},
		"no version":      {Entries: []Entry{{Key: "a"}}},
		"endless":         {More: true},
		"too many":        {Entries: make([]Entry, MaxPage+1)},
		"key over bounds": {Entries: []Entry{e(string(make([]byte, MaxKey+1)))}},
	} {
		if err := NewPull(0, 1, Fingerprint{Count: 1}, "").Paged(r); !errors.Is(err, ErrBadPeer) {
			t.Errorf("page %s: %v", name, err)
		}
	}
	rec := func(full string, clock uint64) []byte {
		s := fakeShard{}
		s.put(full, Version{Clock: clock})
		return s[full]
	}
	flipped := rec("a", 2)
	flipped[len(flipped)-1] ^= 1
	elsewhere := "a" // some key of the other half of the ring
	for Shard(Route("", elsewhere), 2) == Shard(Route("", "a"), 2) {
		elsewhere += "a"
	}
	for name, r := range map[string]FetchReply{
		"nothing covered":  {},
		"too much covered": {Done: 4},
		"too many records": {Done: 1, Records: [][]byte{rec("a", 2), rec("b", 2)}},
		"another key":      {Done: 3, Records: [][]byte{rec("x", 2)}},
		"not covered yet":  {Done: 1, Records: [][]byte{rec("b", 2)}},
		"out of order":     {Done: 3, Records: [][]byte{rec("b", 2), rec("a", 2)}},
		"older":            {Done: 1, Records: [][]byte{rec("a", 1)}},
		"corrupt":          {Done: 1, Records: [][]byte{flipped}},
		"another shard":    {Done: 3, Records: [][]byte{rec(elsewhere, 2)}},
	} {
		p := NewPull(Shard(Route("", "a"), 2), 2, Fingerprint{Count: 1}, "")
		keys := []string{"a", "b", elsewhere}
		slices.Sort(keys)
		if err := p.Paged(SyncReply{Entries: []Entry{e(keys[0]), e(keys[1]), e(keys[2])}}); err != nil {
			t.Fatal(err)
		}
		if err := p.Compared(make([]Version, 3)); err != nil {
			t.Fatal(err)
		}
		p.Next()
		if err := p.Fetched(r); !errors.Is(err, ErrBadPeer) {
			t.Errorf("fetch %s: %v", name, err)
		}
	}
	// Answers that were not asked for.
	p := NewPull(0, 1, Fingerprint{}, "")
	if p.Compared(nil) == nil || p.Fetched(FetchReply{}) == nil {
		t.Error("takes what it did not ask for")
	}
}

func TestFingerprint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := fakeShard{}
		var f Fingerprint
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			full := fmt.Sprintf("n/%d", rapid.IntRange(0, 5).Draw(t, "key"))
			v := Version{Clock: rapid.Uint64Range(0, 3).Draw(t, "clock")}
			ns, key := SplitKey(full)
			f = f.Replace([]byte(ns), []byte(key), s.version(full), v)
			if v.IsZero() {
				delete(s, full)
			} else {
				s.put(full, v)
			}
		}
		if f != s.fingerprint() {
			t.Fatalf("kept current %v, computed %v", f, s.fingerprint())
		}
	})
	v := Version{Clock: 1}
	if FingerprintOf([]byte("a"), []byte("bc"), v) == FingerprintOf([]byte("ab"), []byte("c"), v) {
		t.Error("the split does not matter")
	}
	want := Fingerprint{Hi: 0x767e678bdf66d9a7, Lo: 0x7d1e1cfdf03bd9e8, Count: 1}
	if got := FingerprintOf([]byte("ns"), []byte("k"), v); got != want {
		t.Errorf("peers compare fingerprints: got %x, want %x", got, want)
	}
}

func BenchmarkFingerprintReplace(b *testing.B) {
	ns, key := []byte("photos"), []byte("1234567890")
	var f Fingerprint
	v := Version{Clock: 1}
	for b.Loop() {
		next := Version{Clock: v.Clock + 1}
		f = f.Replace(ns, key, v, next)
		v = next
	}
}
