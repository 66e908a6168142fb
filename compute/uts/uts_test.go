package uts

import (
	"context"
	"math"
	"strings"
	"testing"
)

// small trees, whose counts the reference implementation gives too.
var smallTrees = map[string]string{
	"T1": "4130071 nodes, depth 10, 3305118 leaves",
	"T3": "4112897 nodes, depth 1572, 3599034 leaves",
}

func TestSearch(t *testing.T) {
	if testing.Short() {
		t.Skip("searches millions of nodes")
	}
	for name, want := range smallTrees {
		got, err := Trees[name].Search(t.Context())
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", name, got, err, want)
		}
	}
}

// divide searches a part and all its parts in turn, and returns the joined
// output and the number of searches.
func divide(t *testing.T, input []byte) (out []byte, runs int) {
	t.Helper()
	out, parts, err := Work(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	runs = 1
	if len(parts) == 0 {
		return out, runs
	}
	var outs [][]byte
	for _, p := range parts {
		o, n := divide(t, p)
		outs = append(outs, o)
		runs += n
	}
	if out, err = Join(t.Context(), out, outs); err != nil {
		t.Fatal(err)
	}
	return out, runs
}

// TestDivided: however a tree is divided, the count is that of the whole.
func TestDivided(t *testing.T) {
	for _, tree := range []string{
		"t=1 a=3 d=6 b=4 r=19", "t=1 a=0 d=8 b=4 r=34", "t=1 a=1 d=8 b=3 r=5", "t=1 a=2 d=4 b=3 r=7",
		"t=0 b=500 q=0.12 m=8 r=42", "t=2 a=3 d=8 b=3 q=0.2 m=4 r=1", "t=0 b=20000 q=0 r=1",
	} {
		u, err := Parse(tree)
		if err != nil {
			t.Fatal(err)
		}
		want, err := u.Search(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, runs := divide(t, []byte(tree+" g=100"))
		if string(got) != want.String() || uint64(runs) < want.Nodes/200 {
			t.Errorf("%s: %s by %d searches, want %s", tree, got, runs, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "no tree is named",
		"T9":               `"T9"`,
		"t=1 d=x":          `"d=x"`,
		"t=3":              "type t=3",
		"T1 a=4":           "shape a=4",
		"T1 d=0":           "depth d=0",
		"T1 b=NaN":         "b=NaN",
		"T3 q=2":           "q=2",
		"T3 m=101":         "m=101",
		"T1 r=-1":          "seed r=-1",
		"T1 g=-5":          "grain g=-5",
		"T1 s=-5":          "start s=-5",
		"\x00T1":           "no nodes",
		"\x00T1\x00abc":    "3 bytes that are no nodes",
		"\x00T1 a=9\x00":   "shape a=9",
		"T1 T3":            `"T3"`,
		"t=1 a=3 d=1e9 b4": `"d=1e9"`,
	} {
		if _, _, err := Work(t.Context(), []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	if _, err := Join(t.Context(), []byte("1 nodes, depth 0, 1 leaves"), [][]byte{[]byte("many")}); err == nil {
		t.Error("joined what is no count")
	}
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Trees["T1XXL"].Search(ctx); err == nil {
		t.Error("went on after its context had ended")
	}
}

// TestText: a tree reads what it writes.
func TestText(t *testing.T) {
	for name, tree := range Trees {
		back, err := Parse(tree.String())
		if err != nil || back != tree {
			t.Errorf("%s: %v, %v", name, back, err)
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	u, _ := Parse("T1 d=7")
	var nodes uint64
	for b.Loop() {
		c, err := u.Search(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		nodes += c.Nodes
	}
	b.ReportMetric(float64(nodes)/b.Elapsed().Seconds(), "nodes/s")
}

// The first tasks are small, so that many peers have something to do soon, and what is
// left of the last ones is not divided into crumbs.
func TestTasksOfOneSize(t *testing.T) {
	const grain = 1 << 10
	level := [][]byte{[]byte("t=1 a=3 d=8 b=4 r=19 g=1024")}
	crumbs, tasks, limit := 0, 0, grain/64
	for depth := 0; len(level) > 0; depth++ {
		var next [][]byte
		for _, in := range level {
			out, parts, err := Work(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			c, err := ParseCount(string(out))
			if err != nil {
				t.Fatal(err)
			}
			if int(c.Nodes) > 2*limit || len(parts) > 0 && int(c.Nodes) < limit {
				t.Errorf("a task at depth %d searched %d nodes and left %d parts, its limit was %d", depth, c.Nodes, len(parts), limit)
			}
			if int(c.Nodes) < limit/4 {
				crumbs++
			}
			tasks++
			next = append(next, parts...)
		}
		level, limit = next, min(limit*3/2, grain)
	}
	if crumbs > tasks/6 {
		t.Errorf("%d of %d tasks searched next to nothing", crumbs, tasks)
	}
}

// What is expected of trees, beside the mean of many.
func TestExpect(t *testing.T) {
	for _, tree := range []string{
		"t=1 a=3 d=5 b=3", "t=1 a=0 d=6 b=3", "t=1 a=2 d=3 b=2", "t=0 b=4 q=0.1 m=5", "t=2 a=3 d=6 b=2 q=0.1 m=4",
	} {
		u, err := Parse(tree)
		if err != nil {
			t.Fatal(err)
		}
		const trees = 4000
		found, expected := 0.0, 0.0
		for seed := range trees {
			u.Seed = seed
			r := u.root()
			r.depth = 1 // the root of a binomial tree is unlike others
			c, _, err := u.search(t.Context(), []node{r}, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			found += float64(c.Nodes)
			expected += u.expect([]node{r})
		}
		if ratio := found / expected; ratio < 0.9 || ratio > 1.1 {
			t.Errorf("%s: %.1f nodes a tree, expected %.1f", tree, found/trees, expected/trees)
		}
	}
	for _, endless := range []string{"t=0 q=0.5 m=2", "t=1 a=3 d=5000"} {
		u, err := Parse(endless)
		if err != nil {
			t.Fatal(err)
		}
		if n := u.expect([]node{u.root()}); !math.IsInf(n, 1) {
			t.Errorf("%s: expects %v nodes", endless, n)
		}
	}
}
