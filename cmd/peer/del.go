package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func delCommand(c *console) *cobra.Command {
	w := newWriteLevel()
	cmd := &cobra.Command{
		Use:   "del KEY",
		Short: "Delete a key; that it is not there is no error",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				receipt, err := cl.Delete(ctx, args[0], client.WithW(client.Level(w.value)))
				if err != nil {
					return err
				}
				return c.printReceipt("deleted", receipt)
			})
		},
	}
	cmd.Flags().Var(w, "w", "replicas that must have stored the deletion: one, quorum, all, or sloppy (see peer put); default: as the namespace says, or else quorum")
	return cmd
}
