package overlay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/overlay/client"
)

// mute makes a peer take requests of its shards and answer none until the test ends, or
// speak is called.
func mute(t *testing.T, n *Node) (speak func()) {
	t.Helper()
	var muted []func()
	speak = sync.OnceFunc(func() {
		for _, f := range muted {
			f()
		}
	})
	t.Cleanup(speak)
	var all []*shard
	for id := range n.shards.all() {
		all = append(all, n.shards.at(id))
	}
	soon(t, "no shard changes", func() error { return takeAll(all) })
	for _, sh := range all {
		sh.mu.Lock()
		saved := sh.saved
		sh.saved = 0 // as if the disk were still at it
		sh.mu.Unlock()
		muted = append(muted, func() {
			sh.mu.Lock()
			sh.saved = saved
			sh.mu.Unlock()
			<-sh.change
		})
	}
	return speak
}

// takeAll takes the change tokens of all shards or of none: whoever holds one may wait for a
// write that waits for another.
func takeAll(all []*shard) error {
	for i, sh := range all {
		select {
		case sh.change <- struct{}{}:
		default:
			for _, taken := range all[:i] {
				<-taken.change
			}
			return errors.New("a shard is being changed")
		}
	}
	return nil
}

// An operation whose replicas do not answer ends with its caller's patience, or after its own
// limit if its caller sets none, and says whom it waited for, to callers over the socket, too.
func TestWaitNamesReplicas(t *testing.T) {
	home := t.TempDir()
	first := joinTest(t, nil, Config{Home: home})
	second := joinTest(t, first, Config{})
	soon(t, "two voters", func() error { return alike([]*Node{first, second}, 2) })
	if _, err := first.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	cl, err := client.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	mute(t, second)
	named := func(err error) error {
		var e *client.Error
		if !errors.As(err, &e) || e.Code != client.CodeQuorumLost || !strings.Contains(e.Message, second.ID()) || e.Fix == "" {
			return fmt.Errorf("not told who did not answer: %w", err)
		}
		return nil
	}
	within := func(patience time.Duration, op func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return op(ctx)
	}
	for name, op := range map[string]func(context.Context) error{
		"put":                 func(ctx context.Context) error { _, err := first.Put(ctx, "k", nil); return err },
		"get":                 func(ctx context.Context) error { _, err := first.Get(ctx, "k"); return err },
		"put over the socket": func(ctx context.Context) error { _, err := cl.Put(ctx, "k", nil); return err },
		"get over the socket": func(ctx context.Context) error { _, err := cl.Get(ctx, "k"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// On its way back the answer may be late by more than what is left for it.
			soon(t, "short of patience", func() error { return named(within(time.Second, op)) })
			if testing.Short() {
				return
			}
			soon(t, "without a limit of its caller's", func() error { return named(op(t.Context())) })
		})
	}
}

// A caller that has more patience than an operation's own limit gets what it waits for.
func TestWaitAsLongAsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for longer than an operation does by itself")
	}
	home := t.TempDir()
	first := joinTest(t, nil, Config{Home: home, RepairEvery: time.Hour})
	second := joinTest(t, first, Config{RepairEvery: time.Hour})
	soon(t, "two voters", func() error { return alike([]*Node{first, second}, 2) })
	if _, err := first.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	data := noise(1, chunk.Size)
	hash := chunk.Hash(sha256.Sum256(data))
	if _, err := first.putChunk(t.Context(), "c", All, data); err != nil {
		t.Fatal(err)
	}
	plant(t, first, "c", hash, noise(2, chunk.Size)) // the only right one is at the second
	cl, err := client.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	speak := mute(t, second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	type end struct {
		op  string
		err error
	}
	ends := make(chan end)
	ops := map[string]func() error{
		"put":                 func() error { _, err := first.Put(ctx, "k", nil); return err },
		"get":                 func() error { _, err := first.Get(ctx, "k"); return err },
		"list":                func() error { _, err := first.List(ctx, "", "", 0); return err },
		"swap":                func() error { _, err := first.CompareAndSwap(ctx, "r", 0, nil); return err },
		"chunk":               func() error { _, err := first.getChunk(ctx, "c", hash, len(data)); return err },
		"put over the socket": func() error { _, err := cl.Put(ctx, "k", nil); return err },
	}
	for name, op := range ops {
		go func() { ends <- end{name, op()} }()
	}
	more := time.After(opTimeout * 3 / 2)
	for waiting := len(ops); waiting > 0; {
		select {
		case <-more:
			more = nil
			speak()
		case e := <-ends:
			waiting--
			if e.err != nil || more != nil {
				t.Errorf("%s: %v, with a replica that answers late: %t", e.op, e.err, more == nil)
			}
		}
	}
}

// An operation of a client ends before its client does.
func TestInTime(t *testing.T) {
	ends := func(patience time.Duration) (early time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		end, _ := ctx.Deadline()
		_, _, _ = inTime(func(ctx context.Context, _ empty, _ []byte) (empty, []byte, error) {
			sooner, _ := ctx.Deadline()
			early = end.Sub(sooner)
			return empty{}, nil, nil
		})(ctx, empty{}, nil)
		return early
	}
	if early := ends(time.Hour); early != answerTime {
		t.Errorf("%v before an hour is over", early)
	}
	if early := ends(answerTime); early <= 0 || early > answerTime/10 {
		t.Errorf("%v before %v are over", early, answerTime)
	}
}
