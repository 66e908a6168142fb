package wire

import (
	"fmt"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

// TaskCounts is what a peer has to do, and has done since its start.
type TaskCounts struct {
	Slots, Queued, Running                       int
	Done, StolenIn, StolenOut, Steals, StealSent uint64
}

// AppendTaskCounts appends the encoding of c.
func AppendTaskCounts(b []byte, c *TaskCounts) []byte {
	return appendMessage(b, &pb.TaskCounts{
		Slots: uint32(c.Slots), Queued: uint32(c.Queued), Running: uint32(c.Running),
		Done: c.Done, StolenIn: c.StolenIn, StolenOut: c.StolenOut, Steals: c.Steals, Messages: c.StealSent,
	})
}

// ParseTaskCounts reads TaskCounts, whose counts fit an int.
func ParseTaskCounts(b []byte) (TaskCounts, error) {
	var m pb.TaskCounts
	if err := parseMessage(b, &m, "task counts"); err != nil {
		return TaskCounts{}, err
	}
	if most := max(m.Done, m.StolenIn, m.StolenOut, m.Steals, m.Messages); most > 1<<62 || max(m.Slots, m.Queued, m.Running) > 1<<30 {
		return TaskCounts{}, malformed("task counts", fmt.Errorf("a count of %d", most))
	}
	return TaskCounts{
		Slots: int(m.Slots), Queued: int(m.Queued), Running: int(m.Running),
		Done: m.Done, StolenIn: m.StolenIn, StolenOut: m.StolenOut, Steals: m.Steals, StealSent: m.Messages,
	}, nil
}
