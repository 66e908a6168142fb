package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func forgetCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "forget PEER",
		Short: "Retire a peer that will not come back: its ID or the end of that",
		Long: `Retire a peer that will not come back, by its ID or the end of that, as peer status
and peer ring show it. The shards that count on it go on without it, and what was
deleted need not wait for it to confirm. A peer that answers is refused: let it
leave. So is one without which keys would have no majority of their replicas.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				f, err := cl.Forget(ctx, args[0])
				if err != nil {
					return err
				}
				return c.print(f, func(out io.Writer) {
					fmt.Fprintf(out, "%s is forgotten: %s go on without it, %d of %d peers know\n", f.ID, count(f.Shards, "shard"), f.Told, f.Of)
				})
			})
		},
	}
}
