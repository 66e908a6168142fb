package overlay

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// Config describes a peer. The zero value of each field means its default;
// only Home is usually set.
type Config struct {
	// Home is the folder of the peer's identity, keys and control socket. Empty
	// means that the peer keeps everything in memory, serves no socket and is
	// forgotten when it stops.
	Home string
	// Name is what people call the peer, up to 64 bytes; default: the end of its
	// peer ID.
	Name string

	// Peers says how to reach a ring: a token of Node.Invite, or for an open ring
	// multiaddrs that end in /p2p/PEER-ID, or @FILE for a file with one of these a
	// line. A home that belongs to a ring already needs none, it remembers its peers.
	Peers []string
	// Create starts a new ring if the home belongs to none and Peers is empty.
	Create bool
	// Open makes the ring that Create starts an open one, which whoever reaches a
	// peer may join. Default: it is closed, and peers join it by invitation.
	Open bool
	// Ring is the name of the ring that Create starts; default "chorus". When
	// joining, a name that is not the ring's is an error.
	Ring string
	// Shards is the number of shards of a ring that Create starts: a power of
	// two up to 65,536; default 256. It never changes afterwards.
	Shards int
	// Replicas is the number of peers that keep each key in a ring that Create
	// starts; default 3.
	Replicas int

	// Listen holds the multiaddrs to listen on; default: port 4747 of all
	// interfaces, TCP and QUIC.
	Listen []string
	// Profile says which addresses others are told, and which of theirs are dialled: "lan" all,
	// "wan" none of private ranges but those in Peers; default "auto": "wan" for a peer that has a
	// public address, or is seen at one by others, and "lan" for the rest.
	Profile string
	// Host is a ready libp2p host to run on instead of one of the peer's own.
	// Its key is the peer's identity, and closing it stays with the caller. Its ring
	// is open: the gate of a closed one stands in the transports.
	Host host.Host

	// Positions is the number of ring positions of a new peer of Weight 100; default 8.
	Positions int
	// Weight is the share of keys of a new peer, in percent of an ordinary one's; default
	// 100. It takes Positions in that proportion, to the nearest whole number and at least
	// one, of at most 64: with 8 of them a Weight of up to 800. A home keeps the positions
	// and the weight of its first start: another Weight then is logged and changes nothing.
	Weight int
	// Engine is the disk engine: "badger4" (default), "badger", or "memory".
	Engine string
	// Quota bounds the keys and values that the peer keeps, in bytes as they are
	// encoded; default: no bound. Beyond it writes are refused, deletes are not.
	Quota int64
	// Workers is the number of tasks that run at once; default: one a core.
	// Negative means none: the peer submits tasks and runs none.
	Workers int
	// Funcs are the Go functions that tasks may run here, besides the built-in
	// sha256, wordcount, primes, sleep and echo.
	Funcs []AnyFunc
	// ReplaceAfter is how long a voter must be unreachable before another peer
	// takes its place in the shards; default 30 s. Its data is kept meanwhile,
	// so a restart is cheap.
	ReplaceAfter time.Duration
	// RepairEvery is the pause between two comparisons of a shard's replicas;
	// default 30 s.
	RepairEvery time.Duration
	// PlainChord makes the peer take part, beside the ring, in one of textbook Chord
	// over the same host, that Lookups compares with; all peers need it. Default: no.
	PlainChord bool
	// ReclaimAfter is how old the record of a deleted or expired key gets before it
	// is dropped from disk, once all voters have confirmed that they hold nothing
	// older; default 10 min. Peers whose clocks are further behind than that cannot
	// write to such a shard.
	ReclaimAfter time.Duration
	// MaxMemory bounds what connections and streams may use, in bytes; default: an eighth
	// of the machine's memory.
	MaxMemory int64
	// MaxFiles bounds the file descriptors of connections; default: half of what the process
	// may open.
	MaxFiles int
	// Metrics makes libp2p, Kademlia, puts and gets keep metrics for Node.Metrics;
	// default: they do not.
	Metrics bool
	// Logger receives what happens; default: nothing.
	Logger *slog.Logger

	now         func() time.Time // what the gate of a closed ring, and a voter asked to settle deletes, take for the time; nil: time.Now
	decreeEvery time.Duration    // between comparisons of decrees; zero: 10 s
	compareWith chord.PeerID     // whose decrees are compared with this peer's; zero: of a random one
	chunkTimes  chunkTimes       // of large values; zero: as they are for everybody
	watchStall  time.Duration    // zero: a minute
	memory      *disk.MemoryDisk // of the engine "memory", so that it outlives a peer
}

func (c Config) withDefaults() Config {
	if c.Ring == "" && c.Create {
		c.Ring = "chorus"
	}
	if c.Shards == 0 {
		c.Shards = 256
	}
	if c.Replicas == 0 {
		c.Replicas = 3
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{"/ip4/0.0.0.0/tcp/4747", "/ip4/0.0.0.0/udp/4747/quic-v1"}
	}
	if c.Positions == 0 {
		c.Positions = 8
	}
	if c.Engine == "" {
		c.Engine = "badger4"
		if c.Home == "" {
			c.Engine = "memory"
		}
	}
	switch {
	case c.Workers == 0:
		c.Workers = runtime.GOMAXPROCS(0)
	case c.Workers < 0:
		c.Workers = 0
	}
	if c.ReplaceAfter == 0 {
		c.ReplaceAfter = 30 * time.Second
	}
	if c.RepairEvery == 0 {
		c.RepairEvery = 30 * time.Second
	}
	if c.ReclaimAfter == 0 {
		c.ReclaimAfter = 10 * time.Minute
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// weight is that of a new peer.
func (c Config) weight() uint32 {
	if c.Weight == 0 {
		return chord.DefaultWeight
	}
	return uint32(c.Weight)
}

// maxWeight is the one that takes all positions that a peer may have.
func (c Config) maxWeight() int { return chord.MaxIndexes * chord.DefaultWeight / c.Positions }

func (c Config) validate() error {
	switch {
	case c.Shards < 1 || c.Shards > store.MaxShards || c.Shards&(c.Shards-1) != 0:
		return fmt.Errorf("config Shards: %d is not a power of two from 1 to %d", c.Shards, store.MaxShards)
	case c.Replicas < 1 || c.Replicas > store.MaxVoters:
		return fmt.Errorf("config Replicas: %d is not within 1 to %d", c.Replicas, store.MaxVoters)
	case c.Positions < 1 || c.Positions > chord.MaxIndexes:
		return fmt.Errorf("config Positions: %d is not within 1 to %d", c.Positions, chord.MaxIndexes)
	case c.Weight < 0 || c.Weight > c.maxWeight():
		return fmt.Errorf("config Weight: %d is not within 1 to %d", c.Weight, c.maxWeight())
	case c.Home == "" && c.Engine != "memory":
		return errors.New("config Home: an engine that keeps data on disk needs a home")
	case c.MaxMemory < 0 || c.MaxFiles < 0:
		return errors.New("config MaxMemory and MaxFiles: a bound is not negative")
	case c.Quota < 0:
		return fmt.Errorf("config Quota: %d is negative", c.Quota)
	case !slices.Contains([]string{"", "auto", "lan", "wan"}, c.Profile):
		return fmt.Errorf("config Profile: %q is none of auto, lan and wan", c.Profile)
	case len(c.Name) > 64:
		return fmt.Errorf("config Name: %d bytes, at most 64", len(c.Name))
	case c.ReplaceAfter < 0:
		return fmt.Errorf("config ReplaceAfter: %v is negative", c.ReplaceAfter)
	case c.RepairEvery < 0:
		return fmt.Errorf("config RepairEvery: %v is negative", c.RepairEvery)
	case c.ReclaimAfter < 0:
		return fmt.Errorf("config ReclaimAfter: %v is negative", c.ReclaimAfter)
	}
	names := make(map[string]bool)
	for _, f := range c.Funcs {
		if names[f.Name()] {
			return fmt.Errorf("config Funcs: %q is registered twice", f.Name())
		}
		names[f.Name()] = true
	}
	return nil
}
