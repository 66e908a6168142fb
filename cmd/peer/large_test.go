package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// Large values between processes: a put and a get that go on after they were
// interrupted, a range, a voter that dies, and what is refused.
func TestLargeValues(t *testing.T) {
	peers := startPeers(t, "ada", "bob", "eve")
	ada, bob, eve := peers[0], peers[1], peers[2]
	dir := t.TempDir()
	value := make([]byte, 12<<20+5)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(value); err != nil {
		t.Fatal(err)
	}
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	writeTestFile(t, in, string(value))

	var receipt client.Receipt
	ada.during(interrupt, "put", "big", "--file", in)
	ada.doc(&receipt, "put", "big", "--file", in)
	if receipt.Bytes != int64(len(value)) || receipt.Chunks != 49 || len(receipt.Acks) < receipt.W {
		t.Errorf("receipt %+v", receipt)
	}
	ada.doc(&receipt, "put", "big", "--file", in)
	if receipt.Reused != 49 {
		t.Errorf("a put of what is there stored %d of 49 chunks anew", 49-receipt.Reused)
	}

	// A download that ended half-way, in the middle of a chunk and with one chunk
	// that is damaged.
	half := bytes.Clone(value[:7<<20+1000])
	half[5<<20] ^= 1
	writeTestFile(t, out+".part", string(half))
	r := bob.run("get", "big", "--file", out)
	if r.code != 0 || !strings.Contains(r.err, "5.0 MiB of it there already") {
		t.Errorf("%s: exit %d, %s", r.line, r.code, r.err)
	}
	sameFile(t, out, value)

	if got := bob.ok("get", "big", "--offset", "-10", "--length", "4"); got != string(value[len(value)-10:len(value)-6]) {
		t.Errorf("a range from the end: %x", got)
	}
	if got := bob.ok("get", "big", "--offset", "300000", "--length", "700000"); got != string(value[300000:1000000]) {
		t.Errorf("a range of several chunks: %d bytes", len(got))
	}
	var record client.Record
	bob.doc(&record, "get", "big", "--length", "3")
	if !bytes.Equal(record.Value, value[:3]) || record.Size != int64(len(value)) || !record.Large {
		t.Errorf("as JSON: %d of %d bytes", len(record.Value), record.Size)
	}

	eve.signal(syscall.SIGKILL)
	if got := bob.ok("get", "big"); got != string(value) {
		t.Errorf("after a kill: %d bytes", len(got))
	}
	ada.in = string(value)
	ada.doc(&receipt, "put", "from-stdin", "-")
	if receipt.Chunks != 49 {
		t.Errorf("standard input: %+v", receipt)
	}
	if got := bob.ok("get", "from-stdin"); got != string(value) {
		t.Errorf("standard input: %d bytes", len(got))
	}
	if keys := bob.ok("ls"); keys != "big\nfrom-stdin\n" {
		t.Errorf("keys %q", keys)
	}

	ada.run("put", "k", "--file", dir).fails(client.CodeNoFile, "is a directory")
	bob.run("get", "big", "--file", filepath.Join(dir, "none", "x")).fails(client.CodeNoFile, "no such file")
	sparse := filepath.Join(dir, "sparse")
	writeTestFile(t, sparse, "")
	if err := os.Truncate(sparse, 65<<20); err != nil {
		t.Fatal(err)
	}
	ada.in = ""
	ada.ok("put", "zeros", "--file", sparse)
	r = bob.run("get", "zeros", "-o", "json")
	if meet(client.CodeValueTooLarge); r.code != 2 || !strings.Contains(r.err, "value-too-large") || !strings.Contains(r.err, "peer get zeros --file F") {
		t.Errorf("%s: exit %d, %s", r.line, r.code, r.err)
	}
	meet(client.CodeValueDamaged) // by damaged replicas, in package overlay
}

func sameFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes of %d, %v", filepath.Base(path), len(got), len(want), err)
	}
	if _, err := os.Stat(path + ".part"); err == nil {
		t.Errorf("%s.part is left", filepath.Base(path))
	}
}

func TestProgressBar(t *testing.T) {
	began := time.Unix(0, 0)
	b := &progressBar{what: "put k", of: 4 << 30, done: 1 << 30, began: began}
	const want = "put k  [=======                       ]  25%  1.0 GiB of 4.0 GiB  102.4 MiB/s  30s left"
	if got := b.line(began.Add(10 * time.Second)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	b = &progressBar{what: "put k", done: 100, began: began}
	if got := b.line(began.Add(time.Second)); got != "put k  100 B  100 B/s" {
		t.Errorf("of unknown size: %q", got)
	}
}

// What shows progress on a terminal says nothing anywhere else.
func TestProgressIsForTerminals(t *testing.T) {
	peers := startPeers(t, "ada")
	in := filepath.Join(t.TempDir(), "in")
	writeTestFile(t, in, strings.Repeat("x", 1<<20))
	if r := peers[0].run("put", "k", "--file", in); r.err != "" || r.code != 0 {
		t.Errorf("standard error is no terminal: %q", r.err)
	}
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("no program here makes a terminal")
	}
	line := fmt.Sprintf("%s put k2 --file %s --home %s", binary, in, peers[0].home)
	shown, err := exec.Command("script", "-qec", line, "/dev/null").CombinedOutput()
	if err != nil || !strings.Contains(string(shown), "% ") || !strings.Contains(string(shown), "stored k2") {
		t.Errorf("%v: a terminal shows %q", err, shown)
	}
}
