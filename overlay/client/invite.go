package client

import (
	"context"
	"time"

	"github.com/chorus-net/chorus/internal/wire"
)

// InviteSpec says whom a token lets into a closed ring, and for how long.
type InviteSpec struct {
	// Role is what the newcomer may do: "member" (also if empty); or, as a guest that has
	// members carry out its calls, "submit": read keys, and submit jobs and see to those;
	// or "read": read keys.
	Role string `json:"role,omitempty"`
	// Expires is how long the token can be used; 0: 24 hours. What it was
	// exchanged for lasts.
	Expires time.Duration `json:"expires_ns,omitempty"`
	// Once lets in one newcomer, whoever is the first.
	Once bool `json:"once,omitempty"`
	// For lets in the peer of this ID alone; empty: anybody.
	For string `json:"for,omitempty"`
	// Inviter makes the newcomer, a member, an inviter as well.
	Inviter bool `json:"inviter,omitempty"`
}

// Invitation is a token and what it says.
type Invitation struct {
	// Token is what peer run --join takes. Whoever has it can use it: it is a
	// secret until it has expired.
	Token   string    `json:"token"`
	Ring    string    `json:"ring"`
	Role    string    `json:"role"`
	Inviter bool      `json:"inviter,omitempty"`
	Once    bool      `json:"once,omitempty"`
	For     string    `json:"for,omitempty"`
	Expires time.Time `json:"expires"`
}

// Invite makes a token by which others join the peer's closed ring.
func (c *Client) Invite(ctx context.Context, spec InviteSpec) (Invitation, error) {
	var i Invitation
	_, err := c.call(ctx, wire.MethodCtlInvite, spec, nil, &i)
	return i, err
}

// GrantSpec says who may write in a peer's own namespace.
type GrantSpec struct {
	Peer    string        `json:"peer"`                 // its ID, or the end of that
	Expires time.Duration `json:"expires_ns,omitempty"` // 0: 7 days
	// Revoke takes the grant back: a writer notices within a minute, or lies until it expires.
	Revoke bool `json:"revoke,omitempty"`
}

// Grant tells who may write where.
type Grant struct {
	Peer      string    `json:"peer"`
	Namespace string    `json:"namespace"` // "@" and the owner's ID
	Expires   time.Time `json:"expires,omitzero"`
	Revoked   bool      `json:"revoked,omitempty"`
}

// Grant lets another peer write in the peer's own namespace.
func (c *Client) Grant(ctx context.Context, spec GrantSpec) (Grant, error) {
	var g Grant
	_, err := c.call(ctx, wire.MethodCtlGrant, spec, nil, &g)
	return g, err
}

// Revoked tells of a peer that was put out of the ring.
type Revoked struct {
	ID   string `json:"id"`
	Told int    `json:"told"` // peers that are known to know, of Of; the others hear within a minute
	Of   int    `json:"of"`
	// Stranded is how many shards have most of their voters out of the ring, with this one:
	// writes and reads of their keys wait for Forget.
	Stranded int `json:"stranded,omitempty"`
}

// Revoke puts a peer out of the peer's closed ring for good, by its ID or, if it is in the
// ring, its name or the beginning or the end of its ID.
func (c *Client) Revoke(ctx context.Context, peer string) (Revoked, error) {
	var r Revoked
	_, err := c.call(ctx, wire.MethodCtlRevoke, wire.ControlName{ID: peer}, nil, &r)
	return r, err
}

// Rotation tells how the key of a ring was replaced.
type Rotation struct {
	Ring     string    `json:"ring"`
	Until    time.Time `json:"until"`    // when what only the old key made good ends
	Inviters int       `json:"inviters"` // whose links are under the new key
	Told     int       `json:"told"`     // peers that are known to know, of Of
	Of       int       `json:"of"`
}

// RotateKey replaces the key of the peer's closed ring, with so much time for which both are
// good; 0: 24 hours.
func (c *Client) RotateKey(ctx context.Context, overlap time.Duration) (Rotation, error) {
	var r Rotation
	_, err := c.call(ctx, wire.MethodCtlRotate, wire.ControlRotate{OverlapMs: overlap.Milliseconds()}, nil, &r)
	return r, err
}
