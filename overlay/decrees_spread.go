package overlay

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
)

// How decrees reach everybody: whoever learns one tells decreeFanout peers, and each
// peer compares what it knows with a random one now and then.
const (
	decreeFanout = 8
	decreeEvery  = 10 * time.Second
	decreeCall   = 5 * time.Second
	// decreeTalk bounds a comparison with a peer, which may take its time.
	decreeTalk = time.Minute
	// recheckEvery is how often connections are ended whose pass has come to its end.
	recheckEvery = time.Minute
	maxNewsPeers = 8
)

// spread tells others of decrees. It owns the goroutines that do.
type spread struct {
	n     *Node
	every time.Duration
	wake  chan struct{} // holds a token while there is something to tell

	mu        sync.Mutex
	fresh     []passes.Decree
	comparing bool // with a peer, at the moment
}

func newSpread(n *Node) *spread {
	every := decreeEvery
	if n.cfg.decreeEvery != 0 {
		every = n.cfg.decreeEvery
	}
	return &spread{n: n, every: every, wake: make(chan struct{}, 1)}
}

// learnt is told of decrees that were new here. What follows from them is the matter of
// run, which starts when the peer is in the ring.
func (s *spread) learnt(fresh []passes.Decree) {
	if len(fresh) == 0 {
		return
	}
	s.n.log.Info("decrees learnt", "count", len(fresh))
	s.mu.Lock()
	s.fresh = append(s.fresh, fresh...)
	if len(s.fresh) > passes.MaxDecrees {
		s.fresh = s.fresh[:passes.MaxDecrees] // comparing brings the rest
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run ends the connections of those who are out, tells others, and compares, until ctx
// ends. It waits for nobody's answer.
func (s *spread) run(ctx context.Context) {
	rechecked := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
			s.n.host.Recheck()
			s.refresh(ctx)
			s.tell(ctx)
			continue
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		s.refresh(ctx)
		s.startComparing(ctx)
		if time.Since(rechecked) >= min(recheckEvery, 6*s.every) {
			s.n.host.Recheck()
			rechecked = time.Now()
		}
		timer.Reset(s.every/2 + rand.N(s.every))
	}
}

// refresh renews this peer's pass under the ring's newest key once it is time, and repeats
// under it what this peer revoked under older ones. Certificates go on showing the pass of
// the start, which others renew by the same decrees.
func (s *spread) refresh(ctx context.Context) {
	list, err := s.n.door.repeat()
	if err == nil && len(list) > 0 {
		list, err = s.n.door.learn(ctx, list)
		s.learnt(list)
	}
	if err != nil {
		s.n.log.Warn("repeat revocations under the ring's new key", "err", err)
	}
	if err := s.n.door.renew(); err != nil {
		s.n.log.Warn("renew pass", "err", err)
	}
}

// tell tells a few peers of what is new.
func (s *spread) tell(ctx context.Context) {
	s.mu.Lock()
	fresh := s.fresh
	s.fresh = nil
	s.mu.Unlock()
	for _, page := range pages(fresh) {
		for _, peer := range s.some(decreeFanout) {
			s.n.group.start(func() {
				if _, err := s.exchange(ctx, peer, 0, page); err != nil {
					s.n.log.Debug("tell of decrees", "peer", s.n.label(peer), "err", err)
				}
			})
		}
	}
}

// tellNow tells a few peers of decrees and waits for them. It returns how many peers
// know, this one included.
func (s *spread) tellNow(ctx context.Context, list []passes.Decree) int {
	peers := s.some(decreeFanout)
	answers := make(chan error, len(peers))
	for _, peer := range peers {
		told := s.n.group.start(func() {
			var err error
			for _, page := range pages(list) {
				_, bad := s.exchange(ctx, peer, 0, page)
				err = errors.Join(err, bad)
			}
			answers <- err
		})
		if !told {
			answers <- ErrClosed
		}
	}
	told := 1
	for range peers {
		if err := <-answers; err == nil {
			told++
		}
	}
	return told
}

// pages encodes decrees in parts that fit a message.
func pages(list []passes.Decree) [][]byte {
	var out [][]byte
	for len(list) > 0 {
		page, n := firstPage(list)
		out, list = append(out, page), list[n:]
	}
	return out
}

// firstPage encodes as many decrees as a message has room for, and returns their number.
func firstPage(list []passes.Decree) (page []byte, n int) {
	for n < len(list) {
		longer := passes.AppendDecrees(page, list[n:n+1])
		if len(longer) > wire.MaxDecreesPage {
			break
		}
		page, n = longer, n+1
	}
	return page, n
}

// alone reports whether nobody of the ring is within reach, as far as is known.
func (s *spread) alone() bool {
	if g := s.n.guest; g != nil {
		return len(g.ids()) == 0
	}
	return s.n.view().Len() == 1
}

// some returns up to n random peers of the ring; a guest has those alone that it is in touch
// with.
func (s *spread) some(n int) []chord.PeerID {
	var ids []chord.PeerID
	if g := s.n.guest; g != nil {
		ids = g.ids()
		return ids[:min(n, len(ids))]
	}
	for _, p := range s.n.view().Peers() {
		if p.ID != s.n.self.Peer {
			ids = append(ids, p.ID)
		}
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:min(n, len(ids))]
}

// startComparing asks others for what this peer may not know, unless it still does.
func (s *spread) startComparing(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.comparing {
		return
	}
	s.comparing = s.n.group.start(func() {
		ctx, cancel := context.WithTimeout(ctx, decreeTalk)
		defer cancel()
		s.compare(ctx)
		if s.n.door.strange.Swap(false) || s.alone() {
			s.askNews(ctx)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.comparing = false
	})
}

// compare learns what a random peer knows, and tells it what it does not.
func (s *spread) compare(ctx context.Context) {
	peers := s.some(1)
	if p := s.n.cfg.compareWith; p != "" {
		peers = []chord.PeerID{p}
	}
	for _, peer := range peers {
		if err := s.pull(ctx, peer); err != nil {
			s.n.log.Debug("compare decrees", "peer", s.n.label(peer), "err", err)
		}
	}
}

// pull learns all decrees of a peer. What it lacks itself, it is told.
func (s *spread) pull(ctx context.Context, peer chord.PeerID) error {
	var theirs wire.Digest
	for from := 0; ; {
		reply, err := s.exchange(ctx, peer, from, nil)
		if err != nil {
			return err
		}
		list, err := passes.ParseDecrees(reply.Decrees)
		if err != nil {
			return err
		}
		fresh, err := s.n.door.learn(ctx, list)
		s.learnt(fresh)
		if err != nil {
			return err
		}
		if reply.Total > passes.MaxDecrees {
			return errors.New("a set of decrees that is too large")
		}
		theirs = reply.Digest
		if from += len(list); len(list) == 0 || from >= reply.Total {
			break
		}
	}
	mine, digest := s.n.door.decrees()
	if wire.Digest(digest) == theirs {
		return nil
	}
	for _, page := range pages(mine) {
		if _, err := s.exchange(ctx, peer, len(mine), page); err != nil {
			return err
		}
	}
	return nil
}

func (s *spread) exchange(ctx context.Context, peer chord.PeerID, from int, page []byte) (wire.DecreesReply, error) {
	ctx, cancel := context.WithTimeout(ctx, decreeCall)
	defer cancel()
	request := wire.DecreesRequest{Digest: s.n.door.digest(), From: from, Decrees: page}
	return call(ctx, s.n, peer, rpc.Header{Method: wire.MethodDecrees}, wire.AppendDecreesRequest(nil, &request), wire.ParseDecreesReply)
}

// serveDecrees answers a peer that tells of decrees, or asks for them.
func (n *Node) serveDecrees(ctx context.Context, req *rpc.Request) ([]byte, error) {
	in, err := wire.ParseDecreesRequest(req.Payload)
	if err != nil {
		return nil, err
	}
	list, err := passes.ParseDecrees(in.Decrees)
	if err != nil {
		return nil, err
	}
	fresh, err := n.door.learnFor(ctx, list, req.Park)
	n.spread.learnt(fresh)
	if err != nil && len(list) > 0 { // who only asks can do without what this peer could not keep
		return nil, err
	}
	mine, digest := n.door.decrees()
	out := wire.DecreesReply{Digest: digest, Total: len(mine)}
	if out.Digest != in.Digest {
		out.Decrees, _ = firstPage(mine[min(in.From, len(mine)):])
	}
	return wire.AppendDecreesReply(nil, &out), nil
}

// askNews asks peers, as a stranger may, for the keys that the ring has had since this peer last
// heard: it cannot connect to those who show a pass of one that it does not know. What they
// hold against it is logged, and told to the doctor: a peer that was put out sees no more of that
// than connections that end.
func (s *spread) askNews(ctx context.Context) {
	contacts := s.n.seen.contacts(maxNewsPeers)
	f := finder{n: s.n, rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	ctx, cancel := context.WithTimeout(ctx, decreeCall)
	defer cancel()
	refusal, err := f.askNews(ctx, contacts)
	var why *bootstrap.Error
	switch {
	case err == nil:
		s.n.door.refused.Store(nil)
	case errors.As(refusal, &why):
		if s.n.door.refused.Swap(why) == nil {
			s.n.log.Warn("this peer is not let in any more", "err", refusal)
		}
	}
}

// contacts returns up to n of the peers that were seen, and where.
func (s *peersSeen) contacts(n int) []bootstrap.Contact {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []bootstrap.Contact
	for _, m := range []map[chord.PeerID]chord.Peer{s.present, s.former} {
		for _, p := range m {
			if len(p.Addrs) > 0 {
				out = append(out, bootstrap.Contact{ID: p.ID, Addrs: slices.Clone(p.Addrs)})
			}
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(n, len(out))]
}
