package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/store"
)

// childEnv makes the test binary a child with a store: its value is
// "<engine> <folder> <what it does>".
const childEnv = "CHORUS_DISK_TEST_CHILD"

func child(arg string) {
	word := strings.SplitN(arg, " ", 3)
	s, err := Open(context.Background(), word[1], Options{Engine: Engine(word[0]), Shards: testShards})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open", s.Totals().Live)
	switch word[2] {
	case "writes":
		childWrites(s)
	case "closes":
		childCloses(s)
	}
}

// childCloses writes one record and closes when it is told to.
func childCloses(s *Store) {
	shard, b := record("child", 1, "value")
	_, err := s.Apply(context.Background(), shard, b)
	fmt.Println("put", err)
	os.Stdin.Read(make([]byte, 1))
	err = s.Close()
	fmt.Println("closed", errors.Is(err, ErrFull), err)
}

// childWrites writes records from eight goroutines, and the register of shard 0,
// and prints what was acknowledged, until it is killed.
func childWrites(s *Store) {
	var mu sync.Mutex // of the output: a line is whole
	for caller := range 8 {
		go func() {
			for i := 0; ; i++ {
				full := fmt.Sprintf("%d/%d/%d", os.Getpid(), caller, i)
				shard, b := record(full, 1, full+strings.Repeat(".", 100+i%2000))
				_, err := s.Apply(context.Background(), shard, b)
				if err != nil {
					fmt.Println("error", err)
				}
				if caller == 0 {
					err = s.SaveRegister(context.Background(), 0, []byte(strconv.Itoa(i)))
				}
				mu.Lock()
				if fmt.Println("put", full); err == nil && caller == 0 {
					fmt.Println("register", i)
				}
				mu.Unlock()
			}
		}()
	}
	select {}
}

// startChild runs a child and returns what it prints, and what it is told.
func startChild(t *testing.T, engine Engine, dir, does string) (*exec.Cmd, *bufio.Scanner, io.Writer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(engine)+" "+dir+" "+does)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "open ") {
		t.Fatalf("child said %q", lines.Text())
	}
	return cmd, lines, in
}

// What was acknowledged before kill -9 is there afterwards, kill after kill.
func TestKill(t *testing.T) { testKill(t, 3) }

func TestSoakKill(t *testing.T) {
	soak(t)
	testKill(t, 100)
}

func testKill(t *testing.T, rounds int) {
	for _, engine := range []Engine{Badger4, Badger} {
		t.Run(string(engine), func(t *testing.T) {
			h := &home{t: t, dir: t.TempDir(), o: Options{Engine: engine}}
			acknowledged := make(map[string]bool)
			for round := range rounds {
				cmd, lines, _ := startChild(t, engine, h.dir, "writes")
				register := -1
				kill := time.AfterFunc(time.Duration(100+50*(round%7))*time.Millisecond, func() {
					cmd.Process.Signal(syscall.SIGKILL)
				})
				for lines.Scan() {
					word, rest, _ := strings.Cut(lines.Text(), " ")
					switch word {
					case "put":
						acknowledged[rest] = true
					case "register":
						register, _ = strconv.Atoi(rest)
					default:
						t.Fatalf("child said %q", lines.Text())
					}
				}
				kill.Stop()
				cmd.Wait()

				s := h.open()
				for full := range acknowledged {
					ns, key := store.SplitKey(full)
					r, found, err := s.Get(store.Shard(store.Route(ns, key), testShards), ns, key)
					if err != nil || !found || !strings.HasPrefix(string(r.Value), full+".") {
						t.Fatalf("round %d: acknowledged %s: %v, %v", round, full, found, err)
					}
				}
				regs, err := s.LoadRegisters()
				if err != nil || register >= 0 && len(regs) != 1 {
					t.Fatalf("registers %v, %v", regs, err)
				}
				if register >= 0 {
					if n, err := strconv.Atoi(string(regs[0].State)); err != nil || n < register {
						t.Fatalf("register is at %d, acknowledged was %d: %v", n, register, err)
					}
				}
				checkTotals(t, s)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if len(acknowledged) == 0 {
				t.Fatal("the children wrote nothing")
			}
			t.Logf("%d records acknowledged in %d lives", len(acknowledged), rounds)
		})
	}
}

// A folder that another process holds names the process.
func TestLockedByProcess(t *testing.T) {
	h := &home{t: t, dir: t.TempDir(), o: Options{}}
	cmd, lines, _ := startChild(t, Badger4, h.dir, "writes")
	go func() {
		for lines.Scan() {
		}
	}()
	_, err := Open(t.Context(), h.dir, h.o)
	if want := fmt.Sprintf("process %d", cmd.Process.Pid); !isLocked(err) || !strings.Contains(err.Error(), want) {
		t.Fatalf("open: %v; want ErrLocked by %s", err, want)
	}
	cmd.Process.Kill()
	cmd.Wait()
	h.open()
}

// checkTotals compares what is kept current with what a count yields.
func checkTotals(t testing.TB, s *Store) {
	t.Helper()
	shards, err := countAll(s.engine)
	if err != nil {
		t.Fatal(err)
	}
	var sum Counts
	for i, want := range shards {
		shard := store.ShardID(i)
		if s.Fingerprint(shard) != want.print || s.Counts(shard) != want.counts {
			t.Fatalf("shard %d: kept %+v %+v, counted %+v %+v", i, s.Fingerprint(shard), s.Counts(shard), want.print, want.counts)
		}
		sum = sum.Plus(want.counts)
	}
	if s.Totals() != sum {
		t.Fatalf("kept %+v, counted %+v", s.Totals(), sum)
	}
}
