package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// stopTime is how long a peer may take to stop in order after a signal.
const stopTime = 9 * time.Second

// runFlags are the flags of run.
type runFlags struct {
	config   overlay.Config
	metrics  string // where to serve them, "" for nowhere
	token    string // file with the token that readers of metrics show
	profile  *choice
	engine   *choice
	logLevel *choice
	memory   int64
}

func runCommand(c *console) *cobra.Command {
	f := runFlags{
		profile:  newChoice("auto", "lan", "wan"),
		engine:   newChoice("badger4", "badger", "memory"),
		logLevel: newChoice("info", "debug", "warn", "error"),
	}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a peer in the foreground",
		Long: `Run a peer in the foreground. One line on standard error tells when it is ready,
and with which addresses others join; logs follow.

A signal (SIGINT, SIGTERM) stops it in order, within 10 s, with exit status 0. It
keeps its keys and its place in the ring for the next start; peer leave gives
them up.`,
		Example: "  peer run\n  peer run --home DIR --join TOKEN --listen /ip4/0.0.0.0/tcp/4748\n  peer run --home DIR --join /ip4/192.0.2.7/tcp/4747/p2p/PEER-ID",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runPeer(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.config.Peers, "join", nil, "`token` of peer invite; for an open ring the multiaddr of a peer with /p2p/PEER-ID; or @FILE with one of these a line; may be repeated")
	flags.StringSliceVar(&f.config.Listen, "listen", []string{"/ip4/0.0.0.0/tcp/4747", "/ip4/0.0.0.0/udp/4747/quic-v1"},
		"`multiaddr` to listen on; may be repeated")
	flags.Var(f.profile, "profile", "addresses to announce and dial: lan all, wan public ones, auto by whether this peer has, or is seen at, a public one")
	flags.StringVar(&f.config.Name, "name", "", "what people call the peer; by default the end of its ID")
	flags.StringVar(&f.config.Ring, "ring", "", "refuse to join a ring of another `name`")
	flags.IntVar(&f.config.Workers, "workers", 0, "tasks that run at once; 0 is one a core, -1 none")
	flags.IntVar(&f.config.Weight, "weight", 0, "share of keys that a new peer takes, in `percent` of an ordinary one's, up to 800; a peer keeps that of its first start; 0 is 100, or what it keeps")
	flags.Var((*size)(&f.config.Quota), "quota", "most `bytes` of keys and values to keep, such as 10GiB; 0 is no bound")
	flags.Var((*size)(&f.memory), "memory", "`bytes` that the process aims to stay within, such as 256MiB; 0 is no aim")
	flags.Var((*size)(&f.config.MaxMemory), "max-memory", "most `bytes` that connections may use, such as 256MiB; 0 is an eighth of the machine's memory")
	flags.IntVar(&f.config.MaxFiles, "max-files", 0, "most file descriptors that connections may use; 0 is half of what the process may open")
	flags.Var(f.engine, "engine", "what keeps the keys: badger4, badger or memory")
	flags.StringVar(&f.metrics, "metrics", "", "serve Prometheus metrics at this `host:port`, under /metrics; without a host on loopback")
	flags.StringVar(&f.token, "metrics-token", "", "`file` with a token that readers of metrics must show, as 'Authorization: Bearer TOKEN'; needed beyond loopback")
	flags.Var(f.logLevel, "log-level", "least level of what is logged: debug, info, warn or error")
	return cmd
}

// runPeer runs a peer until a signal, or until it has left the ring.
func (c *console) runPeer(ctx context.Context, f runFlags) error {
	if err := limitMemory(f.memory); err != nil {
		return err
	}
	f.config.Home = c.home
	f.config.Engine = f.engine.value
	f.config.Profile = f.profile.value
	f.config.Logger = c.logger(f.logLevel.value)

	metrics, err := listenMetrics(f.metrics, f.token)
	if err != nil {
		return err
	}
	defer metrics.close()
	f.config.Metrics = metrics != nil

	joining, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	node, err := overlay.Join(joining, f.config)
	if err != nil {
		return err
	}
	c.announce(ctx, node)
	if metrics != nil {
		metrics.serve(node.Metrics())
		c.note("metrics: %s", metrics.url())
	}
	select {
	case <-ctx.Done():
		c.note("stopping: keys stay in %s", c.home)
	case <-node.Done():
		c.note("stopping: %s left the ring", node.Name())
	}
	return stopInTime(node)
}

// announce tells people that the peer is usable and how others find it.
func (c *console) announce(ctx context.Context, node *overlay.Node) {
	addrs := node.Addrs()
	ring, peers, open := "", 1, false
	if status, err := node.Status(ctx); err == nil {
		if isGuest(status) {
			fmt.Fprintf(c.err, "ready: peer %s id %s listening on nothing, guest of ring %s with role %s; %s\n",
				node.Name(), node.ID(), status.Ring, status.Role, count(status.Peers, "member"))
			return
		}
		ring, peers, open = status.Ring, status.Peers, status.Open
	}
	fmt.Fprintf(c.err, "ready: peer %s id %s listening on %s, ring %s; %s\n",
		node.Name(), node.ID(), strings.Join(addrs, " "), ring, count(peers, "peer"))
	if !open {
		c.note("join: peer invite --home %s (at an inviter of the ring) prints a token", c.home)
		return
	}
	for _, a := range addrs {
		c.note("join: peer run --join %s", a)
	}
}

// stopInTime closes the node, but waits for it no longer than stopTime: what
// was acknowledged is on disk anyway.
func stopInTime(node *overlay.Node) error {
	closed := make(chan error, 1)
	go func() { closed <- node.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(stopTime):
		return &client.Error{
			Code:    client.CodeTimeout,
			Message: fmt.Sprintf("the peer did not stop in order within %v and was cut off; no acknowledged key is lost", stopTime),
		}
	}
}

// logger writes logs to standard error.
func (c *console) logger(level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		panic(errors.Join(errors.New("a choice of --log-level is no level"), err))
	}
	options := &slog.HandlerOptions{Level: l}
	if c.json {
		return slog.New(slog.NewJSONHandler(c.err, options))
	}
	return slog.New(slog.NewTextHandler(c.err, options))
}
