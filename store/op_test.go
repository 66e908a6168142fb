package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// fakeReplica is one member's behaviour in a test of an operation: what it
// holds, and what is wrong with it. It is the obvious twin of a replica.
type fakeReplica struct {
	config  Config
	version Version // zero: nothing held
	dead    bool
	liar    bool // answers reads with another key's record
	skewed  bool
	amnesia bool // another incarnation: no member
	shy     bool // leaves values out of brief replies
}

// opWorld is a shard with one key, "ns/k", that operations run against.
type opWorld struct {
	rng      *rand.Rand
	replicas map[Voter]*fakeReplica
	old, new Config
}

func newOpWorld(seed uint64) *opWorld {
	w := &opWorld{rng: rand.New(rand.NewPCG(seed, 4)), replicas: map[Voter]*fakeReplica{}}
	sets := []string{"a", "ab", "abc", "abcde", "bcd", "a2bc", "def"}
	set := func() []Voter { return vs(sets[w.rng.IntN(len(sets))]) }
	w.old = Config{Epoch: 3, Voters: set()}
	w.new = Config{Epoch: 4, Voters: w.old.Voters, Next: set()}
	if w.rng.IntN(2) == 0 {
		w.old, w.new = w.new, Config{Epoch: 5, Voters: w.new.Next}
	}
	for _, v := range slices.Concat(w.old.Members(), w.new.Members()) {
		r := &fakeReplica{config: w.old, version: Version{Clock: w.rng.Uint64N(4)}}
		switch w.rng.IntN(8) {
		case 0:
			r.dead = true
		case 1:
			r.liar = true
		case 2:
			r.skewed = true
		case 3:
			r.amnesia = true
		case 4:
			r.config = w.new
		case 5:
			r.config = Config{}
		}
		r.shy = w.rng.IntN(2) == 0
		w.replicas[v] = r
	}
	return w
}

func opRecord(key string, v Version) []byte {
	r := Record{Namespace: "ns", Key: key, Position: Route("ns", key), Version: v, Value: []byte("value")}
	return r.AppendTo(nil)
}

// admit is what State.Admit does, told from the other end.
func (w *opWorld) admit(to Voter, epoch uint64, t Target) (r *fakeReplica, s Status, c Config) {
	r = w.replicas[to]
	if t.Push.Epoch > r.config.Epoch {
		r.config = t.Push
	}
	state := State{Config: r.config}
	self := to
	if r.amnesia {
		self.Incarnation += 100
	}
	if s = state.Admit(self, t.Incarnation, epoch); s == StatusReferral {
		c = r.config
	}
	return r, s, c
}

// inFlight is a request on its way.
type inFlight struct {
	i     int
	round uint32
	epoch uint64
	to    Voter
	push  Config
	brief bool
}

// post queues a step's requests.
func post(queue []inFlight, q *Quorum, st Step) []inFlight {
	for i := range st.Send.All() {
		f := inFlight{i: i, round: st.Round, epoch: q.Config().Epoch, to: q.Member(i), brief: st.Brief.Has(i)}
		if st.Push.Has(i) {
			f.push = q.Config()
		}
		queue = append(queue, f)
	}
	return queue
}

func (w *opWorld) take(queue []inFlight) (inFlight, []inFlight) {
	i := w.rng.IntN(len(queue))
	f := queue[i]
	return f, slices.Delete(queue, i, i+1)
}

func (w *opWorld) level() Level {
	return []Level{LevelOne, LevelQuorum, LevelQuorum, LevelAll}[w.rng.IntN(4)]
}

const opSeeds = 20000

func TestWriteAgainstTwin(t *testing.T) {
	seen := map[Outcome]int{}
	for seed := uint64(1); seed <= opSeeds; seed++ {
		w := newOpWorld(seed)
		var op Write
		level := w.level()
		v := Version{Clock: 2, Writer: 1}
		st := op.Start(w.old, level, v)
		stored := map[Voter]Version{} // the twin's account, of the round that counts
		stamped := false
		queue := post(nil, &op.Quorum, st)
		steps := 0
		for ; st.Outcome == Running || st.Outcome == Stamp; steps++ {
			if err := op.check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if st.Outcome == Stamp {
				if stamped || !v.Less(op.Newest()) {
					t.Fatalf("seed %d: stamp again, newest %v", seed, op.Newest())
				}
				stamped = true
				v = Version{Clock: op.Newest().Clock + 1, Writer: 1}
				clear(stored)
				st = op.Again(v)
				queue = post(queue, &op.Quorum, st)
				continue
			}
			if len(queue) == 0 || steps > 200 {
				t.Fatalf("seed %d: runs on with %d requests after %d steps", seed, len(queue), steps)
			}
			var f inFlight
			f, queue = w.take(queue)
			r, status, c := w.admit(f.to, f.epoch, Target{Incarnation: f.to.Incarnation, Push: f.push})
			reply := WriteReply{Status: status, Config: c, Synced: true}
			if status == StatusOK {
				switch {
				case r.skewed:
					reply.Status = StatusSkewed
				case v.Less(r.version):
					reply.Status, reply.Version = StatusSuperseded, r.version
				default:
					r.version = v
				}
			}
			if r.dead || w.rng.IntN(10) == 0 {
				st = op.Fail(f.round, f.i)
			} else {
				if reply.Status == StatusOK || reply.Status == StatusSuperseded {
					stored[f.to] = r.version
				}
				st = op.Reply(f.round, f.i, reply)
			}
			queue = post(queue, &op.Quorum, st)
		}
		seen[st.Outcome]++
		var acks []Voter
		for i := range op.Acks().All() {
			m := op.Member(i)
			if stored[m].Less(v) {
				t.Fatalf("seed %d: %v counts, and holds %v", seed, m, stored[m])
			}
			acks = append(acks, m)
		}
		if done := slowReached(op.Config(), level, acks); done != (st.Outcome == Done) {
			t.Fatalf("seed %d: outcome %d with %v of %v at %v", seed, st.Outcome, acks, op.Config(), level)
		}
		if op.Superseded()&^op.Acks() != 0 || op.Synced()&^op.Acks() != 0 || op.Acks()&op.Missing() != 0 {
			t.Fatalf("seed %d: receipt %b %b %b %b", seed, op.Acks(), op.Synced(), op.Superseded(), op.Missing())
		}
	}
	if seen[Done] < opSeeds/10 || seen[Failed] < opSeeds/10 {
		t.Errorf("outcomes %v", seen)
	}
}

func TestReadAgainstTwin(t *testing.T) {
	seen, refetched := map[Outcome]int{}, 0
	for seed := uint64(1); seed <= opSeeds; seed++ {
		w := newOpWorld(seed)
		var op Read
		level := w.level()
		rank := func(v Voter) int { return int(v.Peer[0]) * 7 % 5 }
		st := op.Start(w.old, level, "ns", "k", rank)
		queue := post(nil, &op.Quorum, st)
		told := map[uint32]map[int]Version{}
		asked := map[[2]int]bool{}
		steps := 0
		for ; st.Outcome == Running; steps++ {
			if err := op.check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if w.rng.IntN(20) == 0 {
				st = op.Hedge()
				queue = post(queue, &op.Quorum, st)
				continue
			}
			if len(queue) == 0 || steps > 200 {
				t.Fatalf("seed %d: runs on with %d requests after %d steps", seed, len(queue), steps)
			}
			var f inFlight
			f, queue = w.take(queue)
			r, status, c := w.admit(f.to, f.epoch, Target{Incarnation: f.to.Incarnation, Push: f.push})
			reply := ReadReply{Status: status, Config: c}
			if status == StatusOK && !r.version.IsZero() {
				reply.Version = r.version
				switch {
				case r.liar:
					reply.Record = opRecord("other", r.version)
				case !f.brief || !r.shy:
					reply.Record = opRecord("k", r.version)
				}
			}
			if again := [2]int{int(f.round), f.i}; status == StatusOK {
				if asked[again] {
					refetched++
				}
				asked[again] = true
			}
			if r.dead || w.rng.IntN(10) == 0 {
				st = op.Fail(f.round, f.i)
			} else {
				if status == StatusOK && (!r.liar || reply.Version.IsZero()) {
					if told[f.round] == nil {
						told[f.round] = map[int]Version{}
					}
					told[f.round][f.i] = reply.Version
				}
				st = op.Reply(f.round, f.i, reply)
			}
			queue = post(queue, &op.Quorum, st)
		}
		seen[st.Outcome]++
		var acks []Voter
		var newest Version
		for i := range op.Acks().All() {
			v, ok := told[st.Round][i]
			if !ok {
				t.Fatalf("seed %d: %v counts, and did not answer", seed, op.Member(i))
			}
			acks = append(acks, op.Member(i))
			if newest.Less(v) {
				newest = v
			}
		}
		if done := slowReached(op.Config(), level, acks); done != (st.Outcome == Done) {
			t.Fatalf("seed %d: outcome %d with %v of %v at %v", seed, st.Outcome, acks, op.Config(), level)
		}
		if st.Outcome != Done {
			continue
		}
		record, v := op.Result()
		if v.Less(newest) {
			t.Fatalf("seed %d: returned %v, the quorum holds %v", seed, v, newest)
		}
		if v.IsZero() != (len(record) == 0) || len(record) > 0 && !bytes.Equal(record, opRecord("k", v)) {
			t.Fatalf("seed %d: version %v with record %x", seed, v, record)
		}
		for i := range op.Stale().All() {
			if !told[st.Round][i].Less(v) {
				t.Fatalf("seed %d: member %d is called stale, and holds %v", seed, i, told[st.Round][i])
			}
		}
	}
	t.Logf("outcomes %v, %d records fetched again", seen, refetched)
	if seen[Done] < opSeeds/10 || seen[Failed] < opSeeds/10 || refetched < 100 {
		t.Errorf("outcomes %v, %d records fetched again", seen, refetched)
	}
}

// A read asks no more than it needs, the best ranked first, and a spare for
// each that fails.
func TestReadAsksFewest(t *testing.T) {
	c := Config{Epoch: 1, Voters: vs("abcde")}
	rank := func(v Voter) int { return -int(v.Peer[0]) } // e is nearest
	var op Read
	st := op.Start(c, LevelQuorum, "ns", "k", rank)
	if st.Send != 0b11100 || st.Brief != 0b01100 {
		t.Fatalf("asks %b, briefly %b", st.Send, st.Brief)
	}
	if st = op.Fail(st.Round, 4); st.Send != 0b00010 || st.Brief != 0 {
		t.Fatalf("for a failure asks %b, briefly %b", st.Send, st.Brief)
	}
	if st = op.Hedge(); st.Send != 0b00001 {
		t.Fatalf("to hedge asks %b", st.Send)
	}
	if st = op.Hedge(); st.Send != 0 {
		t.Fatalf("with nobody left to hedge asks %b", st.Send)
	}
	// Two sets, one member in both: two answers suffice.
	joint := Config{Epoch: 2, Voters: vs("ab"), Next: vs("bc")}
	if st = op.Start(joint, LevelOne, "ns", "k", func(v Voter) int { return -int(v.Peer[0] & 2) }); st.Send.Len() > 2 {
		t.Fatalf("one of each of two sets asks %b", st.Send)
	}
}

// What comes after the end still tells who is stale.
func TestReadLateReplies(t *testing.T) {
	c := Config{Epoch: 1, Voters: vs("abc")}
	var op Read
	st := op.Start(c, LevelQuorum, "ns", "k", nil)
	op.Hedge()
	reply := func(clock uint64) ReadReply {
		v := Version{Clock: clock}
		return ReadReply{Version: v, Record: opRecord("k", v)}
	}
	op.Reply(st.Round, 0, reply(5))
	if end := op.Reply(st.Round, 1, reply(4)); end.Outcome != Done {
		t.Fatalf("outcome %d", end.Outcome)
	}
	if end := op.Reply(st.Round, 2, ReadReply{}); end.Outcome != Done {
		t.Fatalf("late: outcome %d", end.Outcome)
	}
	if got := op.Stale(); got != 0b110 {
		t.Errorf("stale %b", got)
	}
	// Answers of another round, or from nowhere, change nothing.
	for _, i := range []int{-1, 3, 99} {
		op.Reply(st.Round, i, reply(9))
	}
	op.Reply(st.Round+1, 2, reply(9))
	if _, v := op.Result(); v.Clock != 5 {
		t.Errorf("result %v", v)
	}
}

// Answers to what an operation was used for before do not count.
func TestStartAgain(t *testing.T) {
	c := Config{Epoch: 1, Voters: vs("abc")}
	var w Write
	before := w.Start(c, LevelQuorum, Version{Clock: 1})
	w.Start(c, LevelQuorum, Version{Clock: 2})
	for i := range 2 {
		if st := w.Reply(before.Round, i, WriteReply{Status: StatusOK, Synced: true}); st.Outcome != Running || w.Acks() != 0 {
			t.Errorf("a write: outcome %d, acks %b", st.Outcome, w.Acks())
		}
	}
	var r Read
	before = r.Start(c, LevelQuorum, "ns", "k", nil)
	r.Start(c, LevelQuorum, "ns", "k2", nil)
	for i := range 2 {
		if st := r.Fail(before.Round, i); st.Outcome != Running || r.Failed() != 0 {
			t.Errorf("a read: outcome %d, failed %b", st.Outcome, r.Failed())
		}
	}
}

func TestWriteFollowsBoundedReferrals(t *testing.T) {
	var op Write
	c := Config{Epoch: 1, Voters: vs("a")}
	st := op.Start(c, LevelQuorum, Version{Clock: 1})
	for n := 0; ; n++ {
		if n > 2*maxReferrals {
			t.Fatal("follows referrals for ever")
		}
		c.Epoch++
		if st = op.Reply(st.Round, 0, WriteReply{Status: StatusReferral, Config: c}); st.Outcome == Failed {
			break
		}
	}
	// A malformed or old configuration is not followed at all.
	for _, bad := range []Config{{}, {Epoch: 1, Voters: vs("b")}, {Epoch: 9, Voters: vs("bb")}} {
		st = op.Start(Config{Epoch: 1, Voters: vs("a")}, LevelQuorum, Version{Clock: 1})
		if st = op.Reply(st.Round, 0, WriteReply{Status: StatusReferral, Config: bad}); st.Outcome != Failed {
			t.Errorf("follows %v", bad)
		}
	}
	// A replica that stays behind after it was told fails.
	st = op.Start(Config{Epoch: 1, Voters: vs("a")}, LevelQuorum, Version{Clock: 1})
	if st = op.Reply(st.Round, 0, WriteReply{Status: StatusBehind}); st.Push != 1 {
		t.Fatalf("does not push: %+v", st)
	}
	if st = op.Reply(st.Round, 0, WriteReply{Status: StatusBehind}); st.Outcome != Failed {
		t.Fatalf("pushes again: %+v", st)
	}
}

func TestOperationsDoNotAllocate(t *testing.T) {
	c := Config{Epoch: 1, Voters: vs("abc")}
	v := Version{Clock: 1}
	record := opRecord("k", v)
	rank := Rank(func(v Voter) int { return int(v.Peer[0]) })
	var w Write
	var r Read
	if n := testing.AllocsPerRun(100, func() {
		st := w.Start(c, LevelQuorum, v)
		for i := range st.Send.All() {
			w.Reply(st.Round, i, WriteReply{Synced: true})
		}
		st = r.Start(c, LevelQuorum, "ns", "k", rank)
		for i := range st.Send.All() {
			r.Reply(st.Round, i, ReadReply{Version: v, Record: record})
		}
		if _, got := r.Result(); got != v {
			t.Fatal(got)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOperations(b *testing.B) {
	c := Config{Epoch: 1, Voters: vs("abc")}
	v := Version{Clock: 1}
	rec := Record{Namespace: "ns", Key: "k", Version: v, Value: make([]byte, 100)}
	record := rec.AppendTo(nil)
	b.Run("write", func(b *testing.B) {
		var w Write
		for b.Loop() {
			st := w.Start(c, LevelQuorum, v)
			for i := range st.Send.All() {
				w.Reply(st.Round, i, WriteReply{Synced: true})
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		var r Read
		for b.Loop() {
			st := r.Start(c, LevelQuorum, "ns", "k", nil)
			for i := range st.Send.All() {
				r.Reply(st.Round, i, ReadReply{Version: v, Record: record})
			}
		}
	})
}

func ExampleWrite() {
	config := Config{Epoch: 1, Voters: []Voter{{Peer: "a"}, {Peer: "b"}, {Peer: "c"}}}
	var w Write
	step := w.Start(config, LevelQuorum, Version{Clock: 1, Writer: 7})
	for step.Outcome == Running {
		for i := range step.Send.All() {
			// A driver sends a WriteRequest to w.Member(i), and waits for any reply.
			step = w.Reply(step.Round, i, WriteReply{Status: StatusOK, Synced: true})
		}
	}
	need, of := w.Need()
	fmt.Println(step.Outcome == Done, w.Synced().Len(), need, of)
	// Output: true 2 2 3
}
