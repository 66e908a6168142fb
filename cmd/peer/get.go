package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func getCommand(c *console) *cobra.Command {
	r := newChoice(levels...)
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Read a value: its bytes and nothing else",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				record, err := cl.Get(ctx, args[0], client.WithR(client.Level(r.value)))
				if errors.Is(err, client.ErrNotFound) {
					return &client.Error{
						Code:    client.CodeNotFound,
						Message: fmt.Sprintf("there is no key %q", args[0]),
						Fix:     "peer ls",
					}
				}
				if err != nil {
					return err
				}
				if c.json {
					return c.print(record, nil)
				}
				_, err = c.out.Write(record.Value)
				return err
			})
		},
	}
	cmd.Flags().Var(r, "r", "replicas that must have answered: one, quorum or all")
	return cmd
}
