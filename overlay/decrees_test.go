package overlay

import (
	"testing"

	passes "github.com/chorus-net/chorus/bootstrap/pass"
)

// Whoever asks for decrees costs no more than the answer: the list and its digest are ready. Who tells
// of some takes turns at the processors with its other calls until they have to be kept.
func TestDecreesAreReady(t *testing.T) {
	n, err := inClosed(t, nil, func(c *Config) { c.Home, c.Engine = t.TempDir(), "memory" })
	if err != nil {
		t.Fatal(err)
	}
	d, waits := n.door, 0
	learn := func(list ...passes.Decree) {
		t.Helper()
		if _, err := d.learnFor(t.Context(), list, func() { waits++ }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		decree, err := d.revoke(passes.Key{byte(i + 1)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		learn(decree)
		learn(decree) // known
		learn()
		list, sum := d.decrees()
		if len(list) != i+1 || sum != d.authority.Digest() || sum != d.digest() {
			t.Fatalf("%d decrees of %d are ready, with another digest: %v", len(list), i+1, sum != d.authority.Digest())
		}
	}
	if waits != 20 {
		t.Errorf("20 new decrees waited %d times for the disk", waits)
	}
	if n := testing.AllocsPerRun(100, func() { d.decrees(); d.digest() }); n > 0 {
		t.Errorf("to ask for them takes %v allocations", n)
	}
}
