package overlay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
)

// restFor is how long the bytes at rest are counted before lookups.
const restFor = time.Second

// Lookups looks for random positions, one after another, and tells what that
// took. The error is that of the last lookup if all failed.
func (n *Node) Lookups(ctx context.Context, spec client.LookupSpec) (client.Lookups, error) {
	if n.guest != nil {
		return n.guest.client.Lookups(ctx, spec)
	}
	if spec.Count < 1 || spec.Count > client.MaxLookups {
		return client.Lookups{}, usage("look up %d positions: from 1 to %d are possible", spec.Count, client.MaxLookups)
	}
	if !slices.Contains(n.ways(), spec.Way) {
		return client.Lookups{}, usage("look up positions: this peer has no way %q", spec.Way)
	}
	l := client.Lookups{Way: spec.Way, N: spec.Count}
	before := n.traffic(spec.Way).Total()
	if !sleep(ctx, restFor) {
		return l, ctx.Err()
	}
	l.RestBS = float64(n.traffic(spec.Way).Total()-before) / restFor.Seconds()

	rng := rand.New(rand.NewPCG(spec.Seed, 0))
	var took []float64
	var last string
	hops, oneHop, messages := 0, 0, 0
	before, start := n.traffic(spec.Way).Total(), time.Now()
	for range spec.Count {
		preimage := randomPreimage(rng)
		w := n.walk(ctx, spec.Way, preimage)
		if ctx.Err() != nil || n.ctx.Err() != nil {
			return l, n.orClosed(errors.Join(ctx.Err(), n.ctx.Err()))
		}
		messages += w.Messages
		if w.Error != "" || len(w.Found) == 0 {
			l.Failed++
			last = w.Error
			continue
		}
		if w.Found[0] != n.expected(spec.Way, chord.HashID(preimage)) {
			l.Wrong++
		}
		if w.Hops <= 1 {
			oneHop++
		}
		hops += w.Hops
		l.MaxHops = max(l.MaxHops, w.Hops)
		took = append(took, w.US)
	}
	l.S = time.Since(start).Seconds()
	bytes := float64(n.traffic(spec.Way).Total()-before) - l.RestBS*l.S
	l.Bytes = max(0, bytes) / float64(spec.Count)
	l.Messages = float64(messages) / float64(spec.Count)
	if len(took) == 0 {
		return l, fmt.Errorf("look up positions by %s: %s", spec.Way, last)
	}
	l.Hops = float64(hops) / float64(len(took))
	l.OneHop = float64(oneHop) / float64(len(took))
	slices.Sort(took)
	l.P50us, l.P99us = quantile(took, 0.50), quantile(took, 0.99)
	return l, nil
}

// randomPreimage returns 32 random bytes, whose SHA-256 is a position.
func randomPreimage(rng *rand.Rand) []byte {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// traffic returns the bytes of the streams that a way uses.
func (n *Node) traffic(way client.Way) p2p.Traffic {
	if way == client.WayKademlia {
		return n.host.KadTraffic()
	}
	return n.host.CallTraffic()
}

// expected returns whom a lookup of a position should find first.
func (n *Node) expected(way client.Way, target chord.ID) string {
	switch way {
	case client.WayKademlia:
		return n.label(closestByXOR(n.view(), target))
	case client.WayChord:
		return n.label(plainOwner(n.view(), target))
	default:
		return n.label(n.view().Owner(target).ID)
	}
}

// ways returns the ways of lookups that this peer has.
func (n *Node) ways() []client.Way {
	return slices.DeleteFunc(client.Ways(), func(way client.Way) bool { return way == client.WayChord && n.plain == nil })
}

// quantile returns the nearest rank of sorted values, of which there is one.
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
