package bootstrap

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/chorus-net/chorus/bootstrap/pass"
)

const (
	ringFormat   = 1       // of open rings
	closedFormat = 2       // of closed ones, which older versions do not know
	maxRing      = 4 << 10 // bytes of an encoded Ring

	maxShards   = 1 << 16
	maxReplicas = 64
)

var ringName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// RingID tells rings apart, whatever their names.
type RingID [32]byte

// String returns the ID as 64 hex digits.
func (id RingID) String() string { return hex.EncodeToString(id[:]) }

// Tag returns the first 16 hex digits: what protocol names carry, so that peers
// of different rings have no protocol in common.
func (id RingID) Tag() string { return hex.EncodeToString(id[:8]) }

// MarshalText writes the ID as String does.
func (id RingID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *RingID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(id) {
		return fmt.Errorf("ring ID of %d digits, want %d", len(b), 2*len(id))
	}
	_, err := hex.Decode(id[:], b)
	return err
}

// Ring describes a ring: what all its peers must agree on. It is fixed when
// the ring is created. The same JSON is kept in a home and handed to joiners.
type Ring struct {
	// Name is for people: 1 to 64 letters, digits, '.', '_' or '-'.
	Name string
	// ID is drawn at random when the ring is created.
	ID RingID
	// Open rings admit everybody. Closed ones have a Key.
	Open bool
	// Key is the key of a closed ring by which a home began to check who may be
	// in it: the ring's key when the home was made. Homes may differ in it.
	Key pass.Key
	// Shards is the number of shards: a power of two up to 65,536.
	Shards int
	// Replicas is the number of peers that keep each key.
	Replicas int
	// Created is when the ring was created, to the second, in UTC.
	Created time.Time
}

// ringJSON is the encoded form of a Ring.
type ringJSON struct {
	Format   int       `json:"format"`
	Name     string    `json:"name"`
	ID       RingID    `json:"id"`
	Open     bool      `json:"open"`
	Key      string    `json:"key,omitempty"` // in hex
	Shards   int       `json:"shards"`
	Replicas int       `json:"replicas"`
	Created  time.Time `json:"created"`
}

// NewRing makes a ring with a new ID: a closed one under key or, if that is
// zero, an open one.
func NewRing(name string, key pass.Key, shards, replicas int, now time.Time) (Ring, error) {
	r := Ring{
		Name: name, Open: key == pass.Key{}, Key: key, Shards: shards, Replicas: replicas,
		Created: now.UTC().Truncate(time.Second),
	}
	if _, err := rand.Read(r.ID[:]); err != nil {
		return Ring{}, fmt.Errorf("make ring: %w", err)
	}
	if err := r.validate(); err != nil {
		return Ring{}, fmt.Errorf("make ring: %w", err)
	}
	return r, nil
}

// Protocol returns the name of a protocol of the ring: "/chorus/TAG/NAME".
func (r Ring) Protocol(name string) string { return "/chorus/" + r.ID.Tag() + "/" + name }

// Marshal returns the ring's JSON, which ParseRing reads.
func (r Ring) Marshal() ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("encode ring: %w", err)
	}
	j := ringJSON{
		Format: ringFormat, Name: r.Name, ID: r.ID, Open: r.Open,
		Shards: r.Shards, Replicas: r.Replicas, Created: r.Created.UTC().Truncate(time.Second),
	}
	if !r.Open {
		j.Format, j.Key = closedFormat, hex.EncodeToString(r.Key[:])
	}
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode ring: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseRing reads a ring's JSON. It comes from strangers: it may have any
// content, and is checked. A format newer than this program's is an error that
// says so.
func ParseRing(b []byte) (Ring, error) {
	if len(b) > maxRing {
		return Ring{}, fmt.Errorf("parse ring: %d bytes, at most %d", len(b), maxRing)
	}
	var head struct{ Format int }
	if err := json.Unmarshal(b, &head); err != nil {
		return Ring{}, fmt.Errorf("parse ring: %w", err)
	}
	if head.Format != ringFormat && head.Format != closedFormat {
		return Ring{}, &Error{
			Code:    CodeNotAvailable,
			Message: fmt.Sprintf("ring description of format %d, this version knows formats %d and %d", head.Format, ringFormat, closedFormat),
			Fix:     "use the version of peer that the other peers use",
		}
	}
	var j ringJSON
	if err := decodeStrict(b, &j); err != nil {
		return Ring{}, fmt.Errorf("parse ring: %w", err)
	}
	r := Ring{Name: j.Name, ID: j.ID, Open: j.Open, Shards: j.Shards, Replicas: j.Replicas, Created: j.Created.UTC().Truncate(time.Second)}
	if j.Open != (j.Format == ringFormat) {
		return Ring{}, fmt.Errorf("parse ring: open is %v in format %d", j.Open, j.Format)
	}
	if key, err := hex.DecodeString(j.Key); err == nil && len(key) == len(r.Key) {
		r.Key = pass.Key(key)
	} else if j.Key != "" {
		return Ring{}, fmt.Errorf("parse ring: key %.80q: want %d hex digits", j.Key, 2*len(r.Key))
	}
	if err := r.validate(); err != nil {
		return Ring{}, fmt.Errorf("parse ring: %w", err)
	}
	return r, nil
}

// WriteRing answers a joiner that asked for the ring: the JSON, whole. Close the
// stream's writing side after it.
func WriteRing(w io.Writer, r Ring) error {
	b, err := r.Marshal()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// ReadRing reads the answer of WriteRing, up to its end, which must come
// within 4 KiB.
func ReadRing(rd io.Reader) (Ring, error) {
	b, err := readLimited(rd, maxRing)
	if err != nil {
		return Ring{}, fmt.Errorf("read ring: %w", err)
	}
	return ParseRing(b)
}

func (r Ring) validate() error {
	switch {
	case !ringName.MatchString(r.Name):
		return fmt.Errorf("name %.80q: want 1 to 64 letters, digits, '.', '_' or '-'", r.Name)
	case r.ID == RingID{}:
		return errors.New("no ID")
	case r.Open != (r.Key == pass.Key{}):
		return errors.New("a closed ring has a key, an open one has none")
	case r.Shards < 1 || r.Shards > maxShards || r.Shards&(r.Shards-1) != 0:
		return fmt.Errorf("%d shards: want a power of two from 1 to %d", r.Shards, maxShards)
	case r.Replicas < 1 || r.Replicas > maxReplicas:
		return fmt.Errorf("%d replicas: want 1 to %d", r.Replicas, maxReplicas)
	case !validYear(r.Created):
		return errors.New("created: year out of range")
	default:
		return nil
	}
}

// decodeStrict reads one JSON value with known keys only and nothing after it.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("trailing data")
	}
	return nil
}

// validYear reports whether JSON can carry the time.
func validYear(t time.Time) bool { y := t.UTC().Year(); return y >= 0 && y <= 9999 }
