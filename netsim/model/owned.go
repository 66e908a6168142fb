package model

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// OwnedReport tells how keys of owned namespaces were read in a ring with liars.
type OwnedReport struct {
	Anywhere OwnedReads  `json:"anywhere"`
	Beside   *OwnedReads `json:"beside_sybils"` // of keys next to the one that Sybils stand around, nil without those
}

// OwnedReads sums up quorum reads. Each ended in one of the ways from Current to
// Unavailable, or by accepting a forged record.
type OwnedReads struct {
	N           int `json:"n"`
	Current     int `json:"current"`     // gave the record that the owner wrote last
	Stale       int `json:"stale"`       // gave one that the owner wrote before
	Denied      int `json:"denied"`      // a quorum held nothing, or said so
	Unavailable int `json:"unavailable"` // the lookup failed, or no quorum of those that it named gave an answer that holds
	// Captured counts the reads of keys whose replicas were liars, all of them: nobody
	// can read those.
	Captured       int `json:"captured"`
	ForgedOffered  int `json:"forged_offered"` // answers of replicas
	ForgedAccepted int `json:"forged_accepted"`
}

// Of owned reads.
const (
	readsShare = 4   // so many lookups to an owned read
	ownedKeys  = 100 // that are read, anywhere, and as many beside Sybils
)

// ownedKey is a key in a namespace of an owner's own, with what its replicas may show: what the
// owner wrote, and what liars make of that.
type ownedKey struct {
	ns, key       string
	at            chord.ID
	older, newest []byte
	forged        []forgery
	reads         *OwnedReads // where its reads are counted
}

// forgery is a record that the owner of its namespace never made, or not of that key.
type forgery struct {
	name   string
	record []byte
}

// signer is a pair of keys.
type signer struct {
	key  store.PublicKey
	sign store.SignKey
}

func newSigner(rng *rand.Rand) signer {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(rng.UintN(256))
	}
	private := ed25519.NewKeyFromSeed(seed)
	return signer{
		key:  store.PublicKey(private.Public().(ed25519.PublicKey)),
		sign: func(message []byte) ([]byte, error) { return ed25519.Sign(private, message), nil },
	}
}

// checkReply is what a reader goes by before it takes in the answer of a replica.
type checkReply func(ring [32]byte, ns string, reply store.ReadReply) error

// vault has owners' keys read in a ring with liars. Owners are no peers of the ring here; the
// liars share one pair of keys, with which they sign, and have seen all that owners wrote.
type vault struct {
	x       *experiment
	check   checkReply
	rng     *rand.Rand
	ring    [32]byte
	mallory signer
	keys    map[chord.ID]*ownedKey
}

func newVault(x *experiment) *vault {
	v := &vault{x: x, check: store.CheckReply, rng: rand.New(rand.NewPCG(x.s.Seed, 0x6f776e6564)), ring: [32]byte{1}, keys: make(map[chord.ID]*ownedKey)}
	if x.s.check != nil {
		v.check = x.s.check
	}
	v.mallory = newSigner(v.rng)
	return v
}

// readOwned has honest peers look owned keys up and read them, if there are liars. Every other
// key lies beside the Sybils, if there are any.
func (x *experiment) readOwned(ctx context.Context) error {
	if len(x.liars.lie) == 0 || x.s.Lookups == 0 {
		return nil
	}
	v, rep := newVault(x), &OwnedReport{}
	x.rep.Owned = rep
	anywhere, err := v.write(&rep.Anywhere, false)
	if err != nil {
		return err
	}
	var beside []*ownedKey
	if x.s.Sybils > 0 {
		rep.Beside = &OwnedReads{}
		if beside, err = v.write(rep.Beside, true); err != nil {
			return err
		}
	}
	x.OnLookup = func(_ *Peer, res chord.LookupResult) {
		if k := v.keys[res.Target]; k != nil {
			v.read(k, &res)
		}
	}
	pause := time.Duration(float64(time.Second) / x.s.Lookups)
	n := int(x.s.Lookups*x.s.Duration.Seconds()) / readsShare
	for i := range n {
		keys := anywhere
		if i%2 == 1 && len(beside) > 0 {
			keys = beside
		}
		if at := v.reader(); at != nil {
			k := keys[v.rng.IntN(len(keys))]
			k.reads.N++
			x.Lookup(at, k.at)
		}
		if err := x.pass(ctx, "owned", float64(i)/float64(n), pause); err != nil {
			return err
		}
	}
	err = x.World.Run(10 * time.Second) // lookups under way
	rep.Anywhere.close()
	if rep.Beside != nil {
		rep.Beside.close()
	}
	return err
}

// close counts the reads that gave nothing.
func (r *OwnedReads) close() {
	r.Unavailable = r.N - r.Current - r.Stale - r.Denied - r.ForgedAccepted
}

// reader draws an honest member, nil if there is none.
func (v *vault) reader() *Peer {
	ms := slices.DeleteFunc(slices.Clone(v.x.owners.members), func(p *Peer) bool { return v.x.liars.lie[p] != honest })
	if len(ms) == 0 {
		return nil
	}
	return ms[v.rng.IntN(len(ms))]
}

// write has owners write a key each, twice, whose reads are counted in the given place.
func (v *vault) write(reads *OwnedReads, beside bool) (keys []*ownedKey, err error) {
	for range ownedKeys {
		owner := newSigner(v.rng)
		k := &ownedKey{ns: store.NamespaceOf(owner.key), reads: reads}
		for i := 0; i == 0 || beside && !v.x.besideKey(k.at); i++ {
			k.key = fmt.Sprint("k", i)
			k.at = store.Route(k.ns, k.key)
		}
		if err := v.fill(k, owner); err != nil {
			return nil, err
		}
		v.keys[k.at] = k
		keys = append(keys, k)
	}
	return keys, nil
}

// fill makes the records of a key, and what liars make of them.
func (v *vault) fill(k *ownedKey, owner signer) error {
	now := v.x.clock()
	grant := func(by signer, until time.Time) (*store.Grant, error) {
		g, err := store.NewGrant(v.ring, owner.key, v.mallory.key, until, by.sign)
		return &g, err
	}
	own, err := grant(v.mallory, now.Add(time.Hour))
	if err != nil {
		return err
	}
	ended, err := grant(owner, now)
	if err != nil {
		return err
	}
	for i, w := range []struct {
		name  string // of a forgery; the owner wrote the others
		by    *signer
		grant *store.Grant
		ring  [32]byte
		edit  func(*store.Record)
	}{
		{by: &owner, ring: v.ring, edit: func(r *store.Record) { r.Value = []byte("older") }},
		{by: &owner, ring: v.ring, edit: func(r *store.Record) { r.Value = []byte("newest") }},
		{"signed by another", &v.mallory, nil, v.ring, nil},
		{"with a grant of their own", &v.mallory, own, v.ring, nil},
		{"with a grant that ended", &v.mallory, ended, v.ring, nil},
		{"deleted", &v.mallory, nil, v.ring, func(r *store.Record) { r.Tombstone, r.Value = true, nil }},
		{"of another ring", &owner, nil, [32]byte{2}, nil},
		{"of another key", &owner, nil, v.ring, func(r *store.Record) { r.Key += "x"; r.Position = store.Route(r.Namespace, r.Key) }},
		{"with no signature", nil, nil, v.ring, nil},
	} {
		r := store.Record{
			Namespace: k.ns, Key: k.key, Position: k.at, Value: []byte("forged"),
			Version: store.Version{Clock: store.ClockAt(now.Add(time.Duration(i) * time.Second)), Writer: uint64(i)},
		}
		if w.edit != nil {
			w.edit(&r)
		}
		if w.by != nil {
			if err := store.SignOwned(w.ring, &r, w.grant, w.by.sign); err != nil {
				return err
			}
		}
		k.keep(w.name, &r)
	}
	return v.alter(k)
}

// alter adds what liars make of the owner's newest record without signing it.
func (v *vault) alter(k *ownedKey) error {
	good, err := store.DecodeRecord(k.newest)
	if err != nil {
		return err
	}
	changed, later := good, good
	changed.Value = []byte("forged")
	k.keep("altered", &changed)
	later.Version.Clock = store.ClockAt(v.x.clock().Add(time.Minute))
	k.keep("replayed as newer", &later)
	return nil
}

// keep encodes a record: one of the owner's, or a forgery of that name.
func (k *ownedKey) keep(forged string, r *store.Record) {
	b := r.AppendTo(nil)
	switch {
	case forged != "":
		k.forged = append(k.forged, forgery{forged, b})
	case k.older == nil:
		k.older = b
	default:
		k.newest = b
	}
}

// read ends a lookup of a key with a quorum read of the first peers that it named.
func (v *vault) read(k *ownedKey, res *chord.LookupResult) {
	r := k.reads
	holders := v.holders(k)
	if !slices.ContainsFunc(holders, func(p *Peer) bool { return v.x.liars.lie[p] == honest }) {
		r.Captured++
	}
	if res.Err != nil {
		return
	}
	c := store.Config{Epoch: 1}
	for _, p := range res.Nodes[:min(len(res.Nodes), replicas)] {
		c.Voters = append(c.Voters, store.Voter{Peer: p.ID, Incarnation: p.Incarnation})
	}
	record, ok := v.quorum(k, c, func(p *Peer) (reply store.ReadReply, answers bool) {
		reply, answers = v.show(k, p, holders)
		if k.isForged(reply.Record) {
			r.ForgedOffered++
		}
		return reply, answers
	})
	switch {
	case !ok:
	case len(record) == 0:
		r.Denied++
	case k.isForged(record):
		r.ForgedAccepted++
	case bytes.Equal(record, k.newest):
		r.Current++
	default:
		r.Stale++
	}
}

// isForged reports whether a record is none that the owner wrote for the key.
func (k *ownedKey) isForged(record []byte) bool {
	return len(record) > 0 && !bytes.Equal(record, k.newest) && !bytes.Equal(record, k.older)
}

// holders returns who keeps a key: the peers that stand first from it on.
func (v *vault) holders(k *ownedKey) (holders []*Peer) {
	v.x.owners.from(k.at, func(o owner) bool {
		if !slices.Contains(holders, o.peer) {
			holders = append(holders, o.peer)
		}
		return len(holders) < replicas
	})
	return holders
}

// show returns what a peer answers that is asked for a key: an honest one the newest record, if
// it keeps the key; a liar a forged or the older record, nothing, or no answer.
func (v *vault) show(k *ownedKey, p *Peer, holders []*Peer) (reply store.ReadReply, answers bool) {
	var record []byte
	switch n := len(k.forged); {
	case p == nil || !p.Up():
		return reply, false
	case v.x.liars.lie[p] == honest:
		if slices.Contains(holders, p) {
			record = k.newest
		}
	default:
		switch i := v.rng.IntN(n + 3); i {
		case n:
			record = k.older
		case n + 1: // it says that it holds nothing
		case n + 2:
			return reply, false
		default:
			record = k.forged[i].record
		}
	}
	return shown(record), true
}

// shown is the answer of a replica that holds a record, or none.
func shown(record []byte) (reply store.ReadReply) {
	if view, err := store.OpenRecord(record); err == nil {
		reply.Record, reply.Version = record, view.Version()
	}
	return reply
}

// quorum reads a key as a real peer does, and returns the record, nothing if there is none. Liars are
// asked before others, and so answer first, which serves them best; ok is false if no quorum answers.
func (v *vault) quorum(k *ownedKey, c store.Config, ask func(*Peer) (store.ReadReply, bool)) (record []byte, ok bool) {
	var r store.Read
	st := r.Start(c, store.LevelQuorum, k.ns, k.key, func(voter store.Voter) int {
		if v.x.liars.lie[v.x.find(voter.Peer)] != honest {
			return 0
		}
		return 1
	})
	asked := slices.Collect(st.Send.All())
	for st.Outcome == store.Running && len(asked) > 0 {
		i := asked[0]
		asked = asked[1:]
		reply, answers := ask(v.x.find(r.Member(i).Peer))
		if answers && v.check(v.ring, k.ns, reply) == nil {
			st = r.Reply(st.Round, i, reply)
		} else {
			st = r.Fail(st.Round, i)
		}
		asked = slices.AppendSeq(asked, st.Send.All())
	}
	record, _ = r.Result()
	return record, st.Outcome == store.Done
}
