package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store/disk/disktest"
)

var damages = flag.Int("damages", 3, "how often TestDamages harms the files of a peer")

// The files of one peer of five are harmed again and again, by a bit that flips or by a
// cut, while it is dead and others write and read: no acknowledged write is lost, no
// read is stale, and the peer has its keys again.
func TestDamages(t *testing.T) {
	if testing.Short() {
		t.Skip("kills many processes")
	}
	t.Parallel()
	x := newKilling(t, "anna", "bert", "carl", "dora", "emil")
	rng, victim := x.rng(), len(x.peers)-1
	stop := x.traffic(3, 2)
	setAside := 0
	for range *damages {
		p := x.peers[victim]
		p.signal(syscall.SIGKILL)
		data := filepath.Join(p.home, bootstrap.DataDir)
		t.Log(disktest.Harm(t, rng, data))
		x.forgive(p)
		x.peers[victim] = p.start()
		agreed(t, x.peers)
		x.repaired()
		if _, err := os.Stat(data + ".damaged"); err == nil {
			setAside++
			if err := os.RemoveAll(data + ".damaged"); err != nil { // as an operator would
				t.Fatal(err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	stop()
	x.repaired()
	x.readAll()
	for _, p := range x.peers {
		p.signal(syscall.SIGKILL)
		x.inspect(p)
	}
	t.Logf("%d damages, %d of them such that all was fetched anew", *damages, setAside)
	x.report()
}

// repaired waits until no peer knows of a key that lacks replicas.
func (x *killing) repaired() {
	x.t.Helper()
	var last client.Status
	eventually(x.t, patience, func() bool {
		for _, p := range x.peers {
			if p.doc(&last, "status"); last.UnderReplicated > 0 {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("%s has %d under-replicated keys", last.Name, last.UnderReplicated) })
}

// forgive drops what receipts say of a peer that loses its files.
func (x *killing) forgive(p *process) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.promised, x.ids[p.home])
}
