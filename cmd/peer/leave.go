package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func leaveCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "leave",
		Short: "Hand everything over to other peers, then stop for good",
		Long: `Hand everything that the peer keeps over to other peers of the ring, then leave
the ring and stop. To stop a peer and start it again later, end it with a signal
instead: it keeps its keys.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				status, err := cl.Status(ctx)
				if err != nil {
					return err
				}
				if err := cl.Leave(ctx); err != nil {
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
}

// nameOf returns what people call the peer.
func nameOf(s client.Status) string { return peerNames{s.ID: s.Name}.name(s.ID) }
