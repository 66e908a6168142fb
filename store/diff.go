package store

import (
	"errors"
	"fmt"
)

// Bounds of a comparison of two trees.
const (
	// MaxNodes bounds the nodes of one NodesRequest.
	MaxNodes = 256
	// MaxPaths bounds the paths that a Diff finds and a SyncRequest names.
	MaxPaths = 2048
)

// Diff is the machine that finds out which records of a source are not held
// here: it walks down both replicas' trees where they differ. What it costs
// follows the difference: for each differing key about 1 KB, and a round trip
// for every sixteenfold of what the shard holds.
//
//	for d := store.NewDiff(); len(d.Next()) > 0; {
//		... ask the source for the nodes d.Next() ...
//		err := d.Answered(mine, nodes)
//	}
//	... if !d.Many(): pull d.Paths(), see NewRepair; else all of the shard ...
//
// The trees may change meanwhile: then some keys are named in vain, and of those
// that change some are not.
type Diff struct {
	ask   []Prefix
	paths []uint64
	many  bool
}

// NewDiff returns a comparison that begins at the roots.
func NewDiff() *Diff { return &Diff{ask: []Prefix{0}} }

// Next returns the nodes to ask the source about. It stays the same until they
// are answered; with none left the comparison has ended.
func (d *Diff) Next() []Prefix { return d.ask[:min(len(d.ask), MaxNodes)] }

// Answered takes in what the source says of the nodes of Next, in their order.
func (d *Diff) Answered(mine *Tree, theirs []Node) error {
	asked := d.Next()
	if len(theirs) != len(asked) || len(asked) == 0 {
		return fmt.Errorf("%d nodes for %d: %w", len(theirs), len(asked), ErrBadPeer)
	}
	var deeper []Prefix
	for i, n := range theirs {
		if err := n.check(asked[i]); err != nil {
			return fmt.Errorf("node %x: %w: %w", asked[i], err, ErrBadPeer)
		}
		for _, it := range n.Items {
			if !mine.has(it) {
				d.paths = append(d.paths, it.Path)
			}
		}
		for j, sum := range n.Sums {
			if child := asked[i].child(j); sum != 0 && sum != mine.sum(child) {
				deeper = append(deeper, child)
			}
		}
	}
	d.ask = append(d.ask[len(asked):], deeper...)
	if len(d.paths)+len(d.ask) > MaxPaths {
		d.ask, d.paths, d.many = nil, nil, true
	}
	return nil
}

// check reports what is wrong with a description of node p, or nil.
func (n Node) check(p Prefix) error {
	switch {
	case len(n.Sums) > 0 && (len(n.Sums) != TreeFan || len(n.Items) > 0 || p.Depth() == treeDepth):
		return fmt.Errorf("%d sums and %d items", len(n.Sums), len(n.Items))
	case len(n.Items) > 2*TreeLeaf:
		return fmt.Errorf("%d items", len(n.Items))
	}
	for i, it := range n.Items {
		if !p.Has(it.Path) || i > 0 && it.Path <= n.Items[i-1].Path {
			return errors.New("items out of order")
		}
	}
	return nil
}

// Paths returns the paths of the keys that the source holds and of which this
// replica holds another version, or none. They are for NewRepair.
func (d *Diff) Paths() []uint64 { return d.paths }

// Many reports whether the comparison was given up, because so much differs that
// to go through all of the shard costs no more.
func (d *Diff) Many() bool { return d.many }
