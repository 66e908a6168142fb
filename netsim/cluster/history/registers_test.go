package history

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// scripted answers with what it is told to.
type scripted struct {
	reg client.Register
	err error
}

func (s scripted) CompareAndSwap(context.Context, string, uint64, []byte) (client.Register, error) {
	return s.reg, s.err
}

func (s scripted) ReadRegister(context.Context, string) (client.Register, error) {
	return s.reg, s.err
}

// step is one call, made after those before have returned.
type step struct {
	expect uint64 // of a swap to value
	value  string // "": a read
	answer scripted
}

func TestCheck(t *testing.T) {
	at := func(version uint64, value string) client.Register {
		return client.Register{Key: "k", Version: version, Value: []byte(value)}
	}
	lost := scripted{err: errors.New("no answer")}
	conflict := func(version uint64, value string) scripted {
		return scripted{at(version, value), at(version, value).Conflict(0)}
	}
	for _, tt := range []struct {
		name  string
		legal bool
		steps []step
	}{
		{"in order", true, []step{{0, "a", scripted{reg: at(1, "a")}}, {1, "b", scripted{reg: at(2, "b")}}, {0, "", scripted{reg: at(2, "b")}}}},
		{"a conflict", true, []step{{0, "a", scripted{reg: at(1, "a")}}, {0, "b", conflict(1, "a")}}},
		{"a lost swap that happened", true, []step{{0, "a", lost}, {0, "", scripted{reg: at(1, "a")}}}},
		{"a lost swap that did not", true, []step{{0, "a", lost}, {0, "b", scripted{reg: at(1, "b")}}}},
		{"a lost swap that happened late", true, []step{{0, "a", lost}, {0, "", scripted{reg: at(0, "")}}, {0, "b", conflict(1, "a")}}},
		{"two swaps from one version", false, []step{{0, "a", scripted{reg: at(1, "a")}}, {0, "b", scripted{reg: at(1, "b")}}}},
		{"an old read", false, []step{{0, "a", scripted{reg: at(1, "a")}}, {0, "", scripted{reg: at(0, "")}}}},
		{"a conflict with what was expected", false, []step{{0, "a", conflict(0, "")}}},
		{"a value that nobody wrote", false, []step{{0, "", scripted{reg: at(1, "x")}}}},
		{"a lost swap that was undone", false, []step{{0, "a", lost}, {0, "", scripted{reg: at(1, "a")}}, {0, "", scripted{reg: at(0, "")}}}},
	} {
		var h Registers
		for _, s := range tt.steps {
			// The history keeps what the peer said; the caller is not interested.
			if s.value == "" {
				_, _ = h.Read(t.Context(), s.answer, "k")
			} else {
				_, _ = h.Swap(t.Context(), s.answer, "k", s.expect, []byte(s.value))
			}
		}
		if err := h.Check(time.Minute); (err == nil) != tt.legal {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
