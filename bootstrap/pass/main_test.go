package pass

import (
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of testdata anew; then read the diff")

// golden compares got, in hex, with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	text := hex.EncodeToString(got) + "\n"
	if *rewrite {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ring = [32]byte{0: 0xa0, 31: 0x0a}
)

// who is a ring key or a peer of the tests.
type who struct {
	Key
	private ed25519.PrivateKey
}

// person returns the n-th of a fixed series.
func person(n byte) who {
	private := ed25519.NewKeyFromSeed(append(make([]byte, 31), n))
	return who{Key: Key(private.Public().(ed25519.PublicKey)), private: private}
}

func (w who) sign(m []byte) ([]byte, error) { return ed25519.Sign(w.private, m), nil }

// The people of the tests.
var (
	owner   = person(1) // the ring's key
	ada     = person(2) // an inviter
	bob     = person(3) // invited by ada
	mallory = person(4) // nobody
	second  = person(5) // the ring's next key
	third   = person(6)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func inviterOf(root, w who) Chain {
	return must(NewChain(ring, root.Key, Link{Key: w.Key, Right: Right{Member, true}, Issued: now.Add(-time.Hour)}, root.sign))
}

func invited(c Chain, by, w who, r Role) Chain {
	return must(c.Extend(ring, Link{Key: w.Key, Right: Right{Role: r}, Issued: now.Add(-time.Minute)}, by.sign))
}

func adas() Chain { return inviterOf(owner, ada) }
func bobs() Chain { return invited(adas(), ada, bob, Member) }

func apply(t testing.TB, a *Authority, list ...Decree) {
	t.Helper()
	for _, d := range list {
		if changed, err := a.Apply(d); err != nil || !changed {
			t.Fatalf("apply %+v: changed %v, %v", d, changed, err)
		}
	}
}
