package compute

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/chorus-net/chorus/chord"
)

// Vote is what one peer answered for a task that several run.
type Vote struct {
	Peer chord.PeerID // empty: no peer could answer for this copy
	// Answer tells answers apart: the start of the output's SHA-256, or the error.
	Answer string
	Agrees bool // with the majority
}

// nextCopy queues the next copy of a task to be verified, once all others
// have run or are known to run: those are not stolen any more, so that the next one
// can be told where not to go.
func (s *Scheduler) nextCopy(o *owned) {
	if len(o.copies) == int(o.job.verify) {
		return
	}
	for _, c := range o.copies {
		if !c.state.Final() && c.state != TaskRunning && !c.running {
			return
		}
	}
	s.addCopy(o, o.task.Priority, len(o.copies) > 0)
}

// answeredBy reports whether a peer has answered for another copy of the same task.
func (o *owned) answeredBy(p chord.PeerID) bool {
	for _, x := range o.of.copies {
		if x != o && x.state.Final() && x.result.Peer == p {
			return true
		}
	}
	return false
}

// count settles a task once all its copies have ended: with the answer of more than
// half of them, or, if there is none, with an error.
func (s *Scheduler) count(o *owned) {
	s.nextCopy(o)
	answers := make(map[string]int)
	var first *owned // with the answer of most
	for _, c := range o.copies {
		if !c.state.Final() {
			return
		}
	}
	for _, c := range o.copies {
		a := c.answer()
		if a == "" {
			continue
		}
		if answers[a]++; 2*answers[a] > int(o.job.verify) && first == nil {
			first = c
		}
	}
	for _, c := range o.copies {
		v := Vote{Answer: c.answer(), Agrees: first != nil && c.answer() == first.answer()}
		if v.Answer == "" {
			v.Answer = c.result.Err
		} else {
			v.Peer = c.result.Peer
		}
		o.votes = append(o.votes, v)
	}
	if first == nil {
		o.result = Result{Task: o.task.ID, Attempt: o.task.Attempt, Err: noMajority(int(o.job.verify), answers)}
		s.finish(o, TaskFailed)
		return
	}
	o.result = first.result
	o.result.Task, o.result.Attempt = o.task.ID, o.task.Attempt
	if first.state == TaskDone {
		o.job.byPeer[first.result.Peer]++
	}
	s.finish(o, first.state)
}

// answer returns what tells the answer of a copy that has ended from others; "" if
// it has none, because no run of it came to an end.
func (o *owned) answer() string {
	switch {
	case o.state == TaskDone:
		h := sha256.Sum256(o.result.Output)
		return hex.EncodeToString(h[:8])
	case o.state == TaskFailed && !o.result.Crashed:
		return "error: " + o.result.Err
	}
	return ""
}

func noMajority(copies int, answers map[string]int) string {
	most, given := 0, 0
	for _, n := range answers {
		most = max(most, n)
		given += n
	}
	return fmt.Sprintf("verified by %d peers: %d answered, in %d ways, and at most %d alike; a majority is %d", copies, given, len(answers), most, copies/2+1)
}
