package store

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var mutantSearch = flag.Uint64("mutants.search", 0,
	"look through so many seeds for one at which each broken rule shows, and rewrite testdata/mutants-*.txt")

// catches demands that a model notices each broken rule, at the seed that
// testdata/mutants-MODEL.txt has for it. A change of what the model does may move
// that seed: -mutants.search finds another.
func catches(t *testing.T, model string, run func(seed uint64, m mutant) error, mutants ...mutant) {
	t.Helper()
	file := filepath.Join("testdata", "mutants-"+model+".txt")
	if *mutantSearch > 0 {
		searchMutants(t, file, run, mutants)
		return
	}
	seeds := readSeeds(t, file)
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(string(m), " ", "-"), func(t *testing.T) {
			seed, ok := seeds[m]
			if !ok {
				t.Fatalf("%s has no seed for it", file)
			}
			if run(seed, m) == nil {
				t.Errorf("not noticed at seed %d; go test ./store -run '%s$' -timeout 0 -mutants.search=10000 looks for another",
					seed, strings.Split(t.Name(), "/")[0])
			}
		})
	}
}

// readSeeds reads lines of a seed, a tab and the mutant that shows there.
func readSeeds(t *testing.T, file string) map[mutant]uint64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	seeds := make(map[mutant]uint64)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var seed uint64
		number, name, _ := strings.Cut(lines.Text(), "\t")
		if _, err := fmt.Sscan(number, &seed); err != nil {
			t.Fatalf("%s: %q: %v", file, lines.Text(), err)
		}
		seeds[mutant(name)] = seed
	}
	return seeds
}

// searchMutants writes the first seed at which each mutant shows.
func searchMutants(t *testing.T, file string, run func(seed uint64, m mutant) error, mutants []mutant) {
	t.Helper()
	var b strings.Builder
	for _, m := range mutants {
		seed := uint64(1)
		for ; seed <= *mutantSearch && run(seed, m) == nil; seed++ {
		}
		if seed > *mutantSearch {
			t.Errorf("%s: not noticed at any of %d seeds", m, *mutantSearch)
			continue
		}
		t.Logf("%s: seed %d", m, seed)
		fmt.Fprintf(&b, "%d\t%s\n", seed, m)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
