package wire

import (
	"errors"
	"testing"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

func TestTaskCounts(t *testing.T) {
	c := TaskCounts{Slots: 1, Queued: 2, Running: 3, Done: 4, StolenIn: 5, StolenOut: 6, Steals: 7, StealSent: 8}
	if back, err := ParseTaskCounts(AppendTaskCounts(nil, &c)); err != nil || back != c {
		t.Errorf("reads as %+v, %v", back, err)
	}
	for _, m := range []*pb.TaskCounts{{Queued: 1<<30 + 1}, {Done: 1 << 63}} {
		if back, err := ParseTaskCounts(appendMessage(nil, m)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v reads as %+v, %v", m, back, err)
		}
	}
}

func FuzzParseTaskCounts(f *testing.F) {
	f.Add(AppendTaskCounts(nil, &TaskCounts{Slots: 1, Queued: 2, Running: 3, Done: 4, StolenIn: 5, StolenOut: 6, Steals: 7, StealSent: 8}))
	f.Add(appendMessage(nil, &pb.TaskCounts{Queued: 1<<30 + 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseTaskCounts(b)
		if err != nil {
			return
		}
		if back, err := ParseTaskCounts(AppendTaskCounts(nil, &c)); err != nil || back != c {
			t.Errorf("%+v reads back as %+v, %v", c, back, err)
		}
		if min(c.Slots, c.Queued, c.Running) < 0 {
			t.Errorf("less than nothing: %+v", c)
		}
	})
}
