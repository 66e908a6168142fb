package ahead_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/chorus-net/chorus/netsim/ahead"
)

// TestInOrder puts items in and takes them out as chance has it: each is worked on
// once, before its turn, and comes out in the order in which it went in.
func TestInOrder(t *testing.T) {
	type item struct{ n, worked int }
	for _, helpers := range []int{1, 2, 4} {
		var works atomic.Int64
		l := ahead.New(16, helpers, func(i *item) {
			i.worked++
			works.Add(1)
		})
		rng := rand.New(rand.NewPCG(uint64(helpers), 1))
		in, out := 0, 0
		for out < 3000 {
			if !l.Full() && (l.Len() == 0 || rng.IntN(2) == 0) {
				l.Put(item{n: in})
				in++
				continue
			}
			if i := l.First(); i.n != out || i.worked != 1 {
				t.Fatalf("%d helpers: item %d, worked on %d times, came as number %d", helpers, i.n, i.worked, out)
			}
			l.Drop()
			out++
		}
		for l.Len() > 0 {
			l.First()
			l.Drop()
		}
		l.Close()
		if n := works.Load(); n != int64(in) {
			t.Errorf("%d helpers worked %d times on %d items", helpers, n, in)
		}
	}
}

// TestWaking lets the helpers fall asleep between the items: each is worked on all the
// same.
func TestWaking(t *testing.T) {
	const helpers = 3
	worked := make(chan int, 1)
	l := ahead.New(4, helpers, func(n *int) { worked <- *n })
	defer l.Close()
	for n := range 60 {
		l.Put(n)
		if got := <-worked; got != n { // the owner does not help
			t.Fatalf("item %d was worked on, not %d", got, n)
		}
		l.First()
		l.Drop()
		if n%3 == 0 {
			spin()
		}
	}
}

// spin takes longer than helpers look for work.
func spin() {
	var x atomic.Int64
	for range 200_000 {
		x.Add(1)
	}
}

func ExampleLine() {
	l := ahead.New(64, 2, func(n *int) { *n *= *n })
	defer l.Close()
	for n := range 4 {
		l.Put(n)
	}
	for l.Len() > 0 {
		fmt.Println(*l.First())
		l.Drop()
	}
	// Output:
	// 0
	// 1
	// 4
	// 9
}
