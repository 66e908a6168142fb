package ahead

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Line is a bounded queue of items on which several goroutines work.
type Line[T any] struct {
	work  func(*T)
	slots []slot[T]
	first uint64 // ordinal of the item whose turn is next

	filed   atomic.Uint64 // items ever put in
	claimed atomic.Uint64 // of them, those that somebody took to work on

	idle   atomic.Int32  // goroutines that wait, or are about to
	wake   chan struct{} // one for each that is to look again
	closed atomic.Bool
	done   sync.WaitGroup
}

// slot holds one item.
type slot[T any] struct {
	item T
	done atomic.Bool // it was worked on
}

// How long to look again and again before one waits: longer than it takes the
// owner to go on to the next items, shorter than what it costs to be woken often.
const (
	spins = 5000 // looks
	yield = 64   // looks between two in which others may run

	pause    = 20 * time.Microsecond // the first of them; doubles
	maxPause = time.Millisecond
)

// New returns an empty line with room for so many items, and starts helpers-1
// goroutines that work on them; the owner is the last helper. It panics if
// there is no room or no helper.
func New[T any](room, helpers int, work func(*T)) *Line[T] {
	if room < 1 || helpers < 1 {
		panic("ahead: a line without room or helpers")
	}
	l := &Line[T]{work: work, slots: make([]slot[T], room), wake: make(chan struct{}, helpers)}
	for range helpers - 1 {
		l.done.Add(1)
		go l.help()
	}
	return l
}

// Close ends the goroutines and waits for them. Items that were not worked on stay so.
func (l *Line[T]) Close() {
	if !l.closed.Swap(true) {
		close(l.wake)
		l.done.Wait()
	}
}

// Len returns the number of items.
func (l *Line[T]) Len() int { return int(l.filed.Load() - l.first) }

// Full reports whether there is no room for another item.
func (l *Line[T]) Full() bool { return l.Len() == len(l.slots) }

// Put adds an item at the end, to be worked on at once. It panics if the line is
// full.
func (l *Line[T]) Put(item T) {
	if l.Full() {
		panic("ahead: a full line")
	}
	n := l.filed.Load()
	s := l.at(n)
	s.item = item
	s.done.Store(false)
	l.filed.Store(n + 1)
	if l.idle.Load() > 0 {
		select {
		case l.wake <- struct{}{}:
		default: // all that wait are being woken
		}
	}
}

// Head returns the first item, which may not have been worked on; it must not be
// changed. It panics if the line is empty.
func (l *Line[T]) Head() *T {
	if l.Len() == 0 {
		panic("ahead: an empty line")
	}
	return &l.at(l.first).item
}

// First returns the first item once it has been worked on. It helps meanwhile, and
// panics if the line is empty.
func (l *Line[T]) First() *T {
	item := l.Head()
	for i := 1; !l.at(l.first).done.Load(); i++ {
		if l.one() {
			continue
		}
		switch {
		case i > spins: // whoever has it was put off by others
			time.Sleep(min(pause<<min(i-spins, 8), maxPause))
		case i%yield == 0:
			runtime.Gosched()
		}
	}
	return item
}

// Drop takes out the first item, which has been worked on.
func (l *Line[T]) Drop() { l.first++ }

// at returns the slot of an item.
func (l *Line[T]) at(n uint64) *slot[T] { return &l.slots[n%uint64(len(l.slots))] }

// one works on the first item that nobody has taken, and reports whether there was one.
func (l *Line[T]) one() bool {
	for {
		n := l.claimed.Load()
		if n == l.filed.Load() {
			return false
		}
		if l.claimed.CompareAndSwap(n, n+1) {
			s := l.at(n)
			l.work(&s.item)
			s.done.Store(true)
			return true
		}
	}
}

// help works on items until the line is closed.
func (l *Line[T]) help() {
	defer l.done.Done()
	for i := 1; !l.closed.Load(); i++ {
		switch {
		case l.one():
			i = 0
		case i > spins:
			l.rest()
			i = 0
		case i%yield == 0:
			runtime.Gosched()
		}
	}
}

// rest waits until there may be something to do.
func (l *Line[T]) rest() {
	l.idle.Add(1)
	if l.claimed.Load() == l.filed.Load() { // else it came before it was known that we wait
		<-l.wake
	}
	l.idle.Add(-1)
}
