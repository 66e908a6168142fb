package client

import "time"

// Ack names one replica that answered a write.
type Ack struct {
	Peer string `json:"peer"`
	// Synced reports that the record was on stable storage before the answer.
	Synced bool `json:"synced"`
}

// Receipt tells what a put or delete achieved.
type Receipt struct {
	Key     string `json:"key"`
	Version string `json:"version"` // see Version in package store: "clock-writer" in hex
	// Acks lists the voters that stored the record, W or more of them.
	Acks []Ack `json:"acks"`
	// Joining lists the peers that stored it while the shard moves to them: a
	// quorum of that set was needed too.
	Joining []Ack `json:"joining,omitempty"`
	// Hints lists the peers that keep the record for voters that were out of reach,
	// of a write at LevelSloppy. With Acks they are W or more. They are no replicas:
	// what only they have is not read before the voters have it, nor for certain then.
	Hints []string `json:"hints"`
	W     int      `json:"w"`     // acknowledgements that were required
	N     int      `json:"n"`     // voters of the shard
	Epoch uint64   `json:"epoch"` // configuration under which it was written

	// Of a value that is kept in chunks: its size, how many chunks it has, and
	// how many of them were there already.
	Bytes  int64 `json:"bytes,omitempty"`
	Chunks int   `json:"chunks,omitempty"`
	Reused int   `json:"reused,omitempty"`
}

// Record is a value that was read.
type Record struct {
	Key     string    `json:"key"`
	Value   []byte    `json:"value"`
	Version string    `json:"version"`
	Size    int64     `json:"size"`             // of the value, in bytes
	Large   bool      `json:"large,omitempty"`  // it is kept in chunks, see Stream
	Expires time.Time `json:"expires,omitzero"` // zero: never
	// Replies is the number of replicas whose answers were compared.
	Replies int `json:"replies"`
	// Holders names the shard's voters.
	Holders []string `json:"holders,omitempty"`
}

// Level says how many replicas must take part in a call.
type Level string

// The levels. The zero value leaves it to the namespace, and else is
// LevelQuorum.
const (
	LevelOne    Level = "one"
	LevelQuorum Level = "quorum"
	LevelAll    Level = "all"
)

// LevelSloppy is a level of puts and deletes: a quorum, for which peers that keep the
// record for voters out of reach count as well. They hand it over when the voters are
// back, or drop it after 10 minutes (Config.ReclaimAfter). So a read may miss what was
// written, for good if the voters stay away for longer; it takes any two peers to
// write while most replicas of a key are away. Not for values of more than 512 KiB.
const LevelSloppy Level = "sloppy"

// PeerInfo is one peer as the ring sees it.
type PeerInfo struct {
	ID          string   `json:"id"`
	Name        string   `json:"name,omitempty"`
	Positions   []string `json:"positions"`
	Owns        float64  `json:"owns"` // fraction of the key space, 0 to 1
	Addrs       []string `json:"addrs"`
	Incarnation uint64   `json:"incarnation"`
	State       string   `json:"state,omitempty"` // "alive" or "suspect"
}

// Ring is the ring as one peer sees it, and how many of the others agree.
type Ring struct {
	Peers []PeerInfo `json:"peers"`
	// Agree of Of peers have the same view of the ring.
	Agree     int      `json:"agree"`
	Of        int      `json:"of"`
	Disagrees []string `json:"disagrees,omitempty"`
}

// TaskCounts counts a peer's tasks since it started.
type TaskCounts struct {
	Queued    int `json:"queued"`
	Running   int `json:"running"`
	Done      int `json:"done"`
	StolenIn  int `json:"stolen_in"`
	StolenOut int `json:"stolen_out"`
	// Steals counts the steals that this peer made, with or without luck, and
	// StealMessages what it sent for stealing: wake-ups, requests, tasks and
	// acknowledgements.
	Steals        uint64 `json:"steals"`
	StealMessages uint64 `json:"steal_messages"`
}

// PeerLoad is what one peer has to do.
type PeerLoad struct {
	ID    string     `json:"id"`
	Name  string     `json:"name,omitempty"`
	Slots int        `json:"slots"` // tasks that run at once
	Tasks TaskCounts `json:"tasks"`
	Error string     `json:"error,omitempty"` // why it did not tell
}

// Status is a peer's state at a glance.
type Status struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Ring string `json:"ring"`
	Open bool   `json:"open"` // whoever reaches a peer of the ring may join it
	// Role is "member", or that of a guest, "submit" or "read". A guest has members carry
	// out its calls, those of Via if they answer; it keeps and runs nothing.
	Role            string   `json:"role"`
	Via             []string `json:"via,omitempty"`
	Version         string   `json:"version"`
	Addrs           []string `json:"addrs"`
	UptimeS         float64  `json:"uptime_s"`
	Peers           int      `json:"peers"`
	Keys            int      `json:"keys"`
	UnderReplicated int      `json:"under_replicated"`
	// Forced tells who was forgotten by force, the latest last, and ForcedShards from
	// how many shards acknowledged writes may have been lost by that.
	Forced       []ForcedPeer `json:"forced,omitempty"`
	ForcedShards int          `json:"forced_shards,omitempty"`
	// Deleted counts the records of deleted and expired keys that wait to be reclaimed,
	// and Blockers names the peers that they wait for, if any is out of reach or refuses.
	// Who refuses is known to the peer that leads a shard.
	Deleted  int       `json:"deleted"`
	Blockers []Blocker `json:"blockers,omitempty"`
	// Hints counts the writes that this peer keeps for voters that are out of reach.
	Hints int        `json:"hints"`
	Agree int        `json:"agree"`
	Of    int        `json:"of"`
	Tasks TaskCounts `json:"tasks"`
	// Calls counts the calls made to other peers since the start.
	Calls uint64 `json:"calls"`
	// Functions names what tasks may run here.
	Functions []string `json:"functions"`
}

// Blocker is a peer that has yet to confirm deletes.
type Blocker struct {
	Peer string `json:"peer"`
	Keys int    `json:"keys"`
	Why  string `json:"why,omitempty"` // why it refuses to; empty if it is out of reach
}

// LeaveSpec says how a peer is to leave.
type LeaveSpec struct {
	// Force has it leave although jobs that were submitted there end with it: those that
	// are not durable.
	Force bool `json:"force,omitempty"`
}

// ForgetSpec says which peer is to be retired.
type ForgetSpec struct {
	Peer string `json:"peer"` // its ID, or the end of that
	// Force retires it even where no majority of a shard's voters is left, and loses
	// what the voters that are left do not hold.
	Force bool `json:"force,omitempty"`
}

// Forgotten tells how a peer was retired.
type Forgotten struct {
	ID     string `json:"id"`
	Shards int    `json:"shards"` // those that counted on it
	Told   int    `json:"told"`   // peers that know of it, of Of
	Of     int    `json:"of"`
	// Forced are the shards that have no majority of their voters left: writes that
	// were acknowledged there may be lost. They go on when the peers of Waits, who are
	// missing too, are back or forgotten by force.
	Forced []int `json:"forced,omitempty"`
	// Lost are those of Forced of which no voter is left: all keys there are lost, and
	// they begin anew.
	Lost  []int    `json:"lost,omitempty"`
	Waits []string `json:"waits,omitempty"`
}

// ForcedPeer is a peer that was forgotten by force.
type ForcedPeer struct {
	Peer string    `json:"peer"`
	By   string    `json:"by"`   // the peer at which the operator said so
	At   time.Time `json:"at"`   // by that peer's clock
	Done bool      `json:"done"` // no shard counts on it any more, or it is back
}

// Code names what a job runs: a registered function or a WebAssembly module.
type Code struct {
	Func   string `json:"func,omitempty"`   // "resize/v1"
	Module []byte `json:"module,omitempty"` // the .wasm file's bytes
	// Hash is the SHA-256 of a module that was submitted before, as hex digits; the
	// ring has its bytes.
	Hash string `json:"hash,omitempty"`
}

// JobSpec describes a job to submit: one task for each input.
type JobSpec struct {
	Code   Code          `json:"code"`
	Inputs [][]byte      `json:"inputs"`
	Time   time.Duration `json:"time,omitempty"`   // limit of one attempt, 0: the default
	Memory int64         `json:"memory,omitempty"` // bytes, 0: the default
	// Grant is the namespace whose keys a module may read and write; "": none.
	Grant string `json:"grant,omitempty"`
	// Keys says that each input is a key: its task runs at a peer that keeps the key,
	// unless those are much busier than others.
	Keys bool `json:"keys,omitempty"`
	// Each, if not "", makes the inputs: all keys that begin with it, up to 131,072.
	Each string `json:"each,omitempty"`
	// Durable keeps the job's state in the ring: if the peer that has it goes, another
	// continues it, and each task gets one result. At most 4,096 tasks; what it put out
	// is kept for a week.
	Durable bool `json:"durable,omitempty"`
	// Priority goes from -9 to 9, 0 if not given: where tasks wait beside others, those
	// with a higher one go first, and one start in eight is for those that are kept waiting.
	Priority int `json:"priority,omitempty"`
	// Verify has each task run by so many different peers, at most 9, and takes what more
	// than half of them answer. What a task puts out must depend on its input alone.
	Verify int `json:"verify,omitempty"`
	// Retries is how often a task runs again after an error of its code, at most 8; 0: never.
	// It goes to a peer where it has not failed or, if none takes it for two seconds, to any.
	// With Verify each of the copies has so many. Crashes and lost peers do not count.
	Retries int `json:"retries,omitempty"`
	// Deadline is how long after its submission the job ends although tasks are left;
	// 0: never. They are stopped everywhere, and the job's state is then "expired".
	Deadline time.Duration `json:"deadline,omitempty"`
}

// TaskResult is the one visible result of a task.
type TaskResult struct {
	Task     string    `json:"task"`
	Index    int       `json:"index"`
	State    string    `json:"state"` // "queued", "running", "away", "forked" (its parts or copies are not done), "done", "failed" or "cancelled"
	Peer     string    `json:"peer"`  // who has it, or settled it
	Attempts int       `json:"attempts"`
	Output   []byte    `json:"output"`
	Error    string    `json:"error,omitempty"`
	Log      string    `json:"log,omitempty"`
	MS       float64   `json:"ms"`
	History  []Attempt `json:"history,omitempty"` // attempts that ended, the first and the latest
	Votes    []Vote    `json:"votes,omitempty"`   // of a task that several peers ran
}

// Vote is what one peer answered for a task that several ran.
type Vote struct {
	Peer   string `json:"peer"`   // "": no peer came to an answer
	Answer string `json:"answer"` // the start of the output's SHA-256, or the error
	Agrees bool   `json:"agrees"` // with the majority
}

// Attempt is one try at a task that has ended.
type Attempt struct {
	Peer    string  `json:"peer"`
	Outcome string  `json:"outcome"` // "ok", "forked" (divided into parts), "error", "crashed", "lost", "returned", "cancelled" or "overtaken" (another copy was first)
	Error   string  `json:"error,omitempty"`
	MS      float64 `json:"ms"`
	// When it started, by the clock of Peer, and when a thief took it from the owner's
	// queue, by the owner's; zero: not known, or never. Worker counts from 0.
	Started time.Time `json:"started,omitzero"`
	Left    time.Time `json:"left,omitzero"`
	Worker  int       `json:"worker"`
	// Copy is which copy of the task it ran, from 1, if that is verified or has a backup;
	// 0: the task itself.
	Copy int `json:"copy,omitempty"`
}

// Job is the state of a job.
type Job struct {
	ID     string `json:"job"`
	Code   string `json:"code"`
	State  string `json:"state"` // "running", "waiting", "done", "failed", "cancelled" or "expired" (its deadline passed)
	Tasks  int    `json:"tasks"`
	Done   int    `json:"done"`
	Failed int    `json:"failed"`
	Why    string `json:"why,omitempty"`  // why it waits, or has expired
	Able   int    `json:"able,omitempty"` // if it waits: peers known that can run its tasks
	Near   int    `json:"near,omitempty"` // of a job of keys, tasks that ran where their key is kept
	// Backups counts the second runs of tasks that took much longer than others, each at
	// another peer; Overtook those that ended first.
	Backups  int `json:"backups,omitempty"`
	Overtook int `json:"overtook,omitempty"`
	// As it was submitted.
	Verify   int       `json:"verify,omitempty"`
	Priority int       `json:"priority,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Of a durable job: who has it, and how many have had it so far.
	Durable bool           `json:"durable,omitempty"`
	Owner   string         `json:"owner,omitempty"`
	Epoch   uint64         `json:"epoch,omitempty"`
	Results []TaskResult   `json:"results,omitempty"`
	ByPeer  map[string]int `json:"by_peer,omitempty"` // tasks done by each peer
}

// Pong is the answer of a ping.
type Pong struct {
	Peer  string  `json:"peer"`
	RTTus float64 `json:"rtt_us"` // round trip, microseconds
	Via   string  `json:"via"`    // ViaDirect, ViaRelay or ViaSelf
	// Transport carries the calls: "tcp", "quic" or another protocol of
	// multiaddrs; Addr is its other end.
	Transport string `json:"transport,omitempty"`
	Addr      string `json:"addr,omitempty"`
}

// The ways that a ping takes.
const (
	ViaDirect = "direct"
	ViaRelay  = "relayed"
	ViaSelf   = "self" // a peer that pings itself
)

// Ended reports whether the job's state is final.
func (j Job) Ended() bool {
	switch j.State {
	case "done", "failed", "cancelled", "expired":
		return true
	}
	return false
}
