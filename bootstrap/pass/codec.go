package pass

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"
)

// Signature is an Ed25519 signature.
type Signature [ed25519.SignatureSize]byte

// decoder reads fields off a slice. After the first that does not fit, all are
// zero and err is set.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || len(d.b) < n {
		d.fail("ends early")
		return make([]byte, n)
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
}

func (d *decoder) byte() byte           { return d.take(1)[0] }
func (d *decoder) key() Key             { return Key(d.take(len(Key{}))) }
func (d *decoder) signature() Signature { return Signature(d.take(len(Signature{}))) }

func (d *decoder) time() time.Time {
	s := binary.BigEndian.Uint32(d.take(4))
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

func (d *decoder) right(allowed byte) Right {
	r, err := decodeRight(d.byte(), allowed)
	if d.err == nil {
		d.err = err
	}
	return r
}

// format reads the byte that all encodings but a token's begin with.
func (d *decoder) format(what string) {
	if f := d.byte(); f != format {
		d.fail("%s of format %d, this version knows format %d", what, f, format)
	}
}

// end returns what is wrong, be it that something follows.
func (d *decoder) end() error {
	if len(d.b) > 0 {
		d.fail("%d bytes follow", len(d.b))
	}
	return d.err
}

// format is the first byte of all encodings but a token's.
const format = 1

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint32(b, uint32(t.Unix()))
}

// whole returns t as encodings carry it.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}

// checkTime refuses a time that no encoding carries.
func checkTime(what string, t time.Time) error {
	if !t.IsZero() && (t.Unix() < 1 || t.Unix() > 1<<32-1) {
		return fmt.Errorf("%w: %s %v is beyond what can be written", ErrMalformed, what, t)
	}
	return nil
}

// message is what is signed for a purpose in a ring.
func message(domain string, ring [32]byte, parts ...[]byte) []byte {
	b := append([]byte("chorus/pass/"+domain), 0)
	b = append(b, ring[:]...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func (k Key) verify(message []byte, sig Signature) bool {
	return ed25519.Verify(k[:], message, sig[:])
}

func (s Sign) make(message []byte) (Signature, error) {
	b, err := s(message)
	if err != nil {
		return Signature{}, err
	}
	if len(b) != len(Signature{}) {
		return Signature{}, fmt.Errorf("sign: a signature of %d bytes, want %d", len(b), len(Signature{}))
	}
	return Signature(b), nil
}
