package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func casBallot(epoch, counter, proposer uint64) CASBallot {
	return CASBallot{Epoch: epoch, Ballot: Ballot{Counter: counter, Proposer: proposer}}
}

func sampleRegister() Register {
	return Register{
		Promised: casBallot(7, 3, 0xfeed), Accepted: casBallot(7, 2, 0xbeef),
		State: CASState{Version: 5, Dot: Dot{Actor: 0xbeef, Counter: 9}, Value: []byte("owner")},
	}
}

// The format on disk and on the wire: these bytes may not change.
const goldenRegister = "01" +
	"000000000000000700000000000000030000" + "00000000feed" +
	"000000000000000700000000000000020000" + "00000000beef" +
	"0000000000000005000000000000beef0000000000000009" + "6f776e6572"

func TestRegisterCodec(t *testing.T) {
	r := sampleRegister()
	if got := hex.EncodeToString(r.AppendTo(nil)); got != goldenRegister {
		t.Errorf("\n got %s\nwant %s", got, goldenRegister)
	}
	got, err := DecodeRegister(r.AppendTo(nil))
	if diff := cmp.Diff(r, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, spoil := range map[string]func(*Register){
		"accepted above promise": func(r *Register) { r.Promised.Counter = 1 },
		"epoch out of bounds":    func(r *Register) { r.Promised.Epoch = 1 << 32 },
		"counter 0":              func(r *Register) { r.Accepted.Counter = 0 },
		"state without a ballot": func(r *Register) { r.Accepted = CASBallot{} },
		"version without a dot":  func(r *Register) { r.State.Dot = Dot{} },
		"value never set":        func(r *Register) { r.State.Version, r.State.Dot = 0, Dot{} },
		"value too large":        func(r *Register) { r.State.Value = make([]byte, MaxRegister+1) },
	} {
		bad := sampleRegister()
		spoil(&bad)
		if _, err := DecodeRegister(bad.AppendTo(nil)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The record that stands for a register orders as its accepted ballot does, and
// keeps all but the promise.
func TestRegisterRecord(t *testing.T) {
	r := sampleRegister()
	r.State.Value = make([]byte, MaxRegister)
	rec := r.Record("jobs/7")
	if err := rec.Check(); err != nil {
		t.Fatal(err)
	}
	v, err := OpenRecord(rec.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := RegisterOf(v)
	want := r
	want.Promised = want.Accepted
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	r.Promised.Counter++
	if again := r.Record("jobs/7"); !cmp.Equal(rec, again) {
		t.Error("a promise changes the record")
	}
	for name, spoil := range map[string]func(*Record){
		"class":     func(r *Record) { r.Class = ClassEventual },
		"namespace": func(r *Record) { r.Namespace = "jobs" },
		"version":   func(r *Record) { r.Version.Clock++ },
		"value":     func(r *Record) { r.Value = r.Value[:10] },
		"nothing":   func(r *Record) { r.Version, r.Value = Version{}, new(Register).AppendTo(nil) },
	} {
		bad := rec
		spoil(&bad)
		v, err := OpenRecord(bad.AppendTo(nil))
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := RegisterOf(v); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		gen := func(name string) CASBallot {
			return casBallot(rapid.Uint64Range(1, 1<<32-1).Draw(t, name), rapid.Uint64Range(1, 1<<32-1).Draw(t, name), rapid.Uint64().Draw(t, name))
		}
		a, b := gen("a"), gen("b")
		if a.Compare(b) != a.Version().Compare(b.Version()) {
			t.Fatalf("%v and %v order otherwise as versions", a, b)
		}
	})
}

func TestRegisterStep(t *testing.T) {
	one := CASState{Version: 1, Dot: Dot{Actor: 1, Counter: 1}, Value: []byte("one")}
	two := CASState{Version: 2, Dot: Dot{Actor: 2, Counter: 1}, Value: []byte("two")}
	var r Register
	for _, tt := range []struct {
		name   string
		ballot CASBallot
		accept bool
		state  CASState
		want   Status
		change bool
	}{
		{"first promise", casBallot(3, 2, 1), false, CASState{}, StatusOK, true},
		{"the same again", casBallot(3, 2, 1), false, CASState{}, StatusOutbid, false},
		{"below it", casBallot(3, 1, 9), true, two, StatusOutbid, false},
		{"accept", casBallot(3, 2, 1), true, one, StatusOK, true},
		{"a repetition", casBallot(3, 2, 1), true, one, StatusOK, false},
		{"accept unprepared", casBallot(3, 3, 2), true, two, StatusOK, true},
		{"late prepare", casBallot(3, 3, 1), false, CASState{}, StatusOutbid, false},
		{"next epoch", casBallot(4, 1, 1), false, CASState{}, StatusOK, true},
		{"former epoch", casBallot(3, 99, 1), true, one, StatusOutbid, false},
	} {
		q := CASRequest{Namespace: RegisterNamespace, Key: "k", Ballot: tt.ballot, Accept: tt.accept, State: tt.state}
		if err := q.Check(tt.ballot.Epoch); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		reply, changed, err := r.Step(&q)
		if err != nil || reply.Status != tt.want || changed != tt.change {
			t.Errorf("%s: %v changed %v, %v", tt.name, reply.Status, changed, err)
		}
		if err := r.check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if r.State.Version != 2 || r.Accepted != casBallot(3, 3, 2) || r.Promised != casBallot(4, 1, 1) {
		t.Errorf("ends as %+v", r)
	}
	q := CASRequest{Namespace: RegisterNamespace, Key: "k", Ballot: casBallot(4, 1, 1), Accept: true, State: one}
	r.Step(&q)
	q.State = two
	if _, changed, err := r.Step(&q); err == nil || changed {
		t.Error("a ballot carries two states")
	}
}

// Merging keeps the newest state and never takes a promise back.
func TestRegisterMerge(t *testing.T) {
	old, recent := sampleRegister(), sampleRegister()
	recent.Promised, recent.Accepted, recent.State.Version = casBallot(8, 1, 1), casBallot(8, 1, 1), 6
	promised := old
	promised.Promised = casBallot(9, 1, 1)
	for _, tt := range []struct {
		name     string
		r, o     Register
		changed  bool
		promised CASBallot
		version  uint64
	}{
		{"newer", old, recent, true, recent.Promised, 6},
		{"older", recent, old, false, recent.Promised, 6},
		{"same", old, old, false, old.Promised, 5},
		{"newer below the promise", promised, recent, true, promised.Promised, 6},
		{"only promised", recent, Register{Promised: casBallot(99, 1, 1)}, false, recent.Promised, 6},
		{"into nothing", Register{}, old, true, old.Accepted, 5},
	} {
		r := tt.r
		if changed := r.Merge(tt.o); changed != tt.changed || r.Promised != tt.promised || r.State.Version != tt.version {
			t.Errorf("%s: %v %+v", tt.name, changed, r)
		}
		if err := r.check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCASRequestCheck(t *testing.T) {
	good := CASRequest{Namespace: RegisterNamespace, Key: "ns/k", Ballot: casBallot(3, 1, 1)}
	if err := good.Check(3); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*CASRequest){
		"epoch":     func(q *CASRequest) { q.Ballot.Epoch = 4 },
		"counter":   func(q *CASRequest) { q.Ballot.Counter = 1 << 32 },
		"namespace": func(q *CASRequest) { q.Namespace = "ns" },
		"key":       func(q *CASRequest) { q.Key = strings.Repeat("k", MaxKey) },
		"state":     func(q *CASRequest) { q.State.Version = 1 },
	} {
		q := good
		spoil(&q)
		if q.Check(3) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// casRun is a change and its acceptors, all of which answer.
type casRun struct {
	t    *testing.T
	c    Config
	regs []Register
}

// drive runs a change to its end. Members of deaf fail.
func (r *casRun) drive(op *CAS, st Step, deaf Set) Step {
	r.t.Helper()
	for st.Outcome == Running {
		if err := op.check(); err != nil {
			r.t.Fatal(err)
		}
		req, now := op.Request(), st
		for i := range now.Send.All() {
			if deaf.Has(i) {
				st = op.Fail(now.Round, i)
				continue
			}
			reply, _, err := r.regs[i].Step(&req)
			if err != nil {
				r.t.Fatal(err)
			}
			if s := op.Reply(now.Round, i, reply); s.Send != 0 || s.Outcome != Running {
				st = s
			}
		}
	}
	return st
}

func TestCASOutcomes(t *testing.T) {
	c := Config{Epoch: 4, Voters: vs("abc")}
	r := &casRun{t: t, c: c, regs: make([]Register, 3)}
	try := func(self uint64, change Change) (Outcome, Verdict, CASState) {
		var op CAS
		st := r.drive(&op, op.Start(c, self, "k", change), 0)
		for st.Outcome == Outbid {
			st = r.drive(&op, op.Again(c), 0)
		}
		verdict, state := op.Result()
		return st.Outcome, verdict, state
	}
	change := func(self, expect, n uint64) Change {
		return Change{Expect: expect, Dot: Dot{Actor: self, Counter: n}, Value: []byte{byte(n)}}
	}
	for _, tt := range []struct {
		name    string
		self    uint64
		change  Change
		verdict Verdict
		version uint64
	}{
		{"read nothing", 1, Change{Read: true}, Applied, 0},
		{"conflict with nothing", 1, change(1, 3, 1), Conflict, 0},
		{"first", 1, change(1, 0, 2), Applied, 1},
		{"read it", 2, Change{Read: true}, Applied, 1},
		{"conflict", 2, change(2, 0, 3), Conflict, 1},
		{"second", 2, change(2, 1, 4), Applied, 2},
		{"read again", 3, Change{Read: true}, Applied, 2},
	} {
		out, verdict, state := try(tt.self, tt.change)
		if out != Done || verdict != tt.verdict || state.Version != tt.version {
			t.Errorf("%s: outcome %d verdict %d state %+v", tt.name, out, verdict, state)
		}
	}
}

// An attempt that was outbid does not wait for a member that is silent.
func TestCASHurry(t *testing.T) {
	c := Config{Epoch: 4, Voters: vs("abc")}
	var op CAS
	st := op.Start(c, 1, "k", Change{Read: true})
	if got := op.Hurry(); got.Outcome != Running {
		t.Fatalf("gave up before it was outbid: %+v", got)
	}
	ok := CASReply{Status: StatusOK, Promised: op.ballot}
	if got := op.Reply(st.Round, 0, ok); got.Outcome != Running {
		t.Fatalf("after one promise: %+v", got)
	}
	if got := op.Reply(st.Round, 1, CASReply{Status: StatusOutbid, Promised: casBallot(4, 5, 2)}); got.Outcome != Running {
		t.Fatalf("after a promise and a refusal: %+v", got)
	}
	if got := op.Hurry(); got.Outcome != Outbid {
		t.Fatalf("outbid, and one is silent: %+v", got)
	}
	if got := op.Reply(st.Round, 2, ok); got.Outcome != Outbid {
		t.Errorf("a late promise: %+v", got)
	}
	if op.Again(c); op.ballot.Compare(casBallot(4, 5, 2)) < 0 {
		t.Errorf("the next ballot is %v", op.ballot)
	}
}

// An attempt whose fate was unknown is found again, or remains in doubt.
func TestCASRepeats(t *testing.T) {
	c := Config{Epoch: 4, Voters: vs("abc")}
	mine := Change{Expect: 0, Dot: Dot{Actor: 1, Counter: 1}}
	start := func() (*casRun, *CAS) {
		r := &casRun{t: t, c: c, regs: make([]Register, 3)}
		var op CAS
		st := op.Start(c, 1, "k", mine)
		req := op.Request()
		for i := range 2 {
			reply, _, _ := r.regs[i].Step(&req)
			if s := op.Reply(st.Round, i, reply); s.Send != 0 {
				st = s
			}
		}
		// The first acceptor accepts, and nobody hears of it.
		req = op.Request()
		if !req.Accept {
			t.Fatal("a quorum of promises did not begin phase 2")
		}
		r.regs[0].Step(&req)
		op.Fail(st.Round, 0)
		if st = op.Fail(st.Round, 1); st.Outcome != Failed {
			t.Fatalf("without a quorum: %+v", st)
		}
		return r, &op
	}
	again := func(r *casRun, op *CAS) Verdict {
		st := r.drive(op, op.Again(c), 0)
		for st.Outcome == Outbid {
			st = r.drive(op, op.Again(c), 0)
		}
		verdict, _ := op.Result()
		return verdict
	}
	other := func(r *casRun, expect uint64, deaf Set) {
		var op CAS
		st := r.drive(&op, op.Start(c, 2, "k", Change{Expect: expect, Dot: Dot{Actor: 2, Counter: expect + 1}}), deaf)
		for st.Outcome == Outbid {
			st = r.drive(&op, op.Again(c), deaf)
		}
		if v, s := op.Result(); st.Outcome != Done || v != Applied {
			t.Fatalf("the other change: %+v %v %+v", st, v, s)
		}
	}
	r, op := start()
	if v := again(r, op); v != Applied || r.regs[1].State.Version != 1 {
		t.Errorf("its own attempt: verdict %d", v)
	}
	r, op = start()
	other(r, 0, 0b001) // never meets it
	if v := again(r, op); v != Conflict {
		t.Errorf("another took its version: verdict %d", v)
	}
	r, op = start()
	other(r, 1, 0) // builds on it
	if v := again(r, op); v != Unsure {
		t.Errorf("another built on it: verdict %d", v)
	}
}

// Attempts outrank each other: a referral begins one at the newer epoch, and no
// old configuration leads back.
func TestCASFollowsReferrals(t *testing.T) {
	old, recent := Config{Epoch: 4, Voters: vs("abc")}, Config{Epoch: 6, Voters: vs("abd")}
	var op CAS
	st := op.Start(old, 1, "k", Change{Read: true})
	if st = op.Reply(st.Round, 0, CASReply{Status: StatusBehind}); st.Send != 1 || st.Push != 1 {
		t.Errorf("a replica that is behind: %+v", st)
	}
	op.Reply(st.Round, 1, CASReply{Status: StatusOutbid, Promised: casBallot(4, 9, 2)})
	if st = op.Fail(st.Round, 2); st.Outcome != Outbid {
		t.Fatalf("without a quorum: %+v", st)
	}
	if st = op.Again(old); op.Request().Ballot != casBallot(4, 10, 1) {
		t.Errorf("outbid, it goes on with %v", op.Request().Ballot)
	}
	st = op.Reply(st.Round, 2, CASReply{Status: StatusReferral, Config: recent})
	if op.Request().Ballot != casBallot(6, 1, 1) || st.Send.Len() != 3 || op.Member(2) != recent.Voters[2] {
		t.Errorf("referred, it goes on with %v: %+v", op.Request().Ballot, st)
	}
	// What cannot be true counts as no answer.
	op.Reply(st.Round, 0, CASReply{Status: StatusOK, Accepted: casBallot(7, 1, 1)})
	if st = op.Reply(st.Round, 1, CASReply{Status: StatusOK, State: CASState{Version: 1}}); st.Outcome != Failed {
		t.Errorf("after two false answers: %+v", st)
	}
	if op.Again(old); op.Request().Ballot != casBallot(6, 2, 1) {
		t.Errorf("an old configuration leads to %v", op.Request().Ballot)
	}
}

func FuzzDecodeRegister(f *testing.F) {
	r := sampleRegister()
	f.Add(r.AppendTo(nil))
	f.Add(new(Register).AppendTo(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRegister(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("not ErrCorrupt: %v", err)
			}
			return
		}
		if err := r.check(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.AppendTo(nil), b) {
			t.Fatal("a register has two encodings")
		}
	})
}
