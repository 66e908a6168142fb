package chord

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// snapshot is the state that a refused message must not change.
type snapshot struct {
	Neighbours []Neighbours
	Digest     uint64
	Members    int
	Revision   uint64
	Requests   int
	Departed   int
}

func snap(r *Ring) snapshot {
	return snapshot{r.Neighbours(), r.table.digest, len(r.table.members), r.revision, len(r.requests), len(r.table.departed)}
}

// lastAsk makes p1 wait for an answer of p0 and returns its request.
func lastAsk(t testing.TB, p *pair) Message {
	t.Helper()
	r := p.rings["p1"]
	for range 300 {
		p.now = p.now.Add(10 * time.Millisecond)
		for _, m := range r.Tick(p.now).Messages {
			if m.Kind == KindAsk && m.To == "p0" && len(m.Wants) > 0 {
				return m
			}
		}
	}
	t.Fatal("p1 never asked")
	return Message{}
}

func TestHostileMessagesChangeNothing(t *testing.T) {
	p := newPair(t)
	ask := lastAsk(t, p)
	index := ask.Wants[0].Index
	answer := func(change func(*Message)) Message {
		m := Message{
			Kind: KindReply, From: "p0", To: "p1", Req: ask.Req, Member: true,
			Peers:  []*Record{NewRecord(testPeer(0, 4)), NewRecord(testPeer(5, 4))},
			States: []State{{Index: index, Digest: 1}},
		}
		change(&m)
		return m
	}
	peer := func(change func(*Peer)) func(*Message) {
		return func(m *Message) { change(&m.Peers[1].Peer) }
	}
	many := make([]uint32, MaxIndexes+1)
	for i := range many {
		many[i] = uint32(i)
	}
	for name, c := range map[string]struct {
		m    Message
		want error
	}{
		"another ring":            {answer(func(m *Message) { m.Ring = 7 }), ErrOtherRing},
		"for somebody else":       {answer(func(m *Message) { m.To = "p9" }), ErrMisrouted},
		"from ourselves":          {answer(func(m *Message) { m.From = "p1" }), ErrMisrouted},
		"from nobody":             {answer(func(m *Message) { m.From = "" }), ErrMisrouted},
		"kind 9":                  {answer(func(m *Message) { m.Kind = 9 }), ErrMessage},
		"not asked":               {answer(func(m *Message) { m.Req++ }), ErrUnsolicited},
		"not asked of it":         {answer(func(m *Message) { m.From = "p5" }), ErrUnsolicited},
		"more states than asked":  {answer(func(m *Message) { m.States = make([]State, 100) }), ErrUnsolicited},
		"answers to no question":  {answer(func(m *Message) { m.Found = []Found{{Done: true, Nodes: []Ref{{}}}} }), ErrUnsolicited},
		"an index not listed":     {answer(func(m *Message) { m.States[0].List = []Ref{{Peer: 1, Index: 99}} }), ErrMessage},
		"a peer not carried":      {answer(func(m *Message) { m.States[0].List = []Ref{{Peer: 7}} }), ErrMessage},
		"its own predecessor":     {answer(func(m *Message) { m.States[0].HasPred, m.States[0].Pred = true, Ref{Index: index} }), ErrMessage},
		"a list through itself":   {answer(func(m *Message) { m.States[0].List = []Ref{{Index: index}} }), ErrMessage},
		"a list with a double":    {answer(func(m *Message) { m.States[0].List = []Ref{{Peer: 1}, {Peer: 1}} }), ErrMessage},
		"a list without end":      {answer(func(m *Message) { m.States[0].List = make([]Ref, maxList+1) }), ErrMessage},
		"too many records":        {answer(func(m *Message) { m.Peers = make([]*Record, maxPeers+1) }), ErrMessage},
		"no record at all":        {answer(func(m *Message) { m.Peers[1] = nil }), ErrMessage},
		"two records of one peer": {answer(func(m *Message) { m.Peers[1] = m.Peers[0] }), ErrMessage},
		"too many events":         {answer(func(m *Message) { m.Events = make([]Event, maxEvents+1) }), ErrMessage},
		"an event of kind 4":      {answer(func(m *Message) { m.Events = []Event{{Kind: EventHeard + 1, Peer: "p0"}} }), ErrMessage},
		"too many suspects":       {answer(func(m *Message) { m.Vets = slices.Repeat([]PeerID{"p0"}, maxVets+1) }), ErrMessage},
		"a suspect without an ID": {answer(func(m *Message) { m.Vets = []PeerID{""} }), ErrMessage},
		"an event of kind 0":      {answer(func(m *Message) { m.Events = []Event{{Peer: "p0"}} }), ErrMessage},
		"half a table":            {answer(func(m *Message) { m.Sync = make([]uint64, 3) }), ErrMessage},
		"part 64 of a table":      {answer(func(m *Message) { m.Synced = []uint32{buckets} }), ErrMessage},
		"no positions":            {answer(peer(func(p *Peer) { p.Indexes = nil })), ErrPeer},
		"65 positions":            {answer(peer(func(p *Peer) { p.Indexes = many })), ErrPeer},
		"position 1024":           {answer(peer(func(p *Peer) { p.Indexes = []uint32{MaxIndex} })), ErrPeer},
		"positions out of order":  {answer(peer(func(p *Peer) { p.Indexes = []uint32{2, 1} })), ErrPeer},
		"one position twice":      {answer(peer(func(p *Peer) { p.Indexes = []uint32{1, 1} })), ErrPeer},
		"sequence number 0":       {answer(peer(func(p *Peer) { p.Seq = 0 })), ErrPeer},
		"a long ID":               {answer(peer(func(p *Peer) { p.ID = PeerID(strings.Repeat("x", maxPeerID+1)) })), ErrPeer},
		"a long address":          {answer(peer(func(p *Peer) { p.Addrs = []string{strings.Repeat("x", maxAddrLen+1)} })), ErrPeer},
		"many addresses":          {answer(peer(func(p *Peer) { p.Addrs = make([]string, maxAddrs+1) })), ErrPeer},
		"much weight":             {answer(peer(func(p *Peer) { p.Weight = maxWeight + 1 })), ErrPeer},
		"a future clock":          {answer(func(m *Message) { m.Peers[0].Seq = future }), ErrFuture},
		"a long signed record":    {answer(peer(func(p *Peer) { p.Record = make([]byte, maxRecord+1) })), ErrPeer},
	} {
		r := p.rings["p1"]
		before, refused, by := snap(r), r.Stats().Refused, r.Stats().RefusedBy
		out := r.Step(p.now, c.m)
		if !errors.Is(out.Refused, c.want) {
			t.Errorf("%s: refused with %v, want %v", name, out.Refused, c.want)
		}
		if r.Stats().Refused != refused+1 || r.Stats().RefusedBy[ReasonOf(c.want)] != by[ReasonOf(c.want)]+1 {
			t.Errorf("%s: not counted as %s", name, ReasonOf(c.want))
		}
		if out.RefusedFrom != c.m.From {
			t.Errorf("%s: refused from %q", name, out.RefusedFrom)
		}
		if len(out.Messages) != 0 {
			t.Errorf("%s: answered", name)
		}
		if diff := cmp.Diff(before, snap(r)); diff != "" {
			t.Errorf("%s changed the state (-before +after):\n%s", name, diff)
		}
	}
	// What was asked for is still welcome.
	if out := p.rings["p1"].Step(p.now, answer(func(m *Message) { m.Peers = m.Peers[:1] })); out.Refused != nil {
		t.Errorf("the true answer: %v", out.Refused)
	}
}

// future is the Seq of a peer whose clock is an hour ahead.
var future = uint64(start.Add(time.Hour).UnixMilli())

// TestRecordsOfTheFuture passes over what others tell of such a peer, and takes the
// rest of what they say.
func TestRecordsOfTheFuture(t *testing.T) {
	p := newPair(t)
	r := p.rings["p0"]
	liar, fine := testPeer(7, 4), testPeer(8, 4)
	liar.Seq = future
	out := r.Step(p.now, Message{Kind: KindAsk, From: "p1", To: "p0", Req: 1, Member: true, Peers: []*Record{NewRecord(liar), NewRecord(fine)}})
	if !errors.Is(out.Refused, ErrFuture) || r.Stats().RefusedBy[ReasonFuture] != 1 {
		t.Errorf("refused with %v, %d counted", out.Refused, r.Stats().RefusedBy[ReasonFuture])
	}
	if r.table.members["p7"] != nil || r.table.members["p8"] == nil {
		t.Errorf("the peer of the future is known: %v; the other: %v", r.table.members["p7"] != nil, r.table.members["p8"] != nil)
	}
}

// TestRestlessPeer changes its address twice a second: only so many changes a
// second are taken, whoever tells of them, and the last one after it has come to rest.
func TestRestlessPeer(t *testing.T) {
	p := newPair(t)
	r := p.rings["p0"]
	taken := 0
	self := testPeer(1, 4)
	tell := func() Output {
		self.Seq++
		self.Addrs = []string{fmt.Sprintf("/ip4/192.0.2.%d/tcp/1", self.Seq%250)}
		return r.Step(p.now, Message{Kind: KindAsk, From: "p1", To: "p0", Req: self.Seq, Member: true, Peers: []*Record{NewRecord(self)}})
	}
	for range 40 {
		p.now = p.now.Add(500 * time.Millisecond)
		if out := tell(); len(out.Learned) > 0 {
			taken++
		} else if !errors.Is(out.Refused, ErrRestless) {
			t.Fatalf("neither taken nor refused: %v", out.Refused)
		}
	}
	if taken < 20 || taken > 20+changeBurst {
		t.Errorf("%d of 40 changes in 20 s were taken", taken)
	}
	if n := r.Stats().RefusedBy[ReasonRestless]; n != uint64(40-taken) {
		t.Errorf("%d counted, %d not taken", n, 40-taken)
	}
	p.now = p.now.Add(changePause)
	if tell(); r.table.members["p1"].peer.Seq != self.Seq {
		t.Error("the last change was not taken")
	}
	if n := r.View().Len(); n != 2 {
		t.Errorf("%d peers in the view", n)
	}
}

func TestStrangersReportIsOnlyAHint(t *testing.T) {
	p := newPair(t)
	r := p.rings["p0"]
	claim := Message{
		Kind: KindAsk, From: "p1", To: "p0", Req: 1, Member: true, Peers: []*Record{NewRecord(testPeer(7, 4))},
		Events: []Event{{Kind: EventDead, Peer: "p1", Incarnation: 1, Seq: 1}},
	}
	r.Step(p.now, claim)
	if n := r.View().Len(); n != 2 {
		t.Fatalf("%d peers in the view on the word of another", n)
	}
	p.carry(r.Tick(p.now)) // p7 does not answer
	p.run(6 * time.Second)
	if n := r.View().Len(); n != 2 || r.table.members["p7"] != nil {
		t.Fatalf("%d peers; the one that never answered is remembered: %v", n, r.table.members["p7"] != nil)
	}
}

// FuzzStep feeds a member with messages made from random choices, half of them
// well formed, and checks its state after each.
func FuzzStep(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		rng := rand.New(rand.NewPCG(a, b))
		p := newPair(t)
		r := p.rings["p1"]
		var asked []uint64
		for range 60 {
			p.now = p.now.Add(time.Duration(rng.IntN(400)) * time.Millisecond)
			for _, m := range r.Tick(p.now).Messages {
				asked = append(asked, m.Req)
			}
			m := randomMessage(rng, asked)
			revision, digest, members, departed := r.revision, r.table.digest, len(r.table.members), len(r.table.departed)
			out := r.Step(p.now, m)
			changed := revision != r.revision || digest != r.table.digest || members != len(r.table.members) || departed != len(r.table.departed)
			part := errors.Is(out.Refused, ErrFuture) || errors.Is(out.Refused, ErrRestless) // of a message that was taken
			if out.Refused != nil && changed && !part {
				t.Fatalf("a message that was refused with %v changed the state", out.Refused)
			}
			if err := r.check(); err != nil {
				t.Fatalf("after %+v: %v", m, err)
			}
		}
	})
}

func randomMessage(rng *rand.Rand, asked []uint64) Message {
	m := Message{
		Kind: Kind(1 + rng.IntN(4)), From: testPeer(rng.IntN(6), 1).ID, To: "p1", Req: rng.Uint64(),
		Member: rng.IntN(4) > 0, Left: rng.IntN(8) == 0, Who: rng.IntN(4) == 0, Know: uint32(rng.IntN(2)), Digest: rng.Uint64(),
	}
	if len(asked) > 0 && rng.IntN(4) > 0 {
		m.Req = asked[rng.IntN(len(asked))]
	}
	for i := range rng.IntN(6) {
		if i == 1 && rng.IntN(2) == 0 {
			continue // our own record
		}
		p := testPeer(i, 1+rng.IntN(4))
		p.Seq = 1 + rng.Uint64N(3)
		m.Peers = append(m.Peers, NewRecord(p))
	}
	ref := func() Ref {
		if rng.IntN(5) == 0 {
			return Ref{Peer: Known, Index: uint32(rng.IntN(4))}
		}
		return Ref{Peer: uint32(rng.IntN(6)), Index: uint32(rng.IntN(4))}
	}
	for range rng.IntN(3) {
		st := State{Index: uint32(rng.IntN(4)), Digest: rng.Uint32(), Base: rng.Uint32N(3), Version: rng.Uint64N(9), Same: rng.IntN(3) == 0, HasPred: rng.IntN(2) == 0, Pred: ref()}
		if rng.IntN(2) == 0 {
			st.List = []Ref{ref()}
		}
		m.States = append(m.States, st)
		m.Wants = append(m.Wants, Want{Index: uint32(rng.IntN(5)), Have: rng.Uint32N(2)})
		m.Notes = append(m.Notes, Note{Yours: uint32(rng.IntN(5)), Mine: uint32(rng.IntN(5))})
		m.Finds = append(m.Finds, HashID([]byte{byte(rng.IntN(256))}))
		m.News = append(m.News, News{Kind: EventKind(rng.IntN(5)), Peer: rng.Uint32N(4), At: rng.Uint64N(2), Until: rng.Uint32()})
		m.Keys, m.Fetch = append(m.Keys, rng.Uint32()), append(m.Fetch, rng.Uint32())
		m.Events = append(m.Events, Event{Kind: EventKind(1 + rng.IntN(2)), Peer: testPeer(rng.IntN(6), 1).ID, Incarnation: 1, Seq: rng.Uint64N(3)})
	}
	if rng.IntN(4) == 0 {
		m.Sync = make([]uint64, buckets)
		m.Synced = []uint32{uint32(rng.IntN(buckets))}
	}
	return m
}
