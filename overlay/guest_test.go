package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-datastore"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// asGuest lets a guest into a member's ring.
func asGuest(t *testing.T, member *Node, role string, edit func(*Config)) *Node {
	t.Helper()
	g, err := inClosed(t, member, func(c *Config) {
		gossiping(c)
		c.Peers = []string{invite(t, member, client.InviteSpec{Role: role}).Token}
		if edit != nil {
			edit(c)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// wantRefusal checks that an error is a refusal that names the role, and says what to do.
func wantRefusal(t *testing.T, what string, err error, role string) {
	t.Helper()
	e := client.AsError(err)
	if e == nil || e.Code != client.CodeRefused || e.Code.Exit() != 8 || !strings.Contains(e.Message, role) || e.Fix == "" {
		t.Errorf("%s: %+v, want a refusal that names role %s", what, e, role)
	}
}

// A guest reads what it may, is told what it may not, and is nobody's peer.
func TestGuestRead(t *testing.T) {
	nodes := closedRing(t, 3, gossiping)
	ctx := t.Context()
	big := bytes.Repeat([]byte("large "), 200<<10)
	if _, err := nodes[0].PutStream(ctx, "k/big", bytes.NewReader(big)); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[1].Put(ctx, "k/small", []byte("v")); err != nil {
		t.Fatal(err)
	}
	g := asGuest(t, nodes[0], "read", nil)
	if rec, err := g.Get(ctx, "k/small"); err != nil || string(rec.Value) != "v" {
		t.Errorf("get: %q, %v", rec.Value, err)
	}
	if _, err := g.Get(ctx, "k/none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	s, err := g.GetStream(ctx, "k/big")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, big) {
		t.Errorf("a large value: %d bytes, %v", len(got), err)
	}
	if keys, err := g.List(ctx, "k/", "", 0); err != nil || !slices.Equal(keys, []string{"k/big", "k/small"}) {
		t.Errorf("list: %q, %v", keys, err)
	}
	if ring, err := g.Ring(ctx); err != nil || len(ring.Peers) != 3 {
		t.Errorf("the ring of a guest: %+v, %v", ring, err)
	}
	if trace, err := g.Trace(ctx, "k/small"); err != nil || len(trace.Voters) != 3 {
		t.Errorf("trace: %+v, %v", trace, err)
	}
	if pong, err := g.Ping(ctx, nodes[2].ID()); err != nil || pong.Via != client.ViaDirect {
		t.Errorf("ping: %+v, %v", pong, err)
	}
	checkRefusals(t, g, "read")
	checkApart(t, nodes, g)
}

// checkRefusals makes the calls that a guest with a role may not make.
func checkRefusals(t *testing.T, g *Node, role string) {
	t.Helper()
	ctx := t.Context()
	calls := map[string]func() error{
		"put":           func() error { _, err := g.Put(ctx, "k/x", nil); return err },
		"delete":        func() error { _, err := g.Delete(ctx, "k/small"); return err },
		"put of much":   func() error { _, err := g.PutStream(ctx, "k/x", bytes.NewReader(make([]byte, 1<<20))); return err },
		"swap":          func() error { _, err := g.CompareAndSwap(ctx, "k/r", 0, nil); return err },
		"settings":      func() error { _, err := g.SetNamespace(ctx, Namespace{Name: "k"}); return err },
		"datastore":     func() error { return g.Datastore("k").Put(ctx, datastore.NewKey("x"), nil) },
		"leave":         func() error { return g.Leave(ctx) },
		"forget":        func() error { _, err := g.Forget(ctx, client.ForgetSpec{Peer: g.ID()}); return err },
		"invite":        func() error { _, err := g.Invite(ctx, client.InviteSpec{}); return err },
		"look up often": func() error { _, err := g.Lookups(ctx, client.LookupSpec{Count: 1, Way: client.WayTable}); return err },
	}
	if role == "read" {
		calls["submit"] = func() error {
			_, err := g.Submit(ctx, JobSpec{Code: Code{Func: "echo"}, Inputs: [][]byte{nil}})
			return err
		}
		calls["top"] = func() error { _, err := g.Top(ctx); return err }
	}
	for what, call := range calls {
		named := role
		if what == "invite" {
			named = "invite"
		}
		wantRefusal(t, what, call(), named)
	}
}

// checkApart checks that no member takes a guest for one of them.
func checkApart(t *testing.T, nodes []*Node, g *Node) {
	t.Helper()
	if addrs := g.Addrs(); len(addrs) > 0 {
		t.Errorf("a guest listens at %s", addrs)
	}
	id := g.self.Peer
	for i, n := range nodes {
		if inView(n, id) || slices.Contains(n.seen.some(maxFormer), id) {
			t.Errorf("member %d knows the guest as a peer of the ring", i)
		}
		for _, c := range n.neighbours(n.view()) {
			if c.ID == id {
				t.Errorf("member %d would steal from the guest", i)
			}
		}
		for s := range n.shards.all() {
			for _, v := range n.shards.config(s).Members() {
				if v.Peer == id {
					t.Errorf("the guest is a voter of shard %d", s)
				}
			}
		}
		for _, p := range n.host.Kad().RoutingTable().ListPeers() {
			if chord.PeerID(p) == id {
				t.Errorf("member %d has the guest in Kademlia's table", i)
			}
		}
		for _, m := range []rpc.Method{wire.MethodPing, wire.MethodRing, wire.MethodRead, wire.MethodTask, wire.MethodCtlGet} {
			_, err := n.host.Call(t.Context(), id, rpc.Header{Method: m}, nil)
			if e := (*rpc.Error)(nil); !errors.As(err, &e) || e.Code != rpc.CodeUnknownMethod && e.Code != rpc.CodeUnreachable {
				t.Errorf("the guest answers member %d's call %d: %v", i, m, err)
			}
		}
	}
}

// A guest that may submit has jobs of its own, and sees no others.
func TestGuestSubmit(t *testing.T) {
	nodes := closedRing(t, 2, gossiping)
	ctx := t.Context()
	g, other := asGuest(t, nodes[0], "submit", nil), asGuest(t, nodes[0], "submit", nil)
	inputs := make([][]byte, 40) // more than fits a frame, and so do the outputs
	for i := range inputs {
		inputs[i] = bytes.Repeat([]byte{byte(i)}, 100<<10)
	}
	id, err := g.Submit(ctx, JobSpec{Code: Code{Func: "echo"}, Inputs: inputs})
	if err != nil {
		t.Fatal(err)
	}
	job, err := g.Wait(ctx, id)
	if err != nil || job.State != "done" || len(job.Results) != len(inputs) {
		t.Fatalf("%s, %d results, %v", job.State, len(job.Results), err)
	}
	for i, r := range job.Results {
		if !bytes.Equal(r.Output, inputs[i]) {
			t.Errorf("output %d: %d bytes", i, len(r.Output))
		}
		if r.Peer == g.ID() {
			t.Errorf("task %d ran at the guest", i)
		}
	}
	if shown, err := g.Job(id); err != nil || shown.Done != len(inputs) {
		t.Errorf("show: %+v, %v", shown.Done, err)
	}
	if jobs := g.Jobs(); len(jobs) != 1 || jobs[0].ID != id {
		t.Errorf("jobs: %+v", jobs)
	}
	long, err := g.Submit(ctx, JobSpec{Code: Code{Func: "sleep"}, Inputs: [][]byte{[]byte("1h")}, Time: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	members, err := nodes[0].Submit(ctx, JobSpec{Code: Code{Func: "sleep"}, Inputs: [][]byte{[]byte("1h")}, Time: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{id, long, members} {
		if _, err := other.Job(foreign); !errors.Is(err, ErrNotFound) {
			t.Errorf("another guest sees job %s: %v", foreign, err)
		}
		if err := other.CancelJob(foreign); !errors.Is(err, ErrNotFound) {
			t.Errorf("another guest cancels job %s: %v", foreign, err)
		}
	}
	if jobs := other.Jobs(); len(jobs) != 0 {
		t.Errorf("another guest's jobs: %+v", jobs)
	}
	if err := g.CancelJob(long); err != nil {
		t.Error(err)
	}
	if j, err := g.Wait(ctx, long); err != nil || j.State != "cancelled" {
		t.Errorf("%+v, %v", j, err)
	}
	if top, err := g.Top(ctx); err != nil || len(top) != 2 {
		t.Errorf("top: %+v, %v", top, err)
	}
	checkRefusals(t, g, "submit")
	_, err = g.Submit(ctx, JobSpec{Code: Code{Module: []byte("\x00asm")}, Inputs: [][]byte{nil}, Grant: "k"})
	wantRefusal(t, "a grant", err, "submit")
	_, err = g.Submit(ctx, JobSpec{Code: Code{Func: "echo"}, Inputs: make([][]byte, maxGuestTasks+1)})
	wantCode(t, err, client.CodeOverloaded)
	if err := nodes[0].CancelJob(members); err != nil {
		t.Error(err)
	}
}

// The tasks of a guest are bounded over all its jobs, durable ones and those that it submits at the same
// time among them.
func TestGuestTasks(t *testing.T) {
	nodes := closedRing(t, 1, gossiping)
	g := asGuest(t, nodes[0], "submit", nil)
	inputs := make([][]byte, 4096)
	for i := range inputs {
		inputs[i] = []byte("1h")
	}
	long := JobSpec{Code: Code{Func: "sleep"}, Inputs: inputs, Time: 2 * time.Hour, Durable: true}
	if _, err := g.Submit(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	long.Durable = false
	const callers = 6
	refused := make(chan error, callers)
	for range callers {
		go func() {
			_, err := g.Submit(t.Context(), long)
			refused <- err
		}()
	}
	took := 0
	for range callers {
		if err := <-refused; err == nil {
			took++
		} else {
			wantCode(t, err, client.CodeOverloaded)
		}
	}
	if most := maxGuestTasks/len(inputs) - 1; took > most {
		t.Errorf("%d further jobs were taken, there is room for %d", took, most)
	}
	_, err := g.Submit(t.Context(), JobSpec{Code: Code{Func: "sleep"}, Inputs: make([][]byte, maxGuestTasks-len(inputs)+1)})
	wantCode(t, err, client.CodeOverloaded)
}

// A durable job of a guest outlives the member that took it, and is still the guest's alone.
func TestGuestDurable(t *testing.T) {
	if testing.Short() {
		t.Skip("a dead owner is noticed after some seconds")
	}
	nodes := closedRing(t, 4, gossiping)
	soon(t, "three voters each", func() error { return alike(nodes, 3) })
	ctx := t.Context()
	g, other := asGuest(t, nodes[0], "submit", nil), asGuest(t, nodes[0], "submit", nil)
	id, err := g.Submit(ctx, JobSpec{Code: Code{Func: "sleep"}, Inputs: [][]byte{[]byte("1s"), []byte("1ms")}, Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	job, _ := parseJob(id)
	g.guest.mu.Lock()
	holder := g.guest.holders[job]
	g.guest.mu.Unlock()
	for _, n := range nodes {
		if n.self.Peer == holder {
			n.Kill()
		}
	}
	eventually(t, "the job is done", func() bool {
		j, err := g.Job(id)
		return err == nil && j.State == "done" && len(j.Results) == 2
	})
	if _, err := other.Job(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("another guest sees it: %v", err)
	}
}

// A guest goes on when the members that it is in touch with die, its first contact among them.
func TestGuestOutlivesContacts(t *testing.T) {
	nodes := closedRing(t, 6, func(c *Config) { gossiping(c); c.Replicas = 5 })
	soon(t, "five voters each, of whom two may die", func() error { return alike(nodes, 5) })
	ctx := t.Context()
	home := t.TempDir()
	g := asGuest(t, nodes[0], "read", func(c *Config) { c.Home = home })
	w, err := g.Watch(ctx, client.WatchSpec{Prefix: "k/"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	eventually(t, "it knows all members", func() bool { return g.view().Len() == len(nodes) })
	eventually(t, "it keeps several contacts", func() bool { return len(g.guest.ids()) == guestContacts })

	left := slices.Clone(nodes)
	kill := func(id chord.PeerID) {
		i := slices.IndexFunc(left, func(n *Node) bool { return n.self.Peer == id })
		left[i].Kill()
		left = slices.Delete(left, i, i+1)
	}
	for round := range 2 {
		first := g.guest.ids()[0]
		kill(first)
		key := fmt.Sprintf("k/%d", round)
		eventually(t, "a member writes", func() bool { _, err := left[0].Put(ctx, key, []byte("v")); return err == nil })
		eventually(t, "the guest reads", func() bool { rec, err := g.Get(ctx, key); return err == nil && string(rec.Value) == "v" })
		waitFor(t, w, key)
		eventually(t, "its contacts are of those who live", func() bool {
			ids := g.guest.ids()
			return len(ids) == guestContacts && !slices.Contains(ids, first)
		})
	}
	// Its home remembers the others, so that it comes back without its first contact.
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Join(ctx, Config{Home: home, decreeEvery: gossip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if rec, err := again.Get(ctx, "k/1"); err != nil || string(rec.Value) != "v" {
		t.Errorf("after a restart: %q, %v", rec.Value, err)
	}
	if s, err := again.Status(ctx); err != nil || s.Role != "read" || len(s.Via) == 0 {
		t.Errorf("status: %+v, %v", s, err)
	}
}

// waitFor reads a watch until a key shows.
func waitFor(t *testing.T, w *Watch, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("watch for %s: %v", key, err)
		}
		if e.Key == key {
			return
		}
	}
}

// What a guest is, its status and doctor say, to its owner over the socket too.
func TestGuestSpeaksOfItself(t *testing.T) {
	nodes := closedRing(t, 2, gossiping)
	home := t.TempDir()
	g := asGuest(t, nodes[0], "submit", func(c *Config) { c.Home = home })
	eventually(t, "both members are its contacts", func() bool { return len(g.guest.ids()) == 2 })
	cl, err := client.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	s, err := cl.Status(t.Context())
	if err != nil || s.Role != "submit" || len(s.Via) != 2 || s.Peers != 2 || s.Open {
		t.Errorf("%+v, %v", s, err)
	}
	if m, err := nodes[0].Status(t.Context()); err != nil || m.Role != "member" {
		t.Errorf("of a member: %+v, %v", m, err)
	}
	d, err := cl.Doctor(t.Context())
	if err != nil || d.Failed() > 0 || !strings.Contains(checkNamed(t, d, "role").Detail, "submit") {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := nodes[1].Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if r, err := cl.GetStream(t.Context(), "k"); err != nil || r.Record.Size != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = cl.PutStream(t.Context(), "k", bytes.NewReader(make([]byte, 1<<20)))
	wantRefusal(t, "put of much by the socket", err, "submit")
	wantRefusal(t, "leave by the socket", cl.Leave(t.Context()), "submit")

	if _, err := nodes[0].Revoke(t.Context(), g.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "who was revoked reads no more", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := g.Get(ctx, "k")
		return err != nil
	})
	if testing.Short() {
		return // the doctor asks for some seconds
	}
	eventually(t, "its doctor knows", func() bool {
		d, err := cl.Doctor(t.Context())
		return err == nil && checkNamed(t, d, "pass").State == client.CheckFail
	})
}

// Messages of guests that come in parts are bounded, and forgotten.
func TestStash(t *testing.T) {
	var s stash
	k := stashKey{"a", [16]byte{1}}
	for at, part := range []string{"x", "y"} {
		if err := s.add(k, uint32(at), []byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.add(k, 7, []byte("z")); !errors.Is(err, errNoParcel) {
		t.Errorf("a part out of place: %v", err)
	}
	if got, ok := s.take(k); !ok || string(got) != "xy" {
		t.Errorf("%q, %v", got, ok)
	}
	if _, ok := s.take(k); ok {
		t.Error("taken twice")
	}
	much := make([]byte, maxStashEach)
	for _, tt := range []struct {
		guest chord.PeerID
		data  []byte
		want  error
	}{{"a", much, nil}, {"a", much[:1], errStashFull}, {"b", much, nil}, {"c", much[:1], errStashFull}} {
		if err := s.add(stashKey{tt.guest, [16]byte{9, byte(len(tt.data))}}, 0, tt.data); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%d bytes of %s: %v, want %v", len(tt.data), tt.guest, err, tt.want)
		}
	}
	a := stashKey{"a", [16]byte{9, byte(len(much) & 255)}}
	if part, err := s.part(a, 5, 10); err != nil || len(part) != 10 {
		t.Errorf("%d bytes, %v", len(part), err)
	}
	if part, err := s.part(a, maxStashEach-1, 10); err != nil || len(part) != 1 {
		t.Errorf("the last: %d bytes, %v", len(part), err)
	}
	if _, err := s.part(a, 0, 1); !errors.Is(err, errNoParcel) {
		t.Errorf("behind the last: %v", err)
	}
	s.take(stashKey{"b", a.id})
	if diff := cmp.Diff(0, s.bytes); diff != "" || len(s.held) != 0 {
		t.Errorf("%d messages are left, bytes %s", len(s.held), diff)
	}
}
