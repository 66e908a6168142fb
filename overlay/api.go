package overlay

import (
	"fmt"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// What a Node answers with is what a client of a running peer sees, so the
// types are the client's.
type (
	// Receipt tells what a put or delete achieved.
	Receipt = client.Receipt
	// Register is a value that changes by compare-and-swap.
	Register = client.Register
	// Record is a value that was read.
	Record = client.Record
	// Stream reads a value of any size.
	Stream = client.Stream
	// Namespace holds what calls on keys of a namespace do by default.
	Namespace = client.Namespace
	// Status is a peer's state at a glance.
	Status = client.Status
	// PeerLoad is what one peer has to do.
	PeerLoad = client.PeerLoad
	// Ring is the ring as one peer sees it.
	Ring = client.Ring
	// Job is the state of a job.
	Job = client.Job
	// JobSpec describes a job to submit.
	JobSpec = client.JobSpec
	// Code names what a job runs.
	Code = client.Code
	// Level says how many replicas must take part in a call.
	Level = client.Level
)

// The levels of a call.
const (
	One    = client.LevelOne
	Quorum = client.LevelQuorum
	All    = client.LevelAll
	// Sloppy is of puts and deletes only, and promises little: see client.LevelSloppy.
	Sloppy = client.LevelSloppy
)

// Options of a single call.
type (
	// PutOption changes one Put or Delete.
	PutOption = client.PutOption
	// GetOption changes one Get.
	GetOption = client.GetOption
)

// WithTTL makes the record expire d from now. The time is fixed when the
// record is written and travels with it.
func WithTTL(d time.Duration) PutOption { return client.WithTTL(d) }

// WithoutTTL keeps the record for ever, whatever its namespace says.
func WithoutTTL() PutOption { return client.WithoutTTL() }

// WithW sets how many voters must have stored the record; default: as the
// namespace says, or else Quorum.
func WithW(l Level) PutOption { return client.WithW(l) }

// WithR sets how many voters must have answered; default: as the namespace
// says, or else Quorum.
func WithR(l Level) GetOption { return client.WithR(l) }

// TaskError is the failure of one task of a job.
type TaskError struct {
	Job    string
	Index  int
	Peer   string // who ran the last attempt; empty if none did
	Reason string
}

func (e *TaskError) Error() string {
	if e.Peer == "" {
		return fmt.Sprintf("task %d of job %s: %s", e.Index, e.Job, e.Reason)
	}
	return fmt.Sprintf("task %d of job %s, last run by %s: %s", e.Index, e.Job, e.Peer, e.Reason)
}
