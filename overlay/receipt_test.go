package overlay

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// A receipt of a shard that moves tells its voters, of which there are N, from
// those that the shard moves to.
func TestReceiptWhileAShardMoves(t *testing.T) {
	n := joinTest(t, nil, Config{})
	voter := func(id string) store.Voter { return store.Voter{Peer: chord.PeerID(id), Incarnation: 1} }
	a, b, c, d := voter("a"), voter("b"), voter("c"), voter("d")
	config := store.Config{Epoch: 4, Voters: []store.Voter{a, b, c}, Next: []store.Voter{c, d}}
	var w store.Write
	st := w.Start(config, store.LevelQuorum, store.Version{Clock: 1, Writer: 1})
	for i, synced := range []bool{true, false, true, true} {
		w.Reply(st.Round, i, store.WriteReply{Status: store.StatusOK, Synced: synced})
	}
	got := n.receipt("k", &w)
	want := client.Receipt{
		Key: "k", Version: w.Version().String(), Hints: []string{}, W: 2, N: 3, Epoch: 4,
		Acks:    []client.Ack{{Peer: n.label(a.Peer), Synced: true}, {Peer: n.label(b.Peer)}, {Peer: n.label(c.Peer), Synced: true}},
		Joining: []client.Ack{{Peer: n.label(d.Peer), Synced: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
