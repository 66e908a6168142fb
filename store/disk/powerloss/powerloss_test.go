package powerloss

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

var (
	losses = flag.Int("losses", 6, "how often the power is lost, for each engine")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of when it is lost, and what reaches the disk")
)

// childEnv makes the test binary the process that writes: its value is
// "<engine> <synced or unsynced> <folder>".
const childEnv = "CHORUS_POWERLOSS_CHILD"

func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		child(strings.SplitN(arg, " ", 3))
		return
	}
	os.Exit(m.Run())
}

const writers = 8

// child writes records and registers, and prints what was acknowledged, for as
// long as its disk has power.
func child(arg []string) {
	s, err := disk.Open(context.Background(), arg[2], disk.Options{Engine: disk.Engine(arg[0]), NoSync: arg[1] == "unsynced"})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var mu sync.Mutex // of the output: a line is whole
	say := func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	}
	for w := range writers {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d/%d", os.Getpid(), w, i)
				if err := put(s, key, value(key)); err != nil {
					continue // the power is gone
				}
				say("put", key)
				if err := s.SaveRegister(context.Background(), store.ShardID(w), []byte(key)); err == nil {
					say("register", w, key)
				}
			}
		}()
	}
	select {}
}

// value returns the value of a key: some are long, so that logs and tables come
// and go.
func value(key string) []byte {
	n := 100
	for _, c := range key {
		n = (n*31 + int(c)) % 60_000
	}
	if n%8 > 0 {
		n %= 2000
	}
	return bytes.Repeat([]byte(key+"."), 1+n/(len(key)+1))
}

func place(key string) (store.Record, store.ShardID) {
	ns, name := store.SplitKey(key)
	r := store.Record{Namespace: ns, Key: name, Position: store.Route(ns, name), Version: store.Version{Clock: 1, Writer: 1}}
	return r, store.Shard(r.Position, 256)
}

func put(s *disk.Store, key string, value []byte) error {
	r, shard := place(key)
	r.Value = value
	_, err := s.Apply(context.Background(), shard, r.AppendTo(nil))
	return err
}

// rig is one engine's life: its disk after the last loss, and what was
// acknowledged in all of it.
type rig struct {
	t         *testing.T
	rng       *rand.Rand
	engine    disk.Engine
	sync      string
	folder    string
	records   map[string]bool
	registers map[int]string
	syncs     int
}

func newRig(t *testing.T, engine disk.Engine, sync string) *rig {
	return &rig{
		t: t, rng: rand.New(rand.NewPCG(*seed, 0)), engine: engine, sync: sync, folder: t.TempDir(),
		records: make(map[string]bool), registers: make(map[int]string),
	}
}

// lose runs a child on the disk and takes the power away at some moment. What
// stood on the disk is in r.folder afterwards.
func (r *rig) lose() {
	t := r.t
	d, err := NewDisk(r.folder)
	if err != nil {
		t.Fatal(err)
	}
	mounted := t.TempDir()
	server, err := d.Mount(mounted)
	if err != nil {
		t.Skipf("skipped: cannot mount a FUSE file system here: %v", err)
	}
	defer func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", childEnv, r.engine, r.sync, filepath.Join(mounted, "store")))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cut := time.AfterFunc(time.Duration(50+r.rng.IntN(1000))*time.Millisecond, func() {
		d.Cut()
		cmd.Process.Kill()
	})
	defer cut.Stop()
	r.listen(out)
	cmd.Wait()
	r.syncs += d.Syncs()
	if err := os.RemoveAll(r.folder); err != nil { // or many losses fill the disk of this machine
		t.Fatal(err)
	}
	r.folder = t.TempDir()
	keep := func() bool { return r.rng.IntN(2) == 0 }
	if r.rng.IntN(2) == 0 {
		keep = never
	}
	if err := d.Restore(r.folder, keep); err != nil {
		t.Fatal(err)
	}
}

// listen notes what a child says until it has ended.
func (r *rig) listen(out interface{ Read([]byte) (int, error) }) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 2 && words[0] == "put":
			r.records[words[1]] = true
		case len(words) == 3 && words[0] == "register":
			w, _ := strconv.Atoi(words[1])
			r.registers[w] = words[2]
		case strings.HasPrefix(lines.Text(), "error ") && strings.Contains(lines.Text(), "input/output error"):
			// the power went while it opened
		default:
			r.t.Fatalf("child said %q", lines.Text())
		}
	}
}

// lost opens the disk and returns what was acknowledged and is not there.
func (r *rig) lost() (missing []string) {
	s, err := disk.Open(r.t.Context(), filepath.Join(r.folder, "store"), disk.Options{Engine: r.engine})
	if err != nil {
		return []string{"everything: " + err.Error()}
	}
	defer s.Close()
	for key := range r.records {
		want, shard := place(key)
		got, found, err := s.Get(shard, want.Namespace, want.Key)
		if err != nil || !found || !bytes.Equal(got.Value, value(key)) {
			missing = append(missing, fmt.Sprintf("%s: %v %v", key, found, err))
		}
	}
	registers, err := s.LoadRegisters()
	if err != nil {
		return append(missing, "registers: "+err.Error())
	}
	for _, saved := range registers {
		r.newest(int(saved.Shard), string(saved.State))
	}
	for w, want := range r.registers {
		if want != "" {
			missing = append(missing, fmt.Sprintf("register %d at %s", w, want))
		}
	}
	clear(r.registers)
	return missing
}

// newest ticks a register off that is as it was acknowledged, or newer.
func (r *rig) newest(w int, state string) {
	pid, i := life(state)
	wantPID, want := life(r.registers[w])
	if pid != wantPID || i >= want {
		delete(r.registers, w) // of a later life none may have been acknowledged
	}
}

func life(key string) (pid, i int) {
	fmt.Sscanf(strings.ReplaceAll(key, "/", " "), "%d %d %d", &pid, new(int), &i)
	return pid, i
}

// What was acknowledged is there after every loss of power.
func TestPowerLoss(t *testing.T) {
	for _, engine := range []disk.Engine{disk.Badger4, disk.Badger} {
		t.Run(string(engine), func(t *testing.T) {
			r := newRig(t, engine, "synced")
			for i := range *losses {
				r.lose()
				if missing := r.lost(); len(missing) > 0 {
					t.Fatalf("seed %d, loss %d: %d of %d records and registers are lost:\n%.2000s",
						*seed, i, len(missing), len(r.records), strings.Join(missing, "\n"))
				}
			}
			t.Logf("%d records acknowledged, %d losses of power, %d syncs: 0 lost", len(r.records), *losses, r.syncs)
			if len(r.records) == 0 {
				t.Error("nothing was acknowledged")
			}
		})
	}
}

// The rig is not blind: a store that acknowledges before it has synced loses
// something.
func TestNoticesMissingSync(t *testing.T) {
	for _, engine := range []disk.Engine{disk.Badger4, disk.Badger} {
		t.Run(string(engine), func(t *testing.T) {
			r := newRig(t, engine, "unsynced")
			for range 20 {
				r.lose()
				if missing := r.lost(); len(missing) > 0 {
					t.Logf("%d of %d lost, as it should be", len(missing), len(r.records))
					return
				}
			}
			t.Errorf("seed %d: %d records were acknowledged without a sync, and all are there", *seed, len(r.records))
		})
	}
}
