package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/bootstrap/pass"
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
	Open     bool   `json:"open"`
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
the first peer. To join a ring that exists, use peer run --join instead.

The ring is closed: peers join it with a token that peer invite prints. Its key is
the file ring.key of the home, without which no more inviters can be made, and
inviters cannot be revoked: keep a copy of ring.key and identity.key where nobody else reads
it. In an open ring (--open) anybody who reaches a peer may join.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ring, err := makeHome(c.home, open, name, shards, replicas)
			if err != nil {
				return err
			}
			doc := initDoc{
				Home: c.home, Ring: ring.Name, RingID: ring.ID.String(), Open: ring.Open, Shards: ring.Shards, Replicas: ring.Replicas,
			}
			return c.print(doc, func(out io.Writer) {
				fmt.Fprintf(out, "made %s, the home of the first peer of %s ring %s\n", c.home, kindOf(ring), ring.Name)
				if !c.quiet {
					tellInit(out, c.home, ring)
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

func kindOf(r bootstrap.Ring) string {
	if r.Open {
		return "open"
	}
	return "closed"
}

// tellInit says what comes next.
func tellInit(out io.Writer, home string, r bootstrap.Ring) {
	if !r.Open {
		fmt.Fprintf(out, "keep a copy of %s and %s where nobody else reads it: the ring is ruled by them\n",
			filepath.Join(home, bootstrap.RingKeyFile), filepath.Join(home, bootstrap.IdentityFile))
	}
	fmt.Fprintf(out, "next: peer run --home %s\n", home)
	if !r.Open {
		fmt.Fprintf(out, "then: peer invite --home %s (prints a token by which others join)\n", home)
	}
}

// makeHome writes what a home holds before its peer runs first.
func makeHome(dir string, open bool, name string, shards, replicas int) (ring bootstrap.Ring, err error) {
	home, err := bootstrap.OpenHome(dir)
	if err != nil {
		return ring, err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	if open {
		if ring, err = bootstrap.NewRing(name, pass.Key{}, shards, replicas, time.Now()); err != nil {
			return ring, usage("peer init", "%v", err)
		}
		err = home.Create(ring)
	} else {
		made, key, bad := bootstrap.NewClosedRing(name, shards, replicas, time.Now())
		if bad != nil {
			return ring, usage("peer init", "%v", bad)
		}
		ring = made
		err = home.CreateClosed(ring, key, time.Now())
	}
	if err != nil {
		return ring, err
	}
	if _, err := home.Identity(); err != nil {
		return ring, err
	}
	return ring, writeConfig(home.Path(configName))
}

// writeConfig writes the config file of a new home, unless there is one.
func writeConfig(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
