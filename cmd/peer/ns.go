package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

// nsPage is the number of namespaces asked for at once.
const nsPage = 100

func nsCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ns",
		Short: "Settings of namespaces: what calls on keys NS/... do by default",
	}
	cmd.AddCommand(nsListCommand(c), nsShowCommand(c), nsSetCommand(c))
	return cmd
}

func nsListCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List namespaces that have settings",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []client.Namespace
			err := c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				for after := ""; ; after = all[len(all)-1].Name {
					page, err := cl.Namespaces(ctx, after, nsPage)
					if all = append(all, page...); err != nil || len(page) < nsPage {
						return err
					}
				}
			})
			if err != nil {
				return err
			}
			if all == nil {
				all = []client.Namespace{}
			}
			return c.print(all, func(out io.Writer) {
				t := newTable("NAMESPACE", "W", "R", "TTL", "CLASS", "REPLICAS\t")
				for _, ns := range all {
					t.row(ns.Name, orQuorum(ns.W), orQuorum(ns.R), orNever(ns.TTL), ns.Class, ns.Replicas)
				}
				t.write(c, out)
			})
		},
	}
}

func nsShowCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "show NS",
		Short: "Show the settings of a namespace",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				ns, err := cl.Namespace(ctx, args[0])
				if err != nil {
					return err
				}
				return c.print(ns, func(out io.Writer) {
					fields(out, "namespace", ns.Name, "w", orQuorum(ns.W), "r", orQuorum(ns.R), "ttl", orNever(ns.TTL),
						"class", ns.Class, "replicas", ns.Replicas)
				})
			})
		},
	}
}

func nsSetCommand(c *console) *cobra.Command {
	w, r := newLevel(), newLevel()
	var ttl time.Duration
	var replicas int
	cmd := &cobra.Command{
		Use:   "set NS [--w LEVEL] [--r LEVEL] [--ttl D] [--n REPLICAS]",
		Short: "Change settings of a namespace; those not named stay",
		Long: `Change settings of a namespace; those not named stay. They are what puts and
gets of its keys do that do not say otherwise. All peers go by them within 5 s;
keys that are there keep their time to live.

--n is how many replicas each key has. It is decided for good, before the first
key is put; all peers go by it at once. With --n 1 a key is gone with its peer.`,
		Example: "  peer ns set sessions --ttl 24h\n  peer ns set ledger --w all --r one\n  peer ns set vault --n 5",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := cmd.Flags().Changed
			if !set("w") && !set("r") && !set("ttl") && !set("n") {
				return usage("peer ns set", "peer ns set needs at least one of --w, --r, --ttl and --n")
			}
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				ns, err := cl.Namespace(ctx, args[0])
				if err != nil {
					return err
				}
				if set("w") {
					ns.W = client.Level(w.value)
				}
				if set("r") {
					ns.R = client.Level(r.value)
				}
				if set("ttl") {
					ns.TTL = ttl
				}
				if set("n") {
					if replicas < 1 {
						return usage("peer ns set", "--n: %d replicas are too few", replicas)
					}
					ns.Replicas = replicas
				}
				receipt, err := cl.SetNamespace(ctx, ns)
				if err != nil {
					return err
				}
				return c.printReceipt("set", receipt)
			})
		},
	}
	cmd.Flags().Var(w, "w", "replicas that must have stored a value: one, quorum or all")
	cmd.Flags().Var(r, "r", "replicas that must have answered a read: one, quorum or all")
	cmd.Flags().IntVar(&replicas, "n", 0, "replicas of each key, 1 to 7; only before the first key")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "let keys expire after this long; 0 is never")
	return cmd
}

func orQuorum(l client.Level) client.Level {
	if l == "" {
		return client.LevelQuorum
	}
	return l
}

func orNever(ttl time.Duration) string {
	if ttl == 0 {
		return "never"
	}
	return fmt.Sprint(ttl)
}
