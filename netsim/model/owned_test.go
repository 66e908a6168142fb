package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// Liars deny, delay and replay what owners wrote, but forge nothing, even where they hold all
// replicas of a key; where readers check nothing they do.
func TestOwnedReads(t *testing.T) {
	run := func(check checkReply) *OwnedReport {
		t.Helper()
		rep, err := Run(t.Context(), Settings{
			Peers: 60, Seed: 1, Positions: 4, Formed: true, Wary: true, Liars: 0.2, Sybils: 20, Duration: 20 * time.Second, check: check,
		})
		if err != nil || rep.Owned == nil || rep.Owned.Beside == nil {
			t.Fatalf("%+v, %v", rep, err)
		}
		for _, r := range []OwnedReads{rep.Owned.Anywhere, *rep.Owned.Beside} {
			t.Logf("%+v", r)
			if r.N != 125 || r.ForgedOffered == 0 || r.Current == 0 || r.Current+r.Stale+r.Denied+r.Unavailable+r.ForgedAccepted != r.N {
				t.Errorf("%+v", r)
			}
		}
		return rep.Owned
	}
	o := run(nil)
	if o.Anywhere.ForgedAccepted != 0 || o.Beside.ForgedAccepted != 0 {
		t.Error("forged records are accepted")
	}
	if o.Beside.Captured == 0 || o.Beside.Current > o.Beside.N-o.Beside.Captured {
		t.Errorf("%d keys are read of which liars alone hold replicas, %d reads are of such", o.Beside.Current, o.Beside.Captured)
	}
	trusting := run(func([32]byte, string, store.ReadReply) error { return nil })
	if trusting.Anywhere.ForgedAccepted == 0 || trusting.Beside.ForgedAccepted == 0 {
		t.Error("readers that check nothing accept nothing forged: the test shows nothing")
	}
}

// Each kind of forged record is refused when all replicas show it; what the owner wrote is not.
func TestOwnedForgeries(t *testing.T) {
	x := &experiment{World: NewWorld(chord.Config{}, 1), s: Settings{Seed: 1}}
	v := newVault(x)
	keys, err := v.write(new(OwnedReads), false)
	if err != nil {
		t.Fatal(err)
	}
	c := store.Config{Epoch: 1}
	for range replicas {
		p := x.Add([]uint32{0})
		c.Voters = append(c.Voters, store.Voter{Peer: p.Record.ID, Incarnation: p.Record.Incarnation})
	}
	k := keys[0]
	all := func(record []byte) (got []byte, ok bool) {
		return v.quorum(k, c, func(*Peer) (store.ReadReply, bool) { return shown(record), true })
	}
	for _, good := range [][]byte{k.older, k.newest, nil} {
		if got, ok := all(good); !ok || string(got) != string(good) {
			t.Errorf("%q is read as %q, %v", good, got, ok)
		}
	}
	taken := 0
	for _, f := range k.forged {
		if got, ok := all(f.record); ok {
			t.Errorf("a record %s is read as %q", f.name, got)
		}
		v.check = func([32]byte, string, store.ReadReply) error { return nil }
		if _, ok := all(f.record); ok {
			taken++
		}
		v.check = store.CheckReply
	}
	if len(k.forged) != 9 || taken != 8 { // one of another key is refused anyhow
		t.Errorf("%d kinds of forged records, of which readers that check nothing take %d", len(k.forged), taken)
	}
}
