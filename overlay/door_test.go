package overlay

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// inClosed starts a peer in memory: the first of a closed ring, or one that
// joins with a token of inviter's.
func inClosed(t *testing.T, inviter *Node, edit func(*Config)) (*Node, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := Config{Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, Shards: 16, Create: inviter == nil}
	if inviter != nil {
		cfg.Peers = []string{invite(t, inviter, client.InviteSpec{}).Token}
	}
	if edit != nil {
		edit(&cfg)
	}
	n, err := Join(ctx, cfg)
	if err == nil {
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return n, err
}

func invite(t *testing.T, n *Node, spec client.InviteSpec) client.Invitation {
	t.Helper()
	i, err := n.Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func wantCode(t *testing.T, err error, code client.ErrorCode) {
	t.Helper()
	if !errors.Is(err, &client.Error{Code: code}) {
		t.Errorf("%v, want %s", err, code)
	}
}

// Closed rings need no home, and inviters make inviters only with the ring's key.
func TestClosedInMemory(t *testing.T) {
	first, err := inClosed(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := inClosed(t, first, func(c *Config) {
		c.Peers = []string{invite(t, first, client.InviteSpec{Inviter: true, Once: true}).Token}
	})
	if err != nil {
		t.Fatal(err)
	}
	third, err := inClosed(t, second, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := third.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if r, err := first.Get(t.Context(), "k"); err != nil || string(r.Value) != "v" {
		t.Errorf("get: %q, %v", r.Value, err)
	}
	_, err = second.Invite(t.Context(), client.InviteSpec{Inviter: true})
	wantCode(t, err, client.CodeRefused)
	_, err = third.Invite(t.Context(), client.InviteSpec{})
	wantCode(t, err, client.CodeRefused)
}

// A machine whose clock says 1970 is told so, and not something about a token.
func TestClosedClockOf1970(t *testing.T) {
	first, err := inClosed(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = inClosed(t, first, func(c *Config) { c.now = func() time.Time { return time.Unix(60, 0) } })
	wantCode(t, err, client.CodeBadClock)
}
