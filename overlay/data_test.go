package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// damageTest is a ring of three whose last peer has a home, and records whose
// values are to be found in its files.
type damageTest struct {
	t     *testing.T
	cfg   Config
	nodes []*Node
}

func newDamageTest(t *testing.T, engine string) *damageTest {
	d := &damageTest{t: t, cfg: Config{ReplaceAfter: time.Second, RepairEvery: time.Hour}}
	d.nodes = []*Node{joinTest(t, nil, d.cfg)}
	d.nodes = append(d.nodes, joinTest(t, d.nodes[0], d.cfg))
	d.cfg.Home, d.cfg.Engine = t.TempDir(), engine
	d.nodes = append(d.nodes, joinTest(t, d.nodes[0], d.cfg))
	d.alike("three replicas")
	for i := range 50 {
		if _, err := d.nodes[0].Put(t.Context(), damageKey(i), damageValue(i)); err != nil {
			t.Fatal(err)
		}
	}
	d.alike("three replicas of the keys")
	return d
}

func damageKey(i int) string   { return fmt.Sprintf("k/%d", i) }
func damageValue(i int) []byte { return fmt.Appendf(nil, "the value of key number %d.", i) }

func (d *damageTest) last() *Node { return d.nodes[2] }

func (d *damageTest) alike(what string) {
	d.t.Helper()
	soon(d.t, what, func() error { return alike(d.nodes, 3) })
}

// restart closes the last peer, has something done to its data, and starts it
// again.
func (d *damageTest) restart(what func(dir string)) {
	d.t.Helper()
	if err := d.last().Close(); err != nil {
		d.t.Fatal(err)
	}
	what(filepath.Join(d.cfg.Home, bootstrap.DataDir))
	d.nodes[2] = joinTest(d.t, d.nodes[0], d.cfg)
}

// flip changes a bit in the middle of the value of a key, in all files that hold
// it.
func (d *damageTest) flip(dir string, key int) {
	d.t.Helper()
	flipped := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := bytes.Index(b, damageValue(key))
		if at < 0 {
			return nil
		}
		flipped++
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte{b[at+5] ^ 1}, int64(at+5))
		return errors.Join(err, f.Close())
	})
	if err != nil || flipped == 0 {
		d.t.Fatalf("flip a bit of key %d: in %d files, %v", key, flipped, err)
	}
}

// held checks that the last peer itself has every key.
func (d *damageTest) held() error {
	for i := range 50 {
		ns, name := store.SplitKey(damageKey(i))
		r, found, err := d.last().disk.Get(store.Shard(store.Route(ns, name), 16), ns, name)
		if err != nil || !found || !bytes.Equal(r.Value, damageValue(i)) {
			return fmt.Errorf("%s: %q, %v, %w", damageKey(i), r.Value, found, err)
		}
	}
	return nil
}

// A bit that flips while a peer is down is found when it starts: its data is set
// aside, and it gets everything from the others.
func TestFlippedWhileDown(t *testing.T) {
	for _, engine := range []string{"badger4", "badger"} {
		t.Run(engine, func(t *testing.T) {
			d := newDamageTest(t, engine)
			was := d.last().self.Incarnation
			d.restart(func(dir string) { d.flip(dir, 7) })
			if d.last().self.Incarnation == was {
				t.Error("the peer starts as the voter that it was, without its data")
			}
			d.alike("refilled")
			if err := d.held(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(d.cfg.Home, bootstrap.DataDir+damagedSuffix)); err != nil {
				t.Error(err)
			}
		})
	}
}

// A bit that flips under a running peer is found by a read, which another
// replica answers, and the record is put right.
func TestFlippedWhileUp(t *testing.T) {
	d := newDamageTest(t, "badger4")
	d.restart(func(string) {}) // which brings the records into tables
	d.alike("restarted")
	d.flip(filepath.Join(d.cfg.Home, bootstrap.DataDir), 7)
	if err := d.held(); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatalf("the damaged record: %v", err)
	}
	r, err := d.last().Get(t.Context(), damageKey(7), WithR(One))
	if err != nil || !bytes.Equal(r.Value, damageValue(7)) {
		t.Errorf("get at the damaged replica: %q, %v", r.Value, err)
	}
	soon(t, "put right", d.held)
}

// A damaged record that nobody can be asked for is put right later, and counts as one that lacks
// a copy until then.
func TestFlippedWhileAlone(t *testing.T) {
	d := newDamageTest(t, "badger4")
	d.restart(func(string) {})
	d.alike("restarted")
	others := func(up bool) {
		for _, n := range d.nodes[:2] {
			n.up.Store(up)
		}
	}
	lacking := func() int {
		_, under := d.last().countKeys()
		return under
	}
	soon(t, "all have their copies", func() error {
		if n := lacking(); n > 0 {
			return fmt.Errorf("%d lack one", n)
		}
		return nil
	})
	others(false)
	defer others(true) // for the ring
	d.flip(filepath.Join(d.cfg.Home, bootstrap.DataDir), 7)
	ns, name := store.SplitKey(damageKey(7))
	shard, p := store.Shard(store.Route(ns, name), 16), d.last().puller
	p.damage(shard)
	p.restoreDamaged(t.Context())
	if err := d.held(); !errors.Is(err, disk.ErrCorrupt) || !p.isDamaged(shard) || lacking() == 0 {
		t.Fatalf("with nobody to ask: %v; known as damaged: %t, %d keys lack a copy", err, p.isDamaged(shard), lacking())
	}
	others(true)
	p.kick()
	soon(t, "put right", func() error {
		if err := d.held(); err != nil || p.isDamaged(shard) || lacking() > 0 {
			return fmt.Errorf("%w; known as damaged: %t, %d keys lack a copy", err, p.isDamaged(shard), lacking())
		}
		return nil
	})
}

// With nobody to copy from, and with data set aside before, a peer with damaged
// data does not start, and says what to do.
func TestDamageNotHealed(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		cfg := Config{Home: t.TempDir()}
		n := joinTest(t, nil, cfg)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(cfg.Home, bootstrap.DataDir)
		if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
		_, err := Join(t.Context(), cfg)
		if codeOf(err) != string(client.CodeBadHome) {
			t.Errorf("join: %v", err)
		}
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("the only copy was moved: %v", err)
		}
	})
	t.Run("again", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), bootstrap.DataDir)
		for _, d := range []string{dir, dir + damagedSuffix} {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := setAside(dir); codeOf(err) != string(client.CodeBadHome) {
			t.Errorf("set aside: %v", err)
		}
	})
}
