package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
)

const (
	inviteFor     = 24 * time.Hour // unless it is said
	maxInviteTime = 10 * 365 * 24 * time.Hour
	maxInviteAddr = 6 // addresses in a token, which people pass on by hand
	maxRelayAddr  = 2 // of those at one relay, which are long
)

// Invite makes a token by which others join this peer's closed ring: it is what
// Config.Peers of theirs takes. Whoever has the token may use it, as far as spec allows;
// keep it as a password. Only an inviter can make one: the peer that made the ring,
// and those invited as inviters. Errors: code "refused" for others, "usage" for a spec
// that makes no sense, and for an open ring.
func (n *Node) Invite(_ context.Context, spec client.InviteSpec) (client.Invitation, error) {
	if n.door == nil {
		return client.Invitation{}, &client.Error{
			Code: client.CodeUsage, Message: fmt.Sprintf("ring %q is open: peers join it by address, without a token", n.ring.Name),
			Fix: "peer status (for the addresses), then peer run --join MULTIADDR",
		}
	}
	if spec.Expires == 0 {
		spec.Expires = inviteFor
	}
	t, err := tokenOf(spec)
	var e *client.Error
	switch {
	case errors.As(err, &e):
		return client.Invitation{}, err
	case err != nil:
		return client.Invitation{}, usage("invite: %w", err)
	}
	t.Expires = n.door.now().Add(spec.Expires)
	t.Addrs = tokenAddrs(n.host.Addrs())
	if t, err = n.door.invite(t); err != nil {
		return client.Invitation{}, homeError(err)
	}
	if len(t.Addrs) == 0 {
		return client.Invitation{}, &client.Error{
			Code: client.CodeNotAvailable, Message: "nobody can reach this peer, neither by itself nor through another one",
			Fix: "peer doctor (says how to be reached), or peer invite --inviter (makes an inviter of a peer that can be)",
		}
	}
	return client.Invitation{
		Token: t.String(), Ring: n.ring.Name, Role: t.Right.Role.String(), Inviter: t.Right.Invite,
		Once: t.Once, For: spec.For, Expires: t.Expires,
	}, nil
}

// tokenOf returns what a token says that spec describes.
func tokenOf(spec client.InviteSpec) (passes.Token, error) {
	t := passes.Token{Once: spec.Once, Right: passes.Right{Role: passes.Member, Invite: spec.Inviter}}
	var err error
	if spec.Role != "" {
		if t.Right.Role, err = passes.ParseRole(spec.Role); err != nil {
			return t, err
		}
	}
	if t.Right.Invite && t.Right.Role != passes.Member {
		return t, fmt.Errorf("an inviter has the role member, not %s", t.Right.Role)
	}
	if spec.Expires <= 0 || spec.Expires > maxInviteTime {
		return t, fmt.Errorf("a token that expires after %v: want more than 0 and at most ten years", spec.Expires)
	}
	if spec.For != "" {
		id, err := p2p.ParsePeerID(spec.For)
		if err != nil {
			return t, err
		}
		if t.For, err = passes.KeyOf(id); err != nil {
			return t, err
		}
		t.Bound = true
	}
	_, err = rand.Read(t.Nonce[:])
	return t, err
}

// invite signs a token.
func (d *door) invite(t passes.Token) (passes.Token, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.chain.Right().Invite {
		return passes.Token{}, &bootstrap.Error{
			Code: bootstrap.CodeRefused, Message: "this peer may not invite: it was not made an inviter",
			Fix: "peer invite (at the peer that made the ring); --inviter there makes a token for a further inviter",
		}
	}
	if t.Right.Invite && d.ringKey == nil {
		return passes.Token{}, &bootstrap.Error{
			Code: bootstrap.CodeRefused, Message: "this peer does not have the ring's key, which makes inviters",
			Fix: "peer invite --inviter (at the peer that made the ring)",
		}
	}
	t.Inviter, t.Known = d.chain.Links[0], d.authority.LastRevoked(d.now())
	return t.Sign(d.ring.ID, d.sign)
}

// tokenAddrs chooses the addresses of a token: those at relays first, which this peer has only
// where it is not reached by itself, then those that reach farthest, and loopback only where
// there is nothing else.
func tokenAddrs(addrs []string) [][]byte {
	var list []multiaddr.Multiaddr
	for _, s := range addrs {
		if a, err := multiaddr.NewMultiaddr(s); err == nil && !manet.IsIP6LinkLocal(a) {
			list = append(list, a)
		}
	}
	reach := func(a multiaddr.Multiaddr) int {
		switch {
		case isRelayed(a):
			return 0
		case manet.IsIPLoopback(a):
			return 3
		case manet.IsPrivateAddr(a):
			return 2
		default:
			return 1
		}
	}
	slices.SortStableFunc(list, func(a, b multiaddr.Multiaddr) int { return reach(a) - reach(b) })
	var out [][]byte
	relayed := make(map[string]int) // addresses by relay
	for _, a := range list {
		if len(out) == maxInviteAddr || len(out) > 0 && reach(a) == 3 && reach(list[0]) < 3 {
			break
		}
		if isRelayed(a) {
			id, _ := a.ValueForProtocol(multiaddr.P_P2P)
			if relayed[id]++; relayed[id] > maxRelayAddr {
				continue
			}
		}
		out = append(out, a.Bytes())
	}
	return out
}
