package uts

import "math"

// maxLevels bounds the levels of a tree whose parts are worth an estimate.
const maxLevels = 1 << 10

// expect returns how many nodes are to be expected in the trees under those of a stack, they
// included; +Inf if it cannot be told.
func (u *Tree) expect(stack []node) float64 {
	if len(stack) == 0 {
		return 0
	}
	sizes := u.sizes()
	sum := 0.0
	for i := range stack {
		sum += sizes[min(int(stack[i].depth), len(sizes)-1)]
	}
	return sum
}

// sizes returns how many nodes are to be expected under a node of each depth, and itself;
// beyond the last the size is the same.
func (u *Tree) sizes() []float64 {
	last := math.Inf(1) // of a binomial tree that may never end
	if u.Q*float64(u.M) < 1 {
		last = 1 / (1 - u.Q*float64(u.M))
	}
	levels := 1
	switch {
	case u.Type == Hybrid:
		levels = max((u.Depth+1)/2, 1)
	case u.Type == Geometric && u.Shape == 2:
		levels, last = 5*u.Depth+1, 1
	case u.Type == Geometric:
		levels, last = u.Depth, 1
	}
	if levels > maxLevels {
		return []float64{math.Inf(1)}
	}
	sizes := make([]float64, levels+1)
	sizes[levels] = last
	for d := levels - 1; d >= 0; d-- {
		sizes[d] = last
		if u.Type != Binomial {
			sizes[d] = 1 + max(u.branching(d), 0)*sizes[d+1]
		}
	}
	return sizes
}
