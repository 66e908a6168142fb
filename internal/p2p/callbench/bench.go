package callbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// Config says what to measure.
type Config struct {
	// Transports are of "tcp" and "quic". Empty: both.
	Transports []string
	// Sizes are the bytes of a payload. Empty: 100 and 16 KiB.
	Sizes []int
	// Callers are how many call at the same time. Empty: 1 and 64.
	Callers []int
	// Rounds is how often each is measured, in turns; medians are reported.
	// Zero: 3.
	Rounds int
	// Duration is the length of a round of one of both. Zero: 500 ms.
	Duration time.Duration
	// Server returns the command that runs Serve for a transport, in a process
	// of its own. Nil: the server runs in this process.
	Server func(ctx context.Context, transport string) *exec.Cmd
	// Report is called with each figure as it is ready. Nil: nobody is told.
	Report func(Figure)
}

func (c Config) withDefaults() Config {
	if len(c.Transports) == 0 {
		c.Transports = []string{"tcp", "quic"}
	}
	if len(c.Sizes) == 0 {
		c.Sizes = []int{100, 16 << 10}
	}
	if len(c.Callers) == 0 {
		c.Callers = []int{1, 64}
	}
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.Duration == 0 {
		c.Duration = 500 * time.Millisecond
	}
	return c
}

func (c Config) validate() error {
	for _, n := range c.Sizes {
		if n < 0 || n > maxSize {
			return fmt.Errorf("config: size %d is not within 0 and %d", n, maxSize)
		}
	}
	for _, n := range c.Callers {
		if n < 1 || n > 1024 {
			return fmt.Errorf("config: %d callers are not within 1 and 1024", n)
		}
	}
	if c.Rounds < 1 || c.Duration <= 0 {
		return errors.New("config: Rounds and Duration must be above zero")
	}
	return nil
}

// Result is the outcome of one kind of operation.
type Result struct {
	P50 float64 `json:"p50_us"` // median latency in microseconds
	P99 float64 `json:"p99_us"`
	Ops float64 `json:"ops_s"` // operations a second, of all callers together
}

// Figure compares calls with the echo of frames: by one caller that does its
// own reading and writing, or by many that share a stream.
type Figure struct {
	Transport string `json:"transport"`
	Bytes     int    `json:"bytes"`
	Callers   int    `json:"callers"`
	Call      Result `json:"call"`
	Echo      Result `json:"echo"`
	// P50Ratio and OpsRatio are call over echo, medians over the rounds.
	P50Ratio float64 `json:"p50_ratio"`
	OpsRatio float64 `json:"ops_ratio"`
}

// Run measures what cfg says. It takes about twice Rounds times Duration for
// each combination.
func Run(ctx context.Context, cfg Config) ([]Figure, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var all []Figure
	for _, transport := range cfg.Transports {
		figures, err := runTransport(ctx, cfg, transport)
		if err != nil {
			return all, fmt.Errorf("bench %s: %w", transport, err)
		}
		all = append(all, figures...)
	}
	return all, nil
}

func runTransport(ctx context.Context, cfg Config, transport string) (figures []Figure, err error) {
	addr, stop, err := startServer(ctx, cfg, transport)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	client, err := newHost(ctx, transport, rpc.NewRegistry())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	server, err := client.Connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	for _, size := range cfg.Sizes {
		for _, callers := range cfg.Callers {
			f, err := compare(ctx, cfg, client, server, size, callers)
			if err != nil {
				return figures, err
			}
			f.Transport = transport
			figures = append(figures, f)
			if cfg.Report != nil {
				cfg.Report(f)
			}
		}
	}
	return figures, nil
}

// startServer starts the server, here or in a process, and returns its address
// and how to stop it.
func startServer(ctx context.Context, cfg Config, transport string) (addr string, stop func() error, err error) {
	if cfg.Server == nil {
		h, err := newServer(ctx, transport)
		if err != nil {
			return "", nil, err
		}
		return address(h), h.Close, nil
	}
	cmd := cfg.Server(ctx, transport)
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, fmt.Errorf("start server: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("start server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start server: %w", err)
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	addr, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("start server: %w", err), stop())
	}
	return strings.TrimSpace(addr), stop, nil
}

// compare measures calls and frames in turns.
func compare(ctx context.Context, cfg Config, client *p2p.Host, server chord.PeerID, size, callers int) (Figure, error) {
	calls := callOperations(ctx, client, server, callers)
	s, err := client.Libp2p().NewStream(ctx, peer.ID(server), frames)
	if err != nil {
		return Figure{}, fmt.Errorf("open stream of frames: %w", err)
	}
	defer s.Close()
	echoes := []operation{lone(s)}
	if callers > 1 {
		echoes = pipelined(s, callers)
	}
	f := Figure{Bytes: size, Callers: callers}
	var ofCalls, ofEchoes []Result
	var p50s, ops []float64
	for range cfg.Rounds {
		c, err := measure(ctx, calls, size, cfg.Duration)
		if err != nil {
			return f, err
		}
		e, err := measure(ctx, echoes, size, cfg.Duration)
		if err != nil {
			return f, err
		}
		ofCalls, ofEchoes = append(ofCalls, c), append(ofEchoes, e)
		p50s, ops = append(p50s, c.P50/e.P50), append(ops, c.Ops/e.Ops)
	}
	f.Call, f.Echo = medians(ofCalls), medians(ofEchoes)
	f.P50Ratio, f.OpsRatio = median(p50s), median(ops)
	return f, nil
}

// callOperations returns the operations of n callers of the server.
func callOperations(ctx context.Context, client *p2p.Host, server chord.PeerID, n int) []operation {
	ops := make([]operation, n)
	for i := range ops {
		var reply []byte
		ops[i] = func(payload []byte) error {
			var err error
			reply, err = client.CallAppend(ctx, reply[:0], server, rpc.Header{Method: method}, payload)
			if err == nil && len(reply) != len(payload) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return ops
}

// measure runs all operations over and over, each on a goroutine of its own,
// for d after a short start, and at least once.
func measure(ctx context.Context, ops []operation, size int, d time.Duration) (Result, error) {
	var (
		wg      sync.WaitGroup
		over    atomic.Bool
		samples = make([][]time.Duration, len(ops))
		errs    = make([]error, len(ops))
		start   = time.Now()
	)
	warm := start.Add(d / 5)
	for i, op := range ops {
		wg.Go(func() {
			payload := make([]byte, size)
			taken := make([]time.Duration, 0, 1<<12)
			for (!over.Load() || len(taken) == 0) && ctx.Err() == nil {
				t := time.Now()
				if errs[i] = op(payload); errs[i] != nil {
					return
				}
				if t.After(warm) {
					taken = append(taken, time.Since(t))
				}
			}
			samples[i] = taken
		})
	}
	time.Sleep(time.Until(warm.Add(d)))
	over.Store(true)
	wg.Wait()
	elapsed := time.Since(warm)
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return Result{}, err
	}
	all := slices.Concat(samples...)
	slices.Sort(all)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	return Result{
		P50: us(all[len(all)/2]),
		P99: us(all[len(all)*99/100]),
		Ops: float64(len(all)) / elapsed.Seconds(),
	}, nil
}

func medians(results []Result) Result {
	pick := func(field func(Result) float64) float64 {
		values := make([]float64, len(results))
		for i, r := range results {
			values[i] = field(r)
		}
		return median(values)
	}
	return Result{
		P50: pick(func(r Result) float64 { return r.P50 }),
		P99: pick(func(r Result) float64 { return r.P99 }),
		Ops: pick(func(r Result) float64 { return r.Ops }),
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
