package compute

import (
	"errors"
	"fmt"
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// Kind says what a message asks or tells. Numbers are part of the protocol.
type Kind uint8

// The kinds of messages; doc.go tells how they play together.
const (
	KindLoad    Kind = 1  // gossip: how busy peers are; registers a sleeper
	KindWake    Kind = 2  // victim to sleeper: there is work here
	KindSteal   Kind = 3  // thief to victim: give me half of your queue
	KindGive    Kind = 4  // victim to thief: tasks, or none
	KindTaken   Kind = 5  // thief to victim: you may forget what you gave
	KindHold    Kind = 6  // holder to owner: I hold these of your tasks
	KindHeld    Kind = 7  // owner to holder: noted; drop those
	KindResult  Kind = 8  // holder to owner: outcomes
	KindSettled Kind = 9  // owner to holder: outcomes noted
	KindCancel  Kind = 10 // owner to holder: drop a job's tasks, or some tasks
	KindReturn  Kind = 11 // holder to owner: I stop; take these back
)

var kindNames = [...]string{"none", "load", "wake", "steal", "give", "taken", "hold", "held", "result", "settled", "cancel", "return"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Ref names one attempt at a task as a holder sees it.
type Ref struct {
	Task    ID
	Attempt uint32
	Hop     uint32
	Running bool // a worker has started it
}

// Lane counts a peer's queued tasks that need one capability.
type Lane struct {
	Cap    string
	Queued uint32
	// Starved says that the peer cannot run them itself.
	Starved bool
}

// Load is how busy a peer says it is.
type Load struct {
	Peer chord.PeerID
	// Seq orders the loads of a peer, across its restarts too: it begins at
	// the session's number.
	Seq     uint64
	Slots   uint32
	Running uint32
	Lanes   []Lane // longest queues first, at most MaxLanes
	Hops    uint8  // how many peers passed it on
}

// Message is what schedulers send each other. It is one flat record: Kind says
// which fields count. Messages may be lost, repeated and reordered.
type Message struct {
	Kind Kind
	From chord.PeerID // set by the receiving driver from the connection
	To   chord.PeerID
	// Session tells lives of the sender apart: it grows when the sender lost
	// what it held for the receiver.
	Session uint64
	// Seq numbers the request (Steal, Hold, Result), or the transfer (Give); an
	// answer (Taken, Held, Settled) carries the number of what it answers.
	Seq uint64
	Re  uint64 // Give: the Steal that it answers, 0 on a repeat

	Load  Load     // Load, Wake, Steal, Give: the sender's
	Loads []Load   // Load: what the sender heard of others
	Funcs []string // Load, Steal: what the sender can run, sorted

	Register bool // Load: the sender sleeps until woken
	Busy     bool // Load: the sender, woken, has work already
	Pending  bool // Taken: received, but the owner does not know yet
	Unknown  bool // Taken: never heard of that transfer

	Room      uint32 // Steal: tasks that the thief has room for
	RoomBytes uint64 // Steal: bytes of input that it has room for
	Tasks     []Task // Give; empty with a Seq asks about an earlier one
	Refs      []Ref  // Hold, Result: held; Held, Cancel: drop; Taken: refused; Settled: whose parts to drop; Return: returned
	Results   []Result
	Job       ID // Cancel: all tasks of this job
}

// Bounds of one message, whoever sent it. A message beyond them is refused whole.
const (
	MaxFuncs        = 1024    // names in Funcs
	MaxLanes        = 16      // lanes in a Load
	MaxLoads        = 16      // entries in Loads
	MaxMessageTasks = 4096    // Tasks, Results
	MaxMessageRefs  = 8192    // Refs
	MaxAvoid        = 8       // peers in Task.Avoid
	MaxBlob         = 1 << 20 // bytes of an input, output, log or error, above any configured limit
	MaxPeerID       = 128     // bytes of a peer ID
)

// ErrBadMessage is wrapped by the errors that Step returns for a message that
// breaks the protocol. Such a message changes nothing.
var ErrBadMessage = errors.New("bad message")

// Validate checks what can be checked without state: kind, bounds, and that
// tasks are whole. It does not look at From and To.
func (m *Message) Validate() error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBadMessage, m.Kind, err)
	}
	return nil
}

func (m *Message) validate() error {
	switch {
	case m.Kind < KindLoad || m.Kind > KindReturn:
		return errors.New("unknown kind")
	case len(m.Funcs) > MaxFuncs:
		return fmt.Errorf("%d functions", len(m.Funcs))
	case len(m.Loads) > MaxLoads:
		return fmt.Errorf("%d loads", len(m.Loads))
	case len(m.Tasks) > MaxMessageTasks:
		return fmt.Errorf("%d tasks", len(m.Tasks))
	case len(m.Results) > MaxMessageTasks:
		return fmt.Errorf("%d results", len(m.Results))
	case len(m.Refs) > MaxMessageRefs:
		return fmt.Errorf("%d refs", len(m.Refs))
	}
	if !slices.IsSorted(m.Funcs) {
		return errors.New("functions are not sorted")
	}
	for _, f := range m.Funcs {
		if len(f) > MaxFuncName {
			return fmt.Errorf("function name of %d bytes", len(f))
		}
	}
	if err := m.Load.validate(); err != nil {
		return err
	}
	for i := range m.Loads {
		if err := m.Loads[i].validate(); err != nil {
			return err
		}
	}
	for i := range m.Tasks {
		if err := m.Tasks[i].validate(); err != nil {
			return fmt.Errorf("task %d: %w", i, err)
		}
	}
	for i := range m.Results {
		r := &m.Results[i]
		if err := r.checkFork(); err != nil {
			return fmt.Errorf("result %d: %w", i, err)
		}
		if len(r.Output) > MaxBlob || len(r.Err) > MaxBlob || len(r.Log) > MaxBlob {
			return fmt.Errorf("result %d: more than %d bytes", i, MaxBlob)
		}
		if r.Elapsed < 0 {
			return fmt.Errorf("result %d: took %s", i, r.Elapsed)
		}
	}
	return nil
}

func (l *Load) validate() error {
	switch {
	case len(l.Lanes) > MaxLanes:
		return fmt.Errorf("%d lanes", len(l.Lanes))
	case len(l.Peer) > MaxPeerID:
		return fmt.Errorf("peer ID of %d bytes", len(l.Peer))
	}
	for _, a := range l.Lanes {
		if len(a.Cap) > MaxFuncName {
			return fmt.Errorf("function name of %d bytes", len(a.Cap))
		}
	}
	return nil
}

func (t *Task) validate() error {
	switch {
	case t.ID != TaskID(t.Job, t.Parent, t.Index):
		return errors.New("ID is not the hash of job, parent and index")
	case t.Attempt == 0:
		return errors.New("attempt 0")
	case t.Owner == "" || len(t.Owner) > MaxPeerID:
		return fmt.Errorf("owner of %d bytes", len(t.Owner))
	case len(t.Parts) > MaxFork || !t.Join && len(t.Parts) > 0:
		return fmt.Errorf("outputs of %d parts", len(t.Parts))
	case len(t.Input)+sizeOf(t.Parts) > MaxBlob:
		return fmt.Errorf("input of %d bytes", len(t.Input)+sizeOf(t.Parts))
	case len(t.Near) > MaxNear:
		return fmt.Errorf("%d peers near", len(t.Near))
	case len(t.Avoid) > MaxAvoid:
		return fmt.Errorf("%d peers to avoid", len(t.Avoid))
	case t.Priority < spare || t.Priority > MaxPriority:
		return fmt.Errorf("priority %d", t.Priority)
	}
	if err := t.Limits.validate(); err != nil {
		return err
	}
	return t.Code.validate()
}
