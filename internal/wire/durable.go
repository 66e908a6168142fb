package wire

import (
	"fmt"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// DurableSpec is what a durable job is, as it lies in the store.
type DurableSpec struct {
	Code      compute.Code
	Limits    compute.Limits // Time, Memory and Grant
	Tasks     int
	Inputs    int       // records of inputs
	Submitted time.Time // to the millisecond
	Priority  int8
	Verify    int
	Retries   int          // of a task, after errors of its code
	Keys      bool         // each input is a key, whose replicas should run its task
	Deadline  time.Time    // to the millisecond; zero: none
	Submitter chord.PeerID // a guest of the ring; empty: a member
}

// DurableResult is the committed result of one task.
type DurableResult struct {
	Index    uint32
	Peer     chord.PeerID // who ran it
	Attempts int
	Output   []byte
	Err      string
	Log      []byte
	Elapsed  time.Duration
	Started  time.Time // by the clock of Peer, to the microsecond; zero: not known
	Worker   uint16    // of Peer
	Votes    []compute.Vote
	Backup   bool // it had a backup, because its run took long
	Overtook bool // which ended first
	// History is what became of its attempts, of a task of which one failed. N and Left are not kept.
	History []compute.Attempt
}

// DurableQuery asks a peer which jobs it owns and works at, and tells it which
// versions of their registers are known.
type DurableQuery struct {
	Jobs     []compute.ID
	Versions []uint64 // as many
}

// MaxQueried bounds the jobs of a query.
const MaxQueried = 1024

// AppendDurableSpec appends the encoding of s.
func AppendDurableSpec(b []byte, s *DurableSpec) []byte {
	m := &pb.DurableSpec{
		Code:   &pb.TaskCode{Func: s.Code.Func, Size: s.Code.Size},
		TimeNs: int64(s.Limits.Time), Memory: s.Limits.Memory, Grant: s.Limits.Grant, Tasks: uint32(s.Tasks), Inputs: uint32(s.Inputs),
		SubmittedMs: s.Submitted.UnixMilli(), Priority: int32(s.Priority), Verify: uint32(s.Verify), Retries: uint32(s.Retries), Keys: s.Keys,
		Submitter: []byte(s.Submitter),
	}
	if !s.Deadline.IsZero() {
		m.DeadlineMs = s.Deadline.UnixMilli()
	}
	if s.Code.Func == "" {
		m.Code.Module = s.Code.Module[:]
	}
	return appendMessage(b, m)
}

// ParseDurableSpec reads a DurableSpec.
func ParseDurableSpec(b []byte) (DurableSpec, error) {
	var m pb.DurableSpec
	if err := m.UnmarshalVT(b); err != nil {
		return DurableSpec{}, malformed("durable job", err)
	}
	if m.Code == nil || m.Tasks < 1 || m.Tasks > compute.MaxDurable || m.Inputs < 1 || m.Inputs > m.Tasks || m.TimeNs < 0 || m.Memory < 0 || len(m.Grant) > compute.MaxGrant || len(m.Submitter) > store.MaxPeerID {
		return DurableSpec{}, malformed("durable job", fmt.Errorf("%d tasks, %d records of inputs", m.Tasks, m.Inputs))
	}
	if m.Priority < -compute.MaxPriority || m.Priority > compute.MaxPriority || m.Verify > compute.MaxVerify || m.Retries > compute.MaxRetries {
		return DurableSpec{}, malformed("durable job", fmt.Errorf("priority %d, verified by %d, %d retries", m.Priority, m.Verify, m.Retries))
	}
	s := DurableSpec{
		Code:   compute.Code{Func: m.Code.Func, Size: m.Code.Size},
		Limits: compute.Limits{Time: time.Duration(m.TimeNs), Memory: m.Memory, Grant: m.Grant},
		Tasks:  int(m.Tasks), Inputs: int(m.Inputs), Submitted: time.UnixMilli(m.SubmittedMs),
		Priority: int8(m.Priority), Verify: int(m.Verify), Retries: int(m.Retries), Keys: m.Keys,
		Submitter: chord.PeerID(m.Submitter),
	}
	if m.DeadlineMs != 0 {
		s.Deadline = time.UnixMilli(m.DeadlineMs)
	}
	switch n := len(m.Code.Module); n {
	case 0:
	case len(s.Code.Module):
		s.Code.Module = [32]byte(m.Code.Module)
	default:
		return DurableSpec{}, malformed("durable job", fmt.Errorf("module hash of %d bytes", n))
	}
	return s, nil
}

// AppendDurableInputs appends the encoding of inputs.
func AppendDurableInputs(b []byte, inputs [][]byte) []byte {
	return appendMessage(b, &pb.DurableInputs{Inputs: inputs})
}

// ParseDurableInputs reads inputs, which alias b.
func ParseDurableInputs(b []byte) ([][]byte, error) {
	var m pb.DurableInputs
	if err := parseMessage(b, &m, "inputs of a durable job"); err != nil {
		return nil, err
	}
	return m.Inputs, nil
}

// AppendDurableResults appends the encoding of a batch of results.
func AppendDurableResults(b []byte, results []DurableResult) []byte {
	m := &pb.DurableResults{Results: make([]*pb.DurableResult, len(results))}
	for i := range results {
		r := &results[i]
		m.Results[i] = &pb.DurableResult{
			Index: r.Index, Peer: []byte(r.Peer), Attempts: uint32(r.Attempts), Output: r.Output, Error: r.Err, Log: r.Log, ElapsedNs: int64(r.Elapsed),
			StartedUs: encodeMicros(r.Started), Worker: uint32(r.Worker), Backup: r.Backup, Overtook: r.Overtook,
		}
		for _, v := range r.Votes {
			m.Results[i].Votes = append(m.Results[i].Votes, &pb.DurableResult_Vote{Peer: []byte(v.Peer), Answer: v.Answer, Agrees: v.Agrees})
		}
		for _, a := range r.History {
			m.Results[i].History = append(m.Results[i].History, &pb.DurableResult_Attempt{
				Peer: []byte(a.Peer), Outcome: string(a.Outcome), Error: a.Err, ElapsedNs: int64(a.Elapsed),
				StartedUs: encodeMicros(a.Started), Worker: uint32(a.Worker), Copy: uint32(a.Copy),
			})
		}
	}
	return appendMessage(b, m)
}

// ParseDurableResults reads a batch of results, whose outputs and logs alias b.
func ParseDurableResults(b []byte) ([]DurableResult, error) {
	var m pb.DurableResults
	if err := parseMessage(b, &m, "results of a durable job"); err != nil {
		return nil, err
	}
	results := make([]DurableResult, len(m.Results))
	for i, r := range m.Results {
		results[i] = DurableResult{
			Index: r.Index, Peer: chord.PeerID(r.Peer), Attempts: int(r.Attempts), Output: r.Output, Err: r.Error, Log: r.Log, Elapsed: time.Duration(r.ElapsedNs),
			Started: decodeMicros(r.StartedUs), Worker: uint16(r.Worker), Backup: r.Backup, Overtook: r.Overtook,
		}
		for _, v := range r.Votes {
			results[i].Votes = append(results[i].Votes, compute.Vote{Peer: chord.PeerID(v.Peer), Answer: v.Answer, Agrees: v.Agrees})
		}
		for _, a := range r.History {
			results[i].History = append(results[i].History, compute.Attempt{
				Peer: chord.PeerID(a.Peer), Outcome: compute.Outcome(a.Outcome), Err: a.Error, Elapsed: time.Duration(a.ElapsedNs),
				Started: decodeMicros(a.StartedUs), Worker: uint16(a.Worker), Copy: int(a.Copy),
			})
		}
	}
	return results, nil
}

// AppendDurableQuery appends the encoding of q.
func AppendDurableQuery(b []byte, q *DurableQuery) []byte {
	m := &pb.DurableQuery{Versions: q.Versions}
	for i := range q.Jobs {
		m.Jobs = append(m.Jobs, q.Jobs[i][:])
	}
	return appendMessage(b, m)
}

// ParseDurableQuery reads a query of up to MaxQueried jobs.
func ParseDurableQuery(b []byte) (q DurableQuery, err error) {
	var m pb.DurableQuery
	if err := parseMessage(b, &m, "query of durable jobs"); err != nil {
		return q, err
	}
	if len(m.Jobs) > MaxQueried || len(m.Jobs) != len(m.Versions) {
		return q, malformed("query of durable jobs", fmt.Errorf("%d jobs, %d versions", len(m.Jobs), len(m.Versions)))
	}
	q.Versions = m.Versions
	for _, job := range m.Jobs {
		if len(job) != len(compute.ID{}) {
			return DurableQuery{}, malformed("query of durable jobs", fmt.Errorf("job ID of %d bytes", len(job)))
		}
		q.Jobs = append(q.Jobs, compute.ID(job))
	}
	return q, nil
}

// AppendDurableAnswer appends the encoding of the answer to a query: which of its
// jobs the peer owns.
func AppendDurableAnswer(b []byte, owned []bool) []byte {
	return appendMessage(b, &pb.DurableAnswer{Owned: owned})
}

// ParseDurableAnswer reads the answer to a query of up to MaxQueried jobs.
func ParseDurableAnswer(b []byte) ([]bool, error) {
	var m pb.DurableAnswer
	if err := parseMessage(b, &m, "answer about durable jobs"); err != nil {
		return nil, err
	}
	if len(m.Owned) > MaxQueried {
		return nil, malformed("answer about durable jobs", fmt.Errorf("%d jobs", len(m.Owned)))
	}
	return m.Owned, nil
}
