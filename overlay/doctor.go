package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// What the doctor thinks is worth a word.
const (
	maxVisited    = 64 // peers that are asked
	visitTime     = 2 * time.Second
	clockWarns    = time.Second        // between this clock and those of most peers
	clockFails    = passes.Skew / 2    // half of what a pass forgives
	diskWarns     = 1 << 30            // bytes that are free
	diskFails     = 256 << 20          // near what writes are refused at
	filesWarn     = 1024               // descriptors that the process may open
	passWarns     = 7 * 24 * time.Hour // before it ends
	earliestClock = 2026               // no machine that runs this is older
)

// visit is what the doctor heard from another peer.
type visit struct {
	id     chord.PeerID
	err    error
	ahead  time.Duration // its clock of this one's
	digest bool          // it knows the same decrees; true in an open ring
}

// Doctor looks at what this peer needs to work: who answers it, where it can be reached,
// clock, disk, agreement of the ring, copies of keys, its pass, and limits. A check that
// failed says what to do. The error is about the looking itself.
func (n *Node) Doctor(ctx context.Context) (client.Diagnosis, error) {
	if n.guest != nil {
		return n.guest.diagnose(ctx)
	}
	status, err := n.Status(ctx)
	if err != nil {
		return client.Diagnosis{}, err
	}
	visits := n.visitPeers(ctx)
	d := client.Diagnosis{Checks: []client.Check{
		checkPeers(n, visits),
		checkReach(n.host.Reach(), n.host.Addrs()),
		checkClock(n.cfg.now(), visits),
		n.checkDisk(),
		checkAgreement(status),
		checkCopies(status),
		n.checkDoor(visits),
		checkLimits(n.host.Libp2p().Network().Conns()),
	}}
	return d, n.orClosed(ctx.Err())
}

func fine(name, format string, args ...any) client.Check {
	return client.Check{Name: name, State: client.CheckOK, Detail: fmt.Sprintf(format, args...)}
}

func odd(name, fix, format string, args ...any) client.Check {
	return client.Check{Name: name, State: client.CheckWarn, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func broken(name, fix, format string, args ...any) client.Check {
	return client.Check{Name: name, State: client.CheckFail, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// visitPeers asks the peers of the ring for their clocks, and what they know.
func (n *Node) visitPeers(ctx context.Context) []visit {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	var visits []visit
	for _, p := range n.view().Peers() {
		if p.ID != n.self.Peer && len(visits) < maxVisited {
			visits = append(visits, visit{id: p.ID})
		}
	}
	var wg sync.WaitGroup
	for i := range visits {
		wg.Go(func() { visits[i] = n.visitPeer(ctx, visits[i].id) })
	}
	wg.Wait()
	return visits
}

// visitPeer asks one peer.
func (n *Node) visitPeer(ctx context.Context, id chord.PeerID) visit {
	v := visit{id: id, digest: true}
	start := time.Now()
	var at time.Time
	at, v.err = call(ctx, n, id, rpc.Header{Method: wire.MethodClock}, nil, wire.ParseClock)
	v.ahead = at.Sub(n.cfg.now().Add(-time.Since(start) / 2))
	if v.err != nil || n.spread == nil {
		return v
	}
	digest := n.door.digest()
	reply, err := n.spread.exchange(ctx, id, 1<<16, nil)
	v.digest = err != nil || reply.Digest == digest
	return v
}

// serveClock answers another peer's doctor.
func (n *Node) serveClock(context.Context, *rpc.Request) ([]byte, error) {
	return wire.AppendClock(nil, n.cfg.now()), nil
}

func checkPeers(n *Node, visits []visit) client.Check {
	var deaf []string
	for _, v := range visits {
		if v.err != nil {
			deaf = append(deaf, n.label(v.id))
		}
	}
	const fix = "peer ring (shows the addresses); start those that are down, or open their ports to this host"
	switch {
	case len(visits) == 0:
		return odd("peers", "peer invite (prints a token; keys are safe with 3 peers)", "this peer is alone in its ring")
	case len(deaf) == len(visits):
		return broken("peers", fix, "none of %d peers answers", len(visits))
	case len(deaf) > 0:
		return odd("peers", fix, "%d of %d peers do not answer: %s", len(deaf), len(visits), strings.Join(deaf[:min(len(deaf), 3)], ", "))
	default:
		return fine("peers", "all %d that were asked answer", len(visits))
	}
}

func checkClock(now time.Time, visits []visit) client.Check {
	const fix = "set the clock of this machine (date -u shows it), and keep it by NTP"
	if now.Year() < earliestClock {
		return broken("clock", fix, "the clock here says %s", now.UTC().Format(time.RFC3339))
	}
	var ahead []time.Duration
	for _, v := range visits {
		if v.err == nil {
			ahead = append(ahead, v.ahead)
		}
	}
	if len(ahead) == 0 {
		return fine("clock", "it says %s; nobody answers to compare with", now.UTC().Format(time.RFC3339))
	}
	slices.Sort(ahead)
	behind := ahead[len(ahead)/2].Round(time.Millisecond)
	switch {
	case behind.Abs() >= clockFails:
		return broken("clock", fix, "%v behind those of most peers; passes are refused at %v", behind, passes.Skew)
	case behind.Abs() >= clockWarns:
		return odd("clock", fix, "%v behind those of most peers", behind)
	default:
		return fine("clock", "within %v of those of %d peers", behind.Abs(), len(ahead))
	}
}

func (n *Node) checkDisk() client.Check {
	free, known := n.disk.Free()
	switch {
	case n.home == nil || n.cfg.Engine == "memory":
		return fine("disk", "keys are in memory, and gone when this peer stops")
	case !known:
		return fine("disk", "this system does not tell what is free")
	case free < diskFails:
		return broken("disk", "free space, or move keys to other peers: peer leave", "%d MiB are free; writes are refused soon", free>>20)
	case free < diskWarns:
		return odd("disk", "free space, or bound what is kept: peer run --quota", "%d MiB are free", free>>20)
	default:
		return fine("disk", "%.1f GiB are free", float64(free)/(1<<30))
	}
}

func checkAgreement(s client.Status) client.Check {
	if s.Agree < s.Of {
		return odd("ring", "peer ring (names who disagrees); wait some seconds after peers came or went", "%d of %d neighbours agree on the ring", s.Agree, s.Of)
	}
	return fine("ring", "%d peers, all %d neighbours agree", s.Peers, s.Of)
}

func checkCopies(s client.Status) client.Check {
	switch {
	case s.UnderReplicated > 0:
		return odd("keys", "peer ring (to see who is missing); copies are made by themselves after 30 s", "%d of %d keys here have too few copies", s.UnderReplicated, s.Keys)
	case slices.ContainsFunc(s.Blockers, func(b client.Blocker) bool { return b.Why != "" }):
		return odd("keys", "peer status (says why); peer doctor at the peers that it names", "%d deleted keys wait for peers that refuse to settle them", s.Deleted)
	case len(s.Blockers) > 0:
		return odd("keys", "peer forget "+s.Blockers[0].Peer+" (if it is gone for good)", "%d deleted keys wait for peers that are out of reach", s.Deleted)
	default:
		return fine("keys", "%d here, all with their copies", s.Keys)
	}
}

// checkDoor tells how this peer stands in a closed ring.
func (n *Node) checkDoor(visits []visit) client.Check {
	if n.door == nil {
		return odd("pass", "run open rings only where every host that reaches them is trusted", "the ring is open: whoever reaches a peer can join")
	}
	if err := n.door.checkSelf(); err != nil {
		var e *bootstrap.Error
		fix := ""
		if errors.As(err, &e) {
			fix = e.Fix
		}
		return broken("pass", fix, "%v", err)
	}
	if e := n.door.refused.Load(); e != nil {
		return broken("pass", e.Fix, "the others do not let this peer in: %s", e.Message)
	}
	differ := 0
	for _, v := range visits {
		if !v.digest {
			differ++
		}
	}
	n.door.mu.RLock()
	defer n.door.mu.RUnlock()
	right, end := n.door.chain.Right(), n.door.chain.Expires()
	switch {
	case differ > 0:
		return odd("pass", "wait a minute: decrees spread by themselves", "%d of %d peers know other decrees than this one", differ, len(visits))
	case !end.IsZero() && end.Sub(n.door.now()) < passWarns:
		return odd("pass", "peer invite (at an inviter), then peer run --join TOKEN in a new home", "it ends at %s", end.Format(time.RFC3339))
	default:
		return fine("pass", "role %s, inviter %v; all know the same %d decrees", right.Role, right.Invite, len(n.door.authority.Decrees()))
	}
}

func checkLimits[C any](conns []C) client.Check {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fine("limits", "%d connections; this system does not tell how many files may be open", len(conns))
	}
	if files.Cur < filesWarn {
		return odd("limits", "ulimit -n 4096 (before peer run)", "%d files may be open, %d connections are", files.Cur, len(conns))
	}
	return fine("limits", "%d files may be open, %d connections are", files.Cur, len(conns))
}
