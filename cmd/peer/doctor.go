package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func doctorCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at what the running peer needs to work, and say what to do",
		Long: `Look at what the running peer needs to work: peers that answer, addresses, clock,
disk, agreement of the ring, copies of keys, its pass, and limits. What is wrong comes with
what to do. The exit status is 5 if a check failed; warnings do not count.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				d, err := cl.Doctor(ctx)
				if err != nil {
					return err
				}
				if err := c.print(d, func(out io.Writer) { printDiagnosis(out, d) }); err != nil {
					return err
				}
				if n := d.Failed(); n > 0 {
					return &client.Error{Code: client.CodeUnhealthy, Message: fmt.Sprintf("%d of %d checks failed", n, len(d.Checks))}
				}
				return nil
			})
		},
	}
}

func printDiagnosis(out io.Writer, d client.Diagnosis) {
	for _, check := range d.Checks {
		fmt.Fprintf(out, "%-5s %-7s %s\n", check.State, check.Name, check.Detail)
		if check.Fix != "" {
			fmt.Fprintf(out, "%13s fix: %s\n", "", check.Fix)
		}
	}
}
