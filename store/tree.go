package store

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Item is a key and its version as a Tree knows them: as hashes. Keys of a shard
// whose paths collide (64 bits) would count as one.
type Item struct {
	Path uint64 // of the key
	Sum  uint64 // of the key and its version
}

// ItemOf returns the item of a key that is held in version v.
func ItemOf(ns, key []byte, v Version) Item {
	return Item{Path: pathOf(ns, key), Sum: FingerprintOf(ns, key, v).Hi}
}

// PathOf returns the path of a full key.
func PathOf(full string) uint64 {
	ns, key := SplitKey(full)
	return pathOf(ns, key)
}

// pathOf takes bits of the hash that Route is too, but none that name a shard.
func pathOf[T string | []byte](ns, key T) uint64 {
	var buf [2 + MaxKey]byte
	b := binary.BigEndian.AppendUint16(buf[:0], uint16(len(ns)))
	b = append(b, ns...)
	b = append(b, key...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[8:])
}

// Prefix names a node of a Tree: its depth in the lowest hex digit, and the
// beginning of its items' paths in as many of the others. Zero is the root.
type Prefix uint64

const (
	treeDepth = 15 // of the deepest nodes
	// TreeFan is the number of children of a node.
	TreeFan = 16
	// TreeLeaf is how many items a node of a Tree may sum up for the node to be
	// told by its items.
	TreeLeaf = 32
)

// Depth returns the node's depth, 0 for the root.
func (p Prefix) Depth() int { return int(p & 15) }

// Has reports whether a path belongs below the node.
func (p Prefix) Has(path uint64) bool {
	from, to := p.bounds()
	return from <= path && path <= to
}

// Valid reports whether p is the name of a node.
func (p Prefix) Valid() bool {
	from, to := p.bounds()
	return uint64(p)&^15&(to-from) == 0
}

// bounds returns the first and the last path below the node.
func (p Prefix) bounds() (from, to uint64) {
	rest := ^uint64(0) >> (4 * p.Depth())
	from = uint64(p) &^ 15 &^ rest
	return from, from | rest
}

// child returns the name of child i of a node that is not at the greatest depth.
func (p Prefix) child(i int) Prefix { return (p | Prefix(i)<<(60-4*p.Depth())) + 1 }

// Tree sums up the keys of a shard and their versions, so that two replicas
// find those in which they differ without naming the others: a node's sum is
// that of all items below it, and equal sums mean equal sets. It holds 16 bytes
// a key, and a little more for its nodes. The zero Tree is empty.
//
// Like Fingerprint, it is not made to resist a member that searches for
// collisions.
type Tree struct{ root treeNode }

// treeNode is a leaf, which has its items in the order of their paths, or has
// children.
type treeNode struct {
	sum   uint64 // of all items below, modulo 2^64
	count int    // of them
	items []Item
	kids  *[TreeFan]treeNode
}

// Len returns the number of items.
func (t *Tree) Len() int { return t.root.count }

// Put adds an item, or gives the one of its path another sum.
func (t *Tree) Put(it Item) { t.root.put(0, it) }

// Remove takes the item of a path away, if there is one.
func (t *Tree) Remove(path uint64) { t.root.remove(0, path) }

// digit returns the digit of a path that picks the child of a node at a depth.
func digit(path uint64, depth int) int { return int(path >> (60 - 4*depth) & 15) }

func (n *treeNode) put(depth int, it Item) (old uint64, added bool) {
	if n.kids != nil {
		old, added = n.kids[digit(it.Path, depth)].put(depth+1, it)
	} else {
		i, found := n.find(it.Path)
		if added = !found; found {
			old, n.items[i].Sum = n.items[i].Sum, it.Sum
		} else {
			n.items = slices.Insert(n.items, i, it)
		}
	}
	n.sum += it.Sum - old
	if added {
		n.count++
	}
	if len(n.items) > TreeLeaf && depth < treeDepth {
		n.split(depth)
	}
	return old, added
}

func (n *treeNode) find(path uint64) (int, bool) {
	return slices.BinarySearchFunc(n.items, path, func(it Item, path uint64) int {
		switch {
		case it.Path < path:
			return -1
		case it.Path > path:
			return 1
		}
		return 0
	})
}

// split makes an inner node of a leaf.
func (n *treeNode) split(depth int) {
	items := n.items
	n.items, n.kids = nil, new([TreeFan]treeNode)
	for _, it := range items {
		n.kids[digit(it.Path, depth)].put(depth+1, it)
	}
}

func (n *treeNode) remove(depth int, path uint64) (old uint64, removed bool) {
	if n.kids != nil {
		old, removed = n.kids[digit(path, depth)].remove(depth+1, path)
	} else if i, found := n.find(path); found {
		old, removed = n.items[i].Sum, true
		n.items = slices.Delete(n.items, i, i+1)
	}
	if !removed {
		return 0, false
	}
	n.sum -= old
	n.count--
	if n.kids != nil && n.count <= TreeLeaf/2 {
		n.items, n.kids = n.collect(nil), nil
	}
	return old, true
}

// collect appends the items below n, in the order of their paths.
func (n *treeNode) collect(items []Item) []Item {
	if n.kids == nil {
		return append(items, n.items...)
	}
	for i := range n.kids {
		items = n.kids[i].collect(items)
	}
	return items
}

// at returns a node or, where the tree does not go as deep, nil and its items.
func (t *Tree) at(p Prefix) (*treeNode, []Item) {
	n, from := &t.root, uint64(p)
	for depth := range p.Depth() {
		if n.kids == nil {
			first, last := p.bounds()
			lo, _ := n.find(first)
			hi, found := n.find(last)
			if found {
				hi++
			}
			return nil, n.items[lo:hi]
		}
		n = &n.kids[digit(from, depth)]
	}
	return n, nil
}

// sum returns the sum of a node.
func (t *Tree) sum(p Prefix) (sum uint64) {
	n, items := t.at(p)
	if n != nil {
		return n.sum
	}
	for _, it := range items {
		sum += it.Sum
	}
	return sum
}

// has reports whether the tree holds just this item of the item's path.
func (t *Tree) has(it Item) bool {
	n := &t.root
	for depth := 0; n.kids != nil; depth++ {
		n = &n.kids[digit(it.Path, depth)]
	}
	i, found := n.find(it.Path)
	return found && n.items[i] == it
}

// Node describes a node of a Tree to another replica: by the items below it if
// they are few, or else by the sums of its children.
type Node struct {
	Items []Item   // in the order of their paths
	Sums  []uint64 // TreeFan of them, or none
}

// Node returns the description of a node.
func (t *Tree) Node(p Prefix) Node {
	n, items := t.at(p)
	switch {
	case n == nil:
		return Node{Items: slices.Clone(items)}
	case n.kids == nil || n.count <= TreeLeaf:
		return Node{Items: n.collect(nil)}
	}
	node := Node{Sums: make([]uint64, TreeFan)}
	for i := range n.kids {
		node.Sums[i] = n.kids[i].sum
	}
	return node
}
