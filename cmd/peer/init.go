package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/overlay/client"
)

// newConfig is the config file of a new home.
const newConfig = `# Settings of this peer. A flag beats its PEER_ variable, which beats this file.
# peer config show --origin lists every key, its value and what set it.

# timeout = "30s"

[run]
# name = "ada"
# listen = ["/ip4/0.0.0.0/tcp/4747", "/ip4/0.0.0.0/udp/4747/quic-v1"]
# workers = 4
`

// initDoc is what init made.
type initDoc struct {
	Home     string `json:"home"`
	Ring     string `json:"ring"`
	RingID   string `json:"ring_id"`
	Shards   int    `json:"shards"`
	Replicas int    `json:"replicas"`
}

func initCommand(c *console) *cobra.Command {
	var name string
	var open bool
	var shards, replicas int
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a home: identity, config file, and a new ring",
		Long: `Make a home: the peer's identity, a config file, and a new ring of which it is
the first peer. To join a ring that exists, use peer run --join instead.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !open {
				return &client.Error{
					Code:    client.CodeNotAvailable,
					Message: "closed rings, which peers enter by invitation, are not available yet; in an open ring anybody who reaches a peer may join",
					Fix:     "peer init --open",
				}
			}
			ring, err := bootstrap.NewRing(name, shards, replicas, time.Now())
			if err != nil {
				return usage("peer init", "%v", err)
			}
			if err := makeHome(c.home, ring); err != nil {
				return err
			}
			doc := initDoc{Home: c.home, Ring: ring.Name, RingID: ring.ID.String(), Shards: ring.Shards, Replicas: ring.Replicas}
			return c.print(doc, func(out io.Writer) {
				fmt.Fprintf(out, "made %s, the home of the first peer of ring %s\n", c.home, ring.Name)
				if !c.quiet {
					fmt.Fprintf(out, "next: peer run --home %s\n", c.home)
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "ring", "chorus", "`name` of the ring")
	flags.BoolVar(&open, "open", false, "let anybody who reaches a peer of the ring join it")
	flags.IntVar(&shards, "shards", 256, "parts that the keys are divided into, for good: a power of two")
	flags.IntVar(&replicas, "replicas", 3, "peers that keep each key")
	return cmd
}

// makeHome writes what a home holds before its peer runs first.
func makeHome(dir string, ring bootstrap.Ring) (err error) {
	home, err := bootstrap.OpenHome(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	if err := home.Create(ring); err != nil {
		return err
	}
	if _, err := home.Identity(); err != nil {
		return err
	}
	f, err := os.OpenFile(home.Path(configName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write config file: %w", err)
	}
	if _, err := f.WriteString(newConfig); err != nil {
		return fmt.Errorf("write config file: %w", errors.Join(err, f.Close()))
	}
	return f.Close()
}
