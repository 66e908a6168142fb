package store

import (
	"slices"
	"sort"
	"time"

	"github.com/chorus-net/chorus/chord"
)

const modelSkew = 2 * time.Second

// commit is one entry of a disk's queue: apply changes the disk, then, once all
// of the batch is on it, done runs.
type commit struct {
	apply, done func()
}

// peer is a driver as doc.go demands it: replica, acceptor, coordinator and
// mover of one shard.
type peer struct {
	w     *world
	index int
	self  Voter
	up    bool
	dead  bool // for good, the operator says
	life  int  // counts crashes: callbacks of a former life are dropped
	wall  int64

	// On disk.
	disk    State
	records map[string][]byte
	cas     map[string][]byte // registers, with their promises
	hints   map[string][]byte // writes kept for others
	ceiling uint64

	// In memory.
	mem      State
	dirty    int // state changes queued
	queue    []commit
	flying   []commit
	clock    *Clock
	cache    Config
	synced   map[uint64][]Voter
	anySync  []Voter
	seen     map[Voter]int64 // when last believed live
	believed map[Voter]bool
	told     map[Voter]uint64 // the newest epoch that each confirmed
	busy     bool             // proposing
	pulling  bool
	pending  int64 // since when a value is accepted and undecided, 0: none
	leaving  bool
	coming   int  // fences on their way to the disk
	fenced   bool // one was asked for in this life
	handing  bool // a hint
}

func newPeer(w *world, index int) *peer {
	p := &peer{w: w, index: index, records: map[string][]byte{}, cas: map[string][]byte{}, hints: map[string][]byte{}}
	w.nextInc++
	p.self = Voter{Peer: chord.PeerID(string(rune('a' + index))), Incarnation: w.nextInc}
	p.wall = w.wall()
	p.boot()
	return p
}

// boot starts a life from what the disk holds.
func (p *peer) boot() {
	if p.dead {
		return
	}
	p.up = true
	p.life++
	p.mem, p.dirty, p.queue, p.flying = p.disk, 0, nil, nil
	if p.w.mutant == forgetPromise {
		p.mem = State{Config: p.disk.Config}
	}
	p.bootCAS()
	p.clock = NewClock(modelSkew, p.ceiling)
	if p.w.mutant == clockForgets {
		p.clock = NewClock(modelSkew, 0)
	}
	p.cache = Config{}
	p.synced = map[uint64][]Voter{}
	p.anySync = nil
	p.seen, p.believed = map[Voter]int64{}, map[Voter]bool{}
	p.told = map[Voter]uint64{}
	p.busy, p.pulling, p.pending, p.leaving = false, false, 0, false
	p.coming, p.fenced, p.handing = 0, false, false
	p.later(p.w.roll(ofDrivers).Int64N(30), p.tick)
}

// crash loses what is not on disk; of the batch being written any part may be.
func (p *peer) crash() {
	p.up = false
	p.life++
	for _, c := range p.flying[:p.w.roll(ofDisks).IntN(len(p.flying)+1)] {
		c.apply()
	}
	p.queue, p.flying = nil, nil
}

// later runs fn in this life.
func (p *peer) later(d int64, fn func()) {
	life := p.life
	p.w.after(d, func() {
		if p.life == life {
			fn()
		}
	})
}

func (p *peer) now() time.Time {
	return modelStart.Add(time.Duration(p.w.now+p.wall) * time.Millisecond)
}

// enqueue adds to the disk's queue, which commits in order and in groups.
func (p *peer) enqueue(c commit) {
	p.queue = append(p.queue, c)
	if p.flying == nil {
		p.flush()
	}
}

func (p *peer) flush() {
	p.flying, p.queue = p.queue, nil
	p.later(1+p.w.roll(ofDisks).Int64N(4), func() {
		batch := p.flying
		p.flying = nil
		for _, c := range batch {
			c.apply()
		}
		if len(p.queue) > 0 {
			p.flush()
		}
		for _, c := range batch {
			c.done()
		}
	})
}

// barrier runs fn once the state that memory holds is on disk.
func (p *peer) barrier(fn func()) {
	if p.dirty == 0 || p.w.mutant == answerBeforeSync {
		fn()
		return
	}
	p.enqueue(commit{apply: func() {}, done: fn})
}

// changed queues the state for the disk.
func (p *peer) changed() {
	s := p.mem
	if err := s.check(); err != nil {
		p.w.fail("%s: %v", p.self.Peer, err)
	}
	p.w.learned(p, s.Config)
	p.dirty++
	p.enqueue(commit{
		apply: func() {
			p.disk = roundTrip(p.w, s)
			if s.Pending() {
				p.w.accepted(s.Config, s.Accepted, p.self, s.Value)
			}
		},
		done: func() { p.dirty-- },
	})
	switch {
	case !s.Pending():
		p.pending = 0
	case p.pending == 0:
		p.pending = p.w.now
	}
}

// roundTrip writes and reads a state as a disk does.
func roundTrip(w *world, s State) State {
	d, err := DecodeState(s.AppendTo(nil))
	if err != nil {
		w.fail("state does not decode: %v", err)
	}
	return d
}

func (p *peer) learn(c Config) {
	changed, err := p.mem.Learn(c)
	if err != nil {
		p.w.fail("%s learns %v: %v", p.self.Peer, c, err)
	}
	if changed {
		p.clean()
		p.changed()
	}
}

// admit is State.Admit, with the mutants that loosen it.
func (p *peer) admit(t Target, epoch uint64, sync bool) Status {
	if t.Push.Epoch > 0 {
		p.learn(t.Push)
		p.w.did["pushed configurations"]++
	}
	inc := t.Incarnation
	if p.w.mutant == anyIncarnation {
		inc = p.self.Incarnation
	}
	status := p.mem.Admit(p.self, inc, epoch)
	switch {
	case status == StatusReferral && !sync && p.w.mutant == serveOldEpochs,
		status != StatusOK && sync && p.w.mutant == syncAnyEpoch:
		status = StatusOK
	case status == StatusNotMember && p.w.mutant == anyIncarnation:
		status = StatusOK
	}
	p.w.did["answers "+status.String()]++
	return status
}

func (p *peer) held(key string) Version {
	b, ok := p.records[key]
	if !ok {
		return Version{}
	}
	v, err := OpenRecord(b)
	if err != nil {
		p.w.fail("record on disk: %v", err)
	}
	return v.Version()
}

func (p *peer) serveWrite(epoch uint64, req WriteRequest, answer func(any)) {
	status := p.admit(req.Target, epoch, false)
	if status != StatusOK {
		reply := WriteReply{Status: status}
		if status == StatusReferral {
			reply.Config = p.mem.Config
		}
		p.barrier(func() { answer(reply) })
		return
	}
	if p.keepsOutRecord(req.Record) {
		p.w.did["answers elsewhere"]++
		answer(elsewhere{})
		return
	}
	if p.settled(req.Record) {
		p.w.did["answers stale"]++
		answer(WriteReply{Status: StatusStale, Version: Version{Clock: p.mem.Settled()}})
		return
	}
	store := func() {
		p.store(req.Record, func(status Status, held Version) {
			answer(WriteReply{Status: status, Synced: true, Version: held})
		})
	}
	if p.w.mutant == lateWrites {
		p.later(p.w.roll(ofDisks).Int64N(60), store)
		return
	}
	store()
}

// store queues a record for the disk, where the last writer wins.
func (p *peer) store(record []byte, done func(Status, Version)) {
	v, err := OpenRecord(record)
	if err != nil {
		p.w.fail("record on the wire: %v", err)
		return
	}
	if v.Class() == ClassPaxos {
		p.mergeCAS(v, func() { done(StatusOK, v.Version()) })
		return
	}
	key := JoinKey(string(v.Namespace()), string(v.Key()))
	var status Status
	var held Version
	p.enqueue(commit{
		apply: func() {
			held = p.held(key)
			var put bool
			if status, put = Judge(held, v.Version(), p.now(), modelSkew); put {
				p.records[key] = record
			}
		},
		done: func() { done(status, held) },
	})
}

func (p *peer) serveRead(epoch uint64, req ReadRequest, answer func(any)) {
	status := p.admit(req.Target, epoch, false)
	if status == StatusOK && p.keepsOut(JoinKey(req.Namespace, req.Key)) {
		p.barrier(func() { answer(elsewhere{}) })
		return
	}
	reply := ReadReply{Status: status}
	if status == StatusReferral {
		reply.Config = p.mem.Config
	}
	p.barrier(func() {
		if status == StatusOK {
			if b, ok := p.records[JoinKey(req.Namespace, req.Key)]; ok {
				reply.Record, reply.Version = b, p.held(JoinKey(req.Namespace, req.Key))
				if req.Brief && p.w.chance(ofNetwork, 0.5) { // as if it were large
					reply.Record = nil
				}
			}
		}
		answer(reply)
	})
}

func (p *peer) serveSync(epoch uint64, req SyncRequest, answer func(any)) {
	status := p.admit(req.Target, epoch, true)
	p.barrier(func() {
		reply := SyncReply{Status: status}
		if status == StatusOK {
			var keys []string
			for k := range p.records {
				reply.Fingerprint = reply.Fingerprint.Plus(p.fingerprint(k))
				if k > req.After {
					keys = append(keys, k)
				}
			}
			sort.Strings(keys)
			if len(keys) > 2 { // tiny pages
				keys, reply.More = keys[:2], true
			}
			for _, k := range keys {
				reply.Entries = append(reply.Entries, p.entry(k))
			}
		}
		answer(reply)
	})
}

func (p *peer) fingerprint(full string) Fingerprint {
	ns, key := SplitKey(full)
	return FingerprintOf([]byte(ns), []byte(key), p.held(full))
}

func (p *peer) serveFetch(epoch uint64, req FetchRequest, answer func(any)) {
	status := p.admit(req.Target, epoch, true)
	p.barrier(func() {
		reply := FetchReply{Status: status}
		if status == StatusOK {
			reply.Done = min(len(req.Keys), 1+p.w.roll(ofNetwork).IntN(2))
			for _, k := range req.Keys[:reply.Done] {
				if b, ok := p.records[k]; ok {
					reply.Records = append(reply.Records, b)
				}
			}
		}
		answer(reply)
	})
}

func (p *peer) serveProposal(prop Proposal, answer func(any)) {
	do := p.mem.Prepare
	if prop.Value.Epoch > 0 {
		do = p.mem.Accept
	}
	vote, changed, err := do(p.self, prop)
	if err != nil {
		p.w.fail("%s on proposal %v: %v", p.self.Peer, prop, err)
		return
	}
	if changed {
		p.clean()
		p.changed()
	}
	p.barrier(func() { answer(vote) })
}

func (p *peer) serveInfo(answer func(any)) {
	info := ShardInfo{Config: p.mem.Config, Synced: p.synced[p.mem.Config.Epoch]}
	if p.w.mutant == staleSyncs {
		info.Synced = p.anySync
	}
	info.Synced = slices.Clone(info.Synced)
	p.barrier(func() { answer(info) })
}
