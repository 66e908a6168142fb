package bootstrap

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
)

const (
	bookFormat = 1
	maxBook    = 4 << 20 // bytes of an encoded Book
	maxPeerID  = 128     // bytes of a peer ID as text; reading base 58 takes quadratic time
)

// Book remembers peers of the ring, up to 256, so that a restarted peer finds
// it without being told an address. The zero Book is empty. It is plain data:
// one goroutine at a time may use it.
type Book struct {
	known []known // best first, see compareKnown
}

// known is one remembered peer.
type known struct {
	contact Contact
	seen    time.Time // when it last answered; UTC, whole seconds
	failed  int       // attempts since that did not reach it
}

// Seen notes that peer c answered at now; c.Addrs replace what was known. A full
// book drops its worst entry.
func (b *Book) Seen(c Contact, now time.Time) {
	if len(c.Addrs) == 0 {
		return
	}
	c.Addrs = slices.Clone(c.Addrs[:min(len(c.Addrs), maxContactAddrs)])
	b.drop(c.ID)
	b.known = append(b.known, known{contact: c, seen: now.UTC().Truncate(time.Second)})
	b.settle()
}

// Failed notes that an attempt to reach the peer failed.
func (b *Book) Failed(id chord.PeerID) {
	for i := range b.known {
		if b.known[i].contact.ID == id {
			b.known[i].failed++
		}
	}
	b.settle()
}

// Forget drops a peer, such as one that left.
func (b *Book) Forget(id chord.PeerID) { b.drop(id) }

// Len returns the number of peers in the book.
func (b *Book) Len() int { return len(b.known) }

// Contacts returns the peers, those most likely to answer first.
func (b *Book) Contacts() []Contact {
	out := make([]Contact, len(b.known))
	for i, k := range b.known {
		out[i] = Contact{ID: k.contact.ID, Addrs: slices.Clone(k.contact.Addrs)}
	}
	return out
}

// bookJSON is the encoded form of a Book.
type bookJSON struct {
	Format int        `json:"format"`
	Peers  []peerJSON `json:"peers"`
}

type peerJSON struct {
	ID     string    `json:"id"`
	Addrs  []string  `json:"addrs"`
	Seen   time.Time `json:"seen"`
	Failed int       `json:"failed,omitempty"`
}

// Marshal returns the book's JSON, which ParseBook reads.
func (b *Book) Marshal() ([]byte, error) {
	j := bookJSON{Format: bookFormat, Peers: []peerJSON{}}
	for _, k := range b.known {
		j.Peers = append(j.Peers, peerJSON{
			ID: peer.ID(k.contact.ID).String(), Addrs: k.contact.Addrs, Seen: k.seen, Failed: k.failed,
		})
	}
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode peers: %w", err)
	}
	return append(data, '\n'), nil
}

// ParseBook reads a book's JSON.
func ParseBook(data []byte) (*Book, error) {
	if len(data) > maxBook {
		return nil, fmt.Errorf("parse peers: %d bytes, at most %d", len(data), maxBook)
	}
	var j bookJSON
	if err := decodeStrict(data, &j); err != nil {
		return nil, fmt.Errorf("parse peers: %w", err)
	}
	if j.Format != bookFormat {
		return nil, fmt.Errorf("parse peers: format %d, want %d", j.Format, bookFormat)
	}
	if len(j.Peers) > maxContacts {
		return nil, fmt.Errorf("parse peers: %d peers, at most %d", len(j.Peers), maxContacts)
	}
	b := &Book{}
	for i, p := range j.Peers {
		k, err := p.parse()
		if err != nil {
			return nil, fmt.Errorf("parse peers: peer %d: %w", i, err)
		}
		b.drop(k.contact.ID)
		b.known = append(b.known, k)
	}
	b.settle()
	return b, nil
}

func (p peerJSON) parse() (known, error) {
	if len(p.ID) > maxPeerID {
		return known{}, fmt.Errorf("peer ID of %d bytes, at most %d", len(p.ID), maxPeerID)
	}
	id, err := peer.Decode(p.ID)
	if err != nil {
		return known{}, err
	}
	if len(p.Addrs) == 0 || len(p.Addrs) > maxContactAddrs {
		return known{}, fmt.Errorf("%d addresses, want 1 to %d", len(p.Addrs), maxContactAddrs)
	}
	addrs := make([]string, len(p.Addrs))
	for i, a := range p.Addrs {
		if len(a) > maxAddr {
			return known{}, fmt.Errorf("address of %d bytes, at most %d", len(a), maxAddr)
		}
		m, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			return known{}, err
		}
		addrs[i] = m.String()
	}
	if !validYear(p.Seen) {
		return known{}, fmt.Errorf("seen in the year %d", p.Seen.Year())
	}
	return known{
		contact: Contact{ID: chord.PeerID(id), Addrs: addrs},
		seen:    p.Seen.UTC().Truncate(time.Second),
		failed:  max(p.Failed, 0),
	}, nil
}

func (b *Book) drop(id chord.PeerID) {
	b.known = slices.DeleteFunc(b.known, func(k known) bool { return k.contact.ID == id })
}

// settle restores the order and the bound.
func (b *Book) settle() {
	slices.SortFunc(b.known, compareKnown)
	if len(b.known) > maxContacts {
		b.known = slices.Delete(b.known, maxContacts, len(b.known))
	}
}

// compareKnown puts first who failed least, then who was seen last.
func compareKnown(a, b known) int {
	return cmp.Or(
		cmp.Compare(a.failed, b.failed),
		b.seen.Compare(a.seen),
		cmp.Compare(a.contact.ID, b.contact.ID),
	)
}
