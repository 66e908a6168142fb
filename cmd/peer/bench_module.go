package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay/client"
)

// benchWASMFlags are the flags of bench wasm.
type benchWASMFlags struct {
	peers, calls int
	input        string
}

// benchWASMDoc is the result of bench wasm.
type benchWASMDoc struct {
	Peers       int     `json:"peers"`
	Via         string  `json:"via"` // "process" or "socket"
	ModuleBytes int     `json:"module_bytes"`
	Calls       int     `json:"calls"`
	FirstMS     float64 `json:"first_ms"` // of the call that stores and compiles the module
	P50us       float64 `json:"p50_us"`   // of the others, from submission until the result is there
	P99us       float64 `json:"p99_us"`
	CallsS      float64 `json:"calls_s"`
}

func benchWASMCommand(c *console) *cobra.Command {
	var f benchWASMFlags
	cmd := &cobra.Command{
		Use:   "wasm FILE.wasm",
		Short: "Measure how fast a WebAssembly module is called",
		Long: `Submit a module as jobs of one task, one after the other, and measure how long each takes
until its result is there. The first one stores the module in the ring and compiles
it; the others name it by its hash. A reactor stays ready between calls, a command
starts anew each time.

With --peers N it is done at the first of a new ring of N real peers over loopback.
Without it the running peer is called.`,
		Example: "  peer bench wasm checksum.wasm --input 'sum this' --peers 1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.peers < 0 || f.peers > maxCluster {
				return usage("peer bench wasm", "--peers must be from 0 to %d, not %d", maxCluster, f.peers)
			}
			if f.calls < 1 || f.calls > 1_000_000 {
				return usage("peer bench wasm", "--calls must be from 1 to 1000000, not %d", f.calls)
			}
			return c.benchWASM(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.peers, "peers", 0, "start a ring of so many peers; 0 is the running peer")
	flags.IntVar(&f.calls, "calls", 2000, "calls to measure, one after the other")
	flags.StringVar(&f.input, "input", "", "input of each call: a file, - or a text")
	return cmd
}

func (c *console) benchWASM(ctx context.Context, path string, f benchWASMFlags) (err error) {
	module, err := readModule(path)
	if err != nil {
		return err
	}
	input, text, err := c.readInput(f.input)
	if err != nil {
		return err
	}
	if text {
		input = []byte(f.input)
	}
	doc := benchWASMDoc{Peers: f.peers, Via: "process", ModuleBytes: len(module), Calls: f.calls}
	if f.peers == 0 {
		return c.withPatientClient(ctx, func(ctx context.Context, cl *client.Client) error {
			ring, err := cl.Ring(ctx)
			if err != nil {
				return err
			}
			doc.Peers, doc.Via = len(ring.Peers), "socket"
			return c.measureModule(ctx, cl, module, input, doc)
		})
	}
	c.progress("starting %s", count(f.peers, "peer"))
	ring, err := cluster.Start(ctx, cluster.Settings{Peers: f.peers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	return c.measureModule(ctx, ring.Nodes()[0], module, input, doc)
}

// measureModule calls a module at a peer, and prints what came of it.
func (c *console) measureModule(ctx context.Context, at searcher, module, input []byte, doc benchWASMDoc) error {
	defer c.progress("")
	call := func(code client.Code) (time.Duration, error) {
		begun := time.Now()
		id, err := at.Submit(ctx, client.JobSpec{Code: code, Inputs: [][]byte{input}})
		if err != nil {
			return 0, err
		}
		job, err := at.Wait(ctx, id)
		if err == nil {
			err = outcome(job)
		}
		return time.Since(begun), err
	}
	c.progress("the first call")
	first, err := call(client.Code{Module: module})
	if err != nil {
		return err
	}
	doc.FirstMS = float64(first.Microseconds()) / 1000
	c.progress("%s", count(doc.Calls, "call"))
	hash := sha256.Sum256(module)
	code := client.Code{Hash: hex.EncodeToString(hash[:])}
	took := make([]time.Duration, doc.Calls)
	begun := time.Now()
	for i := range took {
		if took[i], err = call(code); err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	doc.CallsS = float64(doc.Calls) / time.Since(begun).Seconds()
	slices.Sort(took)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	doc.P50us, doc.P99us = us(took[len(took)/2]), us(took[len(took)*99/100])
	c.progress("")
	return c.print(doc, func(out io.Writer) {
		fmt.Fprintf(out, "%s, called through the %s; a module of %d bytes\n", count(doc.Peers, "peer"), doc.Via, doc.ModuleBytes)
		fmt.Fprintf(out, "the first call: %.1f ms\n", doc.FirstMS)
		fmt.Fprintf(out, "%s after it: p50 %s, p99 %s, %.0f a second\n", count(doc.Calls, "call"), micros(doc.P50us), micros(doc.P99us), doc.CallsS)
	})
}
