package model

import (
	"slices"
	"testing"

	"github.com/chorus-net/chorus/chord"
)

// TestKeysGoByWeight places keys, three replicas each, in rings of peers of weights 50,
// 100 and 200 in turns: what those of a weight keep together is in proportion, and none
// of the heavy ones has less than an ordinary one has in the mean.
func TestKeysGoByWeight(t *testing.T) {
	const peers, keys, ordinary = 60, 60_000, 8
	weights := []uint32{50, 100, 200}
	for seed := range uint64(4) {
		x := newExperiment(chord.Config{}, Settings{Peers: peers, Seed: seed}.withDefaults(), &Report{})
		roster := chord.NewRoster()
		for i := range peers {
			p := x.Add(nil)
			x.Rename(p) // so that seeds differ
			p.Record.Weight = weights[i%len(weights)]
			p.Record.Indexes = roster.Choose(p.Record.ID, chord.WeightedPositions(ordinary, p.Record.Weight))
			roster.Add(p.Record)
		}
		x.Stand(x.peers)
		held, _ := x.place(keys)
		of := make(map[uint32][]int)
		for _, p := range x.peers {
			of[p.Record.Weight] = append(of[p.Record.Weight], held[p.Number])
		}
		mean := func(weight uint32) float64 {
			sum := 0
			for _, n := range of[weight] {
				sum += n
			}
			return float64(sum) / float64(len(of[weight]))
		}
		half, double := mean(50)/mean(100), mean(200)/mean(100)
		t.Logf("seed %d: half %.3f, double %.3f, keys %.0f to %v", seed, half, double, mean(100), of)
		if half < 0.4 || half > 0.6 || double < 1.8 || double > 2.2 {
			t.Errorf("seed %d: peers of weight 50 keep %.2f and those of 200 %.2f of what one of 100 does", seed, half, double)
		}
		if least := slices.Min(of[200]); float64(least) < mean(100) {
			t.Errorf("seed %d: a peer of weight 200 keeps %d keys, one of 100 in the mean %.0f", seed, least, mean(100))
		}
	}
}
