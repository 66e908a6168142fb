package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func inviteCommand(c *console) *cobra.Command {
	var spec client.InviteSpec
	role := newChoice("member", "submit", "read")
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print a token by which others join this closed ring",
		Long: `Print a token by which others join this closed ring: peer run --join TOKEN.

Whoever has the token can use it until it expires, or a peer is revoked: pass it on
as you would a password. With --once it lets in one peer, and with --for the one of that ID alone;
such tokens are redeemed by this peer only, so it must run when they are used.

A newcomer with role submit or read is a guest: it keeps no keys and runs no tasks, and
members carry out its calls. One with role read may read keys (get, ls, watch, ring, trace);
one with role submit may submit jobs besides, and see to those (job, top).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec.Role = role.value
			if spec.Expires <= 0 {
				return usage("peer invite", "--expires must be more than 0, not %v", spec.Expires)
			}
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				i, err := cl.Invite(ctx, spec)
				if err != nil {
					return err
				}
				return c.print(i, func(out io.Writer) {
					fmt.Fprintln(out, i.Token)
					c.note("lets %s into ring %s as %s until %s", whom(i), i.Ring, roleName(i), i.Expires.Local().Format(time.DateTime))
				})
			})
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&spec.Expires, "expires", 24*time.Hour, "how long the token can be used")
	flags.BoolVar(&spec.Once, "once", false, "let in one peer, whoever is the first")
	flags.Var(role, "role", "what the newcomer may do: member, submit or read")
	flags.StringVar(&spec.For, "for", "", "let in the `peer` of this ID alone")
	flags.BoolVar(&spec.Inviter, "inviter", false, "make the newcomer an inviter, too; needs the ring's key")
	return cmd
}

func whom(i client.Invitation) string {
	switch {
	case i.For != "":
		return i.For
	case i.Once:
		return "one peer"
	default:
		return "whoever has it"
	}
}

func roleName(i client.Invitation) string {
	if i.Inviter {
		return "an inviter"
	}
	return i.Role
}
