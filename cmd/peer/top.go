package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func topCommand(c *console) *cobra.Command {
	var every time.Duration
	var n int
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what the peers have to do, live: queues, runs and steals",
		Long: `Show what the peers of the ring have to do: tasks that wait and run, and how many
were done and stolen since each peer's start and, once there were two looks, in a
second. On a terminal it looks again and again until it is interrupted; otherwise once,
or as often as --count says.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond || n < 0 {
				return usage("peer top", "--every must be at least 100ms, and --count not negative")
			}
			live := isTerminal(c.out) && !c.json
			if n == 0 && !live {
				n = 1
			}
			return c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.top(ctx, cl, every, n, live && n != 1)
			})
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "time between two looks, at least 100ms")
	cmd.Flags().IntVar(&n, "count", 0, "number of looks; 0 is until interrupted on a terminal, and else 1")
	return cmd
}

// top looks n times, 0 being until the context ends, and shows each look in the place
// of the one before if live.
func (c *console) top(ctx context.Context, cl *client.Client, every time.Duration, n int, live bool) error {
	var before map[string]client.TaskCounts
	var at time.Time
	for i := 0; ; i++ {
		peers, err := cl.Top(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		err = c.print(peers, func(out io.Writer) {
			if live {
				fmt.Fprint(out, "\x1b[H\x1b[2J") // home, clear
			}
			c.printLoads(out, peers, before, now.Sub(at))
		})
		if err != nil || i+1 == n {
			return err
		}
		before, at = make(map[string]client.TaskCounts), now
		for _, p := range peers {
			before[p.ID] = p.Tasks
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// printLoads shows what peers have to do, and how fast they have got on since the look
// before.
func (c *console) printLoads(out io.Writer, peers []client.PeerLoad, before map[string]client.TaskCounts, since time.Duration) {
	t := newTable("PEER", "WORKERS\t", "RUNNING\t", "QUEUED\t", "DONE\t", "STOLEN IN\t", "STOLEN OUT\t", "STEALS\t", "DONE/S\t", "STEALS/S\t")
	for _, p := range peers {
		if p.Error != "" {
			t.row(topName(p), "", "", "", "", "", "", "", "", "no answer")
			continue
		}
		doneRate, stealRate := "", ""
		if b, ok := before[p.ID]; ok && p.Tasks.Done >= b.Done && p.Tasks.Steals >= b.Steals { // or it was started anew
			doneRate = fmt.Sprintf("%.0f", float64(p.Tasks.Done-b.Done)/since.Seconds())
			stealRate = fmt.Sprintf("%.0f", float64(p.Tasks.Steals-b.Steals)/since.Seconds())
		}
		t.row(topName(p), p.Slots, p.Tasks.Running, p.Tasks.Queued, p.Tasks.Done, p.Tasks.StolenIn, p.Tasks.StolenOut, p.Tasks.Steals, doneRate, stealRate)
	}
	t.write(c, out)
}

func topName(p client.PeerLoad) string {
	if p.Name != "" {
		return p.Name
	}
	return shortID(p.ID)
}
