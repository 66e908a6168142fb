package uts

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Tree describes a tree of the Unbalanced Tree Search benchmark (Olivier and
// others, LCPC 2006): a tree that is generated from SHA-1 while it is searched,
// so that its size is known and its shape cannot be foreseen.
type Tree struct {
	Type  Type
	Shape int     // of a geometric tree: 0 linear, 1 exponential, 2 cyclic, 3 fixed
	Depth int     // of a geometric tree: where its shape ends
	B     float64 // children of the root: their mean, or their number in a binomial tree
	Q     float64 // of a binomial tree: the chance of any other node to have children
	M     int     // and how many they are
	Seed  int
	// Grain is how many nodes one task searches before it divides what is left;
	// 0 means DefaultGrain.
	Grain int
	// Start is how many the first task searches, each further one half as many again as
	// what it is a part of, up to Grain: so that there is soon something for everybody, and
	// as each is divided in two, next to none of the work is in small tasks. 0 means a
	// 64th of Grain.
	Start int
}

// Type says how many children the nodes of a tree have.
type Type int

// The types. A hybrid tree is geometric above half of Depth, binomial below.
const (
	Binomial  Type = 0
	Geometric Type = 1
	Hybrid    Type = 2
)

// DefaultGrain is the number of nodes that a task of a tree searches: some
// milliseconds, which is some tens of times what a steal takes between near peers.
const DefaultGrain = 1 << 14

// maxChildren bounds the children of a node, except of a binomial root.
const maxChildren = 100

// Trees are the published trees by name.
var Trees = map[string]Tree{
	"T1":    {Type: Geometric, Shape: 3, Depth: 10, B: 4, Seed: 19},
	"T3":    {Type: Binomial, B: 2000, Q: 0.124875, M: 8, Seed: 42},
	"T1L":   {Type: Geometric, Shape: 3, Depth: 13, B: 4, Seed: 29},
	"T1XXL": {Type: Geometric, Shape: 3, Depth: 15, B: 4, Seed: 19},
}

// Parse reads a tree: a published one by name, or the letters of the
// reference implementation with their values, such as "t=1 a=3 d=10 b=4 r=19". Beside
// those it takes g, the grain, and s, the start.
func Parse(s string) (Tree, error) {
	words := strings.Fields(s)
	u := Tree{Type: Geometric, Depth: 6, B: 4, Q: 15.0 / 64, M: 4}
	for i, w := range words {
		if tree, ok := Trees[strings.ToUpper(w)]; ok && i == 0 {
			u = tree
			continue
		}
		k, v, _ := strings.Cut(w, "=")
		whole, err := strconv.Atoi(v)
		real, errReal := strconv.ParseFloat(v, 64)
		switch k {
		case "t":
			u.Type = Type(whole)
		case "a":
			u.Shape = whole
		case "d":
			u.Depth = whole
		case "b":
			u.B, err = real, errReal
		case "q":
			u.Q, err = real, errReal
		case "m":
			u.M = whole
		case "r":
			u.Seed = whole
		case "g":
			u.Grain = whole
		case "s":
			u.Start = whole
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return Tree{}, fmt.Errorf("tree %q: %q: want a name (T1, T3, T1L, T1XXL) and values of t, a, d, b, q, m, r, g or s", s, w)
		}
	}
	if len(words) == 0 {
		return Tree{}, errors.New("no tree is named: want one such as T1, or t=1 a=3 d=10 b=4 r=19")
	}
	return u, u.validate()
}

func (u Tree) validate() error {
	switch {
	case u.Type < Binomial || u.Type > Hybrid:
		return fmt.Errorf("tree: type t=%d, want 0, 1 or 2", u.Type)
	case u.Shape < 0 || u.Shape > 3:
		return fmt.Errorf("tree: shape a=%d, want 0 to 3", u.Shape)
	case u.Type != Binomial && u.Depth < 1 || u.Depth < 0 || u.Depth > 1<<20:
		return fmt.Errorf("tree: depth d=%d, want 1 to %d", u.Depth, 1<<20)
	case !(u.B >= 0 && u.B <= 1<<16):
		return fmt.Errorf("tree: children of the root b=%v, want 0 to %d", u.B, 1<<16)
	case !(u.Q >= 0 && u.Q <= 1) || u.M < 0 || u.M > maxChildren:
		return fmt.Errorf("tree: q=%v and m=%d, want 0 to 1 and 0 to %d", u.Q, u.M, maxChildren)
	case u.Seed < 0 || u.Seed > math.MaxInt32:
		return fmt.Errorf("tree: seed r=%d, want 0 to %d", u.Seed, math.MaxInt32)
	case u.Grain < 0 || u.Grain > 1<<30:
		return fmt.Errorf("tree: grain g=%d, want 0 to %d", u.Grain, 1<<30)
	case u.Start < 0 || u.Start > 1<<30:
		return fmt.Errorf("tree: start s=%d, want 0 to %d", u.Start, 1<<30)
	}
	return nil
}

// String writes the tree as Parse reads it.
func (u Tree) String() string {
	s := fmt.Sprintf("t=%d a=%d d=%d b=%v q=%v m=%d r=%d g=%d", u.Type, u.Shape, u.Depth, u.B, u.Q, u.M, u.Seed, u.Grain)
	if u.Start != 0 {
		s += fmt.Sprintf(" s=%d", u.Start)
	}
	return s
}

// Count is what a search has found.
type Count struct {
	Nodes, Leaves uint64
	Depth         uint32 // of the deepest node
}

// String writes the count as tasks put it out.
func (c Count) String() string {
	return fmt.Sprintf("%d nodes, depth %d, %d leaves", c.Nodes, c.Depth, c.Leaves)
}

// ParseCount reads what String wrote.
func ParseCount(s string) (c Count, err error) {
	if _, err := fmt.Sscanf(s, "%d nodes, depth %d, %d leaves", &c.Nodes, &c.Depth, &c.Leaves); err != nil {
		return Count{}, fmt.Errorf("count %.40q: %w", s, err)
	}
	return c, nil
}

func (c *Count) add(o Count) {
	c.Nodes += o.Nodes
	c.Leaves += o.Leaves
	c.Depth = max(c.Depth, o.Depth)
}

// node is a node that is still to be searched.
type node struct {
	state [sha1.Size]byte
	depth uint32
}

// nodeSize is what a node takes in the input of a task.
const nodeSize = sha1.Size + 4

func (u *Tree) root() node {
	var b [sha1.Size]byte
	binary.BigEndian.PutUint32(b[16:], uint32(u.Seed))
	return node{state: sha1.Sum(b[:])}
}

// children returns how many children a node has.
func (u *Tree) children(n *node) int {
	draw := float64(binary.BigEndian.Uint32(n.state[16:])&math.MaxInt32) / (1 << 31)
	binomial := u.Type == Binomial || u.Type == Hybrid && float64(n.depth) >= 0.5*float64(u.Depth)
	if binomial {
		switch {
		case n.depth == 0:
			return int(u.B)
		case draw < u.Q:
			return u.M
		}
		return 0
	}
	b := u.branching(int(n.depth))
	if b <= 0 {
		return 0
	}
	p := 1 / (1 + b)
	return min(int(math.Floor(math.Log(1-draw)/math.Log(1-p))), maxChildren)
}

// branching returns the mean number of children at a depth of a geometric tree.
func (u *Tree) branching(depth int) float64 {
	if depth == 0 {
		return u.B
	}
	d, end := float64(depth), float64(u.Depth)
	switch u.Shape {
	case 0:
		return u.B * (1 - d/end)
	case 1:
		return u.B * math.Pow(d, -math.Log(u.B)/math.Log(end))
	case 2:
		if depth > 5*u.Depth {
			return 0
		}
		return math.Pow(u.B, math.Sin(2*math.Pi*d/end))
	default:
		if depth < u.Depth {
			return u.B
		}
		return 0
	}
}

// search takes nodes from the end of the stack, deepest first, at most limit of
// them, and returns what it found and what is left.
func (u *Tree) search(ctx context.Context, stack []node, limit int) (c Count, left []node, err error) {
	const look = 1 << 12 // nodes between two looks at the context
	var b [sha1.Size + 4]byte
	for n := 0; len(stack) > 0 && n < limit; n++ {
		if n%look == look-1 && ctx.Err() != nil {
			return c, nil, ctx.Err()
		}
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		c.Nodes++
		c.Depth = max(c.Depth, at.depth)
		kids := u.children(&at)
		if kids == 0 {
			c.Leaves++
			continue
		}
		copy(b[:], at.state[:])
		for i := range kids {
			binary.BigEndian.PutUint32(b[sha1.Size:], uint32(i))
			stack = append(stack, node{sha1.Sum(b[:]), at.depth + 1})
		}
	}
	return c, stack, nil
}

// Search counts the nodes of the tree on this goroutine alone.
func (u Tree) Search(ctx context.Context) (Count, error) {
	c, _, err := u.search(ctx, []node{u.root()}, math.MaxInt)
	return c, err
}

// maxNodes bounds the nodes of one part: 192 KiB.
const maxNodes = 8 << 10

// Work searches some of a tree, as a function that divides its tasks does: see
// worker.Divided. Its input is a tree as a text, or a part: a zero byte, the tree, a
// zero byte, and nodes. Its output is a Count. What is left it divides in two, node
// by node, so that both parts may be expected to be as large; unless that is so little that
// it may as well be searched, too.
func Work(ctx context.Context, input []byte) ([]byte, [][]byte, error) {
	u, stack, err := read(input)
	if err != nil {
		return nil, nil, err
	}
	grain := cmp.Or(u.Grain, DefaultGrain)
	limit := min(cmp.Or(u.Start, max(grain/64, 1)), grain)
	c, left, err := u.search(ctx, stack, limit)
	if err == nil && u.expect(left) < float64(limit)/2 {
		var rest Count
		rest, left, err = u.search(ctx, left, limit)
		c.add(rest)
	}
	if err != nil {
		return nil, nil, err
	}
	u.Start = min(limit+max(limit/2, 1), grain)
	ways := min(max(2, (len(left)+maxNodes-1)/maxNodes), len(left))
	parts := make([][]byte, ways)
	for i := range parts {
		parts[i] = u.part(left[i:], ways)
	}
	return []byte(c.String()), parts, nil
}

// Join adds up what Work and the parts counted.
func Join(_ context.Context, output []byte, parts [][]byte) ([]byte, error) {
	sum, err := ParseCount(string(output))
	for _, p := range parts {
		c, e := ParseCount(string(p))
		err = errors.Join(err, e)
		sum.add(c)
	}
	return []byte(sum.String()), err
}

// part writes the input of a task that searches every so many of the nodes.
func (u Tree) part(nodes []node, step int) []byte {
	b := append([]byte{0}, u.String()...)
	b = append(b, 0)
	for i := 0; i < len(nodes); i += step {
		b = append(b, nodes[i].state[:]...)
		b = binary.BigEndian.AppendUint32(b, nodes[i].depth)
	}
	return b
}

func read(input []byte) (u Tree, stack []node, err error) {
	if len(input) == 0 || input[0] != 0 {
		if u, err = Parse(string(input)); err != nil {
			return u, nil, err
		}
		return u, []node{u.root()}, nil
	}
	tree, nodes, ok := strings.Cut(string(input[1:]), "\x00")
	if !ok || len(nodes)%nodeSize != 0 {
		return u, nil, fmt.Errorf("part of a tree: %d bytes that are no nodes", len(nodes))
	}
	if u, err = Parse(tree); err != nil {
		return u, nil, err
	}
	for ; len(nodes) > 0; nodes = nodes[nodeSize:] {
		n := node{depth: binary.BigEndian.Uint32([]byte(nodes[sha1.Size:nodeSize]))}
		copy(n.state[:], nodes)
		stack = append(stack, n)
	}
	return u, stack, nil
}
