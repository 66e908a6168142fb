package overlay

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/overlay/client"
)

// startAt starts a ring of one in home and returns its peer and a client of it.
func startAt(t *testing.T, home string) (*Node, *client.Client) {
	t.Helper()
	n, err := Join(t.Context(), Config{
		Home: home, Name: "solo", Create: true, Open: true, Engine: "memory", Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	cl, err := client.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	return n, cl
}

func TestControlKeys(t *testing.T) {
	n, cl := startAt(t, t.TempDir())
	ctx := t.Context()
	value := []byte("\x00binary\xff")
	receipt, err := cl.Put(ctx, "a/1", value, client.WithTTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Key != "a/1" || receipt.W != 1 || receipt.N != 1 || receipt.Hints == nil {
		t.Errorf("receipt %+v", receipt)
	}
	if diff := cmp.Diff([]client.Ack{{Peer: n.ID(), Synced: true}}, receipt.Acks); diff != "" {
		t.Errorf("acks (-want +got):\n%s", diff)
	}
	record, err := cl.Get(ctx, "a/1")
	if err != nil || !slices.Equal(record.Value, value) || record.Key != "a/1" || time.Until(record.Expires) > time.Hour {
		t.Errorf("Get: %+v, %v", record, err)
	}
	direct, err := n.Get(ctx, "a/1")
	if diff := cmp.Diff(direct, record); diff != "" || err != nil {
		t.Errorf("%v; a node and its client differ (-node +client):\n%s", err, diff)
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
	_, cl := startAt(t, t.TempDir())
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
	n, cl := startAt(t, t.TempDir())
	ctx := t.Context()
	_, direct := n.Job(strings.Repeat("0", 32))
	_, travelled := cl.Job(ctx, strings.Repeat("0", 32))
	if diff := cmp.Diff(client.AsError(direct), client.AsError(travelled)); diff != "" || client.AsError(direct).Fix == "" {
		t.Errorf("an error and what the client sees of it differ (-node +client):\n%s", diff)
	}
	if _, err := cl.Put(ctx, "x", make([]byte, 512<<10+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("value beyond its bound: %v", err)
	}
	if _, err := cl.Put(ctx, "x", make([]byte, maxPutRequest)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("request beyond its bound: %v", err)
	}
	if err := cl.Leave(ctx); !errors.Is(err, ErrLastPeer) {
		t.Errorf("leave of the last peer: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := cl.Wait(short, submitSleep(t, cl)); client.AsError(err).Code != client.CodeTimeout {
		t.Errorf("call beyond its time: %v", err)
	}
}

// submitSleep submits a job that outlives the test.
func submitSleep(t *testing.T, cl *client.Client) string {
	t.Helper()
	id, err := cl.Submit(t.Context(), JobSpec{Code: Code{Func: "sleep"}, Inputs: [][]byte{[]byte("1h")}, Time: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestControlJobs(t *testing.T) {
	_, cl := startAt(t, t.TempDir())
	ctx := t.Context()
	// More than a default frame of calls.
	inputs := make([][]byte, 8)
	for i := range inputs {
		inputs[i] = bytes.Repeat([]byte{byte(i)}, 400<<10)
	}
	id, err := cl.Submit(ctx, JobSpec{Code: Code{Func: "echo"}, Inputs: inputs})
	if err != nil {
		t.Fatal(err)
	}
	job, err := cl.Wait(ctx, id)
	if err != nil || job.Done != len(inputs) || len(job.Results) != len(inputs) || !bytes.Equal(job.Results[7].Output, inputs[7]) {
		t.Errorf("Wait: %d of %d done, %v", job.Done, job.Tasks, err)
	}
	id = submitSleep(t, cl)
	if job, err := cl.Job(ctx, id); err != nil || job.Ended() {
		t.Errorf("Job: %+v, %v", job, err)
	}
	if jobs, err := cl.Jobs(ctx); err != nil || len(jobs) != 2 || jobs[0].ID != id {
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
	first, _ := startAt(t, t.TempDir())
	home := t.TempDir()
	second, err := Join(t.Context(), Config{Home: home, Engine: "memory", Peers: first.Addrs(), Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	cl, err := client.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-second.Done()
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if ring, err := first.Ring(t.Context()); err != nil || len(ring.Peers) != 1 {
		t.Errorf("the ring after a leave: %+v, %v", ring, err)
	}
}

func TestControlCloseEndsCalls(t *testing.T) {
	home := t.TempDir()
	n, cl := startAt(t, home)
	id := submitSleep(t, cl)
	ended := make(chan error, 1)
	go func() {
		_, err := cl.Wait(t.Context(), id)
		ended <- err
	}()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("call under way: %v, want ErrClosed", err)
	}
	<-cl.Done()
	if _, err := cl.Status(t.Context()); !errors.Is(err, ErrClosed) {
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
			dead, _ := startAt(t, home)
			dead.Kill()
			if _, err := os.Stat(filepath.Join(home, client.SocketName)); err != nil {
				t.Fatalf("a killed peer tidied up: %v", err)
			}
			if _, err := client.Dial(t.Context(), home); !errors.Is(err, client.ErrNoPeer) {
				t.Errorf("Dial of a dead peer: %v, want ErrNoPeer", err)
			}
			_, cl := startAt(t, home)
			if _, err := cl.Status(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestControlInLongHome(t *testing.T) {
	home := longHome(t)
	t.Setenv("TMPDIR", t.TempDir())
	socket, err := listenControl(home)
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
	if err := errors.Join(socket.Close(), socket.remove()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind in the temporary folder: %v, %v", left, err)
	}
}

func TestControlSocketIsPrivate(t *testing.T) {
	home := t.TempDir()
	startAt(t, home)
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
