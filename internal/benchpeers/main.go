package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

// contestants are measured in this order.
var contestants = []struct {
	name    string
	callers []int
	bytes   int // of a value
	start   func(ctx context.Context, dir string) (system, error)
}{
	{"floor", []int{1, 16, 64}, 100, startFloor},
	{"etcd", []int{1, 16, 64}, 100, startEtcd},
	{"nats", []int{1, 16, 64}, 100, startNATS},
	{"chorus", []int{1, 16, 64}, 100, startChorus(3)},
	{"chorus-repairs", []int{16}, 100, startRepairing},
	{"chorus-repaired", []int{16}, 100, startRepaired},
	{"kad-dht-20", []int{1, 16, 64, 256}, 100, startKad(20)},
	{"chorus-20", []int{1, 16, 64, 256}, 100, startChorus(20)},
	{"echo-64k", []int{1, 8}, 64 << 10, startEcho},
	{"chorus-64k", []int{1, 8}, 64 << 10, startChorus(3)},
	{"echo-512k", []int{1, 8}, 512 << 10, startEcho},
	{"chorus-512k", []int{1, 8}, 512 << 10, startChorus(3)},
}

// onlyCallers, unless it is 0, is the number of callers to measure with.
var onlyCallers int

func names() []string {
	var all []string
	for _, c := range contestants {
		all = append(all, c.name)
	}
	return all
}

func main() {
	rounds := flag.Int("rounds", 3, "how often each is measured")
	duration := flag.Duration("duration", 2*time.Second, "how long each figure is measured for")
	only := flag.String("only", strings.Join(names(), ","), "what to measure")
	draws := flag.Int("draws", 0, "measure tasks instead of keys: so many jobs of uneven ones")
	child := flag.String("child", "", "measure this one and print figures as JSON, for the command itself")
	flag.IntVar(&onlyCallers, "callers", 0, "measure with so many callers alone")
	flag.StringVar(&profiles, "profile", "", "a folder that gets a CPU profile of each figure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *child != "":
		err = runChild(ctx, *child, *duration)
	case *draws > 0:
		err = compareFarms(ctx, *draws, os.Stdout)
	default:
		err = compare(ctx, strings.Split(*only, ","), *rounds, *duration)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		os.Exit(1)
	}
}

// compare measures the named ones in turns and prints what came of it.
func compare(ctx context.Context, only []string, rounds int, duration time.Duration) error {
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("%q is none of %s", name, strings.Join(names(), ", "))
		}
	}
	var all report
	for round := range rounds {
		for _, name := range only {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, name)
			figures, err := spawn(ctx, name, duration)
			if err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
			all = append(all, figures...)
		}
	}
	all.print(os.Stdout)
	return nil
}

// spawn measures one in a process of its own.
func spawn(ctx context.Context, name string, duration time.Duration) ([]figure, error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "--child", name, "--duration", duration.String(), "--profile", profiles, "--callers", strconv.Itoa(onlyCallers))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	// The libraries may print, too; the figures are the last line.
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var figures []figure
	return figures, json.Unmarshal(lines[len(lines)-1], &figures)
}

// runChild measures one and prints its figures.
func runChild(ctx context.Context, name string, duration time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "benchpeers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, c := range contestants {
		if c.name != name {
			continue
		}
		starting, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		s, err := c.start(starting, dir)
		if err != nil {
			return err
		}
		if onlyCallers > 0 {
			c.callers = []int{onlyCallers}
		}
		figures, err := measure(ctx, c.name, s, c.bytes, c.callers, duration)
		if err := errors.Join(err, s.close()); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(figures)
	}
	return fmt.Errorf("no contestant is called %q", name)
}
