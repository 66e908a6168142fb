package main

import (
	"slices"

	"github.com/spf13/cobra"
)

func benchCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure: against the running peer, or a ring of its own",
	}
	cmd.AddCommand(benchKVCommand(c), benchCallCommand(c), benchTaskCommand(c), benchLookupCommand(c), benchUTSCommand(c), benchWASMCommand(c))
	return cmd
}

// validCallers checks the --callers of a benchmark.
func validCallers(command string, callers []int) error {
	const most = 1024
	if len(callers) == 0 || slices.Min(callers) < 1 || slices.Max(callers) > most {
		return usage(command, "--callers must be numbers from 1 to %d", most)
	}
	return nil
}
