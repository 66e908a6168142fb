package bootstrap

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/chord"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of testdata anew; then read the diff")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// seeded returns a stream of bytes that is the same in every run.
func seeded(n int) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}) }

// testID returns the n-th of a fixed series of peer IDs.
func testID(t testing.TB, n int) peer.ID {
	t.Helper()
	key, err := NewIdentity(seeded(n))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func contact(t testing.TB, n int, addrs ...string) Contact {
	t.Helper()
	return Contact{ID: chord.PeerID(testID(t, n)), Addrs: addrs}
}

// wantCode fails unless err is an Error of the code, with a message that
// contains each of the parts, and a fix.
func wantCode(t *testing.T, err error, code string, parts ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
	if e.Fix == "" {
		t.Errorf("%v: no fix", err)
	}
	for _, part := range parts {
		if !bytes.Contains([]byte(e.Error()+"\n"+e.Fix), []byte(part)) {
			t.Errorf("error %q, fix %q: want %q in it", e, e.Fix, part)
		}
	}
}
