//go:build unix && !linux

package wasm

import "bytes"

// saved is the content of a region as it was once: a copy.
type saved struct {
	size  uint64
	bytes []byte
}

func (s *saved) take(b []byte) error {
	s.size, s.bytes = uint64(len(b)), bytes.Clone(b)
	return nil
}

func (s *saved) restore(b []byte) error {
	copy(b, s.bytes)
	return nil
}
