package model

import "slices"

// numbers is a set of peers of one world, by their numbers. Its memory follows
// what is in it, not how many peers there are.
type numbers struct {
	slots []uint32 // a number plus 1, or 0; a power of two of them, at most half in use
	n     int
}

// add puts a number in, and reports whether it was not there.
func (s *numbers) add(number int) bool {
	if 2*(s.n+1) > len(s.slots) {
		s.grow()
	}
	i, known := s.find(number)
	if !known {
		s.slots[i] = uint32(number) + 1
		s.n++
	}
	return !known
}

// remove takes a number out.
func (s *numbers) remove(number int) {
	if s.n == 0 {
		return
	}
	i, known := s.find(number)
	if !known {
		return
	}
	s.n--
	s.slots[i] = 0
	mask := len(s.slots) - 1
	for i = (i + 1) & mask; s.slots[i] != 0; i = (i + 1) & mask { // those behind move up
		v := s.slots[i]
		s.slots[i] = 0
		k, _ := s.find(int(v) - 1)
		s.slots[k] = v
	}
}

// sorted returns all, ascending.
func (s *numbers) sorted() []int {
	all := make([]int, 0, s.n)
	for _, v := range s.slots {
		if v > 0 {
			all = append(all, int(v)-1)
		}
	}
	slices.Sort(all)
	return all
}

func (s *numbers) find(number int) (slot int, known bool) {
	const golden = 0x9e3779b1
	mask := uint32(len(s.slots) - 1)
	for i := uint32(number) * golden >> 7 & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case 0:
			return int(i), false
		case uint32(number) + 1:
			return int(i), true
		}
	}
}

func (s *numbers) grow() {
	old := s.slots
	s.slots = make([]uint32, max(8, 2*len(old)))
	for _, v := range old {
		if v > 0 {
			i, _ := s.find(int(v) - 1)
			s.slots[i] = v
		}
	}
}
