package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Paging through a scan yields what merging all that the replicas of any quorum
// hold would: each key once, in order, at its newest version.
func TestScanAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Epoch: 1, Voters: vs("abc")}
		if rapid.Bool().Draw(t, "joint") {
			c.Next = vs("bcde")
		}
		replicas := make([]fakeShard, len(c.Members()))
		for i := range replicas {
			replicas[i] = fakeShard{}
		}
		newest := map[string]Version{}
		tally := NewTally(c, LevelQuorum)
		for n := range rapid.IntRange(0, 40).Draw(t, "writes") {
			full := fmt.Sprintf("%s/%d", rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "ns"), rapid.IntRange(0, 12).Draw(t, "key"))
			v := Version{Clock: uint64(n + 1)}
			to := Set(rapid.Uint64Range(0, 1<<len(replicas)-1).Draw(t, "stored at"))
			if !tally.Reached(to) {
				to = tally.Members() // strict writes only: they must all show
			}
			for i := range to.All() {
				replicas[i].put(full, v)
			}
			newest[full] = v
		}
		prefix := rapid.SampledFrom([]string{"", "a", "a/", "b/1", "zz"}).Draw(t, "prefix")
		limit := rapid.IntRange(1, 7).Draw(t, "limit")
		var got []string
		after := ""
		for pages := 0; ; pages++ {
			if pages > 100 {
				t.Fatal("no end")
			}
			var op Scan
			req := ScanRequest{Prefix: prefix, After: after, Limit: limit}
			st := op.Start(c, LevelQuorum, req, func(v Voter) int { return int(v.Peer[0]) * pages % 3 })
			queue := post(nil, &op.Quorum, st)
			for st.Outcome == Running {
				f := queue[0]
				queue = queue[1:]
				if rapid.IntRange(0, 7).Draw(t, "fails") == 0 && op.Missing().Len() < 2 {
					st = op.Fail(f.round, f.i)
				} else {
					st = op.Reply(f.round, f.i, replicas[f.i].scan(req, rapid.IntRange(1, limit).Draw(t, "page")))
				}
				queue = post(queue, &op.Quorum, st)
			}
			if st.Outcome != Done {
				t.Skip()
			}
			page, more := op.Result()
			if len(page) > limit || more && len(page) == 0 {
				t.Fatalf("page of %d, more %v", len(page), more)
			}
			for _, e := range page {
				if e.Version != newest[e.Key] {
					t.Fatalf("%s at %v, newest is %v", e.Key, e.Version, newest[e.Key])
				}
				got = append(got, e.Key)
				after = e.Key
			}
			if !more {
				break
			}
		}
		var want []string
		for full := range newest {
			if strings.HasPrefix(full, prefix) {
				want = append(want, full)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// scan serves a page, of fewer entries than the limit where it likes.
func (s fakeShard) scan(req ScanRequest, most int) (r ScanReply) {
	for _, k := range s.keysAfter(req.After) {
		if !strings.HasPrefix(k, req.Prefix) {
			continue
		}
		if len(r.Entries) == most {
			r.More = true
			return r
		}
		r.Entries = append(r.Entries, Entry{Key: k, Version: s.version(k)})
	}
	return r
}

func TestScanRefusesLies(t *testing.T) {
	e := func(k string) Entry { return Entry{Key: k, Version: Version{Clock: 2}} }
	for name, r := range map[string]ScanReply{
		"out of order": {Entries: []Entry{e("n/c"), e("n/b")}},
		"other prefix": {Entries: []Entry{e("o/c")}},
		"before after": {Entries: []Entry{e("n/a")}},
		"no version":   {Entries: []Entry{{Key: "n/b"}}},
		"too many":     {Entries: []Entry{e("n/b"), e("n/c"), e("n/d")}},
		"endless":      {More: true},
	} {
		var op Scan
		st := op.Start(Config{Epoch: 1, Voters: vs("a")}, LevelQuorum, ScanRequest{Prefix: "n/", After: "n/a", Limit: 2}, nil)
		if st = op.Reply(st.Round, 0, r); st.Outcome != Failed {
			t.Errorf("%s: outcome %d", name, st.Outcome)
		}
	}
}
