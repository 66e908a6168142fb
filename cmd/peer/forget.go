package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func forgetCommand(c *console) *cobra.Command {
	var spec client.ForgetSpec
	cmd := &cobra.Command{
		Use:   "forget PEER",
		Short: "Retire a peer that will not come back: its ID or the end of that",
		Long: `Retire a peer that will not come back, by its ID or the end of that, as peer status
and peer ring show it. The shards that count on it go on without it, and what was
deleted need not wait for it to confirm. A peer that answers is refused: let it
leave. So is one without which keys would have no majority of their replicas.

With --force it is retired even then. Where a majority of a shard's replicas is gone
for good, its keys can be neither read nor written until every peer that is missing
there is back, or forgotten with --force; then the shard goes on with what the
replicas that are left hold. Writes that were acknowledged and that none of them
holds are lost: that is your decision, it is logged by every peer, and peer status
shows it from then on. A shard of which no replica is left, as with ns set --n 1, begins
anew: all of its keys are lost. A peer that comes back all the same takes its place like
one that was away. Never force two parts of a ring that only cannot see each other.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Peer = args[0]
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				f, err := cl.Forget(ctx, spec)
				if err != nil {
					return err
				}
				return c.print(f, func(out io.Writer) { printForgotten(out, f) })
			})
		},
	}
	cmd.Flags().BoolVar(&spec.Force, "force", false, "even if keys have no majority of their replicas left: acknowledged writes may be lost")
	return cmd
}

// maxShardsShown bounds how many shards a line names.
const maxShardsShown = 16

func printForgotten(out io.Writer, f client.Forgotten) {
	fmt.Fprintf(out, "%s is forgotten: %s go on without it, %d of %d peers know\n", f.ID, count(f.Shards, "shard"), f.Told, f.Of)
	if len(f.Forced) == 0 {
		return
	}
	fmt.Fprintf(out, "acknowledged writes may be lost in %s, which had no majority left: %s\n", count(len(f.Forced), "shard"), someShards(f.Forced))
	if len(f.Lost) > 0 {
		fmt.Fprintf(out, "all keys are lost in %s, of which no replica is left: %s\n", count(len(f.Lost), "shard"), someShards(f.Lost))
	}
	for _, peer := range f.Waits {
		fmt.Fprintf(out, "they still wait for %s: start it, or if it will not come back: peer forget --force %s\n", peer, peer)
	}
}

// someShards names the first of some shards.
func someShards(shards []int) string {
	names := make([]string, 0, maxShardsShown)
	for _, shard := range shards[:min(len(shards), maxShardsShown)] {
		names = append(names, fmt.Sprint(shard))
	}
	if len(shards) > maxShardsShown {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}
