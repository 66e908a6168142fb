package model

import (
	"fmt"
	"io"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// MaxPeers bounds the peers of a run.
const MaxPeers = 200_000

// MaxKeys bounds the keys of a run.
const MaxKeys = 1_000_000_000

// Settings describes a run of the model. The zero value of a field means what
// its comment says.
type Settings struct {
	Peers int    // 0: 100
	Seed  uint64 // what everything follows from

	Positions      int           // positions of a peer; 0: 8
	SuccessorPeers int           // 0: the ring's default
	FingersOnly    bool          // no table of all peers
	Formed         bool          // the run begins with a ring that stands; else the peers join it one after another
	Classic        bool          // lookups and fingers as in chord.Config.Classic
	PlainChord     bool          // the same once more as plain Chord, for Report.PlainChord
	MinDelay       time.Duration // one-way delay of a message; 0: 5 ms
	MaxDelay       time.Duration // 0: 50 ms
	Regions        int           // parts that the peers are spread over in turns; 0: 1
	RegionDelay    time.Duration // one-way delay between regions, beyond that of every message
	Loss           float64       // share of messages that vanish, once the ring stands

	Kill     float64       // share of the peers that crash at once, at the start of Duration
	Churn    time.Duration // mean session; whoever goes is replaced by a newcomer. 0: nobody goes. With Split: only while it lasts
	Split    time.Duration // above 0: the ring is split for so long, then healed
	Rings    int           // parts that Split makes; 0: 2
	Wary     bool          // lookups as in chord.Config.Wary
	Liars    float64       // share of the peers that lie when they are asked who owns a target
	Sybils   int           // peers beside those that pack themselves around a key, and lie
	Keys     int           // above 0: no lookups; so many keys are placed, once the ring stands, and Report.LoadMax counts them
	Duration time.Duration // of lookups, after the ring stands; 0: 60 s
	Lookups  float64       // lookups a second over all peers; 0: 50

	// Trace, if set, gets the transcript. Each, if set, sees every core first.
	// Tell, if set, hears now and then which part of the run is under way, and
	// which share of it is done.
	Trace io.Writer
	Each  func(*chord.Ring)
	Tell  func(part string, done float64)

	helpers  int        // goroutines that call cores; 0: see helpersFor
	unchosen bool       // the one position of a peer is the first that its ID yields
	check    checkReply // what readers of owned keys go by; nil: store.CheckReply
}

// plain returns the same settings for plain Chord, as in "Chord: A Scalable
// Peer-to-peer Lookup Protocol" (ToN 2003): one position a peer, where its ID says;
// successor lists and fingers, no table; fingers and hops by position alone, nobody
// asked beside a late one. Maintenance and failure detection are ours, and in
// the end the owner itself is asked, as that is what the other lookups do.
func (s Settings) plain() Settings {
	s.Positions, s.FingersOnly, s.Classic, s.unchosen = 1, true, true, true
	s.PlainChord = false
	if tell := s.Tell; tell != nil {
		s.Tell = func(part string, done float64) { tell("plain Chord: "+part, done) }
	}
	return s
}

func (s Settings) withDefaults() Settings {
	if s.Peers == 0 {
		s.Peers = 100
	}
	if s.Positions == 0 {
		s.Positions = 8
	}
	if s.MinDelay == 0 {
		s.MinDelay = 5 * time.Millisecond
	}
	if s.MaxDelay == 0 {
		s.MaxDelay = max(50*time.Millisecond, s.MinDelay)
	}
	if s.Regions == 0 {
		s.Regions = 1
	}
	if s.Rings == 0 {
		s.Rings = 2
	}
	if s.Duration == 0 {
		s.Duration = time.Minute
	}
	if s.Lookups == 0 {
		s.Lookups = 50
	}
	return s
}

func (s Settings) validate() error {
	switch {
	case s.Peers < 1 || s.Peers > MaxPeers:
		return fmt.Errorf("model settings: Peers is %d, want 1 to %d", s.Peers, MaxPeers)
	case s.Positions < 1 || s.Positions > chord.MaxIndexes:
		return fmt.Errorf("model settings: Positions is %d, want 1 to %d", s.Positions, chord.MaxIndexes)
	case s.MinDelay < 0 || s.MaxDelay < s.MinDelay:
		return fmt.Errorf("model settings: MinDelay is %v and MaxDelay %v, want 0 <= MinDelay <= MaxDelay", s.MinDelay, s.MaxDelay)
	case s.Regions < 1 || s.RegionDelay < 0:
		return fmt.Errorf("model settings: Regions is %d and RegionDelay %v, want 1 or more and 0 or more", s.Regions, s.RegionDelay)
	case s.Loss < 0 || s.Loss >= 1:
		return fmt.Errorf("model settings: Loss is %v, want 0 to below 1", s.Loss)
	case s.Kill < 0 || s.Kill >= 1:
		return fmt.Errorf("model settings: Kill is %v, want 0 to below 1", s.Kill)
	case s.Churn < 0 || s.Split < 0 || s.Duration < 0:
		return fmt.Errorf("model settings: Churn, Split and Duration must not be negative")
	case s.Liars < 0 || s.Liars >= 1 || s.Sybils < 0 || s.Sybils > s.Peers:
		return fmt.Errorf("model settings: Liars is %v and Sybils %d, want 0 to below 1 and 0 to Peers", s.Liars, s.Sybils)
	case s.Keys < 0 || s.Keys > MaxKeys:
		return fmt.Errorf("model settings: Keys is %d, want 0 to %d", s.Keys, MaxKeys)
	case s.Rings < 2:
		return fmt.Errorf("model settings: Rings is %d, want 2 or more", s.Rings)
	case s.Lookups < 0:
		return fmt.Errorf("model settings: Lookups is %v, want 0 or more", s.Lookups)
	}
	return nil
}

// Report is what a run found.
type Report struct {
	Peers     int     `json:"peers"`
	Seed      uint64  `json:"seed"`
	Positions int     `json:"positions"`
	VirtualS  float64 `json:"virtual_s"` // virtual seconds, forming the ring included
	WallS     float64 `json:"wall_s"`
	RSSMiB    float64 `json:"rss_mib"`

	// Violations counts the looks at the ring, a hundred spread over Duration, at
	// which the first live successors of the members did not form one ordered
	// ring to which all others lead. A ring that is split is not looked at.
	Violations int `json:"violations"`

	Lookups       LookupReport `json:"lookups"`
	Owned         *OwnedReport `json:"owned,omitempty"` // nil without liars
	Liars         int          `json:"liars"`
	Sybils        int          `json:"sybils"`
	FormS         float64      `json:"form_s"`             // from the first start until all agree
	BytesPerPeerS float64      `json:"bytes_per_peer_s"`   // sent, while lookups ran
	LoadMax       float64      `json:"load_max_over_mean"` // of the circle, or of Keys, three replicas each
	// PlainChord is what the same lookups took in plain Chord, nil unless asked for.
	PlainChord *Report `json:"plain_chord,omitempty"`

	HealS float64 `json:"heal_s"` // from the end of the split, or the kill, until all agree; -1: not in time
	// HealBytes is what a peer sent meanwhile, in the mean, and WrongHealed counts the
	// lookups that began after it and named a wrong owner.
	HealBytes   float64 `json:"heal_bytes_per_peer"`
	WrongHealed int     `json:"wrong_owner_healed"`
}

// LookupReport sums up lookups. An answer is wrong if the peer that it names was
// not the owner at any moment between the start and the end of the lookup. Who
// owns what follows from who is a member: a newcomer owns from the moment in which
// it is one, though nobody else knows yet, and who crashes does not own any more.
type LookupReport struct {
	N          int     `json:"n"`
	Failed     int     `json:"failed"`
	Abandoned  int     `json:"abandoned"` // the peer that looked crashed meanwhile
	WrongOwner int     `json:"wrong_owner"`
	Bypassed   int     `json:"bypassed"` // named the first peer behind an owner that lies by silence
	Right      float64 `json:"right"`    // share of those not abandoned that named the owner, or bypassed it
	Outdated   int     `json:"outdated"` // named a peer that was not the owner at the end, wrong ones included
	MeanHops   float64 `json:"mean_hops"`
	MeanMS     float64 `json:"mean_ms"` // virtual time that one takes
	OneHop     float64 `json:"one_hop"` // share that took at most one answer
	Timeouts   int     `json:"timeouts"`
	// MostTimeouts is the largest number of timeouts of one lookup.
	MostTimeouts int    `json:"most_timeouts"`
	Hedges       int    `json:"hedges"`   // requests made because an answer was late
	Messages     uint64 `json:"messages"` // requests and answers of the lookups themselves
	// Bytes are those of the messages that carry the requests and answers, with what
	// else they carry.
	Bytes uint64 `json:"bytes"`
}
