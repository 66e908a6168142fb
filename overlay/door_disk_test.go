package overlay

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// blocked makes a file of a home one that cannot be written, until free is called.
func blocked(t *testing.T, home, file string) (free func()) {
	t.Helper()
	path := filepath.Join(home, file)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

func root(n *Node) passes.Key {
	n.door.mu.RLock()
	defer n.door.mu.RUnlock()
	return n.door.authority.Root()
}

// A token for one use lets one peer in, also when the disk fails as it is spent.
func TestTokenOnFullDisk(t *testing.T) {
	home := t.TempDir()
	at := func(c *Config) { gossiping(c); c.Home, c.Engine = home, "memory" }
	n, err := inClosed(t, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	token := invite(t, n, client.InviteSpec{Once: true}).Token
	free := blocked(t, home, bootstrap.SpentFile)
	_, one, _ := newPeerKey()
	for range 2 {
		if a := admit(t, n, one.PeerID(), bootstrap.AdmissionRequest{Token: token}); a.Refusal == nil {
			t.Fatal("a token was redeemed, and nobody noted it")
		}
	}
	free()
	if a := admit(t, n, one.PeerID(), bootstrap.AdmissionRequest{Token: token}); a.Refusal != nil {
		t.Fatalf("the disk is fine again: %v", a.Refusal)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err = inClosed(t, nil, at); err != nil {
		t.Fatal(err)
	}
	_, two, _ := newPeerKey()
	if a := admit(t, n, two.PeerID(), bootstrap.AdmissionRequest{Token: token}); a.Refusal == nil {
		t.Error("a token for one use let two peers in")
	}
}

// A rotation that could not be kept may be in force elsewhere. It is gone through with then, and
// its key is not lost.
func TestRotateOnFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts peers, for some seconds")
	}
	home := t.TempDir()
	at := func(c *Config) { gossiping(c); c.Home, c.Engine = home, "memory" }
	start := func(inviter *Node, edit func(*Config)) *Node {
		n, err := inClosed(t, inviter, edit)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ada := start(nil, at)
	bob := start(ada, gossiping)
	old := root(ada)
	free := blocked(t, home, bootstrap.DecreesFile)
	if _, err := ada.RotateKey(t.Context(), time.Hour); err == nil {
		t.Fatal("a rotation was kept on a disk that is full")
	}
	eventually(t, "the other peer learns of the rotation", func() bool { return root(bob) != old })
	if err := ada.Close(); err != nil {
		t.Fatal(err)
	}
	free() // and what the disk knows of decrees is gone
	ada = start(nil, at)
	eventually(t, "the peer learns of its own rotation", func() bool { return root(ada) == root(bob) })
	if _, err := ada.RotateKey(t.Context(), time.Hour); err != nil {
		t.Fatalf("rotate again: %v", err)
	}
	eventually(t, "all have the newest key", func() bool { return root(ada) == root(bob) })
	if err := ada.Close(); err != nil {
		t.Fatal(err)
	}
	ada = start(nil, at)
	if _, err := ada.Revoke(t.Context(), bob.ID()); err != nil {
		t.Errorf("the ring's key is lost: %v", err)
	}
}

// Who answers comparisons slowly, a decree at a time and always the same, keeps nobody from
// hearing that it is put out.
func TestRevokedWhileItStalls(t *testing.T) {
	key, public, err := newPeerKey()
	if err != nil {
		t.Fatal(err)
	}
	ada := closedRing(t, 1, gossiping)[0]
	bob, err := inClosed(t, ada, func(c *Config) { gossiping(c); c.compareWith = public.PeerID() })
	if err != nil {
		t.Fatal(err)
	}
	decree, err := passes.InviterOf(passes.Chain{Root: ada.door.chain.Root, Links: ada.door.chain.Links[:1]})
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan bool, 1)
	registry := rpc.NewRegistry()
	registry.Handle(wire.MethodDecrees, rpc.Spec{Name: "decrees", Role: rpc.RoleRead, MaxBytes: 1 << 20}, func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		select {
		case asked <- true:
		default:
		}
		req.Park()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		reply := wire.DecreesReply{Digest: wire.Digest{1}, Total: passes.MaxDecrees, Decrees: passes.AppendDecrees(nil, []passes.Decree{decree})}
		return wire.AppendDecreesReply(nil, &reply), nil
	})
	eve, err := p2p.New(t.Context(), p2p.Config{
		Key: key, Ring: bob.ring.ID[:], Registry: registry, DisableKad: true, Listen: []string{"/ip4/127.0.0.1/tcp/0"},
		Gate: callerGate{sealed(t, ada, public, passes.Member, nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer eve.Close()
	bob.host.AddPeer(eve.ID(), eve.Addrs())
	for range 2 { // pages of one comparison
		<-asked
	}
	if !bob.host.Connected(eve.ID()) {
		t.Fatal("they talk without a connection")
	}
	if _, err := ada.Revoke(t.Context(), p2p.FormatPeerID(eve.ID())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "who was put out is cut off", func() bool { return !bob.host.Connected(eve.ID()) })
}
