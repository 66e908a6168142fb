package model

import "time"

// event is something that happens at a moment.
type event struct {
	at     time.Duration
	serial uint64
	do     func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.serial < o.serial
}

// events is a heap, the next one first.
type events []event

func (h *events) push(e event) {
	q := append(*h, e)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&q[parent]) {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = e
	*h = q
}

func (h *events) pop() event {
	q := *h
	next, last := q[0], q[len(q)-1]
	q[len(q)-1] = event{}
	q = q[:len(q)-1]
	i := 0
	for len(q) > 0 {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].before(&q[child]) {
			child++
		}
		if !q[child].before(&last) {
			break
		}
		q[i] = q[child]
		i = child
	}
	if len(q) > 0 {
		q[i] = last
	}
	*h = q
	return next
}

// peerSet is a set of peers of one world, a bit each.
type peerSet []uint64

func (s peerSet) has(p *Peer) bool {
	word := p.Number / 64
	return word < len(s) && s[word]&(1<<(p.Number%64)) != 0
}

func (s *peerSet) add(p *Peer) {
	word := p.Number / 64
	for len(*s) <= word {
		*s = append(*s, 0)
	}
	(*s)[word] |= 1 << (p.Number % 64)
}

func (s peerSet) remove(p *Peer) {
	if s.has(p) {
		s[p.Number/64] &^= 1 << (p.Number % 64)
	}
}
