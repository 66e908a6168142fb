// Package ahead lets several goroutines work on the items of a queue while their
// owner takes them out in order, as a processor runs instructions ahead of their turn.
// It owns the queue and the goroutines. It knows nothing of what is done with an item:
// whoever files one promises that nothing which its work looks at changes before
// the item has had its turn, so that the order of work does not matter.
//
// One goroutine owns a Line and makes all calls. Work is called by any goroutine, the
// owner's included, once for each item.
//
//	l := ahead.New(64, 2, func(n *int) { *n *= *n })
//	defer l.Close()
//	l.Put(7)
//	fmt.Println(*l.First()) // 49
//	l.Drop()
package ahead
