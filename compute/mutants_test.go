package compute

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are mistakes that the tests must notice: each replaces one piece of
// the source by another.
var mutants = []struct{ name, file, old, new string }{
	{"do not run again what a lost peer had", "peer.go", `s.ownerLost(p, why, nil)`, ``},
	{"do not run again what a restarted peer had", "peer.go", `s.ownerLost(p, "peer restarted", s.victim.onTheWay(p))`, ``},
	{"let leases last for ever", "lease.go", `s.now < end`, `s.now < end+1e6*s.cfg.Lease`},
	{"wait for ever for tasks that their holder does not name", "lease.go", `s.now-o.named >`, `false && s.now-o.named >`},
	{"forget a transfer before it is acknowledged", "victim.go", `	if m.Pending {
		t.pending = true
		return
	}`, ``},
	{"never repeat a transfer", "victim.go", `m.Tasks = s.transferTasks(t)`, `t.heard = s.now; continue`},
	{"do not take back what a lost thief had", "victim.go", `			s.takeBack(t, "")`, `			for _, h := range t.copies {
				s.release(h)
			}`},
	{"acknowledge a transfer although the owner does not know", "thief.go", `a.left++
	}
	s.hold`, `}
	s.hold`},
	{"count a result of any attempt", "outcome.go", `o.settled() || o.task.Attempt != r.Attempt`, `o.settled()`},
	{"count results of finished tasks", "outcome.go", `o.settled() || o.task.Attempt != r.Attempt`, `o.task.Attempt != r.Attempt`},
	{"believe reports of any hop", "owner.go", `case moved && !p.hoards:`, `case !p.hoards:`},
	{"believe reports of more hops than there can be", "owner.go", `int(r.Hop) > s.cfg.MaxHops+1`, `false`},
	{"believe reports of what was never given away", "owner.go", `case o.at == nil:`, `case o.state == TaskRunning:`},
	{"let holders run a task for ever", "lease.go", `s.now-o.since > s.overdue(&o.task)`, `false`},
	{"let holders queue a task for ever", "lease.go", `case !o.running && s.now-o.since > patience`, `case false && s.now-o.since > patience`},
	{"believe who has kept a task too long", "lease.go", `o.at.hoards = true`, ``},
	{"never repeat a result", "client.go", `s.sendFlight(c, f, nil)`, ``},
	{"never repeat a report", "client.go", `s.sendHold(c, r.seq, r.tasks)
			}
		}
		if s.now`, `}
		}
		if s.now`},
	{"never renew", "client.go", `			s.renew(c)
`, `			c.renewAt = s.now + s.cfg.Renew
`},
	{"never drop what the owner has no use for", "client.go", `s.drop(c, m.Refs)
}

// drop`, `}

// drop`},
	{"forget a result before it is acknowledged", "client.go", `c.flights = append(c.flights, f)
		s.sendFlight(c, &f, refs)`, `s.sendFlight(c, &f, refs)
		s.ended(f.outcomes)`},
	{"keep the session after giving up an owner", "client.go", `s.bumps++
`, ``},
	{"poll instead of sleeping", "thief.go", `t.asleep, t.fails, t.unanswered = true, 0, false`, `t.asleep, t.fails, t.unanswered = false, 0, false`},
	{"wake nobody", "victim.go", `		s.wake(p)
	}
}`, `		_ = p
	}
}`},
	{"give tasks to peers without the function", "victim.go", `l.n > 0 && p.can(l.capability) {
			stay`, `l.n > 0 {
			stay`},
	{"accept tasks without the function", "thief.go", `case !can, busy,`, `case can && busy,`},
	{"take old news for new", "thief.go", `return n >> (age / loadHalf)`, `return n`},
	{"steal from either of two", "thief.go", `case x > y+y/4 || y <= x+x/4 && a.rtt < b.rtt:`, `case true:`},
	{"ignore starved queues of others", "gossip.go", `ok && l.Starved`, `false && ok`},
	{"give half of the tasks, whatever work they are", "victim.go", `(half[i].weight + 1) / 2`, `1 << 60`},
	{"keep as many parts as others", "worth.go", `work < uint64(many)*lightest+1`, `true`},
	{"let thieves have cheap joins", "worth.go", `return l.joins > 0 && l.here`, `return false && l.here`},
	{"keep joins from thieves however long they wait", "worth.go", `s.gap() <= max(joinPatience, joinTrips*rtt)`, `s.gap() >= 0`},
	{"keep tasks behind others that go on", "worth.go", `max(max(rtt, stealCost)-s.gap(), 0)`, `max(rtt, stealCost)`},
	{"split no large transfer", "near.go", `n > 0 && bytes > s.cfg.MessageBytes`, `false`},
	{"run a crashed task on the same peer at once", "holder.go", `len(h.task.Avoid) > 0 && (slices.Contains(h.task.Avoid, s.cfg.Self) ||`, `len(h.task.Avoid) > 0 && (false ||`},
	{"never run a crashed task here again", "holder.go", `q.shelf[0].until <= s.now`, `false`},
	{"take a pause of this peer for silence of others", "scheduler.go", `t-s.due > stallAfter`, `false`},
	{"do not cancel elsewhere", "owner.go", `	for _, p := range away {
		s.send(p, Message{Kind: KindCancel, Job: j.id})
	}`, `_ = away`},
	{"retry where the code failed", "outcome.go", `		s.again(o, r.Peer)
	case len(r.Fork) > 0:`, `		s.again(o, "")
	case len(r.Fork) > 0:`},
	{"retry errors without end", "outcome.go", `o.errors >= o.job.maxErrors`, `false`},
	{"count a division that came too late", "outcome.go", `return o.state == TaskForked && o.task.Attempt == r.Attempt && o.forker == p && len(r.Fork) > 0 && o.division == divisionOf(r)`, `return true`},
	{"drop the parts of a division that was told twice", "outcome.go", `return o.state == TaskForked && o.task.Attempt == r.Attempt && o.forker == p && len(r.Fork) > 0 && o.division == divisionOf(r)`, `return false`},
	{"name parts by their order alone", "fork.go", `of.Attempt*MaxFork + uint32(i)`, `uint32(i)`},
	{"wake thieves for provisional parts", "worth.go", `max(l.bound, s.keep(l, rtt, joins))`, `s.keep(l, rtt, joins)`},
	{"send results of provisional parts", "holder.go", `if h.provisional {`, `if false {`},
	{"report provisional parts", "client.go", `h.state == heldQueued && !h.provisional {
			refs = append(refs, h.task.ref())
		}
		c.cursor`, `h.state == heldQueued {
			refs = append(refs, h.task.ref())
		}
		c.cursor`},
	{"keep parts that the owner has no use for", "client.go", `s.dropParts(o.held)`, `s.partsTaken(o.held)`},
	{"believe that parts were kept", "fork.go", `p != nil && r.Kept`, `p != nil`},
	{"go on with parts whose sibling failed", "outcome.go", `		s.cancelParts(o)
`, `		s.fold(o)
`},
	{"let deadlines pass", "deadline.go", `s.inner(j.deadline) <= s.now`, `false && s.inner(j.deadline) <= s.now`},
	{"start lower priorities only when nothing else waits", "queue.go", `q.pops%fairTurn != fairTurn-1`, `true`},
	{"start tasks whatever their priority", "queue.go", `best == nil || l.priority > best.priority ||
			l.priority == best.priority &&`, `best == nil ||`},
	{"give tasks whatever their priority", "victim.go", `if best == nil || c.lane.priority > best.lane.priority ||
				c.lane.priority == best.lane.priority &&`, `if best == nil ||`},
	{"let one peer answer for several copies", "outcome.go", `o.of != nil && o.job.verify > 0 && o.answeredBy(r.Peer)`, `false`},
	{"do not tell copies where others are", "copies.go", `c.task.Avoid = s.siblingsAt(c)`, ``},
	{"take the first answer", "verify.go", `2*answers[a] > int(o.job.verify)`, `true`},
	{"let the first run go on when its backup was first", "copies.go", `	if o.at != nil {
		s.send(o.at, Message{Kind: KindCancel, Refs: []Ref{o.task.ref()}})
	}`, ``},
	{"back every task up", "straggler.go", `s.now-o.since >= limit`, `s.now-o.since >= 0*limit`},
	{"tell what is usual of a few tasks as of many", "straggler.go", `if j.times.n < minSiblings {`, `if false {`},
	{"back nothing up", "straggler.go", `s.now-o.since >= limit`, `false && s.now-o.since >= limit`},
	{"place tasks however busy the peer is", "near.go", `t.had/t.slots <= 2*least+nearGrain`, `t.had >= least-t.had`},
	{"place no tasks", "near.go", `t != nil && t.had/t.slots`, `false && t.had/t.slots`},
	{"retry crashes without end", "outcome.go", `o.crashes >= s.cfg.MaxCrashes`, `false`},
}

// TestMutants plants each mutant and runs the short tests, which must fail.
func TestMutants(t *testing.T) {
	if os.Getenv("CHORUS_MUTANTS") == "" {
		t.Skip("builds the package once for each mutant; set CHORUS_MUTANTS")
	}
	for _, m := range mutants {
		if only := os.Getenv("CHORUS_MUTANTS"); only != "1" && !strings.Contains(m.name, only) {
			continue
		}
		src, err := os.ReadFile(m.file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(src, []byte(m.old)) != 1 {
			t.Errorf("%s: %q occurs %d times in %s", m.name, m.old, bytes.Count(src, []byte(m.old)), m.file)
			continue
		}
		path, err := filepath.Abs(m.file)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		twin := filepath.Join(dir, m.file)
		overlay := filepath.Join(dir, "overlay.json")
		doc, err := json.Marshal(map[string]map[string]string{"Replace": {path: twin}})
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{twin: bytes.Replace(src, []byte(m.old), []byte(m.new), 1), overlay: doc} {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("go", "test", "-overlay", overlay, "-short", "-vet=off", "-timeout", "60s", ".")
		cmd.Env = append(os.Environ(), "CHORUS_MUTANTS=")
		out, err := cmd.CombinedOutput()
		switch {
		case bytes.Contains(out, []byte("build failed")):
			t.Errorf("%s: does not build:\n%s", m.name, out)
		case err == nil:
			t.Errorf("%s: not noticed", m.name)
		default:
			line, _, _ := bytes.Cut(out[bytes.Index(out, []byte("\n"))+1:], []byte("\n"))
			t.Logf("%s: %s", m.name, bytes.TrimSpace(line))
		}
	}
}
