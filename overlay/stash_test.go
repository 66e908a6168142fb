package overlay

import (
	"encoding/binary"
	"errors"
	"testing"
)

// One guest has so many messages in parts, however small they are, and others have room all the same.
func TestStashBounds(t *testing.T) {
	var s stash
	at := func(i int) (k stashKey) {
		k.guest = "sam"
		binary.BigEndian.PutUint64(k.id[:], uint64(i+1))
		return k
	}
	for i := range maxStashed {
		if err := s.add(at(i), 0, []byte{1}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if err := s.add(at(maxStashed), 0, []byte{1}); !errors.Is(err, errStashFull) {
		t.Errorf("one too many: %v", err)
	}
	if err := s.add(at(0), 1, []byte{2}); err != nil {
		t.Errorf("more of one that is here: %v", err)
	}
	if err := s.add(stashKey{guest: "rita"}, 0, make([]byte, maxStashEach+1)); !errors.Is(err, errStashFull) {
		t.Errorf("too many bytes: %v", err)
	}
	if err := s.add(stashKey{guest: "rita"}, 0, make([]byte, maxStashEach)); err != nil {
		t.Errorf("another guest's: %v", err)
	}
	s.take(stashKey{guest: "rita"})
	for i := range maxStashed {
		if _, ok := s.take(at(i)); !ok {
			t.Fatalf("message %d is gone", i)
		}
	}
	if len(s.held) != 0 || len(s.of) != 0 || s.bytes != 0 {
		t.Errorf("%d messages, %d guests and %d bytes are left of none", len(s.held), len(s.of), s.bytes)
	}
}
