package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func grantCommand(c *console) *cobra.Command {
	var spec client.GrantSpec
	cmd := &cobra.Command{
		Use:   "grant PEER",
		Short: "Let another peer write in this peer's own namespace",
		Long: `Let another peer write in this peer's own namespace, by its ID or the end of that.

The namespace @ID belongs to the peer of that ID: what is stored there is signed by it, or by
a peer that it granted that, and everybody checks. With --revoke the grant is taken
back, and the writer notices within a minute; one that lies goes on until the grant expires. What
it wrote stays.`,
		Example: "  peer put @ID/motd hello\n  peer grant PEER --expires 24h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Peer = args[0]
			if spec.Expires <= 0 {
				return usage("peer grant", "--expires must be more than 0, not %v", spec.Expires)
			}
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				g, err := cl.Grant(ctx, spec)
				if err != nil {
					return err
				}
				return c.print(g, func(out io.Writer) { printGrant(out, g) })
			})
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&spec.Expires, "expires", 7*24*time.Hour, "how long the peer may write")
	flags.BoolVar(&spec.Revoke, "revoke", false, "take the grant back")
	return cmd
}

func printGrant(out io.Writer, g client.Grant) {
	if g.Revoked {
		fmt.Fprintf(out, "%s gets no grant any more: it notices within a minute, and if it lies, its grant ends when it expires\n", g.Peer)
		return
	}
	fmt.Fprintf(out, "%s may write in %s until %s\n", g.Peer, g.Namespace, g.Expires.Local().Format(time.DateTime))
}
