package wire

import (
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

// AppendTask appends the encoding of a scheduler message. From and To are the
// connection's to tell.
func AppendTask(b []byte, m *compute.Message) []byte {
	p := &pb.TaskMessage{
		Kind: uint32(m.Kind), Session: m.Session, Seq: m.Seq, Re: m.Re, Load: encodeLoad(m.Load), Funcs: m.Funcs,
		Register: m.Register, Busy: m.Busy, Pending: m.Pending, Unknown: m.Unknown,
		Room: m.Room, RoomBytes: m.RoomBytes, Job: encodeTaskID(m.Job),
	}
	for _, l := range m.Loads {
		p.Loads = append(p.Loads, encodeLoad(l))
	}
	for i := range m.Tasks {
		p.Tasks = append(p.Tasks, encodeTask(&m.Tasks[i]))
	}
	for _, r := range m.Refs {
		p.Refs = append(p.Refs, &pb.TaskRef{Task: r.Task[:], Attempt: r.Attempt, Hop: r.Hop, Running: r.Running})
	}
	for i := range m.Results {
		p.Results = append(p.Results, encodeResult(&m.Results[i]))
	}
	return appendMessage(b, p)
}

// ParseTask reads a scheduler message, whose inputs, outputs and logs alias b.
// It checks the form of its parts; the core checks their meaning.
func ParseTask(b []byte) (compute.Message, error) {
	if err := checkCounts(b, taskBounds); err != nil {
		return compute.Message{}, malformed("task message", err)
	}
	var p pb.TaskMessage
	if err := parseMessage(b, &p, "task message"); err != nil {
		return compute.Message{}, err
	}
	m, err := decodeTaskMessage(&p)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		return compute.Message{}, malformed("task message", err)
	}
	return m, nil
}

// taskBounds limits the fields of a TaskMessage that repeat, by their numbers.
var taskBounds = map[protowire.Number]int{
	6:  compute.MaxLoads,
	7:  compute.MaxFuncs,
	14: compute.MaxMessageTasks,
	15: compute.MaxMessageRefs,
	16: compute.MaxMessageTasks,
}

// checkCounts bounds how often the fields of a message occur before they are
// read: an empty one takes two bytes here and a hundred times that in memory.
func checkCounts(b []byte, bounds map[protowire.Number]int) error {
	counts := make(map[protowire.Number]int, len(bounds))
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		limit, ok := bounds[num]
		if !ok {
			continue
		}
		if counts[num]++; counts[num] > limit {
			return fmt.Errorf("field %d occurs more than %d times", num, limit)
		}
	}
	return nil
}

func decodeTaskMessage(p *pb.TaskMessage) (m compute.Message, err error) {
	if p.Kind > 255 {
		return m, fmt.Errorf("kind %d", p.Kind)
	}
	m = compute.Message{
		Kind: compute.Kind(p.Kind), Session: p.Session, Seq: p.Seq, Re: p.Re, Funcs: cloneAll(p.Funcs),
		Register: p.Register, Busy: p.Busy, Pending: p.Pending, Unknown: p.Unknown, Room: p.Room, RoomBytes: p.RoomBytes,
	}
	if m.Job, err = decodeTaskID(p.Job); err != nil {
		return m, err
	}
	if m.Load, err = decodeLoad(p.Load); err != nil {
		return m, err
	}
	if m.Loads, err = decodeAll(p.Loads, decodeLoad); err != nil {
		return m, err
	}
	if m.Tasks, err = decodeAll(p.Tasks, decodeTask); err != nil {
		return m, err
	}
	if m.Refs, err = decodeAll(p.Refs, decodeTaskRef); err != nil {
		return m, err
	}
	m.Results, err = decodeAll(p.Results, decodeResult)
	return m, err
}

// cloneAll copies names that are kept long after the message is gone, whose
// bytes they would pin.
func cloneAll(names []string) []string {
	for i, s := range names {
		names[i] = strings.Clone(s)
	}
	return names
}

func decodeAll[P, T any](list []*P, decode func(*P) (T, error)) ([]T, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]T, len(list))
	for i, p := range list {
		var err error
		if out[i], err = decode(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func encodeLoad(l compute.Load) *pb.Load {
	p := &pb.Load{Peer: []byte(l.Peer), Seq: l.Seq, Slots: l.Slots, Running: l.Running, Hops: uint32(l.Hops)}
	for _, a := range l.Lanes {
		p.Lanes = append(p.Lanes, &pb.Load_Lane{Cap: a.Cap, Queued: a.Queued, Starved: a.Starved})
	}
	return p
}

func decodeLoad(p *pb.Load) (compute.Load, error) {
	if p == nil {
		return compute.Load{}, nil
	}
	if p.Hops > 255 || len(p.Lanes) > compute.MaxLanes {
		return compute.Load{}, fmt.Errorf("load of %d lanes after %d hops", len(p.Lanes), p.Hops)
	}
	l := compute.Load{Peer: chord.PeerID(p.Peer), Seq: p.Seq, Slots: p.Slots, Running: p.Running, Hops: uint8(p.Hops)}
	for _, a := range p.Lanes {
		l.Lanes = append(l.Lanes, compute.Lane{Cap: strings.Clone(a.Cap), Queued: a.Queued, Starved: a.Starved})
	}
	return l, nil
}

func encodeTask(t *compute.Task) *pb.Task {
	p := &pb.Task{
		Id: t.ID[:], Job: t.Job[:], Parent: encodeTaskID(t.Parent), Index: t.Index,
		Code: &pb.TaskCode{Func: t.Code.Func, Size: t.Code.Size}, Input: t.Input,
		TimeNs: int64(t.Limits.Time), Memory: t.Limits.Memory, Output: t.Limits.Output, Grant: t.Limits.Grant,
		Owner: []byte(t.Owner), Attempt: t.Attempt, Hop: t.Hop, Join: t.Join, Parts: t.Parts,
		Priority: int32(t.Priority), Apart: t.Apart, Share: uint32(t.Share),
	}
	if t.Code.Func == "" {
		p.Code.Module = t.Code.Module[:]
	}
	for _, a := range t.Avoid {
		p.Avoid = append(p.Avoid, []byte(a))
	}
	for _, a := range t.Near {
		p.Near = append(p.Near, []byte(a))
	}
	return p
}

func decodeTask(p *pb.Task) (t compute.Task, err error) {
	if p.Code == nil || len(p.Avoid) > compute.MaxAvoid || len(p.Near) > compute.MaxNear {
		return t, fmt.Errorf("task without code, or with %d peers to avoid and %d near", len(p.Avoid), len(p.Near))
	}
	if p.Priority != int32(int8(p.Priority)) {
		return t, fmt.Errorf("priority %d", p.Priority)
	}
	t = compute.Task{
		Index: p.Index, Code: compute.Code{Func: p.Code.Func, Size: p.Code.Size}, Input: p.Input,
		Limits: compute.Limits{Time: time.Duration(p.TimeNs), Memory: p.Memory, Output: p.Output, Grant: strings.Clone(p.Grant)},
		Owner:  chord.PeerID(p.Owner), Attempt: p.Attempt, Hop: p.Hop, Join: p.Join, Parts: p.Parts,
		Priority: int8(p.Priority), Apart: p.Apart, Share: uint8(min(p.Share, math.MaxUint8)),
	}
	switch n := len(p.Code.Module); n {
	case 0:
	case len(t.Code.Module):
		t.Code.Module = [32]byte(p.Code.Module)
	default:
		return t, fmt.Errorf("module hash of %d bytes", n)
	}
	for _, a := range p.Avoid {
		t.Avoid = append(t.Avoid, chord.PeerID(a))
	}
	for _, a := range p.Near {
		t.Near = append(t.Near, chord.PeerID(a))
	}
	if t.ID, err = decodeTaskID(p.Id); err != nil {
		return t, err
	}
	if t.Job, err = decodeTaskID(p.Job); err != nil {
		return t, err
	}
	t.Parent, err = decodeTaskID(p.Parent)
	return t, err
}

func decodeTaskRef(p *pb.TaskRef) (compute.Ref, error) {
	id, err := decodeTaskID(p.Task)
	return compute.Ref{Task: id, Attempt: p.Attempt, Hop: p.Hop, Running: p.Running}, err
}

func encodeResult(r *compute.Result) *pb.TaskResult {
	return &pb.TaskResult{
		Task: r.Task[:], Attempt: r.Attempt, Peer: []byte(r.Peer), Output: r.Output, Error: r.Err,
		Crashed: r.Crashed, ElapsedNs: int64(r.Elapsed), Log: r.Log, Fork: r.Fork, Kept: r.Kept,
		StartedUs: encodeMicros(r.Started), Worker: uint32(r.Worker),
	}
}

// encodeMicros returns 0 for the zero time.
func encodeMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func decodeMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

func decodeResult(p *pb.TaskResult) (compute.Result, error) {
	id, err := decodeTaskID(p.Task)
	if p.Worker > math.MaxUint16 {
		return compute.Result{}, fmt.Errorf("worker %d", p.Worker)
	}
	return compute.Result{
		Task: id, Attempt: p.Attempt, Peer: chord.PeerID(p.Peer), Output: p.Output, Err: p.Error,
		Crashed: p.Crashed, Elapsed: time.Duration(p.ElapsedNs), Log: p.Log, Fork: p.Fork, Kept: p.Kept,
		Started: decodeMicros(p.StartedUs), Worker: uint16(p.Worker),
	}, err
}

// encodeTaskID returns nothing for the zero ID.
func encodeTaskID(id compute.ID) []byte {
	if id == (compute.ID{}) {
		return nil
	}
	return id[:]
}

func decodeTaskID(b []byte) (compute.ID, error) {
	switch len(b) {
	case 0:
		return compute.ID{}, nil
	case len(compute.ID{}):
		return compute.ID(b), nil
	}
	return compute.ID{}, fmt.Errorf("task ID of %d bytes", len(b))
}
