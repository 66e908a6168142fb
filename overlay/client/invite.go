package client

import (
	"context"
	"time"

	"github.com/chorus-net/chorus/internal/wire"
)

// InviteSpec says whom a token lets into a closed ring, and for how long.
type InviteSpec struct {
	// Role is what the newcomer may do: "member" (also if empty). The roles "submit"
	// and "read" are known to the gate, but no peer can run with them yet.
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
