package pass

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// MaxSpent bounds the tokens that an inviter remembers as spent. Each is
// forgotten when it expires.
const MaxSpent = 4096

// Spent is an inviter's book of the tokens for one use that were redeemed. The
// zero Spent is empty.
type Spent struct {
	by map[Nonce]spending
}

type spending struct {
	joiner  Key
	expires time.Time
}

// Spend notes that joiner redeems t at now, and reports whether the book changed.
// Another peer's second use is ErrSpent; the same peer may ask again, since an
// answer can get lost. A book of 4,096 tokens that have not expired is ErrFull.
func (s *Spent) Spend(t Token, joiner Key, now time.Time) (changed bool, err error) {
	if !t.Once {
		return false, nil
	}
	if old, ok := s.by[t.Nonce]; ok {
		if old.joiner != joiner {
			return false, fmt.Errorf("token: %w", ErrSpent)
		}
		return false, nil
	}
	for n, sp := range s.by {
		if !now.Before(sp.expires) {
			delete(s.by, n)
		}
	}
	if len(s.by) >= MaxSpent {
		return false, fmt.Errorf("spent tokens: %w", ErrFull)
	}
	if s.by == nil {
		s.by = make(map[Nonce]spending)
	}
	s.by[t.Nonce] = spending{joiner: joiner, expires: whole(t.Expires)}
	return true, nil
}

// Append appends the book's encoding to b: a format byte, then nonce 8, key 32
// and expiry 4 of each.
func (s *Spent) Append(b []byte) []byte {
	b = append(b, format)
	at := len(b)
	for n, sp := range s.by {
		b = append(b, n[:]...)
		b = append(b, sp.joiner[:]...)
		b = appendTime(b, sp.expires)
	}
	sortRows(b[at:], spentSize)
	return b
}

const spentSize = 8 + 32 + 4

// sortRows orders rows of one size, so that equal books have equal encodings.
func sortRows(b []byte, size int) {
	rows := slices.Collect(slices.Chunk(bytes.Clone(b), size))
	slices.SortFunc(rows, bytes.Compare)
	b = b[:0]
	for _, r := range rows {
		b = append(b, r...)
	}
}

// ParseSpent reads what Append wrote.
func ParseSpent(b []byte) (*Spent, error) {
	d := decoder{b: b}
	d.format("spent tokens")
	if len(d.b) > MaxSpent*spentSize {
		d.fail("%d bytes", len(d.b))
	}
	s := &Spent{by: make(map[Nonce]spending)}
	for len(d.b) > 0 && d.err == nil {
		s.by[Nonce(d.take(8))] = spending{joiner: d.key(), expires: d.time()}
	}
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("parse spent tokens: %w", err)
	}
	return s, nil
}
