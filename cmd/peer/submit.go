package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

// Bounds of what a submission may hold; a message to the peer is bounded too.
const (
	maxModule = 32 << 20
	maxInput  = 16 << 20
	maxTasks  = 1 << 16
)

// submitFlags are the flags of submit.
type submitFlags struct {
	input  string
	each   string
	n      int
	wait   bool
	limit  time.Duration
	memory int64

	grant    string
	durable  bool
	verify   int
	priority int
	retries  int
	deadline time.Duration
}

func submitCommand(c *console) *cobra.Command {
	var f submitFlags
	cmd := &cobra.Command{
		Use:   "submit {NAME | FILE.wasm | wasm:HASH}",
		Short: "Run a function or a WebAssembly module as tasks, wherever a peer is idle",
		Long: `Run a function that peers have, or a WebAssembly module (WASI preview 1: input on
standard input, output from standard output), as one task or several. Idle peers
take tasks from busy ones, so work submitted at one peer spreads over the ring.
A module that was submitted once is in the ring: wasm: and its SHA-256 names it.

The input is the content of a file if --input names one, standard input for -, and
else the text itself, in which {i} stands for the number of the task.

With --each PREFIX there is a task for every key under a prefix. Its input is the key, and it
runs at a peer that keeps the key, unless those are much busier than others.`,
		Example: "  peer submit sha256 --input 'item {i}' --n 1000\n  peer submit wordcount --input book.txt\n  peer submit filter.wasm --input - < data",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := c.jobSpec(args[0], f)
			if err != nil {
				return err
			}
			return c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				id, err := cl.Submit(ctx, spec)
				if err != nil {
					return err
				}
				if !f.wait {
					return c.printSubmitted(ctx, cl, id, len(spec.Inputs))
				}
				job, err := c.follow(ctx, cl, id, c.unknownFunction)
				if err != nil {
					return err
				}
				return c.printOutcome(ctx, cl, job)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "input of each task: a file, - or a text")
	flags.IntVar(&f.n, "n", 1, "number of tasks")
	flags.StringVar(&f.each, "each", "", "instead of --input and --n: a task for each key that begins with this, whose input is the key")
	flags.BoolVar(&f.durable, "durable", false, "keep the job's state in the ring: other peers continue it if this one goes, and each task gets one result")
	flags.StringVar(&f.grant, "grant", "", "namespace whose keys a WebAssembly module may read and write")
	flags.IntVar(&f.verify, "verify", 0, "run each task on so many different peers, at most 9, and take what most of them answer; 0 is one without comparing")
	flags.IntVar(&f.priority, "priority", 0, "from -9 to 9: tasks with a higher one go first where they wait beside others")
	flags.IntVar(&f.retries, "retries", 0, "run a task that returned an error again, so often at most (up to 8), on another peer if there is one")
	flags.DurationVar(&f.deadline, "deadline", 0, "end the job after this time although tasks are left, and stop them everywhere; 0 is never")
	flags.BoolVar(&f.wait, "wait", true, "wait for the results")
	flags.DurationVar(&f.limit, "limit", 0, "time that one attempt at a task may take; 0 is the default of the peer that runs it")
	flags.Int64Var(&f.memory, "memory", 0, "memory in bytes that a WebAssembly task may take; 0 is the default of the peer that runs it")
	return cmd
}

// jobSpec reads what a submission names.
func (c *console) jobSpec(code string, f submitFlags) (client.JobSpec, error) {
	spec := client.JobSpec{Code: client.Code{Func: code}, Time: f.limit, Memory: f.memory, Grant: f.grant, Durable: f.durable, Verify: f.verify, Priority: f.priority, Retries: f.retries, Deadline: f.deadline}
	switch {
	case f.n < 1 || f.n > maxTasks:
		return spec, usage("peer submit", "--n must be from 1 to %d, not %d", maxTasks, f.n)
	case f.each != "" && (f.input != "" || f.n != 1):
		return spec, usage("peer submit", "--each makes the inputs; leave --input and --n out")
	case f.limit < 0 || f.memory < 0 || f.deadline < 0:
		return spec, usage("peer submit", "--limit, --memory and --deadline must not be negative")
	}
	if hash, ok := strings.CutPrefix(code, "wasm:"); ok {
		spec.Code = client.Code{Hash: hash}
	} else if strings.HasSuffix(code, ".wasm") {
		module, err := readModule(code)
		if err != nil {
			return spec, err
		}
		spec.Code = client.Code{Module: module}
	}
	if f.each != "" {
		spec.Each = f.each
		return spec, nil
	}
	input, text, err := c.readInput(f.input)
	if err != nil {
		return spec, err
	}
	spec.Inputs = make([][]byte, f.n)
	for i := range spec.Inputs {
		spec.Inputs[i] = input
		if text {
			spec.Inputs[i] = []byte(strings.ReplaceAll(f.input, "{i}", strconv.Itoa(i)))
		}
	}
	return spec, nil
}

func readModule(path string) ([]byte, error) {
	module, err := readFile(path, maxModule)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(module), "\x00asm") {
		return nil, &client.Error{
			Code:    client.CodeNotWasm,
			Message: fmt.Sprintf("%s is not a WebAssembly module", path),
			Fix:     "GOOS=wasip1 GOARCH=wasm go build -o " + path,
		}
	}
	return module, nil
}

// readInput reads the input that a flag names, or reports that it is the text
// itself.
func (c *console) readInput(name string) (input []byte, text bool, err error) {
	if name == "-" {
		input, err = readAll(c.in, "standard input", maxInput)
		return input, false, err
	}
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		input, err = readFile(name, maxInput)
		return input, false, err
	}
	return nil, true, nil
}

// printSubmitted says which job was submitted; how many tasks it has is the peer's to say
// where it listed them.
func (c *console) printSubmitted(ctx context.Context, cl *client.Client, id string, tasks int) error {
	if tasks == 0 {
		job, err := cl.Job(ctx, id)
		if err != nil {
			return err
		}
		tasks = job.Tasks
	}
	doc := struct {
		Job   string `json:"job"`
		Tasks int    `json:"tasks"`
	}{id, tasks}
	return c.print(doc, func(out io.Writer) {
		if c.quiet {
			fmt.Fprintln(out, id)
			return
		}
		fmt.Fprintf(out, "job %s of %s is under way; see it with: peer job show %s\n", id, count(tasks, "task"), id)
	})
}
