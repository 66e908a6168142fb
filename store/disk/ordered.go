package disk

import (
	"slices"
	"sort"
)

// ordered is a set of strings in order, in pieces, so that an insertion moves
// little. No piece is empty.
type ordered struct{ pieces [][]string }

const maxPiece = 512

// at returns the piece in which s lies or would lie.
func (o *ordered) at(s string) int {
	i := sort.Search(len(o.pieces), func(i int) bool { return o.pieces[i][0] > s })
	return max(i-1, 0)
}

func (o *ordered) add(s string) {
	if len(o.pieces) == 0 {
		o.pieces = [][]string{{s}}
		return
	}
	p := o.at(s)
	piece := o.pieces[p]
	i, found := slices.BinarySearch(piece, s)
	if found {
		return
	}
	piece = slices.Insert(piece, i, s)
	o.pieces[p] = piece
	if half := len(piece) / 2; len(piece) > maxPiece {
		o.pieces[p] = slices.Clone(piece[:half])
		o.pieces = slices.Insert(o.pieces, p+1, slices.Clone(piece[half:]))
	}
}

func (o *ordered) remove(s string) {
	if len(o.pieces) == 0 {
		return
	}
	p := o.at(s)
	i, found := slices.BinarySearch(o.pieces[p], s)
	if !found {
		return
	}
	if o.pieces[p] = slices.Delete(o.pieces[p], i, i+1); len(o.pieces[p]) == 0 {
		o.pieces = slices.Delete(o.pieces, p, p+1)
	}
}

// next returns the first that is not below s.
func (o *ordered) next(s string) (string, bool) {
	if len(o.pieces) == 0 {
		return "", false
	}
	p := o.at(s)
	i, _ := slices.BinarySearch(o.pieces[p], s)
	if i < len(o.pieces[p]) {
		return o.pieces[p][i], true
	}
	if p+1 < len(o.pieces) {
		return o.pieces[p+1][0], true
	}
	return "", false
}
