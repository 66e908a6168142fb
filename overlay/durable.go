package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

const (
	// durableSpace is the namespace of durable jobs: the register "_job/ID" says who
	// owns the job and which results count, the records "_job/ID/..." are the rest.
	durableSpace = "_job"
	// durablePoll is how often a keeper asks whether its jobs are worked at. The first one
	// continues a job when its owner has missed maxMisses of those, each further one when
	// it has missed as many more.
	durablePoll   = 500 * time.Millisecond
	maxMisses     = 2
	maxVain       = 4
	durableAsk    = time.Second
	durableClaims = 4 // jobs that are taken over at once
	// maxEnded bounds the jobs that have ended and are listed here still; their registers say
	// how they ended, as long as anybody asks.
	maxEnded       = 4096
	durableRetries = 50 * time.Millisecond
)

// durables looks after durable jobs: those that this peer owns, and those whose
// registers it keeps. The voters of a job's register are the job's keepers: they ask the
// owner now and then, and the first of them takes the job over if there is none any more;
// if that one is gone too, the next does.
type durables struct {
	n *Node

	mu     sync.Mutex
	held   map[compute.ID]*heldJob    // whose register is, or was, kept here
	owned  map[compute.ID]*durableJob // by this peer; nil while it is being taken over
	byTask map[compute.ID]*durableJob // by the scheduler's job that works for it
	ended  []endedJob                 // the final ones of held, in the order in which this peer heard of it
}

// endedJob is a job that was final at a time.
type endedJob struct {
	id compute.ID
	at time.Time
}

// heldJob is what the copy of a register that this peer keeps says. It is a hint:
// the copy may be old, or of a change that never came about.
type heldJob struct {
	shard   store.ShardID
	version uint64
	ledger  compute.Ledger
	rank    int // see rankOf
	misses  int
	heard   bool // the owner said last that it works at the job
}

// due reports whether this peer is to take the job over, unless others hear its owner. That
// takes longer, up to maxVain doublings, where the owners before committed nothing: jobs go
// on although keepers disagree about who is there.
func (h *heldJob) due() bool {
	return h.rank >= 0 && h.misses >= maxMisses*(1+h.rank)<<min(max(h.vain(), 1)-1, maxVain)
}

// vain counts the epochs before this one, the latest ones, that committed nothing.
func (h *heldJob) vain() uint64 {
	last := uint64(0)
	if n := len(h.ledger.Batches); n > 0 {
		last = h.ledger.Batches[n-1].Epoch
	}
	if last == h.ledger.Epoch {
		return 0
	}
	return h.ledger.Epoch - last - 1
}

func newDurables(n *Node) *durables {
	return &durables{
		n: n, held: make(map[compute.ID]*heldJob),
		owned: make(map[compute.ID]*durableJob), byTask: make(map[compute.ID]*durableJob),
	}
}

// durableKey is the key of a job's register, and what the names of its records begin
// with.
func durableKey(id compute.ID) string { return store.JoinKey(durableSpace, id.String()) }

// changed takes in a record of the system that was written. It is called by the
// goroutine that writes, and does not block.
func (k *durables) changed(shard store.ShardID, v store.View) {
	id, ok := durableOf(v)
	if !ok {
		return
	}
	reg, err := store.RegisterOf(v)
	if err != nil {
		return
	}
	ledger, err := compute.DecodeLedger(reg.State.Value)
	if err != nil {
		return // of an operator's making; nobody can work at it
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note(id, heldJob{shard: shard, version: reg.State.Version, ledger: ledger}, time.Now())
	if j := k.owned[id]; j != nil {
		j.heard(reg.State.Version)
	}
}

// note takes in what the register of a job says. The lock is held.
func (k *durables) note(id compute.ID, now heldJob, at time.Time) {
	h := k.held[id]
	if h == nil {
		h = new(heldJob)
		k.held[id] = h
	}
	if now.ledger.State != compute.LedgerRunning && h.ledger.State == compute.LedgerRunning {
		k.ended = append(k.ended, endedJob{id, at})
	}
	if now.ledger.Epoch != h.ledger.Epoch {
		h.misses, h.heard = 0, false
	}
	h.shard, h.version, h.ledger = now.shard, now.version, now.ledger
	k.trim(at)
}

// trim forgets the jobs that ended first: those whose results are gone, and those beyond
// maxEnded. The lock is held.
func (k *durables) trim(now time.Time) {
	n := max(len(k.ended)-maxEnded, 0)
	for n < len(k.ended) && now.Sub(k.ended[n].at) > durableLife {
		n++
	}
	for _, e := range k.ended[:n] {
		delete(k.held, e.id)
	}
	if k.ended = k.ended[n:]; len(k.ended) == 0 {
		k.ended = nil
	}
}

// durableOf returns the job of whose register a record is.
func durableOf(v store.View) (id compute.ID, ok bool) {
	if string(v.Namespace()) != store.RegisterNamespace {
		return id, false
	}
	ns, name := store.SplitKey(string(v.Key()))
	id, err := compute.ParseID(name)
	return id, ns == durableSpace && err == nil
}

// run keeps the jobs whose registers are here until the context ends.
func (k *durables) run(ctx context.Context) {
	for _, id := range k.n.bankOf(0) {
		if err := k.load(id); err != nil {
			k.n.log.Error("look for durable jobs", "shard", id, "err", err)
		}
	}
	for sleep(ctx, durablePoll) {
		k.keep(ctx)
	}
}

// load finds the jobs of a shard that were there before this process.
func (k *durables) load(shard store.ShardID) error {
	q := disk.Query{Prefix: store.JoinKey(store.RegisterNamespace, durableSpace) + "/"}
	for {
		page, err := k.n.disk.Scan(shard, q)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			ns, name := store.SplitKey(e.Key)
			_, err := k.n.disk.View(shard, ns, name, func(v store.View) error {
				k.changed(shard, v)
				return nil
			})
			if err != nil && !errors.Is(err, disk.ErrCorrupt) {
				return err
			}
		}
		if q.After = page.Last; !page.More {
			return nil
		}
	}
}

// keep asks the owners of the jobs that this peer is to keep, and takes over what
// nobody works at.
func (k *durables) keep(ctx context.Context) {
	ask := k.wards()
	var wg sync.WaitGroup
	for owner, q := range ask {
		wg.Go(func() {
			for part := range chunksOf(q, wire.MaxQueried) {
				k.answered(part, k.askOwner(ctx, owner, part))
			}
		})
	}
	wg.Wait()
	k.takeOver(ctx, k.heardElsewhere(ctx))
}

// wards lists the jobs that others own and this peer is to keep, by owner.
func (k *durables) wards() map[chord.PeerID]wire.DurableQuery {
	view := k.n.view()
	live := func(id chord.PeerID) bool {
		_, ok := view.Peer(id)
		return ok
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trim(time.Now())
	ask := make(map[chord.PeerID]wire.DurableQuery)
	for id, h := range k.held {
		h.rank = rankOf(k.n.self, k.n.shards.config(h.shard).Voters, h.ledger.Owner, live)
		if _, mine := k.owned[id]; mine || h.ledger.State != compute.LedgerRunning || h.rank < 0 {
			h.misses, h.heard = 0, false
			continue
		}
		if h.ledger.Owner == k.n.self.Peer || !live(h.ledger.Owner) {
			h.heard = false
			h.misses += maxMisses // it was this peer's in a former life, or it is gone
			continue
		}
		q := ask[h.ledger.Owner]
		q.Jobs, q.Versions = append(q.Jobs, id), append(q.Versions, h.version)
		ask[h.ledger.Owner] = q
	}
	return ask
}

// rankOf returns how many of a register's voters would continue its job sooner than this
// peer; -1 if it is none of them. Those that are gone would not, and the owner would
// not either: the job is continued because it is silent.
func rankOf(self store.Voter, voters []store.Voter, owner chord.PeerID, live func(chord.PeerID) bool) int {
	rank := 0
	for _, v := range voters {
		switch {
		case v == self:
			return rank
		case v.Peer != owner && live(v.Peer):
			rank++
		}
	}
	return -1
}

// chunksOf yields parts of a query with at most n jobs.
func chunksOf(q wire.DurableQuery, n int) func(yield func(wire.DurableQuery) bool) {
	return func(yield func(wire.DurableQuery) bool) {
		for at := 0; at < len(q.Jobs); at += n {
			end := min(at+n, len(q.Jobs))
			if !yield(wire.DurableQuery{Jobs: q.Jobs[at:end], Versions: q.Versions[at:end]}) {
				return
			}
		}
	}
}

// askOwner asks a peer which jobs it owns; a peer that does not answer owns none.
func (k *durables) askOwner(ctx context.Context, owner chord.PeerID, q wire.DurableQuery) []bool {
	return k.ask(ctx, owner, wire.MethodOwns, q)
}

func (k *durables) ask(ctx context.Context, peer chord.PeerID, method rpc.Method, q wire.DurableQuery) []bool {
	ctx, cancel := context.WithTimeout(ctx, durableAsk)
	defer cancel()
	answer, err := call(ctx, k.n, peer, rpc.Header{Method: method}, wire.AppendDurableQuery(nil, &q), wire.ParseDurableAnswer)
	if err != nil {
		k.n.log.Debug("ask for durable jobs", "peer", k.n.label(peer), "err", err)
	}
	return answer
}

// answered counts the jobs that their owners do not know.
func (k *durables) answered(q wire.DurableQuery, owned []bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, id := range q.Jobs {
		h := k.held[id]
		h.heard = i < len(owned) && owned[i]
		if h.heard {
			h.misses = 0
		} else {
			h.misses++
		}
	}
}

// heardElsewhere asks the other keepers about the jobs that this peer would take over: which
// of them have an owner that works at them, though this peer cannot reach it.
func (k *durables) heardElsewhere(ctx context.Context) map[compute.ID]bool {
	var (
		mu    sync.Mutex
		heard = make(map[compute.ID]bool)
		wg    sync.WaitGroup
	)
	for keeper, q := range k.doubts() {
		wg.Go(func() {
			for part := range chunksOf(q, wire.MaxQueried) {
				answer := k.ask(ctx, keeper, wire.MethodHear, part)
				mu.Lock()
				for i, yes := range answer[:min(len(answer), len(part.Jobs))] {
					heard[part.Jobs[i]] = heard[part.Jobs[i]] || yes
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return heard
}

// doubts lists the jobs that this peer would take over by their other keepers.
func (k *durables) doubts() map[chord.PeerID]wire.DurableQuery {
	view := k.n.view()
	k.mu.Lock()
	defer k.mu.Unlock()
	ask := make(map[chord.PeerID]wire.DurableQuery)
	for id, h := range k.held {
		if _, mine := k.owned[id]; mine || !h.due() || h.ledger.Owner == k.n.self.Peer {
			continue
		}
		for _, v := range k.n.shards.config(h.shard).Voters {
			if _, there := view.Peer(v.Peer); there && v.Peer != h.ledger.Owner && v.Peer != k.n.self.Peer {
				q := ask[v.Peer]
				q.Jobs, q.Versions = append(q.Jobs, id), append(q.Versions, h.version)
				ask[v.Peer] = q
			}
		}
	}
	return ask
}

// takeOver begins to continue the jobs that nobody works at.
func (k *durables) takeOver(ctx context.Context, heard map[compute.ID]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	busy := 0
	for _, j := range k.owned {
		if j == nil {
			busy++
		}
	}
	for id, h := range k.held {
		if _, mine := k.owned[id]; mine || !h.due() || heard[id] || busy >= durableClaims {
			continue
		}
		h.misses = 0
		busy++
		k.owned[id] = nil
		if !k.n.group.start(func() { k.resume(ctx, id) }) {
			delete(k.owned, id)
		}
	}
}

// resume continues a job, if it still needs that.
func (k *durables) resume(ctx context.Context, id compute.ID) {
	j, err := k.n.claimDurable(ctx, id)
	k.mu.Lock()
	if j == nil {
		delete(k.owned, id)
	} else {
		k.owned[id] = j
	}
	k.mu.Unlock()
	switch {
	case err != nil:
		k.n.log.Warn("continue durable job", "job", id.String(), "err", err)
	case j != nil:
		k.n.log.Info("durable job is continued here", "job", id.String(), "epoch", j.machine.Epoch())
		j.run(ctx)
	}
}

// own notes that this peer owns a job, and begins to work at it.
func (k *durables) own(j *durableJob) error {
	k.mu.Lock()
	k.owned[j.id] = j
	k.mu.Unlock()
	if k.n.group.start(func() { j.run(k.n.ctx) }) {
		return nil
	}
	k.drop(j)
	return ErrClosed
}

// drop forgets a job that this peer owns no more.
func (k *durables) drop(j *durableJob) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.owned[j.id] == j {
		delete(k.owned, j.id)
	}
}

// works notes by which of the scheduler's jobs one is worked at.
func (k *durables) works(j *durableJob, task compute.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byTask[task] = j
}

// worked notes that a job of the scheduler's is over.
func (k *durables) worked(task compute.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byTask, task)
}

// stir tells the owners of jobs that the scheduler's changed. It does not block.
func (k *durables) stir(tasks []compute.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.byTask) == 0 {
		return
	}
	for _, id := range tasks {
		if j := k.byTask[id]; j != nil {
			j.nudge()
		}
	}
}

// find returns a job that this peer owns, and what it keeps of it.
func (k *durables) find(id compute.ID) (j *durableJob, h heldJob) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at := k.held[id]; at != nil {
		h = *at
	}
	return k.owned[id], h
}

// left is how many tasks of a job have no result yet, if this peer owns it.
func (k *durables) left(id compute.ID) int {
	j, _ := k.find(id)
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.inputs) - j.ledger.Done()
}

// hidden reports whether a job of the scheduler works for a durable one.
func (k *durables) hidden(task compute.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byTask[task] != nil
}

// ids lists the jobs that are known here.
func (k *durables) ids() []compute.ID {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ids []compute.ID
	for id := range k.held {
		ids = append(ids, id)
	}
	for id, j := range k.owned {
		if j != nil && k.held[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b compute.ID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// serveOwns answers a keeper.
func (n *Node) serveOwns(_ context.Context, req *rpc.Request) ([]byte, error) {
	q, err := wire.ParseDurableQuery(req.Payload)
	if err != nil {
		return nil, fmt.Errorf("read query: %w", err)
	}
	owned := make([]bool, len(q.Jobs))
	n.durables.mu.Lock()
	defer n.durables.mu.Unlock()
	for i, id := range q.Jobs {
		j, known := n.durables.owned[id]
		owned[i] = known && (j == nil || !j.stuck()) // also while it is being taken over
		if j != nil {
			j.heard(q.Versions[i])
		}
	}
	return wire.AppendDurableAnswer(nil, owned), nil
}

// serveHear answers a keeper that does not reach the owners of jobs.
func (n *Node) serveHear(_ context.Context, req *rpc.Request) ([]byte, error) {
	q, err := wire.ParseDurableQuery(req.Payload)
	if err != nil {
		return nil, fmt.Errorf("read query: %w", err)
	}
	heard := make([]bool, len(q.Jobs))
	n.durables.mu.Lock()
	defer n.durables.mu.Unlock()
	for i, id := range q.Jobs {
		h := n.durables.held[id]
		heard[i] = h != nil && h.heard && h.version >= q.Versions[i] // of the owner that is meant
	}
	return wire.AppendDurableAnswer(nil, heard), nil
}
