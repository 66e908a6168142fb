package main

import "github.com/spf13/cobra"

func netsimCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "netsim",
		Short: "Simulate: many peers on one machine",
	}
	cmd.AddCommand(netsimClusterCommand(c), netsimModelCommand(c))
	return cmd
}
