package store

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/chorus-net/chorus/chord"
)

func TestSplitKey(t *testing.T) {
	for _, tt := range []struct{ full, ns, key string }{
		{"k", "", "k"},
		{"ns/k", "ns", "k"},
		{"ns/a/b", "ns", "a/b"},
		{"ns/", "ns", ""},
		{"/k", "", "/k"},
		{"/a/b", "", "/a/b"},
		{"", "", ""},
	} {
		if ns, key := SplitKey(tt.full); ns != tt.ns || key != tt.key {
			t.Errorf("SplitKey(%q) = %q, %q", tt.full, ns, key)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		full := rapid.StringMatching(`[a/]{0,6}`).Draw(t, "full")
		ns, key := SplitKey(full)
		if JoinKey(ns, key) != full {
			t.Fatalf("%q splits into %q, %q", full, ns, key)
		}
		if err := CheckKey(ns, key); (err == nil) != (full != "") {
			t.Fatalf("CheckKey(%q, %q): %v", ns, key, err)
		}
	})
}

// Positions decide where data lies: they may not change.
func TestRouteGolden(t *testing.T) {
	for _, tt := range []struct{ ns, key, want string }{
		{"", "k", "df68379a349b2ade32b899535472e737748665b727038f7722e38d0e678e6780"},
		{"ns", "k", "a0af50a6b6950b99ddeca1a8d7fb9dee12c720d2255e53490367b52692348a2e"},
	} {
		if got := Route(tt.ns, tt.key).String(); got != tt.want {
			t.Errorf("Route(%q, %q) = %s, want %s", tt.ns, tt.key, got, tt.want)
		}
	}
	if Route("a", "bc") == Route("ab", "c") {
		t.Error("the split does not matter")
	}
}

func TestShard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 1 << rapid.IntRange(0, 16).Draw(t, "bits")
		if err := CheckShards(n); err != nil {
			t.Fatal(err)
		}
		var pos chord.ID
		copy(pos[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "position"))
		s := Shard(pos, n)
		// The twin: the shard whose arc of the circle holds the position.
		if int(s) >= n || pos.Less(ShardStart(s, n)) {
			t.Fatalf("%s is before the start of shard %d of %d", pos, s, n)
		}
		if next := int(s) + 1; next < n && !pos.Less(ShardStart(ShardID(next), n)) {
			t.Fatalf("%s is after the end of shard %d of %d", pos, s, n)
		}
	})
	for _, n := range []int{-1, 0, 3, MaxShards * 2} {
		if CheckShards(n) == nil {
			t.Errorf("%d shards pass", n)
		}
	}
}

func TestVersion(t *testing.T) {
	v := Version{Clock: 0x0123456789ab0001, Writer: 0xfeed}
	if got, want := v.String(), "0123456789ab0001-000000000000feed"; got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
	for _, s := range []string{"", "0123456789ab0001-000000000000FEED", "+123456789ab0001-000000000000feed", "0123456789ab0001000000000000feed-", "0123456789ab0001-000000000000feed0"} {
		if _, err := ParseVersion(s); err == nil {
			t.Errorf("ParseVersion(%q) passes", s)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Version {
			return Version{Clock: rapid.Uint64().Draw(t, name+" clock"), Writer: rapid.Uint64Range(0, 3).Draw(t, name+" writer")}
		}
		a, b := draw("a"), draw("b")
		if got, err := ParseVersion(a.String()); err != nil || got != a {
			t.Fatalf("%v reads as %v, %v", a, got, err)
		}
		if a.Compare(b) != -b.Compare(a) || (a.Compare(b) == 0) != (a == b) || a.Less(b) != (a.String() < b.String()) {
			t.Fatalf("%v and %v do not compare like their strings", a, b)
		}
	})
}

// Banks have the same shards under IDs of their own, as far as there are any.
func TestBanks(t *testing.T) {
	for n := 1; n <= MaxShards; n *= 2 {
		for bank := range MaxN + 2 {
			if err := CheckBank(bank, n); (err == nil) != (bank <= MaxN && (bank+1)*n <= MaxShards) {
				t.Fatalf("bank %d of %d shards: %v", bank, n, err)
			} else if err != nil {
				continue
			}
			for _, index := range []int{0, n / 3, n - 1} {
				s := ShardID(index).In(bank, n)
				if int(s) != bank*n+index || s.Bank(n) != bank || s.Index(n) != ShardID(index) || s.In(0, n) != ShardID(index) {
					t.Fatalf("shard %d of bank %d of %d: %d, bank %d, index %d", index, bank, n, s, s.Bank(n), s.Index(n))
				}
				if at := ShardStart(s, n); at != ShardStart(ShardID(index), n) || Shard(at, n) != ShardID(index) {
					t.Fatalf("shard %d of bank %d of %d starts at %v", index, bank, n, at)
				}
			}
		}
	}
}
