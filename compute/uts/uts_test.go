package uts

import (
	"context"
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
