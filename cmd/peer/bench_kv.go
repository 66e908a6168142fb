package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/internal/load"
	"github.com/chorus-net/chorus/store"
)

// figures are what one operation took under one load.
type figures struct {
	P50us  float64 `json:"p50_us"`
	P99us  float64 `json:"p99_us"`
	OpsS   float64 `json:"ops_s"`
	RPCs   float64 `json:"rpcs"` // calls between peers, for each operation
	Ops    uint64  `json:"ops"`
	Failed uint64  `json:"failed"`
}

// benchKVDoc is the result of bench kv. Put and Get are by number of callers.
type benchKVDoc struct {
	Peers      int                `json:"peers"`
	Via        string             `json:"via"` // "process" or "socket"
	ValueBytes int                `json:"value_bytes"`
	W          string             `json:"w"`
	R          string             `json:"r"`
	DurationS  float64            `json:"duration_s"` // of each figure
	Put        map[string]figures `json:"put"`
	Get        map[string]figures `json:"get"`
}

// benchKVFlags are the flags of bench kv.
type benchKVFlags struct {
	peers      int
	valueBytes int
	callers    []int
	duration   time.Duration
	w, r       *choice
}

func benchKVCommand(c *console) *cobra.Command {
	f := benchKVFlags{w: newChoice(levels...), r: newChoice(levels...)}
	cmd := &cobra.Command{
		Use:   "kv",
		Short: "Measure puts and gets",
		Long: `Measure puts and gets, by so many callers at once. With --peers N they are made in
the process of the first peer of a new ring: N real peers over loopback, with
their disks in a temporary folder. Without it they are made at the running peer,
through its socket; the keys that this leaves, bench/..., expire after 10 minutes.

The column RPCS counts calls between peers for each operation.`,
		Example: "  peer bench kv --peers 3\n  peer bench kv --callers 1,256 --value-bytes 4096 --duration 10s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return err
			}
			return c.benchKV(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.peers, "peers", 0, "start a ring of so many peers; 0 is the running peer")
	flags.IntVar(&f.valueBytes, "value-bytes", 100, "size of the values")
	flags.IntSliceVar(&f.callers, "callers", []int{1, 16, 64}, "`numbers` of callers at once, a figure each")
	flags.DurationVar(&f.duration, "duration", 2*time.Second, "time that each figure is measured for")
	flags.Var(f.w, "w", "replicas that must have stored a value: one, quorum or all")
	flags.Var(f.r, "r", "replicas that must have answered a read: one, quorum or all")
	return cmd
}

func (f benchKVFlags) validate() error {
	switch {
	case f.peers < 0 || f.peers > maxCluster:
		return usage("peer bench kv", "--peers must be from 0 to %d, not %d", maxCluster, f.peers)
	case f.valueBytes < 0 || f.valueBytes > store.MaxValue:
		return usage("peer bench kv", "--value-bytes must be from 0 to %d, not %d", store.MaxValue, f.valueBytes)
	case f.duration <= 0:
		return usage("peer bench kv", "--duration must be more than 0, not %v", f.duration)
	}
	return validCallers("peer bench kv", f.callers)
}

func (c *console) benchKV(ctx context.Context, f benchKVFlags) (err error) {
	var target *benchTarget
	if f.peers > 0 {
		target, err = ownTarget(ctx, f)
	} else {
		target, err = c.runningTarget(ctx, f)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.close()) }()

	doc := benchKVDoc{
		Peers:      target.peers,
		Via:        target.via,
		ValueBytes: f.valueBytes,
		W:          f.w.value,
		R:          f.r.value,
		DurationS:  f.duration.Seconds(),
		Put:        make(map[string]figures),
		Get:        make(map[string]figures),
	}
	defer c.progress("")
	for _, callers := range f.callers {
		n := strconv.Itoa(callers)
		bench := kvBench{target: target, callers: callers, duration: f.duration, value: make([]byte, f.valueBytes)}
		_, _ = rand.Read(bench.value) // never fails
		c.progress("put, %s", count(callers, "caller"))
		if doc.Put[n], err = bench.puts(ctx); err != nil {
			return fmt.Errorf("put by %s: %w", count(callers, "caller"), err)
		}
		c.progress("get, %s", count(callers, "caller"))
		if doc.Get[n], err = bench.gets(ctx); err != nil {
			return fmt.Errorf("get by %s: %w", count(callers, "caller"), err)
		}
	}
	c.progress("")
	return c.print(doc, func(out io.Writer) { c.printBenchKV(out, f, doc) })
}

func (c *console) printBenchKV(out io.Writer, f benchKVFlags, doc benchKVDoc) {
	fmt.Fprintf(out, "%s, values of %d bytes, w %s, r %s, %v each, calls through the %s\n",
		count(doc.Peers, "peer"), doc.ValueBytes, doc.W, doc.R, f.duration, doc.Via)
	t := newTable("OP", "CALLERS\t", "P50\t", "P99\t", "OPS/S\t", "RPCS\t", "FAILED\t")
	for _, op := range []struct {
		name string
		by   map[string]figures
	}{{"put", doc.Put}, {"get", doc.Get}} {
		for _, callers := range f.callers {
			v := op.by[strconv.Itoa(callers)]
			t.row(op.name, callers, micros(v.P50us), micros(v.P99us), fmt.Sprintf("%.0f", v.OpsS), fmt.Sprintf("%.1f", v.RPCs), v.Failed)
		}
	}
	t.write(c, out)
}

// micros writes a number of microseconds with three digits.
func micros(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f us", us)
	case us < 100_000:
		return fmt.Sprintf("%.1f ms", us/1000)
	default:
		return fmt.Sprintf("%.0f ms", us/1000)
	}
}

// kvBench measures a target under one load.
type kvBench struct {
	target   *benchTarget
	callers  int
	duration time.Duration
	value    []byte
	written  uint64 // keys 0 to written-1 exist
}

func (b *kvBench) puts(ctx context.Context) (figures, error) {
	v, next, err := b.measure(ctx, 0, func(ctx context.Context, i uint64) error {
		return b.target.put(ctx, b.key(i), b.value)
	})
	b.written = next
	return v, err
}

// gets reads the keys that puts wrote, in an order of no pattern. A key whose
// put failed is not found, which counts as a failure.
func (b *kvBench) gets(ctx context.Context) (figures, error) {
	const prime = 2654435761
	v, _, err := b.measure(ctx, 0, func(ctx context.Context, i uint64) error {
		return b.target.get(ctx, b.key(i*prime%b.written))
	})
	return v, err
}

func (b *kvBench) key(i uint64) string {
	return fmt.Sprintf("bench/%d/%d", b.callers, i)
}

func (b *kvBench) measure(ctx context.Context, first uint64, op func(context.Context, uint64) error) (figures, uint64, error) {
	warmup, err := load.Run(ctx, load.Settings{Callers: b.callers, Duration: b.duration / 10, First: first}, op)
	if err != nil {
		return figures{}, 0, err
	}
	before, err := b.target.calls(ctx)
	if err != nil {
		return figures{}, 0, err
	}
	r, err := load.Run(ctx, load.Settings{Callers: b.callers, Duration: b.duration, First: warmup.Next}, op)
	if err != nil {
		return figures{}, 0, err
	}
	after, err := b.target.calls(ctx)
	if err != nil {
		return figures{}, 0, err
	}
	return figures{
		P50us:  float64(r.P50.Nanoseconds()) / 1000,
		P99us:  float64(r.P99.Nanoseconds()) / 1000,
		OpsS:   r.PerSecond(),
		RPCs:   float64(after-before) / float64(r.Ops+r.Failed),
		Ops:    r.Ops,
		Failed: r.Failed,
	}, r.Next, nil
}
