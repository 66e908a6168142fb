package chunk

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of a large value.
const (
	// Size is the length of a chunk in bytes; the last one of a value may be
	// shorter.
	Size = 256 << 10
	// MaxChunks bounds the chunks of a value: their manifest fits in a record.
	MaxChunks = 16383
	// MaxValue bounds a value in bytes: 4 GiB less one chunk.
	MaxValue = MaxChunks * Size
)

// Errors of this package.
var (
	// ErrTooLarge: a value is larger than MaxValue.
	ErrTooLarge = fmt.Errorf("value is larger than %d bytes", int64(MaxValue))
	// ErrMalformed is wrapped by what decoders refuse.
	ErrMalformed = errors.New("malformed")
	// ErrMismatch: the bytes of a chunk are not those that its name stands for.
	ErrMismatch = errors.New("chunk does not match its hash")
)

// Hash is the SHA-256 of a chunk's bytes, and its name.
type Hash [sha256.Size]byte

// Manifest lists the chunks of a value in order.
type Manifest struct {
	Size   int64 // of the value, in bytes; at least 1
	Chunk  int   // bytes of each chunk but the last, 1 to Size
	Hashes []Hash
}

// Span returns where chunk i lies in the value: from the first byte to behind
// the last.
func (m *Manifest) Span(i int) (from, to int64) {
	from = int64(i) * int64(m.Chunk)
	return from, min(from+int64(m.Chunk), m.Size)
}

// An encoded manifest, integers big-endian:
//
//	0  format    1  bytes of a chunk (4)    5  bytes of the value (8)    13  hashes
const (
	manifestFormat = 1
	manifestHeader = 13
)

// AppendTo appends the encoding of m to b.
func (m *Manifest) AppendTo(b []byte) []byte {
	b = append(b, manifestFormat)
	b = binary.BigEndian.AppendUint32(b, uint32(m.Chunk))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Size))
	for i := range m.Hashes {
		b = append(b, m.Hashes[i][:]...)
	}
	return b
}

// ParseManifest reads an encoded manifest, and nothing besides. It refuses one
// whose chunks do not make up the size that it tells.
func ParseManifest(b []byte) (Manifest, error) {
	if len(b) < manifestHeader || b[0] != manifestFormat {
		return Manifest{}, fmt.Errorf("manifest format: %w", ErrMalformed)
	}
	size, whole := uint64(binary.BigEndian.Uint32(b[1:])), binary.BigEndian.Uint64(b[5:])
	hashes := b[manifestHeader:]
	switch {
	case size < 1 || size > Size:
		return Manifest{}, fmt.Errorf("manifest with chunks of %d bytes: %w", size, ErrMalformed)
	case whole < 1 || whole > MaxChunks*size:
		return Manifest{}, fmt.Errorf("manifest of a value of %d bytes: %w", whole, ErrMalformed)
	case uint64(len(hashes)) != (whole+size-1)/size*sha256.Size:
		return Manifest{}, fmt.Errorf("manifest of %d bytes in chunks of %d lists %d bytes of hashes: %w", whole, size, len(hashes), ErrMalformed)
	}
	m := Manifest{Size: int64(whole), Chunk: int(size), Hashes: make([]Hash, len(hashes)/sha256.Size)}
	for i := range m.Hashes {
		m.Hashes[i] = Hash(hashes[i*sha256.Size:])
	}
	return m, nil
}

// Check reports whether data are the bytes of chunk i of m: nil, or
// ErrMismatch.
func (m *Manifest) Check(i int, data []byte) error {
	from, to := m.Span(i)
	return Check(m.Hashes[i], int(to-from), data)
}

// Check reports whether data are the size bytes that h stands for: nil, or
// ErrMismatch.
func Check(h Hash, size int, data []byte) error {
	if len(data) != size || sha256.Sum256(data) != h {
		return ErrMismatch
	}
	return nil
}
