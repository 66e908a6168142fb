package chord

import (
	"slices"
	"time"
)

// Tables are compared by digest, and where they differ part by part: in a small
// ring a part that differs travels whole; in a large one its keys do, and then what
// is missing. That repairs what news did not reach, and fills the tables of
// newcomers. What it may cost is bounded by the budget.

const (
	maxKeys   = 1 << 10 // in one answer
	maxFetch  = 512     // records asked for at a time
	fewFetch  = 48      // records that a newcomer asks for where all cost too much
	keysCost  = 800     // bytes of a comparison without its keys
	probeCost = 180     // bytes of a probe and its answer
)

// key identifies a version of a record in a comparison.
func (rec *Record) key() uint32 { return uint32(rec.sum) }

// compare starts a comparison of tables with a peer that sees another ring.
func (r *Ring) compare(m *Message) {
	if !r.wide() || m.Narrow || r.phase != phaseMember {
		return
	}
	if m.Digest == r.table.digest {
		r.fill()
		return
	}
	if r.now.Before(r.syncAt) || !r.small() && !r.reuniting() && !r.budget.afford(r.now) {
		return
	}
	r.startCompare(m.From)
}

func (r *Ring) startCompare(with PeerID) {
	pause := r.pace(syncPause)
	r.syncAt = r.now.Add(pause + time.Duration(r.rng.Int64N(int64(pause))))
	r.ask(with).sync = true
}

// addSync answers a comparison: the parts that differ, from the given one on.
func (r *Ring) addSync(reply *Message, k *packer, m *Message) {
	start := int(m.Part)
	if r.small() {
		start = r.rng.IntN(buckets)
	}
	reply.Rate = uint32(100 * r.budget.events)
	for i := range buckets {
		b := (start + i) % buckets
		if m.Sync[b] == r.table.parts[b] {
			continue
		}
		ms := r.table.inBucket(b)
		if r.small() {
			if len(reply.Synced) > 0 && len(k.peers)+len(ms) > maxSynced {
				return
			}
			for _, p := range ms {
				if !k.add(p.peer) {
					return
				}
			}
			if b == r.self.part && !k.add(r.self) {
				return
			}
		} else {
			if len(reply.Keys)+len(ms)+1 > maxKeys {
				return
			}
			for _, p := range ms {
				reply.Keys = append(reply.Keys, p.peer.key())
			}
			if b == r.self.part {
				reply.Keys = append(reply.Keys, r.self.key())
			}
		}
		reply.Synced = append(reply.Synced, uint32(b))
	}
}

// addFetched answers with the records that a comparison found missing.
func (r *Ring) addFetched(k *packer, keys []uint32) {
	if len(keys) == 0 {
		return
	}
	wanted := make(map[uint32]bool, len(keys))
	for _, x := range keys {
		wanted[x] = true
	}
	if wanted[r.self.key()] {
		k.add(r.self)
	}
	for b := range buckets {
		for _, m := range r.table.inBucket(b) {
			if wanted[m.peer.key()] && !k.add(m.peer) {
				return
			}
		}
	}
}

// compared takes the answer to a comparison. Records were taken as hearsay
// already; those of ours that the other lacks are in doubt.
func (r *Ring) compared(m *Message, q *request) {
	if q.fetch > 0 {
		r.budget.spend(recordCost * len(m.Peers))
		if len(m.Peers) >= maxFetch/4 && r.budget.afford(r.now) {
			r.startCompare(m.From) // there may be more
		}
		return
	}
	if !q.sync {
		return
	}
	theirs := make(map[uint32]bool, len(m.Keys)+len(m.Peers))
	for _, x := range m.Keys {
		theirs[x] = true
	}
	for _, p := range m.Peers {
		theirs[p.key()] = true
	}
	r.doubt(m, theirs)
	if len(m.Keys) > 0 {
		r.fetch(m)
	}
	if !r.small() && len(m.Keys) < maxKeys/2 && len(r.lacking(m)) <= fewMissing+r.table.count/8 {
		r.fill()
	}
}

// fill notes that the table holds the whole ring.
func (r *Ring) fill() {
	if !r.filled {
		r.filled = true
		r.table.changed = true
	}
}

// fewMissing and an eighth of the table may be missing where it counts as whole:
// news are always under way.
const fewMissing = 4

// doubt checks members of ours which another one does not know.
func (r *Ring) doubt(m *Message, theirs map[uint32]bool) {
	doubts := 0
	for _, b := range m.Synced {
		for _, p := range r.table.inBucket(int(b)) {
			if theirs[p.peer.key()] || p.waiting > 0 || r.now.Sub(p.heard) < doubtfulAfter {
				continue
			}
			if doubts++; doubts > maxDoubts || !r.small() && (r.young(p) || !r.budget.check(r.now) && !r.budget.afford(r.now)) {
				return
			}
			r.budget.spend(probeCost)
			r.ask(p.peer.ID)
		}
	}
}

// lacking returns the keys that are of no record of ours.
func (r *Ring) lacking(m *Message) []uint32 {
	ours := make(map[uint32]bool)
	for _, b := range m.Synced {
		for _, p := range r.table.inBucket(int(b)) {
			ours[p.peer.key()] = true
		}
	}
	ours[r.self.key()] = true
	return slices.DeleteFunc(slices.Clone(m.Keys), func(x uint32) bool { return ours[x] })
}

// fetch asks for the records that we lack, as many as the budget bears: all of
// them, where newcomers are few enough for that.
func (r *Ring) fetch(m *Message) {
	b := &r.budget
	b.spend(keysCost + 4*len(m.Keys))
	if !r.filled && b.events == 0 && m.Rate < maxRate {
		b.events = float64(m.Rate) / 100
		if spreading(b.events)+filling(b.events) < float64(r.cfg.Budget) {
			b.burst = max(1<<16, 2*recordCost*float64(len(m.Keys)))
			b.saved = b.burst
		}
	}
	keys := r.recallAll(r.lacking(m))
	few := fewMissing + r.table.count/8 + int(r.budget.events*newsUnderWay.Seconds())
	if r.filled && len(keys) > few && !r.now.Before(r.meetAt) {
		r.meetAt = r.now.Add(meetPause)
		r.meet(m.From)
	}
	most := max(fewFetch, int(b.saved/recordCost))
	if keys = keys[:min(len(keys), most, maxFetch)]; len(keys) > 0 {
		r.ask(m.From).fetch = keys
	}
}

const (
	newsUnderWay = time.Minute     // news may be under way for so long
	meetPause    = 2 * time.Minute // a part of the ring is looked for no sooner again, if it was churn
)

// maxRate bounds what others may say of the rate of events, in hundredths a
// second.
const maxRate = 1 << 24
