package overlay

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite golden files")

// TestRegistry pins what other peers may call: numbers, names, roles and limits
// are part of the protocol.
func TestRegistry(t *testing.T) {
	var b strings.Builder
	for _, l := range (&Node{door: new(door)}).registry().List() {
		fmt.Fprintf(&b, "%3d %-20s %-8s %7d\n", l.Method, l.Name, l.Role, l.MaxBytes)
	}
	const golden = "testdata/registry.txt"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("registry (-want +got):\n%s", diff)
	}
}
