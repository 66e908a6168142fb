package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// minDemo is the size of a ring that survives a kill: below three peers there
// is no quorum left.
const minDemo = 3

func demoCommand(c *console) *cobra.Command {
	var n int
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See a ring of peers keep keys, share work and survive a kill",
		Long: `See a ring of peers keep keys, share work and survive a kill: real peers in one
process, libp2p on loopback, their disks in a temporary folder. Nothing else is
touched, and the folder is removed in the end.

The demo stays up until it is interrupted. With --once it ends with the story,
with exit status 0 if all of it held and 5 if not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < minDemo || n > len(names) {
				return usage("peer demo", "-n must be from %d to %d, not %d", minDemo, len(names), n)
			}
			return c.demo(cmd.Context(), n, once)
		},
	}
	cmd.Flags().IntVarP(&n, "peers", "n", 5, "number of peers")
	cmd.Flags().BoolVar(&once, "once", false, "end with the story instead of staying up")
	return cmd
}

func (c *console) demo(ctx context.Context, n int, once bool) (err error) {
	dir, err := os.MkdirTemp("", "chorus-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	out := c.out
	if c.json {
		out = io.Discard
	}
	s := &story{c: c, out: out, start: time.Now(), doc: demoDoc{Peers: n, Failed: []string{}}}
	s.tell("%s start, each with a disk of its own in %s", sentence(names[:n]), dir)
	s.ring, err = cluster.Start(ctx, cluster.Settings{
		Peers: n,
		Dir:   dir,
		Names: names[:n],
		Node:  overlay.Config{Workers: 1}, // they share this machine
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.ring.Close()) }()
	if err := s.play(ctx); err != nil {
		return s.broken(ctx, err)
	}
	if c.json {
		if err := c.print(s.doc, nil); err != nil {
			return err
		}
	}
	switch held := len(s.doc.Failed) == 0; {
	case once && !held:
		return s.broken(ctx, nil)
	case once:
		return nil
	case !held:
		s.tell("not all of that held: %s", strings.Join(s.doc.Failed, "; "))
	}
	s.tell("the ring stays up; talk to it from another shell:")
	for _, line := range []string{"get " + storyKey, "ring", "submit primes --input 1000000 --n 50"} {
		fmt.Fprintf(out, "\n        %s %s --home %s", invocation(), line, s.ring.Home(0))
	}
	fmt.Fprint(out, "\n\n        Ctrl-C ends it and removes the folder.\n")
	<-ctx.Done()
	return nil
}

// invocation is how the program was started, for commands that people shall
// run.
func invocation() string {
	if exe, err := os.Executable(); err == nil && strings.Contains(exe, "go-build") {
		return "go run ./cmd/peer"
	}
	return os.Args[0]
}

// broken returns the error of a story that did not hold.
func (s *story) broken(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	what := strings.Join(s.doc.Failed, "; ")
	if err != nil {
		what = strings.TrimPrefix(what+"; "+err.Error(), "; ")
	}
	return &client.Error{Code: client.CodeUnhealthy, Message: "the story did not hold: " + what}
}

// names of the peers of a demo.
var names = []string{
	"ada", "bela", "ciro", "dora", "enzo", "fina", "gino", "hana", "ivo", "juno",
	"kira", "luca", "mira", "nico", "olga", "pia", "quin", "rosa", "saul", "tess",
}

// sentence writes "a, b and c".
func sentence(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
