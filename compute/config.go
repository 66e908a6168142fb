package compute

import (
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Config sets up a Scheduler. The zero value of each field but Self means its
// default.
type Config struct {
	// Self is this peer. Required.
	Self chord.PeerID
	// Session tells this life of the peer from earlier ones and must be greater
	// than theirs. Zero: the start time in nanoseconds since 1970.
	Session uint64
	// Slots is the number of tasks that run at once. Zero: 1. Negative: none,
	// the peer only submits.
	Slots int
	// Funcs are the capabilities of this peer: full function names, and CapWASM
	// if it runs modules.
	Funcs []string

	MaxTasks     int   // unfinished tasks of own jobs; default 131,072
	MaxQueue     int   // queued tasks of other peers; default 65,536
	MaxBytes     int64 // inputs of own unfinished tasks, and the same again of other peers' tasks; default 256 MiB
	MaxInput     int   // one input; default 512 KiB
	MaxOutput    int   // one output; default 512 KiB
	MaxOutbox    int64 // results that owners have not acknowledged; beyond it no task starts; default 64 MiB
	MaxJobOutput int64 // results of one job; default 256 MiB
	MaxHistory   int   // finished jobs kept; default 1,024
	HistoryBytes int64 // results of finished jobs kept; default 64 MiB
	MessageBytes int   // one message, unless a single task or result is larger; default 256 KiB
	MaxSteal     int64 // bytes of input that one steal asks for; default 4 MiB
	MaxPeers     int   // peers known at once, all that hold tasks of one job among them; default 16,384

	MaxErrors  int // errors of the code before a task fails; default 1, so none is retried
	MaxCrashes int // crashed attempts before a task fails; default 5
	MaxLost    int // attempts lost with their peer while they ran, before a task fails; default 16
	MaxHops    int // how often an attempt may be stolen; default 16

	Tries        int           // failed steals before a thief registers on its lifelines, beside one that was not answered; default 1
	StealTimeout time.Duration // default 500 ms
	Resend       time.Duration // first repeat of what was not acknowledged, doubling to 8 times that; default 1 s
	Flush        time.Duration // longest wait of a result for company; default 2 ms
	Locate       time.Duration // longest wait before the owner is told of a stolen task; default 20 ms
	Renew        time.Duration // a holder tells owners what it holds; default 1.5 s
	Lease        time.Duration // a peer this long silent has lost what it holds; default 6 s
	Unnamed      time.Duration // a task this long not named by its holder, heard of or not, is lost; default 1 min
	MaxTime      time.Duration // how long other peers let a task run that names no limit; default 10 min
	Orphan       time.Duration // an owner this long silent has lost its interest; default 30 s
	Avoid        time.Duration // how long a task that failed here waits for another peer; default 2 s
	Gossip       time.Duration // shortest pause between two rounds of gossip; default 250 ms
	Refresh      time.Duration // slow refresh of gossip and registrations; default 30 s
	Straggler    time.Duration // the last tasks of a job that run for longer than this, and much longer than others did, get a backup; default 1 s
	Fanout       int           // peers that one round of gossip goes to in a large ring; default 2
}

func (c Config) withDefaults(now time.Time) Config {
	if c.Session == 0 {
		c.Session = uint64(max(now.UnixNano(), 1))
	}
	switch {
	case c.Slots == 0:
		c.Slots = 1
	case c.Slots < 0:
		c.Slots = 0
	}
	c.Funcs = slices.Clone(c.Funcs)
	setDefault(&c.MaxTasks, 1<<17)
	setDefault(&c.MaxQueue, 1<<16)
	setDefault(&c.MaxBytes, 256<<20)
	setDefault(&c.MaxInput, 512<<10)
	setDefault(&c.MaxOutput, 512<<10)
	setDefault(&c.MaxOutbox, 64<<20)
	setDefault(&c.MaxJobOutput, 256<<20)
	setDefault(&c.MaxHistory, 1024)
	setDefault(&c.HistoryBytes, 64<<20)
	setDefault(&c.MessageBytes, 256<<10)
	setDefault(&c.MaxSteal, 4<<20)
	setDefault(&c.MaxPeers, 16<<10)
	setDefault(&c.MaxErrors, 1)
	setDefault(&c.MaxCrashes, 5)
	setDefault(&c.MaxLost, 16)
	setDefault(&c.MaxHops, 16)
	setDefault(&c.Tries, 1)
	setDefault(&c.StealTimeout, 500*time.Millisecond)
	setDefault(&c.Resend, time.Second)
	setDefault(&c.Flush, 2*time.Millisecond)
	setDefault(&c.Locate, 20*time.Millisecond)
	setDefault(&c.Renew, 1500*time.Millisecond)
	setDefault(&c.Lease, 6*time.Second)
	setDefault(&c.Unnamed, time.Minute)
	setDefault(&c.MaxTime, 10*time.Minute)
	setDefault(&c.Orphan, 30*time.Second)
	setDefault(&c.Avoid, 2*time.Second)
	setDefault(&c.Gossip, 250*time.Millisecond)
	setDefault(&c.Refresh, 30*time.Second)
	setDefault(&c.Straggler, time.Second)
	setDefault(&c.Fanout, 2)
	return c
}

func setDefault[T ~int | ~int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (c *Config) validate() error {
	if c.Self == "" || len(c.Self) > MaxPeerID {
		return fmt.Errorf("compute: Config.Self of %d bytes, want 1 to %d", len(c.Self), MaxPeerID)
	}
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"MaxTasks", int64(c.MaxTasks)},
		{"MaxQueue", int64(c.MaxQueue)},
		{"MaxBytes", c.MaxBytes},
		{"MaxInput", int64(c.MaxInput)},
		{"MaxOutput", int64(c.MaxOutput)},
		{"MaxOutbox", c.MaxOutbox},
		{"MaxJobOutput", c.MaxJobOutput},
		{"MaxHistory", int64(c.MaxHistory)},
		{"HistoryBytes", c.HistoryBytes},
		{"MessageBytes", int64(c.MessageBytes)},
		{"MaxSteal", c.MaxSteal},
		{"MaxPeers", int64(c.MaxPeers)},
		{"MaxErrors", int64(c.MaxErrors)},
		{"MaxCrashes", int64(c.MaxCrashes)},
		{"MaxLost", int64(c.MaxLost)},
		{"MaxHops", int64(c.MaxHops)},
		{"Tries", int64(c.Tries)},
		{"StealTimeout", int64(c.StealTimeout)},
		{"Resend", int64(c.Resend)},
		{"Flush", int64(c.Flush)},
		{"Locate", int64(c.Locate)},
		{"Renew", int64(c.Renew)},
		{"Lease", int64(c.Lease)},
		{"Unnamed", int64(c.Unnamed)},
		{"MaxTime", int64(c.MaxTime)},
		{"Orphan", int64(c.Orphan)},
		{"Avoid", int64(c.Avoid)},
		{"Gossip", int64(c.Gossip)},
		{"Refresh", int64(c.Refresh)},
		{"Straggler", int64(c.Straggler)},
		{"Fanout", int64(c.Fanout)},
	} {
		if f.v < 0 {
			return fmt.Errorf("compute: Config.%s is negative", f.name)
		}
	}
	if max(c.MaxInput, c.MaxOutput) > MaxBlob {
		return fmt.Errorf("compute: Config.MaxInput or MaxOutput is over %d", MaxBlob)
	}
	if c.Lease < 2*c.Renew {
		return fmt.Errorf("compute: Config.Lease %s is below two times Renew %s", c.Lease, c.Renew)
	}
	return validFuncs(c.Funcs)
}

func validFuncs(names []string) error {
	if len(names) > MaxFuncs {
		return fmt.Errorf("compute: %d functions, the limit is %d", len(names), MaxFuncs)
	}
	for _, f := range names {
		if f == CapWASM {
			continue
		}
		if full, err := FuncName(f); err != nil || full != f {
			return fmt.Errorf("compute: function %q is not NAME/vN", f)
		}
	}
	return nil
}
