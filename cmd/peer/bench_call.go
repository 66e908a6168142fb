package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/internal/p2p/callbench"
)

// callFigures are what a call took under one load, and what the echo of bare
// frames over the same transport took in the same run.
type callFigures struct {
	callbench.Result
	Echo     callbench.Result `json:"echo"`
	P50Ratio float64          `json:"p50_ratio"`
	OpsRatio float64          `json:"ops_ratio"`
}

// benchCallDoc is the result of bench call: figures by number of callers.
type benchCallDoc struct {
	Bytes     int                    `json:"bytes"`
	DurationS float64                `json:"duration_s"` // of a round
	Rounds    int                    `json:"rounds"`
	TCP       map[string]callFigures `json:"tcp,omitempty"`
	QUIC      map[string]callFigures `json:"quic,omitempty"`
}

// benchCallFlags are the flags of bench call.
type benchCallFlags struct {
	bytes      int
	callers    []int
	transports []string
	rounds     int
	duration   time.Duration
	serve      string
}

func benchCallCommand(c *console) *cobra.Command {
	var f benchCallFlags
	cmd := &cobra.Command{
		Use:   "call",
		Short: "Measure calls between two processes, beside an echo of bare frames",
		Long: `Measure calls between two processes over loopback. Each figure stands beside that
of the plainest thing that could carry a call, an echo of frames on a stream of
the same transport, measured in turns in the same run: the ratio means something
on any machine.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.serve != "" {
				return callbench.Serve(cmd.Context(), f.serve, c.in, c.out)
			}
			return c.benchCall(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.bytes, "bytes", 100, "size of what is sent and comes back")
	flags.IntSliceVar(&f.callers, "callers", []int{1, 64}, "`numbers` of callers at once, a figure each")
	flags.StringSliceVar(&f.transports, "transports", []string{"tcp", "quic"}, "`transports` to measure")
	flags.IntVar(&f.rounds, "rounds", 5, "measurements of each, whose medians are shown")
	flags.DurationVar(&f.duration, "duration", 500*time.Millisecond, "time that each measurement takes")
	flags.StringVar(&f.serve, "serve", "", "answer over this transport until the input ends")
	_ = flags.MarkHidden("serve") // what the benchmark starts as its other process; the flag exists
	return cmd
}

func (c *console) benchCall(ctx context.Context, f benchCallFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start the other process: %w", err)
	}
	defer c.progress("")
	figures, err := callbench.Run(ctx, callbench.Config{
		Transports: f.transports,
		Sizes:      []int{f.bytes},
		Callers:    f.callers,
		Rounds:     f.rounds,
		Duration:   f.duration,
		Server: func(ctx context.Context, transport string) *exec.Cmd {
			return exec.CommandContext(ctx, exe, "bench", "call", "--serve", transport)
		},
		Report: func(done callbench.Figure) {
			c.progress("%s, %s: done", done.Transport, count(done.Callers, "caller"))
		},
	})
	if err != nil {
		return err
	}
	c.progress("")
	return c.print(f.doc(figures), func(out io.Writer) { c.printBenchCall(out, f, figures) })
}

func (f benchCallFlags) validate() error {
	const most = 512 << 10
	switch {
	case f.bytes < 0 || f.bytes > most:
		return usage("peer bench call", "--bytes must be from 0 to %d, not %d", most, f.bytes)
	case f.rounds < 1:
		return usage("peer bench call", "--rounds must be at least 1, not %d", f.rounds)
	case f.duration <= 0:
		return usage("peer bench call", "--duration must be more than 0, not %v", f.duration)
	}
	for _, t := range f.transports {
		if t != "tcp" && t != "quic" {
			return usage("peer bench call", "--transports are tcp and quic, not %q", t)
		}
	}
	return validCallers("peer bench call", f.callers)
}

func (f benchCallFlags) doc(figures []callbench.Figure) benchCallDoc {
	doc := benchCallDoc{Bytes: f.bytes, DurationS: f.duration.Seconds(), Rounds: f.rounds}
	by := map[string]*map[string]callFigures{"tcp": &doc.TCP, "quic": &doc.QUIC}
	for _, v := range figures {
		m := by[v.Transport]
		if *m == nil {
			*m = make(map[string]callFigures)
		}
		(*m)[strconv.Itoa(v.Callers)] = callFigures{Result: v.Call, Echo: v.Echo, P50Ratio: v.P50Ratio, OpsRatio: v.OpsRatio}
	}
	return doc
}

func (c *console) printBenchCall(out io.Writer, f benchCallFlags, figures []callbench.Figure) {
	fmt.Fprintf(out, "%d bytes there and back between two processes; medians of %d rounds of %v\n", f.bytes, f.rounds, f.duration)
	t := newTable("TRANSPORT", "CALLERS\t", "P50\t", "P99\t", "CALLS/S\t", "ECHO P50\t", "ECHO/S\t", "P50 RATIO\t", "RATE RATIO\t")
	for _, v := range figures {
		t.row(v.Transport, v.Callers, micros(v.Call.P50), micros(v.Call.P99), fmt.Sprintf("%.0f", v.Call.Ops),
			micros(v.Echo.P50), fmt.Sprintf("%.0f", v.Echo.Ops), fmt.Sprintf("%.2f", v.P50Ratio), fmt.Sprintf("%.2f", v.OpsRatio))
	}
	t.write(c, out)
}
