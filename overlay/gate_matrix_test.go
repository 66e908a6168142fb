package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/overlay/client"
)

// The decided cells of the gate: what each door needs. A handler that is not here fails the
// test, as does a protocol.
var (
	decidedCalls = map[string]rpc.Role{
		// A guest follows the ring's addresses and decrees, and sets its clock beside others'.
		"ping": rpc.RoleRead, "ring.peers": rpc.RoleRead, "ring.decrees": rpc.RoleRead, "ring.clock": rpc.RoleRead,
		"ring": rpc.RoleMember, "ring.plain": rpc.RoleMember,
		"task": rpc.RoleMember, "task.load": rpc.RoleMember, "task.owns": rpc.RoleMember, "task.hear": rpc.RoleMember,
		"store.write": rpc.RoleMember, "store.writes": rpc.RoleMember, "store.read": rpc.RoleMember, "store.scan": rpc.RoleMember,
		"store.sync": rpc.RoleMember, "store.fetch": rpc.RoleMember, "store.nodes": rpc.RoleMember, "store.horizon": rpc.RoleMember,
		"store.forget": rpc.RoleMember, "store.hint": rpc.RoleMember, "store.fence": rpc.RoleMember, "store.prepare": rpc.RoleMember, "store.accept": rpc.RoleMember, "store.cas": rpc.RoleMember,
		"store.watch": rpc.RoleMember, "store.config": rpc.RoleMember, "store.learn": rpc.RoleMember, "store.fingerprint": rpc.RoleMember,

		// What a member does on behalf of guests.
		"guest.get": rpc.RoleRead, "guest.open": rpc.RoleRead, "guest.getchunk": rpc.RoleRead, "guest.list": rpc.RoleRead, "guest.register": rpc.RoleRead,
		"guest.watch": rpc.RoleRead, "guest.watchnext": rpc.RoleRead, "guest.watchend": rpc.RoleRead,
		"guest.namespace": rpc.RoleRead, "guest.namespaces": rpc.RoleRead, "guest.ring": rpc.RoleRead, "guest.trace": rpc.RoleRead, "guest.rest": rpc.RoleRead,
		"guest.submit": rpc.RoleSubmit, "guest.job": rpc.RoleSubmit, "guest.jobs": rpc.RoleSubmit, "guest.wait": rpc.RoleSubmit, "guest.cancel": rpc.RoleSubmit,
		"guest.top": rpc.RoleSubmit, "guest.parcel": rpc.RoleSubmit,
		"guest.put": rpc.RoleMember, "guest.del": rpc.RoleMember, "guest.swap": rpc.RoleMember, "guest.setnamespace": rpc.RoleMember,
		"guest.begin": rpc.RoleMember, "guest.putchunk": rpc.RoleMember, "guest.commit": rpc.RoleMember, "guest.lookup": rpc.RoleMember,
	}
	// Of the control socket, what no peer may call.
	ownersCalls = []string{"doctor", "forget", "grant", "invite", "leave", "ping", "revoke", "rotate", "status"}
	// Of protocols, by the end of their names. Calls have roles of their own, and what
	// libp2p tells of a peer is no secret to those who are let in. Those that peers behind NATs
	// need are in internal/p2p TestGateMatrixOfRelays.
	decidedProtocols = map[string]rpc.Role{
		"/admit/1": rpc.RoleMember, "/call/1": rpc.RoleRead, "/kad/1.0.0": rpc.RoleMember, "/ipfs/id/1.0.0": rpc.RoleRead, "/ipfs/id/push/1.0.0": rpc.RoleRead,
	}
)

// credential is a kind of caller.
type credential struct {
	name string
	role rpc.Role // none: it gets no connection
	pass func(t *testing.T, n *Node, key passes.Key) []byte
}

// callerGate shows a pass, and takes everybody's.
type callerGate struct{ pass []byte }

func (g callerGate) Pass() []byte                                   { return g.pass }
func (g callerGate) Check(chord.PeerID, []byte) (rpc.Role, error)   { return rpc.RoleMember, nil }
func (g callerGate) Admit(_ chord.PeerID, _ []byte) (answer []byte) { return nil }

// sealed encodes a chain that ends at key: an inviter's of its own, under the ring's key, and
// a link that edit changes.
func sealed(t *testing.T, n *Node, key passes.Key, role passes.Role, edit func(*passes.Link)) []byte {
	t.Helper()
	l := passes.Link{Key: key, Right: passes.Right{Role: role}, Issued: time.Now().Add(-time.Hour)}
	if edit != nil {
		edit(&l)
	}
	c, err := n.door.chain.Extend(n.ring.ID, l, n.door.sign)
	if err != nil {
		t.Fatal(err)
	}
	return c.Append(nil)
}

func credentials() []credential {
	as := func(role passes.Role) func(*testing.T, *Node, passes.Key) []byte {
		return func(t *testing.T, n *Node, key passes.Key) []byte { return sealed(t, n, key, role, nil) }
	}
	return []credential{
		{"none", rpc.RoleNone, func(*testing.T, *Node, passes.Key) []byte { return nil }},
		{"garbage", rpc.RoleNone, func(*testing.T, *Node, passes.Key) []byte { return []byte("let me in") }},
		{"expired", rpc.RoleNone, func(t *testing.T, n *Node, key passes.Key) []byte {
			return sealed(t, n, key, passes.Member, func(l *passes.Link) { l.Expires = time.Now().Add(-time.Minute) })
		}},
		{"from the future", rpc.RoleNone, func(t *testing.T, n *Node, key passes.Key) []byte {
			return sealed(t, n, key, passes.Member, func(l *passes.Link) { l.Issued = time.Now().AddDate(1, 0, 0) })
		}},
		{"revoked", rpc.RoleNone, func(t *testing.T, n *Node, key passes.Key) []byte {
			if _, err := n.Revoke(t.Context(), p2p.FormatPeerID(key.PeerID())); err != nil {
				t.Fatal(err)
			}
			return sealed(t, n, key, passes.Member, nil)
		}},
		{"another's", rpc.RoleNone, func(t *testing.T, n *Node, _ passes.Key) []byte { return n.door.Pass() }},
		{"of another ring", rpc.RoleNone, func(t *testing.T, _ *Node, key passes.Key) []byte {
			ring, private, err := bootstrap.NewClosedRing("other", 16, 3, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			right := passes.Right{Role: passes.Member, Invite: true}
			c, err := passes.NewChain(ring.ID, ring.Key, passes.Link{Key: key, Right: right, Issued: time.Now()}, private.Sign)
			if err != nil {
				t.Fatal(err)
			}
			return c.Append(nil)
		}},
		{"tampered", rpc.RoleNone, func(t *testing.T, n *Node, key passes.Key) []byte {
			b := sealed(t, n, key, passes.Read, nil)
			b[34+105+32] = byte(passes.Member) // the role of the second link
			return b
		}},
		{"read", rpc.RoleRead, as(passes.Read)},
		{"submit", rpc.RoleSubmit, as(passes.Submit)},
		{"member", rpc.RoleMember, as(passes.Member)},
	}
}

// Every handler, protocol and socket meets every credential, on TCP and on QUIC.
func TestGateMatrix(t *testing.T) {
	home := t.TempDir()
	n, err := inClosed(t, nil, func(c *Config) { c.PlainChord, c.Home, c.Engine = true, home, "memory" })
	if err != nil {
		t.Fatal(err)
	}
	calls := n.registry().List()
	for _, l := range calls {
		if role, ok := decidedCalls[l.Name]; !ok || l.Role != role {
			t.Errorf("%s needs role %s, decided is %s (%v): decide who may call it", l.Name, l.Role, role, ok)
		}
	}
	if len(calls) != len(decidedCalls) {
		t.Errorf("%d handlers, %d are decided", len(calls), len(decidedCalls))
	}
	served := make(map[rpc.Method]bool)
	for _, l := range calls {
		served[l.Method] = true
	}
	for _, l := range n.control.registry.List() {
		if l.Role != rpc.RoleControl {
			t.Errorf("%s on the control socket needs role %s", l.Name, l.Role)
		}
		name := strings.TrimPrefix(l.Name, "control.")
		if owners := slices.Contains(ownersCalls, name); owners == served[l.Method] {
			t.Errorf("%s: for its owner alone %v, for guests %v: decide", l.Name, owners, served[l.Method])
		}
		if served[l.Method] {
			continue
		}
		l.Role = rpc.RoleControl + 1 // nobody has it: these are not for peers
		calls = append(calls, l)
	}
	for _, c := range credentials() {
		for i, network := range []string{"tcp", "udp"} {
			t.Run(c.name+"/"+network, func(t *testing.T) { meetGate(t, n, c, n.host.Addrs()[i], calls) })
		}
	}
	t.Run("socket", func(t *testing.T) { checkSockets(t, n, home) })
}

// meetGate makes every call, and opens every protocol, with one credential.
func meetGate(t *testing.T, n *Node, c credential, addr string, calls []rpc.Listing) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := bootstrap.KeyOf(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := p2p.Config{Key: key, Ring: n.ring.ID[:], Registry: rpc.NewRegistry(), Gate: callerGate{c.pass(t, n, public)}, DisableKad: true}
	h, err := p2p.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.AddPeer(n.self.Peer, []string{addr})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, l := range calls {
		_, err := h.Call(ctx, n.self.Peer, rpc.Header{Method: l.Method}, nil)
		var e *rpc.Error
		switch errors.As(err, &e); {
		case c.role == rpc.RoleNone && (err == nil || e == nil || e.Code != rpc.CodeUnreachable && e.Code != rpc.CodeConnLost):
			t.Errorf("%s got further than the gate: %v", l.Name, err)
		case c.role == rpc.RoleNone:
		case l.Role > rpc.RoleControl:
			if e == nil || e.Code != rpc.CodeUnknownMethod {
				t.Errorf("%s of the control socket answered a peer: %v", l.Name, err)
			}
		case c.role.Allows(l.Role) == (e != nil && e.Code == rpc.CodeRefused):
			t.Errorf("%s, which needs %s: %v", l.Name, l.Role, err)
		}
	}
	for _, id := range n.host.Libp2p().Mux().Protocols() {
		role, ok := rpc.RoleNone, false
		for end, r := range decidedProtocols {
			if strings.HasSuffix(string(id), end) {
				role, ok = r, true
			}
		}
		if !ok {
			t.Errorf("protocol %s: decide who may speak it", id)
		}
		if got, want := opens(ctx, h, n, id), c.role != rpc.RoleNone && c.role.Allows(role); got != want {
			t.Errorf("protocol %s answers: %v, want %v", id, got, want)
		}
	}
}

// opens reports whether the peer serves a protocol: it does not break a stream before it has
// read a word of it.
func opens(ctx context.Context, h *p2p.Host, n *Node, id protocol.ID) bool {
	s, err := h.Libp2p().NewStream(ctx, peer.ID(n.self.Peer), id)
	if err != nil {
		return false
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(time.Minute))
	// Whether it refuses shows in what it answers. It may have answered already, and want to
	// read no more: over QUIC these fail then.
	if strings.HasSuffix(string(id), "/kad/1.0.0") {
		_, _ = s.Write([]byte{2, 0x08, 5}) // a ping
	}
	_ = s.CloseWrite()
	_, err = io.ReadAll(s)
	return err == nil
}

// checkSockets checks that the control socket is its owner's, and that nothing listens that
// was not asked for.
func checkSockets(t *testing.T, n *Node, home string) {
	info, err := os.Stat(filepath.Join(home, client.SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	c, err := net.Dial("unix", filepath.Join(home, client.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := rpc.NewConn(c, rpc.Config{Registry: rpc.NewRegistry(), Workers: n.control.workers})
	defer conn.Close()
	own := make(map[rpc.Method]bool)
	for _, l := range n.control.registry.List() {
		own[l.Method] = true
	}
	var served []string
	for _, l := range n.registry().List() {
		if own[l.Method] {
			continue
		}
		if _, err := conn.Call(t.Context(), rpc.Header{Method: l.Method}, nil); !errors.Is(err, &rpc.Error{Code: rpc.CodeUnknownMethod}) {
			served = append(served, fmt.Sprint(l.Name, ": ", err))
		}
	}
	if slices.Sort(served); len(served) > 0 {
		t.Errorf("calls of peers on the control socket: %s", served)
	}
	if n := len(n.host.Libp2p().Network().ListenAddresses()); n != 2 {
		t.Errorf("listens at %d addresses, want the 2 that were given", n)
	}
}
