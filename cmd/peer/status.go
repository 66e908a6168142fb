package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func statusCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the running peer at a glance",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				status, err := cl.Status(ctx)
				if err != nil {
					return err
				}
				return c.print(status, func(out io.Writer) { printStatus(out, status) })
			})
		},
	}
}

// isGuest reports whether the status is that of a peer that is less than a member.
func isGuest(s client.Status) bool { return s.Role == "submit" || s.Role == "read" }

func printStatus(out io.Writer, s client.Status) {
	if isGuest(s) {
		printGuest(out, s)
		return
	}
	up := time.Duration(s.UptimeS * float64(time.Second)).Round(time.Second)
	t := s.Tasks
	fields(out,
		"peer", nameOf(s)+"  "+s.ID,
		"ring", fmt.Sprintf("%s, %s, %d of %d agree", s.Ring, count(s.Peers, "peer"), s.Agree, s.Of),
		"keys", fmt.Sprintf("%d here, %d under-replicated", s.Keys, s.UnderReplicated),
		"deletes", deletesLine(s),
		"hints", hintsLine(s),
		"forced", forcedLine(s),
		"tasks", fmt.Sprintf("%d queued, %d running, %d done, %d stolen in, %d stolen out",
			t.Queued, t.Running, t.Done, t.StolenIn, t.StolenOut),
		"functions", strings.Join(s.Functions, ", "),
		"up", up,
		"version", s.Version,
		"listens", strings.Join(s.Addrs, "\n"+strings.Repeat(" ", len("functions  "))),
	)
}

// printGuest tells of a peer that has members carry out its calls.
func printGuest(out io.Writer, s client.Status) {
	via := "nobody: no member answers (peer doctor tells why)"
	if len(s.Via) > 0 {
		via = strings.Join(s.Via, "\n"+strings.Repeat(" ", len("calls go to  ")))
	}
	fields(out,
		"peer", nameOf(s)+"  "+s.ID,
		"ring", fmt.Sprintf("%s, %s", s.Ring, count(s.Peers, "member")),
		"role", "guest: "+s.Role+"; it keeps no keys and runs no tasks",
		"calls go to", via,
		"up", time.Duration(s.UptimeS*float64(time.Second)).Round(time.Second),
		"version", s.Version,
	)
}

// hintsLine tells what the peer keeps for others, if anything.
func hintsLine(s client.Status) string {
	if s.Hints == 0 {
		return ""
	}
	return count(s.Hints, "write") + " kept for peers that are out of reach"
}

// forcedLine tells who was forgotten by force, and what that may have cost.
func forcedLine(s client.Status) string {
	if len(s.Forced) == 0 && s.ForcedShards == 0 {
		return ""
	}
	line := count(s.ForcedShards, "shard") + " went on by force: acknowledged writes may have been lost there"
	for _, f := range s.Forced {
		line += fmt.Sprintf("\n           without %s, by %s at %s", f.Peer, f.By, f.At.Local().Format(time.DateTime))
	}
	return line
}

// deletesLine tells what keeps deleted keys on disk.
func deletesLine(s client.Status) string {
	line := fmt.Sprintf("%d wait to be reclaimed", s.Deleted)
	for _, b := range s.Blockers {
		if b.Why != "" {
			line += fmt.Sprintf("\n           %d for %s, which refuses: %s", b.Keys, b.Peer, b.Why)
			continue
		}
		line += fmt.Sprintf("\n           %d for %s, which is out of reach (peer forget, if it is gone for good)", b.Keys, b.Peer)
	}
	return line
}

// count writes "1 peer" or "2 peers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
