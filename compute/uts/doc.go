// Package uts is the Unbalanced Tree Search benchmark (Olivier and others, LCPC
// 2006) for functions that divide their tasks: a tree is counted whose size is
// published and whose shape cannot be foreseen, so that spreading the work is hard
// and the result is right or wrong beyond doubt.
//
// It owns the trees and their search. It knows no scheduler: package worker
// registers Work and Join as the function uts, netsim/model runs them in virtual
// time. Everything here may be called from any goroutine.
//
//	tree, err := uts.Parse("T1")
//	count, err := tree.Search(ctx) // on this goroutine: 4130071 nodes, depth 10, 3305118 leaves
package uts
