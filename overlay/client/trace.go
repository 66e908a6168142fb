package client

import (
	"context"

	"github.com/chorus-net/chorus/internal/wire"
)

// Way is a way to look for the peers that a position belongs to.
type Way string

// The ways.
const (
	// WayTable is the ring's own: from the table of peers, asking whoever owns
	// the position to confirm it, and by fingers where the ring is larger than that.
	WayTable Way = "table"
	// WayChord is a lookup in a ring of textbook Chord on the same hosts, if the
	// peers run one.
	WayChord Way = "chord"
	// WayKademlia is the walk of Kademlia to the peers closest by XOR.
	WayKademlia Way = "kademlia"
)

// Ways lists the ways.
func Ways() []Way { return []Way{WayTable, WayChord, WayKademlia} }

// Hop is one request of a lookup.
type Hop struct {
	Peer  string  `json:"peer"`
	Name  string  `json:"name,omitempty"`
	Depth int     `json:"depth"` // 1: the peer that asks knew it; 2: such a peer told of it; and so on
	RTTus float64 `json:"rtt_us"`
	Error string  `json:"error,omitempty"` // why it gave no answer
}

// Walk is one lookup: what it found, and whom it asked.
type Walk struct {
	Way Way `json:"way"`
	// Found are the peers that it ended at, the owner or the closest first.
	Found []string `json:"found"`
	// Hops is the depth of the way to what was found; 0 if the peer knew.
	Hops     int     `json:"hops"`
	Messages int     `json:"messages"` // requests and answers
	US       float64 `json:"us"`       // from beginning to end, microseconds
	Path     []Hop   `json:"path"`
	Error    string  `json:"error,omitempty"`
}

// Voter is a peer that keeps a shard.
type Voter struct {
	ID          string  `json:"id"`
	Name        string  `json:"name,omitempty"`
	Incarnation uint64  `json:"incarnation"`
	State       string  `json:"state"`  // "alive", "suspect", "gone", or "replaced": it lost its disk
	RTTus       float64 `json:"rtt_us"` // 0: this peer itself, or no answer
	Next        bool    `json:"next"`   // of the configuration that the shard moves to, only
}

// Trace tells how a key is found.
type Trace struct {
	Key      string  `json:"key"`
	Position string  `json:"position"`
	Shard    int     `json:"shard"`
	Shards   int     `json:"shards"`
	Replicas int     `json:"replicas"` // that the shard is to have
	Epoch    uint64  `json:"epoch"`
	Moving   bool    `json:"moving"` // the shard changes its voters
	Voters   []Voter `json:"voters"`
	// Owner is whose position is the first one at or after the key's, as this
	// peer sees the ring.
	Owner string `json:"owner"`
	// OneHop: this peer knows every peer of the ring, and so the owner.
	OneHop bool `json:"one_hop"`
	// Walks are the lookups in each way that the peer has.
	Walks []Walk `json:"walks"`
}

// LookupSpec asks for lookups of random positions.
type LookupSpec struct {
	Way   Way    `json:"way"`
	Count int    `json:"count"` // 1 to MaxLookups
	Seed  uint64 `json:"seed"`  // of the positions: the same ones for each way
}

// MaxLookups bounds LookupSpec.Count.
const MaxLookups = 100_000

// Lookups are what lookups of random positions took, one after another.
type Lookups struct {
	Way      Way     `json:"way"`
	N        int     `json:"n"`
	Failed   int     `json:"failed"`
	Wrong    int     `json:"wrong_owner"` // ended elsewhere than the peer's view of the ring says
	Hops     float64 `json:"mean_hops"`
	MaxHops  int     `json:"max_hops"`
	OneHop   float64 `json:"one_hop"`  // fraction that took one hop or none
	Messages float64 `json:"messages"` // requests and answers, for each lookup
	// Bytes are those on the asking peer's streams for each lookup, without what
	// these carried at rest before.
	Bytes  float64 `json:"bytes"`
	RestBS float64 `json:"rest_bytes_s"` // at rest
	P50us  float64 `json:"p50_us"`
	P99us  float64 `json:"p99_us"`
	S      float64 `json:"seconds"`
}

// Trace tells how the peer finds a key.
func (c *Client) Trace(ctx context.Context, key string) (Trace, error) {
	var t Trace
	_, err := c.call(ctx, wire.MethodCtlTrace, wire.ControlGet{Key: key}, nil, &t)
	return t, err
}

// Lookups lets the peer look for random positions and measures it.
func (c *Client) Lookups(ctx context.Context, spec LookupSpec) (Lookups, error) {
	var l Lookups
	_, err := c.call(ctx, wire.MethodCtlLookup, spec, nil, &l)
	return l, err
}
