package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func revokeCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke PEER",
		Short: "Put a peer out of this closed ring for good: its name or ID, or a part of that",
		Long: `Put a peer out of this closed ring for good, by its ID or, if it is in the ring,
its name, or the beginning or the end of its ID, as peer ring shows them. Its connections end, everywhere within a minute. Its
keys are at their other replicas, and get new ones by themselves; where no majority of
a shard's voters is left before that, it takes peer forget --force, so wait for peer status in between.

All tokens made before are void, whichever inviter made them, but those made with
--for: the peer could come back by one as somebody else. Make new ones (peer invite) for
newcomers that are to come still; who is in the ring needs none.

An inviter can revoke whom inviters let in. An inviter is revoked where the ring's key
is, and all whom it let in go with it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				r, err := cl.Revoke(ctx, args[0])
				if err != nil {
					return err
				}
				return c.print(r, func(out io.Writer) {
					fmt.Fprintf(out, "%s is out: %d of %s know, the others within a minute\n", r.ID, r.Told, count(r.Of, "peer"))
					fmt.Fprintln(out, "all tokens made before are void, but those made with --for: peer invite makes new ones")
					if r.Stranded > 0 {
						c.note("warning: no majority is left of the voters of %s: their keys wait for peer forget --force of those that will not come back", count(r.Stranded, "shard"))
					}
				})
			})
		},
	}
}

func rotateCommand(c *console) *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the key of this closed ring",
		Long: `Replace the key of this closed ring, as after somebody may have seen it. It needs
the present one: run it at the peer that made the ring. Members and inviters stay what
they are, need do nothing, and tokens stay good. Inviters that this peer does not know of,
such as one that a thief of the old key made, are out when the overlap ends, and all whom
they let in.

The file ring.key of the home holds the new key then: replace your copy of it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				r, err := cl.RotateKey(ctx, overlap)
				if err != nil {
					return err
				}
				return c.print(r, func(out io.Writer) {
					fmt.Fprintf(out, "ring %s has a new key: %d of %s know, the others within a minute; it keeps %s\n",
						r.Ring, r.Told, count(r.Of, "peer"), count(r.Inviters, "inviter"))
					c.note("the old key ends at %s; keep a copy of the new ring.key instead of it", r.Until.Local().Format(time.DateTime))
				})
			})
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "for how long the old key is good as well")
	return cmd
}
