package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// twinTree is a Tree without its nodes.
type twinTree map[uint64]uint64

func (t twinTree) below(p Prefix) (items []Item, sum uint64) {
	for _, path := range slices.Sorted(maps.Keys(t)) {
		if p.Has(path) {
			items = append(items, Item{path, t[path]})
			sum += t[path]
		}
	}
	return items, sum
}

// check compares a node, and those below it, with what they should say.
func (t twinTree) check(tree *Tree, p Prefix) error {
	items, sum := t.below(p)
	n := tree.Node(p)
	if err := n.check(p); err != nil {
		return fmt.Errorf("node %x: %w", p, err)
	}
	if got := tree.sum(p); got != sum {
		return fmt.Errorf("sum of node %x is %x, want %x", p, got, sum)
	}
	if n.Sums == nil {
		if !slices.Equal(n.Items, items) {
			return fmt.Errorf("items of node %x are %x, want %x", p, n.Items, items)
		}
		return nil
	}
	if len(items) <= TreeLeaf {
		return fmt.Errorf("node %x of %d items is told by sums", p, len(items))
	}
	for i, sum := range n.Sums {
		if _, want := t.below(p.child(i)); sum != want {
			return fmt.Errorf("sum %d of node %x is %x, want %x", i, p, sum, want)
		}
		if err := t.check(tree, p.child(i)); err != nil {
			return err
		}
	}
	return nil
}

// Whatever is put and removed, a tree says what a sorted list would. Paths share
// long prefixes, so that the tree grows deep.
func TestTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, twin := new(Tree), twinTree{}
		paths := rapid.Custom(func(t *rapid.T) uint64 {
			low := rapid.Uint64Range(0, 60).Draw(t, "low")
			return rapid.SampledFrom([]uint64{low, low << 60, low<<56 | 7, ^low, 0xabc<<52 | low<<4}).Draw(t, "path")
		})
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(0, 150).Draw(t, "puts") {
				it := Item{paths.Draw(t, "path"), rapid.Uint64Range(1, 9).Draw(t, "sum")}
				tree.Put(it)
				twin[it.Path] = it.Sum
			}
			for range rapid.IntRange(0, 100).Draw(t, "removals") {
				path := paths.Draw(t, "path")
				tree.Remove(path)
				delete(twin, path)
			}
			if err := twin.check(tree, 0); err != nil || tree.Len() != len(twin) {
				t.Fatalf("%d items, want %d: %v", tree.Len(), len(twin), err)
			}
		}
	})
}

func TestPrefixValid(t *testing.T) {
	for p, want := range map[Prefix]bool{
		0: true, 0xf0: false, 1: true, 0xf000000000000001: true, 0xf100000000000001: false,
		0x1234_5678_9abc_defe: false, 0x1234_5678_9abc_deff: true, 0x1234_5678_9abc_de0e: true,
	} {
		if p.Valid() != want {
			t.Errorf("Prefix(%x).Valid() is %t", uint64(p), !want)
		}
	}
	if p := Prefix(0).child(15).child(0).child(3); p != 0xf030000000000003 || p.Has(0xf03abc) || !p.Has(0xf03abc<<40) {
		t.Errorf("child is %x", p)
	}
}

// compare runs a Diff between two trees; it returns how many round trips and
// about how many bytes it took.
func compare(t interface{ Fatal(...any) }, mine, theirs *Tree) (d *Diff, trips, bytes int) {
	d = NewDiff()
	for ; len(d.Next()) > 0; trips++ {
		var nodes []Node
		for _, p := range d.Next() {
			n := theirs.Node(p)
			bytes += 8 + 8*len(n.Sums) + 16*len(n.Items)
			nodes = append(nodes, n)
		}
		if err := d.Answered(mine, nodes); err != nil {
			t.Fatal(err)
		}
	}
	return d, trips, bytes
}

// A comparison names just the items of the source that are not held.
func TestDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		mine, theirs, want := new(Tree), new(Tree), []uint64(nil)
		for range rapid.IntRange(0, 3000).Draw(t, "items") {
			it := Item{rng.Uint64(), rng.Uint64()}
			switch rng.IntN(40) {
			case 0:
				mine.Put(it)
			case 1:
				theirs.Put(it)
				want = append(want, it.Path)
			case 2:
				theirs.Put(it)
				want = append(want, it.Path)
				it.Sum++
				mine.Put(it)
			default:
				mine.Put(it)
				theirs.Put(it)
			}
		}
		d, _, _ := compare(t, mine, theirs)
		slices.Sort(want)
		if got := slices.Sorted(slices.Values(d.Paths())); !slices.Equal(got, want) || d.Many() {
			t.Fatalf("%d paths, want %d", len(got), len(want))
		}
	})
}

// The cost follows the difference, and one that is too large is given up early.
func TestDiffCost(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	mine, theirs, other := new(Tree), new(Tree), new(Tree)
	for i := range 100_000 {
		it := Item{rng.Uint64(), rng.Uint64()}
		theirs.Put(it)
		other.Put(Item{it.Path, it.Sum + 1})
		if i >= 100 {
			mine.Put(it)
		}
	}
	d, trips, bytes := compare(t, mine, theirs)
	t.Logf("100 of 100,000: %d round trips, %d bytes", trips, bytes)
	if len(d.Paths()) != 100 || bytes > 100<<10 || trips > 5 {
		t.Errorf("%d paths by %d round trips and %d bytes", len(d.Paths()), trips, bytes)
	}
	d, _, bytes = compare(t, other, theirs)
	if !d.Many() || bytes > 300<<10 {
		t.Errorf("all of 100,000: many is %t, %d bytes", d.Many(), bytes)
	}
}

// What no correct peer answers is an error.
func TestDiffRefuses(t *testing.T) {
	items := make([]Item, 2*TreeLeaf+1)
	for i := range items {
		items[i].Path = uint64(i)
	}
	for name, nodes := range map[string][]Node{
		"no node":       {},
		"two nodes":     {{}, {}},
		"too few sums":  {{Sums: make([]uint64, TreeFan-1)}},
		"sums, items":   {{Sums: make([]uint64, TreeFan), Items: items[:1]}},
		"too many":      {{Items: items}},
		"wrong order":   {{Items: []Item{items[1], items[0]}}},
		"repeated item": {{Items: []Item{items[1], items[1]}}},
	} {
		if err := NewDiff().Answered(new(Tree), nodes); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	d := NewDiff()
	if err := d.Answered(new(Tree), []Node{{Sums: append([]uint64{1}, make([]uint64, TreeFan-1)...)}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Answered(new(Tree), []Node{{Items: []Item{{Path: ^uint64(0), Sum: 1}}}}); err == nil {
		t.Error("an item of another node: no error")
	}
}
