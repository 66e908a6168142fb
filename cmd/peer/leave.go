package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func leaveCommand(c *console) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Hand everything over to other peers, then stop for good",
		Long: `Hand everything that the peer keeps over to other peers of the ring, then leave
the ring and stop. To stop a peer and start it again later, end it with a signal
instead: it keeps its keys.

Jobs that were submitted at the peer, and not with --durable, would end with it. While
there are any that have not ended it does not leave, unless --force says so.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				status, err := cl.Status(ctx)
				if err != nil {
					return err
				}
				leave := cl.Leave
				if force {
					leave = cl.LeaveForced
				}
				if err := leave(ctx); err != nil {
					return err
				}
				doc := struct {
					ID string `json:"id"`
				}{status.ID}
				return c.print(doc, func(out io.Writer) {
					fmt.Fprintf(out, "%s left ring %s; its keys are with other peers\n", nameOf(status), status.Ring)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if jobs end with the peer that have not ended")
	return cmd
}

// nameOf returns what people call the peer.
func nameOf(s client.Status) string { return peerNames{s.ID: s.Name}.name(s.ID) }
