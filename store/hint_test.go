package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"
)

func hintRecord(clock uint64, change func(*Record)) []byte {
	r := Record{Namespace: "ns", Key: "k", Position: Route("ns", "k"), Version: Version{Clock: clock, Writer: 2}, Value: []byte("v")}
	if change != nil {
		change(&r)
	}
	return r.AppendTo(nil)
}

func TestHintGolden(t *testing.T) {
	h := Hint{Record: hintRecord(1, nil), Until: time.UnixMilli(0x0102030405)}
	b := h.AppendTo(nil)
	if got, want := hex.EncodeToString(b[:hintHeader]), "01"+"0000000102030405"; got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	d, err := DecodeHint(b)
	if err != nil || !d.Until.Equal(h.Until) || !bytes.Equal(d.Record, h.Record) {
		t.Errorf("%+v, %v", d, err)
	}
	for cut := range len(b) {
		if _, err := DecodeHint(b[:cut]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes of %d: %v", cut, len(b), err)
		}
	}
}

func FuzzDecodeHint(f *testing.F) {
	f.Add(Hint{Record: hintRecord(1, nil), Until: time.UnixMilli(1)}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHint(b)
		if err == nil && !bytes.Equal(h.AppendTo(nil), b) {
			t.Errorf("%x is written as %x", b, h.AppendTo(nil))
		}
	})
}

// A hint is refused where a replica would refuse the write for good.
func TestNewHint(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123)
	at := func(d time.Duration) uint64 { return ClockAt(now.Add(d)) }
	for _, tt := range []struct {
		name   string
		record []byte
		err    error // nil: some
		ok     bool
	}{
		{"value", hintRecord(at(0), nil), nil, true},
		{"tombstone", hintRecord(at(0), func(r *Record) { r.Tombstone, r.Value = true, nil }), nil, true},
		{"of a clock a little ahead", hintRecord(at(time.Second), nil), nil, true},
		{"of a clock far ahead", hintRecord(at(2*time.Second), nil), ErrSkew, false},
		{"of a clock years ahead", hintRecord(at(10*365*24*time.Hour), nil), ErrSkew, false},
		{"nonsense", []byte("nonsense"), ErrCorrupt, false},
		{"register", hintRecord(at(0), func(r *Record) {
			r.Class, r.Namespace, r.Position = ClassPaxos, RegisterNamespace, Route(RegisterNamespace, "k")
		}), nil, false},
	} {
		h, err := NewHint(tt.record, now, time.Minute, 1500*time.Millisecond)
		if (err == nil) != tt.ok || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.ok && !h.Until.Equal(now.Add(time.Minute)) {
			t.Errorf("%s: kept until %v", tt.name, h.Until)
		}
	}
}

// What a write that ended, or did not, still lacks, by who holds the version.
func TestWriteLacks(t *testing.T) {
	ok, stale := WriteReply{Status: StatusOK}, WriteReply{Status: StatusStale, Version: Version{Clock: 9}}
	for _, tt := range []struct {
		name    string
		c       Config
		level   Level
		replies map[int]WriteReply
		fails   []int
		stored  Set
		lacks   int
	}{
		{"nothing yet", Config{Epoch: 1, Voters: vs("abc")}, LevelQuorum, nil, nil, 0, 2},
		{"one of three", Config{Epoch: 1, Voters: vs("abc")}, LevelQuorum, map[int]WriteReply{1: ok}, []int{0, 2}, 0b010, 1},
		{"settled is not stored", Config{Epoch: 1, Voters: vs("abc")}, LevelQuorum, map[int]WriteReply{1: stale}, []int{0, 2}, 0, 2},
		{"both sets", Config{Epoch: 2, Voters: vs("abc"), Next: vs("cde")}, LevelQuorum, map[int]WriteReply{0: ok, 1: ok}, []int{2, 3}, 0b00011, 2},
		{"enough", Config{Epoch: 1, Voters: vs("abc")}, LevelQuorum, map[int]WriteReply{0: ok, 1: ok}, nil, 0b011, 0},
	} {
		var w Write
		st := w.Start(tt.c, tt.level, Version{Clock: 5, Writer: 1})
		for i, r := range tt.replies {
			w.Reply(st.Round, i, r)
		}
		for _, i := range tt.fails {
			w.Fail(st.Round, i)
		}
		if w.Stored() != tt.stored || w.Lacks() != tt.lacks {
			t.Errorf("%s: stored at %b, lacks %d; want %b, %d", tt.name, w.Stored(), w.Lacks(), tt.stored, tt.lacks)
		}
	}
}

// A patient write ends when a quorum answered, or everybody.
func TestWritePatient(t *testing.T) {
	c := Config{Epoch: 1, Voters: vs("abcde")}
	var w Write
	w.Patient()
	st := w.Start(c, LevelQuorum, Version{Clock: 5, Writer: 1})
	for i := range 3 {
		if got := w.Fail(st.Round, i); got.Outcome != Running {
			t.Fatalf("after %d failures: %v", 1+i, got.Outcome)
		}
	}
	if got := w.Reply(st.Round, 3, WriteReply{Status: StatusOK}); got.Outcome != Running {
		t.Errorf("with one to come: %v", got.Outcome)
	}
	if got := w.Reply(st.Round, 4, WriteReply{Status: StatusOK}); got.Outcome != Failed || w.Lacks() != 1 {
		t.Errorf("when all have answered: %v, lacks %d", got.Outcome, w.Lacks())
	}
	st = w.Start(c, LevelQuorum, Version{Clock: 6, Writer: 1})
	w.Fail(st.Round, 0)
	w.Fail(st.Round, 1)
	for i := range 3 {
		if got := w.Reply(st.Round, 2+i, WriteReply{Status: StatusOK}); (got.Outcome == Done) != (i == 2) {
			t.Errorf("after %d of 3 answers: %v", 1+i, got.Outcome)
		}
	}
}
