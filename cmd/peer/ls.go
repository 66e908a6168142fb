package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

// lsPage is the number of keys asked for at once: the most that a peer gives.
const lsPage = 4096

func lsCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List keys, a line each",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			out := bufio.NewWriter(c.out)
			err := c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				after := ""
				for {
					keys, err := c.keysAfter(ctx, cl, prefix, after)
					if err != nil {
						return err
					}
					for _, key := range keys {
						if err := c.printKey(out, key); err != nil {
							return err
						}
					}
					if len(keys) < lsPage {
						return nil
					}
					after = keys[len(keys)-1]
				}
			})
			if flushErr := out.Flush(); err == nil {
				err = flushErr
			}
			return err
		},
	}
}

// keysAfter asks for one page: the time-out is for that, and not for all keys.
func (c *console) keysAfter(ctx context.Context, cl *client.Client, prefix, after string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return cl.List(ctx, prefix, after, lsPage)
}

func (c *console) printKey(out *bufio.Writer, key string) error {
	if !c.json {
		_, err := fmt.Fprintln(out, key)
		return err
	}
	return json.NewEncoder(out).Encode(struct {
		Key string `json:"key"`
	}{key})
}
