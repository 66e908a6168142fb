package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

// Settings describe a trial.
type Settings struct {
	Peers   int             // at least 1
	Network simnet.Settings // what the peers talk over
	// Duration is for how long there is load; at least twice Split.
	Duration time.Duration
	// Split cuts the peers in two halves for so long, a quarter into the load.
	// Zero: never.
	Split time.Duration
	// Callers put and get at random peers, each its own keys. Default 8.
	Callers int
	// Tell is called with what happens, a line for people. Nil: nobody is told.
	Tell func(line string)
}

// Result is what a trial found. Counts of failed calls are no faults: during a
// split, one side has no quorum.
type Result struct {
	AgreedS    float64 `json:"agreed_s"` // from the start until all peers saw one ring
	HealS      float64 `json:"heal_s"`   // from the end of the split until then
	Puts       int     `json:"puts"`     // acknowledged
	Gets       int     `json:"gets"`     // answered
	PutsFailed int     `json:"puts_failed"`
	GetsFailed int     `json:"gets_failed"`
	Keys       int     `json:"keys"`
	Lost       int     `json:"lost"`  // acknowledged keys that were not found
	Stale      int     `json:"stale"` // reads of a version older than an acknowledged one
	// Unread counts keys that could not be read in the end, by a failure.
	Unread int `json:"unread"`
	// Faults describes the first few of Lost, Stale and Unread.
	Faults  []string `json:"faults"`
	Packets Packets  `json:"packets"`
}

// Packets counts what became of packets, as simnet.Stats does.
type Packets struct {
	Sent      uint64 `json:"sent"`
	Delivered uint64 `json:"delivered"`
	Lost      uint64 `json:"lost"`
	Cut       uint64 `json:"cut"`
	Dropped   uint64 `json:"dropped"`
}

// patience bounds the wait for peers to agree.
const patience = 2 * time.Minute

func (s Settings) validate() error {
	switch {
	case s.Peers < 1:
		return fmt.Errorf("trial: %d peers", s.Peers)
	case s.Duration <= 0 || s.Split < 0 || s.Split > s.Duration/2:
		return fmt.Errorf("trial: a split of %v in a load of %v, want at most half of it", s.Split, s.Duration)
	case s.Callers < 0:
		return fmt.Errorf("trial: %d callers", s.Callers)
	}
	return nil
}

// Run runs a trial. The error says what kept it from being run; what the trial
// found wrong is in the result.
func Run(ctx context.Context, s Settings) (result Result, err error) {
	if err := s.validate(); err != nil {
		return Result{}, err
	}
	if s.Callers == 0 {
		s.Callers = 8
	}
	if s.Tell == nil {
		s.Tell = func(string) {}
	}
	start := time.Now()
	c, err := cluster.Start(ctx, cluster.Settings{Peers: s.Peers, Network: &s.Network, Node: overlay.Config{Workers: -1}})
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if result.AgreedS, err = agree(ctx, c, start); err != nil {
		return result, err
	}
	s.Tell(fmt.Sprintf("%d peers agree on one ring after %.1f s", s.Peers, result.AgreedS))

	l := newLoad(c, s.Callers)
	stop := l.start(ctx)
	defer stop()
	if s.Split > 0 {
		result.HealS, err = split(ctx, c, s)
	} else {
		err = sleep(ctx, s.Duration)
	}
	stop()
	if err != nil {
		return result, err
	}
	s.Tell("load ends; every key is read once more")
	l.readAll(ctx)
	l.report(&result)
	result.Packets = Packets(c.Network().Stats())
	return result, ctx.Err()
}

// split lets the load run, with a split network a quarter into it, and returns
// how long the ring took to become one afterwards.
func split(ctx context.Context, c *cluster.Cluster, s Settings) (healS float64, err error) {
	end := time.Now().Add(s.Duration)
	if err := sleep(ctx, s.Duration/4); err != nil {
		return 0, err
	}
	var left, right []int
	for i := range s.Peers {
		if i < s.Peers/2 {
			left = append(left, i)
		} else {
			right = append(right, i)
		}
	}
	c.Network().Partition(left, right)
	s.Tell(fmt.Sprintf("the network splits into %d and %d peers, for %v", len(left), len(right), s.Split))
	if err := sleep(ctx, s.Split); err != nil {
		return 0, err
	}
	c.Network().Heal()
	healS, err = agree(ctx, c, time.Now())
	if err != nil {
		return 0, err
	}
	s.Tell(fmt.Sprintf("the network is whole again, and %.1f s later so is the ring", healS))
	return healS, sleep(ctx, time.Until(end))
}

// agree waits until all peers see one ring and returns the seconds since began.
func agree(ctx context.Context, c *cluster.Cluster, began time.Time) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.Agree(ctx); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
