package store

// Status is a replica's answer in one word. Failures that are none of the
// protocol's (disk full, connection lost) travel as errors instead.
type Status uint8

// The numbers travel: never reuse one.
const (
	StatusOK         Status = 0
	StatusSuperseded Status = 1 // write: a newer version is held, see Version
	StatusReferral   Status = 2 // the request's epoch is old; Config is the newest known
	StatusBehind     Status = 3 // the request's epoch is newer: ask again with Push set
	StatusNotMember  Status = 4 // not a member of that configuration, or another incarnation
	StatusSkewed     Status = 5 // the version, or horizon, is too far ahead of the replica's clock
	StatusOutbid     Status = 6 // vote: a higher ballot was promised
	StatusStale      Status = 7 // write: the shard is settled beyond the version, up to Version
	statusEnd        Status = 8
)

// String names the status.
func (s Status) String() string {
	names := [statusEnd]string{"ok", "superseded", "referral", "behind", "not-member", "skewed", "outbid", "stale"}
	if s < statusEnd {
		return names[s]
	}
	return "unknown"
}

// Valid reports whether s is one of the constants.
func (s Status) Valid() bool { return s < statusEnd }

// Target is common to requests about one shard. They name the shard, and the
// epoch that the caller goes by, in the call's envelope.
type Target struct {
	// Incarnation is that of the voter whom the request is meant for: an answer
	// by the peer's next life must not count as its former one's.
	Incarnation uint64
	// Push, if its epoch is not 0, is the configuration of the envelope's epoch,
	// for a replica that is behind.
	Push Config
}

// WriteRequest stores one record at a replica.
type WriteRequest struct {
	Target
	// Repair marks a write that passes on what another replica holds. Nobody waits
	// for it.
	Repair bool
	Record []byte // encoded
}

// WriteReply answers a WriteRequest.
type WriteReply struct {
	Status  Status
	Synced  bool    // the record, or the newer one held, is on stable storage
	Version Version // StatusSuperseded: the newer version; StatusStale
	Config  Config  // StatusReferral
}

// ReadRequest reads one record from a replica.
type ReadRequest struct {
	Target
	// Brief asks to leave out a value of more than BriefValue bytes.
	Brief     bool
	Namespace string
	Key       string
}

// BriefValue is the length of the largest value that a brief reply carries.
const BriefValue = 4 << 10

// ReadReply answers a ReadRequest.
type ReadReply struct {
	Status  Status
	Version Version // what is held, tombstones and expired records included; zero: nothing
	Record  []byte  // encoded; empty if nothing is held, or if left out for being brief
	Config  Config  // StatusReferral
}

// ScanRequest asks for a page of a shard's keys, in the order of full keys as
// byte strings.
type ScanRequest struct {
	Target
	Prefix string // of the full key
	After  string // full key, exclusive; "" is from the start
	Limit  int    // entries, 1 to MaxPage
}

// ScanReply answers a ScanRequest.
type ScanReply struct {
	Status  Status
	Entries []Entry // tombstones and expired records included
	More    bool    // false: the shard holds nothing after the last entry
	Config  Config  // StatusReferral
}

// MaxPage bounds the entries of a page, MaxPageBytes (softly, by one entry)
// its encoded size.
const (
	MaxPage      = 4096
	MaxPageBytes = 256 << 10
)

// Entry is a key and the version of it that a replica holds.
type Entry struct {
	Key     string // full key
	Version Version
	Expires int64 // Unix milliseconds, 0 is never
	Deleted bool  // a tombstone
}

// ShardInfo is what a replica says about one shard. A request names shards by
// it, and on learn gives the configuration; fields that do not concern the
// message are zero.
type ShardInfo struct {
	Shard       ShardID
	Config      Config
	Synced      []Voter // sources that the replica synchronised from under Config
	Fingerprint Fingerprint
	// Epoch, with the fingerprint in a request, is that of the caller's configuration:
	// a replica that goes by another one, or is no voter, says so.
	Epoch uint64
}

// MaxInfos bounds the shards of one config, learn or fingerprint call.
const MaxInfos = 1024

// SyncRequest asks a replica that holds the envelope's epoch for a page of the
// versions that it holds, in the order of full keys. The page starts with the
// shard's fingerprint when After is "".
type SyncRequest struct {
	Target
	After string   // full key, exclusive
	Paths []uint64 // if any: only keys with these paths, at most MaxPaths
	Limit int      // bytes, about; 0 is MaxPageBytes
}

// SyncReply answers a SyncRequest.
type SyncReply struct {
	Status      Status
	Fingerprint Fingerprint // of the whole shard
	Entries     []Entry
	More        bool
	Config      Config // StatusReferral
}

// NodesRequest asks a replica that holds the envelope's epoch for nodes of its
// shard's tree.
type NodesRequest struct {
	Target
	Nodes []Prefix // 1 to MaxNodes
}

// NodesReply answers a NodesRequest.
type NodesReply struct {
	Status Status
	Nodes  []Node // as many as were asked for, in their order
	Config Config // StatusReferral
}

// FetchRequest asks for the records of full keys, in order.
type FetchRequest struct {
	Target
	Keys []string // at most MaxPage
}

// FetchReply answers a FetchRequest.
type FetchReply struct {
	Status  Status
	Records [][]byte // encoded, in the order of Keys; keys that are not held are left out
	Done    int      // how many of Keys the reply covers; at least 1
	Config  Config   // StatusReferral
}
