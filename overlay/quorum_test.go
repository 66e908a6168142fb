package overlay

import (
	"errors"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// An answer that comes once the operation goes by a newer configuration is of a member that
// the newer one may not have.
func TestLateFailureOfFormerMember(t *testing.T) {
	voters := make([]store.Voter, 4)
	for i := range voters {
		voters[i] = store.Voter{Peer: chord.PeerID("peer" + string(rune('a'+i))), Incarnation: 1}
	}
	joint := store.Config{Epoch: 2, Voters: voters[:3], Next: voters[1:]}
	later := store.Config{Epoch: 3, Voters: voters[:3]}

	n := new(Node)
	var asked []slot[store.ReadReply]
	ask := func(_ store.Voter, _ goesBy, s slot[store.ReadReply]) error {
		asked = append(asked, s)
		return nil
	}
	r := new(store.Read)
	run := &run[store.ReadReply]{n: n, op: r, ask: ask, ended: make(chan struct{})}
	run.step(func() store.Step { return r.Start(joint, store.LevelAll, "", "key", nil) })
	former := asked
	if len(former) != len(voters) {
		t.Fatalf("%d of %d members were asked", len(former), len(voters))
	}
	former[0].fill(store.ReadReply{Status: store.StatusReferral, Config: later}, nil)
	if r.Config().Epoch != later.Epoch {
		t.Fatalf("it goes by epoch %d", r.Config().Epoch)
	}
	former[3].fill(store.ReadReply{}, errors.New("out of reach"))
	if run.why == nil || !strings.HasPrefix(run.why.Error(), n.label(voters[3].Peer)+":") {
		t.Errorf("the reason is %v, of %s", run.why, n.label(voters[3].Peer))
	}
	for _, s := range asked[len(former):] {
		s.fill(store.ReadReply{Status: store.StatusOK}, nil)
	}
	<-run.ended
	if run.end != store.Done {
		t.Errorf("it ended as %v: %v", run.end, run.why)
	}
}
