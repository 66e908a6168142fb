package overlay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/overlay/client"
)

// memoryPeer is the least that a control socket can serve.
type memoryPeer struct {
	mu   sync.Mutex
	keys map[string]string
	job  chan struct{} // closed when the one job ends
	left bool

	closed chan struct{}
}

func newMemoryPeer() *memoryPeer {
	return &memoryPeer{keys: make(map[string]string), job: make(chan struct{}), closed: make(chan struct{})}
}

func (m *memoryPeer) Put(_ context.Context, key string, value []byte, opts ...PutOption) (Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := client.NewPutOptions(opts...)
	if o.W == All {
		return Receipt{}, fmt.Errorf("put %s: %w", key, client.ErrQuorum)
	}
	m.keys[key] = string(value)
	return Receipt{Key: key, Version: o.TTL.String(), W: 1, N: 1, Acks: []client.Ack{{Peer: "me", Synced: true}}}, nil
}

func (m *memoryPeer) Get(_ context.Context, key string, _ ...GetOption) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.keys[key]
	if !ok {
		return Record{}, &client.Error{Code: client.CodeNotFound, Message: "no key " + key, Fix: "peer ls"}
	}
	return Record{Key: key, Value: []byte(value), Replies: 1}, nil
}

func (m *memoryPeer) Delete(_ context.Context, key string, _ ...PutOption) (Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, key)
	return Receipt{Key: key}, nil
}

func (m *memoryPeer) List(_ context.Context, prefix, after string, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range m.keys {
		if strings.HasPrefix(k, prefix) && k > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys[:min(limit, len(keys))], nil
}

func (m *memoryPeer) Submit(_ context.Context, spec JobSpec) (string, error) {
	return fmt.Sprintf("%s/%d/%d", spec.Code.Func, len(spec.Code.Module), len(spec.Inputs)), nil
}

func (m *memoryPeer) Job(id string) (Job, error) { return Job{ID: id, State: "running"}, nil }
func (m *memoryPeer) Jobs() []Job                { return []Job{{ID: "one"}} }

func (m *memoryPeer) Wait(ctx context.Context, id string) (Job, error) {
	select {
	case <-m.job:
		return Job{ID: id, State: "done"}, nil
	case <-ctx.Done():
		return Job{}, ctx.Err()
	}
}

func (m *memoryPeer) CancelJob(string) error {
	close(m.job)
	return nil
}

func (m *memoryPeer) Status(context.Context) (Status, error) { return Status{ID: "me", Peers: 1}, nil }
func (m *memoryPeer) Ring(context.Context) (Ring, error)     { return Ring{Agree: 1, Of: 1}, nil }

func (m *memoryPeer) Ping(_ context.Context, peer string) (client.Pong, error) {
	return client.Pong{Peer: peer, RTTus: 1}, nil
}

func (m *memoryPeer) handOver(context.Context) error {
	m.left = true
	return nil
}

func (m *memoryPeer) Close() error {
	close(m.closed)
	return nil
}

// serveTest serves a memoryPeer in home and returns a client of it.
func serveTest(t *testing.T, home string) (*memoryPeer, *control, *client.Client) {
	t.Helper()
	peer := newMemoryPeer()
	c, err := serveControl(home, peer, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	cl, err := client.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	return peer, c, cl
}

func TestControlKeys(t *testing.T) {
	_, _, cl := serveTest(t, t.TempDir())
	ctx := t.Context()
	value := []byte("\x00binary\xff")
	receipt, err := cl.Put(ctx, "a/1", value, client.WithTTL(1500*time.Microsecond))
	if err != nil {
		t.Fatal(err)
	}
	want := Receipt{Key: "a/1", Version: "2ms", W: 1, N: 1, Acks: []client.Ack{{Peer: "me", Synced: true}}}
	if diff := cmp.Diff(want, receipt); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	record, err := cl.Get(ctx, "a/1")
	if err != nil || !slices.Equal(record.Value, value) || record.Key != "a/1" {
		t.Errorf("Get: %+v, %v", record, err)
	}
	if _, err := cl.Put(ctx, "b", nil); err != nil {
		t.Fatal(err)
	}
	keys, err := cl.List(ctx, "", "a", 10)
	if diff := cmp.Diff([]string{"a/1", "b"}, keys); diff != "" || err != nil {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}
	if _, err := cl.Delete(ctx, "a/1"); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Get(ctx, "a/1"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Get of a deleted key: %v", err)
	}
}

func TestControlRefusesKeysThatAreNoText(t *testing.T) {
	_, _, cl := serveTest(t, t.TempDir())
	ctx := t.Context()
	_, put := cl.Put(ctx, "\xff", nil)
	_, get := cl.Get(ctx, "\xff")
	_, del := cl.Delete(ctx, "\xff")
	_, list := cl.List(ctx, "\xff", "", 1)
	for _, err := range []error{put, get, del, list} {
		if client.AsError(err) == nil || client.AsError(err).Code != client.CodeBadKey {
			t.Errorf("got %v, want %s", err, client.CodeBadKey)
		}
	}
}

func TestControlErrorsTravel(t *testing.T) {
	_, _, cl := serveTest(t, t.TempDir())
	_, err := cl.Get(t.Context(), "x")
	want := &client.Error{Code: client.CodeNotFound, Message: "no key x", Fix: "peer ls"}
	if diff := cmp.Diff(want, client.AsError(err)); diff != "" {
		t.Errorf("own error (-want +got):\n%s", diff)
	}
	if _, err := cl.Put(t.Context(), "x", nil, client.WithW(client.LevelAll)); !errors.Is(err, client.ErrQuorum) {
		t.Errorf("wrapped error: %v", err)
	}
	if _, err := cl.Put(t.Context(), "x", make([]byte, maxPutRequest)); !errors.Is(err, client.ErrTooLarge) {
		t.Errorf("request beyond its bound: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := cl.Wait(ctx, "job"); client.AsError(err).Code != client.CodeTimeout {
		t.Errorf("call beyond its time: %v", err)
	}
}

func TestControlJobs(t *testing.T) {
	_, _, cl := serveTest(t, t.TempDir())
	ctx := t.Context()
	// More than a default frame: modules travel whole.
	module := make([]byte, 5<<20)
	id, err := cl.Submit(ctx, JobSpec{Code: Code{Module: module}, Inputs: [][]byte{{1}, {2}}})
	if want := fmt.Sprintf("/%d/2", len(module)); id != want || err != nil {
		t.Fatalf("Submit: %q, %v, want %q", id, err, want)
	}
	if job, err := cl.Job(ctx, id); err != nil || job.State != "running" {
		t.Errorf("Job: %+v, %v", job, err)
	}
	if jobs, err := cl.Jobs(ctx); err != nil || len(jobs) != 1 {
		t.Errorf("Jobs: %+v, %v", jobs, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := cl.Wait(ctx, id)
		ended <- err
	}()
	// A call that waits holds up no other.
	if err := cl.CancelJob(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Wait: %v", err)
	}
}

func TestControlLeaveAnswersThenCloses(t *testing.T) {
	peer, _, cl := serveTest(t, t.TempDir())
	if err := cl.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-peer.closed
	if !peer.left {
		t.Error("closed without handing over")
	}
}

func TestControlCloseEndsCalls(t *testing.T) {
	home := t.TempDir()
	peer := newMemoryPeer()
	c, err := serveControl(home, peer, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cl, err := client.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := cl.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := cl.Wait(t.Context(), "job")
		ended <- err
	}()
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, client.ErrClosed) {
		t.Errorf("call under way: %v, want ErrClosed", err)
	}
	<-cl.Done()
	if _, err := cl.Status(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("later call: %v, want ErrClosed", err)
	}
	if _, err := client.Dial(t.Context(), home); !errors.Is(err, client.ErrNoPeer) {
		t.Errorf("Dial: %v, want ErrNoPeer", err)
	}
	if _, err := os.Lstat(filepath.Join(home, client.SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestControlReplacesStaleSocket(t *testing.T) {
	for name, home := range map[string]string{
		"short": t.TempDir(),
		"long":  longHome(t),
	} {
		t.Run(name, func(t *testing.T) {
			dead, err := serveControl(home, newMemoryPeer(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			dead.kill()
			if _, err := os.Stat(filepath.Join(home, client.SocketName)); err != nil {
				t.Fatalf("a killed peer tidied up: %v", err)
			}
			if _, err := client.Dial(t.Context(), home); !errors.Is(err, client.ErrNoPeer) {
				t.Errorf("Dial of a dead peer: %v, want ErrNoPeer", err)
			}
			_, _, cl := serveTest(t, home)
			if _, err := cl.Status(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestControlInLongHome(t *testing.T) {
	home := longHome(t)
	t.Setenv("TMPDIR", t.TempDir())
	c, err := serveControl(home, newMemoryPeer(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Readlink(filepath.Join(home, client.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind in the temporary folder: %v, %v", left, err)
	}
}

func TestControlSocketIsPrivate(t *testing.T) {
	home := t.TempDir()
	serveTest(t, home)
	info, err := os.Stat(filepath.Join(home, client.SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

// longHome makes a folder whose path no socket address can hold.
func longHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	return home
}
